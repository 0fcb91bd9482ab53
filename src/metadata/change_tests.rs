//! What changes upstreams, against one that fails on demand: tags and repositories go, attributes come.

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
        let fake = Fake::start(move |asked| Some(answering.lock().unwrap().answer(asked))).await;
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

#[tokio::test]
async fn a_tag_goes_and_its_manifest_stays() {
    for tag_deletion in [202, 405, 400] {
        let house = House::new().await;
        house.world().tag_deletion = tag_deletion;
        let digest = house.world().push(&["v1", "v2"], &image(1));
        house.untag("v1").await.unwrap();
        house.has(&["v2"], &[&digest]);
        assert_eq!(house.jobs().await, 0);
        assert_eq!(house.untag("v1").await, Err(MetadataError::Unknown(ErrorCode::ManifestUnknown)));
        house.untag("v2").await.unwrap();
        house.has(&[], &[&digest]);
        let tries = house
            .fake
            .lines()
            .iter()
            .filter(|line| line.starts_with("DELETE") && line.contains("/manifests/v"))
            .count();
        assert_eq!(tries, if tag_deletion == 202 { 2 } else { 1 }, "that it cannot is remembered");
    }
}

/// Some registries take a tag for the manifest's name.
#[tokio::test]
async fn a_manifest_that_went_with_its_tag_comes_back() {
    let house = House::new().await;
    house.world().tag_deletion = 0;
    let digest = house.world().push(&["v1", "v2"], &image(1));
    house.metadata.tags(&house.registry(), &repository(), &super::Part::default(), None).await.unwrap();
    house.untag("v1").await.unwrap();
    house.has(&["v2"], &[&digest]);
}

#[tokio::test]
async fn an_upstream_that_deletes_nothing_keeps_its_tag() {
    let house = House::new().await;
    house.world().deletion = false;
    let digest = house.world().push(&["v1"], &image(1));
    refused(&house.untag("v1").await, 405);
    assert_eq!(house.world().tags["v1"], digest.as_str());
    assert_eq!(house.jobs().await, 0);
    let deleted = house.delete().await;
    assert!(matches!(deleted, Err(MetadataError::Refused { status: 405, .. })), "{deleted:?}");
    assert_eq!(house.jobs().await, 0);
    assert!(!house.is_emptied().await);
}

/// How often the upstream is asked to delete one manifest before somebody else is left to go on.
const UNTAG_ATTEMPTS: usize = 6;
const DELETE_ATTEMPTS: usize = 5;

/// Distribution 2 may fail half-way: the manifest is gone, and its tag is listed still.
#[tokio::test]
async fn a_deletion_that_fails_once_is_tried_again() {
    let house = House::new().await;
    let digest = house.world().push(&["v1", "v2"], &image(1));
    house.world().faults.push("DELETE /v2/samples/a/manifests/sha256");
    house.untag("v1").await.unwrap();
    house.has(&["v2"], &[&digest]);
    house.world().faults.push("DELETE ");
    assert_eq!(house.delete().await.unwrap().manifests, [digest]);
    house.has(&[], &[]);
}

/// Whatever step fails, another replica finishes it.
#[tokio::test]
async fn an_untag_that_was_interrupted_is_finished() {
    for (fault, times) in [
        ("POST ", 1),
        ("PUT /v2/samples/a/blobs", 1),
        ("PUT /v2/samples/a/manifests", 1),
        ("DELETE /v2/samples/a/manifests/sha256", UNTAG_ATTEMPTS),
    ] {
        let house = House::new().await;
        let digest = house.world().push(&["v1", "v2"], &image(1));
        house.world().faults.extend(vec![fault; times]);
        let failed = house.untag("v1").await;
        assert!(matches!(failed, Err(MetadataError::Unfinished { .. })), "{fault}: {failed:?}");
        assert_eq!(house.jobs().await, 1, "{fault}");
        house.metadata.finish_jobs_once().await;
        assert_eq!(house.jobs().await, 1, "whoever began it may be at it still");
        house.clock.advance(61);
        house.metadata.finish_jobs_once().await;
        assert_eq!(house.jobs().await, 0, "{fault}");
        house.has(&["v2"], &[&digest]);
    }
}

#[tokio::test]
async fn a_tag_that_was_pushed_meanwhile_stays() {
    let house = House::new().await;
    let digest = house.world().push(&["v1"], &image(1));
    house.world().faults.extend(["DELETE /v2/samples/a/manifests/sha256"; UNTAG_ATTEMPTS]);
    house.untag("v1").await.unwrap_err();
    let other = house.world().push(&["v1"], &image(2));
    house.clock.advance(61);
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 0);
    house.has(&["v1"], &[&digest, &other]);
}

