//! The composition root: the only place where rooms are wired together, and the life of the process.

mod defects;
mod lifecycle;
mod probes;
mod reload;
mod start;

use std::path::Path;

use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::policy::problem::Problems;
use crate::policy::{Compiler, compile};
use crate::provider::MachineReferences;
use crate::secret::HashKey;

pub use crate::auth::password::{generate_password, hash_password};
pub use start::{StartError, serve};

/// Everything that would keep the file at `path` from being served, and every warning.
pub fn check(path: &Path) -> Problems {
    let reading = config::read(path);
    let mut problems = reading.problems;
    if let Some(config) = &reading.config {
        problems.extend(config::missing_files(config));
    }
    if let Some(registries) = &reading.registries {
        let references = MachineReferences::default();
        // Ids and digests that are made with this key are thrown away.
        let compiler =
            Compiler { hash_key: &HashKey::from_bytes([0; 32]), references: &references, now: SystemClock.now() };
        problems.extend_elsewhere(compile(registries.examine(), compiler, 0).1);
    }
    problems
}
