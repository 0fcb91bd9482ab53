//! Counts by which what is kept of a repository becomes worthless all at once.
//!
//! Whatever is kept carries the count of the moment before the upstream was asked for it. Counting up so ends what is kept, and
//! what is on its way in, without looking for either, and nothing can be put in between a look at the count and a write.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::oci::RepositoryName;

/// Repositories share counts, by chance: a drop of one of them costs another one a question.
const COUNTS: usize = 4096;

#[derive(Debug, Default)]
struct Counts {
    contents: AtomicU64,
    tags: AtomicU64,
}

/// How often what is known of a repository was dropped, as far as one can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drop {
    pub(super) contents: u64,
    pub(super) tags: u64,
}

/// All counts.
#[derive(Debug)]
pub(super) struct Drops {
    hasher: RandomState,
    counts: Box<[Counts]>,
}

impl Default for Drops {
    fn default() -> Self {
        Self { hasher: RandomState::new(), counts: (0..COUNTS).map(|_| Counts::default()).collect() }
    }
}

impl Drops {
    /// The counts of a repository now.
    pub(super) fn of(&self, registry: &str, repository: &RepositoryName) -> Drop {
        self.counts.get(self.place(registry, repository)).map_or(Drop { contents: 0, tags: 0 }, |counts| Drop {
            contents: counts.contents.load(Ordering::Acquire),
            tags: counts.tags.load(Ordering::Acquire),
        })
    }

    pub(super) fn change(self: &Arc<Self>, registry: &str, repository: &RepositoryName, tags_only: bool) -> Change {
        let change = Change { drops: Arc::clone(self), place: self.place(registry, repository), tags_only };
        change.again();
        change
    }

    fn place(&self, registry: &str, repository: &RepositoryName) -> usize {
        usize::try_from(self.hasher.hash_one((registry, repository)) % COUNTS as u64).unwrap_or(0)
    }
}

/// Something that makes what is kept of a repository worthless, when it begins and when it ends.
#[derive(Debug)]
#[must_use = "dropping it is the end of the change"]
pub struct Change {
    drops: Arc<Drops>,
    place: usize,
    tags_only: bool,
}

impl Change {
    /// It may have happened by now.
    pub fn again(&self) {
        if let Some(counts) = self.drops.counts.get(self.place) {
            if !self.tags_only {
                counts.contents.fetch_add(1, Ordering::AcqRel);
            }
            counts.tags.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl std::ops::Drop for Change {
    fn drop(&mut self) {
        self.again();
    }
}
