//! The provider changes its keys, or goes away, while pulls go on.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use super::world::{OWN, World};
use crate::harness::http::request_to;
use crate::harness::provider::{Provider, exchange};
use crate::harness::sources::ask;
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

/// By access tokens, by refresh tokens and by the provider's own, from four clients at once.
#[test]
fn keys_rotate_under_load_and_no_pull_fails() {
    let world = World::start();
    let (theirs, refresh_token) = (world.provider.token("ci-bot"), world.refresh_token(OWN));
    let access_token = format!("Bearer {}", world.log_in(OWN, PULL));
    let (over, count) = (AtomicBool::new(false), AtomicU32::new(0));
    let (front, mut provider) = (world.seawall, world.provider);
    let pull = |authorization: &str| {
        let headers = [("Host", OWN), ("Authorization", authorization)];
        ask("127.0.0.1", front.address(), "GET", MANIFEST, &headers, b"").unwrap().expect(404);
        count.fetch_add(1, Ordering::Relaxed);
    };
    let log_in = || {
        let form = format!("grant_type=refresh_token&service={OWN}&scope={PULL}&refresh_token={refresh_token}");
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = request_to(front.address(), OWN, "POST", "/oauth2/token", &headers, form.as_bytes());
        format!("Bearer {}", answer.unwrap().expect(200).json()["access_token"].as_str().unwrap())
    };
    let until_over = |work: &dyn Fn()| {
        while !over.load(Ordering::Relaxed) {
            work();
        }
    };
    scope(|threads| {
        threads.spawn(|| until_over(&|| pull(&access_token)));
        threads.spawn(|| until_over(&|| pull(&access_token)));
        threads.spawn(|| until_over(&|| pull(&log_in())));
        threads.spawn(|| until_over(&|| pull(&format!("Bearer {theirs}"))));
        for _ in 0..2 {
            provider.rotate();
            let after = provider.token("ci-bot");
            wait_until("the new key is known", || exchange(front.address(), OWN, &after).status == 200);
        }
        over.store(true, Ordering::Relaxed);
    });
    println!("{} pulls while the keys were rotated twice", count.load(Ordering::Relaxed));
    assert!(count.load(Ordering::Relaxed) > 100);
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
