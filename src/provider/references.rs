//! What policy documents refer to outside themselves: secret files, certificate files, environment variables.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::policy::References;
use crate::policy::origin::At;
use crate::secret::Secret;

/// Largest file that is read, in bytes: a password or a bundle of certificates.
const LIMIT: u64 = 1024 * 1024;

/// Reads from the machine, and remembers which files it read so that they can be watched.
#[derive(Debug, Default)]
pub struct MachineReferences {
    read: RefCell<Vec<PathBuf>>,
}

impl MachineReferences {
    /// The files asked for so far, readable or not.
    pub fn into_files(self) -> Vec<PathBuf> {
        self.read.into_inner()
    }
}

impl References for MachineReferences {
    fn file(&self, path: &At<String>) -> Result<Secret, String> {
        let full = path.origin.beside(&path.value);
        self.read.borrow_mut().push(full.clone());
        read(&full).map(Secret::new).map_err(|error| format!("cannot read {}: {error}", full.display()))
    }

    fn environment(&self, name: &At<String>) -> Result<Secret, String> {
        match std::env::var(name.as_str()) {
            Ok(value) => Ok(Secret::new(value)),
            Err(std::env::VarError::NotPresent) => Err(format!("the environment variable {} is not set", name.value)),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(format!("the environment variable {} is not UTF-8 text", name.value))
            }
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        // Opening a pipe would wait for whoever writes into it.
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    let read = File::open(path)?.take(LIMIT + 1).read_to_string(&mut text)?;
    if read as u64 > LIMIT {
        return Err(io::Error::other("the file is over 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::origin::Origin;

    #[test]
    fn a_relative_path_counts_from_the_file_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "hunter2").unwrap();
        let yaml = folder.path().join("seawall.yaml").display().to_string();
        let references = MachineReferences::default();
        let at = |text: &str| At::new(text.to_owned(), Origin::new(yaml.as_str(), 1, 1));
        assert_eq!(references.file(&at("secret")).unwrap().expose(), "hunter2");
        assert!(references.file(&at("missing")).unwrap_err().contains("missing"));
        assert_eq!(references.into_files().len(), 2, "a missing file is watched too: it may appear");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let at = At::new("SEAWALL_NO_SUCH_VARIABLE".to_owned(), Origin::built_in());
        assert!(MachineReferences::default().environment(&at).unwrap_err().contains("SEAWALL_NO_SUCH_VARIABLE"));
    }
}
