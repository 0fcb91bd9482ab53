use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;
use crate::auth::access_token::{AccessClaims, AccessTokens};
use crate::clock::ManualClock;
use crate::management::key_records::{all, revoke, rotate_management, rotate_signing};
use crate::policy::credential::PrincipalId;
use crate::store::{Settings, StoreUrl};

const ISSUER: &str = "seawall";
const AUDIENCE: &str = "registry.example.com";

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// A folder with a store in it, and perhaps a signing directory.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn directory(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    fn credential_file(&self) -> PathBuf {
        self.0.path().join("management.credential")
    }

    /// A process of its own, as far as the database can tell.
    async fn store(&self) -> Arc<dyn Store> {
        let url = StoreUrl::Sqlite(self.0.path().join("seawall.db"));
        crate::store::open(&Settings::at(url)).await.unwrap()
    }

    /// What a start does.
    async fn start(&self, algorithm: SigningAlgorithm, now: Timestamp) -> Result<Opened, StartKeysError> {
        let store = self.store().await;
        open(&*store, &encryption("one"), &self.directory(), algorithm, now).await
    }

    /// The same, with the keys in force.
    async fn in_force(&self) -> KeysInForce {
        let opened = self.start(SigningAlgorithm::Es256, now()).await.unwrap();
        let clock = Arc::new(ManualClock::at(now().as_second()));
        KeysInForce::new(&opened, encryption("one"), self.credential_file(), &self.directory(), clock).unwrap()
    }

    async fn keys(&self) -> Vec<StoredKey> {
        all(&*self.store().await).await.unwrap().into_iter().map(|record| record.key).collect()
    }
}

fn encryption(text: &str) -> EncryptionKey {
    EncryptionKey::of_secret(&Secret::new(text))
}

/// All that must not differ between two replicas.
fn face(opened: &Opened) -> (Vec<String>, String, [u8; 32]) {
    let mut ids: Vec<_> = opened.signing.iter().map(|key| key.id.clone()).collect();
    ids.sort();
    (ids, opened.management.expose().to_owned(), *opened.hash_key.digest("d", &[]).as_bytes())
}

fn ring(opened: &Opened) -> Arc<Keyring> {
    Arc::new(Keyring::new(&opened.signing, opened.hash_key.clone()).unwrap())
}

async fn mint(keys: &Arc<Keyring>, now: Timestamp) -> Secret {
    let claims = AccessClaims {
        subject: "ci".to_owned(),
        audience: AUDIENCE.to_owned(),
        principal: "00112233445566778899aabbccddeeff".parse::<PrincipalId>().unwrap(),
        credential: None,
        access: Vec::new(),
        identity: None,
    };
    AccessTokens::new(Arc::clone(keys), ISSUER).mint(claims, now).await.unwrap().token
}

