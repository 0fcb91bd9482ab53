//! Where things are: a registry's login server, the URL its clients use, the upstream behind it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;

use super::redirects::Redirects;
use super::upstream_credential::UpstreamCredential;
use crate::secret::Secret;

/// The host, and the port unless it is the scheme's own, by which clients name a registry. Lower case.
///
/// It is also the audience and the `service` of every access token of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoginServer {
    text: Arc<str>,
    has_port: bool,
}

impl LoginServer {
    /// Reads `host`, `host:port`, `address:port` or `[address]:port`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let lower = text.to_ascii_lowercase();
        let authority = lower.parse::<http::uri::Authority>().map_err(|_| "not a host name with an optional port")?;
        if authority.as_str().contains('@') {
            return Err("a user name has no place in a login server");
        }
        if !is_host(authority.host()) {
            return Err("not a host name or an IP address");
        }
        // Clients leave out the port that is https' own, and what they write must be what challenges say.
        let authority = match authority.port_u16() {
            Some(443) => authority.host().parse().map_err(|_| "not a host name or an IP address")?,
            _ => authority,
        };
        let has_port = authority.as_str().len() != authority.host().len();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err("the port is not a number from 1 to 65535");
        }
        Ok(Self { text: authority.as_str().into(), has_port })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host without its port.
    pub fn host(&self) -> &str {
        if self.has_port { self.text.rsplit_once(':').map_or(&*self.text, |(host, _)| host) } else { &self.text }
    }

    /// Every Host header that means this registry: clients leave out a port that is their scheme's own.
    pub fn host_headers(&self) -> impl Iterator<Item = Box<str>> + '_ {
        let own = std::iter::once(self.text.as_ref().into());
        let default_ports: &[u16] = if self.has_port { &[] } else { &[443, 80] };
        own.chain(default_ports.iter().map(|port| format!("{}:{port}", self.text).into()))
    }
}

impl fmt::Display for LoginServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The scheme and authority of the URL that clients use, without a final slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl(Arc<str>);

impl ExternalUrl {
    /// Reads `https://host[:port]`. A path is refused: `/v2/` must be at the root of a host.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (tls, authority) = origin_of(text)?;
        Ok(Self(format!("{}://{authority}", if tls { "https" } else { "http" }).into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How to reach an upstream.
#[derive(Debug, Clone)]
pub struct UpstreamTarget {
    pub host: Arc<str>,
    pub port: u16,
    host_header: Arc<str>,
    pub tls: Option<UpstreamTls>,
    pub timeouts: Timeouts,
    pub credential: UpstreamCredential,
    /// `None`: its redirects are refused.
    pub redirects: Option<Arc<Redirects>>,
}

/// How an upstream's certificate is verified.
#[derive(Debug, Clone)]
pub struct UpstreamTls {
    pub server_name: Arc<str>,
    /// PEM; the system's authorities when absent.
    pub authorities: Option<Secret>,
}

/// How long a transfer may make no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub read: Duration,
    pub upload_answer: Duration,
    pub write: Duration,
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_mins(1),
            upload_answer: Duration::from_mins(15),
            write: Duration::from_mins(1),
            idle: Duration::from_secs(30),
        }
    }
}

fn host_header(host: &str, port: u16, tls: bool) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let default = if tls { 443 } else { 80 };
    if port == default { host } else { format!("{host}:{port}") }
}

impl UpstreamTarget {
    /// Reads `http://host[:port]` or `https://host[:port]`.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let (tls, authority) = origin_of(url)?;
        let host: Arc<str> = authority.host().trim_matches(['[', ']']).into();
        let tls = tls.then(|| UpstreamTls { server_name: Arc::clone(&host), authorities: None });
        let port = authority.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let (timeouts, credential) = (Timeouts::default(), UpstreamCredential::None);
        let host_header = host_header(&host, port, tls.is_some()).into();
        Ok(Self { host, port, host_header, tls, timeouts, credential, redirects: None })
    }

    /// The Host header to send: without a port that is the scheme's own.
    pub fn host_header(&self) -> &str {
        &self.host_header
    }

    /// Whether only processes on this machine reach the upstream without passing seawall.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Where credentials for this upstream may go.
    pub fn origin(&self) -> UrlOrigin {
        UrlOrigin::new(self.tls.is_some(), &self.host, self.port)
    }
}

/// Scheme, host and port: what two URLs have in common that lead to the same server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlOrigin {
    tls: bool,
    /// In lower case, an IPv6 address without its brackets.
    host: Box<str>,
    port: u16,
}

impl UrlOrigin {
    /// The origin of a URL with these parts.
    pub fn new(tls: bool, host: &str, port: u16) -> Self {
        Self { tls, host: host.trim_matches(['[', ']']).to_ascii_lowercase().into(), port }
    }

    /// Reads `http://host[:port]` or `https://host[:port]`.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        UpstreamTarget::parse(url).map(|target| target.origin())
    }

    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether nobody on the way can read what is sent there: it is TLS, or on this machine.
    pub fn is_private(&self) -> bool {
        self.tls || is_loopback(&self.host)
    }
}

impl fmt::Display for UrlOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port } = self;
        f.write_str(if *tls { "https://" } else { "http://" })?;
        if host.contains(':') {
            write!(f, "[{host}]")?;
        } else {
            f.write_str(host)?;
        }
        if *port == if *tls { 443 } else { 80 } { Ok(()) } else { write!(f, ":{port}") }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Checks the URL of an identity provider: https, or http to this machine only.
