//! What every index does: observations, listings in three orders, referrers, jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use seawall::clock::Timestamp;
use seawall::oci::{Digest, RepositoryName, Tag};
use seawall::store::index::{
    Counts, Index, IndexedManifest, IndexedRepository, Job, ManifestFacts, Order, Referenced, Slice, TagObservation,
};
use seawall::store::{Database, Store};

use crate::place::{Place, at, on_both, put};

on_both!(
    repositories_are_made_and_changed,
    a_repository_is_forgotten_with_all_that_is_in_it,
    a_newer_observation_of_a_tag_counts,
    tags_are_listed_in_parts_in_three_orders,
    a_tag_that_was_the_last_of_a_part_and_is_gone_is_as_none_in_an_order_by_time,
    tags_are_found_by_name_and_by_manifest,
    manifests_keep_what_they_say,
    manifests_are_listed_and_forgotten,
    referrers_are_found_by_their_subject,
    many_are_taken_at_once,
    replicas_write_at_the_same_time,
    names_that_differ_in_case_are_apart,
    an_unreadable_row_is_as_none_until_the_next_observation,
    jobs_stay_until_they_are_removed,
    the_records_do_not_move,
);

const REGISTRY: &str = "myregistry";

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

fn digest(number: u64) -> Digest {
    Digest::parse(&format!("sha256:{number:064x}")).unwrap()
}

fn seen(text: &str, number: u64, moment: i64) -> TagObservation {
    TagObservation { name: tag(text), digest: Some(digest(number)), at: at(moment), pushed: None }
}

fn gone(text: &str, moment: i64) -> TagObservation {
    TagObservation { name: tag(text), digest: None, at: at(moment), pushed: None }
}

fn repository(text: &str, created: i64, updated: i64) -> IndexedRepository {
    IndexedRepository { name: name(text), created: at(created), updated: at(updated), read: None, emptied: false }
}

fn manifest(number: u64, moment: i64) -> IndexedManifest {
    let facts = ManifestFacts { media_type: "application/json".to_owned(), size: number, ..ManifestFacts::default() };
    IndexedManifest { digest: digest(number), created: at(moment), updated: at(moment), observed: at(moment), facts }
}

fn slice(order: Order, after: Option<&str>, limit: u32) -> Slice {
    Slice { order, after: after.map(str::to_owned), limit }
}

/// The names of a part of the tags.
async fn names(index: &Database, slice: &Slice) -> Vec<String> {
    let found = index.tags(REGISTRY, &name("samples/a"), slice, None).await.unwrap();
    found.iter().map(|one| one.name.as_str().to_owned()).collect()
}

async fn observe(index: &Database, observed: &[TagObservation]) {
    index.observe_tags(REGISTRY, &name("samples/a"), observed).await.unwrap();
}

/// What is known of `v1`: digest, created, updated, observed.
async fn v1(index: &Database) -> Option<(Digest, Timestamp, Timestamp, Timestamp)> {
    let found = index.tags_named(REGISTRY, &name("samples/a"), &[tag("v1")]).await.unwrap().pop()?;
    Some((found.digest, found.created, found.updated, found.observed))
}

async fn repositories_are_made_and_changed(place: Place) {
    let index = place.open().await;
    let first = repository("samples/b", 5, 6);
    index.put_repositories(REGISTRY, &[first.clone(), repository("samples/a", 1, 1)]).await.unwrap();
    index.put_repositories("other", &[repository("samples/c", 1, 1)]).await.unwrap();
    let all = index.repositories(REGISTRY).await.unwrap();
    assert_eq!(all, [repository("samples/a", 1, 1), first]);
    let later = IndexedRepository { read: Some(at(9)), emptied: true, ..repository("samples/b", 7, 8) };
    index.put_repositories(REGISTRY, &[later]).await.unwrap();
    let expected = IndexedRepository { read: Some(at(9)), emptied: true, ..repository("samples/b", 5, 8) };
    let found = index.repository(REGISTRY, &name("samples/b")).await.unwrap();
    assert_eq!(found, Some((expected, Counts::default())));
    let earlier = IndexedRepository { read: Some(at(3)), ..repository("samples/b", 4, 4) };
    index.put_repositories(REGISTRY, &[earlier]).await.unwrap();
    let expected = IndexedRepository { read: Some(at(9)), ..repository("samples/b", 4, 8) };
    let found = index.repository(REGISTRY, &name("samples/b")).await.unwrap();
    assert_eq!(found.map(|(found, _)| found), Some(expected));
    assert_eq!(index.repository(REGISTRY, &name("samples/none")).await.unwrap(), None);
}

