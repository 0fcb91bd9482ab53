//! Requests that seawall itself makes to the registries behind it, as opposed to those that it passes on.
//!
//! They are routes like any other, with the credential that proxied requests get, over connections of their own. Answers are
//! bounded in size and in time, and no redirect is followed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use moka::sync::Cache;
use reqwest::{Client, Url};
use thiserror::Error;
use tokio::task::spawn_blocking;

use super::client::{self, bounded, cause};
use super::{Credentials, NoCredential, Presented};
use crate::oci::{Digest, Method, RepositoryName, Route};
use crate::policy::Registry;
use crate::policy::address::UpstreamTarget;

/// Upstreams whose connections are kept, and for how long after the last call.
const UPSTREAMS: u64 = 1_000;
const KEPT_FOR: Duration = Duration::from_mins(10);
/// Connections to one upstream that wait for their next call.
const IDLE_CONNECTIONS: usize = 16;
/// The largest answer to an upload, in bytes: nothing of it is read.
const UPLOAD_ANSWER: usize = 64 * 1024;

/// Why there is no answer. The texts hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(String),
    #[error("there is no access token for the upstream: seawall's log says why")]
    NoToken,
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
    /// By where the upstream's settings are in memory: the entry holds them there.
    clients: Cache<usize, (Arc<UpstreamTarget>, Client)>,
}

/// A request as it is sent, but for the credential.
struct Outgoing {
    method: Method,
    url: Url,
    accept: Option<&'static str>,
    content: Option<(String, Bytes)>,
    limit: usize,
}

impl Calls {
    /// With the credentials that proxied requests have.
    pub fn new(credentials: Arc<Credentials>) -> Self {
        let clients = Cache::builder().max_capacity(UPSTREAMS).time_to_idle(KEPT_FOR).build();
        Self { credentials, clients }
    }

    /// Sends `call` to the upstream of `registry`; once more when its token was refused. To be called on one runtime only,
    /// which carries the connections. From connecting to the last byte of the answer it takes no longer than the upstream
    /// may be silent (`upstream.timeouts.read`).
    ///
    /// # Errors
    /// When there is no answer, or it is 401.
    pub async fn send(&self, registry: &Registry, call: Call<'_>) -> Result<Answer, CallError> {
        let Call { method, route, accept, content, limit } = call;
        let url = own_url(&registry.upstream, &route.canonical())?;
        self.authorized(registry, (method, route), Outgoing { method, url, accept, content, limit }).await
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
        let digest = Digest::sha256(&blob);
        let repository = repository.clone();
        let route = Route::UploadStart { repository, mount: None, digest: None, digest_algorithm: None };
        let start = Call { method: Method::Post, route: &route, accept: None, content: None, limit: UPLOAD_ANSWER };
        let started = self.send(registry, start).await?;
        let mut url = place(&registry.upstream, &route, &started)?;
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let content = Some(("application/octet-stream".to_owned(), blob));
        let put = Outgoing { method: Method::Put, url, accept: None, content, limit: UPLOAD_ANSWER };
        // The same right that the session was begun with.
        let stored = self.authorized(registry, (Method::Post, &route), put).await?;
        match stored.status {
            201 | 204 => Ok(digest),
            status => Err(CallError::Unusable(format!("status {status} to the end of an upload"))),
        }
    }

    /// Sends it with the credential for `wanted`, and once more when a token was refused that can be had anew.
    async fn authorized(
        &self,
        registry: &Registry,
        (method, route): (Method, &Route),
        outgoing: Outgoing,
    ) -> Result<Answer, CallError> {
        let client = self.client(&registry.upstream).await?;
        for again in [false, true] {
            let presented = self.credentials.present(registry, method, route).await.map_err(no_credential)?;
            let answer = once(&client, &registry.upstream, &outgoing, &presented).await?;
            if answer.status != 401 {
                return Ok(answer);
            }
            let challenges = answer.headers.get_all(header::WWW_AUTHENTICATE).iter().cloned().collect();
            self.credentials.refused(registry, &presented, challenges, again).await;
            if !presented.is_renewable() {
                break;
            }
        }
        self.credentials.tell_unauthorized(registry);
        Err(CallError::Unauthorized)
    }