///
/// # Errors
/// A phrase that says what is wrong.
pub fn check_provider_url(url: &str, may_have_query: bool) -> Result<(), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "not a URL")?;
    let origin = match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        _ => return Err("the URL must begin with https://"),
    };
    let (tls, authority) = origin_of(&origin)?;
    let host = authority.host().trim_matches(['[', ']']);
    if !tls && !is_loopback(host) {
        return Err("the URL must begin with https://: whoever can change an answer on its way could be anybody");
    }
    // A fragment is never sent, and `Uri` drops it.
    if url.contains('#') || (uri.query().is_some() && !may_have_query) {
        return Err("a query or a fragment has no place in this URL");
    }
    Ok(())
}

/// Whether the URL is TLS, and its authority; nothing else may be in it.
fn origin_of(url: &str) -> Result<(bool, http::uri::Authority), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "not a URL")?;
    let parts = uri.into_parts();
    let tls = match parts.scheme {
        Some(scheme) if scheme == Scheme::HTTPS => true,
        Some(scheme) if scheme == Scheme::HTTP => false,
        _ => return Err("the URL must begin with http:// or https://"),
    };
    if parts.path_and_query.is_some_and(|path| path.as_str() != "/") {
        return Err("the URL has a path or a query: only the scheme, the host and the port belong here");
    }
    let authority = parts.authority.ok_or("the URL has no host")?;
    if authority.as_str().contains('@') {
        return Err("a user name or a password has no place in a URL");
    }
    if !is_host(authority.host()) {
        return Err("the URL's host is not a host name or an IP address");
    }
    // What is no port would be as if there were none.
    let has_port = authority.as_str().len() != authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("the port is not a number from 1 to 65535");
    }
    Ok((tls, authority))
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    !host.is_empty() && host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_server_is_a_host_with_an_optional_port() {
        for (text, host) in [
            ("registry.example.com", "registry.example.com"),
            ("Registry.Example.com:8443", "registry.example.com"),
            ("127.0.0.1:8480", "127.0.0.1"),
            ("[::1]:8480", "[::1]"),
        ] {
            let parsed = LoginServer::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.host()), (text.to_lowercase().as_str(), host));
        }
        for text in ["", "https://x", "a b", "x:0", "x:99999", "x:", "u@x", "x/y", "-x", "x..y", "[zz]:1"] {
            assert!(LoginServer::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_login_server_without_port_answers_to_both_default_ports() {
        let hosts = |text| LoginServer::parse(text).unwrap().host_headers().collect::<Vec<_>>();
        assert_eq!(hosts("r.test"), ["r.test".into(), "r.test:443".into(), "r.test:80".into()]);
        assert_eq!(hosts("r.test:443"), hosts("r.test"));
        assert_eq!(hosts("r.test:8443"), ["r.test:8443".into()]);
    }

    #[test]
    fn an_upstream_is_an_origin_and_nothing_more() {
        let target = UpstreamTarget::parse("https://registry.internal").unwrap();
        assert_eq!((&*target.host, target.port, target.tls.is_some()), ("registry.internal", 443, true));
        assert_eq!(UpstreamTarget::parse("http://127.0.0.1:5000/").unwrap().host_header(), "127.0.0.1:5000");
        assert_eq!(UpstreamTarget::parse("http://[::1]:5000").unwrap().host_header(), "[::1]:5000");
        for url in [
            "registry:5000",
            "ftp://x",
            "http://x/v2",
            "http://u:p@x",
            "http://x?y=1",
            "http://",
            "http://x:0",
            "http://x:99999",
            "http://x:",
        ] {
            assert!(UpstreamTarget::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_provider_is_asked_over_tls_or_on_this_machine() {
        for url in [
            "https://login.example.com",
            "https://login.example.com/tenant/v2.0",
            "https://login.example.com:8443/",
            "http://127.0.0.1:9000/dex",
            "http://[::1]:9000",
            "http://localhost",
        ] {
            assert_eq!(check_provider_url(url, false), Ok(()), "{url}");
        }
        for url in [
            "",
            "login.example.com",
            "http://login.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@login.example.com",
            "https://user@login.example.com",
            "ftp://127.0.0.1",
            "https://login.example.com?x=y",
            "https://login.example.com/#x",
            "https:///x",
            "https://-x",
        ] {
            assert!(check_provider_url(url, false).is_err(), "{url}");
        }
        assert_eq!(check_provider_url("https://login.example.com/keys?p=policy", true), Ok(()));
    }

    #[test]
    fn an_origin_is_the_same_however_it_is_written() {
        let origin = |url| UrlOrigin::parse(url).unwrap();
        assert_eq!(origin("https://Auth.Example.com"), origin("https://auth.example.com:443/"));
        assert_eq!(UrlOrigin::new(false, "[::1]", 5000), origin("http://[::1]:5000"));
        for other in ["http://auth.example.com:443", "https://auth.example.com:8443", "https://example.com"] {
            assert_ne!(origin("https://auth.example.com"), origin(other));
        }
        for url in ["https://auth.example.com", "http://[::1]:5000", "http://localhost", "https://[2001:db8::1]:8443"] {
            assert_eq!((origin(url).to_string().as_str(), origin(url).is_private()), (url, true));
        }
        assert!(!origin("http://auth.example.com").is_private());
        assert!(UrlOrigin::parse("https://auth.example.com/token").is_err());
    }

    #[test]
    fn an_external_url_keeps_scheme_and_authority_only() {
        assert_eq!(ExternalUrl::parse("https://r.example.com/").unwrap().as_str(), "https://r.example.com");
        assert!(ExternalUrl::parse("https://r.example.com/registry").is_err());
    }
}