fn is_good(keys: &Arc<Keyring>, token: &Secret, now: Timestamp) -> bool {
    AccessTokens::new(Arc::clone(keys), ISSUER).verify(token, AUDIENCE, now).is_ok()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_second_start_finds_the_keys_of_the_first() {
    let place = Place::new();
    let first = place.start(SigningAlgorithm::Rs256, now()).await.unwrap();
    assert_eq!(first.signing.iter().map(|key| key.algorithm).collect::<Vec<_>>(), [SigningAlgorithm::Rs256]);
    let revision = place.store().await.changes(None).await.unwrap().position.revision;
    let second = place.start(SigningAlgorithm::Rs256, after(1000)).await.unwrap();
    assert_eq!(face(&first), face(&second));
    assert_eq!(place.store().await.changes(None).await.unwrap().position.revision, revision, "nothing was written");
    let elsewhere = Place::new().start(SigningAlgorithm::Rs256, now()).await.unwrap();
    let ((ids, credential, digest), other) = (face(&first), face(&elsewhere));
    assert!(ids != other.0 && credential != other.1 && digest != other.2);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_end_up_with_the_same_keys() {
    let place = Arc::new(Place::new());
    place.store().await;
    let mut faces = Vec::new();
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
        let start = || {
            let place = Arc::clone(&place);
            tokio::spawn(async move { face(&place.start(algorithm, now()).await.unwrap()) })
        };
        let replicas: Vec<_> = (0..4).map(|_| start()).collect();
        let mut started = Vec::new();
        for replica in replicas {
            started.push(replica.await.unwrap());
        }
        started.dedup();
        assert_eq!(started.len(), 1, "{algorithm:?}");
        faces.extend(started);
    }
    assert_eq!(faces.iter().map(|(ids, ..)| ids.len()).collect::<Vec<_>>(), [1, 2], "the other algorithm added one");
    assert_eq!(place.keys().await.len(), 4);
}

/// What the former version left: a hash key, and a signing key with its certificate.
fn leave_behind(directory: &Path, algorithm: SigningAlgorithm) -> Arc<Keyring> {
    make_directory(directory).unwrap();
    let key = KeyMaterial::generate(algorithm, now()).unwrap();
    let name = algorithm.name().to_ascii_lowercase();
    let put = |name: &str, visibility, text: &str| replace_file(&directory.join(name), visibility, text).unwrap();
    put(&format!("signing-{name}.key"), Visibility::Secret, key.private_key_pem.expose());
    put(&format!("signing-{name}.crt"), Visibility::Public, &key.certificate_pem);
    put("hash.key", Visibility::Secret, &(STANDARD.encode([9; 32]) + "\n"));
    Arc::new(Keyring::new(&[key], HashKey::from_bytes([9; 32])).unwrap())
}

#[tokio::test]
async fn nothing_that_the_former_version_issued_is_lost() {
    for (algorithm, keys) in [(SigningAlgorithm::Es256, 1), (SigningAlgorithm::Rs256, 2)] {
        let place = Place::new();
        let former = leave_behind(&place.directory(), SigningAlgorithm::Es256);
        let token = mint(&former, now()).await;
        // The change of the algorithm comes with a later start, too.
        let imported = place.start(SigningAlgorithm::Es256, now()).await.unwrap();
        fs::remove_dir_all(place.directory()).unwrap();
        let opened = place.start(algorithm, now()).await.unwrap();
        assert_eq!(opened.signing.len(), keys);
        for opened in [&imported, &opened] {
            assert!(is_good(&ring(opened), &token, after(10)));
            let digest = |key: &HashKey| key.digest("d", &[]);
            assert_eq!(digest(&opened.hash_key), digest(former.hash_key()));
        }
    }
}

#[tokio::test]
async fn another_algorithm_takes_over_while_the_older_key_still_verifies() {
    let place = Place::new();
    let before = ring(&place.start(SigningAlgorithm::Es256, now()).await.unwrap());
    let token = mint(&before, now()).await;
    for _ in 0..2 {
        let keys = ring(&place.start(SigningAlgorithm::Rs256, after(10)).await.unwrap());
        assert!(is_good(&keys, &token, after(20)));
        let (during, later) = (mint(&keys, after(14)).await, mint(&keys, after(15)).await);
        assert!(is_good(&before, &during, after(14)), "a replica that does not know the new key yet");
        assert!(!is_good(&before, &later, after(15)));
    }
    assert_eq!(place.keys().await.len(), 4, "the second start had nothing to do");
    let back = ring(&place.start(SigningAlgorithm::Es256, after(30)).await.unwrap());
    assert!(is_good(&back, &token, after(40)) && is_good(&back, &mint(&back, after(40)).await, after(40)));
}

#[tokio::test]
async fn another_encryption_key_opens_and_changes_nothing() {
    let place = Place::new();
    place.start(SigningAlgorithm::Es256, now()).await.unwrap();
    let before = place.keys().await;
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
        let store = place.store().await;
        let opened = open(&*store, &encryption("two"), &place.directory(), algorithm, now()).await;
        let error = opened.err().unwrap().to_string();
        assert!(error.contains("the store's keys were sealed with another encryption key"), "{error}");
    }
    assert_eq!(place.keys().await, before);
}

#[tokio::test]
async fn a_lost_key_is_not_silently_replaced() {
    for lost in [HASH_KEY, MANAGEMENT_KEY] {
        let place = Place::new();
        place.start(SigningAlgorithm::Es256, now()).await.unwrap();
        let store = place.store().await;
        let keys = all(&*store).await.unwrap();
        let key = keys.iter().find(|record| record.key.id == lost).unwrap().key.clone();
        let write = Write { object: None, ..put(&keys, key) };
        store.write(&[write], now()).await.unwrap();
        let error = place.start(SigningAlgorithm::Es256, now()).await.err().unwrap().to_string();
        assert!(error.contains(lost) && error.contains("missing"), "{error}");
    }
}

/// A record that is left out of lists is one that cannot be read.
#[tokio::test]
async fn no_key_is_made_beside_signing_keys_that_cannot_be_read() {
    let place = Place::new();
    place.start(SigningAlgorithm::Es256, now()).await.unwrap();
    let all = all(&*place.store().await).await.unwrap();
    let others: Vec<_> = all.iter().filter(|record| record.key.purpose != KeyPurpose::Signing).cloned().collect();
    assert_eq!((all.len(), others.len()), (3, 2));
    assert!(matches!(check_readable(3, &others), Err(StartKeysError::NoneReadable)));
    assert!(matches!(check_readable(3, &[]), Err(StartKeysError::NoneReadable)));
    assert!(check_readable(4, &all).is_ok(), "another one is enough");
    assert!(check_readable(0, &all).is_ok(), "another replica has made them meanwhile");
    assert!(check_readable(0, &[]).is_ok());
}

#[tokio::test]
async fn a_process_whose_keys_become_unusable_stays_on_the_former_ones_and_says_so() {
    let place = Place::new();
    let keys = place.in_force().await;
    let token = mint(keys.keyring(), now()).await;
    let readable = place.keys().await.into_iter().filter(|key| key.purpose != KeyPurpose::Signing).collect::<Vec<_>>();
    assert_eq!(keys.replace(&readable), KeyTroubles { no_signing_key: true, unusable: true, other_hash_key: false });
    assert!(is_good(keys.keyring(), &token, now()));
    assert_eq!(keys.replace(&place.keys().await), KeyTroubles::default());
}

