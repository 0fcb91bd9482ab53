use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use tempfile::TempDir;

use super::super::{Keyring, replace_file};
use super::*;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

fn former(directory: &Path) -> Result<FormerKeys, KeysError> {
    former_keys(directory, SigningAlgorithm::Es256, now())
}

fn put(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o7777
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).expect("readable").map(|entry| entry.expect("entry").file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().expect("a name")).collect();
    names.sort();
    names
}

/// A directory as the former version left it, with the keys of these algorithms.
fn left_behind(algorithms: &[SigningAlgorithm]) -> TempDir {
    let directory = TempDir::new().expect("a directory");
    put(&directory.path().join("hash.key"), &format!("{}\n", random_key().expect("a key").expose()), 0o600);
    for algorithm in algorithms {
        let key = KeyMaterial::generate(*algorithm, now()).expect("a key");
        let (key_file, certificate_file) = files(*algorithm);
        put(&directory.path().join(key_file), key.private_key_pem.expose(), 0o600);
        put(&directory.path().join(certificate_file), &key.certificate_pem, 0o644);
    }
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).expect("changed");
    directory
}

#[test]
fn the_keys_that_were_left_behind_are_read_and_nothing_is_written() {
    let directory = left_behind(&[SigningAlgorithm::Es256]);
    let before = names(directory.path());
    let [first, second] = [(); 2].map(|()| former(directory.path()).expect("keys"));
    let FormerKeys { signing, hash_key } = first;
    assert_eq!(signing.iter().map(|key| &key.id).collect::<Vec<_>>(), [&second.signing[0].id]);
    let file = |name: &str| fs::read_to_string(directory.path().join(name)).expect("readable");
    assert_eq!(signing[0].private_key_pem.expose(), file("signing-es256.key"));
    assert_eq!(signing[0].certificate_pem, file("signing-es256.crt"));
    assert_eq!((signing[0].active_from, signing[0].retires_at), (now(), None));
    assert_eq!(hash_key.expect("a hash key").expose(), file("hash.key"));
    assert_eq!(names(directory.path()), before);
}

/// Someone who changes the algorithm together with the version loses nothing, either.
#[test]
fn the_key_of_the_other_algorithm_retires() {
    let directory = left_behind(&SigningAlgorithm::ALL);
    for algorithm in SigningAlgorithm::ALL {
        let FormerKeys { signing, hash_key } = former_keys(directory.path(), algorithm, now()).expect("keys");
        let hash_key = parse_hash_key(&hash_key.expect("a text")).expect("a hash key");
        let ring = Keyring::new(&signing, hash_key).expect("a ring");
        assert_eq!(ring.signing(now()).expect("a key").algorithm(), algorithm);
        let ends: Vec<_> = signing.iter().map(|key| (key.algorithm == algorithm, key.retires_at)).collect();
        assert!(ends.contains(&(true, None)), "{ends:?}");
        assert!(ends.contains(&(false, Some(now() + SignedDuration::from_secs(11_760)))), "{ends:?}");
    }
    let alone = left_behind(&[SigningAlgorithm::Rs256]);
    let FormerKeys { signing, .. } = former(alone.path()).expect("keys");
    assert_eq!((signing.len(), signing[0].retires_at), (1, None), "nothing has replaced it yet");
}

#[test]
fn where_nothing_was_left_there_is_nothing() {
    let directory = TempDir::new().expect("a directory");
    for path in [directory.path().to_owned(), directory.path().join("none")] {
        let FormerKeys { signing, hash_key } = former(&path).expect("keys");
        assert!(signing.is_empty() && hash_key.is_none());
    }
    assert!(names(directory.path()).is_empty());
}

#[test]
fn a_certificate_that_was_not_made_in_time_is_made_anew() {
    let directory = left_behind(&[SigningAlgorithm::Es256]);
    let before = former(directory.path()).expect("keys").signing[0].id.clone();
    fs::remove_file(directory.path().join("signing-es256.crt")).expect("removed");
    let FormerKeys { signing, .. } = former(directory.path()).expect("keys");
    assert_eq!(signing[0].id, before);
    Keyring::new(&signing, crate::secret::HashKey::from_bytes([0; 32])).expect("a ring");
}

#[test]
fn files_that_others_can_reach_stop_the_start() {
    let directory = left_behind(&[SigningAlgorithm::Es256]);
    make(directory.path()).expect("a key");
    let refused = [
        ("hash.key", 0o640),
        ("hash.key", 0o604),
        ("signing-es256.key", 0o660),
        ("signing-es256.key", 0o620),
        ("signing-es256.key", 0o602),
        ("signing-es256.crt", 0o664),
        ("signing-es256.crt", 0o646),
        ("encryption.key", 0o640),
        ("encryption.key", 0o602),
    ];
    let open = || former(directory.path()).and(encryption_key(&key_file(directory.path()))).and(make(directory.path()));
    for (name, wide) in refused {
        let path = directory.path().join(name);
        let before = mode(&path);
        fs::set_permissions(&path, Permissions::from_mode(wide)).expect("changed");
        assert!(matches!(open(), Err(KeysError::FileOpen { .. })), "{name} {wide:o}");
        fs::set_permissions(&path, Permissions::from_mode(before)).expect("changed");
    }
    for wide in [0o720, 0o702, 0o777] {
        fs::set_permissions(directory.path(), Permissions::from_mode(wide)).expect("changed");
        assert!(matches!(open(), Err(KeysError::DirectoryOpen { .. })), "{wide:o}");
    }
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).expect("changed");
    open().expect("and nothing of it was changed");
}

