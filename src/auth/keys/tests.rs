use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;
use std::thread;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

const FILES: [(&str, u32); 3] = [("hash.key", 0o600), ("signing-es256.crt", 0o644), ("signing-es256.key", 0o600)];

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

/// ES256, because it is made faster.
fn open(directory: &Path) -> Result<SigningKeys, KeysError> {
    SigningKeys::open_or_create(directory, SigningAlgorithm::Es256, now())
}

fn made() -> (TempDir, SigningKeys) {
    let directory = TempDir::new().expect("a directory");
    let keys = open(directory.path()).expect("keys");
    (directory, keys)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("readable")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    names
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o7777
}

#[test]
fn the_first_start_makes_the_directory_and_nothing_that_others_can_read() {
    let parent = TempDir::new().expect("a directory");
    let directory = parent.path().join("state/keys");
    open(&directory).expect("keys");
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(names(&directory), FILES.map(|(name, _)| name), "and nothing was left beside them");
    for (name, expected) in FILES {
        assert_eq!(mode(&directory.join(name)) & !expected, 0, "{name}");
    }
}

#[test]
fn the_second_start_finds_the_same_keys() {
    for algorithm in SigningAlgorithm::ALL {
        let directory = TempDir::new().expect("a directory");
        let open = || SigningKeys::open_or_create(directory.path(), algorithm, now()).expect("keys");
        let (first, second) = (open(), open());
        assert_eq!(first.jwks(), second.jwks());
        assert_eq!(first.certificate_pem(), second.certificate_pem());
        assert_eq!(first.hash_key().digest("d", &[]), second.hash_key().digest("d", &[]));
    }
}

#[test]
fn two_directories_share_no_key() {
    let ((_a, first), (_b, second)) = (made(), made());
    assert_ne!(first.active().id(), second.active().id());
    assert_ne!(first.hash_key().digest("d", &[]), second.hash_key().digest("d", &[]));
}

#[test]
fn processes_that_start_together_end_up_with_the_same_keys() {
    let directory = TempDir::new().expect("a directory");
    let together = Barrier::new(8);
    let mut ids: Vec<_> = thread::scope(|scope| {
        let start = || {
            together.wait();
            let keys = open(directory.path()).expect("keys");
            (keys.active().id().to_owned(), keys.certificate_pem(), *keys.hash_key().digest("d", &[]).as_bytes())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().expect("joined")).collect()
    });
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(names(directory.path()), FILES.map(|(name, _)| name));
}

#[test]
fn a_crash_between_key_and_certificate_costs_nothing() {
    let (directory, keys) = made();
    fs::remove_file(directory.path().join("signing-es256.crt")).expect("removed");
    fs::write(directory.path().join(".signing-es256.key.0123456789abcdef"), "half a k").expect("written");
    assert_eq!(open(directory.path()).expect("keys").active().id(), keys.active().id());
}

#[test]
fn files_that_others_can_reach_stop_the_start() {
    let (directory, _) = made();
    let refused = [
        ("hash.key", 0o640),
        ("hash.key", 0o604),
        ("signing-es256.key", 0o660),
        ("signing-es256.key", 0o620),
        ("signing-es256.key", 0o602),
        ("signing-es256.crt", 0o664),
        ("signing-es256.crt", 0o646),
    ];
    for (name, wide) in refused {
        let path = directory.path().join(name);
        let before = mode(&path);
        set_mode(&path, wide);
        assert!(matches!(open(directory.path()), Err(KeysError::FileOpen { .. })), "{name} {wide:o}");
        set_mode(&path, before);
    }
    for wide in [0o720, 0o702, 0o777] {
        set_mode(directory.path(), wide);
        assert!(matches!(open(directory.path()), Err(KeysError::DirectoryOpen { .. })), "{wide:o}");
    }
    set_mode(directory.path(), 0o700);
    open(directory.path()).expect("and nothing of it was changed");
}

#[test]
fn a_key_of_the_other_algorithm_is_held_to_the_same_rules() {
    let (directory, _) = made();
    set_mode(&directory.path().join("signing-es256.key"), 0o644);
    let opened = SigningKeys::open_or_create(directory.path(), SigningAlgorithm::Rs256, now());
    assert!(matches!(opened, Err(KeysError::FileOpen { .. })));
}

