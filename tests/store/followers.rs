//! Readers that follow what is written: order, deletions, what was forgotten, hints.

use std::collections::BTreeMap;
use std::time::Duration;

use seawall::policy::credential::CredentialId;
use seawall::policy::document::TokenStatus;
use seawall::policy::identity::{Guid, IdentityKind};
use seawall::policy::stored::{
    ReplacedPassword, StoredIdentity, StoredNetworks, StoredPassword, StoredRegistry, StoredToken,
};
use seawall::store::{Database, Expected, Kind, LastUse, Object, ObjectKey, Position, Revision, Store, Write};

use crate::place::{Place, at, delete, key, on_both, put, scope_map, soon};

on_both!(
    everything_first_and_then_what_is_new,
    tells_when_it_was_written,
    sees_every_write_once_and_in_order,
    a_reader_of_another_history_reads_everything,
    old_deletions_are_forgotten,
    too_many_deletions_are_forgotten,
    last_uses_of_former_credentials_are_forgotten,
    last_uses_of_former_secrets_are_forgotten,
    own_writes_are_hinted,
);

async fn position(store: &Database) -> Position {
    store.changes(None).await.unwrap().position
}

async fn everything_first_and_then_what_is_new(place: Place) {
    let (writer, reader) = (place.open().await, place.open().await);
    let empty = reader.changes(None).await.unwrap();
    assert!(empty.everything && empty.changes.is_empty());

    writer.write(&[put("a", "one"), put("b", "one")], at(0)).await.unwrap();
    let second = writer.write(&[put("c", "one"), delete("b")], at(1)).await.unwrap();
    let news = reader.changes(Some(&empty.position)).await.unwrap();
    assert!(!news.everything);
    assert_eq!(news.position.revision, second);
    let told: Vec<_> = news.changes.iter().map(|change| (&*change.key.name, change.object.is_some())).collect();
    assert_eq!(told, [("a", true), ("b", false), ("c", true)]);

    let nothing = reader.changes(Some(&news.position)).await.unwrap();
    assert_eq!((nothing.everything, nothing.changes.len(), nothing.position), (false, 0, news.position));
    let all = reader.changes(None).await.unwrap();
    assert!(all.everything && all.changes.iter().all(|change| change.object.is_some()), "{all:?}");
    assert_eq!(all.changes.len(), 2);
}

async fn tells_when_it_was_written(place: Place) {
    let store = place.open().await;
    let start = position(&store).await;
    store.write(&[put("a", "one"), put("b", "one")], at(7)).await.unwrap();
    store.write(&[delete("b")], at(8)).await.unwrap();
    let times: Vec<_> =
        store.changes(Some(&start)).await.unwrap().changes.iter().map(|change| change.written_at).collect();
    assert_eq!(times, [at(7), at(8)]);
}

/// Two processes with four writers each, two readers: none misses a write, sees it twice or sees time go back.
async fn sees_every_write_once_and_in_order(place: Place) {
    const WRITERS: usize = 8;
    const WRITES: usize = 40;
    let stores = [place.open().await, place.open().await];
    let start = position(&stores[0]).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = stores[writer % 2].clone();
            tokio::spawn(async move {
                let mut written = Vec::new();
                for number in 0..WRITES {
                    let name = format!("{writer}-{number}");
                    written.push((name.clone(), store.write(&[put(&name, "")], at(0)).await.unwrap()));
                }
                written
            })
        })
        .collect();
    let readers: Vec<_> = stores
        .iter()
        .map(|store| {
            let (store, mut position) = (store.clone(), start.clone());
            tokio::spawn(async move {
                let mut seen: Vec<(String, Revision)> = Vec::new();
                while seen.len() < WRITERS * WRITES {
                    let news = store.changes(Some(&position)).await.unwrap();
                    assert!(!news.everything);
                    assert!(news.changes.iter().all(|change| change.revision <= news.position.revision));
                    seen.extend(news.changes.into_iter().map(|change| (change.key.name, change.revision)));
                    position = news.position;
                }
                seen
            })
        })
        .collect();
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    written.sort_by_key(|(_, revision)| *revision);
    for reader in readers {
        assert_eq!(soon("the reader", reader).await.unwrap(), written);
    }
}