async fn a_repository_is_forgotten_with_all_that_is_in_it(place: Place) {
    let index = place.open().await;
    let (gone, stays) = (name("samples/a"), name("samples/ab"));
    for one in [&gone, &stays] {
        index.put_repositories(REGISTRY, &[repository(one.as_str(), 0, 0)]).await.unwrap();
        let tags: Vec<_> = (0..1_001).map(|number| seen(&format!("v{number}"), 1, 0)).collect();
        index.observe_tags(REGISTRY, one, &tags).await.unwrap();
        index.put_manifests(REGISTRY, one, &[manifest(1, 0)]).await.unwrap();
    }
    index.remove_repository(REGISTRY, &gone).await.unwrap();
    assert_eq!(index.repository(REGISTRY, &gone).await.unwrap(), None);
    assert!(index.tag_names(REGISTRY, &gone).await.unwrap().is_empty());
    assert_eq!(index.manifest(REGISTRY, &gone, &digest(1)).await.unwrap(), None);
    let (_, counts) = index.repository(REGISTRY, &stays).await.unwrap().unwrap();
    assert_eq!(counts, Counts { tags: 1_001, manifests: 1 });
}

async fn a_newer_observation_of_a_tag_counts(place: Place) {
    let index = place.open().await;
    observe(&index, &[seen("v1", 1, 10)]).await;
    assert_eq!(v1(&index).await, Some((digest(1), at(10), at(10), at(10))));
    observe(&index, &[seen("v1", 1, 20)]).await;
    assert_eq!(v1(&index).await, Some((digest(1), at(10), at(10), at(20))), "seen again");
    observe(&index, &[seen("v1", 2, 30)]).await;
    assert_eq!(v1(&index).await, Some((digest(2), at(10), at(30), at(30))), "moved");
    observe(&index, &[seen("v1", 1, 25), gone("v1", 29)]).await;
    assert_eq!(v1(&index).await, Some((digest(2), at(10), at(30), at(30))), "what is older does not count");
    observe(&index, &[gone("v1", 40), seen("v2", 1, 40)]).await;
    assert_eq!(v1(&index).await, None);
    observe(&index, &[seen("v1", 3, 60), seen("v1", 2, 50)]).await;
    assert_eq!(v1(&index).await, Some((digest(3), at(60), at(60), at(60))), "of two at once the later one counts");
}

async fn tags_are_listed_in_parts_in_three_orders(place: Place) {
    let index = place.open().await;
    observe(&index, &[seen("c", 1, 10), seen("a", 1, 30), seen("B", 2, 20), seen("d", 1, 20), seen("e", 2, 20)]).await;
    for (order, expected) in [
        (Order::Name, ["B", "a", "c", "d", "e"]),
        (Order::OldestFirst, ["c", "B", "d", "e", "a"]),
        (Order::NewestFirst, ["a", "B", "d", "e", "c"]),
    ] {
        assert_eq!(names(&index, &slice(order, None, 100)).await, expected, "{order:?}");
        for limit in 1..=5 {
            let mut found: Vec<String> = Vec::new();
            loop {
                let part = names(&index, &slice(order, found.last().map(String::as_str), limit)).await;
                assert!(part.len() <= limit as usize);
                if part.is_empty() {
                    break;
                }
                found.extend(part);
            }
            assert_eq!(found, expected, "{order:?}, {limit} at a time");
        }
    }
    for (order, after, expected) in [
        (Order::Name, None, vec!["B", "e"]),
        (Order::Name, Some("a"), vec!["e"]),
        (Order::OldestFirst, Some("B"), vec!["e"]),
        (Order::NewestFirst, Some("a"), vec!["B", "e"]),
    ] {
        let slice = slice(order, after, 100);
        let found = index.tags(REGISTRY, &name("samples/a"), &slice, Some(&digest(2))).await.unwrap();
        let found: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(found, expected, "{order:?} {after:?}");
    }
}

