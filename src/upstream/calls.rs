//! Requests that seawall itself makes to the registries behind it, as opposed to those that it passes on.
//!
//! They are routes like any other, with the credential that proxied requests get, over connections of their own. Answers are
//! bounded in size and in time, and no redirect is followed.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use thiserror::Error;

use super::Credentials;
use crate::oci::{Digest, Method, RepositoryName, Route};
use crate::policy::Registry;

/// Why there is no answer. The texts hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(String),
    #[error("the upstream did not answer in time")]
    TimedOut,
    /// No credential, or one that the upstream does not accept.
    #[error("the upstream does not accept seawall's credential (`upstream.credential`)")]
    Unauthorized,
    #[error("the answer of the upstream is larger than {0} bytes")]
    TooLarge(usize),
    /// Such as an upload without a place to send it to.
    #[error("the upstream answered with something that cannot be used: {0}")]
    Unusable(String),
}

/// A request of our own.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    pub method: Method,
    pub route: &'a Route,
    /// The kinds of manifests that are asked for.
    pub accept: Option<&'static str>,
    /// A manifest to send, with its media type.
    pub content: Option<(String, Bytes)>,
    /// The largest body of an answer, in bytes.
    pub limit: usize,
}

/// An answer that was read to its end; every status is one but 401.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Makes them. Clones share everything.
#[derive(Debug, Clone)]
pub struct Calls {
    credentials: Arc<Credentials>,
}

impl Calls {
    /// With the credentials that proxied requests have.
    pub const fn new(credentials: Arc<Credentials>) -> Self {
        Self { credentials }
    }

    /// Sends `call` to the upstream of `registry`; once more when its token was refused. To be called on one runtime only,
    /// which carries the connections.
    ///
    /// # Errors
    /// When there is no answer, or it is 401.
    pub async fn send(&self, registry: &Registry, call: Call<'_>) -> Result<Answer, CallError> {
        let _ = (&self.credentials, registry, call);
        Err(CallError::Unusable("not built".to_owned()))
    }

    /// Stores a small blob in the repository; returns its SHA-256 digest.
    ///
    /// # Errors
    /// Those of [`Calls::send`], and for a status that is no success.
    pub async fn upload(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        blob: Bytes,
    ) -> Result<Digest, CallError> {
        let _ = (registry, repository, blob);
        Err(CallError::Unusable("not built".to_owned()))
    }
}
