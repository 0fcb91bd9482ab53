//! `seawall backup` and `seawall restore`: from a configuration to its store, and from there to a file or back.
//!
//! The server may be running meanwhile: a backup is of one moment, and after a restore it reads everything anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

use super::keys;
use super::store::{self, OpenError};
use crate::auth::keys::encryption_key;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, EncryptionKeySource, StoreLocation};
use crate::management::key_records::HASH_KEY;
use crate::policy::problem::Problems;
use crate::secret::{EncryptionKey, HashKey};
pub use crate::store::Existing;
use crate::store::backup::{self, BackupError};
use crate::store::{Contents, Kind, Object, ObjectKey, Record, Store, StoreError};

/// Stands for standard output, or standard input.
const STREAM: &str = "-";

/// How much was backed up or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    pub records: usize,
    /// The store had another hash key before: what runs on it must be restarted.
    pub other_hash_key: bool,
}

/// Why nothing was backed up or restored.
#[derive(Debug, Error)]
pub enum TransferError {
    /// The configuration cannot be used; every problem is in it.
    #[error("the configuration has problems")]
    Configuration(Problems),
    #[error("there is no store yet: {} does not exist", .0.display())]
    NoStore(PathBuf),
    #[error("cannot open the store: {0}")]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot restore {}: {source}", path.display())]
    Backup { path: PathBuf, source: BackupError },
    #[error("the store is not empty; restore with --replace to put the backup in the place of everything there is")]
    NotEmpty,
    #[error(
        "the encryption key {} is missing; put there the one of the seawall that the backup is of: without it the \
         backup is of no use",
        .0.display()
    )]
    KeyMissing(PathBuf),
    #[error("the backup cannot be used with this encryption key: {0}")]
    Key(String),
    #[error("cannot start: {0}")]
    Machine(io::Error),
}

/// Writes everything in the store of the configuration at `config` to `file`, a new file for its owner only; `-` is
/// standard output.
///
/// # Errors
/// Nothing is left behind then.
pub fn backup(config: &Path, file: &Path) -> Result<Amount, TransferError> {
    let config = read(config)?;
    if let StoreLocation::Sqlite(path) = &config.store.location
        && !path.exists()
    {
        return Err(TransferError::NoStore(path.clone()));
    }
    let contents = runtime()?.block_on(async {
        let store = store::open(&config.store).await?;
        store.contents().await.map_err(TransferError::from)
    })?;
    write(&contents, file).map_err(|source| TransferError::Write { path: file.to_owned(), source })?;
    Ok(Amount { records: contents.records.len(), other_hash_key: false })
}

/// Puts what [`fn@backup`] wrote to `file` into the store of the configuration at `config`, in one transaction.
///
/// The keys in it are opened first, with the configured encryption key: a store whose keys cannot be opened would keep every
/// seawall from starting.
///
/// # Errors
/// The store is as it was then.
pub fn restore(config: &Path, file: &Path, existing: Existing) -> Result<Amount, TransferError> {
    let config = read(config)?;
    let contents = contents(file).map_err(|source| TransferError::Backup { path: file.to_owned(), source })?;
    let hash_key = hash_key(&contents, &config.encryption_key)?;
    runtime()?.block_on(async {
        let store = store::open(&config.store).await?;
        let other_hash_key = has_other_hash_key(store.as_ref(), hash_key.as_ref(), &config.encryption_key).await?;
        let restored = store.replace_contents(&contents, existing).await?;
        restored.map(|_| Amount { records: contents.records.len(), other_hash_key }).ok_or(TransferError::NotEmpty)
    })
}

/// Whether a server that runs on `store` digests with another key than the one that is restored. A store without keys has
/// none; a key that cannot be opened is another one.
async fn has_other_hash_key(
    store: &dyn Store,
    restored: Option<&HashKey>,
    source: &EncryptionKeySource,
) -> Result<bool, TransferError> {
    let key = ObjectKey { registry: String::new(), kind: Kind::Key, name: HASH_KEY.to_owned() };
    let found = match store.get(&key).await {
        Ok(None) => return Ok(false),
        Ok(Some(Record { object: Object::Key(key), .. })) => Some(key),
        Ok(Some(_)) | Err(StoreError::Unusable(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let encryption = own(source).ok();
    let opened = found.zip(encryption).and_then(|(key, encryption)| keys::opened_hash_key(&key, &encryption).ok());
    Ok(!opened.zip(restored).is_some_and(|(before, restored)| keys::are_alike(&before, restored)))
}

/// Registries with problems keep nobody from saving the store.
fn read(path: &Path) -> Result<Config, TransferError> {
    let config::Reading { config, problems, .. } = config::read(path);
    config.ok_or(TransferError::Configuration(problems))
}

fn runtime() -> Result<Runtime, TransferError> {
    Builder::new_current_thread().enable_all().build().map_err(TransferError::Machine)
}

fn write(contents: &Contents, file: &Path) -> io::Result<()> {
    let now = SystemClock.now();
    if file == Path::new(STREAM) {
        return backup::write(contents, now, BufWriter::new(io::stdout().lock()));
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let written = backup::write(contents, now, BufWriter::new(&mut new)).and_then(|()| new.sync_all());
    written.inspect_err(|_| {
        // Whoever does not look at the exit code must not find half a backup. If this fails too, its end is missing.
        let _ = fs::remove_file(file);
    })
}

fn contents(file: &Path) -> Result<Contents, BackupError> {
    if file == Path::new(STREAM) {
        return backup::read(io::stdin().lock());
    }
    backup::read(BufReader::new(File::open(file)?))
}

/// The hash key among the keys of `contents`, all of which are opened; `None` when there are no keys.
fn hash_key(contents: &Contents, source: &EncryptionKeySource) -> Result<Option<HashKey>, TransferError> {
    let keys: Vec<_> = contents
        .records
        .iter()
        .filter_map(|record| match &record.object {
            Some(Object::Key(key)) => Some(key),
            _ => None,
        })
        .collect();
    if keys.is_empty() {
        return Ok(None);
    }
    let opened = keys::materials(keys, &own(source)?).map_err(|error| TransferError::Key(error.to_string()))?;
    Ok(Some(opened.hash_key))
}

fn own(source: &EncryptionKeySource) -> Result<EncryptionKey, TransferError> {
    match source {
        EncryptionKeySource::Given(source) => {
            source.encryption_key().map_err(|problem| TransferError::Key(problem.to_string()))
        }
        EncryptionKeySource::Made(path) => {
            let text = encryption_key(path).map_err(|error| TransferError::Key(error.to_string()))?;
            text.map(|text| EncryptionKey::of_secret(&text)).ok_or_else(|| TransferError::KeyMissing(path.clone()))
        }
    }
}

#[cfg(test)]
mod tests;