async fn a_tag_that_was_the_last_of_a_part_and_is_gone_is_as_none_in_an_order_by_time(place: Place) {
    let index = place.open().await;
    observe(&index, &[seen("a", 1, 10), seen("c", 1, 20)]).await;
    assert_eq!(names(&index, &slice(Order::OldestFirst, Some("b"), 9)).await, ["a", "c"]);
    assert_eq!(names(&index, &slice(Order::Name, Some("b"), 9)).await, ["c"]);
    assert_eq!(names(&index, &slice(Order::Name, Some("b\0x"), 9)).await, ["c"], "no database takes this text");
    assert_eq!(names(&index, &slice(Order::NewestFirst, Some("\0"), 9)).await, ["c", "a"]);
}

async fn tags_are_found_by_name_and_by_manifest(place: Place) {
    let index = place.open().await;
    observe(&index, &[seen("c", 1, 1), seen("a", 2, 1), seen("b", 3, 1)]).await;
    let found = |tags: Vec<seawall::store::index::IndexedTag>| -> Vec<String> {
        tags.into_iter().map(|one| one.name.as_str().to_owned()).collect()
    };
    let repository = name("samples/a");
    let named = index.tags_named(REGISTRY, &repository, &[tag("c"), tag("none"), tag("b")]).await.unwrap();
    assert_eq!(found(named), ["b", "c"]);
    let of = index.tags_of(REGISTRY, &repository, &[digest(1), digest(2)]).await.unwrap();
    assert_eq!(found(of), ["a", "c"]);
    assert!(index.tags_of(REGISTRY, &repository, &[]).await.unwrap().is_empty());
    assert_eq!(index.tag_names(REGISTRY, &repository).await.unwrap(), [tag("a"), tag("b"), tag("c")]);
    assert!(index.tag_names("other", &repository).await.unwrap().is_empty());
}

/// A manifest that says all that one can say.
fn talkative() -> IndexedManifest {
    let facts = ManifestFacts {
        media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
        image_size: u64::MAX,
        size: 7,
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        config_media_type: Some("application/vnd.oci.image.config.v1+json".to_owned()),
        artifact_type: Some("application/spdx+json".to_owned()),
        subject: Some(digest(9)),
        annotations: BTreeMap::from([("büro".to_owned(), "\0\"\n".to_owned())]),
        references: vec![Referenced { digest: digest(2), architecture: "arm64".to_owned(), os: "linux".to_owned() }],
    };
    IndexedManifest { facts, ..manifest(1, 5) }
}

async fn manifests_keep_what_they_say(place: Place) {
    let index = place.open().await;
    let repository = name("samples/a");
    let first = talkative();
    index.put_manifests(REGISTRY, &repository, std::slice::from_ref(&first)).await.unwrap();
    let found = || async { index.manifest(REGISTRY, &repository, &digest(1)).await.unwrap() };
    assert_eq!(found().await, Some(first.clone()));
    let later = IndexedManifest { created: at(6), updated: at(3), observed: at(9), ..first.clone() };
    index.put_manifests(REGISTRY, &repository, &[later]).await.unwrap();
    assert_eq!(found().await, Some(IndexedManifest { observed: at(9), ..first.clone() }));
    let earlier = IndexedManifest { created: at(1), updated: at(8), observed: at(2), ..first.clone() };
    index.put_manifests(REGISTRY, &repository, &[earlier]).await.unwrap();
    assert_eq!(found().await, Some(IndexedManifest { created: at(1), updated: at(8), observed: at(9), ..first }));
}