#[test]
fn files_that_are_damaged_stop_the_start_and_are_not_replaced() {
    let (directory, _) = made();
    let (other, _) = made();
    let rsa = TempDir::new().expect("a directory");
    SigningKeys::open_or_create(rsa.path(), SigningAlgorithm::Rs256, now()).expect("keys");
    let foreign = |name: &str| fs::read_to_string(other.path().join(name)).expect("readable");
    let whole = |name: &str| fs::read_to_string(directory.path().join(name)).expect("readable");
    let half = |name: &str| whole(name)[..whole(name).len() / 2].to_owned();
    let cases = [
        ("hash.key", String::new()),
        ("hash.key", half("hash.key")),
        ("hash.key", "A".repeat(44)),
        ("hash.key", "A".repeat(100_000)),
        ("signing-es256.key", String::new()),
        ("signing-es256.key", half("signing-es256.key")),
        ("signing-es256.key", foreign("signing-es256.key")),
        ("signing-es256.key", fs::read_to_string(rsa.path().join("signing-rs256.key")).expect("readable")),
        ("signing-es256.crt", String::new()),
        ("signing-es256.crt", half("signing-es256.crt")),
        ("signing-es256.crt", foreign("signing-es256.crt")),
        ("signing-es256.crt", whole("signing-es256.key")),
    ];
    for (name, damaged) in cases {
        let (path, good) = (directory.path().join(name), whole(name));
        fs::write(&path, &damaged).expect("written");
        let opened = open(directory.path());
        assert!(matches!(opened, Err(KeysError::Invalid { .. })), "{name} {damaged:.20}: {opened:?}");
        assert_eq!(whole(name), damaged, "{name} was touched");
        fs::write(&path, good).expect("written");
    }
    open(directory.path()).expect("whole again");
}

#[test]
fn a_lost_key_is_not_silently_replaced() {
    let (directory, _) = made();
    fs::remove_file(directory.path().join("signing-es256.key")).expect("removed");
    let error = open(directory.path()).expect_err("refused").to_string();
    assert!(error.contains("its key `signing-es256.key` is missing"), "{error}");
    assert!(!directory.path().join("signing-es256.key").exists());
}

#[test]
fn what_is_no_file_or_no_directory_stops_the_start() {
    let (directory, _) = made();
    let path = directory.path().join("hash.key");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    assert!(open(directory.path()).is_err());
    let (directory, _) = made();
    assert!(open(&directory.path().join("hash.key")).is_err());
}

#[test]
fn a_link_is_judged_by_what_it_leads_to() {
    let (directory, keys) = made();
    let elsewhere = TempDir::new().expect("a directory");
    let (path, target) = (directory.path().join("signing-es256.key"), elsewhere.path().join("key"));
    fs::rename(&path, &target).or_else(|_| fs::copy(&path, &target).map(drop)).expect("moved");
    let _ = fs::remove_file(&path);
    symlink(&target, &path).expect("linked");
    assert_eq!(open(directory.path()).expect("keys").active().id(), keys.active().id());
    set_mode(&target, 0o644);
    assert!(matches!(open(directory.path()), Err(KeysError::FileOpen { .. })));
}

#[test]
fn a_key_of_the_other_algorithm_still_verifies() {
    let (directory, old) = made();
    let new = SigningKeys::open_or_create(directory.path(), SigningAlgorithm::Rs256, now()).expect("keys");
    assert_eq!(new.active().algorithm(), SigningAlgorithm::Rs256);
    assert!(new.by_id(old.active().id()).is_some());
    assert_eq!(new.jwks()["keys"].as_array().map(Vec::len), Some(2));
    assert_eq!(new.certificate_pem().matches("BEGIN CERTIFICATE").count(), 2);
}

#[test]
fn the_key_set_names_each_key_by_its_thumbprint() {
    let (directory, _) = made();
    let keys = SigningKeys::open_or_create(directory.path(), SigningAlgorithm::Rs256, now()).expect("keys");
    let jwks = keys.jwks();
    // RFC 7638: the required members only, in lexical order, without white space.
    let required: [(&str, &[&str]); 2] = [("RS256", &["e", "kty", "n"]), ("ES256", &["crv", "kty", "x", "y"])];
    for (key, (algorithm, members)) in jwks["keys"].as_array().expect("keys").iter().zip(required) {
        let members: Vec<_> = members.iter().map(|name| format!("{}:{}", json!(name), key[name])).collect();
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", members.join(","))));
        assert_eq!(key["kid"], thumbprint);
        assert_eq!(key["alg"], algorithm);
        assert_eq!(key["use"], "sig");
        assert_eq!(key["x5c"].as_array().map(Vec::len), Some(1));
        assert_eq!(["d", "p", "q", "dp", "dq", "qi"].map(|private| key.get(private)), [None; 6], "nothing private");
    }
}

#[test]
fn the_key_set_carries_the_certificates_that_are_exported() {
    let (_directory, keys) = made();
    let certificate = CertificateDer::from_pem_slice(keys.certificate_pem().as_bytes()).expect("a certificate");
    assert_eq!(keys.jwks()["keys"][0]["x5c"][0], STANDARD.encode(&certificate));
}

#[test]
fn debug_shows_no_key() {
    let (directory, keys) = made();
    let shown = format!("{keys:?}");
    for name in ["hash.key", "signing-es256.key"] {
        let text = fs::read_to_string(directory.path().join(name)).expect("readable");
        let secret = text.lines().find(|line| !line.starts_with('-')).expect("a line");
        assert!(!shown.contains(secret), "{name}");
    }
}
