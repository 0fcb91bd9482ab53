//! A policy for tests of what stands behind a registry: one registry, with nothing but an upstream.

use std::sync::Arc;

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

/// The JSON `value` as something that was written in a file. The order of its keys counts.
pub(crate) fn written(value: &str) -> String {
    let [file, line, column, inner] = [protocol::FILE, protocol::LINE, protocol::COLUMN, protocol::VALUE];
    format!(r#"{{"{file}":"seawall.yaml","{line}":1,"{column}":1,"{inner}":{value}}}"#)
}

/// An upstream without a credential.
pub(crate) fn upstream(url: &str) -> String {
    format!(r#"{{"url":{}}}"#, written(&format!("{url:?}")))
}

/// What a file declares whose registry has this `upstream`, in JSON whose values are [`written`].
pub(crate) fn declared(upstream: &str) -> DeclaredPolicy {
    declared_all(&[(REGISTRY, upstream)])
}

/// The same with `more` of the registry.
pub(crate) fn declared_with(upstream: &str, more: &str) -> DeclaredPolicy {
    declared_each(&[(REGISTRY, upstream, more)])
}

/// The same of several registries, each with its name and its upstream.
pub(crate) fn declared_all(registries: &[(&str, &str)]) -> DeclaredPolicy {
    let registries: Vec<_> = registries.iter().map(|(name, upstream)| (*name, *upstream, r#""tokens":{}"#)).collect();
    declared_each(&registries)
}

fn declared_each(registries: &[(&str, &str, &str)]) -> DeclaredPolicy {
    let registries = registries.iter().enumerate().map(|(place, (name, upstream, more))| {
        let server = if place == 0 { "registry.example.com".to_owned() } else { format!("{name}.example.com") };
        let registry = format!(r#"{{"loginServer":{},"upstream":{upstream},{more}}}"#, written(&format!("{server:?}")));
        let registry: RegistryDocument = serde_json::from_str(&registry).unwrap();
        (At::new((*name).to_owned(), Origin::built_in()), registry)
    });
    let document = PolicyDocument { registries: registries.collect(), ..PolicyDocument::default() };
    let hash_key = HashKey::from_bytes([0; 32]);
    let (declared, problems) =
        compile(&document, Compiler { hash_key: &hash_key, references: &Same, now: Timestamp::UNIX_EPOCH });
    declared.unwrap_or_else(|| panic!("{problems:?}"))
}

/// The registry before which seawall stands with this `upstream`.
pub(crate) fn registry(upstream: &str) -> Arc<Registry> {
    let snapshot = PolicySnapshot::assemble(1, &declared(upstream), &StoredPolicy::default(), None);
    Arc::clone(snapshot.registry_named(REGISTRY).unwrap())
}
