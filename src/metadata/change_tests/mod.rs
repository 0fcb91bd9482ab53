//! What changes upstreams, against one that fails on demand: tags and repositories go, attributes come.

mod attributes;
mod deletions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{AttributesChange, Deleted, Metadata, MetadataError, Note, Parts, Passed, Settings};
use crate::clock::{Clock, ManualClock};
use crate::current::Current;
use crate::oci::{Digest, ErrorCode, RepositoryName, Scope, Tag};
use crate::policy::fixture::{REGISTRY, declared, upstream};
use crate::policy::locks::{Attributes, LockTarget};
use crate::policy::problem::Problems;
use crate::policy::upstream_credential::MintedAccess;
use crate::policy::{PolicySnapshot, Registry, StoredPolicy};
use crate::secret::Secret;
use crate::store::index::Index;
use crate::store::{Database, Kind, Object, Store, StoreUrl, open};
use crate::telemetry::metrics::Metrics;
use crate::upstream::fake::{Asked, Fake, Reply};
use crate::upstream::{Calls, Credentials, Mint, NotMinted};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const REPOSITORY: &str = "samples/a";
/// Of answers that are long on their way.
const DELAY: Duration = Duration::from_millis(500);

/// What the upstream has of its one repository.
#[derive(Debug, Default)]
struct World {
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
    blobs: BTreeSet<String>,
    /// `202`: as the specification has it; `405`: as Distribution 2 has it; `0`: with the manifest.
    tag_deletion: u16,
    /// Whether manifests can be deleted.
    deletion: bool,
    /// The beginnings of requests that fail, each once.
    faults: Vec<&'static str>,
    /// The beginnings of requests whose answers are long on their way, each once.
    delays: Vec<&'static str>,
}

impl World {
    fn push(&mut self, tags: &[&str], manifest: &Value) -> Digest {
        let body = manifest.to_string().into_bytes();
        let digest = Digest::sha256(&body);
        self.manifests.insert(digest.to_string(), (IMAGE.to_owned(), body));
        for tag in tags {
            self.tags.insert((*tag).to_owned(), digest.to_string());
        }
        digest
    }

    fn delete(&mut self, digest: &str) -> bool {
        self.tags.retain(|_, of| of != digest);
        self.manifests.remove(digest).is_some()
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        let line = asked.line();
        if let Some(at) = self.faults.iter().position(|fault| line.starts_with(fault)) {
            self.faults.remove(at);
            return Reply::new(500);
        }
        let path = asked.target.split('?').next().unwrap();
        let rest = path.strip_prefix("/v2/samples/a/").unwrap();
        match (asked.method.as_str(), rest) {
            ("GET", "tags/list") if self.manifests.is_empty() => Reply::new(404),
            ("GET", "tags/list") => {
                let tags: Vec<_> = self.tags.keys().collect();
                Reply::new(200).body(json!({ "name": REPOSITORY, "tags": tags }).to_string())
            }
            ("POST", "blobs/uploads/") => Reply::new(202).with("location", "/v2/samples/a/blobs/uploads/1"),
            ("PUT", "blobs/uploads/1") => {
                self.blobs.insert(Digest::sha256(&asked.body).to_string());
                Reply::new(201)
            }
            (method, rest) => match rest.strip_prefix("manifests/") {
                Some(reference) => self.manifest(method, reference, asked),
                None => Reply::new(404),
            },
        }
    }

    fn manifest(&mut self, method: &str, reference: &str, asked: &Asked) -> Reply {
        let digest = self.tags.get(reference).cloned().unwrap_or_else(|| reference.to_owned());
        match (method, self.manifests.get(&digest)) {
            ("PUT", _) => {
                let manifest: Value = serde_json::from_slice(&asked.body).unwrap();
                if let Some(config) = manifest["config"]["digest"].as_str()
                    && !self.blobs.contains(config)
                {
                    return Reply::new(400);
                }
                let tags: &[&str] = if reference.contains(':') { &[] } else { &[reference] };
                let digest = self.push(tags, &manifest);
                Reply::new(201).with("docker-content-digest", digest.to_string())
            }
            (_, None) => Reply::new(404),
            ("DELETE", Some(_)) if !self.deletion => Reply::new(405),
            ("DELETE", Some(_)) if reference.contains(':') => {
                self.delete(&digest);
                Reply::new(202)
            }
            ("DELETE", Some(_)) => match self.tag_deletion {
                202 => {
                    self.tags.remove(reference);
                    Reply::new(202)
                }
                0 => {
                    self.delete(&digest);
                    Reply::new(202)
                }
                status => Reply::new(status),
            },
            (_, Some((media_type, body))) => Reply::new(200)
                .with("docker-content-digest", digest)
                .with("content-type", media_type.clone())
                .body(body.clone()),
        }
    }
}

struct NoMint;

#[async_trait]
impl Mint for NoMint {
    async fn mint(&self, _: &MintedAccess, _: &[Scope]) -> Result<(Secret, Duration), NotMinted> {
        Err(NotMinted::Busy)
    }
}

