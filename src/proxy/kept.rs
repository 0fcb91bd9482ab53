//! Manifests and blobs that are kept, in place of the upstream's answer; and what of its answers is kept.
//!
//! [`Gate::answer_from_kept`] is asked between steps 8 and 9: whoever gets here is permitted by the policy of this moment, within his
//! limits, and no lock is in the way. So a kept answer is given to nobody who would not have been let through to the upstream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::{ErrorType, OrErr, Result};

use super::answer::common_headers;
use super::client::{Client, borrowed, owned};
use super::forward::Forward;
use super::gate::Gate;
use super::passage::Passage;
use crate::content::{Aged, Answered, Body, Change, Fill, Found, Kept, Key, Kind, Reading, Stock, accepts};
use crate::metadata::MetadataError;
use crate::oci::{Digest, Method, Reference, RepositoryName, Route, Tag};
use crate::policy::Registry;
use crate::telemetry::ContentResult;

/// What is written at a time, so that a slow client has the time of a write for each piece, as when it comes from upstream.
const PIECE: usize = 64 * 1024;

/// Requests with one of these are the upstream's to answer: for a part, on a condition, or for something fresh.
const SPECIAL: [header::HeaderName; 9] = [
    header::RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::UPGRADE,
];

/// What the content cache has to do with one request.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    stock: Option<Arc<Stock>>,
    /// Of a request whose answer may be kept.
    fill: Option<Fill>,
    /// Whether a 404 means that it is gone: Distribution 2 says so, too, to a client that does not name the media type.
    looked_for: bool,
    /// Of one that may change what is kept.
    change: Option<Change>,
}

/// A manifest or blob that is asked for.
struct Wanted<'a> {
    kind: Kind,
    repository: &'a RepositoryName,
    name: Name<'a>,
    /// Whether its headers are enough.
    is_head: bool,
}

