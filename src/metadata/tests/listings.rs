//! Tags and manifests in pages and orders, fresh and old.

use std::time::Duration;

use async_trait::async_trait;

use super::world::{World, image, name, part, settings, tag};
use crate::metadata::{Listing, MetadataError, Part};
use crate::oci::{Digest, ErrorCode, RepositoryName, Tag};
use crate::policy::locks::LockTarget;
use crate::store::StoreError;
use crate::store::index::{
    Counts, Index, IndexedManifest, IndexedRepository, IndexedTag, Job, Order, Slice, TagObservation,
};

/// All parts of a listing of `n` each.
async fn all(world: &World, n: u32, order: Order) -> Vec<String> {
    let (mut found, mut last) = (Vec::new(), None);
    loop {
        let (items, next) = world.tags("many", &part(n, last.as_deref(), order)).await;
        assert!(items.len() == n as usize || next.is_none(), "a page is full");
        found.extend(items);
        let Some(next) = next else { return found };
        last = Some(next);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_tags_are_asked_for_once() {
    const TAGS: usize = 10_000;
    let world = World::new().await;
    world.content().page = Some(1_000);
    for number in 0..TAGS {
        world.content().put("many", Some(&format!("t{number:05}")), &image(number % 10));
    }
    let expected: Vec<_> = (0..TAGS).map(|number| format!("t{number:05}")).collect();
    assert_eq!(all(&world, 1_000, Order::Name).await, expected);
    let cold = world.asked("HEAD /v2/many/manifests/t");
    assert_eq!(cold, TAGS);
    assert_eq!(all(&world, 1_000, Order::Name).await, expected);
    let newest = all(&world, 1_000, Order::NewestFirst).await;
    assert_eq!(newest.len(), TAGS);
    assert_eq!(world.asked("HEAD /v2/many/manifests/t"), cold, "a warm page asks for no tag");
    let names = world.metadata.tag_names(&world.registry, &name("many"), &Part::default()).await.unwrap();
    assert_eq!((names.items.len(), names.next), (TAGS, None));
    let (digest, part) = (world.upstream("many").0["t00003"].clone(), part(5_000, None, Order::Name));
    let of_one = world.metadata.tags(&world.registry, &name("many"), &part, Some(&digest)).await.unwrap();
    assert_eq!(of_one.items.len(), TAGS / 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_listed_with_their_tags_and_verified() {
    let world = World::new().await;
    let first = world.content().put("a", Some("v1"), &image(1));
    world.content().put("a", Some("v2"), &image(1));
    world.content().put("a", Some("v3"), &image(2));
    let list = async |part: Part| world.metadata.manifests(&world.registry, &name("a"), &part).await.unwrap();
    let listed = list(part(10, None, Order::Name)).await;
    let mut digests: Vec<_> = world.upstream("a").1.into_iter().collect();
    digests.sort();
    assert_eq!(listed.items.iter().map(|one| one.manifest.digest.clone()).collect::<Vec<_>>(), digests);
    let of_first = listed.items.iter().find(|one| one.manifest.digest == first).unwrap();
    assert_eq!(of_first.tags, [tag("v1"), tag("v2")]);
    let Listing { items, next } = list(part(1, None, Order::Name)).await;
    assert_eq!((items.len(), next.as_deref()), (1, Some(digests[0].as_str())));
    let Listing { items, next } = list(part(1, next.as_deref(), Order::Name)).await;
    assert_eq!((&items[0].manifest.digest, next), (&digests[1], None));
    world.content().delete("a", &first);
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(list(part(10, None, Order::OldestFirst)).await.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_listed_is_left_out_and_the_pages_stay_full() {
    let hidden = LockTarget::Tag(name("many"), tag("t03"));
    let world = World::hiding(&[hidden, LockTarget::Repository(name("secret"))]).await;
    for number in 0..10 {
        world.content().put("many", Some(&format!("t{number:02}")), &image(number));
    }
    world.content().put("secret", Some("v1"), &image(1));
    for order in [Order::Name, Order::OldestFirst, Order::NewestFirst] {
        let mut found = all(&world, 3, order).await;
        found.sort();
        assert_eq!(found.len(), 9, "{order:?}: {found:?}");
        assert!(!found.contains(&"t03".to_owned()));
    }
    let names = world.metadata.tag_names(&world.registry, &name("many"), &Part::default()).await.unwrap();
    assert_eq!(names.items.len(), 9);
    assert_eq!(world.repositories(&Part::default()).await.0, ["many"]);
    assert!(world.metadata.tag(&world.registry, &name("many"), &tag("t03")).await.is_ok(), "it may be shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_there_is_unknown() {
    let world = World::new().await;
    let (registry, nothing) = (&world.registry, name("nothing"));
    let unknown = MetadataError::Unknown(ErrorCode::NameUnknown);
    assert_eq!(world.metadata.repository(registry, &nothing).await.unwrap_err(), unknown);
    assert_eq!(world.metadata.tags(registry, &nothing, &Part::default(), None).await.unwrap_err(), unknown);
    assert_eq!(world.metadata.manifests(registry, &nothing, &Part::default()).await.unwrap_err(), unknown);
    assert_eq!(world.metadata.tag_names(registry, &nothing, &Part::default()).await.unwrap_err(), unknown);
    // One whose last tag is gone is there for as long as it has a manifest that we know of.
    world.content().put("a", Some("v1"), &image(1));
    assert_eq!(world.metadata.repository(registry, &name("a")).await.unwrap().tags, 1);
    world.content().repositories.get_mut("a").unwrap().tags.clear();
    let names = world.metadata.tag_names(registry, &name("a"), &Part::default()).await.unwrap();
    assert_eq!(names.items, []);
    assert_eq!(world.metadata.repository(registry, &name("a")).await.unwrap().manifests, 1);
    world.content().repositories.remove("a");
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(world.metadata.tag_names(registry, &name("a"), &Part::default()).await.unwrap_err(), unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_break_nothing_for_those_who_wait() {
    let world = World::new().await;
    world.content().put("a", Some("v1"), &image(1));
    world.content().slow = Duration::from_millis(200);
    let repository = name("a");
    let leaving = world.metadata.repository(&world.registry, &repository);
    assert!(tokio::time::timeout(Duration::from_millis(50), leaving).await.is_err());
    let waiting = world.metadata.repository(&world.registry, &repository);
    assert_eq!(waiting.await.unwrap().tags, 1);
    assert_eq!(world.asked("GET /v2/a/tags/list"), 1, "one list for both");
}

/// The list that is on its way when they ask may be older than their question: they share the next one.
#[tokio::test(flavor = "multi_thread")]
async fn all_who_ask_for_every_name_share_one_list_that_is_not_older_than_their_question() {
    let world = World::new().await;
    world.content().put("a", Some("v1"), &image(1));
    world.content().slow = Duration::from_millis(200);
    let list = || {
        let (metadata, registry) = (world.metadata.clone(), std::sync::Arc::clone(&world.registry));
        tokio::spawn(async move { metadata.tag_names(&registry, &name("a"), &Part::default()).await })
    };
    let first = list();
    while world.asked("GET /v2/a/tags/list") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.content().put("a", Some("v2"), &image(2));
    let others: Vec<_> = (0..20).map(|_| list()).collect();
    first.await.unwrap().unwrap();
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().items, [tag("v1"), tag("v2")]);
    }
    assert_eq!(world.asked("GET /v2/a/tags/list"), 2);
    world.content().away = true;
    let failed: Vec<_> = (0..20).map(|_| list()).collect();
    for one in failed {
        assert!(one.await.unwrap().is_err());
    }
    let retries = 4;
    assert!(world.asked("GET /v2/a/tags/list") <= 2 + retries, "the failure is shared too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tag_is_of_is_asked_each_time() {
    let world = World::new().await;
    let digest = world.content().put("a", Some("v1"), &image(1));
    let asked = [tag("v1"), tag("v2")];
    let mut resolved = world.metadata.resolve(&world.registry, &name("a"), &asked).await.unwrap();
    resolved.sort();
    assert_eq!(resolved, [(tag("v1"), Some(digest)), (tag("v2"), None)]);
    world.content().away = true;
    let failed = world.metadata.resolve(&world.registry, &name("a"), &asked).await;
    assert!(matches!(failed, Err(MetadataError::Upstream(_))), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_names_are_listed_and_nothing_else() {
    let world = World::with(settings(), |_| std::sync::Arc::new(Away), &[]).await;
    world.content().put("a", Some("v1"), &image(1));
    let names = world.metadata.tag_names(&world.registry, &name("a"), &part(5, None, Order::Name)).await.unwrap();
    assert_eq!(names.items, [tag("v1")]);
    assert_eq!(world.repositories(&Part::default()).await.0, ["a"]);
    let resolved = world.metadata.resolve(&world.registry, &name("a"), &[tag("v1")]).await.unwrap();
    assert!(resolved[0].1.is_some());
    let store = |error: MetadataError| assert!(matches!(error, MetadataError::Store(_)), "{error:?}");
    store(world.metadata.repository(&world.registry, &name("a")).await.unwrap_err());
    store(world.metadata.tags(&world.registry, &name("a"), &Part::default(), None).await.unwrap_err());
    store(world.metadata.manifests(&world.registry, &name("a"), &Part::default()).await.unwrap_err());
    store(world.metadata.keep(world.pushed("a", None, &image(2))).await.unwrap_err());
}

/// A database that does not answer.
#[derive(Debug)]
struct Away;

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("on purpose".to_owned()))
}

#[async_trait]
#[rustfmt::skip]
impl Index for Away {
    async fn repository(&self, _: &str, _: &RepositoryName) -> Result<Option<(IndexedRepository, Counts)>, StoreError> { away() }
    async fn repositories(&self, _: &str) -> Result<Vec<IndexedRepository>, StoreError> { away() }
    async fn put_repositories(&self, _: &str, _: &[IndexedRepository]) -> Result<(), StoreError> { away() }
    async fn remove_repository(&self, _: &str, _: &RepositoryName) -> Result<(), StoreError> { away() }
    async fn tags(&self, _: &str, _: &RepositoryName, _: &Slice, _: Option<&Digest>) -> Result<Vec<IndexedTag>, StoreError> { away() }
    async fn tags_named(&self, _: &str, _: &RepositoryName, _: &[Tag]) -> Result<Vec<IndexedTag>, StoreError> { away() }
    async fn tags_of(&self, _: &str, _: &RepositoryName, _: &[Digest]) -> Result<Vec<IndexedTag>, StoreError> { away() }
    async fn tag_names(&self, _: &str, _: &RepositoryName) -> Result<Vec<Tag>, StoreError> { away() }
    async fn observe_tags(&self, _: &str, _: &RepositoryName, _: &[TagObservation]) -> Result<(), StoreError> { away() }
    async fn manifest(&self, _: &str, _: &RepositoryName, _: &Digest) -> Result<Option<IndexedManifest>, StoreError> { away() }
    async fn manifests(&self, _: &str, _: &RepositoryName, _: &Slice) -> Result<Vec<IndexedManifest>, StoreError> { away() }
    async fn known_manifests(&self, _: &str, _: &RepositoryName, _: &[Digest]) -> Result<Vec<Digest>, StoreError> { away() }
    async fn referrers(&self, _: &str, _: &RepositoryName, _: &Digest) -> Result<Vec<IndexedManifest>, StoreError> { away() }
    async fn put_manifests(&self, _: &str, _: &RepositoryName, _: &[IndexedManifest]) -> Result<(), StoreError> { away() }
    async fn remove_manifests(&self, _: &str, _: &RepositoryName, _: &[Digest]) -> Result<(), StoreError> { away() }
    async fn put_job(&self, _: &Job) -> Result<(), StoreError> { away() }
    async fn jobs(&self) -> Result<Vec<Job>, StoreError> { away() }
    async fn remove_job(&self, _: &str) -> Result<(), StoreError> { away() }
}
