//! What becomes of an upstream's redirects to its storage: nothing, unless an operator has named the storage (decision 12).
//!
//! An upstream that redirects says where we, or a client, shall go next. It is believed about the path only: where to is one of
//! the origins that the operator listed, to the letter of scheme, host and port, or nowhere (threat class P, CVE-2026-2376).

use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

use super::address::{UpstreamTarget, UrlOrigin};
use super::network::{NetworkClass, SourceAddress};
use crate::secret::Secret;

/// Longer URLs are not read; those of storages have a signature of a few hundred bytes.
const MAX_LOCATION_BYTES: usize = 8 * 1024;

/// What is done with a redirect of the upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RedirectMode {
    /// The client gets 502: all bytes come from the upstream itself.
    #[default]
    Refuse,
    /// seawall fetches the blob from the storage, and the client gets it as if it came from the upstream.
    Follow,
    /// The client gets the URL, and with it the blob without seawall, for as long as the storage lets it.
    Pass,
}

/// The redirects that are not refused.
#[derive(Debug)]
pub struct Redirects {
    /// Not [`RedirectMode::Refuse`].
    pub(super) mode: RedirectMode,
    /// At least one.
    pub(super) storages: Box<[Arc<UpstreamTarget>]>,
    /// To whom URLs are passed; `None`: to everybody.
    pub(super) networks: Option<Box<[IpNet]>>,
}

/// A URL at a listed storage. Whoever knows it can fetch the blob.
#[derive(Debug, Clone)]
pub struct StorageUrl {
    pub storage: Arc<UpstreamTarget>,
    path_and_query: Secret,
}

/// Why a redirect is neither followed nor passed on. `Display` is the sentence that an operator reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RedirectRefusal {
    #[error("the upstream redirects to {0}, which `upstream.redirects.origins` does not list")]
    Unlisted(String),
    #[error("the upstream redirects to something that is not an absolute http:// or https:// URL without a user name")]
    Malformed,
    #[error("the upstream redirects something other than a download of a blob")]
    NotADownload,
    #[error(
        "the upstream redirects with status {0}, which says that it is for good: only 302, 303, 307 and 308 are followed"
    )]
    Status(u16),
    #[error("the storage redirects again and again")]
    TooMany,
    #[error("the client sent a body with a request for a download, which is redirected")]
    HasBody,
}

impl Redirects {
    /// The place that `location` leads to, if it is at a listed storage.
    ///
    /// # Errors
    /// [`RedirectRefusal::Unlisted`] and [`RedirectRefusal::Malformed`]: a relative location is malformed here, because the
    /// server that it would lead to is the one that has just said that it does not serve the blob.
    pub fn storage(&self, location: &str) -> Result<StorageUrl, RedirectRefusal> {
        let (origin, path_and_query) = parse(location).ok_or(RedirectRefusal::Malformed)?;
        let listed = self.storages.iter().find(|storage| storage.origin() == origin);
        let storage = listed.ok_or_else(|| RedirectRefusal::Unlisted(origin.to_string()))?;
        let path_and_query = Secret::new(if path_and_query.is_empty() { "/" } else { path_and_query });
        Ok(StorageUrl { storage: Arc::clone(storage), path_and_query })
    }

    /// Whether a client at this address, over this network, gets the URL; it gets the blob otherwise.
    ///
    /// What comes through a private endpoint has somebody's private address, about which `networks` says nothing.
    pub fn passes_to(&self, source: SourceAddress, network: &NetworkClass) -> bool {
        let address_counts = matches!(network, NetworkClass::Public | NetworkClass::VirtualNetwork(_));
        let within = |networks: &[IpNet]| address_counts && networks.iter().any(|one| one.contains(&source.ip()));
        self.mode == RedirectMode::Pass && self.networks.as_deref().is_none_or(within)
    }
}

impl StorageUrl {
    /// For the request line.
    pub fn path_and_query(&self) -> &str {
        self.path_and_query.expose()
    }

    /// For a `Location`: the origin as it is listed, the rest as the upstream wrote it, because it is signed.
    pub fn url(&self) -> String {
        format!("{}{}", self.storage.origin(), self.path_and_query())
    }
}

