//! One rule of a file, compiled.

use super::pattern::TagPattern;
use super::{Attributes, LockTarget};
use crate::oci::{RepositoryName, Tag};
use crate::policy::origin::Origin;
use crate::policy::pattern::RepositoryPattern;

/// Locks repositories, or tags in them. It never unlocks.
#[derive(Debug, Clone)]
pub(in crate::policy) struct LockRule {
    pub(super) repositories: RepositoryPattern,
    /// `None`: it is about the repositories themselves.
    pub(super) tags: Option<TagPattern>,
    pub(super) attributes: Attributes,
    /// A tag that exists may not be moved to another manifest.
    pub(super) write_once: bool,
    pub(super) origin: Origin,
}

impl LockRule {
    /// No rule is about manifests.
    pub(super) fn covers(&self, target: &LockTarget) -> bool {
        match target {
            LockTarget::Repository(name) => self.covers_repository(name),
            LockTarget::Tag(name, tag) => self.covers_tag(name, tag),
            LockTarget::Manifest(..) => false,
        }
    }

    pub(super) fn covers_repository(&self, name: &RepositoryName) -> bool {
        self.tags.is_none() && self.repositories.covers(name)
    }

    pub(super) fn covers_tag(&self, name: &RepositoryName, tag: &Tag) -> bool {
        self.tags.as_ref().is_some_and(|pattern| pattern.covers(tag)) && self.repositories.covers(name)
    }
}
