//! What every store does: records, expectations, lists, last uses.

use std::net::IpAddr;
use std::time::Duration;

use seawall::policy::credential::{CredentialId, PrincipalId};
use seawall::policy::document::{ConnectionStatus, NetworkAction, TokenStatus};
use seawall::policy::identity::{Guid, IdentityKind};
use seawall::policy::locks::{Attributes, StoredAttributes, Unlock};
use seawall::policy::stored::{
    ActionsRequired, StoredClaimRule, StoredEndpointMatch, StoredGrants, StoredIdentity, StoredIpRule, StoredNetworks,
    StoredPassword, StoredPrivateEndpointConnection, StoredRegistry, StoredRoleAssignment, StoredToken,
    StoredVirtualNetworkMatch, StoredVirtualNetworkRule,
};
use seawall::secret::{EncryptionKey, Sealed, Secret};
use seawall::store::{
    Expected, KeyPurpose, Kind, LastUse, Object, ObjectKey, Position, Record, Revision, Store, StoreError, StoredKey,
    Write, open,
};

use crate::place::{Place, at, delete, key, on_both, put, scope_map};

on_both!(
    keeps_every_kind_of_record,
    keeps_what_it_has_acknowledged,
    writes_all_of_a_batch_or_nothing,
    tells_what_it_found_instead,
    a_deleted_record_may_come_again,
    a_batch_sees_its_own_writes,
    lists_by_name_in_byte_order_and_in_pages,
    registries_and_kinds_are_apart,
    a_name_that_cannot_be_is_not_found_and_not_written,
    takes_large_batches,
    no_update_is_lost,
    what_is_abandoned_is_done_or_undone,
    keeps_the_latest_use,
    keeps_many_uses,
    opens_at_once_for_many,
);

fn sealed() -> Sealed {
    EncryptionKey::of_secret(&Secret::new("key")).seal(&["admin"], &Secret::new("hunter2")).unwrap()
}

fn credential(number: u64) -> CredentialId {
    format!("{number:032x}").parse().unwrap()
}

fn token() -> StoredToken {
    let password = StoredPassword {
        name: "password1".to_owned(),
        id: credential(7),
        hash: "$seawall-hmac-sha256$AAAA".to_owned(),
        creation_time: at(1),
        expiry: Some(at(2)),
        sealed: Some(sealed()),
        replaced: None,
    };
    StoredToken {
        id: "0123456789abcdef0123456789abcdef".parse::<PrincipalId>().unwrap(),
        scope_map: "samples".to_owned(),
        additional_scope_maps: vec!["more".to_owned()],
        status: TokenStatus::Disabled,
        passwords: vec![password],
        networks: StoredNetworks::default(),
        creation_date: at(0),
    }
}

fn registry() -> StoredRegistry {
    let rule = StoredIpRule {
        value: "203.0.113.0/24".to_owned(),
        action: NetworkAction::Deny,
        name: Some("Büro \"eins\"\n\0".to_owned()),
    };
    StoredRegistry {
        admin_user_enabled: Some(true),
        anonymous_pull_repositories: Some(vec!["public/*".to_owned()]),
        ip_rules: Some(vec![rule]),
        virtual_network_rules: Some(vec![StoredVirtualNetworkRule {
            name: "build".to_owned(),
            id: Some("/subscriptions/s/subnets/n".to_owned()),
            matches: StoredVirtualNetworkMatch::SourceNetwork("10.0.0.0/8".to_owned()),
        }]),
        ..StoredRegistry::default()
    }
}

fn signing_key() -> StoredKey {
    StoredKey {
        id: "k1".to_owned(),
        purpose: KeyPurpose::Signing,
        algorithm: Some("RS256".to_owned()),
        creation_date: at(0),
        active_from: at(5),
        retires_at: None,
        sealed: sealed(),
        certificate: Some("-----BEGIN CERTIFICATE-----\n".to_owned()),
    }
}

const ASSIGNED: &str = "00000000-0000-0000-0000-00000000000a";

/// The key of what belongs to the whole installation.
fn of_all(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { registry: String::new(), kind, name: name.to_owned() }
}

fn guid(number: u8) -> Guid {
    Guid::parse(&format!("00000000-0000-0000-0000-0000000000{number:02x}")).unwrap()
}

fn identity() -> StoredIdentity {
    let claims = [("sub".to_owned(), "jané".to_owned()), ("/a/b".to_owned(), "*".to_owned())].into();
    StoredIdentity {
        id: "0123456789abcdef0123456789abcdef".parse::<PrincipalId>().unwrap(),
        kind: IdentityKind::ServicePrincipal,
        principal_id: guid(1),
        client_id: guid(2),
        tenant_id: Some(guid(3)),
        matches: vec![StoredClaimRule { provider: "corp".to_owned(), claims }],
        secrets: token().passwords,
        verified_by: Some("corp".to_owned()),
        status: TokenStatus::Disabled,
        tags: [("team".to_owned(), "a".to_owned())].into(),
        networks: StoredNetworks::default(),
        creation_date: at(3),
    }
}

