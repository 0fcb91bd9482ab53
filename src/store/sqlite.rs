//! The store in a file of this machine.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::Mutex;

use super::StoreError;
use super::session::Pool;

/// One writes while the others read.
const CONNECTIONS: u32 = 4;
/// How long a writer waits for a writer of another process.
const BUSY: Duration = Duration::from_secs(5);

/// The pool of connections to the file `path`, which is made when there is none.
///
/// # Errors
/// Files and directories that cannot be made or opened, and a file that others than its owner may read or change.
pub(super) fn pool(path: &Path) -> Result<Pool, StoreError> {
    let unusable = |error: io::Error| StoreError::Unusable(format!("`{}`: {error}", path.display()));
    if path.try_exists().map_err(unusable)? {
        check_mode(path, &File::open(path).map_err(unusable)?).map_err(unusable)?;
    } else {
        create(path).map_err(unusable)?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // With NORMAL the last commits before a power cut could be lost, although they were acknowledged.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .disable_statement_logging();
    let connections = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(BUSY)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options);
    Ok(Pool::Sqlite { connections, writer: Arc::new(Mutex::new(())) })
}

/// An empty file is an empty database. SQLite gives the files beside it the same mode.
fn create(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_mode(path, &File::open(path)?),
        Err(error) => Err(error),
        Ok(file) => {
            file.sync_all()?;
            File::open(directory)?.sync_all()
        }
    }
}

fn check_mode(path: &Path, file: &File) -> io::Result<()> {
    if file.metadata()?.mode() & 0o077 != 0 {
        let text = format!("it can be read or changed by others than its owner; run: chmod 600 {}", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

/// Whether the trouble with this (extended) result code may be over later.
pub(super) fn will_pass(code: &str) -> bool {
    // PERM, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 3 | 5..=10 | 13..=15))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On these rests that an acknowledged write outlives a power cut.
    #[tokio::test]
    async fn every_commit_is_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let pool = pool(&directory.path().join("seawall.db")).unwrap();
        let mut session = pool.reading().await.unwrap();
        let full = session.fetch("PRAGMA synchronous", &[]).await.unwrap();
        assert_eq!(full[0].integer(0).unwrap(), 2);
        let journal = session.fetch("PRAGMA journal_mode", &[]).await.unwrap();
        assert_eq!(journal[0].text(0).unwrap(), "wal");
    }

    #[test]
    fn what_is_full_or_locked_may_pass_and_what_is_corrupt_may_not() {
        for (code, passes) in [("5", true), ("261", true), ("13", true), ("8", true), ("11", false), ("26", false)] {
            assert_eq!(will_pass(code), passes, "{code}");
        }
    }
}
