use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::auth::keys::{SigningAlgorithm, make_encryption_key};
use crate::policy::stored::{StoredNetworks, StoredScopeMap};
use crate::store::{Expected, Kind, ObjectKey, Store, Write};

/// A folder with a configuration file, whose store is in it.
struct Installation(tempfile::TempDir);

impl Installation {
    fn new(encryption_key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "version: 1\nlisteners: [{{name: a, address: '127.0.0.1:0'}}]\nstore: sqlite:seawall.db\nsigning: \
             {{directory: keys, algorithm: ES256}}\n{encryption_key}\nregistries: {{broken: {{}}}}\n"
        );
        fs::write(folder.path().join("seawall.yaml"), text).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("seawall.yaml")
    }

    /// What a first start leaves: keys, and a scope map that somebody made.
    fn start(&self) {
        let config = read(&self.config()).unwrap();
        let key = match config.encryption_key.given().unwrap() {
            Some(key) => key,
            None => EncryptionKey::of_secret(&make_encryption_key(&self.path("keys/encryption.key")).unwrap()),
        };
        let object = StoredScopeMap {
            description: "made here".into(),
            actions: vec!["repositories/a/content/read".into()],
            networks: StoredNetworks::default(),
            creation_date: SystemClock.now(),
        };
        let key_of_map = ObjectKey { registry: "myregistry".into(), kind: Kind::ScopeMap, name: "map-a".into() };
        let write = Write { key: key_of_map, object: Some(Object::ScopeMap(object)), expected: Expected::Absent };
        runtime().unwrap().block_on(async {
            let store = store::open(&config.store).await.unwrap();
            let directory = self.path("keys");
            keys::open(&*store, &key, &directory, SigningAlgorithm::Es256, SystemClock.now()).await.unwrap();
            store.write(&[write], SystemClock.now()).await.unwrap();
        });
    }

    fn contents(&self) -> Contents {
        let config = read(&self.config()).unwrap();
        runtime().unwrap().block_on(async { store::open(&config.store).await.unwrap().contents().await.unwrap() })
    }
}

/// Without revisions, which are of each store.
fn objects(contents: Contents) -> Vec<(ObjectKey, Option<Object>)> {
    contents.records.into_iter().map(|record| (record.key, record.object)).collect()
}

#[test]
fn what_was_backed_up_is_restored_into_an_empty_store() {
    let (old, new) = (Installation::new(""), Installation::new(""));
    old.start();
    let file = old.path("backup");
    let amount = backup(&old.config(), &file).unwrap();
    assert_eq!(amount.records, old.contents().records.len());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let missing = restore(&new.config(), &file, Existing::Keep).unwrap_err();
    assert!(
        matches!(&missing, TransferError::KeyMissing(path) if *path == new.path("keys/encryption.key")),
        "{missing}"
    );
    assert!(!new.path("seawall.db").exists(), "nothing was begun");

    fs::create_dir(new.path("keys")).unwrap();
    fs::copy(old.path("keys/encryption.key"), new.path("keys/encryption.key")).unwrap();
    assert_eq!(restore(&new.config(), &file, Existing::Keep).unwrap(), amount);
    assert_eq!(objects(new.contents()), objects(old.contents()));
}

#[test]
fn what_is_there_is_replaced_only_when_that_is_said() {
    let key = "encryptionKey: {file: encryption}";
    let (old, new) = (Installation::new(key), Installation::new(key));
    for installation in [&old, &new] {
        fs::write(installation.path("encryption"), "0123456789abcdef0123456789abcdef").unwrap();
        installation.start();
    }
    let file = old.path("backup");
    backup(&old.config(), &file).unwrap();
    let before = objects(new.contents());
    assert!(matches!(restore(&new.config(), &file, Existing::Keep), Err(TransferError::NotEmpty)));
    assert_eq!(objects(new.contents()), before);
    let amount = restore(&new.config(), &file, Existing::Replace).unwrap();
    assert!(amount.other_hash_key, "a server that runs must be restarted");
    assert_eq!(objects(new.contents()), objects(old.contents()));
    let again = restore(&new.config(), &file, Existing::Replace).unwrap();
    assert_eq!(again, Amount { other_hash_key: false, ..amount }, "it is the same one now");
}

#[test]
fn a_backup_that_could_not_be_used_changes_nothing() {
    let key = "encryptionKey: {file: encryption}";
    let (old, new) = (Installation::new(key), Installation::new(key));
    fs::write(old.path("encryption"), "0123456789abcdef0123456789abcdef").unwrap();
    fs::write(new.path("encryption"), "another one 0123456789abcdef0123").unwrap();
    old.start();
    new.start();
    let file = old.path("backup");
    backup(&old.config(), &file).unwrap();
    let before = objects(new.contents());

    let foreign = restore(&new.config(), &file, Existing::Replace).unwrap_err().to_string();
    assert!(foreign.contains("sealed with another encryption key"), "{foreign}");

    let text = fs::read_to_string(&file).unwrap();
    let cut = text.trim_end().rsplit_once('\n').unwrap().0;
    fs::write(&file, format!("{cut}\n")).unwrap();
    let cut = restore(&old.config(), &file, Existing::Replace).unwrap_err();
    assert!(matches!(cut, TransferError::Backup { source: BackupError::Cut, .. }), "{cut}");
    assert_eq!(objects(new.contents()), before);
}

#[test]
fn no_file_is_overwritten_and_no_store_is_made_by_a_backup() {
    let installation = Installation::new("");
    let none = backup(&installation.config(), &installation.path("backup")).unwrap_err();
    assert!(matches!(none, TransferError::NoStore(_)), "{none}");
    assert!(!installation.path("seawall.db").exists() && !installation.path("backup").exists());

    installation.start();
    let there = backup(&installation.config(), &installation.config()).unwrap_err().to_string();
    assert!(there.contains("seawall.yaml: File exists"), "{there}");
}

#[test]
fn a_process_part_with_problems_is_no_place_to_look_for_a_store() {
    let installation = Installation::new("encryptionKey: {}");
    let refused = backup(&installation.config(), &installation.path("backup")).unwrap_err();
    assert!(matches!(&refused, TransferError::Configuration(problems) if problems.are_fatal()), "{refused}");
}
