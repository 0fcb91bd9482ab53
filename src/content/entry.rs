//! What is kept, and by what it is found.

use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::age::Check;
use super::disk::Stored;
use super::drops::Drop;
use crate::oci::{Digest, RepositoryName};

/// The name of a manifest's or blob's digest.
pub(super) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The headers that are kept as they came. `Date` is always that of the answer to the client, and `Content-Length` is known.
const KEPT: [HeaderName; 7] = [
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    DIGEST,
    HeaderName::from_static("oci-subject"),
];

/// What an entry costs beside its texts and bytes: the structures around it, in bytes, as measured.
const OVERHEAD: usize = 512;

/// What there is of a digest. A manifest may be stored as a blob too, which is something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Manifest,
    Blob,
}

/// By what something is found in the stock of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub kind: Kind,
    pub repository: RepositoryName,
    pub digest: Digest,
}

/// Where the bytes are.
#[derive(Debug, Clone)]
pub enum Body {
    Memory(Bytes),
    Disk(Arc<Stored>),
}

impl Body {
    /// In bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(stored) => stored.length(),
        }
    }

    /// For the audit record.
    pub const fn place(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Disk(_) => "disk",
        }
    }
}

/// What the upstream said of it besides its bytes.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// `Content-Length` among them.
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl Head {
    /// What is kept of the `headers` of an answer whose body has `length` bytes.
    pub(super) fn of(headers: &HeaderMap, length: u64) -> Self {
        let kept = KEPT.into_iter().filter_map(|name| {
            // A copy: the answer's own is a part of all that came with it.
            let value = HeaderValue::from_bytes(headers.get(&name)?.as_bytes()).ok()?;
            Some((name, value))
        });
        let length = (header::CONTENT_LENGTH, HeaderValue::from(length));
        Self { headers: kept.chain([length]).collect() }
    }

    fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn size(&self) -> usize {
        self.headers.iter().map(|(_, value)| size_of::<(HeaderName, HeaderValue)>() + value.len()).sum()
    }
}

/// That the upstream had something.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// When it was asked, in ticks of the clock.
    pub(super) at: Duration,
    /// How often the repository had been dropped before.
    pub(super) drop: Drop,
}

/// Something that is kept. Immutable: what is confirmed is put in its place.
#[derive(Debug)]
pub struct Kept {
    pub(super) head: Head,
    pub body: Body,
    pub(super) seen: Seen,
    pub(super) check: Check,
}

impl Kept {
    pub(super) fn new(head: Head, body: Body, seen: Seen) -> Self {
        Self { head, body, seen, check: Check::default() }
    }

    /// The headers of the answer, but for `Age`; of a name there is one.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.head.headers.iter().map(|(name, value)| (name, value))
    }

    /// Its media type as the upstream named it.
    pub fn media_type(&self) -> Option<&str> {
        self.head.get(&header::CONTENT_TYPE)?.to_str().ok()
    }

    /// For how long nobody has asked the upstream for it (RFC 9111 5.1), at `now` in ticks of the clock.
    pub fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.seen.at)
    }

    /// The same, which the upstream has just said that it has.
    pub(super) fn confirmed(&self, at: Duration) -> Self {
        Self::new(self.head.clone(), self.body.clone(), Seen { at, ..self.seen })
    }

    /// Whether `headers`, of an answer to `HEAD`, are about this.
    pub(super) fn is_described_by(&self, headers: &HeaderMap, digest: &Digest) -> bool {
        let same = |name: &HeaderName, expected: &[u8]| {
            headers.get(name).is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(expected))
        };
        let media_type = self.head.get(&header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let length = self.head.get(&header::CONTENT_LENGTH).map_or(&b""[..], HeaderValue::as_bytes);
        same(&DIGEST, digest.as_str().as_bytes())
            && same(&header::CONTENT_TYPE, media_type)
            && same(&header::CONTENT_LENGTH, length)
    }

    /// What it costs to keep it in memory by `key`, in bytes.
    pub(super) fn weight(&self, key: &Key) -> u32 {
        let texts = key.repository.as_str().len() + key.digest.as_str().len() + self.head.size();
        u32::try_from(self.body.length() + (texts + OVERHEAD) as u64).unwrap_or(u32::MAX)
    }
}
