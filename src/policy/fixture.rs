//! A policy for tests of what stands behind a registry: one registry, with nothing but an upstream.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::document::{PolicyDocument, RegistryDocument};
use super::origin::{At, Origin, protocol};
use super::{Compiler, DeclaredPolicy, PolicySnapshot, References, Registry, StoredPolicy, compile};
use crate::clock::Timestamp;
use crate::secret::{HashKey, Secret};

/// The name of the registry.
pub(crate) const REGISTRY: &str = "myregistry";

struct Same;

impl References for Same {
    /// Every file has its own name in it.
    fn file(&self, path: &At<String>) -> Result<Secret, String> {
        Ok(Secret::new(path.value.clone()))
    }

    fn environment(&self, name: &At<String>) -> Result<Secret, String> {
        Ok(Secret::new(name.value.clone()))
    }
}

/// `value` as something that was written in a file.
pub(crate) fn written(value: &Value) -> Value {
    json!({ protocol::FILE: "seawall.yaml", protocol::LINE: 1, protocol::COLUMN: 1, protocol::VALUE: value })
}

/// What a file declares whose registry has this `upstream`: its keys are those of a file, the values as [`written`].
pub(crate) fn declared(upstream: &Value) -> DeclaredPolicy {
    let registry = json!({ "loginServer": written(&json!("registry.example.com")), "upstream": upstream });
    let registry: RegistryDocument = serde_json::from_value(registry).unwrap();
    let registries = BTreeMap::from([(At::new(REGISTRY.to_owned(), Origin::built_in()), registry)]);
    let document = PolicyDocument { registries, ..PolicyDocument::default() };
    let hash_key = HashKey::from_bytes([0; 32]);
    let (declared, problems) =
        compile(&document, Compiler { hash_key: &hash_key, references: &Same, now: Timestamp::UNIX_EPOCH });
    declared.unwrap_or_else(|| panic!("{problems:?}"))
}

/// The snapshot of what a file and the store say.
pub(crate) fn snapshot(upstream: &Value, stored: &StoredPolicy) -> PolicySnapshot {
    PolicySnapshot::assemble(1, &declared(upstream), stored, None)
}

/// The registry before which seawall stands with this `upstream`.
pub(crate) fn registry(upstream: &Value) -> Arc<Registry> {
    Arc::clone(snapshot(upstream, &StoredPolicy::default()).registry_named(REGISTRY).unwrap())
}
