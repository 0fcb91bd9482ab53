//! What repositories and images are called on the command line, with `az`'s rules and words.

use clap::Args;

use super::Thing;
use crate::cli::resources::failure::Failure;
use crate::cli::resources::passes::{is_login_server, registry_or_server};
use crate::oci::{Digest, Reference, RepositoryName, Tag};

const WITH_TAG: &str = "The name of the image may include a tag in the format 'name:tag'.";
const WITH_BOTH: &str =
    "The name of the image may include a tag in the format 'name:tag' or digest in the format 'name@digest'.";
const EITHER: &str = "Usage error: You need to provide either --image IMAGE | --repository REPOSITORY, but not both";
const NO_REPOSITORY: &str = "You must provide either a fully qualified repository specifier such as \
                             'myregistry.azurecr.io/hello-world' as a positional parameter or provide '-r MyRegistry -n \
                             hello-world' argument values.";
const NO_MANIFEST: &str = "You must provide either a fully qualified manifest specifier such as \
                           'myregistry.azurecr.io/hello-world:latest' as a positional parameter or provide '-r MyRegistry \
                           -n hello-world:latest' argument values.";
const BAD_REPOSITORY: &str = "The positional parameter 'repo_id' must be a fully qualified repository specifier such as \
                              'myregistry.azurecr.io/hello-world'.";
const BAD_MANIFEST: &str = "The positional parameter 'manifest_id' must be a fully qualified manifest specifier such as \
                            'myregistry.azurecr.io/hello-world:latest' or \
                            'myregistry.azurecr.io/hello-world@sha256:abc123'.";
const REPOSITORY_WITH_TAG: &str = "The positional parameter 'repo_id' should not include a tag or digest.";
const NAME_WITH_TAG: &str = "Parameter 'name' refers to a repository and should not include a tag or digest.";

/// `--image` or `--repository`.
#[derive(Debug, Args)]
pub(super) struct ImageOrRepository {
    /// The name of the repository.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
    /// The name of the image, REPOSITORY:TAG or REPOSITORY@DIGEST. Without either, the tag is latest.
    #[arg(short = 't', long, value_name = "IMAGE")]
    image: Option<String>,
}

impl ImageOrRepository {
    pub(super) fn thing(&self) -> Result<Thing, Failure> {
        match (&self.repository, &self.image) {
            (Some(written), None) => Ok(Thing { repository: repository(written)?, reference: None }),
            (None, Some(written)) => image(written),
            _ => Err(Failure::new(EITHER)),
        }
    }
}

/// A registry and a repository in it.
#[derive(Debug, Args)]
pub(super) struct RepositoryIn {
    /// The repository with its registry, such as registry.example.com/hello-world; instead of --registry and --name.
    #[arg(value_name = "REPO_ID")]
    repo_id: Option<String>,
    /// The registry: its name, or its login server.
    #[arg(short, long, value_name = "NAME", value_parser = registry_or_server)]
    registry: Option<String>,
    /// The name of the repository.
    #[arg(short, long, value_name = "REPOSITORY")]
    name: Option<String>,
}

impl RepositoryIn {
    /// The registry as it is written, and the repository.
    pub(super) fn read(&self) -> Result<(String, RepositoryName), Failure> {
        match (&self.repo_id, &self.registry, &self.name) {
            (Some(full), None, None) => {
                let (registry, rest) = split(full, BAD_REPOSITORY)?;
                if rest.contains([':', '@']) {
                    return Err(Failure::new(REPOSITORY_WITH_TAG));
                }
                Ok((registry, repository(rest)?))
            }
            (None, Some(_), Some(name)) if name.contains([':', '@']) => Err(Failure::new(NAME_WITH_TAG)),
            (None, Some(registry), Some(name)) => Ok((registry.clone(), repository(name)?)),
            _ => Err(Failure::new(NO_REPOSITORY)),
        }
    }
}

