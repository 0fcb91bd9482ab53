//! What only the file on this machine has: its mode, its folder, its neighbours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use seawall::store::{Settings, Store, StoreError, StoreUrl, open};
use sqlx::{Connection, SqliteConnection};

use crate::place::{at, put};

fn settings(path: &Path) -> Settings {
    Settings { patience: Duration::ZERO, ..Settings::at(StoreUrl::Sqlite(path.to_owned())) }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_file_and_its_folder_are_the_owners_only() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("var/seawall");
    let path = folder.join("seawall.db");
    let store = open(&settings(&path)).await.unwrap();
    store.write(&[put("a", "one")], at(0)).await.unwrap();
    assert_eq!(mode(&folder), 0o700);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "the file, its log and the log's index: {files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));
}

#[tokio::test]
async fn a_file_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.db");
    drop(open(&settings(&path)).await.unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    match open(&settings(&path)).await {
        Err(StoreError::Unusable(reason)) => assert!(reason.contains("chmod 600"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.db");
    fs::write(&path, "registries: {}\n".repeat(100)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let refused = open(&settings(&path)).await;
    assert!(matches!(refused, Err(StoreError::Unusable(_))), "{refused:?}");
    let folder = open(&settings(directory.path())).await;
    assert!(folder.is_err(), "a folder is no database");
}

/// Another process writes for long: a write waits, and then says that it could not.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_is_not_available() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.db");
    let store = open(&settings(&path)).await.unwrap();
    let mut other = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let refused = store.write(&[put("a", "one")], at(0)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.changes(None).await.unwrap().changes.is_empty(), "readers do not wait");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    store.write(&[put("a", "one")], at(0)).await.unwrap();
}
