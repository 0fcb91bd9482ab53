//! Makes connections of the private endpoints that nobody knows, in state Pending, so that they can be approved by name.
//!
//! Requests only leave a note; here it is written, a batch at a time. Every replica does so, and the first one's record is the
//! one that stays. Whoever reaches a private listener can be such an endpoint, so their number is bounded; what finds no room,
//! or no store, comes again with the endpoint's next request.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::clock::{Clock, Timestamp};
use crate::current::Current;
use crate::observed::UnknownEndpoint;
use crate::policy::Registry;
use crate::policy::document::ConnectionStatus;
use crate::policy::network::{EndpointMark, EndpointMatch, PrivateEndpointConnection};
use crate::policy::stored::StoredPrivateEndpointConnection;
use crate::store::{Expected, Kind, Object, ObjectKey, Record, Store, StoreError, Write};

/// How many connections of a registry may be Pending before no more are made here.
const MOST_PENDING: usize = 50;
/// How many a registry has at most, those of files too (requirements B.4).
const MOST: usize = 200;
/// More than that, as far as the store is asked.
const ASKED: u32 = 1_000;

/// Endpoints that were seen and are not written yet.
pub(in crate::server) struct PendingEndpoints {
    store: Arc<dyn Store>,
    current: Arc<Current>,
    clock: Arc<dyn Clock>,
    seen: HashMap<Arc<str>, BTreeSet<EndpointMark>>,
    /// The attempt that was made last.
    writing: Option<JoinHandle<()>>,
}

impl PendingEndpoints {
    pub(in crate::server) fn new(store: Arc<dyn Store>, current: Arc<Current>, clock: Arc<dyn Clock>) -> Self {
        Self { store, current, clock, seen: HashMap::new(), writing: None }
    }

    /// Remembers as many as could be made.
    pub(super) fn note(&mut self, sightings: &[UnknownEndpoint]) {
        for UnknownEndpoint { registry, mark } in sightings {
            let seen = self.seen.entry(Arc::clone(registry)).or_default();
            if seen.len() < MOST_PENDING {
                seen.insert(mark.clone());
            }
        }
    }

    /// Begins to write what was seen, unless nothing was or the last attempt goes on.
    pub(super) fn write(&mut self) {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let wanted = self.wanted();
        if wanted.is_empty() {
            return;
        }
        let (store, now) = (Arc::clone(&self.store), self.clock.now());
        self.writing = Some(tokio::spawn(async move {
            if let Err(error) = make(store.as_ref(), &wanted, now).await {
                tracing::debug!(%error, "unknown private endpoints were not written");
            }
        }));
    }

    /// What was seen and is unknown still, by registry, as far as there is room: the store is asked for nothing else.
    fn wanted(&mut self) -> Vec<(Arc<Registry>, BTreeSet<EndpointMark>)> {
        let seen = std::mem::take(&mut self.seen);
        let Some(snapshot) = self.current.load() else { return Vec::new() };
        let mut wanted = Vec::new();
        for (name, mut marks) in seen {
            let Some(registry) = snapshot.registry_named(&name) else { continue };
            let known = registry.network.endpoints();
            marks.retain(|mark| known.matching(&EndpointMatch::Mark(mark.clone())).is_none());
            let statuses = known.connections().iter().map(|one| one.status);
            if !marks.is_empty() && room(statuses) > 0 {
                wanted.push((Arc::clone(registry), marks));
            }
        }
        wanted
    }
}