fn assignment(grants: StoredGrants) -> StoredRoleAssignment {
    StoredRoleAssignment {
        principal_id: guid(1),
        grants,
        repositories: Some(vec!["samples/*".to_owned()]),
        description: Some("for the build".to_owned()),
        created_by: "owner".to_owned(),
        creation_date: at(4),
    }
}

fn connection() -> StoredPrivateEndpointConnection {
    StoredPrivateEndpointConnection {
        matches: StoredEndpointMatch::PscConnectionId(u64::MAX),
        status: ConnectionStatus::Approved,
        description: "for “Büro”".to_owned(),
        actions_required: Some(ActionsRequired::Recreate),
        creation_date: at(6),
    }
}

fn attributes() -> StoredAttributes {
    StoredAttributes {
        attributes: Attributes { write_enabled: false, ..Attributes::default() },
        unlock: Some(Unlock { until: at(7), reason: "for “Büro”".to_owned(), by: "owner".to_owned() }),
        last_update_time: at(6),
    }
}

async fn keeps_every_kind_of_record(place: Place) {
    let store = place.open().await;
    let objects = [
        (key(Kind::Registry, ""), Object::Registry(registry())),
        (key(Kind::ScopeMap, "samples"), scope_map("for “samples”")),
        (key(Kind::Token, "ci-push"), Object::Token(token())),
        (of_all(Kind::Key, "k1"), Object::Key(signing_key())),
        (of_all(Kind::Identity, "jane.doe@example.com"), Object::Identity(identity())),
        (key(Kind::PrivateEndpointConnection, "psc"), Object::PrivateEndpointConnection(connection())),
        (key(Kind::Attributes, "team/app:v1"), Object::Attributes(attributes())),
        (
            of_all(Kind::RoleAssignment, ASSIGNED),
            Object::RoleAssignment(assignment(StoredGrants::Role("Owner".into()))),
        ),
        (
            key(Kind::RoleAssignment, ASSIGNED),
            Object::RoleAssignment(assignment(StoredGrants::ScopeMap("samples".into()))),
        ),
    ];
    let batch: Vec<Write> = objects
        .iter()
        .map(|(key, object)| Write { key: key.clone(), object: Some(object.clone()), expected: Expected::Absent })
        .collect();
    let revision = store.write(&batch, at(0)).await.unwrap();
    for (key, object) in objects {
        let record = Record { key: key.clone(), object, revision };
        assert_eq!(store.get(&key).await.unwrap().as_ref(), Some(&record));
        assert_eq!(store.list(&key.registry, key.kind, None, 10).await.unwrap(), [record]);
        assert_eq!(store.count(&key.registry, key.kind).await.unwrap(), 1);
    }
    assert_eq!(store.get(&key(Kind::Token, "CI-PUSH")).await.unwrap(), None, "names are exact");
}

async fn keeps_what_it_has_acknowledged(place: Place) {
    let first = place.open().await;
    let revision = first.write(&[put("a", "one")], at(0)).await.unwrap();
    drop(first);
    let again = place.open().await;
    assert_eq!(again.get(&key(Kind::ScopeMap, "a")).await.unwrap().unwrap().revision, revision);
    assert_eq!(again.write(&[put("b", "two")], at(0)).await.unwrap(), Revision(revision.0 + 1));
}

async fn writes_all_of_a_batch_or_nothing(place: Place) {
    let store = place.open().await;
    let revision = store.write(&[put("a", "one")], at(0)).await.unwrap();
    let refused = [
        put("b", "new"),
        delete("a"),
        Write { expected: Expected::Absent, ..put("c", "new") },
        Write { expected: Expected::At(revision), ..put("d", "there is none") },
    ];
    assert!(matches!(store.write(&refused, at(0)).await, Err(StoreError::Conflict { .. })));
    let names: Vec<_> = store.list("myregistry", Kind::ScopeMap, None, 10).await.unwrap();
    assert_eq!(names.iter().map(|record| &*record.key.name).collect::<Vec<_>>(), ["a"]);
    assert_eq!(store.write(&[], at(0)).await.unwrap(), revision, "what was refused has no revision");
}

