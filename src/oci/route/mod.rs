//! The requests that the protocol knows, one variant for each endpoint of the OCI distribution spec.
//!
//! A [`Route`] holds parsed values only, and the upstream is sent what [`Route::canonical`] rebuilds from them. So
//! whatever else a client wrote, in whatever spelling, can neither reach the upstream nor be read differently there.

mod metadata;
mod parse;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use metadata::{MetadataRoute, OrderedPage, PageOrder};
pub use parse::parse;

use super::digest::Digest;
use super::name::RepositoryName;
use super::percent;
use super::reference::{Reference, Tag};

/// The methods of the protocol. No other one is forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// One page of a listing (OCI "Listing Tags").
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Page {
    /// How many items the client wants; what is over 10,000 became 10,000.
    pub n: Option<u32>,
    /// The last item of the page before; at most 512 bytes, without control characters.
    pub last: Option<String>,
}

/// A blob to take over from another repository; reading it there needs a right of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mount {
    pub digest: Digest,
    pub from: RepositoryName,
}

/// The last path segment of an upload: `[A-Za-z0-9._=-]{1,255}`, and neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UploadSession(Arc<str>);

/// A request to the registry, the method already checked against it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Route {
    /// `GET`, `HEAD` `/v2/`
    Base,
    /// `GET` `/v2/_catalog`
    Catalog(Page),
    /// `GET` `/v2/NAME/tags/list`
    Tags { repository: RepositoryName, page: Page },
    /// `GET`, `HEAD`, `PUT`, `DELETE` `/v2/NAME/manifests/REFERENCE`
    Manifest {
        repository: RepositoryName,
        reference: Reference,
        /// `?tag=` of a `PUT` by digest, which some upstreams honour: these tags move too. Empty otherwise.
        tags: Vec<Tag>,
    },
    /// `GET`, `HEAD`, `DELETE` `/v2/NAME/blobs/DIGEST`
    Blob { repository: RepositoryName, digest: Digest },
    /// `POST` `/v2/NAME/blobs/uploads/`
    UploadStart {
        repository: RepositoryName,
        /// `?mount=` with `?from=`; one without the other starts a plain upload.
        mount: Option<Mount>,
        /// `?digest=`: the whole blob is the body. Never together with a mount.
        digest: Option<Digest>,
        /// `?digest-algorithm=`: `sha256` or `sha512`.
        digest_algorithm: Option<String>,
    },
    /// `GET`, `PATCH`, `PUT`, `DELETE` `/v2/NAME/blobs/uploads/SESSION`
    Upload {
        repository: RepositoryName,
        session: UploadSession,
        /// `?_state=`, which Distribution hands out and wants back; at most 6 KiB.
        state: Option<String>,
        /// `?digest=`: always there with `PUT`, never otherwise.
        digest: Option<Digest>,
    },
    /// `GET` `/v2/NAME/referrers/DIGEST`
    Referrers {
        repository: RepositoryName,
        digest: Digest,
        /// `?artifactType=`; at most 255 bytes.
        artifact_type: Option<String>,
        page: Page,
    },
}

/// What a request is addressed to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// The registry behind us.
    Registry(Route),
    /// Our `/acr/v1/…`.
    Metadata(MetadataRoute),
    /// Our `GET`, `POST` `/oauth2/token`.
    Token,
    /// Our `POST` `/oauth2/exchange`.
    Exchange,
    /// Our `GET`, `HEAD` `/.well-known/jwks.json`.
    SigningKeys,
    /// Our `GET`, `HEAD` `/oauth2/sign-in`.
    SignIn,
}

/// A request line that is in the grammar.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Parsed {
    pub method: Method,
    pub endpoint: Endpoint,
    /// The raw query of an endpoint of ours, for [`super::query::pairs`]; always empty for a [`Route`] and a
    /// [`MetadataRoute`], which hold all that may be used of it.
    pub query: String,
}

impl Method {
    const ALL: [Self; 6] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method `text`; methods are case-sensitive (RFC 9110 §9.1).
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }

    /// The method as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl UploadSession {
    /// The session `text`; `None` when it is not in the grammar.
    pub fn parse(text: &str) -> Option<Self> {
        let is_session = (1..=255).contains(&text.len())
            && !matches!(text, "." | "..")
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'=' | b'-'));
        is_session.then(|| Self(text.into()))
    }

    /// The session as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Route {
    /// The repository in the path. A mount has a second one, in [`Mount::from`].
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Catalog(_) => None,
            Self::Tags { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Blob { repository, .. }
            | Self::UploadStart { repository, .. }
            | Self::Upload { repository, .. }
            | Self::Referrers { repository, .. } => Some(repository),
        }
    }

    /// The path and query for the upstream, made of parsed values only.
    ///
    /// Parsing it again, with the same method, yields the same route.
    pub fn canonical(&self) -> String {
        // Nearly all have room in it.
        let mut target = Target { text: String::with_capacity(192), separator: '?' };
        target.text.push_str("/v2/");
        match self {
            Self::Base => {}
            Self::Catalog(page) => {
                target.path(&["_catalog"]);
                target.page(page);
            }
            Self::Tags { repository, page } => {
                target.path(&[repository.as_str(), "/tags/list"]);
                target.page(page);
            }
            Self::Manifest { repository, reference, tags } => {
                target.path(&[repository.as_str(), "/manifests/", reference.as_str()]);
                for tag in tags {
                    target.parameter("tag", Some(tag.as_str()));
                }
            }
            Self::Blob { repository, digest } => {
                target.path(&[repository.as_str(), "/blobs/", digest.as_str()]);
            }
            Self::UploadStart { repository, mount, digest, digest_algorithm } => {
                target.path(&[repository.as_str(), "/blobs/uploads/"]);
                target.parameter("mount", mount.as_ref().map(|mount| mount.digest.as_str()));
                target.parameter("from", mount.as_ref().map(|mount| mount.from.as_str()));
                target.parameter("digest", digest.as_ref().map(Digest::as_str));
                target.parameter("digest-algorithm", digest_algorithm.as_deref());
            }
            Self::Upload { repository, session, state, digest } => {
                target.path(&[repository.as_str(), "/blobs/uploads/", session.as_str()]);
                target.parameter("_state", state.as_deref());
                target.parameter("digest", digest.as_ref().map(Digest::as_str));
            }
            Self::Referrers { repository, digest, artifact_type, page } => {
                target.path(&[repository.as_str(), "/referrers/", digest.as_str()]);
                target.parameter("artifactType", artifact_type.as_deref());
                target.page(page);
            }
        }
        target.text
    }
}

/// A path and query under construction.
struct Target {
    text: String,
    /// What the next parameter begins with.
    separator: char,
}

impl Target {
    /// Appends to the path. Every grammar is a subset of what a path may hold unescaped (RFC 3986 §3.3).
    fn path(&mut self, parts: &[&str]) {
        self.text.extend(parts.iter().copied());
    }

    fn parameter(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text.push(self.separator);
            self.separator = '&';
            self.text.push_str(key);
            self.text.push('=');
            percent::encode(&mut self.text, value);
        }
    }

    fn page(&mut self, page: &Page) {
        self.parameter("n", page.n.map(|n| n.to_string()).as_deref());
        self.parameter("last", page.last.as_deref());
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for UploadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UploadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
