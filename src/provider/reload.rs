//! From files to the policy in force: read, compile, publish. A mistake changes nothing.
//!
//! One mutex makes reloads follow one another; readers never wait, they keep the snapshot they have.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::references::MachineReferences;
use crate::clock::Clock;
use crate::current::Current;
use crate::policy::document::RegistryDocuments;
use crate::policy::problem::Problems;
use crate::policy::{Compiler, PolicySnapshot, compile};
use crate::secret::HashKey;

/// The policy part of the configuration as read, and the files it was read from.
#[derive(Debug)]
pub struct Described {
    pub registries: RegistryDocuments,
    pub files: Vec<PathBuf>,
}

/// A reload that changed nothing.
#[derive(Debug)]
pub struct Refused {
    pub problems: Problems,
    /// The files that were read or should have been: mending one of them is worth another try.
    pub files: Vec<PathBuf>,
}

/// Reads the files anew.
pub type Read = dyn Fn() -> Result<Described, Refused> + Send + Sync;

/// Publishes what the files say.
pub struct FileProvider {
    read: Box<Read>,
    hash_key: HashKey,
    current: Arc<Current>,
    clock: Arc<dyn Clock>,
    /// The version published last. Held while reloading.
    version: Mutex<u64>,
}

/// A reload that was published.
#[derive(Debug)]
pub struct Published {
    pub version: u64,
    pub warnings: Problems,
    /// Every file that the policy came from, secrets included, for watching.
    pub files: Vec<PathBuf>,
}

impl std::fmt::Debug for FileProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileProvider").field("version", &self.version).finish_non_exhaustive()
    }
}

impl FileProvider {
    /// Nothing is read before the first [`FileProvider::reload`].
    pub fn new(read: Box<Read>, hash_key: HashKey, current: Arc<Current>, clock: Arc<dyn Clock>) -> Self {
        Self { read, hash_key, current, clock, version: Mutex::new(0) }
    }

    /// Reads, compiles and publishes; with any problem but warnings the policy in force stays as it is.
    pub fn reload(&self) -> Result<Published, Refused> {
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        let (snapshot, published) = self.compile(*version + 1)?;
        self.current.publish(snapshot);
        *version = published.version;
        Ok(published)
    }

    fn compile(&self, version: u64) -> Result<(PolicySnapshot, Published), Refused> {
        let Described { registries, mut files } = (self.read)()?;
        let references = MachineReferences::default();
        let compiler = Compiler { hash_key: &self.hash_key, references: &references, now: self.clock.now() };
        let (snapshot, problems) = compile(&registries, compiler, version);
        files.extend(references.into_files());
        match snapshot {
            Some(snapshot) => Ok((snapshot, Published { version, warnings: problems, files })),
            None => Err(Refused { problems, files }),
        }
    }
}