async fn tells_what_it_found_instead(place: Place) {
    let store = place.open().await;
    let first = store.write(&[put("a", "one")], at(0)).await.unwrap();
    let second = store.write(&[Write { expected: Expected::At(first), ..put("a", "two") }], at(0)).await.unwrap();
    let cases = [
        (Expected::At(first), "a", Some(second)),
        (Expected::Absent, "a", Some(second)),
        (Expected::At(second), "b", None),
    ];
    for (expected, name, instead) in cases {
        for object in [Some(scope_map("three")), None] {
            let write = Write { key: key(Kind::ScopeMap, name), object, expected };
            match store.write(&[write], at(0)).await {
                Err(StoreError::Conflict { key, found }) => assert_eq!((&*key.name, found), (name, instead)),
                other => panic!("{expected:?} of {name}: {other:?}"),
            }
        }
    }
}

async fn a_deleted_record_may_come_again(place: Place) {
    let store = place.open().await;
    let first = store.write(&[put("a", "one")], at(0)).await.unwrap();
    store.write(&[Write { expected: Expected::At(first), ..delete("a") }], at(0)).await.unwrap();
    assert_eq!(store.get(&key(Kind::ScopeMap, "a")).await.unwrap(), None);
    assert_eq!(store.count("myregistry", Kind::ScopeMap).await.unwrap(), 0);
    store.write(&[delete("a")], at(0)).await.unwrap();
    let gone = store.write(&[Write { expected: Expected::At(first), ..put("a", "two") }], at(0)).await;
    assert!(matches!(gone, Err(StoreError::Conflict { found: None, .. })), "{gone:?}");
    store.write(&[Write { expected: Expected::Absent, ..put("a", "two") }], at(0)).await.unwrap();
    assert_eq!(store.get(&key(Kind::ScopeMap, "a")).await.unwrap().unwrap().object, scope_map("two"));
}

async fn a_batch_sees_its_own_writes(place: Place) {
    let store = place.open().await;
    let batch = [
        Write { expected: Expected::Absent, ..put("a", "one") },
        delete("a"),
        Write { expected: Expected::Absent, ..put("a", "two") },
    ];
    store.write(&batch, at(0)).await.unwrap();
    assert_eq!(store.get(&key(Kind::ScopeMap, "a")).await.unwrap().unwrap().object, scope_map("two"));
}

async fn lists_by_name_in_byte_order_and_in_pages(place: Place) {
    let store = place.open().await;
    let names = ["", "-", "A", "B-1", "B1", "Z", "_", "a", "b", "ä", "字"];
    let batch: Vec<Write> = names.iter().rev().map(|name| put(name, name)).collect();
    store.write(&batch, at(0)).await.unwrap();
    let mut listed: Vec<String> = Vec::new();
    loop {
        let after = listed.last().map(String::as_str);
        let page = store.list("myregistry", Kind::ScopeMap, after, 4).await.unwrap();
        listed.extend(page.iter().map(|record| record.key.name.clone()));
        if page.len() < 4 {
            break;
        }
    }
    assert_eq!(listed, names);
    let after_none_of_them = store.list("myregistry", Kind::ScopeMap, Some("B0"), 1).await.unwrap();
    assert_eq!(after_none_of_them[0].key.name, "B1");
}

async fn registries_and_kinds_are_apart(place: Place) {
    let store = place.open().await;
    let other = ObjectKey { registry: "MyRegistry".to_owned(), ..key(Kind::ScopeMap, "a") };
    let batch =
        [put("a", "one"), Write { key: other.clone(), object: Some(scope_map("two")), expected: Expected::Absent }];
    store.write(&batch, at(0)).await.unwrap();
    store.write(&[delete("a")], at(0)).await.unwrap();
    assert_eq!(store.get(&other).await.unwrap().unwrap().object, scope_map("two"));
    assert_eq!(store.count("MyRegistry", Kind::ScopeMap).await.unwrap(), 1);
    assert_eq!(store.count("MyRegistry", Kind::Token).await.unwrap(), 0);
    assert_eq!(store.list("myregistry", Kind::ScopeMap, None, 10).await.unwrap(), []);
}

async fn a_name_that_cannot_be_is_not_found_and_not_written(place: Place) {
    let store = place.open().await;
    assert_eq!(store.get(&key(Kind::ScopeMap, "a\0")).await.unwrap(), None);
    assert_eq!(store.list("a\0", Kind::ScopeMap, None, 1).await.unwrap(), []);
    assert_eq!(store.count("a\0", Kind::ScopeMap).await.unwrap(), 0);
    assert!(matches!(store.write(&[put("a\0", "")], at(0)).await, Err(StoreError::Unusable(_))));
    let mixed_up = Write { key: key(Kind::Token, "a"), ..put("a", "") };
    assert!(matches!(store.write(&[mixed_up], at(0)).await, Err(StoreError::Unusable(_))));
}

