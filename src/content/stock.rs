//! What is kept of one registry, before one upstream.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use super::LARGEST_MANIFEST;
use super::burden::Burden;
use super::disk::Disk;
use super::drops::Drops;
use super::entry::{Body, Kept, Key, Kind, Seen};
use super::fill::Fill;
use super::tags::Tags;
use crate::oci::RepositoryName;
use crate::policy::content_cache::ContentCache;
use crate::telemetry::ContentResult;
use crate::telemetry::metrics::{ContentMetrics, Metrics};

/// The part of the memory that bodies on their way in may take.
const FILLING: u64 = 4;

/// What is kept by a key.
#[derive(Debug)]
pub enum Found {
    Fresh(Arc<Kept>),
    /// The upstream has to confirm it first.
    Stale(Arc<Kept>),
    Nothing,
}

/// The stock of a registry.
pub struct Stock {
    pub(super) registry: Arc<str>,
    pub(super) settings: Arc<ContentCache>,
    pub(super) drops: Arc<Drops>,
    pub(super) metrics: ContentMetrics,
    pub(super) tags: Tags,
    memory: Cache<Key, Arc<Kept>>,
    pub(super) disk: Option<Disk>,
    /// Bytes of bodies that are on their way in.
    filling: AtomicU64,
}

impl Stock {
    pub(super) fn new(
        registry: Arc<str>,
        settings: Arc<ContentCache>,
        drops: &Arc<Drops>,
        (metrics, burden): (&Metrics, &Arc<Burden>),
    ) -> Self {
        let memory = Cache::builder()
            .max_capacity(settings.memory)
            .weigher(|key: &Key, kept: &Arc<Kept>| kept.weight(key))
            .build();
        Self {
            metrics: metrics.content(&registry),
            drops: Arc::clone(drops),
            tags: Tags::new(settings.tag_age),
            filling: AtomicU64::new(0),
            disk: settings.disk.as_ref().map(|disk| Disk::new(&registry, disk, burden)),
            registry,
            settings,
            memory,
        }
    }

    pub(super) fn is_for(&self, settings: &ContentCache) -> bool {
        self.settings.mark == settings.mark
    }

    /// What is kept by `key` at `now`, in ticks of the clock.
    pub fn find(&self, key: &Key, now: Duration) -> Found {
        match self.get(key) {
            Some(kept) if !self.is_valid(key, &kept) => {
                self.forget(key);
                Found::Nothing
            }
            Some(kept) if kept.age(now) < self.settings.maximum_age => Found::Fresh(kept),
            Some(kept) => Found::Stale(kept),
            None => Found::Nothing,
        }
    }

    /// The upstream does not have it.
    pub fn forget(&self, key: &Key) {
        self.memory.invalidate(key);
        if let Some(disk) = &self.disk {
            disk.forget(key);
        }
    }

    fn get(&self, key: &Key) -> Option<Arc<Kept>> {
        self.memory.get(key).or_else(|| self.disk.as_ref().filter(|_| key.kind == Kind::Blob)?.get(key))
    }

    /// The upstream sent other bytes than it should have.
    pub(super) fn reject(&self, key: &Key) {
        self.metrics.rejected();
        let (registry, repository, digest) = (&*self.registry, key.repository.as_str(), key.digest.as_str());
        tracing::warn!(registry, repository, digest, "the upstream sent other bytes than the digest says");
    }

    /// A request is about to go to the upstream at `now`: what it answers may be kept.
    pub fn fill(self: &Arc<Self>, kind: Kind, repository: &RepositoryName, now: Duration) -> Fill {
        Fill::new(Arc::clone(self), kind, repository.clone(), self.seen(repository, now))
    }

    /// Counts a request by what became of it.
    pub fn count(&self, result: ContentResult) {
        self.metrics.asked(result);
    }

    pub(super) fn seen(&self, repository: &RepositoryName, at: Duration) -> Seen {
        Seen { at, drop: self.drops.of(&self.registry, repository) }
    }

    /// Whether nothing was dropped since the upstream was asked for it.
    pub(super) fn is_valid(&self, key: &Key, kept: &Kept) -> bool {
        kept.seen.drop.contents == self.drops.of(&self.registry, &key.repository).contents
    }

    pub(super) fn put(&self, key: Key, kept: Arc<Kept>) {
        match kept.body {
            Body::Memory(_) => self.memory.insert(key, kept),
            Body::Disk(_) => {
                if let Some(disk) = &self.disk {
                    disk.put(key, kept);
                }
            }
        }
    }

    /// Whether a body of `length` bytes is kept in memory.
    pub(super) fn takes(&self, kind: Kind, length: u64) -> bool {
        let largest = match kind {
            Kind::Manifest => LARGEST_MANIFEST,
            Kind::Blob => self.settings.largest_blob,
        };
        length <= largest.min(self.settings.memory)
    }

    /// Room for a body that comes in; `None`: too many do.
    pub(super) fn reserve(self: &Arc<Self>, length: u64) -> Option<Reserved> {
        let reserved = Reserved { stock: Arc::clone(self), length };
        let before = self.filling.fetch_add(length, Ordering::AcqRel);
        // One there may always be.
        (before == 0 || before + length <= self.settings.memory / FILLING).then_some(reserved)
    }

    pub(super) fn measure(&self) {
        self.memory.run_pending_tasks();
        self.metrics.holds_in_memory(self.memory.weighted_size());
        if let Some(disk) = &self.disk {
            self.metrics.holds_on_disk(disk.size());
        }
    }
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Bytes that come in.
#[derive(Debug)]
pub(super) struct Reserved {
    stock: Arc<Stock>,
    length: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.stock.filling.fetch_sub(self.length, Ordering::AcqRel);
    }
}
