//! The directory in which the files of one disk are: getting it, and removing from it what is forgotten.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::process::geteuid;

use super::disk::Gone;

/// The directory in the operator's, so that nothing of anybody else is ever touched.
pub(super) const OURS: &str = "seawall-content";
/// What file systems make themselves at the root of a disk.
const OF_THE_DISK: &str = "lost+found";
/// How often it is tried to get the directory from who had it before, and when that is told.
const TRIES: u32 = 300;
const PAUSE: Duration = Duration::from_millis(200);

/// Makes the directory ours, and removes what is forgotten until nothing can be any more.
pub(super) fn keep_house(directory: &Path, path: &Path, registry: &str, ready: &AtomicBool, going: &Receiver<Gone>) {
    let lock = match make_ours(directory, path, registry, going) {
        Ok(lock) => lock,
        Err(error) => {
            let directory = directory.display();
            tracing::warn!(registry, %directory, %error, "the content cache keeps nothing on its disk");
            return;
        }
    };
    ready.store(true, Ordering::Release);
    while let Ok(gone) = going.recv() {
        if let Err(error) = gone.remove() {
            tracing::debug!(registry, %error, "a file of the content cache could not be removed");
        }
    }
    let _ = fs::remove_dir_all(path);
    drop(lock);
}

/// Whether what was `found` by our name is a directory for the user `own` alone: what somebody else can write there would be given
/// out, and what a link leads to would be removed.
fn check(found: &Metadata, own: u32) -> io::Result<()> {
    let is_open = found.mode() & 0o077 != 0;
    let what = if found.is_symlink() {
        "is a symbolic link, and must be a directory".to_owned()
    } else if !found.is_dir() {
        "is not a directory".to_owned()
    } else if found.uid() != own {
        format!("belongs to the user {}, and not to seawall's, which is {own}: remove it", found.uid())
    } else if is_open {
        format!("is open to other users (mode {:o}): give it the mode 700, or remove it", found.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(io::Error::other(format!("`{OURS}` in it {what}")))
}

/// An empty directory for one registry, and the lock that keeps other processes out of it.
fn make_ours(directory: &Path, path: &Path, registry: &str, going: &Receiver<Gone>) -> io::Result<File> {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if name != OURS && name != OF_THE_DISK {
            let what = format!("it holds `{}`, which is not seawall's: give it a directory of its own", name.display());
            return Err(io::Error::other(what));
        }
    }
    let ours = directory.join(OURS);
    match private.create(&ours) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    check(&fs::symlink_metadata(&ours)?, geteuid().as_raw())?;
    let mut file = OpenOptions::new();
    file.create(true).truncate(false).write(true).mode(0o600);
    let lock = file.open(ours.join(format!("{registry}.lock")))?;
    let mut tries = 0;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => tries += 1,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if tries == TRIES {
            tracing::warn!(registry, "the content cache waits for its directory, which somebody else uses");
        }
        // Requests that began before a reload may still read there. Nothing comes this way before there is anything to remove.
        if matches!(going.recv_timeout(PAUSE), Err(RecvTimeoutError::Disconnected)) {
            return Err(io::Error::other("its directory was not free for as long as it was needed"));
        }
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => private.create(path)?,
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// What is said of the directory at `path`, for the user with the number `own`.
    fn said(path: &Path, own: u32) -> String {
        check(&fs::symlink_metadata(path).unwrap(), own).map_or_else(|error| error.to_string(), |()| "ours".to_owned())
    }

    #[test]
    fn only_a_directory_that_is_ours_alone_is_used() {
        let (place, own) = (tempfile::tempdir().unwrap(), geteuid().as_raw());
        let ours = place.path().join(OURS);
        DirBuilder::new().mode(0o700).create(&ours).unwrap();
        assert_eq!(said(&ours, own), "ours");
        let other = own + 1;
        let expected =
            format!("`{OURS}` in it belongs to the user {own}, and not to seawall's, which is {other}: remove it");
        assert_eq!(said(&ours, other), expected);
        for mode in [0o720, 0o702, 0o750, 0o1777] {
            fs::set_permissions(&ours, fs::Permissions::from_mode(mode)).unwrap();
            let expected =
                format!("`{OURS}` in it is open to other users (mode {mode:o}): give it the mode 700, or remove it");
            assert_eq!(said(&ours, own), expected);
        }
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o700)).unwrap();
        let link = place.path().join("link");
        symlink(&ours, &link).unwrap();
        assert_eq!(said(&link, own), format!("`{OURS}` in it is a symbolic link, and must be a directory"));
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(said(&file, own), format!("`{OURS}` in it is not a directory"));
    }
}