/// The origin of an absolute URL, and the rest of it. Nothing that two parsers could read differently is read at all.
fn parse(location: &str) -> Option<(UrlOrigin, &str)> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\' | b'"' | b'<' | b'>');
    if location.len() > MAX_LOCATION_BYTES || !location.bytes().all(plain) {
        return None;
    }
    let (scheme, rest) = location.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(end);
    let origin = UrlOrigin::parse(&format!("{scheme}://{authority}")).ok()?;
    (!path_and_query.starts_with('?')).then_some((origin, path_and_query))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirects(mode: RedirectMode, networks: Option<&[&str]>) -> Redirects {
        let storage = |url| Arc::new(UpstreamTarget::parse(url).unwrap());
        let networks = networks.map(|all| all.iter().map(|text| text.parse().unwrap()).collect());
        let storages = [storage("https://storage.example.com"), storage("http://10.0.0.1:9000")].into();
        Redirects { mode, storages, networks }
    }

    /// Threat class P; CVE-2026-2376: every way to lead somebody elsewhere that parsers have disagreed about.
    #[test]
    fn only_a_listed_origin_is_gone_to() {
        let all = redirects(RedirectMode::Follow, None);
        for (location, url) in [
            ("https://storage.example.com/b/ab?X-Sig=%2Fa+b", "https://storage.example.com/b/ab?X-Sig=%2Fa+b"),
            ("HTTPS://Storage.Example.com:443/b", "https://storage.example.com/b"),
            ("https://storage.example.com", "https://storage.example.com/"),
            ("http://10.0.0.1:9000//b/../c@d", "http://10.0.0.1:9000//b/../c@d"),
        ] {
            assert_eq!(all.storage(location).map(|found| found.url()), Ok(url.to_owned()), "{location}");
        }
        for (location, origin) in [
            ("https://evil.example.com/b", "https://evil.example.com"),
            ("https://storage.example.com.evil.com/b", "https://storage.example.com.evil.com"),
            ("https://sub.storage.example.com/b", "https://sub.storage.example.com"),
            ("http://storage.example.com/b", "http://storage.example.com"),
            ("https://storage.example.com:8443/b", "https://storage.example.com:8443"),
            ("https://10.0.0.1:9000/b", "https://10.0.0.1:9000"),
            ("http://10.0.0.1/b", "http://10.0.0.1"),
            ("http://169.254.169.254/latest", "http://169.254.169.254"),
            ("http://[::ffff:10.0.0.1]:9000/b", "http://[::ffff:10.0.0.1]:9000"),
        ] {
            let refused = RedirectRefusal::Unlisted(origin.to_owned());
            assert_eq!(all.storage(location).map(|found| found.url()), Err(refused), "{location}");
        }
        for location in [
            "",
            "/v2/team/app/blobs/sha256:ab",
            "b",
            "?b",
            "//storage.example.com/b",
            "https:storage.example.com/b",
            "https:/storage.example.com/b",
            "https:///b",
            "https://?b",
            "https://storage.example.com?b",
            "https://storage.example.com#@evil.example.com/",
            "https://user@storage.example.com/b",
            "https://storage.example.com:password@evil.example.com/b",
            "https://storage.example.com@evil.example.com/b",
            "https://storage.example.com\\@evil.example.com/b",
            "https://storage.example.com\\.evil.example.com/b",
            "https://storage.example.com/b c",
            "https://storage.example.com/b\r\nSet-Cookie: a",
            "https://storage.example.com%2eevil.com/b",
            "https://störage.example.com/b",
            "https://storage.example.com./b",
            "https://storage.example.com:99999/b",
            "ftp://storage.example.com/b",
            "file:///etc/passwd",
            "javascript://storage.example.com/b",
        ] {
            let found = all.storage(location).map(|found| found.url());
            assert_eq!(found, Err(RedirectRefusal::Malformed), "{location}");
        }
        assert!(all.storage(&format!("https://storage.example.com/{}", "a".repeat(8192))).is_err());
    }

    #[test]
    fn urls_are_passed_to_chosen_networks_only() {
        let public = |text: &str| (SourceAddress::new(text.parse().unwrap()), NetworkClass::Public);
        let endpoint = (SourceAddress::new("10.1.0.1".parse().unwrap()), NetworkClass::PrivateEndpoint("one".into()));
        let networks: &[&str] = &["10.1.0.0/16", "2001:db8::/32"];
        for (mode, networks, (source, network), expected) in [
            (RedirectMode::Follow, None, public("10.1.0.1"), false),
            (RedirectMode::Pass, None, public("203.0.113.1"), true),
            (RedirectMode::Pass, Some(networks), public("10.1.0.1"), true),
            (RedirectMode::Pass, Some(networks), public("::ffff:10.1.0.1"), true),
            (RedirectMode::Pass, Some(networks), public("2001:db8::1"), true),
            (RedirectMode::Pass, Some(networks), public("10.2.0.1"), false),
            (RedirectMode::Pass, Some(networks), endpoint, false),
        ] {
            assert_eq!(redirects(mode, networks).passes_to(source, &network), expected, "{mode:?} {source}");
        }
    }

    #[test]
    fn a_signed_url_is_not_shown() {
        let url = redirects(RedirectMode::Follow, None).storage("http://10.0.0.1:9000/b?sig=hidden").unwrap();
        assert!(!format!("{url:?}").contains("hidden"));
    }
}
