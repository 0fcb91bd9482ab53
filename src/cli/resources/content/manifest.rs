//! `seawall manifest list|list-metadata|show|show-metadata|update-metadata|list-referrers|delete`.

use std::collections::HashSet;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::access::{Access, Content};
use super::attributes::Attributes;
use super::name::{ManifestIn, RepositoryIn};
use super::{DELETE, PULL, READ, Range, Thing, delete, digest_of, manifests};
use crate::cli::format::Outcome;
use crate::cli::output;
use crate::cli::resources::arguments::{Common, Confirmation};
use crate::cli::resources::failure::Failure;
use crate::cli::resources::{columns, finish};
use crate::client::registry::Wanted;
use crate::oci::{Digest, Reference, RepositoryName};

/// Which of them.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Print the manifests of a repository.
    List(List),
    /// Print the metadata of the manifests of a repository.
    ListMetadata(ListMetadata),
    /// Print a manifest.
    Show(Show),
    /// Print the metadata of a manifest or tag.
    ShowMetadata(ShowMetadata),
    /// Change the attributes of a manifest or tag: lock it, or unlock it.
    UpdateMetadata(UpdateMetadata),
    /// Print what refers to a manifest, such as signatures.
    ListReferrers(ListReferrers),
    /// Delete a manifest with all its tags.
    Delete(Delete),
}

/// Runs one.
pub(in crate::cli::resources) fn run(command: &Command) -> ExitCode {
    match command {
        Command::List(list) => finish(&list.common.global, list.run()),
        Command::ListMetadata(list) => finish(&list.common.global, list.run()),
        Command::Show(show) => finish(&show.common.global, show.run()),
        Command::ShowMetadata(show) => finish(&show.common.global, show.run()),
        Command::UpdateMetadata(update) => finish(&update.common.global, update.run()),
        Command::ListReferrers(list) => finish(&list.common.global, list.run()),
        Command::Delete(delete) => finish(&delete.common.global, delete.run()),
    }
}

/// `list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    of: RepositoryIn,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

impl List {
    async fn run(&self) -> Result<Outcome, Failure> {
        let (registry, repository) = self.of.read()?;
        let content = Content::open(&self.access, &registry, &self.common).await?;
        let mut all = Vec::new();
        for listed in manifests(&content, &repository, &self.range).await? {
            let digest = listed.get("digest").and_then(Value::as_str).and_then(|digest| Digest::parse(digest).ok());
            let digest = digest.ok_or_else(|| Failure::new("a manifest in the list has no digest"))?;
            all.push(body(&content, &repository, &Reference::Digest(digest)).await?);
        }
        Ok(Outcome::table(all.into(), columns::manifests))
    }
}

/// A manifest as JSON.
async fn body(content: &Content, repository: &RepositoryName, reference: &Reference) -> Result<Value, Failure> {
    let manifest = content.manifest(repository, reference).await?;
    serde_json::from_slice(&manifest.bytes).map_err(|_| Failure::new(format!("{} is not JSON", manifest.digest)))
}

/// `list-metadata`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListMetadata {
    #[command(flatten)]
    of: RepositoryIn,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

impl ListMetadata {
    async fn run(&self) -> Result<Outcome, Failure> {
        let (registry, repository) = self.of.read()?;
        let content = Content::open(&self.access, &registry, &self.common).await?;
        Ok(Value::from(manifests(&content, &repository, &self.range).await?).into())
    }
}

/// `show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    of: ManifestIn,
    /// Print the manifest byte by byte.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

impl Show {
    async fn run(&self) -> Result<Outcome, Failure> {
        let (registry, repository, reference) = self.of.read()?;
        let content = Content::open(&self.access, &registry, &self.common).await?;
        if self.raw {
            // Whoever makes the digest of it needs every byte as it is, and no line break.
            output::bytes(&content.manifest(&repository, &reference).await?.bytes);
            return Ok(Outcome::NOTHING);
        }
        Ok(body(&content, &repository, &reference).await?.into())
    }
}

/// `show-metadata`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowMetadata {
    #[command(flatten)]
    of: ManifestIn,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

impl ShowMetadata {
    async fn run(&self) -> Result<Outcome, Failure> {
        let (registry, repository, reference) = self.of.read()?;
        let content = Content::open(&self.access, &registry, &self.common).await?;
        Ok(Thing { repository, reference: Some(reference) }.metadata(&content, None).await?.into())
    }
}

/// `update-metadata`.
#[derive(Debug, Args)]
pub(in crate::cli) struct UpdateMetadata {
    #[command(flatten)]
    of: ManifestIn,
    #[command(flatten)]
    attributes: Attributes,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

impl UpdateMetadata {
    async fn run(&self) -> Result<Outcome, Failure> {
        let (registry, repository, reference) = self.of.read()?;
        let content = Content::open(&self.access, &registry, &self.common).await?;
        let thing = Thing { repository, reference: Some(reference) };
        Ok(thing.update(&content, &self.attributes).await?.into())
    }
}

/// `list-referrers`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListReferrers {
    #[command(flatten)]
    of: ManifestIn,
    /// Filter referrers based on artifact type.
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
    /// Recursively include referrer artifacts.
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

impl ListReferrers {
    async fn run(&self) -> Result<Outcome, Failure> {
        let (registry, repository, reference) = self.of.read()?;
        let content = Content::open(&self.access, &registry, &self.common).await?;
        let digest = known(&content, &repository, reference).await?;
        let mut found = referrers(&content, &repository, &digest, self.artifact_type.as_deref()).await?;
        if self.recursive {
            // Of what was found by the way, too; each is asked once, whatever a registry may say.
            let (mut asked, mut next) = (HashSet::from([digest]), 0);
            while let Some(one) = found.get(next) {
                next += 1;
                let digest = one.get("digest").and_then(Value::as_str).and_then(|digest| Digest::parse(digest).ok());
                if let Some(digest) = digest.filter(|digest| asked.insert(digest.clone())) {
                    found.extend(referrers(&content, &repository, &digest, None).await?);
                }
            }
        }
        Ok(Outcome::table(json!({ "manifests": found }), columns::referrers))
    }
}

async fn referrers(
    content: &Content,
    repository: &RepositoryName,
    subject: &Digest,
    artifact_type: Option<&str>,
) -> Result<Vec<Value>, Failure> {
    let all = Wanted::all("manifests");
    let wanted = artifact_type.map_or_else(|| all.clone(), |kind| all.clone().with("artifactType", kind));
    content.list(&format!("/v2/{repository}/referrers/{subject}"), (repository, PULL), wanted).await
}

/// The digest, which is looked up where a tag is given.
async fn known(content: &Content, repository: &RepositoryName, reference: Reference) -> Result<Digest, Failure> {
    match reference {
        Reference::Digest(digest) => Ok(digest),
        Reference::Tag(tag) => digest_of(content, repository, &tag, READ).await,
    }
}

/// `delete`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    of: ManifestIn,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    common: Common,
}

impl Delete {
    async fn run(&self) -> Result<Outcome, Failure> {
        let (registry, repository, reference) = self.of.read()?;
        let content = Content::open(&self.access, &registry, &self.common).await?;
        let digest = known(&content, &repository, reference).await?;
        // `az` says that what refers to it goes, too. Upstreams keep that.
        let question = format!("Are you sure you want to delete the artifact '{digest}' and all its tags?");
        delete::must_be_confirmed(&question, self.confirmation.yes)?;
        Ok(delete::manifest(&content, &repository, &digest, DELETE).await?.into())
    }
}
