//! Databases that this version should not touch, or cannot read in part.

use seawall::policy::stored::StoredRegistry;
use seawall::store::{Expected, Kind, Object, Store, StoreError, Write, open};

use crate::place::{Place, at, delete, key, on_both, put};

on_both!(
    a_newer_database_is_refused,
    a_damaged_scope_map_grants_nothing,
    damaged_properties_of_a_registry_stop_the_reader,
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

async fn a_damaged_scope_map_grants_nothing(place: Place) {
    let store = place.open().await;
    store.write(&[put("a", "one"), put("b", "one")], at(0)).await.unwrap();
    place.execute("UPDATE seawall_objects SET body = '{\"actions\": 7}' WHERE name = 'a'").await;
    let told: Vec<_> = store.changes(None).await.unwrap().changes;
    let told: Vec<_> = told.iter().map(|change| (&*change.key.name, change.object.is_some())).collect();
    assert_eq!(told, [("a", false), ("b", true)]);
    match store.get(&key(Kind::ScopeMap, "a")).await {
        Err(StoreError::Unusable(reason)) => assert!(reason.contains("`a` of `myregistry`"), "{reason}"),
        other => panic!("{other:?}"),
    }
    store.write(&[delete("a")], at(0)).await.unwrap();
    assert_eq!(store.get(&key(Kind::ScopeMap, "a")).await.unwrap(), None);
}

/// As if they were not there, the registry would be open to all networks again.
async fn damaged_properties_of_a_registry_stop_the_reader(place: Place) {
    let store = place.open().await;
    let object = Some(Object::Registry(StoredRegistry::default()));
    let write = Write { key: key(Kind::Registry, ""), object, expected: Expected::Absent };
    store.write(&[write], at(0)).await.unwrap();
    place.execute("UPDATE seawall_objects SET body = '{\"defaultAction\": \"Maybe\"}'").await;
    let refused = store.changes(None).await;
    assert!(matches!(refused, Err(StoreError::Unusable(_))), "{refused:?}");
}

async fn what_only_a_newer_version_knows_is_passed_over(place: Place) {
    let store = place.open().await;
    store.write(&[put("a", "one"), put("b", "one")], at(0)).await.unwrap();
    place.execute("UPDATE seawall_objects SET kind = 'webhook' WHERE name = 'a'").await;
    let changes = store.changes(None).await.unwrap().changes;
    assert_eq!(changes.iter().map(|change| &*change.key.name).collect::<Vec<_>>(), ["b"]);
}