async fn a_reader_of_another_history_reads_everything(place: Place) {
    let store = place.open().await;
    store.write(&[put("a", "one")], at(0)).await.unwrap();
    let here = position(&store).await;
    let ahead = Position { revision: Revision(here.revision.0 + 1), ..here.clone() };
    let elsewhere = Position { generation: "another".to_owned(), ..here.clone() };
    for strange in [ahead, elsewhere] {
        let all = store.changes(Some(&strange)).await.unwrap();
        assert!(all.everything && all.changes.len() == 1 && all.position == here, "{all:?}");
    }
}

/// Writes to one record until old deletions have been looked after.
async fn go_on_writing(store: &Database, seconds: i64) {
    for _ in 0..256 {
        store.write(&[put("other", "")], at(seconds)).await.unwrap();
    }
}

async fn old_deletions_are_forgotten(place: Place) {
    const DAY: i64 = 86_400;
    let store = place.open().await;
    store.write(&[put("a", "one"), put("b", "one")], at(0)).await.unwrap();
    let before = position(&store).await;
    store.write(&[delete("a")], at(0)).await.unwrap();
    go_on_writing(&store, DAY - 1).await;
    assert!(!store.changes(Some(&before)).await.unwrap().everything, "a day has not gone by");

    let between = position(&store).await;
    go_on_writing(&store, DAY + 1).await;
    let all = store.changes(Some(&before)).await.unwrap();
    let names: Vec<_> = all.changes.iter().map(|change| &*change.key.name).collect();
    assert!(all.everything, "what was deleted since is not known any more");
    assert_eq!(names, ["b", "other"]);
    assert!(!store.changes(Some(&between)).await.unwrap().everything, "who has seen it needs not read all");
    store.write(&[Write { expected: Expected::Absent, ..put("a", "two") }], at(2 * DAY)).await.unwrap();
}

async fn too_many_deletions_are_forgotten(place: Place) {
    let store = place.open().await;
    let names: Vec<String> = (0..10_001).map(|number| format!("map-{number}")).collect();
    let many: Vec<Write> = names.iter().map(|name| put(name, "")).collect();
    store.write(&many, at(0)).await.unwrap();
    let before = position(&store).await;
    let deletions: Vec<Write> = names.iter().map(|name| delete(name)).collect();
    store.write(&deletions[..10_000], at(0)).await.unwrap();
    go_on_writing(&store, 0).await;
    assert_eq!(store.changes(Some(&before)).await.unwrap().changes.len(), 10_001);
    store.write(&deletions[10_000..], at(0)).await.unwrap();
    go_on_writing(&store, 0).await;
    let all = store.changes(Some(&before)).await.unwrap();
    assert!(all.everything && all.changes.len() == 1, "{}", all.changes.len());
}

fn credential(number: u64) -> CredentialId {
    format!("{number:032x}").parse().unwrap()
}

fn password(number: u64, replaced: Option<u64>) -> StoredPassword {
    let replaced =
        replaced.map(|number| ReplacedPassword { id: credential(number), hash: String::new(), until: at(0) });
    StoredPassword {
        name: "password1".to_owned(),
        id: credential(number),
        hash: String::new(),
        creation_time: at(0),
        expiry: None,
        sealed: None,
        replaced,
    }
}

fn token(name: &str, passwords: Vec<StoredPassword>) -> Write {
    let token = StoredToken {
        id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        scope_map: "a".to_owned(),
        additional_scope_maps: Vec::new(),
        status: TokenStatus::Enabled,
        passwords,
        networks: StoredNetworks::default(),
        creation_date: at(0),
    };
    Write { key: key(Kind::Token, name), object: Some(Object::Token(token)), expected: Expected::Anything }
}

