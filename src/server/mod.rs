//! The composition root: the only place where rooms are wired together, and the life of the process.

mod backup;
mod bindings;
mod control;
mod defects;
mod effects;
mod expiry;
mod keys;
mod lifecycle;
mod listeners;
mod management;
mod observed;
mod plane;
mod probes;
mod providers;
mod reload;
mod start;
mod store;
mod store_state;

use std::path::{Path, PathBuf};

use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, Reading};
use crate::policy::document::RegistryDocuments;
use crate::policy::problem::{Problem, Problems};
use crate::policy::{Compiler, PolicySnapshot, StoredPolicy, compile, lint};
use crate::provider::MachineReferences;
use crate::secret::HashKey;

pub use crate::auth::password::{generate_password, hash_password};
pub use crate::provider::foreign::{read as read_foreign, text as read_text};
pub use backup::{Amount, Existing, TransferError, backup, restore};
pub use start::{StartError, serve};

/// Everything that would keep the file at `path` from being served, and every warning.
pub fn check(path: &Path) -> Problems {
    let mut problems = examine(path).0;
    // A mistake first: what is noticed beside it may be its consequence.
    if !problems.are_fatal()
        && let Some(policy) = &config::read(path).policy
    {
        problems.extend_elsewhere(lint(policy.examine()));
    }
    problems
}

/// The same, and every file that the answer depends on.
fn examine(path: &Path) -> (Problems, Vec<PathBuf>) {
    let Reading { config, policy, mut files, mut problems } = config::read(path);
    if let Some(config) = &config {
        problems.extend(config::missing_files(config));
    }
    if let Some(policy) = &policy {
        let references = MachineReferences::default();
        // Ids and digests that are made with this key are thrown away.
        let compiler =
            Compiler { hash_key: &HashKey::from_bytes([0; 32]), references: &references, now: SystemClock.now() };
        let (declared, further) = compile(policy.examine(), compiler);
        problems.extend_elsewhere(further);
        if let Some(declared) = declared {
            problems.extend(declared.warnings_beside(&StoredPolicy::default()));
        }
        if let Some(config) = &config {
            clear_text(config, &policy.examine().registries, &mut problems);
            listeners::unmet(config, &policy.examine().registries, &mut problems);
            listeners::no_certificates(config, &policy.examine().identities, &mut problems);
        }
        files.extend(references.into_files());
    }
    (problems, files)
}

/// The policy that the files at `path` make, without whatever a store has.
///
/// # Errors
/// Every problem, when any is more than a warning.
pub fn policy_of(path: &Path) -> Result<PolicySnapshot, Problems> {
    let Reading { policy, mut problems, .. } = config::read(path);
    let references = MachineReferences::default();
    let compiler =
        Compiler { hash_key: &HashKey::from_bytes([0; 32]), references: &references, now: SystemClock.now() };
    let declared = policy.and_then(|policy| {
        let (declared, further) = compile(policy.examine(), compiler);
        problems.extend_elsewhere(further);
        declared
    });
    match declared {
        Some(declared) if !problems.are_fatal() => {
            Ok(PolicySnapshot::assemble(1, &declared, &StoredPolicy::default(), None))
        }
        _ => Err(problems),
    }
}

/// Clients of a plain listener are told to send their passwords to `http://`, unless TLS ends in front and the registry
/// says where.
fn clear_text(config: &Config, registries: &RegistryDocuments, problems: &mut Problems) {
    let exposed = config.listeners.iter().find(|one| one.tls.is_none() && !one.address.ip().is_loopback());
    let Some(listener) = exposed else { return };
    for document in registries.values().filter(|document| document.external_url.is_none()) {
        let what = format!("listener `{}` is plain, so clients are told to log in without TLS", listener.name);
        let hint = "give the listener `tls`, or set `externalUrl: https://…` when TLS ends in front of it";
        problems.push(Problem::warning(&document.login_server.origin, what).hint(hint));
    }
}
