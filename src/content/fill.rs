//! An answer of the upstream on its way to the client, and what of it may be kept.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};

use super::disk::Writer;
use super::entry::{Body, DIGEST, Head, Kept, Key, Kind, Seen};
use super::stock::{Found, Reserved, Stock};
use crate::oci::{Digest, RepositoryName, Tag, Verification};

/// With `json` and `prettyjws` at the end.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// Begun before the upstream is asked. Nobody waits for it, and whatever is unusual ends it without a word.
#[derive(Debug)]
pub struct Fill {
    stock: Arc<Stock>,
    kind: Kind,
    repository: RepositoryName,
    seen: Seen,
    coming: Option<Coming>,
}

/// The head of an answer with status 200 to a `GET` for all of it, as the client gets it.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// What the request named.
    pub digest: Option<&'a Digest>,
    /// What the upstream says that it is: what a tag is of.
    pub named: Option<&'a Digest>,
    pub headers: &'a HeaderMap,
}

/// The body, as far as it has come.
#[derive(Debug)]
struct Coming {
    length: u64,
    taken: u64,
    to: Destination,
}

/// Where it goes.
#[derive(Debug)]
enum Destination {
    Memory(Box<InMemory>),
    Disk(Writer),
}

#[derive(Debug)]
struct InMemory {
    key: Key,
    head: Head,
    body: BytesMut,
    verification: Verification,
    _room: Reserved,
}

impl Fill {
    pub(super) const fn new(stock: Arc<Stock>, kind: Kind, repository: RepositoryName, seen: Seen) -> Self {
        Self { stock, kind, repository, seen, coming: None }
    }

    /// The upstream says to a client with these `headers` that the tag leads there.
    pub fn leads_to(&self, tag: &Tag, headers: &HeaderMap, digest: &Digest) {
        self.stock.learn_tag((&self.repository, tag), headers, (digest, self.seen));
    }

    /// The upstream answers, or the storage that it has redirected to.
    pub fn answered(&mut self, answered: Answered<'_>) {
        self.coming = self.coming(answered);
    }

    fn coming(&self, Answered { digest, named, headers }: Answered<'_>) -> Option<Coming> {
        let length = length(headers)?;
        if !may_be_kept(headers) {
            return None;
        }
        let digest = match (digest, named) {
            (Some(asked), Some(named)) if asked != named => return None,
            (Some(digest), _) | (None, Some(digest)) => digest.clone(),
            (None, None) => return None,
        };
        if self.kind == Kind::Manifest && !is_of_its_digest(headers) {
            return None;
        }
        let verification = digest.verification();
        let key = Key { kind: self.kind, repository: self.repository.clone(), digest };
        if matches!(self.stock.find(&key, self.seen.at), Found::Fresh(_)) {
            // Such as what a tag leads to, time and again.
            return None;
        }
        let head = Head::of(headers, length);
        Some(Coming { length, taken: 0, to: self.destination(key, head, (length, verification))? })
    }

    fn destination(&self, key: Key, head: Head, (length, verification): (u64, Verification)) -> Option<Destination> {
        if self.stock.takes(self.kind, length) {
            let room = self.stock.reserve(length)?;
            let body = BytesMut::with_capacity(usize::try_from(length).ok()?);
            return Some(Destination::Memory(Box::new(InMemory { key, head, body, verification, _room: room })));
        }
        let disk = self.stock.disk.as_ref().filter(|_| self.kind == Kind::Blob)?;
        disk.writer(&self.stock, (key, head, self.seen), (length, verification)).map(Destination::Disk)
    }

    /// The next piece of the body. With the last one it is kept, if it has its digest.
    pub fn take(&mut self, piece: &Bytes) {
        let Some(coming) = &mut self.coming else { return };
        coming.taken += piece.len() as u64;
        let is_taken = coming.taken <= coming.length
            && match &mut coming.to {
                Destination::Memory(memory) => {
                    memory.body.extend_from_slice(piece);
                    memory.verification.take(piece);
                    true
                }
                // A piece may be the end of a large one: what waits is to be as long as it says.
                Destination::Disk(writer) => writer.take(Bytes::copy_from_slice(piece)),
            };
        let is_whole = is_taken && coming.taken == coming.length;
        if !is_taken || is_whole {
            let over = self.coming.take();
            if let Some(Coming { to: Destination::Memory(memory), .. }) = over.filter(|_| is_whole) {
                self.keep(*memory);
            }
        }
    }

    fn keep(&self, whole: InMemory) {
        let InMemory { key, head, body, verification, _room } = whole;
        if verification.holds() {
            self.stock.put(key, Arc::new(Kept::new(head, Body::Memory(body.freeze()), self.seen)));
        } else {
            self.stock.reject(&key);
        }
    }
}

/// Whether it has a media type, without which nobody knows to whom it may be given, and one whose digest is that of the bytes:
/// that of schema 1, to which Distribution 2 converts others, is of what its signatures are about.
fn is_of_its_digest(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.is_some_and(|text| !text.trim().to_ascii_lowercase().starts_with(SCHEMA_1))
}

/// The length of the body, if it is said in one way.
fn length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    only(headers, &header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether nothing says that it is of this moment or of this caller only, or that the bytes are others.
fn may_be_kept(headers: &HeaderMap) -> bool {
    let forbids = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or("no-store").to_ascii_lowercase();
        text.contains("no-store") || text.contains("private")
    };
    let several = |name| headers.get_all(name).iter().count() > 1;
    !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !headers.get_all(header::CACHE_CONTROL).iter().any(forbids)
        && !several(header::CONTENT_TYPE)
        && !several(DIGEST)
}

fn only<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}
