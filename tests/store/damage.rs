//! Databases that this version should not touch, or cannot read in part.

use seawall::policy::stored::StoredRegistry;
use seawall::store::{Change, Changes, Expected, Kind, Object, Store, StoreError, Write, open};

use crate::place::{Place, at, delete, key, on_both, put};

on_both!(
    a_newer_database_is_refused,
    one_damaged_record_keeps_nobody_from_the_others,
    lists_leave_out_what_cannot_be_read_and_nothing_else,
    properties_of_a_newer_version_are_not_overlooked,
    what_only_a_newer_version_knows_is_passed_over,
);

async fn a_newer_database_is_refused(place: Place) {
    drop(place.open().await);
    place.execute("INSERT INTO seawall_schema (version) VALUES (99)").await;
    match open(&place.settings()).await {
        Err(StoreError::Unusable(reason)) => assert!(reason.contains("version 99"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

/// Each concerns itself only, and whoever enforces what is read learns which it is.
async fn one_damaged_record_keeps_nobody_from_the_others(place: Place) {
    let store = place.open().await;
    store.write(&[put("a", "one"), put("b", "one"), put("c", "one")], at(0)).await.unwrap();
    let start = store.changes(None).await.unwrap().position;
    let object = Some(Object::Registry(StoredRegistry::default()));
    let registry = Write { key: key(Kind::Registry, ""), object, expected: Expected::Absent };
    store.write(&[registry, put("a", "two"), put("b", "two")], at(0)).await.unwrap();
    place.execute("UPDATE seawall_objects SET body = '{\"actions\": 7}' WHERE name = 'a'").await;
    let damage = "UPDATE seawall_objects SET body = '{\"defaultAction\": \"Maybe\"}' WHERE kind = 'registry'";
    place.execute(damage).await;

    let told = store.changes(Some(&start)).await.unwrap();
    let names = |changes: &[Change]| changes.iter().map(|change| change.key.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&told.changes), ["b"]);
    let unreadable: Vec<_> = told.unreadable.iter().map(|one| (one.key.kind, &*one.key.name)).collect();
    assert_eq!(unreadable, [(Kind::Registry, ""), (Kind::ScopeMap, "a")]);
    assert!(told.unreadable[0].reason.contains("Maybe"), "{:?}", told.unreadable);
    assert!(told.unreadable.iter().all(|one| one.revision == told.position.revision));
    assert_eq!(store.changes(Some(&told.position)).await.unwrap(), Changes::none(told.position), "told once");
    let all = store.changes(None).await.unwrap();
    assert_eq!((names(&all.changes), all.unreadable), (vec!["c".to_owned(), "b".to_owned()], told.unreadable));

    match store.get(&key(Kind::ScopeMap, "a")).await {
        Err(StoreError::Unusable(reason)) => assert!(reason.contains("`a` of `myregistry`"), "{reason}"),
        other => panic!("{other:?}"),
    }
    store.write(&[delete("a")], at(0)).await.unwrap();
    assert_eq!(store.get(&key(Kind::ScopeMap, "a")).await.unwrap(), None);
}

async fn lists_leave_out_what_cannot_be_read_and_nothing_else(place: Place) {
    let store = place.open().await;
    let names = ["a", "b", "c", "d", "e", "f"];
    store.write(&names.map(|name| put(name, "one")), at(0)).await.unwrap();
    place.execute("UPDATE seawall_objects SET body = '{}' WHERE name IN ('b', 'c', 'f')").await;
    let list = async |after, limit| {
        let listed = store.list("myregistry", Kind::ScopeMap, after, limit).await.unwrap();
        listed.into_iter().map(|record| record.key.name).collect::<String>()
    };
    assert_eq!(list(None, 2).await, "ad");
    assert_eq!(list(Some("d"), 2).await, "e");
    assert_eq!(list(None, 3).await, "ade");
    assert_eq!(list(None, 10).await, "ade");
    assert_eq!(list(None, 0).await, "");
}

/// A replica of the older version must neither overlook a restriction nor erase it by its next change.
async fn properties_of_a_newer_version_are_not_overlooked(place: Place) {
    let store = place.open().await;
    let object = Some(Object::Registry(StoredRegistry::default()));
    let write = Write { key: key(Kind::Registry, ""), object, expected: Expected::Absent };
    store.write(&[write], at(0)).await.unwrap();
    place.execute("UPDATE seawall_objects SET body = '{\"newer\": true}'").await;
    let all = store.changes(None).await.unwrap();
    assert!(all.changes.is_empty() && all.unreadable[0].reason.contains("unknown field `newer`"), "{all:?}");
    let read = store.get(&key(Kind::Registry, "")).await;
    assert!(matches!(read, Err(StoreError::Unusable(_))), "{read:?}");
}

async fn what_only_a_newer_version_knows_is_passed_over(place: Place) {
    let store = place.open().await;
    store.write(&[put("a", "one"), put("b", "one")], at(0)).await.unwrap();
    place.execute("UPDATE seawall_objects SET kind = 'webhook' WHERE name = 'a'").await;
    let changes = store.changes(None).await.unwrap().changes;
    assert_eq!(changes.iter().map(|change| &*change.key.name).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_none_concerns_its_record_only() {
    let place = Place::sqlite();
    let store = place.open().await;
    store.write(&[put("a", "one"), put("b", "one")], at(0)).await.unwrap();
    place.execute("UPDATE seawall_objects SET body = CAST(x'7bff7d' AS TEXT) WHERE name = 'a'").await;
    let all = store.changes(None).await.unwrap();
    assert_eq!((all.changes.len(), &*all.unreadable[0].key.name), (1, "a"));
}
