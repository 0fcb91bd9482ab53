use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::secret::{HashKey, Secret};

fn after(seconds: i64) -> Timestamp {
    "2026-11-21T12:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds)
}

/// ES256, because it is made faster.
fn key(active_from: i64, retires_at: Option<i64>) -> KeyMaterial {
    let key = KeyMaterial::generate(SigningAlgorithm::Es256, after(active_from)).expect("a key");
    KeyMaterial { retires_at: retires_at.map(after), ..key }
}

fn ring(signing: &[KeyMaterial]) -> Result<Keyring, KeysError> {
    Keyring::new(signing, HashKey::from_bytes([0; 32]))
}

/// The ids of the published keys.
fn published(ring: &Keyring, seconds: i64) -> Vec<String> {
    let jwks = ring.jwks(after(seconds));
    let keys = jwks["keys"].as_array().expect("keys").clone();
    keys.iter().map(|key| key["kid"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn the_newest_active_key_signs_and_all_that_have_not_retired_verify() {
    let [old, new, next] = [key(0, Some(50)), key(10, None), key(20, None)];
    // The order in which they are given does not count.
    let ring = ring(&[next.clone(), old.clone(), new.clone()]).expect("a ring");
    let signing = |seconds| ring.signing(after(seconds)).map(|key| key.id().to_string());
    for (seconds, expected) in [(-5, &old), (0, &old), (9, &old), (10, &new), (19, &new), (20, &next), (99, &next)] {
        assert_eq!(signing(seconds).as_ref(), Some(&expected.id), "after {seconds} s");
    }
    assert_eq!(published(&ring, 0), [&next, &new, &old].map(|key| key.id.clone()));
    assert_eq!(published(&ring, 50), [&next, &new].map(|key| key.id.clone()));
    for (seconds, known) in [(0, true), (49, true), (50, false)] {
        assert_eq!(ring.verifying(&old.id, after(seconds)).is_some(), known, "after {seconds} s");
        assert_eq!(ring.knows(&old.id, after(seconds)), known, "after {seconds} s");
    }
    assert!(!ring.knows("", after(0)) && !ring.knows("another", after(0)));
}

#[test]
fn keys_are_replaced_in_a_ring_that_is_in_use() {
    let [old, new] = [key(0, None), key(5, None)];
    let ring = ring(std::slice::from_ref(&old)).expect("a ring");
    assert!(ring.replace(std::slice::from_ref(&new)).is_empty());
    assert_eq!(published(&ring, 0), [new.id]);
    assert!(!ring.knows(&old.id, after(0)));
}

/// Otherwise one damaged record would keep every revoked key in force.
#[test]
fn a_key_that_cannot_be_used_is_left_out_and_named() {
    let [old, good] = [key(0, None), key(5, None)];
    let damaged = KeyMaterial { certificate_pem: old.certificate_pem.clone(), ..key(6, None) };
    assert!(matches!(ring(std::slice::from_ref(&damaged)), Err(KeysError::Unusable { id, .. }) if id == damaged.id));
    let ring = ring(&[old]).expect("a ring");
    let refused = ring.replace(&[good.clone(), damaged.clone()]);
    assert!(matches!(refused.as_slice(), [KeysError::Unusable { id, .. }] if *id == damaged.id), "{refused:?}");
    assert_eq!(published(&ring, 0), std::slice::from_ref(&good.id));
    let refused = ring.replace(&[damaged]);
    assert!(matches!(refused.as_slice(), [KeysError::Unusable { .. }, KeysError::NoSigningKey]), "{refused:?}");
    assert!(matches!(ring.replace(&[]).as_slice(), [KeysError::NoSigningKey]));
    assert_eq!(published(&ring, 0), [good.id], "without any nobody could log in");
}

#[test]
fn what_does_not_belong_together_is_no_key() {
    let (good, other) = (key(0, None), key(0, None));
    let rsa = KeyMaterial::generate(SigningAlgorithm::Rs256, after(0)).expect("a key");
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let cases = [
        KeyMaterial { id: other.id.clone(), ..good.clone() },
        KeyMaterial { certificate_pem: String::new(), ..good.clone() },
        KeyMaterial { certificate_pem: half(&good.certificate_pem), ..good.clone() },
        KeyMaterial { certificate_pem: other.certificate_pem, ..good.clone() },
        KeyMaterial { certificate_pem: good.private_key_pem.expose().to_owned(), ..good.clone() },
        KeyMaterial { private_key_pem: Secret::new(""), ..good.clone() },
        KeyMaterial { private_key_pem: Secret::new(half(good.private_key_pem.expose())), ..good.clone() },
        KeyMaterial { private_key_pem: other.private_key_pem, ..good.clone() },
        KeyMaterial { private_key_pem: rsa.private_key_pem, ..good.clone() },
        KeyMaterial { algorithm: SigningAlgorithm::Rs256, ..good.clone() },
    ];
    for (number, case) in cases.into_iter().enumerate() {
        assert!(matches!(ring(&[case]), Err(KeysError::Unusable { .. })), "case {number}");
    }
    assert!(matches!(ring(&[]), Err(KeysError::NoSigningKey)));
    ring(&[good]).expect("the table would refuse anything");
}

#[test]
fn the_key_set_names_each_key_by_its_thumbprint() {
    let made = SigningAlgorithm::ALL.map(|algorithm| KeyMaterial::generate(algorithm, after(0)).expect("a key"));
    let jwks = ring(&made).expect("a ring").jwks(after(0));
    // RFC 7638: the required members only, in lexical order, without white space.
    let required = |algorithm: &str| match algorithm {
        "RS256" => ["e", "kty", "n"].as_slice(),
        _ => &["crv", "kty", "x", "y"],
    };
    let mut algorithms = BTreeSet::new();
    for key in jwks["keys"].as_array().expect("keys") {
        let algorithm = key["alg"].as_str().expect("a text");
        algorithms.insert(algorithm);
        let members: Vec<_> = required(algorithm).iter().map(|name| format!("{}:{}", json!(name), key[name])).collect();
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", members.join(","))));
        assert_eq!(key["kid"], thumbprint);
        let material = made.iter().find(|made| made.id == thumbprint).expect("one of those that were made");
        assert_eq!(material.algorithm.name(), algorithm);
        assert_eq!(key["use"], "sig");
        assert_eq!(key["x5c"].as_array().map(Vec::len), Some(1));
        assert_eq!(["d", "p", "q", "dp", "dq", "qi"].map(|private| key.get(private)), [None; 6], "nothing private");
    }
    assert_eq!(algorithms, BTreeSet::from(["ES256", "RS256"]));
}

#[test]
fn the_key_set_carries_the_certificates_that_are_exported() {
    let ring = ring(&[key(0, None), key(1, None), key(2, Some(3))]).expect("a ring");
    let pem = ring.certificate_pem(after(5));
    let exported: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).map(|one| one.expect("one")).collect();
    let jwks = ring.jwks(after(5));
    let published: Vec<_> = jwks["keys"].as_array().expect("keys").iter().map(|key| key["x5c"][0].clone()).collect();
    assert_eq!(published, exported.iter().map(|der| json!(STANDARD.encode(der))).collect::<Vec<_>>());
    assert_eq!(published.len(), 2);
}

#[test]
fn debug_shows_no_key() {
    let key = key(0, None);
    let shown = format!("{key:?} {:?}", ring(std::slice::from_ref(&key)));
    let secret = key.private_key_pem.expose().lines().find(|line| !line.starts_with('-')).expect("a line");
    assert!(!shown.contains(secret));
}

#[test]
fn a_random_key_is_read_back_and_nothing_else_is() {
    let text = random_key().expect("a key");
    assert_ne!(text.expose(), random_key().expect("a key").expose());
    let digest = |key: Option<HashKey>| key.map(|key| *key.digest("d", &[]).as_bytes());
    let with_break = Secret::new(format!("{}\n", text.expose()));
    assert_eq!(digest(parse_hash_key(&text)), digest(parse_hash_key(&with_break)));
    assert!(parse_hash_key(&text).is_some());
    for bad in [String::new(), "A".repeat(40), "A".repeat(44), "A".repeat(100_000), format!(" {}", text.expose())] {
        assert!(parse_hash_key(&Secret::new(bad)).is_none());
    }
}

#[test]
fn algorithms_are_known_by_their_names_only() {
    for algorithm in SigningAlgorithm::ALL {
        assert_eq!(SigningAlgorithm::named(algorithm.name()), Some(algorithm));
    }
    assert_eq!(["none", "rs256", "HS256", ""].map(SigningAlgorithm::named), [None; 4]);
}
