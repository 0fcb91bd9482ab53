//! How clients for upstreams are made: one place decides whom they trust and where they go.
//!
//! No redirect is followed, no proxy of the environment is used, and a certificate is verified under the name that the
//! configuration says.

use std::error::Error as _;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HOST;
use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, Url};

use crate::crypto;
use crate::policy::address::{UpstreamTarget, UrlOrigin};

/// The beginning of every client for `target`. `others`: whether it also goes to servers with TLS that are not `target`.
pub(super) fn builder(target: &UpstreamTarget, others: bool) -> Result<ClientBuilder, reqwest::Error> {
    crypto::install();
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .connect_timeout(target.timeouts.connect);
    if let Some(pem) = target.tls.as_ref().and_then(|tls| tls.authorities.as_ref()) {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.expose().as_bytes())?);
    }
    if target.tls.is_none() && !others {
        // A machine may have no authorities at all, and needs none then.
        builder = builder.tls_certs_only([]);
    }
    if let Some(name) = other_name(target) {
        builder = builder.dns_resolver(Arc::new(Renamed { name: name.into(), host: Arc::clone(&target.host) }));
    }
    Ok(builder)
}

/// A request. One for the upstream itself is made under the name in its certificate.
pub(super) fn request(http: &Client, target: &UpstreamTarget, method: Method, mut url: Url) -> RequestBuilder {
    url.set_fragment(None);
    let own = url
        .host_str()
        .zip(url.port_or_known_default())
        .is_some_and(|(host, port)| UrlOrigin::new(url.scheme() == "https", host, port) == target.origin());
    let renamed = other_name(target).filter(|_| own).is_some_and(|name| url.set_host(Some(name)).is_ok());
    let request = http.request(method, url);
    if renamed { request.header(HOST, target.host_header()) } else { request }
}

/// The name under which the upstream's certificate is verified, when it is not that of its URL. An address is not looked
/// up, so it cannot stand for another.
fn other_name(target: &UpstreamTarget) -> Option<&str> {
    let name = &target.tls.as_ref()?.server_name;
    let is_name = name.parse::<std::net::IpAddr>().is_err();
    (is_name && !name.eq_ignore_ascii_case(&target.host)).then_some(name)
}

/// Looks up `host` where `name` is asked for.
struct Renamed {
    name: Box<str>,
    host: Arc<str>,
}

impl Resolve for Renamed {
    fn resolve(&self, name: Name) -> Resolving {
        let own = name.as_str().eq_ignore_ascii_case(&self.name);
        let host = if own { Arc::clone(&self.host) } else { Arc::from(name.as_str()) };
        Box::pin(async move {
            let found = tokio::net::lookup_host((&*host, 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// What is behind an error; its own text would repeat the URL.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut innermost = error.source();
    while let Some(next) = innermost.and_then(|cause| cause.source()) {
        innermost = Some(next);
    }
    innermost.map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}

/// The body, unless it has more than `limit` bytes.
pub(super) async fn bounded(mut answer: Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}
