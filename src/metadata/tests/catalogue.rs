//! The catalogue: filtered, paged, with what was just pushed and without what was emptied.

use std::sync::Arc;
use std::time::Duration;

use super::world::{World, image, name, part, settings};
use crate::clock::Clock as _;
use crate::metadata::{Part, Settings};
use crate::policy::fixture::REGISTRY;
use crate::store::index::{IndexedRepository, Order};

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_full_of_what_may_be_listed() {
    let world = World::new().await;
    for number in 0..2_000 {
        let kind = if number % 10 == 0 { "mine" } else { "yours" };
        world.content().put(&format!("r{number:04}/{kind}"), Some("v1"), &image(1));
    }
    let may_list: crate::metadata::MayList = Arc::new(|name| name.as_str().ends_with("/mine"));
    let (mut found, mut last) = (Vec::new(), None);
    loop {
        let part = part(30, last.as_deref(), Order::Name);
        let page = world.metadata.repositories(&world.registry, &part, Arc::clone(&may_list)).await.unwrap();
        assert!(page.items.len() == 30 || page.next.is_none());
        found.extend(page.items);
        let Some(next) = page.next else { break };
        last = Some(next);
    }
    assert_eq!(found.len(), 200);
    assert!(found.is_sorted());
    assert_eq!(world.asked("GET /v2/_catalog"), 2, "both pages once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_through_us_appears_at_once() {
    let world = World::new().await;
    world.content().put("a", Some("v1"), &image(1));
    assert_eq!(world.repositories(&Part::default()).await.0, ["a"]);
    world.push("b", Some("v1"), &image(1));
    assert_eq!(world.repositories(&Part::default()).await.0, ["a", "b"]);
    world.learning();
    world.settled("b").await;
    assert_eq!(world.repositories(&Part::default()).await.0, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_emptied_is_hidden_until_something_is_in_it_again() {
    let now = Settings { maximum_age: Duration::ZERO, ..settings() };
    let world = World::with(now, |index| index, &[]).await;
    let digest = world.content().put("a", Some("v1"), &image(1));
    world.content().delete("a", &digest);
    let at = world.clock.now();
    let row = IndexedRepository { name: name("a"), created: at, updated: at, read: None, emptied: true };
    world.index.put_repositories(REGISTRY, &[row]).await.unwrap();
    assert_eq!(world.repositories(&Part::default()).await.0, [""; 0]);
    // To read it does not bring it back.
    world.metadata.read(&world.registry, &name("a")).await.unwrap();
    assert_eq!(world.repositories(&Part::default()).await.0, [""; 0]);
    world.content().put("a", Some("v2"), &image(2));
    world.metadata.read(&world.registry, &name("a")).await.unwrap();
    assert_eq!(world.repositories(&Part::default()).await.0, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_catalogue_the_index_is_one() {
    let world = World::new().await;
    world.content().catalogue_is_refused = true;
    world.learning();
    world.push("a", Some("v1"), &image(1));
    world.settled("a").await;
    assert_eq!(world.repositories(&Part::default()).await.0, ["a"]);
}
