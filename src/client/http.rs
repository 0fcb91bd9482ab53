//! HTTP as every request of this room uses it: TLS but to this machine, no redirects, bounded in time and in size.

use std::error::Error as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, Url};
use serde_json::Value;
use thiserror::Error;

use crate::crypto;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a byte from the other side.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// For one question, from connecting to the last byte of its answer.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer to a question, in bytes.
const LIMIT: usize = 1024 * 1024;
/// The longest text of others in a message of ours, in characters.
const LONGEST_QUOTE: usize = 500;

/// Why a request was not sent, or has no usable answer. No text holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpError {
    #[error("the certificate file {path} cannot be used: {cause}", path = path.display())]
    Certificates { path: PathBuf, cause: String },
    #[error("{place} is not https: nothing is sent in clear text but to this machine")]
    ClearText { place: String },
    #[error("{place} cannot be reached: {cause}")]
    Unreachable { place: String, cause: String },
    #[error("the answer of {place} is larger than 1 MiB")]
    TooLarge { place: String },
}

/// A client for any number of servers.
#[derive(Debug, Clone)]
pub struct Http {
    /// For this machine, to which no proxy of the environment leads.
    near: Client,
    far: Client,
    /// The same two for uploads: until their last byte is sent there is nothing to read.
    uploads: [Client; 2],
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: reqwest::StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What an error says, as registries and as OAuth's endpoints write it, on one line; with its detail where that is in
    /// words.
    pub fn message(&self) -> String {
        let body = self.json();
        let text = |pointer: &&str| body.pointer(pointer).and_then(Value::as_str);
        let found = ["/errors/0/message", "/error_description", "/error"].iter().find_map(text);
        let found = found.unwrap_or("it does not say why");
        quoted(&match text(&"/errors/0/detail") {
            Some(detail) => format!("{found}: {detail}"),
            None => found.to_owned(),
        })
    }
}

/// The beginning of what others wrote, on one line.
pub fn quoted(text: &str) -> String {
    text.chars().filter(|one| !one.is_control()).take(LONGEST_QUOTE).collect()
}

impl Http {
    /// `authorities` is a PEM file of certificate authorities to trust besides the system's: a registry and the provider where
    /// its people sign in seldom have the same.
    ///
    /// # Errors
    /// [`HttpError::Certificates`] for that file.
    pub fn new(authorities: Option<&Path>) -> Result<Self, HttpError> {
        let client = |near: bool, reads: bool| {
            let builder = builder(None)?.connect_timeout(CONNECT_TIMEOUT);
            let builder = match authorities {
                Some(path) => builder.tls_certs_merge(certificates(path)?),
                None => builder,
            };
            let builder = if near { builder.no_proxy() } else { builder };
            let builder = if reads { builder.read_timeout(IDLE_TIMEOUT) } else { builder };
            let failed = |error| HttpError::Unreachable { place: "the network".to_owned(), cause: causes(&error) };
            builder.build().map_err(failed)
        };
        let uploads = [client(true, false)?, client(false, false)?];
        Ok(Self { near: client(true, true)?, far: client(false, true)?, uploads })
    }

    /// A request whose answer is small and comes soon.
    ///
    /// # Errors
    /// [`HttpError::ClearText`].
    pub fn question(&self, method: Method, url: Url) -> Result<RequestBuilder, HttpError> {
        Ok(self.transfer(method, url)?.timeout(QUESTION_TIMEOUT))
    }

    /// A request that may take as long as it makes progress.
    ///
    /// # Errors
    /// [`HttpError::ClearText`].
    pub fn transfer(&self, method: Method, url: Url) -> Result<RequestBuilder, HttpError> {
        Self::request(&self.near, &self.far, method, url)
    }

    /// A request whose answer is long in coming, without a byte before it; for `timeout` at most.
    ///
    /// # Errors
    /// [`HttpError::ClearText`].
    pub fn patient(&self, method: Method, url: Url, timeout: Duration) -> Result<RequestBuilder, HttpError> {
        Ok(self.upload(method, url)?.timeout(timeout))
    }

