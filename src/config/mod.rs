//! The process configuration: what is read once at start.
//!
//! The file is the only place that configures seawall; no environment variable or flag overrides a key. The policy is
//! read from the same files and handed on as a document, to be compiled by `policy`. Nothing is printed here:
//! whoever asked gets every problem that was found.

use std::path::{Path, PathBuf};

use crate::policy::document::PolicyDocument;
use crate::policy::problem::Problems;
use crate::provider::include;
use crate::provider::reader::{self, Draft};

use document::File;
pub use document::ListenerNetwork;

pub mod document;
mod listener;
mod management;
mod metadata;
mod references;
mod resolve;
mod schema;
mod settings;
mod store;
#[cfg(test)]
mod tests;

pub use references::missing_files;
pub use schema::schema;
pub use settings::{
    CertificateFiles, ClientCertificates, Config, EncryptionKeySource, Limits, Listener, Log, ManagementAddress,
    ManagementSettings, SecretSource, Signing, Source, StoreLocation, StoreSettings, Tls,
};

/// A file without problems, and what it includes.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub policy: PolicyDocument,
    /// Every file and directory that was read: the policy may have changed when one of them has.
    pub files: Vec<PathBuf>,
}

/// Everything that could be made of a file, with everything that is wrong with it.
#[derive(Debug)]
pub struct Reading {
    /// `Some` when all of the process configuration is understood.
    pub config: Option<Config>,
    /// `None` when nothing can be said about it, such as when an included file cannot be read.
    pub policy: Option<Draft<PolicyDocument>>,
    /// Every file and directory that was read or should have been.
    pub files: Vec<PathBuf>,
    pub problems: Problems,
}

/// Reads the file at `path` and what it includes. Certificates and secrets are not opened.
///
/// # Errors
/// Every problem, when there is one; a file that cannot be read is one too.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let Reading { config, policy, files, problems } = read(path);
    match (config, policy.and_then(Draft::whole)) {
        (Some(config), Some(policy)) if problems.is_empty() => Ok(Loaded { config, policy, files }),
        _ => Err(problems),
    }
}

/// Like [`load`], for whoever wants to look for further problems in what is understood so far: compile
/// [`Draft::examine`], and add what that finds with [`Problems::extend_elsewhere`].
pub fn read(path: &Path) -> Reading {
    let mut problems = Problems::new();
    let sources = include::gather(path, &mut problems);
    let file = sources.process.and_then(|tree| reader::draft(tree, &mut problems));
    let config = file.and_then(|file| config(file, &mut problems));
    let policy = sources.policy.and_then(|tree| reader::draft(tree, &mut problems));
    Reading { config, policy, files: sources.files, problems }
}

/// Resolves as much of `file` as there is, to find the problems of all of it.
fn config(file: Draft<File>, problems: &mut Problems) -> Option<Config> {
    let mut further = Problems::new();
    let config = resolve::resolve(file.examine(), &mut further);
    problems.extend_elsewhere(further);
    file.whole().and(config)
}
