//! What cannot change: manifests and small blobs by their digest, kept for callers who may read them.
//!
//! Nothing here decides who may read. `proxy` asks once a request is permitted and no lock is in its way, in place of the
//! registry behind, and of the repository that the caller named: what one repository has is never given out of another one.
//!
//! What is kept has the digest that it is kept by, or it is not kept. It is given out for a while (`maximumAge`) after the upstream
//! was seen to have it, and then confirmed there first. Whatever could have changed that through us (a delete, a lock) ends all
//! that is kept of the repository, also what is on its way in: see [`Change`].

mod accept;
mod age;
mod burden;
mod disk;
mod drops;
mod entry;
mod fill;
mod house;
mod reading;
mod stock;
mod tags;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::oci::RepositoryName;
use crate::policy::{PolicySnapshot, Registry};
use crate::telemetry::metrics::Metrics;

pub use accept::names as accepts;
pub use age::Aged;
pub use burden::Unread;
pub use disk::Stored;
pub use drops::Change;
pub use entry::{Body, Kept, Key, Kind, Seen};
pub use fill::{Answered, Fill};
pub use reading::Reading;
pub use stock::{Found, Stock};

use burden::Burden;
use drops::Drops;

/// The largest manifest that is kept, in bytes: the largest that there is (requirements B.9).
pub const LARGEST_MANIFEST: u64 = 4 * 1024 * 1024;

/// Stocks by the names of their registries.
type Stocks = HashMap<Arc<str>, Arc<Stock>>;

/// All that is kept. Clones share everything.
#[derive(Clone)]
pub struct Content(Arc<Inner>);

struct Inner {
    stocks: ArcSwap<Stocks>,
    /// Whoever replaces them holds it.
    replacing: Mutex<()>,
    drops: Arc<Drops>,
    /// The version of the policy by which stocks were last taken down. Written by whoever replaces them.
    version: AtomicU64,
    burden: Arc<Burden>,
    metrics: Arc<Metrics>,
}

impl Content {
    /// Nothing is kept yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inner {
            stocks: ArcSwap::default(),
            replacing: Mutex::default(),
            drops: Arc::default(),
            version: AtomicU64::new(0),
            burden: Arc::default(),
            metrics,
        }))
    }

    /// What is kept of `registry`, as the policy of this `version` has it, by its settings and before its upstream; `None`: nothing
    /// is. Of a registry that has got other settings or another upstream, everything is forgotten first; for a request that was
    /// decided by the policy before, nothing is brought back.
    pub fn stock(&self, registry: &Registry, version: u64) -> Option<Arc<Stock>> {
        let settings = registry.content_cache()?;
        let known = |stocks: &Stocks| stocks.get(&*registry.name).filter(|one| one.is_for(settings)).cloned();
        if let Some(stock) = known(&self.0.stocks.load()) {
            return Some(stock);
        }
        let _turn = self.replace();
        let stocks = self.0.stocks.load_full();
        if let Some(stock) = known(&stocks) {
            return Some(stock);
        }
        if version < self.0.version.load(Ordering::Relaxed) {
            return None;
        }
        let used = (&*self.0.metrics, &self.0.burden);
        let stock = Stock::new(Arc::clone(&registry.name), Arc::clone(settings), &self.0.drops, used);
        let stock = Arc::new(stock);
        let mut stocks = Stocks::clone(&stocks);
        stocks.insert(Arc::clone(&registry.name), Arc::clone(&stock));
        self.0.stocks.store(Arc::new(stocks));
        Some(stock)
    }

    /// Forgets what `policy` has no registry for any more, and begins to use the disks that it names. Costs nothing unless the
    /// policy is newer than the last one.
    pub fn follow(&self, policy: &PolicySnapshot) {
        if policy.version() <= self.0.version.load(Ordering::Relaxed) {
            return;
        }
        let turn = self.replace();
        // A newer one may have come in the meantime.
        if policy.version() <= self.0.version.fetch_max(policy.version(), Ordering::Relaxed) {
            return;
        }
        let stocks = self.0.stocks.load_full();
        let stays = |(name, stock): &(&Arc<str>, &Arc<Stock>)| {
            let registry = policy.registry_named(name).filter(|registry| registry.name == **name);
            registry.and_then(|registry| registry.content_cache()).is_some_and(|settings| stock.is_for(settings))
        };
        let staying: Stocks =
            stocks.iter().filter(stays).map(|(name, stock)| (Arc::clone(name), Arc::clone(stock))).collect();
        if staying.len() < stocks.len() {
            for gone in stocks.keys().filter(|name| !staying.contains_key(*name)) {
                self.0.metrics.forget_content(gone);
            }
            self.0.stocks.store(Arc::new(staying));
        }
        drop(turn);
        for registry in policy.registries() {
            if registry.content_cache().is_some_and(|settings| settings.disk.is_some()) {
                self.stock(registry, policy.version());
            }
        }
    }

    /// Something is about to be done at the upstream, or to be locked, by which what is kept of `repository` may be wrong: from
    /// now on nothing of it is given out, nor anything that was on its way in; and again when this ends.
    pub fn change(&self, registry: &str, repository: &RepositoryName) -> Change {
        self.0.drops.change(registry, repository, false)
    }

    /// The same about where its tags lead.
    pub fn change_of_tags(&self, registry: &str, repository: &RepositoryName) -> Change {
        self.0.drops.change(registry, repository, true)
    }

    /// Shows in the metrics how much is kept.
    pub fn measure(&self) {
        self.0.stocks.load().values().for_each(|stock| stock.measure());
    }

    fn replace(&self) -> std::sync::MutexGuard<'_, ()> {
        self.0.replacing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}
