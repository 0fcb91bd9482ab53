//! Files of the owner: written whole or not at all, and refused when somebody else could have read or changed them
//! (threat class S).

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::KeysError;

/// No key or certificate is larger.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Who may see a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The owner only: mode 0600, and refused when it is wider.
    Secret,
    /// Anybody: mode 0644.
    Public,
}

/// Writes `text` into the file at `path`, at once and whole; a file that says it already is left as it is.
///
/// # Errors
/// [`KeysError::File`], also when the directory does not exist.
pub fn replace_file(path: &Path, visibility: Visibility, text: &str) -> Result<(), KeysError> {
    if matches!(read(path, visibility), Ok(Some(existing)) if existing == text) {
        return Ok(());
    }
    write(path, visibility, text, |aside| fs::rename(aside, path))
}

/// Makes the directory `path` with mode 0700, unless it is there.
///
/// # Errors
/// [`KeysError::DirectoryOpen`] when others than its owner can change it.
pub fn make_directory(path: &Path) -> Result<(), KeysError> {
    KeyDirectory::open_or_create(path).map(drop)
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
        let gone = || failed("find again the key directory")(io::ErrorKind::NotFound.into());
        Self::open(path)?.ok_or_else(gone)
    }

    /// Opens the directory, if there is one.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, KeysError> {
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(KeysError::File { action: "look at the key directory", path: path.to_owned(), source });
            }
        };
        if metadata.mode() & 0o022 != 0 {
            return Err(KeysError::DirectoryOpen { path: path.to_owned() });
        }
        Ok(Some(Self { path: path.to_owned() }))
    }

    pub(super) fn path_of(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// The text of the file `name`, or `None` when there is no such file.
    pub(super) fn read(&self, name: impl AsRef<Path>, visibility: Visibility) -> Result<Option<String>, KeysError> {
        read(&self.path_of(name), visibility)
    }

    /// The text of the secret file `name`. When there is none, one with the text that `make` returns appears, at once
    /// and whole; should another process be quicker, its text is the answer.
    pub(super) fn read_or_create(
        &self,
        name: impl AsRef<Path>,
        make: impl FnOnce() -> Result<String, KeysError>,
    ) -> Result<String, KeysError> {
        let path = self.path_of(name);
        if let Some(text) = read(&path, Visibility::Secret)? {
            return Ok(text);
        }
        // Not `rename`, which would replace the file of a process that was quicker.
        write(&path, Visibility::Secret, &make()?, |aside| match fs::hard_link(aside, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(aside),
            linked => linked.and_then(|()| fs::remove_file(aside)),
        })?;
        let found = read(&path, Visibility::Secret)?;
        found.ok_or_else(|| KeysError::File { action: "find again", path, source: io::ErrorKind::NotFound.into() })
    }
}

fn read(path: &Path, visibility: Visibility) -> Result<Option<String>, KeysError> {
    let failed = |action| move |source| KeysError::File { action, path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("open")(source)),
    };
    // Asked of the open file: a path could lead elsewhere a moment later.
    check(&file.metadata().map_err(failed("look at"))?, visibility, path)?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed("read"))?;
    Ok(Some(text))
}

/// Writes `text` aside, and lets `publish` give it its name once it is on the disk.
fn write(
    path: &Path,
    visibility: Visibility,
    text: &str,
    publish: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), KeysError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}.{:016x}", u64::from_ne_bytes(random)));
    let published = write_new(&aside, visibility, text).and_then(|()| publish(&aside));
    if published.is_err() {
        // What is left of it helps nobody; it may not even exist.
        let _ = fs::remove_file(&aside);
    }
    published.and_then(|()| File::open(parent(path))?.sync_all()).map_err(|source| KeysError::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// The directory that a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
