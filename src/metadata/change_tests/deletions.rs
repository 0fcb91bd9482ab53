//! Tags and repositories go.

use super::*;
use crate::metadata::Part;
use crate::metadata::learn::Sign;

#[tokio::test]
async fn a_tag_goes_and_its_manifest_stays() {
    for tag_deletion in [202, 405, 400] {
        let house = House::new().await;
        house.world().tag_deletion = tag_deletion;
        let digest = house.world().push(&["v1", "v2"], &image(1));
        house.untag("v1").await.unwrap();
        house.has(&["v2"], &[&digest]);
        assert_eq!(house.jobs().await, 0);
        assert_eq!(house.untag("v1").await, Err(MetadataError::Unknown(ErrorCode::ManifestUnknown)));
        house.untag("v2").await.unwrap();
        house.has(&[], &[&digest]);
        let tries = house
            .fake
            .lines()
            .iter()
            .filter(|line| line.starts_with("DELETE") && line.contains("/manifests/v"))
            .count();
        assert_eq!(tries, if tag_deletion == 202 { 2 } else { 1 }, "that it cannot is remembered");
    }
}

/// Some registries take a tag for the manifest's name.
#[tokio::test]
async fn a_manifest_that_went_with_its_tag_comes_back() {
    let house = House::new().await;
    house.world().tag_deletion = 0;
    let digest = house.world().push(&["v1", "v2"], &image(1));
    house.metadata.tags(&house.registry(), &repository(), &Part::default(), None).await.unwrap();
    house.untag("v1").await.unwrap();
    house.has(&["v2"], &[&digest]);
}

#[tokio::test]
async fn an_upstream_that_deletes_nothing_keeps_its_tag() {
    let house = House::new().await;
    house.world().deletion = false;
    let digest = house.world().push(&["v1"], &image(1));
    refused(&house.untag("v1").await, 405);
    assert_eq!(house.world().tags["v1"], digest.as_str());
    assert_eq!(house.jobs().await, 0);
    let deleted = house.delete().await;
    assert!(matches!(deleted, Err(MetadataError::Refused { status: 405, .. })), "{deleted:?}");
    assert_eq!(house.jobs().await, 0);
    assert!(!house.is_emptied().await);
}

/// How often the upstream is asked to delete one manifest before somebody else is left to go on.
const UNTAG_ATTEMPTS: usize = 6;
const DELETE_ATTEMPTS: usize = 5;

/// Distribution 2 may fail half-way: the manifest is gone, and its tag is listed still.
#[tokio::test]
async fn a_deletion_that_fails_once_is_tried_again() {
    let house = House::new().await;
    let digest = house.world().push(&["v1", "v2"], &image(1));
    house.world().faults.push("DELETE /v2/samples/a/manifests/sha256");
    house.untag("v1").await.unwrap();
    house.has(&["v2"], &[&digest]);
    house.world().faults.push("DELETE ");
    assert_eq!(house.delete().await.unwrap().manifests, [digest]);
    house.has(&[], &[]);
}

/// Whatever step fails, another replica finishes it.
#[tokio::test]
async fn an_untag_that_was_interrupted_is_finished() {
    for (fault, times) in [
        ("POST ", 1),
        ("PUT /v2/samples/a/blobs", 1),
        ("PUT /v2/samples/a/manifests", 1),
        ("DELETE /v2/samples/a/manifests/sha256", UNTAG_ATTEMPTS),
    ] {
        let house = House::new().await;
        let digest = house.world().push(&["v1", "v2"], &image(1));
        house.world().faults.extend(vec![fault; times]);
        let failed = house.untag("v1").await;
        assert!(matches!(failed, Err(MetadataError::Unfinished { .. })), "{fault}: {failed:?}");
        assert_eq!(house.jobs().await, 1, "{fault}");
        house.metadata.finish_jobs_once().await;
        assert_eq!(house.jobs().await, 1, "whoever began it may be at it still");
        house.clock.advance(61);
        house.metadata.finish_jobs_once().await;
        assert_eq!(house.jobs().await, 0, "{fault}");
        house.has(&["v2"], &[&digest]);
    }
}

#[tokio::test]
async fn a_tag_that_was_pushed_meanwhile_stays() {
    let house = House::new().await;
    let digest = house.world().push(&["v1"], &image(1));
    house.world().faults.extend(["DELETE /v2/samples/a/manifests/sha256"; UNTAG_ATTEMPTS]);
    house.untag("v1").await.unwrap_err();
    let other = house.world().push(&["v1"], &image(2));
    house.clock.advance(61);
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 0);
    house.has(&["v1"], &[&digest, &other]);
}