/// As a restore does: nothing but a restart helps, and until then it shows.
#[tokio::test]
async fn another_hash_key_under_a_running_process_shows() {
    let place = Place::new();
    let keys = place.in_force().await;
    let ours = place.keys().await;
    let other = sealed_secret(HASH_KEY, KeyPurpose::Hash, &random_key().unwrap(), &encryption("one"), now()).unwrap();
    let theirs: Vec<_> = ours.iter().map(|key| if key.id == HASH_KEY { other.clone() } else { key.clone() }).collect();
    assert_eq!(keys.replace(&theirs), KeyTroubles { other_hash_key: true, ..KeyTroubles::default() });
    assert_eq!(keys.replace(&ours), KeyTroubles::default(), "it was put back");
}

#[tokio::test]
async fn the_own_encryption_key_is_made_for_an_empty_store_only() {
    let place = Place::new();
    let path = place.directory().join("encryption.key");
    let store = place.store().await;
    let sealed = own_encryption_key(&path, &*store).await.unwrap().seal(&["a"], &Secret::new("b")).unwrap();
    assert_eq!(mode(&path), 0o600);
    let own = own_encryption_key(&path, &*store).await.unwrap();
    assert_eq!(own.open(&["a"], &sealed).unwrap().expose(), "b");
    open(&*store, &own, &place.directory(), SigningAlgorithm::Es256, now()).await.unwrap();
    fs::remove_file(&path).unwrap();
    let error = own_encryption_key(&path, &*store).await.err().unwrap().to_string();
    assert!(error.contains(&path.display().to_string()) && error.contains("put it back"), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn the_start_writes_the_owners_credential_and_the_certificates() {
    let place = Place::new();
    let keys = place.in_force().await;
    let credential = fs::read_to_string(place.credential_file()).unwrap();
    assert_eq!((credential.len(), credential.ends_with('\n'), mode(&place.credential_file())), (44, true, 0o600));
    let certificates = place.directory().join("certificates.pem");
    assert_eq!(fs::read_to_string(&certificates).unwrap(), keys.keyring().certificate_pem(now()));
    assert_eq!((mode(&certificates), mode(&place.directory())), (0o644, 0o700));
}

#[tokio::test]
async fn what_changes_in_the_store_is_in_force_after_it_was_read() {
    let place = Place::new();
    let keys = place.in_force().await;
    let store = place.store().await;
    let credential = || fs::read_to_string(place.credential_file()).unwrap();
    let (token, first) = (mint(keys.keyring(), now()).await, credential());
    let (new, _) = rotate_signing(&*store, &encryption("one"), SigningAlgorithm::Es256, now()).await.unwrap();
    rotate_management(&*store, &encryption("one"), now()).await.unwrap();
    assert_eq!(keys.replace(&place.keys().await), KeyTroubles::default());
    assert!(is_good(keys.keyring(), &token, after(1)));
    assert_eq!(fs::read_to_string(place.directory().join("certificates.pem")).unwrap().matches("BEGIN").count(), 2);
    assert_ne!(credential(), first);
    let second = credential();
    let old = place.keys().await.into_iter().find(|key| key.purpose == KeyPurpose::Signing && key.id != new.id);
    revoke(&*store, &old.unwrap().id, after(6)).await.unwrap();
    assert_eq!(keys.replace(&place.keys().await), KeyTroubles::default());
    assert!(!is_good(keys.keyring(), &token, after(7)));
    assert!(is_good(keys.keyring(), &mint(keys.keyring(), after(7)).await, after(7)));
    assert_eq!(credential(), second, "untouched");
}

/// Also a credential that cannot be opened does not bring the former one back, nor end the process.
#[tokio::test]
async fn a_damaged_key_does_not_keep_a_revoked_one_in_force() {
    let place = Place::new();
    let keys = place.in_force().await;
    let token = mint(keys.keyring(), now()).await;
    let good = sealed(&KeyMaterial::generate(SigningAlgorithm::Es256, now()).unwrap(), &encryption("one")).unwrap();
    let foreign = sealed(&KeyMaterial::generate(SigningAlgorithm::Es256, now()).unwrap(), &encryption("two")).unwrap();
    let nonsense = StoredKey { certificate: Some("none".to_owned()), ..good.clone() };
    let secret = |id, purpose| sealed_secret(id, purpose, &Secret::new("x"), &encryption("two"), now()).unwrap();
    let others =
        [secret(MANAGEMENT_KEY, KeyPurpose::Management), secret(HASH_KEY, KeyPurpose::Hash), nonsense, foreign];
    let troubles = keys.replace(&[others.as_slice(), std::slice::from_ref(&good)].concat());
    assert_eq!(troubles, KeyTroubles { unusable: true, ..KeyTroubles::default() });
    assert!(!is_good(keys.keyring(), &token, now()));
    assert_eq!(keys.keyring().jwks(now())["keys"].as_array().unwrap().len(), 1);
    assert!(is_good(keys.keyring(), &mint(keys.keyring(), now()).await, now()));
}
