//! A registry as this client uses it: manifests and blobs, read and written (OCI distribution specification 1.1).
//!
//! The credential goes to the registry's own host and to its token service only. A blob may be served from elsewhere: it is
//! fetched from there without the credential.

mod body;
mod image;
mod metadata;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256, Sha512};
use thiserror::Error;

pub use self::body::Transfer;
pub use self::image::{ImageName, ImageNameError};
pub use self::metadata::{AskError, Order, Question, Refusal, Wanted};
use super::address::RegistryAddress;
use super::copy::manifest::{ACCEPTED, Descriptor, LARGEST};
use super::exchange::{Authorization, Credential, ExchangeError, access_token};
use super::http::{Answer, Http, HttpError, bounded, causes, is_loopback, place, quoted};
use crate::clock::Clock;
use crate::oci::{Digest, Reference, RepositoryName, Scope};

/// How often a download may be sent elsewhere.
const MOST_REDIRECTS: usize = 5;
/// How long before its end an access token is not used for something new.
const MARGIN: Duration = Duration::from_secs(20);
/// The largest body of an error that is read, in bytes.
const LARGEST_ERROR: usize = 64 * 1024;
/// How long an upload may be without progress. A registry takes its time after the last byte of a large layer.
const PATIENCE: Duration = Duration::from_mins(20);
/// How often an upload is looked at.
const LOOK: Duration = Duration::from_secs(30);
const DIGEST: &str = "docker-content-digest";
const CORRELATION: &str = "x-ms-correlation-request-id";
const DENIAL: &str = "x-seawall-denial";
const BYTES: &str = "application/octet-stream";

/// Why a registry did not do what it was asked to. No text holds a secret.
#[derive(Debug, Error)]
pub enum RegistryError {
    #[error(transparent)]
    Login(#[from] ExchangeError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{registry} answered {status} to {what}: {message}")]
    Refused { registry: String, what: String, status: u16, message: String, ids: Box<Ids> },
    /// What it sent is not what was asked for.
    #[error("{registry} sent something else than {what}: {cause}")]
    Wrong { registry: String, what: String, cause: String },
}

/// By which the registry's own logs and explanations know an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    pub correlation: Option<String>,
    /// By which `seawall explain` finds out why.
    pub denial: Option<String>,
}

impl Ids {
    fn of(headers: &HeaderMap) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(quoted);
        Self { correlation: header(CORRELATION), denial: header(DENIAL) }
    }
}

impl RegistryError {
    /// Whether there is no such thing.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether it is not allowed.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. } | Self::Login(ExchangeError::Refused { .. }))
    }
}

/// A manifest with the kind it was sent as.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub media_type: String,
    /// Of `bytes`.
    pub digest: Digest,
    pub bytes: Vec<u8>,
}

/// What a request to begin an upload led to.
#[derive(Debug)]
pub enum Begun {
    /// The blob was there already, in the other repository.
    Mounted,
    /// Where to send it.
    Upload(Url),
}

/// A registry, and who we are to it.
#[derive(Debug)]
pub struct Registry {
    http: Http,
    address: RegistryAddress,
    credential: Credential,
    clock: Arc<dyn Clock>,
    /// By scope, with the clock's ticks at which to stop using it.
    known: Mutex<HashMap<String, (Authorization, Option<Duration>)>>,
}

impl Registry {
    /// Asks nothing yet.
    pub fn new(http: Http, address: RegistryAddress, credential: Credential, clock: Arc<dyn Clock>) -> Self {
        Self { http, address, credential, clock, known: Mutex::default() }
    }

    /// Where it is.
    pub const fn address(&self) -> &RegistryAddress {
        &self.address
    }

    /// Whether the credential is good for anything there.
    pub async fn log_in(&self) -> Result<(), RegistryError> {
        self.authorization(&[], false).await.map(drop)
    }

