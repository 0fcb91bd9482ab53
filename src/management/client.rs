//! The other end of the management API: what a command says to a server, and what it makes of the answer.
//!
//! It knows HTTP and ARM's conventions (errors, pages, entity tags), and nothing of the resources. The owner's credential
//! goes to the one server it was meant for: no redirect is followed, no link leaves that server, and nothing is sent in
//! clear text over a network.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::header::{AUTHORIZATION, ETAG, HeaderValue, IF_MATCH};
use http::{Method, StatusCode};
use reqwest::{ClientBuilder, Url};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::client::http::{HttpError, builder, certificates};
pub use crate::client::http::{causes, is_loopback};
use crate::secret::Secret;

/// Of `Microsoft.ContainerRegistry`, whose shapes are spoken.
const API_VERSION: &str = "2025-11-01";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A write is answered when it is in force, for which the server waits 10 s at most.
const TIMEOUT: Duration = Duration::from_mins(1);
/// More pages than the largest registry has: a server that always names another one is not followed for ever.
const MOST_PAGES: usize = 10_000;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `https`, or `http` to this machine.
    Url(Url),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path.strip_prefix("//").unwrap_or(path));
            return if path.is_absolute() { Ok(Self::Unix(path.into())) } else { Err(expected(text)) };
        }
        let url = Url::parse(text).map_err(|_| expected(text))?;
        let bare = url.query().is_none() && url.fragment().is_none() && url.has_host();
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the credential does not belong in the URL: give it with SEAWALL_CREDENTIAL".to_owned());
        }
        match url.scheme() {
            "https" if bare => Ok(Self::Url(url)),
            "http" if bare && is_loopback(&url) => Ok(Self::Url(url)),
            "http" if bare => Err(format!("{text} would carry the credential in clear text: use https")),
            _ => Err(expected(text)),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn expected(text: &str) -> String {
    format!("{text:?} is not an endpoint: write a URL such as https://registry.example.com:8444, or unix:/path")
}

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    pub endpoint: Endpoint,
    /// The owner's; a Unix socket needs none.
    pub credential: Option<Secret>,
    /// A PEM file of the certificate authorities to trust; `None` trusts the system's.
    pub ca: Option<PathBuf>,
    /// A PEM file of the server's own certificate, which is trusted besides the system's authorities.
    pub certificate: Option<PathBuf>,
    /// Where the server is, whatever its name resolves to.
    pub address: Option<SocketAddr>,
}

impl Settings {
    /// An endpoint without anything else.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, credential: None, ca: None, certificate: None, address: None }
    }
}

/// One request. `path` begins with `/` and is encoded, as are the names in `query`.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub method: Method,
    pub path: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<&'a Value>,
    /// The write is refused (412) when the resource is at another revision than this entity tag says.
    pub if_match: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A request of `path` without anything else.
    pub const fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, query: &[], body: None, if_match: None }
    }
}

/// A successful answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    /// `Null` when there is none.
    pub body: Value,
    pub etag: Option<String>,
}

/// Why there is no successful answer.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error(transparent)]
    Unusable(#[from] HttpError),
    #[error("the credential is not one: it holds a control character")]
    Credential,
    #[error("cannot reach the management API at {endpoint}: {cause}")]
    Unreachable { endpoint: Endpoint, cause: String },
    /// The server answered with an error.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{endpoint} answered {status} with what is not the management API's JSON; is it one?")]
    NotUnderstood { endpoint: Endpoint, status: StatusCode },
}

/// An error as ARM says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: String,
    pub message: String,
    /// The property that is wrong, as a path.
    pub target: Option<String>,
    /// Further messages.
    pub details: Vec<String>,
}

impl Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.code, self.message)?;
        if let Some(target) = &self.target {
            write!(f, "\nTarget: {target}")?;
        }
        self.details.iter().try_for_each(|detail| write!(f, "\n{detail}"))
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    code: String,
    message: String,
    target: Option<String>,
    #[serde(default)]
    details: Vec<ErrorDetail>,
}