/// An upstream, and all that seawall has before it.
struct House {
    world: Arc<Mutex<World>>,
    fake: Fake,
    metadata: Metadata,
    store: Arc<Database>,
    current: Arc<Current>,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

impl House {
    async fn new() -> Self {
        let world = World { tag_deletion: 405, deletion: true, ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let answering = Arc::clone(&world);
        let fake = Fake::start(move |asked| {
            let mut world = answering.lock().unwrap();
            let delayed = world.delays.iter().position(|delay| asked.line().starts_with(delay));
            let (delayed, reply) = (delayed.map(|at| world.delays.remove(at)), world.answer(asked));
            drop(world);
            if delayed.is_some() {
                std::thread::sleep(DELAY);
            }
            Some(reply)
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("seawall.db"));
        let store = open(&crate::store::Settings::at(url)).await.unwrap();
        let current = Arc::new(Current::new());
        tokio::spawn(follow(Arc::clone(&store), Arc::clone(&current), fake.url.clone()));
        current.holds(0).await;
        let clock = Arc::new(ManualClock::at(1_000));
        let metadata = Metadata::new(Parts {
            index: Arc::clone(&store) as Arc<dyn Index>,
            store: Arc::clone(&store) as Arc<dyn Store>,
            calls: Calls::new(Arc::new(Credentials::new(Arc::new(NoMint)))),
            current: Arc::clone(&current),
            content: crate::content::Content::new(Arc::new(Metrics::new().unwrap())),
            metrics: Arc::new(Metrics::new().unwrap()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            runtime: Handle::current(),
            settings: Settings::default(),
        });
        Self { world, fake, metadata, store, current, clock, _folder: folder }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn registry(&self) -> Arc<Registry> {
        Arc::clone(self.current.load().unwrap().registry_named(REGISTRY).unwrap())
    }

    async fn untag(&self, name: &str) -> Result<(), MetadataError> {
        self.metadata.untag(&self.registry(), &repository(), &tag(name)).await
    }

    async fn delete(&self) -> Result<Deleted, MetadataError> {
        self.metadata.delete_repository(&self.registry(), &repository()).await
    }

    async fn set(&self, target: &LockTarget, change: &AttributesChange) -> Result<(), MetadataError> {
        self.metadata.set_attributes(&self.registry(), target, change, "alice").await
    }

    /// The tags that the upstream has, and whether it has only these manifests.
    fn has(&self, tags: &[&str], manifests: &[&Digest]) {
        let world = self.world();
        assert_eq!(world.tags.keys().map(String::as_str).collect::<Vec<_>>(), tags);
        let expected: BTreeSet<_> = manifests.iter().map(|digest| digest.as_str()).collect();
        assert_eq!(world.manifests.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    }

    /// That this was pushed by the tag.
    fn pushed(&self, tag: Tag, manifest: &Value) -> Note {
        let body = Bytes::from(manifest.to_string());
        let (digest, media_type) = (Digest::sha256(&body), IMAGE.to_owned());
        let what = Passed::Pushed { digest, tags: vec![tag], media_type, body };
        Note { registry: REGISTRY.into(), repository: repository(), what, at: self.clock.now() }
    }

    async fn jobs(&self) -> usize {
        self.store.jobs().await.unwrap().len()
    }

    async fn is_emptied(&self) -> bool {
        self.store.repository(REGISTRY, &repository()).await.unwrap().is_some_and(|(row, _)| row.emptied)
    }

    async fn records(&self) -> Vec<String> {
        let all = self.store.list(REGISTRY, Kind::Attributes, None, 100).await.unwrap();
        all.into_iter().map(|one| one.key.name).collect()
    }
}

/// Makes the policy of what the store has, again and again.
async fn follow(store: Arc<Database>, current: Arc<Current>, url: String) {
    let declared = declared(&upstream(&url));
    loop {
        let changes = store.changes(None).await.unwrap();
        let mut stored = StoredPolicy::default();
        for change in changes.changes {
            if let Some(Object::Attributes(attributes)) = &change.object {
                stored.set_attributes(REGISTRY, &change.key.name, Some(attributes), &mut Problems::new());
            }
        }
        stored.set_revision(changes.position.revision.0);
        current.publish(PolicySnapshot::assemble(1, &declared, &stored, None));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn repository() -> RepositoryName {
    RepositoryName::parse(REPOSITORY).unwrap()
}

fn tag(name: &str) -> Tag {
    Tag::parse(name).unwrap()
}

/// A manifest like no other of its number.
fn image(number: u32) -> Value {
    json!({ "schemaVersion": 2, "mediaType": IMAGE, "layers": [], "annotations": { "number": number.to_string() } })
}

fn refused(result: &Result<(), MetadataError>, expected: u16) {
    assert!(matches!(result, Err(MetadataError::Refused { status, .. }) if *status == expected), "{result:?}");
}
