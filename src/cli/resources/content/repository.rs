//! `seawall repository list|show|show-tags|show-manifests|update|untag|delete`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::access::{Access, Content};
use super::attributes::Attributes;
use super::name::{ImageOrRepository, repository, tagged};
use super::{DELETE, LOOK_AND_DELETE, READ, Range, delete, manifests, number, path_of};
use crate::cli::format::Outcome;
use crate::cli::resources::arguments::{Common, Confirmation};
use crate::cli::resources::failure::Failure;
use crate::cli::resources::finish;
use crate::cli::resources::passes::registry_or_server;

/// Which of them.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Print the names of the repositories. Tokens may not, as in ACR.
    List(List),
    /// Print the attributes of a repository or image.
    Show(Show),
    /// Print the tags of a repository.
    ShowTags(ShowTags),
    /// Print the manifests of a repository with their tags; `manifest list-metadata` prints the same in full.
    ShowManifests(ShowManifests),
    /// Change the attributes of a repository or image: lock it, or unlock it.
    Update(Update),
    /// Remove a tag; its manifest stays.
    Untag(Untag),
    /// Delete a repository, or an image with all its tags.
    Delete(Delete),
}

/// Runs one.
pub(in crate::cli::resources) fn run(command: &Command) -> ExitCode {
    match command {
        Command::List(list) => finish(&list.common.global, list.run()),
        Command::Show(show) => finish(&show.common.global, show.run()),
        Command::ShowTags(show) => finish(&show.common.global, show.run()),
        Command::ShowManifests(show) => finish(&show.common.global, show.run()),
        Command::Update(update) => finish(&update.common.global, update.run()),
        Command::Untag(untag) => finish(&untag.common.global, untag.run()),
        Command::Delete(delete) => finish(&delete.common.global, delete.run()),
    }
}

/// The registry, and as whom it is asked.
#[derive(Debug, Args)]
struct Place {
    /// The registry: its name, or its login server.
    #[arg(short, long, value_name = "NAME", value_parser = registry_or_server, visible_short_alias = 'r', visible_alias = "registry")]
    name: String,
    #[command(flatten)]
    access: Access,
}

impl Place {
    async fn open(&self, common: &Common) -> Result<Content, Failure> {
        Content::open(&self.access, &self.name, common).await
    }
}

/// `list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    place: Place,
    /// Limit the number of items in the results.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    #[command(flatten)]
    common: Common,
}

impl List {
    async fn run(&self) -> Result<Outcome, Failure> {
        let content = self.place.open(&self.common).await?;
        Ok(Value::from(content.catalogue(number(self.top)).await?).into())
    }
}

/// `show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: ImageOrRepository,
    #[command(flatten)]
    common: Common,
}

impl Show {
    async fn run(&self) -> Result<Outcome, Failure> {
        let thing = self.of.thing()?;
        Ok(thing.metadata(&self.place.open(&self.common).await?, None).await?.into())
    }
}

/// `show-tags`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowTags {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    listed: Listed,
    #[command(flatten)]
    common: Common,
}

/// Of which repository something is listed, and how.
#[derive(Debug, Args)]
struct Listed {
    /// The name of the repository.
    #[arg(long, value_name = "REPOSITORY")]
    repository: String,
    #[command(flatten)]
    range: Range,
    /// Show detailed information.
    #[arg(long)]
    detail: bool,
}

impl ShowTags {
    async fn run(&self) -> Result<Outcome, Failure> {
        let repository = repository(&self.listed.repository)?;
        let content = self.place.open(&self.common).await?;
        let path = format!("{}/_tags", path_of(&repository));
        let tags = content.list(&path, (&repository, READ), self.listed.range.of("tags")).await?;
        if self.listed.detail {
            return Ok(Value::from(tags).into());
        }
        let names = tags.into_iter().map(|mut tag| tag.get_mut("name").map(Value::take).unwrap_or_default());
        Ok(names.collect::<Value>().into())
    }
}

/// `show-manifests`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowManifests {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    listed: Listed,
    #[command(flatten)]
    common: Common,
}

impl ShowManifests {
    async fn run(&self) -> Result<Outcome, Failure> {
        let repository = repository(&self.listed.repository)?;
        let content = self.place.open(&self.common).await?;
        let manifests = manifests(&content, &repository, &self.listed.range).await?;
        if self.listed.detail {
            return Ok(Value::from(manifests).into());
        }
        let short = |manifest: Value| {
            let of = |property: &str| manifest.get(property).cloned();
            json!({
                "digest": of("digest").unwrap_or_else(|| "".into()),
                "tags": of("tags").unwrap_or_else(|| json!([])),
                "timestamp": of("lastUpdateTime").unwrap_or_else(|| "".into()),
            })
        };
        Ok(manifests.into_iter().map(short).collect::<Value>().into())
    }
}

/// `update`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Update {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: ImageOrRepository,
    #[command(flatten)]
    attributes: Attributes,
    #[command(flatten)]
    common: Common,
}

impl Update {
    async fn run(&self) -> Result<Outcome, Failure> {
        let thing = self.of.thing()?;
        let content = self.place.open(&self.common).await?;
        Ok(thing.update(&content, &self.attributes).await?.into())
    }
}

/// `untag`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Untag {
    #[command(flatten)]
    place: Place,
    /// The name of the image, REPOSITORY:TAG. Without a tag, it is latest.
    #[arg(short = 't', long, value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    common: Common,
}

impl Untag {
    async fn run(&self) -> Result<Outcome, Failure> {
        let (repository, tag) = tagged(&self.image)?;
        let content = self.place.open(&self.common).await?;
        let path = format!("{}/_tags/{tag}", path_of(&repository));
        Ok(content.ask(Method::DELETE, &path, (&repository, DELETE), None).await?.into())
    }
}

/// `delete`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: ImageOrRepository,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    common: Common,
}

impl Delete {
    async fn run(&self) -> Result<Outcome, Failure> {
        let thing = self.of.thing()?;
        let content = self.place.open(&self.common).await?;
        let answer = match &thing.reference {
            None => delete::repository(&content, &thing.repository, self.confirmation.yes).await?,
            Some(reference) => {
                let yes = self.confirmation.yes;
                let digest = delete::chosen(&content, &thing.repository, reference, yes).await?;
                delete::manifest(&content, &thing.repository, &digest, LOOK_AND_DELETE).await?
            }
        };
        Ok(answer.into())
    }
}
