//! A registry that exists in memory and answers as Distribution does, and metadata of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clock::{Clock, Timestamp};
use crate::current::Current;
use crate::metadata::{Metadata, Note, Part, Parts, Passed, Settings};
use crate::oci::{Digest, Reference, RepositoryName, Scope, Tag};
use crate::policy::fixture::{REGISTRY, declared, upstream};
use crate::policy::locks::{Attributes, LockTarget, StoredAttributes};
use crate::policy::problem::Problems;
use crate::policy::upstream_credential::MintedAccess;
use crate::policy::{PolicySnapshot, Registry, StoredPolicy};
use crate::secret::Secret;
use crate::store::index::{Index, Order, Slice};
use crate::store::{self, StoreUrl};
use crate::telemetry::metrics::Metrics;
use crate::upstream::fake::{Asked, Fake, Reply};
use crate::upstream::{Calls, Credentials, Mint, NotMinted};

pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Shows the time of its start, and a microsecond more each time that it is asked.
#[derive(Debug)]
pub(super) struct Ticking(AtomicI64);

impl Ticking {
    fn new() -> Self {
        Self(AtomicI64::new(1_790_000_000_000_000))
    }

    pub(super) fn advance(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.fetch_add(1, Ordering::SeqCst)).unwrap()
    }

    fn ticks(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) tags: BTreeMap<String, Digest>,
    pub(super) manifests: BTreeMap<Digest, (String, Bytes)>,
}

/// What is in it, and how it behaves.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) blobs: BTreeMap<Digest, Bytes>,
    /// Tags on a page; `None`: all.
    pub(super) page: Option<usize>,
    /// The list of referrers, where it has the API.
    pub(super) referrers: Option<Value>,
    /// What it says of anything that it does not know, instead of a list of errors.
    pub(super) away: bool,
    pub(super) catalogue_is_refused: bool,
    pub(super) slow: Duration,
}

impl Content {
    pub(super) fn put(&mut self, repository: &str, tag: Option<&str>, manifest: &Value) -> Digest {
        let kind = manifest["mediaType"].as_str().unwrap_or(IMAGE).to_owned();
        let body = Bytes::from(manifest.to_string());
        let digest = Digest::sha256(&body);
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.manifests.insert(digest.clone(), (kind, body));
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), digest.clone());
        }
        digest
    }

    pub(super) fn delete(&mut self, repository: &str, digest: &Digest) {
        let repository = self.repositories.get_mut(repository).unwrap();
        repository.manifests.remove(digest);
        repository.tags.retain(|_, of| of != digest);
    }

    fn answer(&self, asked: &Asked) -> Option<Reply> {
        if self.away {
            return None;
        }
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let path = path.strip_prefix("/v2/")?;
        let one = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        if path == "_catalog" {
            if self.catalogue_is_refused {
                return Some(unknown("UNSUPPORTED"));
            }
            let names: Vec<_> = self.repositories.keys().cloned().collect();
            let n = one("n").and_then(|n| n.parse().ok());
            return Some(list("repositories", "/v2/_catalog", &names, n, one("last")));
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            let Some(repository) = self.repositories.get(name) else { return Some(unknown("NAME_UNKNOWN")) };
            let names: Vec<_> = repository.tags.keys().cloned().collect();
            return Some(list("tags", &format!("/v2/{name}/tags/list"), &names, self.page, one("last")));
        }
        if let Some((name, reference)) = path.split_once("/manifests/") {
            return Some(self.manifest(name, reference));
        }
        if let Some((_, digest)) = path.split_once("/blobs/") {
            let blob = self.blobs.get(&Digest::parse(digest).unwrap());
            return Some(blob.map_or_else(|| unknown("BLOB_UNKNOWN"), |blob| Reply::new(200).body(blob.to_vec())));
        }
        let referrers = self.referrers.as_ref().map(|list| Reply::new(200).body(list.to_string()));
        Some(referrers.unwrap_or_else(|| Reply::new(404).body("404 page not found\n")))
    }

    fn manifest(&self, name: &str, reference: &str) -> Reply {
        let Some(repository) = self.repositories.get(name) else { return unknown("NAME_UNKNOWN") };
        let digest = repository.tags.get(reference).cloned().or_else(|| Digest::parse(reference).ok());
        let found = digest.and_then(|digest| repository.manifests.get_key_value(&digest));
        let Some((digest, (kind, body))) = found else { return unknown("MANIFEST_UNKNOWN") };
        let reply = Reply::new(200).with("content-type", kind.clone()).body(body.to_vec());
        reply.with("docker-content-digest", digest.as_str())
    }
}

