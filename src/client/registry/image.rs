//! What people call an image: `registry/repository:tag`, `registry/repository@sha256:…`.

use std::fmt;

use thiserror::Error;

use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// The registry that is meant when Docker's clients are given none.
const DOCKER_HUB: &str = "docker.io";
const OTHER_NAMES_OF_DOCKER_HUB: [&str; 2] = ["index.docker.io", "registry.hub.docker.com"];

/// A text is no name of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an image is REPOSITORY:TAG or REPOSITORY@sha256:DIGEST, perhaps behind the registry's host and a slash")]
pub struct ImageNameError;

/// The name of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The host, with its port, of the registry; `None` when the name has none.
    pub registry: Option<String>,
    pub repository: RepositoryName,
    pub tag: Option<Tag>,
    pub digest: Option<Digest>,
}

impl ImageName {
    /// Reads `text`. Its first part is a host when it has a dot or a colon, or is `localhost`.
    pub fn parse(text: &str) -> Result<Self, ImageNameError> {
        let (registry, rest) = match text.split_once('/') {
            Some((host, rest)) if is_host(host) => (Some(host.to_ascii_lowercase()), rest),
            _ => (None, text),
        };
        let is_docker_hub = |host: &String| OTHER_NAMES_OF_DOCKER_HUB.contains(&host.as_str());
        let registry = registry.map(|host| if is_docker_hub(&host) { DOCKER_HUB.to_owned() } else { host });
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest).map_err(|_| ImageNameError)?)),
            None => (rest, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(Tag::parse(tag).map_err(|_| ImageNameError)?)),
            None => (rest, None),
        };
        // Docker's own images may leave this out.
        let of_docker = registry.as_deref() == Some(DOCKER_HUB) && !repository.contains('/');
        let repository = if of_docker { format!("library/{repository}") } else { repository.to_owned() };
        let repository = RepositoryName::parse(&repository).map_err(|_| ImageNameError)?;
        Ok(Self { registry, repository, tag, digest })
    }

    /// What is asked for: the digest where there is one, else the tag, else `latest`.
    ///
    /// # Errors
    /// None, as `latest` is a tag.
    pub fn reference(&self) -> Result<Reference, ImageNameError> {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Ok(Reference::Digest(digest.clone())),
            (None, Some(tag)) => Ok(Reference::Tag(tag.clone())),
            (None, None) => Tag::parse("latest").map(Reference::Tag).map_err(|_| ImageNameError),
        }
    }
}

fn is_host(part: &str) -> bool {
    part.contains(['.', ':']) || part.eq_ignore_ascii_case("localhost")
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.iter().try_for_each(|registry| write!(f, "{registry}/"))?;
        write!(f, "{}", self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_people_write_them() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let by_digest = format!("localhost/a@{digest}");
        let table: [(&str, Option<&str>, &str, &str); 8] = [
            ("docker.io/library/node:15-alpine", Some("docker.io"), "library/node", "15-alpine"),
            ("docker.io/node", Some("docker.io"), "library/node", "latest"),
            ("index.docker.io/a/b:c", Some("docker.io"), "a/b", "c"),
            ("baseimages/node:15-alpine", None, "baseimages/node", "15-alpine"),
            ("hello-world", None, "hello-world", "latest"),
            ("127.0.0.1:5000/a/b:c", Some("127.0.0.1:5000"), "a/b", "c"),
            ("MyRegistry.example.com/a", Some("myregistry.example.com"), "a", "latest"),
            (&by_digest, Some("localhost"), "a", &digest),
        ];
        for (text, registry, repository, reference) in table {
            let name = ImageName::parse(text).unwrap();
            assert_eq!(name.registry.as_deref(), registry, "{text}");
            assert_eq!(
                (name.repository.as_str(), name.reference().unwrap().as_str()),
                (repository, reference),
                "{text}"
            );
        }
        for wrong in ["", "A/b", "a:", "a@sha256:0", "a b", "r.io/", "a:b:c", "a:b@c"] {
            assert_eq!(ImageName::parse(wrong), Err(ImageNameError), "{wrong}");
        }
    }
}