async fn manifests_are_listed_and_forgotten(place: Place) {
    let index = place.open().await;
    let repository = name("samples/a");
    index.put_manifests(REGISTRY, &repository, &[manifest(3, 1), manifest(1, 2), manifest(2, 3)]).await.unwrap();
    observe(&index, &[seen("a", 1, 1), seen("b", 2, 1)]).await;
    let listed = async |order, after: Option<Digest>| -> Vec<u64> {
        let slice = slice(order, after.as_ref().map(Digest::as_str), 2);
        let found = index.manifests(REGISTRY, &repository, &slice).await.unwrap();
        found.iter().map(|one| one.facts.size).collect()
    };
    assert_eq!(listed(Order::Name, None).await, [1, 2]);
    assert_eq!(listed(Order::Name, Some(digest(2))).await, [3]);
    assert_eq!(listed(Order::OldestFirst, None).await, [3, 1]);
    assert_eq!(listed(Order::OldestFirst, Some(digest(1))).await, [2]);
    assert_eq!(listed(Order::NewestFirst, Some(digest(2))).await, [1, 3]);
    let known = index.known_manifests(REGISTRY, &repository, &[digest(4), digest(3), digest(1)]).await.unwrap();
    assert_eq!(known, [digest(1), digest(3)]);
    index.remove_manifests(REGISTRY, &repository, &[digest(1), digest(3), digest(7)]).await.unwrap();
    assert_eq!(listed(Order::Name, None).await, [2]);
    assert_eq!(index.tag_names(REGISTRY, &repository).await.unwrap(), [tag("b")], "its tag went with it");
}

async fn referrers_are_found_by_their_subject(place: Place) {
    let index = place.open().await;
    let repository = name("samples/a");
    let referrer = |number, subject| {
        let mut one = manifest(number, 1);
        one.facts.subject = Some(digest(subject));
        one
    };
    let all = [referrer(5, 1), referrer(4, 1), referrer(3, 2), manifest(1, 1)];
    index.put_manifests(REGISTRY, &repository, &all).await.unwrap();
    index.put_manifests(REGISTRY, &name("samples/b"), &[referrer(6, 1)]).await.unwrap();
    let found = index.referrers(REGISTRY, &repository, &digest(1)).await.unwrap();
    assert_eq!(found, [referrer(4, 1), referrer(5, 1)]);
    assert!(index.referrers(REGISTRY, &repository, &digest(9)).await.unwrap().is_empty());
}

async fn many_are_taken_at_once(place: Place) {
    let index = place.open().await;
    let repository = name("samples/a");
    let tags: Vec<_> = (0..2_500).map(|number| seen(&format!("v{number:04}"), number % 7, 1)).collect();
    observe(&index, &tags).await;
    let found = index.tag_names(REGISTRY, &repository).await.unwrap();
    assert_eq!(found.len(), 2_500);
    assert!(found.is_sorted());
    assert_eq!(index.tags_named(REGISTRY, &repository, &found).await.unwrap().len(), 2_500);
    let manifests: Vec<_> = (0..1_500).map(|number| manifest(number, 1)).collect();
    index.put_manifests(REGISTRY, &repository, &manifests).await.unwrap();
    let digests: Vec<_> = (0..2_000).map(digest).collect();
    assert_eq!(index.known_manifests(REGISTRY, &repository, &digests).await.unwrap().len(), 1_500);
    let all: Vec<_> = (0..1_500).map(|number| self::repository(&format!("r/{number}"), 0, 0)).collect();
    index.put_repositories(REGISTRY, &all).await.unwrap();
    assert_eq!(index.repositories(REGISTRY).await.unwrap().len(), 1_500);
    let gone: Vec<_> = (0..2_500).map(|number| gone(&format!("v{number:04}"), 2 + number % 3)).collect();
    observe(&index, &gone).await;
    assert!(index.tag_names(REGISTRY, &repository).await.unwrap().is_empty());
}

/// Whatever the order in which they come, the latest observation of each tag stays.
async fn replicas_write_at_the_same_time(place: Place) {
    let (one, other) = (place.open().await, place.open().await);
    let work = (0..8_u64).map(|writer| {
        let index = if writer % 2 == 0 { one.clone() } else { other.clone() };
        tokio::spawn(async move {
            for round in 0..10 {
                let moment = i64::try_from(round * 8 + writer).unwrap();
                let mut tags: Vec<_> =
                    (0..50).map(|tag| seen(&format!("v{tag}"), round * 8 + writer, moment)).collect();
                tags.push(gone("gone", moment));
                if writer % 3 == 0 {
                    tags.reverse();
                }
                observe(&index, &tags).await;
                index.put_manifests(REGISTRY, &name("samples/a"), &[manifest(writer, moment)]).await.unwrap();
                index.remove_manifests(REGISTRY, &name("samples/a"), &[digest(1_000)]).await.unwrap();
            }
        })
    });
    for one in work.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    let found = one.tags(REGISTRY, &name("samples/a"), &slice(Order::Name, None, 100), None).await.unwrap();
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|tag| tag.digest == digest(79) && tag.observed == at(79)));
}

