//! A policy in force, made of a file as the server makes it.

use std::sync::Arc;

use seawall::clock::SystemClock;
use seawall::current::Current;
use seawall::policy::document::{PolicyDocument, RegistryDocuments};
use seawall::policy::problem::Problems;
use seawall::provider::{Described, PolicyProvider, reader, yaml};
use seawall::secret::HashKey;

/// The policy of `file`, which holds what is below `registries`, and what changes it.
pub(crate) fn published(file: impl Into<String>, hash_key: &HashKey) -> (PolicyProvider, Arc<Current>) {
    let file = file.into();
    let read = move || {
        let mut problems = Problems::new();
        let tree = yaml::parse("policy.yaml", &file, &mut problems).unwrap();
        let draft = reader::draft::<RegistryDocuments>(tree, &mut problems).unwrap();
        let document = PolicyDocument { registries: draft.whole().unwrap(), ..PolicyDocument::default() };
        Ok(Described { document, files: Vec::new() })
    };
    let current = Arc::new(Current::new());
    let clock = Arc::new(SystemClock);
    let provider = PolicyProvider::new(Box::new(read), hash_key.clone(), Arc::clone(&current), clock);
    provider.reload().unwrap();
    (provider, current)
}