fn key_file(directory: &Path) -> PathBuf {
    directory.join("encryption.key")
}

fn make(directory: &Path) -> Result<String, KeysError> {
    make_encryption_key(&key_file(directory)).map(|key| key.expose().to_owned())
}

#[test]
fn files_that_are_damaged_stop_the_start_and_are_not_replaced() {
    let directory = left_behind(&[SigningAlgorithm::Es256]);
    let other = left_behind(&SigningAlgorithm::ALL);
    make(directory.path()).expect("a key");
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
        ("signing-es256.key", foreign("signing-rs256.key")),
        ("signing-es256.crt", String::new()),
        ("signing-es256.crt", half("signing-es256.crt")),
        ("signing-es256.crt", foreign("signing-es256.crt")),
        ("signing-es256.crt", whole("signing-es256.key")),
        ("encryption.key", String::new()),
        ("encryption.key", "short".to_owned()),
    ];
    for (name, damaged) in cases {
        let (path, good) = (directory.path().join(name), whole(name));
        fs::write(&path, &damaged).expect("written");
        let opened = former(directory.path()).and(make(directory.path()));
        assert!(matches!(opened, Err(KeysError::Invalid { .. })), "{name} {damaged:.20}: {opened:?}");
        assert_eq!(whole(name), damaged, "{name} was touched");
        fs::write(&path, good).expect("written");
    }
    former(directory.path()).and(make(directory.path())).expect("whole again");
}

#[test]
fn a_lost_key_is_not_silently_replaced() {
    let directory = left_behind(&[SigningAlgorithm::Es256]);
    fs::remove_file(directory.path().join("signing-es256.key")).expect("removed");
    let error = former(directory.path()).expect_err("refused").to_string();
    assert!(error.contains("its key `signing-es256.key` is missing"), "{error}");
}

#[test]
fn what_is_no_file_or_no_directory_stops_the_start() {
    let directory = left_behind(&[SigningAlgorithm::Es256]);
    let path = directory.path().join("hash.key");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    assert!(former(directory.path()).is_err());
    let directory = left_behind(&[]);
    let file = directory.path().join("hash.key");
    assert!(former(&file).is_err());
    assert!(make(&file).is_err());
}

#[test]
fn a_link_is_judged_by_what_it_leads_to() {
    let directory = left_behind(&[SigningAlgorithm::Es256]);
    let id = former(directory.path()).expect("keys").signing[0].id.clone();
    let elsewhere = TempDir::new().expect("a directory");
    let (path, target) = (directory.path().join("signing-es256.key"), elsewhere.path().join("key"));
    put(&target, &fs::read_to_string(&path).expect("readable"), 0o600);
    fs::remove_file(&path).expect("removed");
    symlink(&target, &path).expect("linked");
    assert_eq!(former(directory.path()).expect("keys").signing[0].id, id);
    fs::set_permissions(&target, Permissions::from_mode(0o644)).expect("changed");
    assert!(matches!(former(directory.path()), Err(KeysError::FileOpen { .. })));
}

#[test]
fn the_encryption_key_is_made_once_even_by_processes_that_start_together() {
    let parent = TempDir::new().expect("a directory");
    let directory = parent.path().join("state/keys");
    assert!(encryption_key(&key_file(&directory)).expect("looked").is_none());
    assert!(!directory.exists(), "looking makes nothing");
    let together = Barrier::new(8);
    let mut keys: Vec<_> = thread::scope(|scope| {
        let start = || {
            together.wait();
            make(&directory).expect("a key")
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().expect("joined")).collect()
    });
    keys.dedup();
    assert_eq!(keys.len(), 1);
    assert_eq!(encryption_key(&key_file(&directory)).expect("read").expect("made").expose(), keys[0]);
    assert_eq!(names(&directory), ["encryption.key"], "and nothing was left beside it");
    assert_eq!((mode(&directory), mode(&directory.join("encryption.key"))), (0o700, 0o600));
}

#[test]
fn a_file_is_replaced_whole_and_for_the_right_eyes() {
    let directory = TempDir::new().expect("a directory");
    let path: PathBuf = directory.path().join("management.credential");
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).expect("exists"));
    replace_file(&path, Visibility::Secret, "one\n").expect("written");
    let first = inode();
    replace_file(&path, Visibility::Secret, "one\n").expect("left alone");
    assert_eq!(inode(), first);
    replace_file(&path, Visibility::Secret, "two\n").expect("replaced");
    assert_ne!(inode(), first);
    assert_eq!((fs::read_to_string(&path).expect("readable").as_str(), mode(&path)), ("two\n", 0o600));
    // Somebody opened it to others, or put a link in its place.
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("changed");
    replace_file(&path, Visibility::Secret, "two\n").expect("replaced");
    assert_eq!(mode(&path), 0o600);
    let target = directory.path().join("target");
    put(&target, "theirs", 0o666);
    fs::remove_file(&path).expect("removed");
    symlink(&target, &path).expect("linked");
    replace_file(&path, Visibility::Secret, "three\n").expect("replaced");
    assert_eq!(fs::read_to_string(&target).expect("readable"), "theirs");
    assert_eq!(names(directory.path()), ["management.credential", "target"], "nothing was left beside them");
    assert!(replace_file(&directory.path().join("none/file"), Visibility::Secret, "x").is_err());
    assert!(!directory.path().join("none").exists());
}
