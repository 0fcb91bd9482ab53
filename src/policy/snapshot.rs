//! The policy in force at one moment: immutable, versioned, pinned by each request for its whole life.

use std::collections::HashMap;
use std::sync::Arc;

use super::registry::Registry;

/// Everything that decisions need. Built only by `compile`.
#[derive(Debug)]
pub struct PolicySnapshot {
    version: u64,
    registries: Vec<Arc<Registry>>,
    by_host: HashMap<Box<str>, Arc<Registry>>,
}

impl PolicySnapshot {
    pub(super) fn new(version: u64, registries: Vec<Arc<Registry>>) -> Self {
        let by_host = registries
            .iter()
            .flat_map(|registry| registry.login_server.host_headers().map(move |host| (host, Arc::clone(registry))))
            .collect();
        Self { version, registries, by_host }
    }

    /// Counts up with every published snapshot.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The registry that a Host header names, if any. Case does not matter (RFC 9110 4.2.3).
    pub fn registry_for_host(&self, host: &str) -> Option<&Arc<Registry>> {
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.by_host.get(host.to_ascii_lowercase().as_str());
        }
        self.by_host.get(host)
    }

    /// All registries, by name.
    pub fn registries(&self) -> &[Arc<Registry>] {
        &self.registries
    }
}
