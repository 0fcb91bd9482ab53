//! What notes of traffic become, in any order, and what happened behind our back.

use std::time::Duration;

use serde_json::json;

use super::world::{INDEX, World, image, name, part, tag};
use crate::metadata::{MetadataError, Note, Passed};
use crate::oci::{Digest, ErrorCode, Reference};
use crate::policy::fixture::{REGISTRY, declared_all, upstream};
use crate::policy::{PolicySnapshot, StoredPolicy};
use crate::store::index::Order;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_known_with_its_platform_and_sizes() {
    let world = World::new().await;
    world.learning();
    let config = json!({ "architecture": "arm64", "os": "linux" }).to_string();
    let digest = Digest::sha256(config.as_bytes());
    world.content().blobs.insert(digest.clone(), config.clone().into());
    let image = json!({
        "schemaVersion": 2, "mediaType": super::world::IMAGE,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len() },
        "layers": [{ "mediaType": "x", "digest": Digest::sha256(b"x"), "size": 1000 }],
    });
    let pushed = world.push("a/b", Some("v1"), &image);
    world.settled("a/b").await;
    let shown = world.metadata.manifest(&world.registry, &name("a/b"), &pushed).await.unwrap();
    assert_eq!((&*shown.manifest.facts.architecture, &*shown.manifest.facts.os), ("arm64", "linux"));
    assert_eq!(shown.manifest.facts.image_size, 1000 + (config.len() + image.to_string().len()) as u64);
    assert_eq!(shown.tags, [tag("v1")]);
    let shown = world.metadata.repository(&world.registry, &name("a/b")).await.unwrap();
    assert_eq!((shown.tags, shown.manifests), (1, 1));
}

/// Also that which nobody has asked for: the body of a push is enough, and a push through us is asked about once.
#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_of_an_index_are_known_too() {
    let world = World::new().await;
    let children: Vec<_> = (0..3).map(|number| world.content().put("a", None, &image(number))).collect();
    let manifests: Vec<_> =
        children.iter().map(|digest| json!({ "digest": digest, "mediaType": "x", "size": 1 })).collect();
    world.push("a", Some("all"), &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }));
    world.learning();
    world.settled("a").await;
    assert_eq!(world.indexed("a").await.1.len(), 4);
}

