//! The commands about what is in a registry, `repository` and `manifest`: the twins of `az acr repository` and `az acr
//! manifest`, with the same requests to the registry itself (requirements B.1-10).
//!
//! They need no management API: who may do what is the registry's to decide, by a user name with its password, or by whoever
//! is signed in.

mod access;
mod attributes;
mod delete;
pub(super) mod manifest;
mod name;
pub(super) mod repository;

use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::Value;

use self::access::Content;
use self::attributes::{Attributes, still_off};
use super::failure::Failure;
use crate::client::registry;
use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// The scopes that `az` asks for.
const READ: &[&str] = &["metadata_read"];
const CHANGE: &[&str] = &["metadata_write", "metadata_read"];
const PULL: &[&str] = &["pull"];
const DELETE: &[&str] = &["delete"];
const LOOK_AND_DELETE: &[&str] = &["delete", "metadata_read"];

/// How much of a listing, and in which order.
#[derive(Debug, Args)]
struct Range {
    /// Limit the number of items in the results.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// Order the items by the time of their last update. Default: by name.
    #[arg(long, value_enum, ignore_case = true)]
    orderby: Option<Order>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Order {
    TimeAsc,
    TimeDesc,
}

impl Range {
    /// The items of a listing that are below `key`.
    fn of<'a>(&self, key: &'a str) -> registry::Wanted<'a> {
        let order = self.orderby.map(|order| match order {
            Order::TimeAsc => registry::Order::OldestFirst,
            Order::TimeDesc => registry::Order::NewestFirst,
        });
        registry::Wanted::paged(key, number(self.top), order)
    }
}

fn number(top: Option<u32>) -> Option<usize> {
    top.map(|top| usize::try_from(top).unwrap_or(usize::MAX))
}

/// A repository, or one of its tags or manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Thing {
    repository: RepositoryName,
    /// `None`: the repository itself.
    reference: Option<Reference>,
}

impl Thing {
    /// Its metadata.
    fn path(&self) -> String {
        let repository = path_of(&self.repository);
        match &self.reference {
            None => repository,
            Some(Reference::Tag(tag)) => format!("{repository}/_tags/{tag}"),
            Some(Reference::Digest(digest)) => format!("{repository}/_manifests/{digest}"),
        }
    }

    /// Where it stands in the answers about it.
    const fn key(&self) -> Option<&'static str> {
        match self.reference {
            None => None,
            Some(Reference::Tag(_)) => Some("tag"),
            Some(Reference::Digest(_)) => Some("manifest"),
        }
    }

    /// Its metadata after a change. It is said when that did not do what was asked.
    async fn update(&self, content: &Content, attributes: &Attributes) -> Result<Value, Failure> {
        let change = attributes.change();
        let answer = self.metadata(content, change.as_ref()).await?;
        if let Some(off) = change.and_then(|change| still_off(&change, &answer)) {
            content.warn(&off);
        }
        Ok(answer)
    }

    /// Its metadata, after `change` where there is one.
    async fn metadata(&self, content: &Content, change: Option<&Value>) -> Result<Value, Failure> {
        let (method, scope) = match change {
            Some(_) => (Method::PATCH, CHANGE),
            None => (Method::GET, READ),
        };
        let answer = content.ask(method, &self.path(), (&self.repository, scope), change).await?;
        match self.key() {
            None => Ok(answer),
            Some(key) => answer.get(key).cloned().ok_or_else(|| Failure::new(format!("the answer has no {key}"))),
        }
    }
}

/// The metadata of a repository.
fn path_of(repository: &RepositoryName) -> String {
    format!("/acr/v1/{repository}")
}

/// What a tag is of now. `scope` holds `metadata_read`.
async fn digest_of(
    content: &Content,
    repository: &RepositoryName,
    tag: &Tag,
    scope: &[&str],
) -> Result<Digest, Failure> {
    let path = format!("{}/_tags/{tag}", path_of(repository));
    let answer = content.ask(Method::GET, &path, (repository, scope), None).await?;
    let digest = answer.pointer("/tag/digest").and_then(Value::as_str).and_then(|digest| Digest::parse(digest).ok());
    digest.ok_or_else(|| Failure::new(format!("Could not get the manifest digest for image '{repository}:{tag}'.")))
}

/// The properties of the manifests of a repository.
async fn manifests(content: &Content, repository: &RepositoryName, range: &Range) -> Result<Vec<Value>, Failure> {
    content.list(&format!("{}/_manifests", path_of(repository)), (repository, READ), range.of("manifests")).await
}