/// Work that was left is no way past a lock, and does not take a new lock along.
#[tokio::test]
async fn what_was_locked_since_is_not_deleted_by_work_that_was_left() {
    let locked = AttributesChange { delete_enabled: Some(false), ..AttributesChange::default() };
    for whole in [true, false] {
        let house = House::new().await;
        let digest = house.world().push(&["v1"], &image(1));
        house.world().faults.extend(["DELETE /v2/samples/a/manifests/sha256"; UNTAG_ATTEMPTS]);
        let target = LockTarget::Tag(repository(), tag("v1"));
        if whole {
            house.delete().await.unwrap_err();
        } else {
            house.world().faults.push("POST ");
            house.untag("v1").await.unwrap_err();
        }
        house.world().faults.clear();
        house.clock.advance(61);
        house.set(&target, &locked).await.unwrap();
        house.metadata.finish_jobs_once().await;
        assert_eq!(house.jobs().await, 0, "it is given up");
        house.has(&["v1"], &[&digest]);
        assert_eq!(house.records().await, ["samples/a:v1"]);
    }
}

#[tokio::test]
async fn what_cannot_be_finished_in_a_day_is_given_up() {
    let house = House::new().await;
    house.world().push(&["v1"], &image(1));
    house.world().faults.extend(["POST ", "POST "]);
    house.untag("v1").await.unwrap_err();
    house.clock.advance(3_600);
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 1);
    house.clock.advance(24 * 3_600);
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 0);
    assert!(house.world().tags.contains_key("v1"));
}

