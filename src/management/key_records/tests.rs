use std::sync::Arc;

use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;
use crate::store::{self, Settings, StoreUrl};

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn encryption() -> EncryptionKey {
    EncryptionKey::of_secret(&Secret::new("an encryption key of this test"))
}

fn made() -> KeyMaterial {
    KeyMaterial::generate(SigningAlgorithm::Es256, now()).unwrap()
}

/// A store with a hash key and one signing key, whose id is told.
async fn store() -> (TempDir, Arc<dyn Store>, String) {
    let folder = TempDir::new().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join("seawall.db"));
    let store = store::open(&Settings::at(url)).await.unwrap();
    let hash = sealed_secret(HASH_KEY, KeyPurpose::Hash, &Secret::new("h"), &encryption(), now()).unwrap();
    let signing = sealed(&made(), &encryption()).unwrap();
    let id = signing.id.clone();
    store.write(&[put(&[], hash), put(&[], signing)], now()).await.unwrap();
    (folder, store, id)
}

async fn rotate(store: &dyn Store, now: Timestamp) -> StoredKey {
    rotate_signing(store, &encryption(), SigningAlgorithm::Es256, now).await.unwrap().0
}

/// Of the signing keys: id, and when each retires.
async fn ends(store: &dyn Store) -> Vec<(String, Option<Timestamp>)> {
    let keys = all(store).await.unwrap().into_iter().map(|record| record.key);
    keys.filter(|key| key.purpose == KeyPurpose::Signing).map(|key| (key.id, key.retires_at)).collect()
}

#[tokio::test]
async fn a_key_is_the_same_after_it_was_sealed_kept_and_opened() {
    let (_folder, store, _) = store().await;
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
        let key = KeyMaterial { retires_at: Some(after(9)), ..KeyMaterial::generate(algorithm, now()).unwrap() };
        let kept = sealed(&key, &encryption()).unwrap();
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains("PRIVATE"), "{text}");
        store.write(&[put(&[], kept.clone())], now()).await.unwrap();
        let read = all(&*store).await.unwrap().into_iter().find(|record| record.key.id == key.id).unwrap().key;
        assert_eq!(read, kept);
        let opened = opened(&read, &encryption()).unwrap();
        assert_eq!(opened.private_key_pem.expose(), key.private_key_pem.expose());
        assert_eq!(
            (opened.id, opened.algorithm, opened.certificate_pem, opened.active_from, opened.retires_at),
            (key.id, key.algorithm, key.certificate_pem, key.active_from, key.retires_at)
        );
    }
}

#[test]
fn what_was_moved_or_cut_is_not_opened() {
    let (one, two) = (sealed(&made(), &encryption()).unwrap(), sealed(&made(), &encryption()).unwrap());
    let moved = StoredKey { sealed: two.sealed, ..one.clone() };
    assert!(matches!(opened(&moved, &encryption()), Err(KeyRecordsError::NotOurs { id }) if id == one.id));
    let other = EncryptionKey::of_secret(&Secret::new("another encryption key"));
    let error = opened(&one, &other).unwrap_err().to_string();
    assert!(error.contains("another encryption key"), "{error}");
    for cut in [
        StoredKey { algorithm: None, ..one.clone() },
        StoredKey { algorithm: Some("HS256".to_owned()), ..one.clone() },
        StoredKey { certificate: None, ..one.clone() },
    ] {
        assert!(matches!(opened(&cut, &encryption()), Err(KeyRecordsError::Damaged { .. })), "{cut:?}");
    }
}

#[tokio::test]
async fn a_new_key_takes_over_and_what_has_retired_is_removed() {
    let (_folder, store, first) = store().await;
    let second = rotate(&*store, now()).await;
    assert_eq!((second.active_from, second.retires_at), (after(5), None));
    let end = after(5 + 11_760);
    let mut expected = [(first.clone(), Some(end)), (second.id.clone(), None)];
    expected.sort();
    assert_eq!(ends(&*store).await, expected);
    let third = rotate(&*store, end).await;
    let left = ends(&*store).await;
    assert!(left.iter().all(|(id, _)| *id != first), "{left:?}");
    assert!(left.contains(&(third.id, None)) && left.len() == 2, "{left:?}");
}

#[tokio::test]
async fn of_rotations_at_the_same_time_one_key_stays() {
    let (_folder, store, _) = store().await;
    tokio::join!(rotate(&*store, now()), rotate(&*store, now()), rotate(&*store, now()));
    let ends = ends(&*store).await;
    let lasting = ends.iter().filter(|(_, end)| end.is_none()).count();
    assert_eq!((ends.len(), lasting), (4, 1), "{ends:?}");
}

#[tokio::test]
async fn of_two_revocations_at_the_same_time_one_leaves_the_last_key() {
    for _ in 0..10 {
        let (_folder, store, first) = store().await;
        let second = rotate(&*store, now()).await.id;
        let (one, two) = tokio::join!(revoke(&*store, &first, now()), revoke(&*store, &second, now()));
        let refused = [one, two].into_iter().filter_map(Result::err).collect::<Vec<_>>();
        assert!(matches!(refused[..], [KeyRecordsError::Irrevocable(Irrevocable::Last)]), "{refused:?}");
        // Whichever stays does not retire.
        assert!(matches!(ends(&*store).await[..], [(_, None)]));
    }
}

#[tokio::test]
async fn only_signing_keys_can_be_revoked_and_the_last_one_cannot() {
    let (_folder, store, first) = store().await;
    let before = all(&*store).await.unwrap();
    let cases = [
        (HASH_KEY, Irrevocable::Unknown),
        (MANAGEMENT_KEY, Irrevocable::Unknown),
        ("", Irrevocable::Unknown),
        (first.as_str(), Irrevocable::Last),
    ];
    for (id, expected) in cases {
        let refused = revoke(&*store, id, now()).await;
        assert!(matches!(refused, Err(KeyRecordsError::Irrevocable(reason)) if reason == expected), "{id}");
    }
    assert_eq!(all(&*store).await.unwrap(), before);
}

#[tokio::test]
async fn each_management_credential_is_another() {
    let (_folder, store, _) = store().await;
    let mut known = Vec::new();
    for _ in 0..3 {
        let (key, _) = rotate_management(&*store, &encryption(), now()).await.unwrap();
        known.push(opened_secret(&key, &encryption()).unwrap().expose().to_owned());
        let read = all(&*store).await.unwrap().into_iter().find(|record| record.key.id == MANAGEMENT_KEY).unwrap();
        assert_eq!(read.key, key);
    }
    known.dedup();
    assert_eq!(known.iter().map(String::len).collect::<Vec<_>>(), [43; 3]);
}

/// Nothing would keep two changes apart, and no password could be checked.
#[tokio::test]
async fn without_the_hash_key_no_signing_key_changes() {
    let folder = TempDir::new().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join("seawall.db"));
    let store = store::open(&Settings::at(url)).await.unwrap();
    let signing = [made(), made()].map(|key| put(&[], sealed(&key, &encryption()).unwrap()));
    store.write(&signing, now()).await.unwrap();
    let rotated = rotate_signing(&*store, &encryption(), SigningAlgorithm::Es256, now()).await;
    assert!(matches!(rotated, Err(KeyRecordsError::Damaged { .. })), "{rotated:?}");
    let revoked = revoke(&*store, &signing[0].key.name, now()).await;
    assert!(matches!(revoked, Err(KeyRecordsError::Damaged { .. })), "{revoked:?}");
}