/// A registry and a manifest in it.
#[derive(Debug, Args)]
pub(super) struct ManifestIn {
    /// The manifest with its registry, such as registry.example.com/hello-world:v1; instead of --registry and --name.
    #[arg(value_name = "MANIFEST_ID")]
    manifest_id: Option<String>,
    /// The registry: its name, or its login server.
    #[arg(short, long, value_name = "NAME", value_parser = registry_or_server)]
    registry: Option<String>,
    /// The name of the artifact, REPOSITORY:TAG or REPOSITORY@DIGEST. Without either, the tag is latest.
    #[arg(short, long, value_name = "ARTIFACT")]
    name: Option<String>,
}

impl ManifestIn {
    /// The registry as it is written, the repository and the tag or digest.
    pub(super) fn read(&self) -> Result<(String, RepositoryName, Reference), Failure> {
        let (registry, name) = match (&self.manifest_id, &self.registry, &self.name) {
            (Some(full), None, None) => split(full, BAD_MANIFEST)?,
            (None, Some(registry), Some(name)) => (registry.clone(), name.as_str()),
            _ => return Err(Failure::new(NO_MANIFEST)),
        };
        match image(name)? {
            Thing { repository, reference: Some(reference) } => Ok((registry, repository, reference)),
            Thing { .. } => Err(Failure::new(BAD_MANIFEST)),
        }
    }
}

/// The login server and what follows it.
fn split<'a>(full: &'a str, otherwise: &str) -> Result<(String, &'a str), Failure> {
    let bare = full.strip_prefix("https://").unwrap_or(full);
    let (server, rest) = bare
        .split_once('/')
        .filter(|(server, rest)| is_login_server(server) && !rest.is_empty())
        .ok_or_else(|| Failure::new(otherwise))?;
    Ok((registry_or_server(server).map_err(Failure::usage)?, rest))
}

pub(super) fn repository(written: &str) -> Result<RepositoryName, Failure> {
    RepositoryName::parse(written).map_err(|error| Failure::usage(format!("{written:?} is no repository: {error}")))
}

/// An image by its tag, `latest` without one, or by its digest.
pub(super) fn image(written: &str) -> Result<Thing, Failure> {
    let reference = |text: &str| Reference::parse(text).map_err(|error| Failure::usage(format!("{text:?}: {error}")));
    let (name, reference) = match (written.split_once('@'), written.split_once(':')) {
        (Some((name, digest)), _) if !name.contains(':') => {
            let digest = Digest::parse(digest).map_err(|error| Failure::usage(format!("{digest:?}: {error}")))?;
            (name, Reference::Digest(digest))
        }
        (None, Some((name, tag))) if !tag.contains(':') => (name, reference(tag)?),
        (None, None) => (written, reference("latest")?),
        _ => return Err(Failure::new(WITH_BOTH)),
    };
    Ok(Thing { repository: repository(name)?, reference: Some(reference) })
}