    /// The manifest, whose bytes are those of its digest.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Manifest, RegistryError> {
        let (url, what) = self.manifest_url(repository, reference);
        let get = || Ok(self.http.transfer(Method::GET, url.clone())?.header(ACCEPT, ACCEPTED));
        let mut answer = self.send(&pull(repository), get).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused(&what, answer).await);
        }
        let said = header(&answer, DIGEST);
        let media_type = header(&answer, "content-type").unwrap_or_default();
        let wrong = |cause: &str| self.wrong(&what, cause);
        let bytes = bounded(&mut answer, LARGEST).await.map_err(|error| self.unreachable(&error))?;
        let bytes = bytes.ok_or_else(|| wrong("it is larger than 4 MiB"))?;
        let wanted = match (reference, said) {
            (Reference::Digest(digest), _) => Some(digest.clone()),
            (Reference::Tag(_), Some(said)) => Some(Digest::parse(&said).map_err(|error| wrong(&error.to_string()))?),
            (Reference::Tag(_), None) => None,
        };
        let digest = digest_of(&bytes, wanted.as_ref());
        if wanted.is_some_and(|wanted| wanted != digest) {
            return Err(wrong("its bytes have another digest"));
        }
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        Ok(Manifest { media_type, digest, bytes })
    }

    /// What `reference` is the digest of, if there is such a manifest.
    pub async fn find_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Digest>, RegistryError> {
        let (url, what) = self.manifest_url(repository, reference);
        let head = || Ok(self.http.question(Method::HEAD, url.clone())?.header(ACCEPT, ACCEPTED));
        let answer = self.send(&pull(repository), head).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => match header(&answer, DIGEST).and_then(|digest| Digest::parse(&digest).ok()) {
                Some(digest) => Ok(Some(digest)),
                None => self.manifest(repository, reference).await.map(|manifest| Some(manifest.digest)),
            },
            _ => Err(self.refused(&what, answer).await),
        }
    }

    /// Puts the manifest under `reference`.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let (url, what) = self.manifest_url(repository, reference);
        let put = || {
            let request = self.http.question(Method::PUT, url.clone())?;
            Ok(request.header(CONTENT_TYPE, &manifest.media_type).body(manifest.bytes.clone()))
        };
        let answer = self.send(&push(repository), put).await?;
        if answer.status() != StatusCode::CREATED {
            return Err(self.refused(&format!("putting {what}"), answer).await);
        }
        match header(&answer, DIGEST).filter(|digest| digest != manifest.digest.as_str()) {
            Some(other) => Err(self.wrong(&what, &format!("it keeps the manifest as {}", quoted(&other)))),
            None => Ok(()),
        }
    }

    /// Whether the repository has the blob.
    pub async fn has_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, RegistryError> {
        let url = self.address.url(&format!("/v2/{repository}/blobs/{digest}"));
        let answer = self.send(&push(repository), || Ok(self.http.question(Method::HEAD, url.clone())?)).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            // Where it is served from does not matter.
            status if status == StatusCode::OK || status.is_redirection() => Ok(true),
            _ => Err(self.refused(&format!("blob {digest}"), answer).await),
        }
    }

    /// The blob, from wherever the registry serves it.
    pub async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Response, RegistryError> {
        let what = format!("blob {digest}");
        let url = self.address.url(&format!("/v2/{repository}/blobs/{digest}"));
        let get = || Ok(self.http.transfer(Method::GET, url.clone())?);
        let mut answer = self.send(&pull(repository), get).await?;
        for _ in 0..MOST_REDIRECTS {
            if !answer.status().is_redirection() {
                break;
            }
            let next = self.elsewhere(&answer, &what)?;
            let request = self.http.transfer(Method::GET, next)?;
            answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        }
        if answer.status() == StatusCode::OK { Ok(answer) } else { Err(self.refused(&what, answer).await) }
    }

    /// Where a redirect leads: to https, and to this machine only from there.
    fn elsewhere(&self, answer: &Response, what: &str) -> Result<Url, RegistryError> {
        let next = header(answer, LOCATION.as_str()).and_then(|location| answer.url().join(&location).ok());
        let next = next.ok_or_else(|| self.wrong(what, "a redirect that leads nowhere"))?;
        let near = is_loopback(&next);
        if near && !self.address.is_loopback() || !near && next.scheme() != "https" {
            return Err(self.wrong(what, &format!("a redirect to {}, which is not followed", place(&next))));
        }
        Ok(next)
    }

    /// Begins an upload, unless the blob can be had from the repository `from` of the same registry.
    pub async fn begin(
        &self,
        repository: &RepositoryName,
        from: Option<(&RepositoryName, &Digest)>,
    ) -> Result<Begun, RegistryError> {
        let mut url = self.address.url(&format!("/v2/{repository}/blobs/uploads/"));
        let mut scopes = push(repository);
        if let Some((from, digest)) = from {
            url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from.as_str());
            scopes.extend(pull(from));
        }
        let post = || Ok(self.http.question(Method::POST, url.clone())?.header(CONTENT_LENGTH, 0));
        let answer = self.send(&scopes, post).await?;
        match answer.status() {
            StatusCode::CREATED if from.is_some() => Ok(Begun::Mounted),
            StatusCode::ACCEPTED => {
                let place = header(&answer, LOCATION.as_str()).and_then(|location| url.join(&location).ok());
                let place = place.filter(|place| self.address.is_origin_of(place));
                place.map(Begun::Upload).ok_or_else(|| self.wrong("the place of an upload", "it is at another host"))
            }
            _ => Err(self.refused(&format!("an upload to {repository}"), answer).await),
        }
    }

    /// Sends a blob to where [`Self::begin`] said. The bytes of `source` are passed on as they come; the upload is not
    /// completed when they are others than those of the digest.
    pub async fn upload(
        &self,
        repository: &RepositoryName,
        mut place: Url,
        blob: &Descriptor,
        source: Response,
        transfer: &Arc<Transfer>,
    ) -> Result<(), RegistryError> {
        let what = format!("blob {}", blob.digest);
        place.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        let authorization = self.authorization(&push(repository), false).await?;
        let body = body::checked(source, blob, Arc::clone(transfer));
        let request = self.http.upload(Method::PUT, place)?.header(CONTENT_TYPE, BYTES).body(body);
        let sent = tokio::select! {
            sent = authorized(request, &authorization).send() => sent,
            () = self.stalled(transfer) => {
                return Err(self.wrong(&what, "nothing: the upload made no progress for 20 minutes"));
            }
        };
        if let Some(cause) = transfer.broken() {
            let registry = "the source registry".to_owned();
            return Err(RegistryError::Wrong { registry, what, cause: cause.to_owned() });
        }
        let answer = sent.map_err(|error| self.unreachable(&error))?;
        if answer.status() == StatusCode::CREATED {
            return Ok(());
        }
        Err(self.refused(&format!("the upload of {what}"), answer).await)
    }

    /// Ends when nothing was sent for a long time.
    async fn stalled(&self, transfer: &Transfer) {
        let (mut sent, mut since) = (transfer.sent(), self.clock.ticks());
        while self.clock.ticks().saturating_sub(since) < PATIENCE {
            tokio::time::sleep(LOOK).await;
            if transfer.sent() != sent {
                (sent, since) = (transfer.sent(), self.clock.ticks());
            }
        }
    }

    /// Sends a request, and once more with a fresh access token when the first one was refused.
    async fn send(
        &self,
        scopes: &[Scope],
        request: impl Fn() -> Result<RequestBuilder, RegistryError>,
    ) -> Result<Response, RegistryError> {
        let authorization = self.authorization(scopes, false).await?;
        let answer = authorized(request()?, &authorization).send().await.map_err(|error| self.unreachable(&error))?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let authorization = self.authorization(scopes, true).await?;
        authorized(request()?, &authorization).send().await.map_err(|error| self.unreachable(&error))
    }

    async fn authorization(&self, scopes: &[Scope], renew: bool) -> Result<Authorization, RegistryError> {
        let key = scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((known, until)) = known.filter(|_| !renew)
            && until.is_none_or(|until| self.clock.ticks() < until)
        {
            return Ok(known);
        }
        let access = access_token(&self.http, &self.address, &self.credential, scopes).await?;
        let until = access.life.map(|life| self.clock.ticks().saturating_add(life.saturating_sub(MARGIN)));
        let entry = (access.authorization.clone(), until);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, entry);
        Ok(access.authorization)
    }

    fn manifest_url(&self, repository: &RepositoryName, reference: &Reference) -> (Url, String) {
        let separator = if matches!(reference, Reference::Digest(_)) { '@' } else { ':' };
        let url = self.address.url(&format!("/v2/{repository}/manifests/{reference}"));
        (url, format!("{repository}{separator}{reference}"))
    }

    fn unreachable(&self, error: &reqwest::Error) -> RegistryError {
        let place = error.url().map_or_else(|| self.address.to_string(), place);
        HttpError::Unreachable { place, cause: causes(error) }.into()
    }

    fn wrong(&self, what: &str, cause: &str) -> RegistryError {
        RegistryError::Wrong { registry: self.address.to_string(), what: what.to_owned(), cause: cause.to_owned() }
    }

    async fn refused(&self, what: &str, mut answer: Response) -> RegistryError {
        let body = bounded(&mut answer, LARGEST_ERROR).await.ok().flatten().unwrap_or_default();
        let answer = Answer { status: answer.status(), headers: answer.headers().clone(), body };
        let (registry, what, status) = (self.address.to_string(), what.to_owned(), answer.status.as_u16());
        let ids = Box::new(Ids::of(&answer.headers));
        RegistryError::Refused { registry, what, status, message: answer.message(), ids }
    }
}

