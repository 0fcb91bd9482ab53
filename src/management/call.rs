//! One request as its operation sees it, and the answer that the operation gives.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, HOST, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts as Head;
use http::uri::Authority;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::access::Caller;
use super::endpoints::Target;
use super::error::ApiError;
use super::models::Ids;
use super::spelling;
use super::{Connection, Parts};
use crate::clock::Timestamp;
use crate::oci::{percent, query};
use crate::policy::{PolicySnapshot, Registry};
use crate::store::{Kind, ObjectKey, Revision};

/// The most bytes that a body may have.
const MAX_BODY: usize = 1024 * 1024;

/// One request: authenticated, allowed, its path understood, its body read.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) parts: Arc<Parts>,
    pub(super) target: Target,
    pub(super) caller: Caller,
    pub(super) condition: Condition,
    pub(super) now: Timestamp,
    query: Vec<(String, String)>,
    body: Bytes,
    /// What links begin with: `https://host:port` and the path.
    here: String,
}

/// What the client says of the state in which it expects a resource (RFC 9110 13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    Exists,
    Absent,
    /// It was last changed by this revision; 0: never.
    At(Revision),
    /// An `ETag` that no resource has.
    Never,
}

/// What came of an operation.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    etag: Option<Revision>,
    /// The answer waits until the policy in force holds this revision.
    pub(super) written: Option<Revision>,
    /// The names of what was changed, for the audit log.
    pub(super) changes: Vec<String>,
}

impl Call {
    /// Reads the body and what else an operation looks at.
    ///
    /// # Errors
    /// When any of it cannot be understood, or the body is too large.
    pub(super) async fn read(
        parts: &Arc<Parts>,
        target: Target,
        caller: Caller,
        head: &Head,
        body: Body,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let query = query::pairs(head.uri.query().unwrap_or_default());
        let query = query.map_err(|error| ApiError::bad_request(error.to_string()))?;
        let condition = Condition::of(&head.headers);
        let here = here(parts, head);
        let parts = Arc::clone(parts);
        Ok(Self { parts, target, caller, condition, now, query, body: read_body(body).await?, here })
    }

    /// The policy in force.
    pub(super) fn snapshot(&self) -> Result<Arc<PolicySnapshot>, ApiError> {
        self.parts.current.load().ok_or_else(ApiError::starting)
    }

    /// The body as [`Self::json`] reads it; without one, the default.
    pub(super) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, ApiError> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// The registry that the path names.
    pub(super) fn registry(&self) -> Result<Arc<Registry>, ApiError> {
        let name = self.parameter("registryName");
        let snapshot = self.snapshot()?;
        let registry = snapshot.registry_named(name);
        registry.map(Arc::clone).ok_or_else(|| ApiError::not_found(&format!("registries/{name}")))
    }

    /// The ids of `registry` and of what belongs to it.
    pub(super) fn ids<'b>(&'b self, registry: &'b Registry) -> Ids<'b> {
        Ids { settings: &self.parts.settings, registry: &registry.name }
    }

    /// A parameter in the path.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.target.parameter(name)
    }

    /// A parameter in the query; the case of its name does not matter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body, as JSON.
    ///
    /// # Errors
    /// 400, with the path of the property that cannot be what it is.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let deserializer = &mut serde_json::Deserializer::from_slice(&self.body);
        let value = serde_path_to_error::deserialize(&mut *deserializer).map_err(|error| {
            let path = error.path().to_string();
            let message = error.into_inner().to_string();
            if path == "." {
                ApiError::bad_request(message)
            } else {
                ApiError::invalid(&path, format!("{path}: {message}"))
            }
        })?;
        deserializer.end().map_err(|error| ApiError::bad_request(error.to_string()))?;
        spelling::check(
            &serde_json::from_slice(&self.body).map_err(|error| ApiError::bad_request(error.to_string()))?,
        )?;
        Ok(value)
    }

    /// Where the page after the item `last` is.
    pub(super) fn next_link(&self, last: &str) -> String {
        let mut link = format!("{}?", self.here);
        let kept = self.query.iter().filter(|(key, _)| !key.eq_ignore_ascii_case("$skipToken"));
        for (key, value) in kept.map(|(key, value)| (key.as_str(), value.as_str())).chain([("$skipToken", last)]) {
            if !link.ends_with('?') {
                link.push('&');
            }
            percent::encode(&mut link, key);
            link.push('=');
            percent::encode(&mut link, value);
        }
        link
    }
}

impl Condition {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
        match (text(IF_MATCH), text(IF_NONE_MATCH)) {
            (None, None) => Self::None,
            (Some("*"), None) => Self::Exists,
            (None, Some("*")) => Self::Absent,
            (Some(etag), None) => {
                let revision = etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')?.parse().ok());
                revision.map_or(Self::Never, |revision| Self::At(Revision(revision)))
            }
            // Only `*` has a meaning for a write (RFC 9110 13.1.2); whatever else is asked for does not hold.
            (_, Some(_)) => Self::Never,
        }
    }

    /// Whether a resource that was last changed by `found` is in the expected state.
    ///
    /// # Errors
    /// 412 if not.
    pub(super) fn check(self, found: Option<Revision>) -> Result<(), ApiError> {
        let holds = match self {
            Self::None => true,
            Self::Exists => found.is_some(),
            Self::Absent => found.is_none(),
            Self::At(expected) => found.unwrap_or_default() == expected,
            Self::Never => false,
        };
        if holds { Ok(()) } else { Err(ApiError::precondition()) }
    }
}

impl Answer {
    /// An answer with a body.
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self { body: serde_json::to_vec(body)?, ..Self::empty(status) })
    }

    /// 200 with a body.
    pub(super) fn ok(body: &impl Serialize) -> Result<Self, ApiError> {
        Self::json(StatusCode::OK, body)
    }

    /// An answer without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, body: Vec::new(), etag: None, written: None, changes: Vec::new() }
    }

    /// The revision by which the resource was last changed, as its `ETag`.
    pub(super) fn at(self, revision: Option<Revision>) -> Self {
        Self { etag: revision, ..self }
    }

    /// The answer may be given when the policy in force holds `revision`.
    pub(super) fn written(self, revision: Option<Revision>) -> Self {
        Self { written: revision, ..self }
    }

    /// What was changed, for the audit log.
    pub(super) fn changed(self, changes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { changes: changes.into_iter().map(Into::into).collect(), ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json; charset=utf-8"));
        }
        if let Some(etag) = self.etag.and_then(|revision| format!("\"{}\"", revision.0).parse().ok()) {
            headers.insert(ETAG, etag);
        }
        response
    }
}

/// The path in the store of something that belongs to a registry.
pub(super) fn key(registry: &Registry, kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { registry: registry.name.to_string(), kind, name: name.to_owned() }
}

async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLarge", "a body has at most 1 MiB"));
    }
    let unreadable = |_| ApiError::bad_request("the body cannot be read, or has more than 1 MiB");
    to_bytes(body, MAX_BODY).await.map_err(unreadable)
}

/// Absolute, as ARM's links are. The host is the one that the client itself has asked for.
fn here(parts: &Parts, head: &Head) -> String {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let path = head.uri.path();
    let unix = matches!(head.extensions.get(), Some(Connection::Unix { .. }));
    let scheme = if parts.settings.tls && !unix { "https" } else { "http" };
    host.map_or_else(|| path.to_owned(), |host| format!("{scheme}://{host}{path}"))
}
