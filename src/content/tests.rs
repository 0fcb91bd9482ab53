//! What is kept, for how long, and what ends it.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::Notify;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::oci::{Digest, Tag};
use crate::policy::fixture::{REGISTRY, declared_with, upstream, written};
use crate::policy::{PolicySnapshot, StoredPolicy};
use crate::telemetry::ContentResult;

const UP: &str = "http://127.0.0.1:5000";
const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn policy(version: u64, url: &str, cache: &str) -> PolicySnapshot {
    let more = format!(r#""contentCache":{cache}"#);
    PolicySnapshot::assemble(version, &declared_with(&upstream(url), &more), &StoredPolicy::default(), None)
}

fn settings(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        pairs.iter().map(|(key, value)| format!("{key:?}:{}", written(&format!("{value:?}")))).collect();
    written(&format!("{{{}}}", pairs.join(",")))
}

struct World {
    content: Content,
    metrics: Arc<Metrics>,
    policy: PolicySnapshot,
    clock: ManualClock,
}

impl World {
    fn new(pairs: &[(&str, &str)]) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let content = Content::new(Arc::clone(&metrics));
        Self { content, metrics, policy: policy(1, UP, &settings(pairs)), clock: ManualClock::at(1_000) }
    }

    fn registry(&self) -> &Arc<Registry> {
        self.policy.registry_named(REGISTRY).unwrap()
    }

    fn stock(&self) -> Arc<Stock> {
        self.content.stock(self.registry(), self.policy.version()).unwrap()
    }

    fn fill(&self, kind: Kind, repository: &str) -> Fill {
        self.stock().fill(kind, &name(repository), self.clock.ticks())
    }

    /// A blob comes from the upstream.
    fn read(&self, repository: &str, body: &[u8]) {
        let mut fill = self.fill(Kind::Blob, repository);
        answer(&mut fill, Some(&Digest::sha256(body)), body.len(), &[]);
        fill.take(&Bytes::copy_from_slice(body));
    }

    fn find(&self, repository: &str, body: &[u8]) -> Found {
        self.stock().find(&blob(repository, body), self.clock.ticks())
    }

    fn has(&self, repository: &str, body: &[u8]) -> bool {
        matches!(self.find(repository, body), Found::Fresh(_))
    }
}

fn name(repository: &str) -> RepositoryName {
    RepositoryName::parse(repository).unwrap()
}

fn blob(repository: &str, body: &[u8]) -> Key {
    Key { kind: Kind::Blob, repository: name(repository), digest: Digest::sha256(body) }
}