/// What it is asked for by.
#[derive(Clone, Copy)]
enum Name<'a> {
    Digest(&'a Digest),
    Tag(&'a Tag),
}

impl<'a> Wanted<'a> {
    fn of(forward: &'a Forward) -> Option<Self> {
        if !matches!(forward.method, Method::Get | Method::Head) {
            return None;
        }
        let is_head = forward.method == Method::Head;
        match &forward.route {
            Route::Manifest { repository, reference, .. } => {
                let name = match reference {
                    Reference::Digest(digest) => Name::Digest(digest),
                    Reference::Tag(tag) => Name::Tag(tag),
                };
                Some(Self { kind: Kind::Manifest, repository, name, is_head })
            }
            Route::Blob { repository, digest } => {
                Some(Self { kind: Kind::Blob, repository, name: Name::Digest(digest), is_head })
            }
            Route::Base
            | Route::Catalog(_)
            | Route::Tags { .. }
            | Route::UploadStart { .. }
            | Route::Upload { .. }
            | Route::Referrers { .. } => None,
        }
    }

    fn key(&self, digest: Digest) -> Key {
        Key { kind: self.kind, repository: self.repository.clone(), digest }
    }
}

impl Gate {
    /// Answers with what is kept; `false`: the request goes upstream.
    pub(super) async fn answer_from_kept<C: Client>(&self, client: &mut C, passage: &mut Passage) -> Result<bool> {
        let bodyless = !client.has_body();
        let headers = &client.head().headers;
        let Some((kept, source)) = self.kept(headers, bodyless, passage).await else { return Ok(false) };
        self.write_kept(client, passage, (&kept, source)).await?;
        Ok(true)
    }

    /// What is kept of what this request is for, and what is to be written of it. Also prepares for the answer, if the request has
    /// to go upstream.
    async fn kept(&self, headers: &HeaderMap, bodyless: bool, passage: &mut Passage) -> Option<(Arc<Kept>, Source)> {
        let content = &self.shared.content;
        let policy = passage.policy.as_ref()?;
        content.follow(policy);
        let forward = passage.forward.as_deref()?;
        let registry = &forward.registry;
        passage.keeping.change = change(forward).map(|(repository, tags_only)| {
            if tags_only {
                content.change_of_tags(&registry.name, repository)
            } else {
                content.change(&registry.name, repository)
            }
        });
        let wanted = Wanted::of(forward)?;
        let stock = content.stock(registry, policy.version())?;
        let ticks = self.shared.clock.ticks();
        let is_special = !bodyless || headers.keys().any(|name| SPECIAL.contains(name));
        let found = if is_special {
            Err(ContentResult::Bypass)
        } else {
            self.found(&stock, &wanted, headers, registry, (ticks, passage)).await
        };
        let by_digest = matches!(wanted.name, Name::Digest(_));
        match found {
            Ok((kept, source, result)) => {
                stock.count(result);
                return Some((kept, source));
            }
            Err(result) => {
                passage.keeping.looked_for = result != ContentResult::Bypass;
                if by_digest {
                    stock.count(result);
                }
            }
        }
        if !is_special {
            // Before the upstream is asked, so that whatever changes from here on counts.
            passage.keeping.fill = Some(stock.fill(wanted.kind, wanted.repository, self.shared.clock.ticks()));
        }
        passage.keeping.stock = Some(stock);
        None
    }

    /// What is kept and may be given out now, or what is to be counted if there is nothing.
    async fn found(
        &self,
        stock: &Arc<Stock>,
        wanted: &Wanted<'_>,
        headers: &HeaderMap,
        registry: &Arc<Registry>,
        (ticks, passage): (Duration, &Passage),
    ) -> Result<(Arc<Kept>, Source, ContentResult), ContentResult> {
        let digest = match wanted.name {
            Name::Digest(digest) => digest.clone(),
            // Where not every manifest may be read, what a tag leads to is found out for each request.
            Name::Tag(_) if registry.locks().hides_manifests(wanted.repository, passage.began_at) => {
                return Err(ContentResult::Bypass);
            }
            Name::Tag(tag) => stock.tag(wanted.repository, tag, headers, ticks).ok_or(ContentResult::Miss)?,
        };
        let key = wanted.key(digest);
        let is_accepted = |kept: &Kept| match wanted.kind {
            Kind::Manifest => kept.media_type().is_some_and(|media_type| accepts(headers, media_type)),
            Kind::Blob => true,
        };
        let (kept, result) = match stock.find(&key, ticks) {
            Found::Fresh(kept) if is_accepted(&kept) => (kept, ContentResult::Hit),
            Found::Stale(kept) if is_accepted(&kept) => {
                let ask = || self.ask(registry, &key);
                let kept = stock.confirmed(&key, &kept, self.shared.clock.as_ref(), ask).await;
                (kept.ok_or(ContentResult::Stale)?, ContentResult::Stale)
            }
            Found::Fresh(_) | Found::Stale(_) => return Err(ContentResult::Bypass),
            Found::Nothing => return Err(ContentResult::Miss),
        };
        // What cannot be read is as what is not kept.
        let source = Source::of(stock, (&key, &kept), wanted.is_head).await.ok_or(ContentResult::Miss)?;
        Ok((kept, source, result))
    }

    /// Whether the upstream still has it.
    async fn ask(&self, registry: &Arc<Registry>, key: &Key) -> Aged {
        let (repository, digest) = (key.repository.clone(), key.digest.clone());
        let route = match key.kind {
            Kind::Manifest => Route::Manifest { repository, reference: Reference::Digest(digest), tags: Vec::new() },
            Kind::Blob => Route::Blob { repository, digest },
        };
        match self.shared.metadata.head(registry, route).await {
            Ok(Some(headers)) => Aged::There(headers),
            Ok(None) => Aged::Gone,
            Err(error) => {
                if !matches!(error, MetadataError::Refused { status: 300..=399, .. }) {
                    tracing::debug!(registry = &*registry.name, %error, "nobody knows whether the upstream still has it");
                }
                Aged::Unknown
            }
        }
    }

    async fn write_kept<C: Client>(
        &self,
        client: &mut C,
        passage: &mut Passage,
        (kept, mut source): (&Kept, Source),
    ) -> Result<()> {
        passage.status = StatusCode::OK.as_u16();
        passage.trail.served_from = Some(kept.body.place());
        let age = kept.age(self.shared.clock.ticks()).as_secs();
        let age = (header::AGE, HeaderValue::from(age));
        let not_for_others = !client.head().headers.contains_key(header::AUTHORIZATION);
        let head = {
            let kept = kept.headers().filter(|(name, _)| !not_for_others || *name != header::CACHE_CONTROL);
            let more = [age].into_iter().chain(not_for_others.then_some((header::CACHE_CONTROL, NOT_FOR_OTHERS)));
            let more = more.chain(common_headers(&passage.id, passage.tls));
            client.compose(StatusCode::OK, kept.map(borrowed).chain(more.map(owned)))?
        };
        client.write_head(head, source.is_over()).await?;
        if !source.is_over() {
            passage.transfer.get_or_insert_with(|| self.shared.metrics.transfer_opened());
        }
        while let Some(piece) = source.next().await? {
            passage.record.passed_on(piece.len());
            client.write_piece(piece, source.is_over()).await?;
        }
        Ok(())
    }
}

/// What is still to be written of a body.
struct Source {
    /// What is in memory of it.
    rest: Bytes,
    /// What comes after that from the disk.
    more: Option<Reading>,
}

impl Source {
    /// `None`: the disk does not give it.
    async fn of(stock: &Arc<Stock>, (key, kept): (&Key, &Kept), is_head: bool) -> Option<Self> {
        let (rest, more) = match &kept.body {
            Body::Memory(_) | Body::Disk(_) if is_head => (Bytes::new(), None),
            Body::Memory(bytes) => (bytes.clone(), None),
            Body::Disk(stored) => {
                let (first, more) = stock.read(key, stored).await?;
                (first, Some(more))
            }
        };
        Some(Self { rest, more })
    }

    fn is_over(&self) -> bool {
        self.rest.is_empty() && self.more.as_ref().is_none_or(Reading::is_over)
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.rest.is_empty()
            && let Some(more) = &mut self.more
        {
            let read = more.next().await.or_err(ErrorType::FileReadError, "reading what is kept on the disk")?;
            self.rest = read.unwrap_or_default();
        }
        Ok((!self.rest.is_empty()).then(|| self.rest.split_to(self.rest.len().min(PIECE))))
    }
}

/// By a link or a certificate: caches take only `Authorization` as a reason not to keep it (RFC 9111 3.5).
pub(super) const NOT_FOR_OTHERS: HeaderValue = HeaderValue::from_static("private, no-store");

/// What this request may change of what is kept: the repository, and whether it is only where its tags lead.
fn change(forward: &Forward) -> Option<(&RepositoryName, bool)> {
    match (&forward.route, forward.method) {
        (Route::Manifest { repository, .. } | Route::Blob { repository, .. }, Method::Delete) => {
            Some((repository, false))
        }
        (Route::Manifest { repository, .. }, Method::Put) => Some((repository, true)),
        _ => None,
    }
}

impl Keeping {
    /// There is an answer, or there will be none: before anybody is told, what may have changed counts.
    pub(super) fn over(&mut self, forward: &Forward, status: Option<StatusCode>) {
        if let Some(change) = &self.change {
            change.again();
        }
        if status == Some(StatusCode::NOT_FOUND)
            && self.looked_for
            && let Some((stock, wanted)) = self.stock.as_ref().zip(Wanted::of(forward))
            && let Name::Digest(digest) = wanted.name
        {
            stock.forget(&wanted.key(digest.clone()));
        }
    }

    /// The upstream has answered with these headers, which the client gets, to a request with those of `client`.
    pub(super) fn answered(
        &mut self,
        forward: &Forward,
        client: &HeaderMap,
        (response, named): (&ResponseHeader, Option<&Digest>),
    ) {
        let Some((fill, wanted)) = self.fill.as_mut().zip(Wanted::of(forward)) else { return };
        if response.status != StatusCode::OK {
            self.fill = None;
            return;
        }
        let digest = match wanted.name {
            Name::Digest(digest) => Some(digest),
            Name::Tag(tag) => {
                if let Some(named) = named {
                    fill.leads_to(tag, client, named);
                }
                None
            }
        };
        if forward.method == Method::Get {
            fill.answered(Answered { digest, named, headers: &response.headers });
        }
    }

    /// A piece of the upstream's body.
    pub(super) fn take(&mut self, piece: &Bytes) {
        if let Some(fill) = &mut self.fill {
            fill.take(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::testing::OnDisk;

    /// Otherwise a slow client would have the time of one write for all of what was read at once.
    #[tokio::test]
    async fn what_is_read_from_the_disk_is_written_in_small_pieces() {
        let (world, body) = (OnDisk::usual(), vec![7; 400_000]);
        let (key, kept) = world.keep(&body);
        let mut source = Source::of(&world.stock, (&key, &kept), false).await.unwrap();
        let mut pieces = Vec::new();
        while let Some(piece) = source.next().await.unwrap() {
            pieces.push(piece);
            assert_eq!(source.is_over(), pieces.iter().map(Bytes::len).sum::<usize>() == body.len());
        }
        assert!(pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len())) && pieces.concat() == body);
        let head = Source::of(&world.stock, (&key, &kept), true).await.unwrap();
        assert!(head.is_over());
    }
}