fn unknown(code: &str) -> Reply {
    Reply::new(404).body(json!({ "errors": [{ "code": code }] }).to_string())
}

fn list(key: &str, path: &str, names: &[String], n: Option<usize>, last: Option<&str>) -> Reply {
    let rest: Vec<_> = names.iter().filter(|name| last.is_none_or(|last| name.as_str() > last)).collect();
    let page: Vec<_> = rest.iter().take(n.unwrap_or(usize::MAX)).collect();
    let reply = Reply::new(200).body(json!({ key: page }).to_string());
    match (page.last(), page.len() < rest.len()) {
        (Some(last), true) => {
            let link = format!("<{path}?last={last}&n={}>; rel=\"next\"", n.unwrap_or_default());
            reply.with("link", link)
        }
        _ => reply,
    }
}

struct NoMint;

#[async_trait]
impl Mint for NoMint {
    async fn mint(&self, _: &MintedAccess, _: &[Scope]) -> Result<(Secret, Duration), NotMinted> {
        Err(NotMinted::Busy)
    }
}

pub(super) struct World {
    pub(super) content: Arc<Mutex<Content>>,
    pub(super) fake: Fake,
    pub(super) clock: Arc<Ticking>,
    pub(super) metadata: Metadata,
    pub(super) registry: Arc<Registry>,
    pub(super) index: Arc<dyn Index>,
    _folder: TempDir,
}