/// A connection to one server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    /// Without a final `/`.
    base: String,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// Opens nothing yet: the first request does.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        let mut builder = http_client(settings.ca.as_deref())?;
        if let (None, Some(own)) = (&settings.ca, &settings.certificate) {
            builder = builder.tls_certs_merge(certificates(own)?);
        }
        let base = match &settings.endpoint {
            Endpoint::Unix(path) => {
                builder = builder.unix_socket(path.as_path());
                "http://localhost".to_owned()
            }
            Endpoint::Url(url) => {
                if let (Some(address), Some(name)) = (settings.address, url.host_str()) {
                    builder = builder.resolve(name, address).no_proxy();
                } else if is_loopback(url) {
                    builder = builder.no_proxy();
                }
                url.as_str().trim_end_matches('/').to_owned()
            }
        };
        let endpoint = settings.endpoint;
        let http = builder
            .build()
            .map_err(|error| ClientError::Unreachable { endpoint: endpoint.clone(), cause: causes(&error) })?;
        Ok(Self { http, endpoint, base, authorization: settings.credential.as_ref().map(bearer).transpose()? })
    }

    /// Whether a credential is sent.
    pub const fn has_credential(&self) -> bool {
        self.authorization.is_some()
    }

    /// Sends one request and waits for the answer.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, ClientError> {
        let mut url = format!("{}{}?api-version={API_VERSION}", self.base, request.path);
        for (name, value) in request.query {
            url.extend(["&", name, "=", &encoded(value)]);
        }
        let mut sent = self.http.request(request.method, url);
        if let Some(authorization) = &self.authorization {
            sent = sent.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(tag) = request.if_match {
            sent = sent.header(IF_MATCH, tag);
        }
        if let Some(body) = request.body {
            sent = sent.json(body);
        }
        let unreachable =
            |error: reqwest::Error| ClientError::Unreachable { endpoint: self.endpoint.clone(), cause: causes(&error) };
        let answer = sent.send().await.map_err(unreachable)?;
        let status = answer.status();
        let etag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let body = answer.bytes().await.map_err(unreachable)?;
        self.read(status, etag, &body)
    }

    /// All elements of the list at `path`, whose pages are joined.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, ClientError> {
        let mut all = Vec::new();
        let mut skip_token = None;
        for _ in 0..MOST_PAGES {
            let query: Vec<_> = skip_token.iter().map(|token: &String| ("$skipToken", token.as_str())).collect();
            let mut page = self.send(Request { query: &query, ..Request::new(Method::GET, path) }).await?.body;
            if let Some(Value::Array(elements)) = page.get_mut("value").map(Value::take) {
                all.extend(elements);
            }
            skip_token = page.get("nextLink").and_then(Value::as_str).and_then(next);
            if skip_token.is_none() {
                break;
            }
        }
        Ok(all)
    }

    fn read(&self, status: StatusCode, etag: Option<String>, body: &[u8]) -> Result<Answer, ClientError> {
        let foreign = || ClientError::NotUnderstood { endpoint: self.endpoint.clone(), status };
        if status.is_success() {
            let body =
                if body.is_empty() { Value::Null } else { serde_json::from_slice(body).map_err(|_| foreign())? };
            return Ok(Answer { status, body, etag });
        }
        let ErrorBody { error } = serde_json::from_slice(body).map_err(|_| foreign())?;
        let details = error.details.into_iter().map(|detail| format!("({}) {}", detail.code, detail.message));
        let (code, message, target) = (error.code, error.message, error.target);
        Err(Refusal { status, code, message, target, details: details.collect() }.into())
    }
}

/// A client that follows no redirect and does not wait for ever. It trusts the authorities in the PEM file `ca` instead of
/// the system's.
///
/// # Errors
/// [`HttpError::Certificates`] for that file.
pub fn http_client(ca: Option<&Path>) -> Result<ClientBuilder, HttpError> {
    Ok(builder(ca)?.connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT))
}

/// Where the next page begins. The rest of the link does not count: what its host is called depends on who asks, and the
/// credential goes to one server only.
fn next(link: &str) -> Option<String> {
    // The base is of no use but to let a link be without one.
    let link = Url::options().base_url(Url::parse("http://localhost").ok().as_ref()).parse(link).ok()?;
    link.query_pairs().find(|(name, _)| name.eq_ignore_ascii_case("$skipToken")).map(|(_, token)| token.into_owned())
}

/// A value in a query.
fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn bearer(credential: &Secret) -> Result<HeaderValue, ClientError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", credential.expose()));
    let mut value = value.map_err(|_| ClientError::Credential)?;
    value.set_sensitive(true);
    Ok(value)
}
