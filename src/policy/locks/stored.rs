//! The locks of the store, by repository.
//!
//! The maps are persistent, the one of repositories and those within: a change to one lock among tens of thousands, wherever
//! they are, copies the few nodes on the way to it.

use std::hash::Hash;

use rpds::HashTrieMapSync;

use super::{Attributes, LockTarget, StoredAttributes};
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};

/// Those of one registry.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct StoredLocks {
    repositories: HashTrieMapSync<RepositoryName, StoredLocksWithin>,
}

/// Those of one repository and of what is in it.
#[derive(Debug, Clone, Default)]
pub(super) struct StoredLocksWithin {
    pub(super) own: Option<StoredEntry>,
    pub(super) tags: HashTrieMapSync<Tag, StoredEntry>,
    pub(super) manifests: HashTrieMapSync<Digest, StoredEntry>,
}

/// One record.
#[derive(Debug, Clone)]
pub(in crate::policy) enum StoredEntry {
    Known(StoredAttributes),
    /// It cannot be read: everything is off, since any of it may be.
    Lost,
}

impl StoredEntry {
    /// The attributes in force at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Attributes {
        match self {
            Self::Known(record) => record.at(now),
            Self::Lost => Attributes::NONE,
        }
    }

    pub(super) const fn record(&self) -> Option<&StoredAttributes> {
        match self {
            Self::Known(record) => Some(record),
            Self::Lost => None,
        }
    }
}

impl StoredLocks {
    pub(in crate::policy) fn is_empty(&self) -> bool {
        self.repositories.is_empty()
    }

    /// The record of `target` as it is now; `None`: it was deleted.
    pub(in crate::policy) fn set(&mut self, target: LockTarget, entry: Option<StoredEntry>) {
        let mut within = self.within(target.repository()).cloned().unwrap_or_default();
        let repository = match target {
            LockTarget::Repository(repository) => {
                within.own = entry;
                repository
            }
            LockTarget::Tag(repository, tag) => {
                put(&mut within.tags, tag, entry);
                repository
            }
            LockTarget::Manifest(repository, digest) => {
                put(&mut within.manifests, digest, entry);
                repository
            }
        };
        let entry = (!within.is_empty()).then_some(within);
        put(&mut self.repositories, repository, entry);
    }

    pub(super) fn within(&self, repository: &RepositoryName) -> Option<&StoredLocksWithin> {
        self.repositories.get(repository)
    }

    pub(super) fn find(&self, target: &LockTarget) -> Option<&StoredEntry> {
        let within = self.within(target.repository())?;
        match target {
            LockTarget::Repository(_) => within.own.as_ref(),
            LockTarget::Tag(_, tag) => within.tags.get(tag),
            LockTarget::Manifest(_, digest) => within.manifests.get(digest),
        }
    }
}

impl StoredLocksWithin {
    fn is_empty(&self) -> bool {
        self.own.is_none() && self.tags.is_empty() && self.manifests.is_empty()
    }
}

fn put<K: Eq + Hash, V>(map: &mut HashTrieMapSync<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert_mut(key, value),
        None => {
            map.remove_mut(&key);
        }
    }
}
