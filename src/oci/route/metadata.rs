//! ACR's metadata API, `/acr/v1/…` (wire contract 3), in the same grammar as everything else.
//!
//! Paths are read from the right-hand end. `_tags` and `_manifests` can stand in no repository's name, for no part of a name
//! begins with `_`; so what begins with one and is no endpoint here is none at all: `_deleted`, `_metadata`.

use super::super::digest::Digest;
use super::super::error::{ErrorCode, RouteError};
use super::super::name::RepositoryName;
use super::super::query::Query;
use super::super::reference::Tag;
use super::parse::{digest, page, readable_tag, repository};
use super::{Method, Page, Target};

/// The path of the API.
const BASE: &str = "/acr/v1/";

/// A request to the metadata API, the method already checked against it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MetadataRoute {
    /// `GET` `/acr/v1/_catalog`
    Catalog(OrderedPage),
    /// `GET`, `PATCH`, `DELETE` `/acr/v1/NAME`
    Repository(RepositoryName),
    /// `GET` `/acr/v1/NAME/_tags`
    Tags {
        repository: RepositoryName,
        page: OrderedPage,
        /// `?digest=`: only the tags of this manifest.
        digest: Option<Digest>,
    },
    /// `GET`, `PATCH`, `DELETE` `/acr/v1/NAME/_tags/TAG`
    Tag { repository: RepositoryName, tag: Tag },
    /// `GET` `/acr/v1/NAME/_manifests`
    Manifests { repository: RepositoryName, page: OrderedPage },
    /// `GET`, `PATCH` `/acr/v1/NAME/_manifests/DIGEST`
    Manifest { repository: RepositoryName, digest: Digest },
}

/// One page of a listing that has an order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct OrderedPage {
    pub page: Page,
    pub order: PageOrder,
}

/// `?orderby=`
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PageOrder {
    /// By name: `none`, or nothing.
    #[default]
    Name,
    /// `timeasc`
    OldestFirst,
    /// `timedesc`
    NewestFirst,
}

impl PageOrder {
    /// As it is written in a query; nothing for the order by name, as ACR writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "",
            Self::OldestFirst => "timeasc",
            Self::NewestFirst => "timedesc",
        }
    }

    fn parse(text: Option<&str>) -> Result<Self, RouteError> {
        match text {
            None | Some("none") => Ok(Self::Name),
            Some("timeasc") => Ok(Self::OldestFirst),
            Some("timedesc") => Ok(Self::NewestFirst),
            Some(_) => Err(RouteError::told(ErrorCode::Unsupported, "orderby must be timeasc, timedesc or none")),
        }
    }
}

impl MetadataRoute {
    /// The repository in the path.
    pub const fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Catalog(_) => None,
            Self::Repository(repository)
            | Self::Tags { repository, .. }
            | Self::Tag { repository, .. }
            | Self::Manifests { repository, .. }
            | Self::Manifest { repository, .. } => Some(repository),
        }
    }

    /// The path, made of parsed values only.
    pub fn path(&self) -> String {
        let parts: &[&str] = match self {
            Self::Catalog(_) => &["_catalog"],
            Self::Repository(repository) => &[repository.as_str()],
            Self::Tags { repository, .. } => &[repository.as_str(), "/_tags"],
            Self::Tag { repository, tag } => &[repository.as_str(), "/_tags/", tag.as_str()],
            Self::Manifests { repository, .. } => &[repository.as_str(), "/_manifests"],
            Self::Manifest { repository, digest } => &[repository.as_str(), "/_manifests/", digest.as_str()],
        };
        [BASE, &parts.concat()].concat()
    }

    /// The path and query. Parsing it again, with the same method, yields the same route.
    pub fn canonical(&self) -> String {
        let mut target = Target { text: self.path(), separator: '?' };
        let (page, digest) = match self {
            Self::Catalog(page) | Self::Manifests { page, .. } => (page, None),
            Self::Tags { page, digest, .. } => (page, digest.as_ref()),
            Self::Repository(_) | Self::Tag { .. } | Self::Manifest { .. } => return target.text,
        };
        target.page(&page.page);
        target.parameter("orderby", Some(page.order.as_str()).filter(|order| !order.is_empty()));
        target.parameter("digest", digest.map(Digest::as_str));
        target.text
    }
}

/// The endpoint that a decoded path belongs to, its fields still unread.
#[derive(Clone, Copy)]
pub(super) enum Shape<'a> {
    Catalog,
    Repository(&'a str),
    Tags(&'a str),
    Tag(&'a str, &'a str),
    Manifests(&'a str),
    Manifest(&'a str, &'a str),
}

impl<'a> Shape<'a> {
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(BASE)?;
        if rest == "_catalog" {
            return Some(Self::Catalog);
        }
        let shape = Self::read(rest);
        let names = shape.name().split('/').all(|part| !part.starts_with('_'));
        names.then_some(shape)
    }

    /// One of a repository's. A tag may have any name, that of an endpoint too.
    fn read(rest: &'a str) -> Self {
        let (head, last) = rest.rsplit_once('/').unwrap_or(("", rest));
        match (head.rsplit_once('/'), last) {
            (Some((name, "_tags")), _) => Self::Tag(name, last),
            (Some((name, "_manifests")), _) => Self::Manifest(name, last),
            (_, "_tags") if !head.is_empty() => Self::Tags(head),
            (_, "_manifests") if !head.is_empty() => Self::Manifests(head),
            _ => Self::Repository(rest),
        }
    }

    const fn name(&self) -> &'a str {
        match self {
            Self::Catalog => "",
            Self::Repository(name)
            | Self::Tags(name)
            | Self::Tag(name, _)
            | Self::Manifests(name)
            | Self::Manifest(name, _) => name,
        }
    }

    /// As an `Allow` header lists them.
    pub(super) const fn methods(self) -> &'static str {
        match self {
            Self::Catalog | Self::Tags(_) | Self::Manifests(_) => "GET",
            Self::Repository(_) | Self::Tag(..) => "GET, PATCH, DELETE",
            Self::Manifest(..) => "GET, PATCH",
        }
    }

    pub(super) fn route(self, method: Method, query: &Query) -> Result<MetadataRoute, RouteError> {
        Ok(match self {
            Self::Catalog => MetadataRoute::Catalog(ordered(query)?),
            Self::Repository(name) => MetadataRoute::Repository(repository(name)?),
            Self::Tags(name) => MetadataRoute::Tags {
                repository: repository(name)?,
                page: ordered(query)?,
                digest: query.one("digest").map(digest).transpose()?,
            },
            Self::Tag(name, text) => {
                MetadataRoute::Tag { repository: repository(name)?, tag: readable_tag(text, method)? }
            }
            Self::Manifests(name) => MetadataRoute::Manifests { repository: repository(name)?, page: ordered(query)? },
            Self::Manifest(name, text) => {
                MetadataRoute::Manifest { repository: repository(name)?, digest: digest(text)? }
            }
        })
    }
}

fn ordered(query: &Query) -> Result<OrderedPage, RouteError> {
    Ok(OrderedPage { page: page(query)?, order: PageOrder::parse(query.one("orderby"))? })
}