async fn names_that_differ_in_case_are_apart(place: Place) {
    let index = place.open().await;
    observe(&index, &[seen("V1", 1, 1), seen("v1", 2, 1), seen("_", 3, 1)]).await;
    assert_eq!(names(&index, &slice(Order::Name, None, 9)).await, ["V1", "_", "v1"]);
    assert_eq!(v1(&index).await.map(|(digest, ..)| digest), Some(digest(2)));
    assert!(index.tag_names("MyRegistry", &name("samples/a")).await.unwrap().is_empty());
}

async fn an_unreadable_row_is_as_none_until_the_next_observation(place: Place) {
    let index = place.open().await;
    let repository = name("samples/a");
    index.put_manifests(REGISTRY, &repository, &[manifest(1, 1), manifest(2, 1)]).await.unwrap();
    observe(&index, &[seen("v1", 1, 1), seen("v2", 1, 1)]).await;
    place.execute(&format!("UPDATE seawall_manifests SET facts = '[' WHERE digest = '{}'", digest(1))).await;
    place.execute("UPDATE seawall_tags SET digest = 'x' WHERE name = 'v1'").await;
    assert_eq!(index.manifest(REGISTRY, &repository, &digest(1)).await.unwrap(), None);
    let known = index.known_manifests(REGISTRY, &repository, &[digest(1), digest(2)]).await.unwrap();
    assert_eq!(known, [digest(2)]);
    assert_eq!(names(&index, &slice(Order::Name, None, 9)).await, ["v2"]);
    index.put_manifests(REGISTRY, &repository, &[manifest(1, 1)]).await.unwrap();
    observe(&index, &[seen("v1", 1, 2)]).await;
    assert_eq!(index.manifest(REGISTRY, &repository, &digest(1)).await.unwrap(), Some(manifest(1, 1)));
    assert_eq!(names(&index, &slice(Order::Name, None, 9)).await, ["v1", "v2"]);
}

async fn jobs_stay_until_they_are_removed(place: Place) {
    let index = place.open().await;
    let job = |id: &str, body: &str, moment| Job {
        id: id.to_owned(),
        registry: REGISTRY.to_owned(),
        body: body.to_owned(),
        began: at(moment),
    };
    index.put_job(&job("b", "{}", 1)).await.unwrap();
    index.put_job(&job("a", "{}", 2)).await.unwrap();
    index.put_job(&job("b", "{\"step\":2}", 1)).await.unwrap();
    drop(index);
    let index = place.open().await;
    assert_eq!(index.jobs().await.unwrap(), [job("b", "{\"step\":2}", 1), job("a", "{}", 2)]);
    index.remove_job("b").await.unwrap();
    index.remove_job("b").await.unwrap();
    assert_eq!(index.jobs().await.unwrap(), [job("a", "{}", 2)]);
}

/// Whoever follows the records is not woken by traffic.
async fn the_records_do_not_move(place: Place) {
    let store = place.open().await;
    let mut hints = store.hints();
    hints.mark_unchanged();
    store.write(&[put("a", "one")], at(0)).await.unwrap();
    let before = store.changes(None).await.unwrap();
    // Of this write there are two, its own and the database's, which comes when it comes.
    while tokio::time::timeout(Duration::from_secs(1), hints.changed()).await.is_ok() {}
    observe(&store, &[seen("v1", 1, 1)]).await;
    store.put_repositories(REGISTRY, &[repository("samples/a", 0, 0)]).await.unwrap();
    store.put_manifests(REGISTRY, &name("samples/a"), &[manifest(1, 1)]).await.unwrap();
    let after = store.changes(Some(&before.position)).await.unwrap();
    assert!(after.changes.is_empty() && !after.everything);
    assert_eq!(after.position, before.position);
    assert!(!hints.has_changed().unwrap());
}
