//! Where a provider's keys come from: its discovery document, a URL, or a file.
//!
//! A provider is trusted to say who somebody is, and with nothing else: no redirect is followed, neither a slow nor a
//! large answer is waited for, no proxy of the environment stands in between, and nothing comes in clear text over a network.
//! Every message is for operators.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::json;
use super::keys::KeySet;
use crate::crypto;
use crate::policy::identity::{IdentityProvider, ProviderKeys};

/// Each of the requests, from connecting to the last byte.
const LONGEST_QUOTE: usize = 200;
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer and of a file.
const MAX_BYTES: usize = 1024 * 1024;

/// The keys that `provider` publishes now.
///
/// # Errors
/// A sentence that says what is wrong with the provider.
pub(super) async fn fetch(provider: Arc<IdentityProvider>) -> Result<KeySet, String> {
    let text = match &provider.keys {
        ProviderKeys::File(path) => {
            let path = path.clone();
            off_thread(move || read_file(&path)).await?
        }
        ProviderKeys::Url(url) => {
            let url = allowed(url, true)?;
            get(&client(&provider).await?, url).await?
        }
        ProviderKeys::Discovery => {
            let client = client(&provider).await?;
            let url = endpoint_of(&client, &provider.issuer, "jwks_uri").await?;
            get(&client, url).await?
        }
    };
    KeySet::parse(&text)
}

/// What the discovery document of `issuer` says under `name` (OpenID Connect Discovery 1.0, section 4).
pub(super) async fn endpoint_of(client: &Client, issuer: &str, name: &str) -> Result<Url, String> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    let url = allowed(&format!("{base}/.well-known/openid-configuration"), true)?;
    let document = get(client, url).await?;
    let document = json::object(&document).ok_or("the discovery document is not a JSON object")?;
    let stated = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if stated != issuer {
        return Err(format!("the discovery document is of the issuer {:?}", shortened(stated)));
    }
    let endpoint = document.get(name).and_then(Value::as_str);
    let endpoint = endpoint.ok_or_else(|| format!("the discovery document has no `{name}`"))?;
    allowed(endpoint, issuer.starts_with("http:"))
}

/// What others wrote goes into logs and audit records: not more than a line of it.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

/// The URL, if it is https, or http to this machine where that is `plain_allowed`.
fn allowed(text: &str, plain_allowed: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{:?} is not a URL: {error}", shortened(text)))?;
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    match url.scheme() {
        "https" if bare => Ok(url),
        "http" if bare && plain_allowed && is_loopback(&url) => Ok(url),
        _ => Err(format!("{:?} is not an https URL without a user name", shortened(text))),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Made anew each time, which is rare: a renewed file of authorities counts at once, and no idle connection outlives the
/// runtime that opened it.
pub(super) async fn client(provider: &Arc<IdentityProvider>) -> Result<Client, String> {
    let provider = Arc::clone(provider);
    off_thread(move || {
        crypto::install();
        let builder = Client::builder()
            .user_agent(concat!("seawall/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(0);
        let builder = match &provider.ca {
            Some(path) => builder.tls_certs_only(certificates(path)?),
            None => builder,
        };
        builder.build().map_err(|error| cause(&error))
    })
    .await
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let certificates = Certificate::from_pem_bundle(&read_file(path)?).map_err(|error| cause(&error))?;
    if certificates.is_empty() {
        return Err(format!("there is no certificate in {}", path.display()));
    }
    Ok(certificates)
}

async fn get(client: &Client, url: Url) -> Result<Vec<u8>, String> {
    let request = client.get(url.clone()).header(http::header::ACCEPT, "application/json");
    let answer = sent(request, &url).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("{url}: it answered {}", answer.status()));
    }
    body(answer, &url).await
}

/// The head of the answer of `url` to `request`.
pub(super) async fn sent(request: RequestBuilder, url: &Url) -> Result<Response, String> {
    request.send().await.map_err(|error| format!("{url}: {}", cause(&error)))
}

/// The rest of an answer of `url`, as far as it is waited for.
pub(super) async fn body(mut answer: Response, url: &Url) -> Result<Vec<u8>, String> {
    let failed = |cause: String| format!("{url}: {cause}");
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(cause(&error)))? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(failed("its answer is larger than 1 MiB".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |cause: String| format!("{}: {cause}", path.display());
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    // Opening anything else, such as a pipe, may wait for ever.
    if !path.metadata().map_err(|error| failed(error.to_string()))?.is_file() {
        return Err(failed("it is not a file".to_owned()));
    }
    let mut text = Vec::new();
    let file = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut text));
    file.map_err(|error| failed(error.to_string()))?;
    if text.len() > MAX_BYTES { Err(failed("it is larger than 1 MiB".to_owned())) } else { Ok(text) }
}

async fn off_thread<T: Send + 'static>(job: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    spawn_blocking(job).await.map_err(|_| "the process is ending".to_owned())?
}

/// The innermost cause; the outermost says no more than the URL.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_fits_into_a_line() {
        for text in ["x".repeat(100_000), format!("http://example.com/{}", "x".repeat(100_000))] {
            let refused = allowed(&text, true).unwrap_err();
            assert!(refused.len() < 2 * LONGEST_QUOTE, "{} bytes", refused.len());
        }
    }
}