    /// A request with a large body. Whoever sends it watches its progress.
    ///
    /// # Errors
    /// [`HttpError::ClearText`].
    pub fn upload(&self, method: Method, url: Url) -> Result<RequestBuilder, HttpError> {
        let [near, far] = &self.uploads;
        Self::request(near, far, method, url)
    }

    fn request(near: &Client, far: &Client, method: Method, url: Url) -> Result<RequestBuilder, HttpError> {
        let is_near = is_loopback(&url);
        if url.scheme() != "https" && !is_near {
            return Err(HttpError::ClearText { place: place(&url) });
        }
        Ok(if is_near { near } else { far }.request(method, url))
    }
}

/// Sends a question and reads the whole answer.
///
/// # Errors
/// [`HttpError::Unreachable`] and [`HttpError::TooLarge`]; a status that says no is an answer.
pub async fn ask(question: RequestBuilder) -> Result<Answer, HttpError> {
    let unreachable = |error: &reqwest::Error| HttpError::Unreachable {
        place: error.url().map_or_else(|| "the server".to_owned(), place),
        cause: causes(error),
    };
    let mut answer = question.send().await.map_err(|error| unreachable(&error))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = bounded(&mut answer, LIMIT).await.map_err(|error| unreachable(&error))?;
    let body = body.ok_or_else(|| HttpError::TooLarge { place: place(answer.url()) })?;
    Ok(Answer { status, headers, body })
}

/// The body, unless it is larger than `limit` bytes.
pub(super) async fn bounded(answer: &mut Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// A URL without what may be a secret in it.
pub fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// Whether `url` leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A client that follows no redirect. It trusts the authorities in the PEM file `authorities` instead of the system's.
///
/// # Errors
/// [`HttpError::Certificates`] for that file.
pub fn builder(authorities: Option<&Path>) -> Result<ClientBuilder, HttpError> {
    crypto::install();
    let builder = Client::builder()
        .user_agent(concat!("seawall/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    Ok(match authorities {
        Some(path) => builder.tls_certs_only(certificates(path)?),
        None => builder,
    })
}

/// The certificates in a PEM file.
///
/// # Errors
/// [`HttpError::Certificates`], also when there is none in it.
pub fn certificates(path: &Path) -> Result<Vec<Certificate>, HttpError> {
    let unusable = |cause: String| HttpError::Certificates { path: path.into(), cause };
    let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(causes(&error)))?;
    if certificates.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// What is behind an error; its own text would repeat the URL.
pub fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut innermost = error.source();
    while let Some(next) = innermost.and_then(|cause| cause.source()) {
        innermost = Some(next);
    }
    innermost.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_goes_to_this_machine_only() {
        let http = Http::new(None).unwrap();
        let allowed = |url: &str| http.question(Method::GET, url.parse().unwrap()).is_ok();
        for url in ["https://r.example.com/v2/", "http://127.0.0.1:5000/", "http://[::1]/", "http://localhost:5000/"] {
            assert!(allowed(url), "{url}");
        }
        for url in ["http://r.example.com/v2/", "http://127.0.0.1.example.com/", "ftp://r.example.com/"] {
            assert!(!allowed(url), "{url}");
        }
    }

    #[test]
    fn a_message_is_one_line_of_what_others_wrote() {
        let said = |body: &str| {
            let (status, headers) = (reqwest::StatusCode::UNAUTHORIZED, reqwest::header::HeaderMap::new());
            Answer { status, headers, body: body.into() }.message()
        };
        assert_eq!(said(r#"{"errors":[{"code":"DENIED","message":"not\nyou"}]}"#), "notyou");
        assert_eq!(said(r#"{"errors":[{"message":"no","detail":"not now"}]}"#), "no: not now");
        assert_eq!(said(r#"{"errors":[{"message":"no","detail":[{"Action":"pull"}]}]}"#), "no");
        assert_eq!(said(r#"{"error":"invalid_grant","error_description":"too old"}"#), "too old");
        assert_eq!(said(r#"{"error":"invalid_grant"}"#), "invalid_grant");
        assert_eq!(said("<html>"), "it does not say why");
    }
}
