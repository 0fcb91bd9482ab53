//! A directory that only its owner may enter, and that goes when it is not needed any more.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{env, iter};

use uuid::Uuid;

use crate::cli::resources::failure::Failure;

/// Removed with everything in it when it is dropped.
#[derive(Debug)]
pub(in crate::cli::resources) struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    /// In memory where the system has a place for that (`XDG_RUNTIME_DIR`), else among the temporary files.
    pub(in crate::cli::resources) fn in_memory() -> Result<Self, Failure> {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let places = runtime.into_iter().chain(iter::once(env::temp_dir()));
        Self::made_in(places)
    }

    /// Among the temporary files.
    pub(in crate::cli::resources) fn on_disk() -> Result<Self, Failure> {
        Self::made_in(iter::once(env::temp_dir()))
    }

    fn made_in(places: impl Iterator<Item = PathBuf>) -> Result<Self, Failure> {
        let mut failure = None;
        for place in places {
            // A name that nobody could know; and what exists is not used.
            let path = place.join(format!("seawall-{}", Uuid::new_v4().simple()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) => failure = Some((place, error)),
            }
        }
        let (place, error) = failure.unwrap_or_else(|| (PathBuf::new(), io::ErrorKind::NotFound.into()));
        Err(Failure::new(format!("cannot make a private directory in {}: {error}", place.display())))
    }

    pub(in crate::cli::resources) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a new file with mode 0600.
    pub(in crate::cli::resources) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
        Ok(path)
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.0).is_err() && self.0.exists() {
            crate::cli::output::complain(format_args!("WARNING: {} could not be removed.", self.0.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_and_goes() {
        let directory = PrivateDirectory::in_memory().unwrap();
        let path = directory.path().to_owned();
        let file = directory.write("secret", "x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
        assert!(directory.write("secret", "y").is_err(), "nothing is written over");
        drop(directory);
        assert!(!path.exists());
    }
}