pub(super) fn settings() -> Settings {
    Settings { maximum_age: Duration::from_mins(1), sweep_every: None }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(settings(), |index| index, &[]).await
    }

    /// With these targets without `listEnabled`.
    pub(super) async fn hiding(targets: &[LockTarget]) -> Self {
        Self::with(settings(), |index| index, targets).await
    }

    pub(super) async fn with(
        settings: Settings,
        index: impl FnOnce(Arc<dyn Index>) -> Arc<dyn Index>,
        hidden: &[LockTarget],
    ) -> Self {
        let content = Arc::new(Mutex::new(Content::default()));
        let answering = Arc::clone(&content);
        let fake = Fake::start(move |asked| {
            let slow = answering.lock().unwrap().slow;
            if !slow.is_zero() {
                std::thread::sleep(slow);
            }
            answering.lock().unwrap().answer(asked)
        })
        .await;
        let mut stored = StoredPolicy::default();
        for target in hidden {
            let attributes = Attributes { list_enabled: false, ..Attributes::default() };
            let set = StoredAttributes { attributes, unlock: None, last_update_time: Timestamp::UNIX_EPOCH };
            stored.set_attributes(REGISTRY, &target.to_string(), Some(&set), &mut Problems::new());
        }
        let policy = PolicySnapshot::assemble(1, &declared(&upstream(&fake.url)), &stored, None);
        let registry = Arc::clone(policy.registry_named(REGISTRY).unwrap());
        let current = Arc::new(Current::new());
        current.publish(policy);
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("seawall.db"));
        let database = store::open(&store::Settings::at(url)).await.unwrap();
        let (clock, index) = (Arc::new(Ticking::new()), index(Arc::<store::Database>::clone(&database)));
        let metadata = Metadata::new(Parts {
            index: Arc::clone(&index),
            store: database,
            calls: Calls::new(Arc::new(Credentials::new(Arc::new(NoMint)))),
            current,
            content: crate::content::Content::new(Arc::new(Metrics::new().unwrap())),
            metrics: Arc::new(Metrics::new().unwrap()),
            clock: Arc::<Ticking>::clone(&clock),
            runtime: tokio::runtime::Handle::current(),
            settings,
        });
        Self { content, fake, clock, metadata, registry, index, _folder: folder }
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    /// Learns in the background from now on.
    pub(super) fn learning(&self) {
        tokio::spawn(self.metadata.clone().run());
    }

    /// Lets the upstream have it, and tells of it as the data plane does.
    pub(super) fn push(&self, repository: &str, tag: Option<&str>, manifest: &Value) -> Digest {
        let digest = self.content().put(repository, tag, manifest);
        self.metadata.note(self.pushed(repository, tag, manifest));
        digest
    }

    pub(super) fn pushed(&self, repository: &str, tag: Option<&str>, manifest: &Value) -> Note {
        let body = Bytes::from(manifest.to_string());
        let media_type = manifest["mediaType"].as_str().unwrap_or(IMAGE).to_owned();
        let (digest, tags) = (Digest::sha256(&body), tag.into_iter().map(self::tag).collect());
        self.note(repository, Passed::Pushed { digest, tags, media_type, body })
    }

    pub(super) fn delete(&self, repository: &str, digest: &Digest) {
        self.content().delete(repository, digest);
        self.metadata.note(self.note(repository, Passed::Gone(Reference::Digest(digest.clone()))));
    }

    pub(super) fn note(&self, repository: &str, what: Passed) -> Note {
        Note { registry: Arc::clone(&self.registry.name), repository: name(repository), what, at: self.clock.now() }
    }

    /// What the index has of a repository: its tags, and its manifests.
    pub(super) async fn indexed(&self, repository: &str) -> (BTreeMap<String, Digest>, BTreeSet<Digest>) {
        let slice = Slice { limit: 100_000, ..Slice::default() };
        let tags = self.index.tags(REGISTRY, &name(repository), &slice, None).await.unwrap();
        let manifests = self.index.manifests(REGISTRY, &name(repository), &slice).await.unwrap();
        let tags = tags.into_iter().map(|row| (row.name.as_str().to_owned(), row.digest)).collect();
        (tags, manifests.into_iter().map(|row| row.digest).collect())
    }

    /// What the upstream has.
    pub(super) fn upstream(&self, repository: &str) -> (BTreeMap<String, Digest>, BTreeSet<Digest>) {
        let content = self.content();
        let Some(repository) = content.repositories.get(repository) else { return Default::default() };
        (repository.tags.clone(), repository.manifests.keys().cloned().collect())
    }

    /// Waits until the index is equal to the upstream.
    pub(super) async fn settled(&self, repository: &str) {
        for _ in 0..500 {
            if self.indexed(repository).await == self.upstream(repository) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.indexed(repository).await, self.upstream(repository));
    }

    pub(super) async fn tags(&self, repository: &str, part: &Part) -> (Vec<String>, Option<String>) {
        let listing = self.metadata.tags(&self.registry, &name(repository), part, None).await.unwrap();
        (listing.items.iter().map(|one| one.tag.name.as_str().to_owned()).collect(), listing.next)
    }

    pub(super) async fn repositories(&self, part: &Part) -> (Vec<String>, Option<String>) {
        let listing = self.metadata.repositories(&self.registry, part, Arc::new(|_| true)).await.unwrap();
        (listing.items.iter().map(ToString::to_string).collect(), listing.next)
    }

    /// How many requests of a kind the upstream has had.
    pub(super) fn asked(&self, beginning: &str) -> usize {
        self.fake.lines().iter().filter(|line| line.starts_with(beginning)).count()
    }
}

pub(super) fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

pub(super) fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

/// An image that no other is equal to.
pub(super) fn image(number: usize) -> Value {
    json!({ "schemaVersion": 2, "mediaType": IMAGE, "layers": [], "annotations": { "number": number.to_string() } })
}

pub(super) fn part(n: u32, last: Option<&str>, order: Order) -> Part {
    Part { n: Some(n), last: last.map(ToOwned::to_owned), order }
}
