//! How long something is given out that the upstream may have lost.

use std::thread;
use std::time::Duration;

use super::{World, blob_path, count, expect_kept, expect_upstream, manifest, manifest_path, number, wait_until};
use crate::harness::caller::{Caller, digest};
use crate::harness::fake::Fake;
use crate::harness::image::MANIFEST;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::wall::{MINE, READER};

const PAST: Duration = Duration::from_millis(8_200);

#[test]
fn what_was_deleted_behind_our_back_is_gone_after_its_age() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution, "{maximumAge: 8s}");
        let mine = world.caller(MINE);
        let pushed = mine.push_image("mine/app", "v1", "an image");
        let (named, blob) = (digest(&pushed), mine.push_blob("mine/app", b"a layer"));
        manifest(&mine, "mine/app", &named).expect(200);
        mine.get(&blob_path("mine/app", &blob)).expect(200);
        let direct = world.direct();
        direct.send("DELETE", &manifest_path("mine/app", &named), &[], b"").expect(202);
        direct.send("DELETE", &blob_path("mine/app", &blob), &[], b"").expect(202);
        expect_kept(&world.seawall, &manifest(&mine, "mine/app", &named));
        expect_kept(&world.seawall, &mine.get(&blob_path("mine/app", &blob)));
        thread::sleep(PAST);
        expect_upstream(&world.seawall, &manifest(&mine, "mine/app", &named), 404);
        expect_upstream(&world.seawall, &mine.get(&blob_path("mine/app", &blob)), 404);
        assert_eq!(count(&world.seawall, "stale"), 2);
    }
}

/// What is still there is confirmed by one question, whoever asks at the same time.
#[test]
fn what_is_still_there_is_confirmed_and_given_out() {
    for distribution in Distribution::at_hand() {
        let registry = Registry::start(distribution);
        let relay = Fake::relaying(registry.address());
        let seawall = super::start(&relay.url(), "{maximumAge: 8s}");
        let mine = Caller::of(&seawall, MINE);
        let pushed = mine.push_image("mine/app", "v1", "an image");
        let named = digest(&pushed);
        manifest(&mine, "mine/app", &named).expect(200);
        thread::sleep(PAST);
        let calls = || number(&seawall, "seawall_upstream_calls_total{result=\"ok\"}");
        let before = calls();
        thread::scope(|scope| {
            for user in [MINE, READER, MINE, READER, MINE, READER] {
                let (seawall, named, pushed) = (&seawall, &named, &pushed);
                scope.spawn(move || {
                    let answer = manifest(&Caller::of(seawall, user), "mine/app", named).expect(200);
                    expect_kept(seawall, &answer);
                    assert!(answer.expect_header("Age").parse::<u64>().unwrap() < 8);
                    assert_eq!(&answer.body, pushed);
                });
            }
        });
        assert_eq!(calls() - before, 1);
        assert_eq!(count(&seawall, "hit") + count(&seawall, "stale"), 6);
        let again = manifest(&mine, "mine/app", &named);
        expect_kept(&seawall, &again);
    }
}

#[test]
fn what_is_kept_is_given_out_while_the_upstream_is_down_and_not_for_longer_than_its_age() {
    let world = World::start(Distribution::V2, "{maximumAge: 8s}");
    let World { registry, seawall } = world;
    let mine = Caller::of(&seawall, MINE);
    let pushed = mine.push_image("mine/app", "v1", "an image");
    let named = digest(&pushed);
    manifest(&mine, "mine/app", &named).expect(200);
    drop(registry);
    expect_kept(&seawall, &manifest(&mine, "mine/app", &named));
    mine.send("GET", &manifest_path("mine/app", "v1"), &[("Accept", MANIFEST)], b"").expect(502);
    wait_until("it is too old", || manifest(&mine, "mine/app", &named).status == 502);
    manifest(&mine, "mine/app", &named).expect(502);
}