fn authorized(request: RequestBuilder, authorization: &Authorization) -> RequestBuilder {
    match authorization.header() {
        Some(header) => request.header(AUTHORIZATION, header),
        None => request,
    }
}

fn header(answer: &Response, name: &str) -> Option<String> {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn pull(repository: &RepositoryName) -> Vec<Scope> {
    vec![Scope::new("repository", repository.as_str(), ["pull"])]
}

fn push(repository: &RepositoryName) -> Vec<Scope> {
    vec![Scope::new("repository", repository.as_str(), ["pull", "push"])]
}

/// The digest of `bytes`, by the algorithm of `like`; SHA-256 without.
fn digest_of(bytes: &[u8], like: Option<&Digest>) -> Digest {
    let mut hasher = Hasher::like(like);
    hasher.update(bytes);
    hasher.finish()
}

/// One of the two algorithms that digests have.
#[derive(Debug)]
enum Hasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    fn like(digest: Option<&Digest>) -> Self {
        match digest {
            Some(digest) if digest.as_str().starts_with("sha512:") => Self::Sha512(Box::default()),
            Some(_) | None => Self::Sha256(Sha256::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        let (algorithm, hash) = match self {
            Self::Sha256(hasher) => ("sha256", hasher.finalize().to_vec()),
            Self::Sha512(hasher) => ("sha512", hasher.finalize().to_vec()),
        };
        let text = hash.iter().fold(format!("{algorithm}:"), |text, byte| format!("{text}{byte:02x}"));
        // What was just made is one.
        Digest::parse(&text).unwrap_or_else(|_| Self::like(None).finish())
    }
}
