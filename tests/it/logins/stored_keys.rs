//! The keys in the store: they outlive the process, and another replica's rotation and revocation arrive.

use seawall::auth::keys::SigningAlgorithm;
use seawall::clock::{Clock, SystemClock};
use seawall::management::key_records::{revoke, rotate_signing};

use super::desk::{Desk, builder, desk, read, token};
use crate::harness::records::{encryption_key, with_store};
use crate::harness::wait_until;

/// The ids of the published keys, the newest first.
fn published(desk: &Desk) -> Vec<String> {
    let keys = desk.request("GET /.well-known/jwks.json", &[], "").expect(200).json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn log_in(desk: &Desk) -> String {
    token(desk.get("&scope=repository:team/app:pull", &builder()))
}

/// Whether an access token is accepted. Nobody is behind the wall, so that a permitted request ends in a 502.
fn is_good(desk: &Desk, token: &str) -> bool {
    match desk.bearer(token, "GET /v2/team/app/manifests/latest").status {
        502 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

/// Requirements S3, issue 3: what a revoked key signed is refused at the next request, remembered or not.
#[test]
fn a_signing_key_is_rotated_without_a_break_and_revoked_at_once() {
    let desk = desk();
    let [old] = published(&desk).try_into().unwrap();
    let before = log_in(&desk);
    assert!(is_good(&desk, &before));
    let place = desk.seawall.place();
    let encryption = encryption_key(place);
    let new = with_store(place, async |store| {
        let now = SystemClock.now();
        rotate_signing(&*store, &encryption, SigningAlgorithm::Es256, now).await.unwrap().0
    });
    wait_until("the new key is published", || published(&desk) == [new.id.clone(), old.clone()]);
    assert_eq!(read(&log_in(&desk)).0["kid"], old, "the new key does not sign yet");
    wait_until("the new key signs", || read(&log_in(&desk)).0["kid"] == new.id);
    let after = log_in(&desk);
    assert!(is_good(&desk, &before) && is_good(&desk, &after));
    with_store(place, async |store| revoke(&*store, &old, SystemClock.now()).await.unwrap());
    wait_until("the old key is gone", || published(&desk) == [new.id.clone()]);
    assert!(!is_good(&desk, &before));
    assert!(is_good(&desk, &after));
}