/// Of a token that is deleted, of passwords that are replaced; not of those that are there, nor of those of files.
async fn last_uses_of_former_credentials_are_forgotten(place: Place) {
    const DAY: i64 = 86_400;
    let store = place.open().await;
    let admin = StoredRegistry { admin_passwords: vec![password(6, None)], ..StoredRegistry::default() };
    let registry = |admin| {
        let (key, object) = (key(Kind::Registry, ""), Some(Object::Registry(admin)));
        Write { key, object, expected: Expected::Anything }
    };
    let first = [
        token("deleted", vec![password(1, Some(2))]),
        token("replaced", vec![password(3, None)]),
        token("moved", vec![password(5, None)]),
        registry(admin),
    ];
    store.write(&first, at(0)).await.unwrap();
    let address = "192.0.2.1".parse().unwrap();
    let uses: Vec<LastUse> =
        (1..=7).map(|number| LastUse { credential: credential(number), at: at(0), address }).collect();
    store.note_uses(&uses).await.unwrap();
    let known = async || {
        let credentials: Vec<_> = (1..=8).map(credential).collect();
        let known = store.last_uses(&credentials).await.unwrap();
        (1..=8).filter(|number| known.iter().any(|one| one.credential == credential(*number))).collect::<Vec<_>>()
    };
    let second = [
        Write { object: None, ..token("deleted", Vec::new()) },
        token("replaced", vec![password(4, Some(3))]),
        Write { object: None, ..token("moved", Vec::new()) },
        token("here", vec![password(5, None)]),
        registry(StoredRegistry::default()),
    ];
    store.write(&second, at(0)).await.unwrap();
    // A replica that was slower than the end.
    store.note_uses(&[LastUse { credential: credential(1), at: at(1), address }]).await.unwrap();
    go_on_writing(&store, DAY - 1).await;
    assert_eq!(known().await, [1, 2, 3, 4, 5, 6, 7]);
    go_on_writing(&store, DAY + 1).await;
    assert_eq!(known().await, [3, 4, 5, 7]);
    store.write(&[token("replaced", vec![password(8, Some(4))])], at(DAY + 1)).await.unwrap();
    go_on_writing(&store, 2 * DAY + 2).await;
    assert_eq!(known().await, [4, 5, 7]);
}

fn service_principal(secrets: Vec<StoredPassword>) -> Write {
    let guid = |last: u8| Guid::parse(&format!("6f9619ff-8b86-d011-b42d-00c04fc964{last:02x}")).unwrap();
    let identity = StoredIdentity {
        id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        kind: IdentityKind::ServicePrincipal,
        principal_id: guid(1),
        client_id: guid(2),
        tenant_id: None,
        matches: Vec::new(),
        secrets,
        verified_by: None,
        status: TokenStatus::Enabled,
        tags: BTreeMap::new(),
        networks: StoredNetworks::default(),
        creation_date: at(0),
    };
    let key = ObjectKey { registry: String::new(), kind: Kind::Identity, name: "deployer".to_owned() };
    Write { key, object: Some(Object::Identity(identity)), expected: Expected::Anything }
}

/// Of a service principal: one that is replaced, and all when it is deleted.
async fn last_uses_of_former_secrets_are_forgotten(place: Place) {
    const DAY: i64 = 86_400;
    let store = place.open().await;
    let credentials = [credential(1), credential(2)];
    let address = "192.0.2.1".parse().unwrap();
    store.write(&[service_principal(vec![password(1, None), password(2, None)])], at(0)).await.unwrap();
    store.note_uses(&credentials.map(|credential| LastUse { credential, at: at(0), address })).await.unwrap();
    let known = async || store.last_uses(&credentials).await.unwrap().len();
    store.write(&[service_principal(vec![password(2, None)])], at(0)).await.unwrap();
    assert_eq!(known().await, 2);
    go_on_writing(&store, DAY + 1).await;
    assert_eq!(known().await, 1);
    store.write(&[Write { object: None, ..service_principal(Vec::new()) }], at(DAY + 1)).await.unwrap();
    go_on_writing(&store, 2 * DAY + 2).await;
    assert_eq!(known().await, 0);
}

async fn own_writes_are_hinted(place: Place) {
    let store = place.open().await;
    let mut hints = store.hints();
    // A listener that has just begun hints too.
    tokio::time::sleep(Duration::from_millis(300)).await;
    hints.mark_unchanged();
    store.write(&[put("a", "one")], at(0)).await.unwrap();
    assert!(hints.has_changed().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_on_postgres_hint_each_other() {
    let place = Place::postgres();
    let (writer, reader) = (place.open().await, place.open().await);
    let mut hints = reader.hints();
    soon("the reader listens", hints.changed()).await.unwrap();
    let mut known = position(&reader).await;
    for number in 0..20 {
        let revision = writer.write(&[put("a", &number.to_string())], at(0)).await.unwrap();
        soon("a hint", hints.changed()).await.unwrap();
        let mut latest = BTreeMap::new();
        while known.revision < revision {
            let news = reader.changes(Some(&known)).await.unwrap();
            latest.extend(news.changes.into_iter().map(|change| (change.key, change.object)));
            known = news.position;
        }
        assert_eq!(latest[&key(Kind::ScopeMap, "a")], Some(scope_map(&number.to_string())));
    }
}
