//! From files and store to the policy in force: compile what changed, assemble, publish.
//!
//! A mistake in a file changes nothing; what the store has is in force all the same, beside the files as they were. One
//! mutex makes snapshots follow one another. Nobody holds it while reading files, so that a slow disk does not hold up a
//! revocation; readers never wait, they keep the snapshot they have.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::references::MachineReferences;
use crate::clock::Clock;
use crate::current::Current;
use crate::policy::document::PolicyDocument;
use crate::policy::problem::{Problem, Problems};
use crate::policy::{Compiler, DeclaredPolicy, PolicySnapshot, StoredPolicy, compile};
use crate::secret::HashKey;
use crate::store::{Change, Changes, Kind, Object, ObjectKey};

/// The policy part of the configuration as read, and the files it was read from.
#[derive(Debug)]
pub struct Described {
    pub document: PolicyDocument,
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

/// Publishes what the files say and what the store has, as one policy.
pub struct PolicyProvider {
    read: Box<Read>,
    hash_key: HashKey,
    current: Arc<Current>,
    clock: Arc<dyn Clock>,
    /// Held for a whole reload: what was read first is published first.
    reading: Mutex<()>,
    layers: Mutex<Layers>,
}

/// Both layers as they were published last.
#[derive(Debug, Default)]
struct Layers {
    version: u64,
    /// `None` before the first reload: nothing is published without the files.
    declared: Option<DeclaredPolicy>,
    stored: StoredPolicy,
    /// The warnings about what is in both that were given already.
    told: HashSet<String>,
}

/// A reload that was published.
#[derive(Debug)]
pub struct Published {
    pub version: u64,
    pub warnings: Problems,
    /// Every file that the policy came from, secrets included, for watching.
    pub files: Vec<PathBuf>,
}

/// Changes of the store that were applied.
#[derive(Debug)]
pub struct Applied {
    /// The snapshot that has them; `None` before the first reload of the files, which will have them too.
    pub version: Option<u64>,
    /// The store's revision up to which everything is applied.
    pub revision: u64,
    pub warnings: Problems,
}

impl std::fmt::Debug for PolicyProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyProvider").finish_non_exhaustive()
    }
}

impl PolicyProvider {
    /// Nothing is read before the first [`PolicyProvider::reload`].
    pub fn new(read: Box<Read>, hash_key: HashKey, current: Arc<Current>, clock: Arc<dyn Clock>) -> Self {
        Self { read, hash_key, current, clock, reading: Mutex::default(), layers: Mutex::default() }
    }

    /// Reads the files, compiles and publishes; with any problem but warnings the policy in force stays as it is.
    pub fn reload(&self) -> Result<Published, Refused> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (declared, mut warnings, files) = self.compile()?;
        let mut layers = self.layers();
        // A reload tells everything, whether it was told before or not.
        layers.told.clear();
        layers.declared = Some(declared);
        let version = layers.publish(&self.current).unwrap_or_default();
        warnings.extend(layers.new_overlaps(&self.current));
        Ok(Published { version, warnings, files })
    }

    /// Applies what changed in the store, and publishes it beside what the files say.
    pub fn apply(&self, changes: &Changes) -> Applied {
        let mut warnings = Problems::new();
        let mut layers = self.layers();
        let before = layers.stored.revision();
        let mut stored = if changes.everything { StoredPolicy::default() } else { layers.stored.clone() };
        changes.changes.iter().for_each(|change| set(&mut stored, change, &mut warnings));
        changes.unreadable.iter().for_each(|one| unread(&mut stored, &layers.stored, &one.key, &mut warnings));
        stored.set_revision(changes.position.revision.0);
        let nothing = changes.changes.is_empty() && changes.unreadable.is_empty();
        let idle = !changes.everything && nothing && before == stored.revision();
        layers.stored = stored;
        let version = if idle {
            layers.declared.as_ref().map(|_| layers.version)
        } else {
            let published = layers.publish(&self.current);
            warnings.extend(layers.new_overlaps(&self.current));
            published
        };
        Applied { version, revision: changes.position.revision.0, warnings }
    }

    fn compile(&self) -> Result<(DeclaredPolicy, Problems, Vec<PathBuf>), Refused> {
        let Described { document, mut files } = (self.read)()?;
        let references = MachineReferences::default();
        let compiler = Compiler { hash_key: &self.hash_key, references: &references, now: self.clock.now() };
        let (declared, problems) = compile(&document, compiler);
        files.extend(references.into_files());
        match declared {
            Some(declared) => Ok((declared, problems, files)),
            None => Err(Refused { problems, files }),
        }
    }

    fn layers(&self) -> MutexGuard<'_, Layers> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Layers {
    /// Publishes both layers; nothing, before there are files.
    fn publish(&mut self, current: &Current) -> Option<u64> {
        let declared = self.declared.as_ref()?;
        self.version += 1;
        let before = current.load();
        current.publish(PolicySnapshot::assemble(self.version, declared, &self.stored, before.as_deref()));
        Some(self.version)
    }

    /// What is in both layers or has no effect in the policy just published, as far as nobody was told before.
    fn new_overlaps(&mut self, current: &Current) -> Problems {
        let mut new = Problems::new();
        let Some(declared) = &self.declared else { return new };
        let mut all = declared.warnings_beside(&self.stored);
        // Found when they were made, so that a change of something else does not look for them again.
        all.extend(current.load().map(|policy| policy.identities().warnings().clone()).unwrap_or_default());
        let texts: HashSet<String> = all.iter().map(Problem::to_string).collect();
        all.iter().filter(|one| !self.told.contains(&one.to_string())).for_each(|one| new.push(one.clone()));
        self.told = texts;
        new
    }
}