/// Work that was left is no way past a lock, and does not take a new lock along.
#[tokio::test]
async fn what_was_locked_since_is_not_deleted_by_work_that_was_left() {
    let locked = AttributesChange { delete_enabled: Some(false), ..AttributesChange::default() };
    for whole in [true, false] {
        let house = House::new().await;
        let digest = house.world().push(&["v1"], &image(1));
        house.world().faults.extend(["DELETE /v2/samples/a/manifests/sha256"; UNTAG_ATTEMPTS]);
        let target = LockTarget::Tag(repository(), tag("v1"));
        if whole {
            house.delete().await.unwrap_err();
        } else {
            house.world().faults.push("POST ");
            house.untag("v1").await.unwrap_err();
        }
        house.world().faults.clear();
        house.clock.advance(61);
        house.set(&target, &locked).await.unwrap();
        house.metadata.finish_jobs_once().await;
        assert_eq!(house.jobs().await, 0, "it is given up");
        house.has(&["v1"], &[&digest]);
        assert_eq!(house.records().await, ["samples/a:v1"]);
    }
}

#[tokio::test]
async fn what_cannot_be_finished_in_a_day_is_given_up() {
    let house = House::new().await;
    house.world().push(&["v1"], &image(1));
    house.world().faults.extend(["POST ", "POST "]);
    house.untag("v1").await.unwrap_err();
    house.clock.advance(3_600);
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 1);
    house.clock.advance(24 * 3_600);
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 0);
    assert!(house.world().tags.contains_key("v1"));
}

#[tokio::test]
async fn a_repository_goes_with_all_its_manifests_an_index_before_what_is_in_it() {
    let house = House::new().await;
    let child = house.world().push(&[], &image(1));
    let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": child, "size": 1, "mediaType": IMAGE }] });
    let index = house.world().push(&["all"], &index);
    let many: Vec<_> = (10..30).map(|number| house.world().push(&[&format!("v{number}")], &image(number))).collect();
    let deleted = house.delete().await.unwrap();
    house.has(&[], &[]);
    assert_eq!(deleted.manifests.len(), 22);
    assert_eq!(deleted.tags.len(), 21);
    let lines = house.fake.lines();
    let at = |digest: &Digest| {
        lines.iter().position(|line| line.ends_with(&format!("DELETE /v2/samples/a/manifests/{digest}")))
    };
    assert!(at(&index).unwrap() < at(&child).unwrap());
    assert!(many.iter().all(|digest| at(digest).is_some()));
    assert!(house.is_emptied().await);
    assert_eq!(house.jobs().await, 0);
    assert_eq!(house.delete().await, Err(MetadataError::Unknown(ErrorCode::NameUnknown)));
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_is_finished_and_spares_what_was_pushed_since() {
    let house = House::new().await;
    let old: Vec<_> = (0..20).map(|number| house.world().push(&[&format!("v{number}")], &image(number))).collect();
    house.world().faults.extend(["DELETE "; DELETE_ATTEMPTS]);
    let failed = house.delete().await;
    let Err(MetadataError::Unfinished { done, all, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!((done, all), (0, 20), "the first one failed, again and again");
    assert!(!house.is_emptied().await);
    house.clock.advance(61);
    let new = house.world().push(&["new"], &image(100));
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 0);
    house.has(&["new"], &[&new]);
    assert!(!house.is_emptied().await, "somebody uses it");
    assert!(old.iter().all(|digest| *digest != new));
}

/// The very manifest that is to go is pushed again before it went.
#[tokio::test]
async fn what_is_pushed_again_meanwhile_stays() {
    let house = House::new().await;
    let digest = house.world().push(&["v1"], &image(1));
    house.world().faults.extend(["DELETE "; DELETE_ATTEMPTS]);
    house.delete().await.unwrap_err();
    house.clock.advance(61);
    house.metadata.keep(house.pushed(tag("v1"), &image(1))).await.unwrap();
    house.metadata.finish_jobs_once().await;
    assert_eq!(house.jobs().await, 0);
    house.has(&["v1"], &[&digest]);
    assert!(!house.is_emptied().await);
}

/// Whoever learns of a push was told that the manifest is there, just before it went.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_learnt_of_a_push_meanwhile_brings_nothing_back() {
    let house = House::new().await;
    house.world().push(&["v1"], &image(1));
    house.world().delays.push("HEAD /v2/samples/a/manifests/v1");
    house.metadata.note(house.pushed(tag("v1"), &image(1)));
    let learner = house.metadata.clone();
    tokio::spawn(async move { learner.learn_from_notes().await });
    while house.fake.lines().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    house.clock.advance(1);
    house.delete().await.unwrap();
    tokio::time::sleep(DELAY).await;
    assert!(house.is_emptied().await);
    assert_eq!(house.delete().await, Err(MetadataError::Unknown(ErrorCode::NameUnknown)));
}

#[tokio::test]
async fn what_was_seen_before_a_deletion_does_not_bring_a_repository_back() {
    let house = House::new().await;
    house.world().push(&["v1"], &image(1));
    let before = house.clock.now();
    house.clock.advance(1);
    house.delete().await.unwrap();
    for (later, is_emptied) in [(0, true), (1, true), (2, false)] {
        let at = before + Duration::from_secs(later);
        house.metadata.put_repository(REGISTRY, &repository(), at, Sign::Seen).await.unwrap();
        assert_eq!(house.is_emptied().await, is_emptied, "{later} s after it");
    }
}