/// While a large repository is deleted, for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_being_changed_holds_up_no_other() {
    let world = World::new().await;
    world.learning();
    let turn = world.metadata.state.turn(&(world.registry.name.clone(), name("a"))).await;
    world.push("a", Some("v1"), &image(1));
    // So that the other one is not taken in with it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.push("b", Some("v1"), &image(2));
    world.settled("b").await;
    assert!(world.indexed("a").await.0.is_empty());
    drop(turn);
    world.settled("a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_in_any_order_end_equal_to_the_upstream() {
    let world = World::new().await;
    let (one, other) = (image(1), image(2));
    let first = world.content().put("a", Some("v1"), &one);
    let second = world.content().put("a", Some("v1"), &other);
    world.content().delete("a", &first);
    let notes = [
        world.pushed("a", Some("v1"), &one),
        world.pushed("a", Some("v1"), &other),
        world.note("a", Passed::Gone(Reference::Digest(first.clone()))),
        world.note("a", Passed::Read { tag: Some(tag("v1")), digest: first.clone() }),
        world.note("a", Passed::Read { tag: Some(tag("v0")), digest: second.clone() }),
    ];
    world.learning();
    for shift in 0..notes.len() {
        for place in 0..notes.len() {
            world.metadata.note(notes[(place + shift) % notes.len()].clone());
            tokio::time::sleep(Duration::from_millis(5 * (shift as u64 % 2))).await;
        }
        world.settled("a").await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.indexed("a").await, world.upstream("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_at_once_and_writes_behind_our_back_end_equal_to_the_upstream() {
    let world = std::sync::Arc::new(World::new().await);
    world.learning();
    let clients: Vec<_> = (0..8_usize)
        .map(|client| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                for round in 0..15 {
                    let number = client * 100 + round;
                    let digest = world.push("a", Some(["v1", "v2", "v3"][number % 3]), &image(number));
                    if round % 3 == 0 {
                        world.delete("a", &digest);
                    }
                    if round % 5 == 0 {
                        world.push("a", Some("behind"), &image(number + 1_000));
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    world.settled("a").await;
    let moved = world.content().put("a", Some("v1"), &image(9_000));
    world.content().repositories.get_mut("a").unwrap().tags.remove("v2");
    world.clock.advance(Duration::from_mins(2));
    world.metadata.read(&world.registry, &name("a")).await.unwrap();
    assert_eq!(world.indexed("a").await, world.upstream("a"));
    assert_eq!(world.indexed("a").await.0["v1"], moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_behind_our_back_is_seen_when_it_is_asked_for() {
    let world = World::new().await;
    let first = world.content().put("a", Some("v1"), &image(1));
    world.content().put("a", Some("v2"), &image(2));
    assert_eq!(world.tags("a", &part(10, None, Order::Name)).await.0, ["v1", "v2"]);
    let moved = world.content().put("a", Some("v1"), &image(3));
    world.content().delete("a", &first);
    world.clock.advance(Duration::from_mins(2));
    // The list of names is kept for two seconds; what is known of each tag is old by the clock.
    let listing = world.metadata.tags(&world.registry, &name("a"), &part(10, None, Order::Name), None).await.unwrap();
    assert_eq!(listing.items[0].tag.digest, moved);
    let shown = world.metadata.manifest(&world.registry, &name("a"), &first).await;
    assert_eq!(shown.unwrap_err(), MetadataError::Unknown(ErrorCode::ManifestUnknown));
    let newest =
        world.metadata.tags(&world.registry, &name("a"), &part(1, None, Order::NewestFirst), None).await.unwrap();
    assert_eq!((newest.items[0].tag.name.as_str(), newest.next.as_deref()), ("v1", Some("v1")));
    world.content().repositories.get_mut("a").unwrap().tags.clear();
    let gone = world.metadata.tag(&world.registry, &name("a"), &tag("v2")).await;
    assert_eq!(gone.unwrap_err(), MetadataError::Unknown(ErrorCode::ManifestUnknown));
}

/// A pull costs the upstream nothing more when its tag is known.
#[tokio::test(flavor = "multi_thread")]
async fn reads_of_what_is_known_ask_nothing() {
    let world = World::new().await;
    let digest = world.push("a", Some("v1"), &image(1));
    world.learning();
    world.settled("a").await;
    let before = world.fake.lines().len();
    for _ in 0..100 {
        world.metadata.note(world.note("a", Passed::Read { tag: Some(tag("v1")), digest: digest.clone() }));
        world.metadata.note(world.note("a", Passed::Missing(Reference::Tag(tag("never")))));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.fake.lines().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_taken_in_is_tried_again() {
    let world = World::new().await;
    world.learning();
    world.content().away = true;
    world.push("a", Some("v1"), &image(1));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.indexed("a").await.0.len(), 0);
    world.content().away = false;
    world.settled("a").await;
}

/// Its connections are accepted, and then nothing comes.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_silent_holds_up_no_other_registry() {
    let world = World::new().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (of_world, of_silent) = (upstream(&world.fake.url), format!("http://{}", silent.local_addr().unwrap()));
    let declared = declared_all(&[(REGISTRY, &of_world), ("silent", &upstream(&of_silent))]);
    let policy = PolicySnapshot::assemble(2, &declared, &StoredPolicy::default(), None);
    world.metadata.parts.current.publish(policy);
    world.learning();
    for number in 0..20 {
        let about = world.pushed(&format!("r{number}"), Some("v1"), &image(1));
        world.metadata.note(Note { registry: "silent".into(), ..about });
    }
    let connected = tokio::time::timeout(Duration::from_secs(10), silent.accept()).await;
    connected.expect("it is asked").unwrap();
    world.push("a", Some("v1"), &image(2));
    world.settled("a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_notes_the_repositories_are_read_anew() {
    let world = World::new().await;
    for number in 0..9_000 {
        world.metadata.note(world.note("b", Passed::Gone(Reference::Tag(tag(&format!("t{number}"))))));
    }
    let digest = world.push("a", Some("v1"), &image(1));
    let lost = world.metadata.parts.metrics.render().unwrap();
    assert!(lost.contains("seawall_metadata_notes_total{result=\"dropped\"}"), "{lost}");
    world.learning();
    world.settled("a").await;
    assert_eq!(world.indexed("a").await.0["v1"], digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_reads_what_nobody_has_read() {
    let world = World::new().await;
    world.content().put("a", Some("v1"), &image(1));
    world.content().put("b", Some("v1"), &image(2));
    world.metadata.sweep_once(Duration::from_mins(15)).await;
    for repository in ["a", "b"] {
        assert_eq!(world.indexed(repository).await, world.upstream(repository));
    }
    let before = world.fake.lines().len();
    world.metadata.sweep_once(Duration::from_mins(15)).await;
    assert!(world.fake.lines().len() <= before + 1, "only the catalogue");
    world.content().repositories.remove("a");
    world.clock.advance(Duration::from_mins(16));
    world.metadata.sweep_once(Duration::from_mins(15)).await;
    assert_eq!(world.indexed("a").await, world.upstream("a"));
}
