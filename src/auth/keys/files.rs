//! The files of the key directory: made once, whole or not at all, and refused when somebody else could have read or
//! changed them (threat class S).

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// No key or certificate is larger.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Why the key directory cannot be used. seawall does not start then.
#[derive(Debug, Error)]
pub enum KeysError {
    #[error("cannot {action} `{}`: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the key directory `{}` can be changed by others than its owner; run: chmod 700", path.display())]
    DirectoryOpen { path: PathBuf },
    #[error("the secret file `{}` can be read or changed by others than its owner; run: chmod 600", path.display())]
    FileOpen { path: PathBuf },
    #[error("the file `{}` is not usable: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("cannot make a {what}: {source}")]
    Generate { what: &'static str, source: rcgen::Error },
}

/// Who may see a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visibility {
    /// The owner only: mode 0600, and refused when it is wider.
    Secret,
    /// Anybody: mode 0644.
    Public,
}

/// A directory that only its owner can change.
#[derive(Debug)]
pub(super) struct KeyDirectory {
    path: PathBuf,
}

impl KeyDirectory {
    /// Opens the directory; makes it, with mode 0700, when there is none.
    pub(super) fn open_or_create(path: &Path) -> Result<Self, KeysError> {
        let failed = |action| move |source| KeysError::File { action, path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create the key directory"))?;
        let metadata = path.metadata().map_err(failed("look at the key directory"))?;
        if metadata.mode() & 0o022 != 0 {
            return Err(KeysError::DirectoryOpen { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned() })
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The text of the file `name`, or `None` when there is no such file.
    pub(super) fn read(&self, name: &str, visibility: Visibility) -> Result<Option<String>, KeysError> {
        let path = self.path_of(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(KeysError::File { action: "open", path, source }),
        };
        // Asked of the open file: a path could lead elsewhere a moment later.
        let metadata =
            file.metadata().map_err(|source| KeysError::File { action: "look at", path: path.clone(), source })?;
        check(&metadata, visibility, &path)?;
        let mut text = String::new();
        match file.take(MAX_FILE_BYTES).read_to_string(&mut text) {
            Ok(_) => Ok(Some(text)),
            Err(source) => Err(KeysError::File { action: "read", path, source }),
        }
    }

    /// The text of the file `name`. When there is none, one with the text that `make` returns appears, at once and
    /// whole; should another process be quicker, its text is the answer.
    pub(super) fn read_or_create(
        &self,
        name: &str,
        visibility: Visibility,
        make: impl FnOnce() -> Result<String, KeysError>,
    ) -> Result<String, KeysError> {
        if let Some(text) = self.read(name, visibility)? {
            return Ok(text);
        }
        self.create(name, visibility, &make()?)?;
        self.read(name, visibility)?.ok_or_else(|| KeysError::File {
            action: "find again",
            path: self.path_of(name),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    /// Writes `text` aside, and gives it its name once it is on the disk. An existing file is left as it is.
    fn create(&self, name: &str, visibility: Visibility, text: &str) -> Result<(), KeysError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        let aside = self.path_of(&format!(".{name}.{:016x}", u64::from_ne_bytes(random)));
        let path = self.path_of(name);
        let published = write_new(&aside, visibility, text).and_then(|()| {
            // Not `rename`, which would replace the file of a process that was quicker.
            match std::fs::hard_link(&aside, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            }
        });
        let removed = std::fs::remove_file(&aside);
        published.and(removed).and_then(|()| File::open(&self.path)?.sync_all()).map_err(|source| KeysError::File {
            action: "create",
            path,
            source,
        })
    }
}

fn write_new(path: &Path, visibility: Visibility, text: &str) -> io::Result<()> {
    let mode = match visibility {
        Visibility::Secret => 0o600,
        Visibility::Public => 0o644,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn check(metadata: &Metadata, visibility: Visibility, path: &Path) -> Result<(), KeysError> {
    let invalid = |reason: &str| KeysError::Invalid { path: path.to_owned(), reason: reason.to_owned() };
    if !metadata.is_file() {
        return Err(invalid("it is not a regular file"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(invalid("it is larger than 64 KiB"));
    }
    let forbidden = match visibility {
        Visibility::Secret => 0o077,
        Visibility::Public => 0o022,
    };
    if metadata.mode() & forbidden != 0 {
        return Err(KeysError::FileOpen { path: path.to_owned() });
    }
    Ok(())
}