async fn takes_large_batches(place: Place) {
    let store = place.open().await;
    let batch: Vec<Write> = (0..5_000).map(|number| put(&format!("map-{number:05}"), "one of many")).collect();
    let revision = store.write(&batch, at(0)).await.unwrap();
    assert_eq!(store.count("myregistry", Kind::ScopeMap).await.unwrap(), 5_000);
    let everything = store.changes(None).await.unwrap();
    let written = || batch.iter().map(|write| &write.key);
    assert!(everything.changes.iter().map(|change| &change.key).eq(written()), "each once, in the order of names");
    assert!(everything.changes.iter().all(|change| change.revision == revision));
    let since = Position { revision: Revision(revision.0 - 1), ..everything.position };
    let news = store.changes(Some(&since)).await.unwrap();
    assert!(!news.everything && news.changes.iter().map(|change| &change.key).eq(written()));
}

/// Four writers of two processes add to one record; each reads it, and tries again on a conflict.
async fn no_update_is_lost(place: Place) {
    const TIMES: usize = 25;
    let stores = [place.open().await, place.open().await];
    stores[0].write(&[put("counter", "")], at(0)).await.unwrap();
    let writers = (0..4).map(|writer| {
        let store = stores[writer % 2].clone();
        tokio::spawn(async move {
            let mut done = 0;
            while done < TIMES {
                let record = store.get(&key(Kind::ScopeMap, "counter")).await.unwrap().unwrap();
                let Object::ScopeMap(map) = record.object else { panic!("another kind") };
                let write =
                    Write { expected: Expected::At(record.revision), ..put("counter", &(map.description + "+")) };
                match store.write(&[write], at(0)).await {
                    Ok(_) => done += 1,
                    Err(StoreError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let record = stores[1].get(&key(Kind::ScopeMap, "counter")).await.unwrap().unwrap();
    assert_eq!(record.object, scope_map(&"+".repeat(4 * TIMES)));
}

/// Callers stop waiting at every possible moment, as when their clients go away.
async fn what_is_abandoned_is_done_or_undone(place: Place) {
    let store = place.open().await;
    for number in 0..200_u64 {
        let batch = [put(&format!("left-{number}"), ""), put(&format!("right-{number}"), "")];
        let _ = tokio::time::timeout(Duration::from_micros(number * 20), store.write(&batch, at(0))).await;
    }
    store.write(&[put("last", "")], at(0)).await.unwrap();
    let changes = store.changes(None).await.unwrap().changes;
    let side = |side: &str| changes.iter().filter(|change| change.key.name.starts_with(side)).count();
    assert_eq!(side("left"), side("right"));
}

async fn keeps_the_latest_use(place: Place) {
    let store = place.open().await;
    let seen = |number, seconds, address: &str| LastUse {
        credential: credential(number),
        at: at(seconds),
        address: address.parse::<IpAddr>().unwrap(),
    };
    store.note_uses(&[]).await.unwrap();
    store.note_uses(&[seen(1, 10, "192.0.2.1"), seen(2, 10, "192.0.2.2"), seen(1, 11, "2001:db8::1")]).await.unwrap();
    store.note_uses(&[seen(1, 5, "192.0.2.9"), seen(2, 20, "192.0.2.3")]).await.unwrap();
    let mut found = store.last_uses(&[credential(1), credential(2), credential(3)]).await.unwrap();
    found.sort_by_key(|one| one.credential);
    assert_eq!(found, [seen(1, 11, "2001:db8::1"), seen(2, 20, "192.0.2.3")]);
    assert_eq!(store.last_uses(&[]).await.unwrap(), []);
}

/// Two replicas note the same credentials in opposite orders.
async fn keeps_many_uses(place: Place) {
    let stores = [place.open().await, place.open().await];
    let address = "192.0.2.1".parse().unwrap();
    let uses: Vec<LastUse> =
        (0..2_500).map(|number| LastUse { credential: credential(number), at: at(0), address }).collect();
    let backwards: Vec<LastUse> = uses.iter().rev().copied().collect();
    let (one, other) = tokio::join!(stores[0].note_uses(&uses), stores[1].note_uses(&backwards));
    one.unwrap();
    other.unwrap();
    let credentials: Vec<CredentialId> = uses.iter().map(|one| one.credential).collect();
    assert_eq!(stores[0].last_uses(&credentials).await.unwrap().len(), 2_500);
}

async fn opens_at_once_for_many(place: Place) {
    let settings = place.settings();
    let opening = (0..6).map(|_| {
        let settings = settings.clone();
        tokio::spawn(async move { open(&settings).await.unwrap() })
    });
    let mut stores = Vec::new();
    for one in opening.collect::<Vec<_>>() {
        stores.push(one.await.unwrap());
    }
    let mut positions = Vec::new();
    for store in &stores {
        positions.push(store.changes(None).await.unwrap().position);
    }
    assert!(positions.iter().all(|position| *position == positions[0]), "one history: {positions:?}");
}