async fn make(
    store: &dyn Store,
    wanted: &[(Arc<Registry>, BTreeSet<EndpointMark>)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut batch = Vec::new();
    for (registry, marks) in wanted {
        // The policy in force may be behind the store.
        let known = store.list(&registry.name, Kind::PrivateEndpointConnection, None, ASKED).await?;
        batch.extend(connections(registry, &known, marks, now));
    }
    for _ in 0..=batch.len() {
        if batch.is_empty() {
            break;
        }
        match store.write(&batch, now).await {
            // Another replica was first, or there is one that cannot be read.
            Err(StoreError::Conflict { key, .. }) => batch.retain(|one| one.key != key),
            Err(error) => return Err(error),
            Ok(_) => {
                for Write { key: ObjectKey { registry, name, .. }, .. } in &batch {
                    tracing::info!(registry, name, "a private endpoint connection waits for approval");
                }
                break;
            }
        }
    }
    Ok(())
}

/// The connections to be made of `marks`, of which some may be known by now.
fn connections(registry: &Registry, known: &[Record], marks: &BTreeSet<EndpointMark>, now: Timestamp) -> Vec<Write> {
    let known: Vec<_> = known.iter().filter_map(stored).collect();
    let declared = registry.declared_endpoints();
    let mut taken: BTreeSet<String> = known.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    taken.extend(declared.connections().iter().map(|one| one.name.to_ascii_lowercase()));
    let statuses = known.iter().map(|(_, one)| one.status);
    let room = room(statuses.chain(declared.connections().iter().map(|one| one.status)));
    let is_known = |matches: &EndpointMatch| {
        declared.matching(matches).is_some()
            || known.iter().any(|(_, one)| EndpointMatch::of_stored(&one.matches).as_ref() == Ok(matches))
    };
    let unknown = marks.iter().map(|mark| (mark, EndpointMatch::Mark(mark.clone())));
    let mut writes = Vec::new();
    for (mark, matches) in unknown.filter(|(_, matches)| !is_known(matches)).take(room) {
        let Some(name) = free_name(mark, &taken) else { continue };
        taken.insert(name.to_ascii_lowercase());
        let connection = StoredPrivateEndpointConnection {
            matches: matches.stored(),
            status: ConnectionStatus::Pending,
            description: String::new(),
            actions_required: None,
            creation_date: now,
        };
        writes.push(Write {
            key: ObjectKey { registry: registry.name.to_string(), kind: Kind::PrivateEndpointConnection, name },
            object: Some(Object::PrivateEndpointConnection(connection)),
            expected: Expected::Absent,
        });
    }
    writes
}

fn stored(record: &Record) -> Option<(&str, &StoredPrivateEndpointConnection)> {
    match &record.object {
        Object::PrivateEndpointConnection(connection) => Some((&record.key.name, connection)),
        Object::Registry(_)
        | Object::ScopeMap(_)
        | Object::Token(_)
        | Object::Key(_)
        | Object::Identity(_)
        | Object::RoleAssignment(_)
        | Object::Attributes(_) => None,
    }
}

/// How many more may be made beside those of these statuses.
fn room(statuses: impl Iterator<Item = ConnectionStatus>) -> usize {
    let (mut all, mut pending) = (0, 0);
    for status in statuses {
        all += 1;
        pending += usize::from(status == ConnectionStatus::Pending);
    }
    MOST_PENDING.saturating_sub(pending).min(MOST.saturating_sub(all))
}

/// Somebody may have given another endpoint's connection this one's usual name.
fn free_name(mark: &EndpointMark, taken: &BTreeSet<String>) -> Option<String> {
    let usual = PrivateEndpointConnection::name_for(mark);
    let further = (2..10).map(|number| {
        let start: String = usual.chars().take(70).collect();
        format!("{start}-{number}")
    });
    std::iter::once(usual.clone()).chain(further).find(|name| !taken.contains(&name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::policy::document::RegistryDocuments;
    use crate::policy::stored::StoredEndpointMatch;
    use crate::policy::{Compiler, PolicySnapshot, StoredPolicy, compile};
    use crate::provider::{MachineReferences, reader, yaml};
    use crate::secret::HashKey;
    use crate::store::{self, Settings, StoreUrl};

    const FILE: &str = "myregistry:
  loginServer: one.example.com
  upstream: { url: http://127.0.0.1:5000 }
  privateEndpointConnections:
  - { name: office, match: { linkId: 1 }, status: Rejected }
  - { name: link-2, match: { linkId: 1002 }, status: Approved }
";

    async fn desk() -> (tempfile::TempDir, Arc<dyn Store>, PendingEndpoints) {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("seawall.db"));
        let store: Arc<dyn Store> = store::open(&Settings::at(url)).await.unwrap();
        let mut problems = crate::policy::problem::Problems::new();
        let tree = yaml::parse("policy.yaml", FILE, &mut problems).unwrap();
        let registries = reader::draft::<RegistryDocuments>(tree, &mut problems).unwrap().whole().unwrap();
        let document = crate::policy::document::PolicyDocument { registries, ..Default::default() };
        let (references, hash_key) = (MachineReferences::default(), HashKey::from_bytes([0; 32]));
        let compiler = Compiler { hash_key: &hash_key, references: &references, now: Timestamp::UNIX_EPOCH };
        let declared = compile(&document, compiler).0.unwrap();
        let current = Arc::new(Current::new());
        current.publish(PolicySnapshot::assemble(1, &declared, &StoredPolicy::default(), None));
        let pending = PendingEndpoints::new(Arc::clone(&store), current, Arc::new(ManualClock::at(7)));
        (folder, store, pending)
    }

    async fn seen(pending: &mut PendingEndpoints, ids: impl IntoIterator<Item = u32>) {
        let sighting = |id| UnknownEndpoint { registry: "myregistry".into(), mark: EndpointMark::LinkId(id) };
        pending.note(&ids.into_iter().map(sighting).collect::<Vec<_>>());
        pending.write();
        if let Some(writing) = pending.writing.take() {
            writing.await.unwrap();
        }
    }

    async fn names(store: &dyn Store) -> Vec<String> {
        let all = store.list("myregistry", Kind::PrivateEndpointConnection, None, 1_000).await.unwrap();
        all.into_iter().map(|one| one.key.name).collect()
    }

    #[tokio::test]
    async fn what_nobody_knows_is_pending_once() {
        let (_folder, store, mut pending) = desk().await;
        // The first is the file's; of the second another one has the name.
        seen(&mut pending, [1, 2, 3]).await;
        seen(&mut pending, [3, 2, 1]).await;
        assert_eq!(names(store.as_ref()).await, ["link-2-2", "link-3"]);
        let records = store.list("myregistry", Kind::PrivateEndpointConnection, None, 10).await.unwrap();
        let expected = StoredPrivateEndpointConnection {
            matches: StoredEndpointMatch::LinkId(2),
            status: ConnectionStatus::Pending,
            description: String::new(),
            actions_required: None,
            creation_date: Timestamp::from_second(7).unwrap(),
        };
        assert_eq!(records[0].object, Object::PrivateEndpointConnection(expected));
        // Deleted, it comes again.
        let delete = Write { key: records[0].key.clone(), object: None, expected: Expected::Anything };
        store.write(&[delete], Timestamp::UNIX_EPOCH).await.unwrap();
        seen(&mut pending, [2]).await;
        assert_eq!(names(store.as_ref()).await, ["link-2-2", "link-3"]);
    }

    #[tokio::test]
    async fn a_flood_makes_fifty_and_a_decision_makes_room() {
        let (_folder, store, mut pending) = desk().await;
        seen(&mut pending, 1_000..11_000).await;
        seen(&mut pending, 20_000..30_000).await;
        let made = names(store.as_ref()).await;
        assert_eq!(made.len(), 50);
        let rejected = StoredPrivateEndpointConnection {
            matches: StoredEndpointMatch::LinkId(1_000),
            status: ConnectionStatus::Rejected,
            description: String::new(),
            actions_required: None,
            creation_date: Timestamp::UNIX_EPOCH,
        };
        let key = ObjectKey {
            registry: "myregistry".to_owned(),
            kind: Kind::PrivateEndpointConnection,
            name: "link-1000".to_owned(),
        };
        let object = Some(Object::PrivateEndpointConnection(rejected.clone()));
        let write = Write { key: key.clone(), object, expected: Expected::Anything };
        store.write(&[write], Timestamp::UNIX_EPOCH).await.unwrap();
        seen(&mut pending, [1_000, 20_000, 20_001]).await;
        let made = names(store.as_ref()).await;
        assert_eq!(made.len(), 51);
        assert!(made.contains(&"link-20000".to_owned()));
        let kept = store.get(&key).await.unwrap().unwrap();
        assert_eq!(kept.object, Object::PrivateEndpointConnection(rejected), "Rejected stays so");
    }

    /// Of several replicas that see the same one the first writes, and the others' further ones are written too.
    #[tokio::test]
    async fn another_replica_may_have_been_first() {
        let (_folder, store, mut pending) = desk().await;
        let snapshot = pending.current.load().unwrap();
        let marks = |ids: &[u32]| ids.iter().map(|id| EndpointMark::LinkId(*id)).collect::<BTreeSet<_>>();
        let registry = Arc::clone(&snapshot.registries()[0]);
        let theirs = connections(&registry, &[], &marks(&[3, 4]), Timestamp::UNIX_EPOCH);
        seen(&mut pending, [4, 5]).await;
        assert!(matches!(store.write(&theirs, Timestamp::UNIX_EPOCH).await, Err(StoreError::Conflict { .. })));
        make(store.as_ref(), &[(registry, marks(&[3, 4]))], Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(names(store.as_ref()).await, ["link-3", "link-4", "link-5"]);
    }
}
