//! Referrers from the upstream, from the index and from the tag that stands in for the API.

use serde_json::{Value, json};

use super::world::{IMAGE, INDEX, World, image, name, part};
use crate::metadata::Part;
use crate::oci::Digest;
use crate::policy::locks::LockTarget;
use crate::store::index::Order;

fn signature(subject: &Digest, kind: &str, number: usize) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": IMAGE, "artifactType": kind, "layers": [],
        "subject": { "mediaType": IMAGE, "digest": subject, "size": 1 },
        "annotations": { "number": number.to_string() },
    })
}

fn descriptor(digest: &Digest, kind: &str) -> Value {
    json!({ "mediaType": IMAGE, "digest": digest, "size": 7, "artifactType": kind, "annotations": { "by": "client" } })
}

async fn listed(world: &World, subject: &Digest, kind: Option<&str>, part: &Part) -> Vec<Digest> {
    let found = world.metadata.referrers(&world.registry, &name("a"), subject, kind, part).await.unwrap();
    found.items.into_iter().map(|one| one.digest).collect()
}

fn sorted<const N: usize>(mut digests: [Digest; N]) -> [Digest; N] {
    digests.sort();
    digests
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_index_and_of_the_tag_that_stands_in_for_the_api() {
    let world = World::new().await;
    let subject = world.content().put("a", Some("v1"), &image(1));
    // Durably, before the answer: nothing learns in the background here.
    let signed = signature(&subject, "signature", 1);
    world.metadata.keep(world.pushed("a", None, &signed)).await.unwrap();
    let signed = world.content().put("a", None, &signed);
    assert_eq!(listed(&world, &subject, None, &Part::default()).await, std::slice::from_ref(&signed));

    let other = world.content().put("a", None, &signature(&subject, "sbom", 2));
    let fallback = subject.as_str().replace(':', "-");
    let manifests = [descriptor(&other, "sbom"), descriptor(&signed, "signature")];
    world.content().put("a", Some(&fallback), &json!({ "mediaType": INDEX, "manifests": manifests }));
    let both = sorted([signed.clone(), other.clone()]);
    assert_eq!(listed(&world, &subject, None, &Part::default()).await, both);
    assert_eq!(listed(&world, &subject, Some("sbom"), &Part::default()).await, std::slice::from_ref(&other));
    assert_eq!(listed(&world, &subject, None, &part(1, None, Order::Name)).await, both[..1]);
    let rest = part(1, Some(both[0].as_str()), Order::Name);
    assert_eq!(listed(&world, &subject, None, &rest).await, both[1..]);
    assert!(!world.metadata.has_referrers(&world.registry, &name("a")).await);
    assert_eq!(world.asked("GET /v2/a/referrers/"), 1, "it is remembered that there is no such API");

    world.content().delete("a", &signed);
    world.clock.advance(std::time::Duration::from_mins(2));
    let (tags, _) = world.upstream("a");
    assert!(tags.contains_key(&fallback));
    world.content().repositories.get_mut("a").unwrap().tags.remove(&fallback);
    assert_eq!(listed(&world, &subject, None, &Part::default()).await, [], "what is gone refers to nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_upstream_that_has_the_api() {
    let subject = Digest::sha256(b"subject");
    let (one, other) = (Digest::sha256(b"one"), Digest::sha256(b"other"));
    let world = World::hiding(&[LockTarget::Manifest(name("a"), other.clone())]).await;
    let manifests = [descriptor(&one, "signature"), descriptor(&other, "signature")];
    world.content().referrers = Some(json!({ "mediaType": INDEX, "manifests": manifests }));
    assert_eq!(listed(&world, &subject, None, &Part::default()).await, [one]);
    assert!(world.metadata.has_referrers(&world.registry, &name("a")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_nothing_there_are_none() {
    let world = World::new().await;
    assert_eq!(listed(&world, &Digest::sha256(b"x"), None, &Part::default()).await, []);
}