/// Brings one record into the layer. Keys are not policy.
fn set(stored: &mut StoredPolicy, change: &Change, problems: &mut Problems) {
    let (registry, name) = (change.key.registry.as_str(), change.key.name.as_str());
    match (change.key.kind, &change.object) {
        (Kind::Registry, Some(Object::Registry(set))) => stored.set_registry(registry, Some(set), problems),
        (Kind::ScopeMap, Some(Object::ScopeMap(set))) => stored.set_scope_map(registry, name, Some(set), problems),
        (Kind::Token, Some(Object::Token(set))) => stored.set_token(registry, name, Some(set), problems),
        (Kind::Identity, Some(Object::Identity(set))) => stored.set_identity(name, Some(set), problems),
        (Kind::RoleAssignment, Some(Object::RoleAssignment(set))) => {
            stored.set_role_assignment(registry, name, Some(set), problems);
        }
        (Kind::PrivateEndpointConnection, Some(Object::PrivateEndpointConnection(set))) => {
            stored.set_private_endpoint_connection(registry, name, Some(set), problems);
        }
        (Kind::Attributes, Some(Object::Attributes(set))) => {
            stored.set_attributes(registry, name, Some(set), problems);
        }
        // Deleted; or of another kind than its key, which the store excludes.
        (Kind::Registry, _) => stored.set_registry(registry, None, problems),
        (Kind::ScopeMap, _) => stored.set_scope_map(registry, name, None, problems),
        (Kind::Token, _) => stored.set_token(registry, name, None, problems),
        (Kind::Identity, _) => stored.set_identity(name, None, problems),
        (Kind::RoleAssignment, _) => stored.set_role_assignment(registry, name, None, problems),
        (Kind::PrivateEndpointConnection, _) => {
            stored.set_private_endpoint_connection(registry, name, None, problems);
        }
        (Kind::Attributes, _) => stored.set_attributes(registry, name, None, problems),
        (Kind::Key, _) => {}
    }
}

/// The record `key` cannot be read. What would have granted something grants nothing; what may have restricted something
/// stays what it was `before`.
fn unread(stored: &mut StoredPolicy, before: &StoredPolicy, key: &ObjectKey, problems: &mut Problems) {
    match key.kind {
        Kind::Registry => stored.keep_registry(&key.registry, before),
        Kind::ScopeMap => stored.set_scope_map(&key.registry, &key.name, None, problems),
        Kind::Token => stored.set_token(&key.registry, &key.name, None, problems),
        Kind::Identity => stored.disable_identity(&key.name, before),
        Kind::RoleAssignment => stored.set_role_assignment(&key.registry, &key.name, None, problems),
        Kind::PrivateEndpointConnection => stored.lose_private_endpoint_connection(&key.registry, &key.name, before),
        Kind::Attributes => stored.lose_attributes(&key.registry, &key.name, problems),
        Kind::Key => {}
    }
}

#[cfg(test)]
mod tests;