/// An image that can be meant by a tag only.
pub(super) fn tagged(written: &str) -> Result<(RepositoryName, Tag), Failure> {
    match image(written) {
        Ok(Thing { repository, reference: Some(Reference::Tag(tag)) }) if !written.contains('@') => {
            Ok((repository, tag))
        }
        Err(failure) if !written.contains('@') => Err(failure),
        _ => Err(Failure::new(WITH_TAG)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "0a".repeat(32))
    }

    fn told(read: Result<Thing, Failure>) -> String {
        read.map_or_else(|failure| failure.to_string(), |thing| thing.path())
    }

    #[test]
    fn images_as_az_reads_them() {
        let digest = digest();
        let table = [
            ("samples/a:v1", "/acr/v1/samples/a/_tags/v1".to_owned()),
            ("samples/a", "/acr/v1/samples/a/_tags/latest".to_owned()),
            (&*format!("a@{digest}"), format!("/acr/v1/a/_manifests/{digest}")),
            (&*format!("a:v1@{digest}"), format!("ERROR: {WITH_BOTH}")),
            ("a:b:c", format!("ERROR: {WITH_BOTH}")),
        ];
        for (written, expected) in table {
            assert_eq!(told(image(written)), expected, "{written}");
        }
        // What would lead to another path is none.
        for wrong in ["", "a/", "../v2", "a?b", "a#b:c", "A", "a:", "a:b/c", "a:b?c", "a@sha256:0", "a@", "_catalog"] {
            assert!(image(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tag_is_wanted_where_only_a_tag_will_do() {
        let of = |written: &str| tagged(written).map_err(|failure| failure.to_string());
        assert_eq!(of("a:v1").unwrap().1.as_str(), "v1");
        assert_eq!(of("a").unwrap().1.as_str(), "latest");
        assert_eq!(of(&format!("a@{}", digest())), Err(format!("ERROR: {WITH_TAG}")));
    }

    #[test]
    fn an_image_or_a_repository_but_not_both() {
        let of = |repository: Option<&str>, image: Option<&str>| {
            let (repository, image) = (repository.map(str::to_owned), image.map(str::to_owned));
            told(ImageOrRepository { repository, image }.thing())
        };
        assert_eq!(of(Some("a/b"), None), "/acr/v1/a/b");
        assert_eq!(of(None, Some("a/b:c")), "/acr/v1/a/b/_tags/c");
        assert_eq!(of(None, None), format!("ERROR: {EITHER}"));
        assert_eq!(of(Some("a"), Some("a:b")), format!("ERROR: {EITHER}"));
    }

    #[test]
    fn a_name_with_its_registry_stands_alone() {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let repository = |full, registry, name| {
            let named = RepositoryIn { repo_id: owned(full), registry: owned(registry), name: owned(name) };
            named.read().map(|(registry, name)| format!("{registry} {name}")).map_err(|failure| failure.to_string())
        };
        let error = |text: &str| Err(format!("ERROR: {text}"));
        assert_eq!(repository(Some("r.example.com/a/b"), None, None).unwrap(), "r.example.com a/b");
        assert_eq!(repository(Some("https://R.example.com:8443/a"), None, None).unwrap(), "r.example.com:8443 a");
        assert_eq!(repository(None, Some("myregistry"), Some("a")).unwrap(), "myregistry a");
        assert_eq!(repository(Some("r.example.com/a:b"), None, None), error(REPOSITORY_WITH_TAG));
        assert_eq!(repository(Some("myregistry/a"), None, None), error(BAD_REPOSITORY));
        assert_eq!(repository(Some("r.example.com/"), None, None), error(BAD_REPOSITORY));
        assert_eq!(repository(None, Some("myregistry"), Some("a:b")), error(NAME_WITH_TAG));
        assert_eq!(repository(None, Some("myregistry"), None), error(NO_REPOSITORY));
        assert_eq!(repository(Some("r.example.com/a"), Some("myregistry"), None), error(NO_REPOSITORY));
        let manifest = |full, registry, name| {
            let named = ManifestIn { manifest_id: owned(full), registry: owned(registry), name: owned(name) };
            let read = named.read().map(|(registry, name, reference)| format!("{registry} {name} {reference}"));
            read.map_err(|failure| failure.to_string())
        };
        assert_eq!(manifest(Some("127.0.0.1:5000/a/b:c"), None, None).unwrap(), "127.0.0.1:5000 a/b c");
        assert_eq!(manifest(Some("r.example.com/a"), None, None).unwrap(), "r.example.com a latest");
        assert_eq!(manifest(None, Some("myregistry"), Some("a:b")).unwrap(), "myregistry a b");
        assert_eq!(manifest(Some("a:b"), None, None), error(BAD_MANIFEST));
        assert_eq!(manifest(None, None, Some("a:b")), error(NO_MANIFEST));
    }
}
