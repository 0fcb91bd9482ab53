//! Which contents of a registry are kept, how much of them and for how long (decision 38). The keeping itself is elsewhere.

mod document;

use std::path::PathBuf;
use std::time::Duration;

use super::address::UpstreamTarget;
use super::upstream_credential::UpstreamCredential;
use crate::secret::{HashKey, KeyedDigest};

pub use document::{ContentCacheDocument, ContentCacheMode, DiskCacheDocument};

pub(in crate::policy) use document::compile;

/// The largest blob that is kept in memory, in bytes: larger ones belong on a disk.
pub const LARGEST_IN_MEMORY: u64 = 64 * MIB;

const MIB: u64 = 1024 * 1024;

/// What is kept of one registry.
#[derive(Debug, Clone, PartialEq)]
pub struct ContentCache {
    /// All that is kept in memory, in bytes.
    pub memory: u64,
    /// Larger blobs are not kept in memory. In bytes.
    pub largest_blob: u64,
    /// What was read or confirmed longer ago is not given to anybody until the upstream has confirmed it.
    pub maximum_age: Duration,
    /// How long a tag is believed to lead where it led. Zero asks every time.
    pub tag_age: Duration,
    /// Where larger blobs are kept, if they are.
    pub disk: Option<DiskCache>,
    /// Of all of this, of the upstream and of what is presented to it: what was kept under another mark is of no use.
    pub mark: KeyedDigest,
}

/// Blobs on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskCache {
    pub directory: PathBuf,
    /// All that is kept there, in bytes.
    pub size: u64,
    /// In bytes.
    pub largest_blob: u64,
}

impl ContentCache {
    /// What is kept unless a file says otherwise.
    const USUAL: (u64, u64, Duration, Duration) = (64 * MIB, MIB, Duration::from_mins(1), Duration::ZERO);

    /// The same with the mark of a registry before `upstream`.
    pub(in crate::policy) fn marked(self, hash_key: &HashKey, upstream: &UpstreamTarget) -> Self {
        let numbers: Vec<u8> = [self.memory, self.largest_blob]
            .into_iter()
            .chain(self.disk.iter().flat_map(|disk| [disk.size, disk.largest_blob]))
            .flat_map(u64::to_be_bytes)
            .chain([self.maximum_age, self.tag_age].into_iter().flat_map(|age| age.as_nanos().to_be_bytes()))
            .collect();
        let directory = self.disk.as_ref().map(|disk| disk.directory.as_os_str().as_encoded_bytes());
        let (url, tls) = (upstream.origin().to_string(), upstream.tls.as_ref());
        let mut parts: Vec<&[u8]> = vec![&numbers, directory.unwrap_or_default(), url.as_bytes()];
        parts.push(tls.map_or(b"", |tls| tls.server_name.as_bytes()));
        let authorities = tls.and_then(|tls| tls.authorities.as_ref());
        parts.push(authorities.map_or(b"", |pem| pem.expose().as_bytes()));
        match &upstream.credential {
            UpstreamCredential::None => parts.push(b"none"),
            UpstreamCredential::Basic(account) => {
                parts.extend([b"basic", account.username.as_bytes(), account.password.expose().as_bytes()]);
            }
            UpstreamCredential::Token(service) => parts.extend([&b"token"[..], service.identity.as_bytes()]),
            UpstreamCredential::Minted(access) => parts.extend([&b"minted"[..], access.identity.as_bytes()]),
        }
        let mark = hash_key.digest("content cache", &parts);
        Self { mark, ..self }
    }
}
