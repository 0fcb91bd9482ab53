//! The policy in force at one moment: immutable, versioned, pinned by each request for its whole life.

use std::collections::HashMap;
use std::sync::Arc;

use super::data_endpoint::DataEndpoint;
use super::identities::Identities;
use super::identity::{Identity, IdentityProvider};
use super::layers::{Declared, DeclaredPolicy, Everywhere, Index, StoredPolicy};
use super::registry::Registry;
use super::role::RoleAssignment;

/// Everything that decisions need.
#[derive(Debug)]
pub struct PolicySnapshot {
    version: u64,
    stored_revision: u64,
    registries: Vec<Arc<Registry>>,
    index: Arc<Index>,
    identities: Arc<Identities>,
    everywhere: Everywhere,
}

impl PolicySnapshot {
    /// The snapshot number `version` of both layers, sharing with `before` whatever did not change.
    pub fn assemble(version: u64, declared: &DeclaredPolicy, stored: &StoredPolicy, before: Option<&Self>) -> Self {
        let known = before.map(|before| &before.identities);
        let identities = Identities::merge(&declared.identities, stored.identities(), known);
        let everywhere =
            Everywhere { declared: Arc::clone(&declared.everywhere), stored: Arc::clone(stored.everywhere()) };
        let registry = |declared: &Arc<Declared>| {
            let before = before.and_then(|before| before.registry_named(&declared.name));
            Registry::assemble(declared, stored.registry(&declared.name), (&identities, &everywhere), before)
        };
        Self {
            version,
            stored_revision: stored.revision(),
            registries: declared.registries.iter().map(registry).collect(),
            index: Arc::clone(&declared.index),
            identities,
            everywhere,
        }
    }

    /// Counts up with every published snapshot.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The store's revision up to which everything is in this snapshot.
    pub const fn stored_revision(&self) -> u64 {
        self.stored_revision
    }

    /// The registry that a Host header names, if any. Case does not matter (RFC 9110 4.2.3).
    pub fn registry_for_host(&self, host: &str) -> Option<&Arc<Registry>> {
        self.find(&self.index.hosts, host)
    }

    /// The data endpoint that a Host header names, and whose it is, while that registry has them.
    pub fn data_endpoint_for_host(&self, host: &str) -> Option<(&Arc<Registry>, &DataEndpoint)> {
        let registry = self.find(&self.index.data_hosts, host)?;
        registry.data_endpoint_for_host(host).map(|endpoint| (registry, endpoint))
    }

    /// The registry of this name. Case does not matter, as in ARM.
    pub fn registry_named(&self, name: &str) -> Option<&Arc<Registry>> {
        self.find(&self.index.names, name)
    }

    /// All registries, by name.
    pub fn registries(&self) -> &[Arc<Registry>] {
        &self.registries
    }

    /// The identity providers, by name.
    pub fn identity_providers(&self) -> &[Arc<IdentityProvider>] {
        self.identities.providers()
    }

    /// The identities, which all registries share.
    pub fn identities(&self) -> &Arc<Identities> {
        &self.identities
    }

    /// What both layers let `identity` do on every registry.
    pub fn assignments_everywhere<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> impl Iterator<Item = Arc<RoleAssignment>> + 'a {
        self.everywhere.of(identity)
    }

    /// What files let identities do on every registry, by identity.
    pub fn declared_assignments(&self) -> impl Iterator<Item = &Arc<RoleAssignment>> {
        self.everywhere.declared.values().flat_map(|all| all.iter())
    }

    fn find(&self, places: &HashMap<Box<str>, usize>, wanted: &str) -> Option<&Arc<Registry>> {
        let place = if wanted.bytes().any(|byte| byte.is_ascii_uppercase()) {
            places.get(wanted.to_ascii_lowercase().as_str())
        } else {
            places.get(wanted)
        };
        place.and_then(|place| self.registries.get(*place))
    }
}