#[tokio::test]
async fn a_repository_goes_with_all_its_manifests_an_index_before_what_is_in_it() {
    let house = House::new().await;
    let child = house.world().push(&[], &image(1));
    let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": child, "size": 1, "mediaType": IMAGE }] });
    let index = house.world().push(&["all"], &index);
    let many: Vec<_> = (10..30).map(|number| house.world().push(&[&format!("v{number}")], &image(number))).collect();
    let deleted = house.delete().await.unwrap();
    house.has(&[], &[]);
    assert_eq!(deleted.manifests.len(), 22);
    assert_eq!(deleted.tags.len(), 21);
    let lines = house.fake.lines();
    let at = |digest: &Digest| {
        lines.iter().position(|line| line.ends_with(&format!("DELETE /v2/samples/a/manifests/{digest}")))
    };
    assert!(at(&index).unwrap() < at(&child).unwrap());
    assert!(many.iter().all(|digest| at(digest).is_some()));
    assert!(house.is_emptied().await);
    assert_eq!(house.jobs().await, 0);
    assert_eq!(house.delete().await, Err(MetadataError::Unknown(ErrorCode::NameUnknown)));
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_is_finished_and_spares_what_was_pushed_since() {
    let house = House::new().await;
    let old: Vec<_> = (0..20).map(|number| house.world().push(&[&format!("v{number}")], &image(number))).collect();
    house.world().faults.extend(["DELETE "; DELETE_ATTEMPTS]);
    let failed = house.delete().await;
    let Err(MetadataError::Unfinished { done, all, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!((done, all), (0, 20), "the first one failed, again and again");
    assert!(!house.is_emptied().await);
    house.clock.advance(61);
    let new = house.world().push(&["new"], &image(100));
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 0);
    house.has(&["new"], &[&new]);
    assert!(!house.is_emptied().await, "somebody uses it");
    assert!(old.iter().all(|digest| *digest != new));
}

/// The very manifest that is to go is pushed again before it went.
#[tokio::test]
async fn what_is_pushed_again_meanwhile_stays() {
    let house = House::new().await;
    let digest = house.world().push(&["v1"], &image(1));
    house.world().faults.extend(["DELETE "; DELETE_ATTEMPTS]);
    house.delete().await.unwrap_err();
    house.clock.advance(61);
    let body = Bytes::from(image(1).to_string());
    let what = Passed::Pushed { digest: digest.clone(), tags: vec![tag("v1")], media_type: IMAGE.to_owned(), body };
    let at = house.clock.now();
    house.metadata.keep(Note { registry: REGISTRY.into(), repository: repository(), what, at }).await.unwrap();
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 0);
    house.has(&["v1"], &[&digest]);
    assert!(!house.is_emptied().await);
}

#[tokio::test]
async fn attributes_are_kept_where_they_are_not_all_on() {
    let house = House::new().await;
    let digest = house.world().push(&["v1"], &image(1));
    let off = AttributesChange { write_enabled: Some(false), ..AttributesChange::default() };
    for target in [
        LockTarget::Repository(repository()),
        LockTarget::Tag(repository(), tag("v1")),
        LockTarget::Manifest(repository(), digest),
    ] {
        house.set(&target, &off).await.unwrap();
        let now = house.clock.now();
        let expected = Attributes { write_enabled: false, ..Attributes::default() };
        assert_eq!(house.registry().locks().effective(&target, now), expected, "in force when it is answered");
        let more = AttributesChange { list_enabled: Some(false), ..AttributesChange::default() };
        house.set(&target, &more).await.unwrap();
        let expected = Attributes { list_enabled: false, ..expected };
        assert_eq!(house.registry().locks().effective(&target, now), expected, "the other one stays");
        assert_eq!(house.records().await, [target.to_string()]);
        let on =
            AttributesChange { write_enabled: Some(true), list_enabled: Some(true), ..AttributesChange::default() };
        house.set(&target, &on).await.unwrap();
        assert_eq!(house.registry().locks().effective(&target, now), Attributes::default());
        assert!(house.records().await.is_empty(), "what is as it always is needs no record");
    }
    let unknown = LockTarget::Tag(repository(), tag("none"));
    assert_eq!(house.set(&unknown, &off).await, Err(MetadataError::Unknown(ErrorCode::ManifestUnknown)));
}

#[tokio::test]
async fn an_unlock_ends_by_itself_or_when_it_is_told_to() {
    let house = House::new().await;
    house.world().push(&["v1"], &image(1));
    let target = LockTarget::Tag(repository(), tag("v1"));
    let unlock = |unlock| AttributesChange { unlock: Some(unlock), ..AttributesChange::default() };
    let half_an_hour = || Some((Duration::from_mins(30), "a fix".to_owned()));
    let is_open = |house: &House| house.registry().locks().effective(&target, house.clock.now()).write_enabled;
    let off = AttributesChange { write_enabled: Some(false), ..AttributesChange::default() };
    house.set(&target, &off).await.unwrap();
    house.set(&target, &unlock(half_an_hour())).await.unwrap();
    assert!(is_open(&house));
    let stored = house.registry().locks().stored(&target).unwrap().unlock.clone().unwrap();
    assert_eq!((stored.by.as_str(), stored.reason.as_str()), ("alice", "a fix"));
    house.clock.advance(1_800);
    assert!(!is_open(&house));
    house.set(&target, &unlock(half_an_hour())).await.unwrap();
    assert!(is_open(&house));
    house.set(&target, &unlock(None)).await.unwrap();
    assert!(!is_open(&house));
    let too_long = Some((Duration::from_hours(25), "a fix".to_owned()));
    for wrong in [too_long, Some((Duration::from_mins(1), " ".to_owned()))] {
        let answer = house.set(&target, &unlock(wrong)).await;
        assert!(matches!(answer, Err(MetadataError::Invalid(_))), "{answer:?}");
    }
}

/// Else what comes under the name next would be locked, and nobody could say why.
#[tokio::test]
async fn attributes_go_with_what_they_are_of_and_can_be_changed_when_it_is_gone() {
    let house = House::new().await;
    house.world().push(&["v1", "v2"], &image(1));
    let hidden = AttributesChange { list_enabled: Some(false), ..AttributesChange::default() };
    let (one, other) = (LockTarget::Tag(repository(), tag("v1")), LockTarget::Tag(repository(), tag("v2")));
    house.set(&one, &hidden).await.unwrap();
    house.set(&other, &hidden).await.unwrap();
    house.untag("v1").await.unwrap();
    assert_eq!(house.records().await, ["samples/a:v2"]);
    let digest = house.world().tags.remove("v2").unwrap();
    let on = AttributesChange { list_enabled: Some(true), ..AttributesChange::default() };
    house.set(&other, &on).await.unwrap();
    assert!(house.records().await.is_empty());
    house.world().tags.insert("v2".to_owned(), digest);
    house.set(&other, &hidden).await.unwrap();
    house.set(&LockTarget::Repository(repository()), &hidden).await.unwrap();
    house.delete().await.unwrap();
    assert!(house.records().await.is_empty());
}

#[tokio::test]
async fn writers_of_the_same_attributes_do_not_lose_each_other() {
    let house = House::new().await;
    house.world().push(&["v1"], &image(1));
    let target = LockTarget::Tag(repository(), tag("v1"));
    let off = |which: usize| AttributesChange {
        delete_enabled: (which == 0).then_some(false),
        write_enabled: (which == 1).then_some(false),
        read_enabled: (which == 2).then_some(false),
        list_enabled: (which == 3).then_some(false),
        unlock: None,
    };
    let changes = [off(0), off(1), off(2), off(3)];
    let [a, b, c, d] = &changes;
    let all = tokio::join!(house.set(&target, a), house.set(&target, b), house.set(&target, c), house.set(&target, d));
    assert_eq!(all, (Ok(()), Ok(()), Ok(()), Ok(())));
    assert_eq!(house.registry().locks().effective(&target, house.clock.now()), Attributes::NONE);
}