    /// The client for `target`. Making one reads every certificate authority of the machine: not on a caller's thread.
    async fn client(&self, target: &Arc<UpstreamTarget>) -> Result<Client, CallError> {
        let key = Arc::as_ptr(target) as usize;
        if let Some((_, client)) = self.clients.get(&key) {
            return Ok(client);
        }
        let (clients, target) = (self.clients.clone(), Arc::clone(target));
        let work = move || clients.try_get_with(key, || Ok((Arc::clone(&target), made(&target)?)));
        let made = spawn_blocking(work).await.map_err(|_| CallError::Unusable("the process is ending".to_owned()))?;
        made.map(|(_, client)| client).map_err(|error: Arc<reqwest::Error>| CallError::Unreachable(cause(&error)))
    }
}

fn made(target: &UpstreamTarget) -> Result<Client, reqwest::Error> {
    client::builder(target, false)?
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(target.timeouts.idle)
        .timeout(target.timeouts.read)
        .user_agent("seawall")
        .build()
}

async fn once(
    client: &Client,
    target: &UpstreamTarget,
    outgoing: &Outgoing,
    presented: &Presented,
) -> Result<Answer, CallError> {
    let Outgoing { method, url, accept, content, limit } = outgoing;
    let mut request = client::request(client, target, http_method(*method), url.clone());
    if let Some(accept) = accept {
        request = request.header(header::ACCEPT, *accept);
    }
    if let Some(authorization) = presented.authorization() {
        request = request.header(header::AUTHORIZATION, authorization.clone());
    }
    request = match content {
        Some((media_type, bytes)) => request.header(header::CONTENT_TYPE, media_type).body(bytes.clone()),
        None if matches!(method, Method::Get | Method::Head) => request,
        None => request.header(header::CONTENT_LENGTH, "0"),
    };
    let failed = |error: reqwest::Error| {
        if error.is_timeout() { CallError::TimedOut } else { CallError::Unreachable(cause(&error)) }
    };
    let answer = request.send().await.map_err(failed)?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = bounded(answer, *limit).await.map_err(failed)?.ok_or(CallError::TooLarge(*limit))?;
    Ok(Answer { status, headers, body: body.into() })
}

fn own_url(target: &UpstreamTarget, path_and_query: &str) -> Result<Url, CallError> {
    Url::parse(&format!("{}{path_and_query}", target.origin())).map_err(|error| CallError::Unusable(error.to_string()))
}

/// Where the blob of an upload goes. The upstream is believed about the path only, as with proxied uploads: behind a load
/// balancer it may not know its own origin.
fn place(target: &UpstreamTarget, route: &Route, started: &Answer) -> Result<Url, CallError> {
    let unusable = |text: &str| CallError::Unusable(text.to_owned());
    if started.status != 202 {
        return Err(CallError::Unusable(format!("status {} to the beginning of an upload", started.status)));
    }
    let location = started.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let location = location.ok_or_else(|| unusable("an upload without a place to send it to"))?;
    let joined = own_url(target, &route.canonical())?.join(location).map_err(|_| unusable("a place that is no URL"))?;
    let query = joined.query().map(|query| format!("?{query}")).unwrap_or_default();
    own_url(target, &format!("{}{query}", joined.path()))
}

const fn http_method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

fn no_credential(failure: NoCredential) -> CallError {
    match failure {
        NoCredential::Unauthorized => CallError::Unauthorized,
        NoCredential::NoToken => CallError::NoToken,
        NoCredential::Busy => CallError::Unreachable("too many access tokens are being signed".to_owned()),
    }
}

#[cfg(test)]
mod tests;
