//! The provider changes its keys, or goes away, while pulls go on.

use std::thread::sleep;
use std::time::Duration;

use super::world::{OWN, World};
use crate::harness::provider::Provider;
use crate::harness::wait_until;

const PULL: &str = "repository:baseimages/node:pull";
const MANIFEST: &str = "/v2/baseimages/node/manifests/none";

#[test]
fn a_rotated_key_is_learned_and_no_pull_fails() {
    let mut world = World::start();
    let access_token = format!("Bearer {}", world.log_in(OWN, PULL));
    let before = world.provider.token("ci-bot");
    world.exchange(OWN, &before).expect(200);
    world.provider.rotate();
    // A token under the new key makes seawall ask for keys, once in ten seconds; the former key is still published.
    let after = world.provider.token("ci-bot");
    wait_until("the new key is known", || {
        world.ask(OWN, "GET", MANIFEST, &access_token, b"").expect(404);
        world.exchange(OWN, &before).expect(200);
        world.exchange(OWN, &after).status == 200
    });
    world.exchange(OWN, &before).expect(200);
    world.ask(OWN, "GET", MANIFEST, &access_token, b"").expect(404);
}

/// Keys that are known go on counting; `OUTAGE_SECONDS` makes it longer.
#[test]
fn a_provider_that_is_away_stops_nobody_it_has_vouched_for() {
    let seconds: u64 = std::env::var("OUTAGE_SECONDS").map_or(3, |text| text.parse().unwrap());
    let mut world = World::start();
    let provided = world.provider.token("ci-bot");
    let refresh_token = world.refresh_token(OWN);
    let access_token = format!("Bearer {}", world.log_in(OWN, PULL));
    world.provider.stop();
    for _ in 0..seconds * 10 {
        world.ask(OWN, "GET", MANIFEST, &access_token, b"").expect(404);
        world.access_token(OWN, &refresh_token, PULL).expect(200);
        world.exchange(OWN, &provided).expect(200);
        sleep(Duration::from_millis(100));
    }
    world.provider.start_again();
    let fresh = world.provider.token("ci-bot");
    world.exchange(OWN, &fresh).expect(200);
}

/// Nobody can say whether it is good: that is no "no", and never a "yes".
#[test]
fn a_provider_that_was_never_reached_is_not_a_refusal() {
    let mut provider = Provider::start();
    let token = provider.token("ci-bot");
    provider.stop();
    let mut world = World::of(provider);
    let answer = world.exchange(OWN, &token).expect(503);
    assert!(answer.header("Retry-After").is_some());
    world.provider.start_again();
    wait_until("its keys are there", || world.exchange(OWN, &token).status == 200);
}