fn headers(length: usize, more: &[(header::HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::DATE, HeaderValue::from_static("Sun, 22 Nov 2026 05:00:00 GMT"));
    for (name, value) in more {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn answer(fill: &mut Fill, digest: Option<&Digest>, length: usize, more: &[(header::HeaderName, &str)]) {
    let headers = headers(length, more);
    let named = headers.get("docker-content-digest").and_then(|value| Digest::parse(value.to_str().unwrap()).ok());
    fill.answered(Answered { digest, named: named.as_ref(), headers: &headers });
}

#[test]
fn what_has_its_digest_is_kept_with_the_headers_that_count() {
    let world = World::new(&[]);
    let mut fill = world.fill(Kind::Manifest, "a");
    let digest = Digest::sha256(b"{}");
    let more = [
        (header::CONTENT_TYPE, TYPE),
        (header::ETAG, "\"x\""),
        (header::RETRY_AFTER, "7"),
        (entry::DIGEST, digest.as_str()),
    ];
    // By a tag: under the digest that the upstream names.
    answer(&mut fill, None, 2, &more);
    fill.take(&Bytes::from_static(b"{"));
    let key = Key { kind: Kind::Manifest, repository: name("a"), digest: digest.clone() };
    assert!(matches!(world.stock().find(&key, world.clock.ticks()), Found::Nothing), "half of it");
    fill.take(&Bytes::from_static(b"}"));
    world.clock.advance(7);
    let Found::Fresh(kept) = world.stock().find(&key, world.clock.ticks()) else { panic!() };
    let Body::Memory(body) = &kept.body else { panic!() };
    assert_eq!((&**body, kept.media_type(), kept.age(world.clock.ticks()).as_secs()), (&b"{}"[..], Some(TYPE), 7));
    let mut lines: Vec<_> =
        kept.headers().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    let expected = [
        "content-length: 2".to_owned(),
        format!("content-type: {TYPE}"),
        format!("docker-content-digest: {digest}"),
        "etag: \"x\"".to_owned(),
    ];
    assert_eq!(lines, expected);
    // A manifest is no blob, and what one repository has another one has not.
    let other = Key { kind: Kind::Blob, ..key.clone() };
    assert!(matches!(world.stock().find(&other, world.clock.ticks()), Found::Nothing));
    let other = Key { repository: name("b"), ..key };
    assert!(matches!(world.stock().find(&other, world.clock.ticks()), Found::Nothing));
}

/// What a tag leads to comes with every answer. It is taken in again when it would have to be confirmed.
#[test]
fn what_is_fresh_is_not_kept_anew() {
    let world = World::new(&[("maximumAge", "1m")]);
    let kept = || match world.find("a", b"a body") {
        Found::Fresh(kept) => kept,
        other => panic!("{other:?}"),
    };
    world.read("a", b"a body");
    let first = kept();
    world.clock.advance(59);
    world.read("a", b"a body");
    assert!(Arc::ptr_eq(&first, &kept()));
    world.clock.advance(1);
    world.read("a", b"a body");
    assert!(!Arc::ptr_eq(&first, &kept()));
}

#[test]
fn what_is_not_what_it_should_be_is_not_kept() {
    let right = Digest::sha256(b"blob");
    let wrong = Digest::sha256(b"other");
    for (what, digest, length, more, body) in [
        ("other bytes", &wrong, 4, vec![], &b"blob"[..]),
        ("too few bytes", &right, 5, vec![], b"blob"),
        ("too many bytes", &right, 3, vec![], b"blob"),
        ("another name", &right, 4, vec![(entry::DIGEST, wrong.as_str())], b"blob"),
        ("two names", &right, 4, vec![(entry::DIGEST, right.as_str()), (entry::DIGEST, wrong.as_str())], b"blob"),
        ("a coding", &right, 4, vec![(header::CONTENT_ENCODING, "gzip")], b"blob"),
        ("chunks", &right, 4, vec![(header::TRANSFER_ENCODING, "chunked")], b"blob"),
        ("two lengths", &right, 4, vec![(header::CONTENT_LENGTH, "4")], b"blob"),
        ("a part", &right, 4, vec![(header::CONTENT_RANGE, "bytes 0-3/9")], b"blob"),
        ("not to be stored", &right, 4, vec![(header::CACHE_CONTROL, "max-age=1, No-Store")], b"blob"),
        ("for one caller", &right, 4, vec![(header::CACHE_CONTROL, "private")], b"blob"),
    ] {
        let world = World::new(&[]);
        let mut fill = world.fill(Kind::Blob, "a");
        answer(&mut fill, Some(digest), length, &more);
        fill.take(&Bytes::copy_from_slice(body));
        assert!(!world.has("a", b"blob") && !world.has("a", b"other"), "{what}");
        let rejected =
            world.metrics.render().unwrap().contains("seawall_content_cache_rejected_total{registry=\"myregistry\"} 1");
        assert_eq!(rejected, what == "other bytes", "{what}");
    }
    // Without a media type nobody knows to whom a manifest may be given.
    let world = World::new(&[]);
    let mut fill = world.fill(Kind::Manifest, "a");
    answer(&mut fill, Some(&right), 4, &[]);
    fill.take(&Bytes::from_static(b"blob"));
    let key = Key { kind: Kind::Manifest, ..blob("a", b"blob") };
    assert!(matches!(world.stock().find(&key, world.clock.ticks()), Found::Nothing));
}

/// Its digest is that of the part that is signed: it is neither kept nor wrong.
#[test]
fn a_manifest_of_schema_1_is_let_pass() {
    let world = World::new(&[]);
    let (mut fill, digest) = (world.fill(Kind::Manifest, "a"), Digest::sha256(b"what is signed"));
    let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    answer(&mut fill, None, 4, &[(header::CONTENT_TYPE, media_type), (entry::DIGEST, digest.as_str())]);
    fill.take(&Bytes::from_static(b"{  }"));
    assert!(
        world.metrics.render().unwrap().contains("seawall_content_cache_rejected_total{registry=\"myregistry\"} 0")
    );
}

#[test]
fn a_retried_request_begins_anew() {
    let world = World::new(&[]);
    let (mut fill, digest) = (world.fill(Kind::Blob, "a"), Digest::sha256(b"blob"));
    answer(&mut fill, Some(&digest), 4, &[]);
    fill.take(&Bytes::from_static(b"bl"));
    answer(&mut fill, Some(&digest), 4, &[]);
    fill.take(&Bytes::from_static(b"blob"));
    assert!(world.has("a", b"blob"));
}

#[test]
fn what_is_too_large_is_not_kept() {
    let world = World::new(&[("memory", "1MiB"), ("largestBlob", "1KiB")]);
    for (length, kept) in [(1024, true), (1025, false)] {
        let body = vec![b'x'; length];
        world.read("a", &body);
        assert_eq!(world.has("a", &body), kept, "{length}");
    }
}

/// Bodies that come in slowly do not take more memory than a part of what may be kept.
#[test]
fn bodies_on_their_way_in_are_bounded() {
    let world = World::new(&[("memory", "4MiB"), ("largestBlob", "1MiB")]);
    let bodies: Vec<Vec<u8>> = (0..3).map(|number| vec![number; 512 * 1024]).collect();
    let mut fills: Vec<_> = bodies.iter().map(|_| world.fill(Kind::Blob, "a")).collect();
    for (fill, body) in fills.iter_mut().zip(&bodies) {
        answer(fill, Some(&Digest::sha256(body)), body.len(), &[]);
    }
    for (fill, body) in fills.iter_mut().zip(&bodies) {
        fill.take(&Bytes::copy_from_slice(body));
    }
    assert_eq!(bodies.iter().map(|body| world.has("a", body)).collect::<Vec<_>>(), [true, true, false]);
    world.read("a", bodies.last().unwrap());
    assert!(world.has("a", bodies.last().unwrap()), "there is room again");
}

#[test]
fn no_more_is_kept_than_fits() {
    let world = World::new(&[("memory", "1MiB"), ("largestBlob", "128KiB")]);
    for number in 0..64_u8 {
        world.read("a", &vec![number; 100_000]);
    }
    world.content.measure();
    let text = world.metrics.render().unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("seawall_content_cache_bytes{place=\"memory\",registry=\"myregistry\"} "));
    let bytes: u64 = line.unwrap().parse().unwrap();
    assert!((500_000..=1024 * 1024).contains(&bytes), "{bytes}");
}

#[test]
fn what_was_dropped_in_between_is_not_kept() {
    let world = World::new(&[]);
    world.read("a", b"before");
    let mut under_way = world.fill(Kind::Blob, "a");
    answer(&mut under_way, Some(&Digest::sha256(b"under way")), 9, &[]);
    under_way.take(&Bytes::from_static(b"under"));
    let change = world.content.change(REGISTRY, &name("a"));
    assert!(!world.has("a", b"before"));
    under_way.take(&Bytes::from_static(b" way"));
    assert!(!world.has("a", b"under way"));
    // The upstream was asked while it was being changed: nobody knows which of the two it saw.
    world.read("a", b"during");
    drop(change);
    assert!(!world.has("a", b"during"));
    world.read("a", b"after");
    assert!(world.has("a", b"after"));
}

#[test]
fn a_change_of_tags_leaves_what_has_a_digest() {
    let world = World::new(&[("tagAge", "2s")]);
    let (repository, tag, client) = (name("a"), Tag::parse("v1").unwrap(), HeaderMap::new());
    let digest = Digest::sha256(b"blob");
    let learn = || world.fill(Kind::Manifest, "a").leads_to(&tag, &client, &digest);
    let known = |client: &HeaderMap| world.stock().tag(&repository, &tag, client, world.clock.ticks());
    world.read("a", b"blob");
    learn();
    assert_eq!(known(&client), Some(digest.clone()));
    // Distribution 2 has another manifest for somebody who accepts less.
    let mut other = HeaderMap::new();
    other.insert(header::ACCEPT, HeaderValue::from_static(TYPE));
    assert_eq!(known(&other), None);
    drop(world.content.change_of_tags(REGISTRY, &repository));
    assert_eq!(known(&client), None);
    assert!(world.has("a", b"blob"));
    learn();
    drop(world.content.change(REGISTRY, &repository));
    assert_eq!(known(&client), None);
    learn();
    world.clock.advance(2);
    assert_eq!(known(&client), None, "it was long ago");
    let world = World::new(&[]);
    world.fill(Kind::Manifest, "a").leads_to(&tag, &client, &digest);
    assert_eq!(world.stock().tag(&repository, &tag, &client, world.clock.ticks()), None, "tags are not believed");
}

#[test]
fn other_settings_and_another_upstream_end_everything() {
    let mut world = World::new(&[]);
    let same = || settings(&[]);
    let change = |world: &mut World, policy: PolicySnapshot| {
        world.read("a", b"blob");
        assert!(world.has("a", b"blob"));
        world.policy = policy;
        world.content.follow(&world.policy);
    };
    change(&mut world, policy(2, UP, &same()));
    assert!(world.has("a", b"blob"), "nothing of it has changed");
    change(&mut world, policy(3, "http://127.0.0.1:5001", &same()));
    assert!(!world.has("a", b"blob"), "another upstream");
    change(&mut world, policy(4, "http://127.0.0.1:5001", &settings(&[("maximumAge", "2m")])));
    assert!(!world.has("a", b"blob"), "other settings");
    change(&mut world, policy(5, "http://127.0.0.1:5001", &written(&format!("{{\"mode\":{}}}", written("\"off\"")))));
    assert!(world.content.stock(world.registry(), world.policy.version()).is_none());
    assert!(world.content.0.stocks.load().is_empty(), "its memory is free");
}

/// Such a request may still be under way for as long as a transfer takes.
#[test]
fn a_request_that_was_decided_by_an_older_policy_brings_nothing_back() {
    let mut world = World::new(&[]);
    world.content.follow(&world.policy);
    let newer = policy(2, "http://127.0.0.1:5001", &settings(&[]));
    let older = std::mem::replace(&mut world.policy, newer);
    world.content.follow(&world.policy);
    world.read("a", b"blob");
    assert!(world.content.stock(older.registry_named(REGISTRY).unwrap(), older.version()).is_none());
    world.content.follow(&older);
    assert!(world.has("a", b"blob"), "what is kept by the newer one stays");
    let newest = policy(3, UP, &settings(&[]));
    let registry = newest.registry_named(REGISTRY).unwrap();
    assert!(world.content.stock(registry, newest.version()).is_some());
}

fn there() -> Aged {
    Aged::There(HeaderMap::new())
}

#[tokio::test]
async fn what_is_old_is_given_out_once_it_was_confirmed() {
    let world = World::new(&[("maximumAge", "10s")]);
    world.read("a", b"blob");
    let (stock, key) = (world.stock(), blob("a", b"blob"));
    world.clock.advance(9);
    assert!(world.has("a", b"blob"));
    world.clock.advance(1);
    let Found::Stale(stale) = world.find("a", b"blob") else { panic!() };
    let unknown = stock.confirmed(&key, &stale, &world.clock, async || Aged::Unknown).await;
    assert!(unknown.is_none() && matches!(world.find("a", b"blob"), Found::Stale(_)), "asked again the next time");
    let kept = stock.confirmed(&key, &stale, &world.clock, async || there()).await.unwrap();
    assert_eq!(kept.age(world.clock.ticks()).as_secs(), 0);
    assert!(world.has("a", b"blob"));
    world.clock.advance(10);
    let Found::Stale(stale) = world.find("a", b"blob") else { panic!() };
    assert!(stock.confirmed(&key, &stale, &world.clock, async || Aged::Gone).await.is_none());
    assert!(matches!(world.find("a", b"blob"), Found::Nothing));
}

#[tokio::test]
async fn what_the_upstream_describes_otherwise_is_forgotten() {
    for (name, value) in
        [(header::CONTENT_LENGTH, "5"), (header::CONTENT_TYPE, "text/plain"), (entry::DIGEST, "sha256:x")]
    {
        let world = World::new(&[("maximumAge", "0s")]);
        world.read("a", b"blob");
        let Found::Stale(stale) = world.find("a", b"blob") else { panic!() };
        let (stock, key, mut said) = (world.stock(), blob("a", b"blob"), HeaderMap::new());
        said.insert(name.clone(), HeaderValue::from_static(value));
        let confirmed = stock.confirmed(&key, &stale, &world.clock, || async { Aged::There(said) }).await;
        assert!(confirmed.is_none() && matches!(world.find("a", b"blob"), Found::Nothing), "{name}");
    }
}

/// A drop while the upstream is asked wins over its answer.
#[tokio::test]
async fn what_was_dropped_is_not_confirmed() {
    let world = World::new(&[("maximumAge", "0s")]);
    world.read("a", b"blob");
    let Found::Stale(stale) = world.find("a", b"blob") else { panic!() };
    let (stock, key) = (world.stock(), blob("a", b"blob"));
    let confirmed = stock
        .confirmed(&key, &stale, &world.clock, || async {
            drop(world.content.change(REGISTRY, &name("a")));
            there()
        })
        .await;
    assert!(confirmed.is_none() && matches!(world.find("a", b"blob"), Found::Nothing));
}

#[tokio::test]
async fn one_of_all_who_wait_asks() {
    for (answer, served) in [(true, 20), (false, 0)] {
        let world = World::new(&[("maximumAge", "10s")]);
        world.read("a", b"blob");
        world.clock.advance(10);
        let (world, asked, go) = (Arc::new(world), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let (world, asked, go) = (Arc::clone(&world), Arc::clone(&asked), Arc::clone(&go));
                tokio::spawn(async move {
                    let Found::Stale(stale) = world.find("a", b"blob") else { panic!() };
                    let ask = || async {
                        asked.fetch_add(1, Ordering::SeqCst);
                        go.notified().await;
                        if answer { there() } else { Aged::Unknown }
                    };
                    let key = blob("a", b"blob");
                    world.stock().confirmed(&key, &stale, &world.clock, ask).await.is_some()
                })
            })
            .collect();
        tokio::task::yield_now().await;
        go.notify_one();
        let mut given = 0;
        for one in waiting {
            given += usize::from(one.await.unwrap());
        }
        assert_eq!((asked.load(Ordering::SeqCst), given), (1, served));
    }
}

#[test]
fn results_are_counted_by_registry() {
    let world = World::new(&[]);
    world.stock().count(ContentResult::Hit);
    let text = world.metrics.render().unwrap();
    assert!(text.contains("seawall_content_cache_requests_total{registry=\"myregistry\",result=\"hit\"} 1"), "{text}");
}
