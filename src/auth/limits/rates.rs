//! The counters of rate limits: one look-up and a few atomic additions for a request, nothing where nothing is limited.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use moka::sync::Cache;

use super::COUNTERS;
use crate::policy::credential::PrincipalId;
use crate::policy::limits::{Category, Exhausted, PERIOD, RateScope, Spent};
use crate::policy::{Principal, Registry};
use crate::telemetry::metrics::Metrics;

/// A counter for each category.
type Counters = [Counter; Category::ALL.len()];

/// Made where something is limited.
type By<K> = LazyLock<Cache<K, Arc<Counters>>>;

/// The counters of all registries and identities.
pub struct Rates {
    registries: By<Arc<str>>,
    /// Of an identity at a registry; without an id whoever is anonymous.
    identities: By<(Arc<str>, Option<PrincipalId>)>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rates")
    }
}

fn counters<K: Hash + Eq + Send + Sync + 'static>() -> Cache<K, Arc<Counters>> {
    // Whoever was not here for a whole period has nothing to remember.
    Cache::builder().max_capacity(COUNTERS).time_to_idle(PERIOD.saturating_mul(2)).build()
}

impl Rates {
    /// Nothing is used up.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { registries: LazyLock::new(counters), identities: LazyLock::new(counters), metrics }
    }

    /// Counts a request of `principal` to `registry` at `now`, in ticks of the clock, in all of `categories`.
    ///
    /// # Errors
    /// The first limit that is used up; then nothing is counted. Identities come first: one that is over its own limit
    /// takes nothing from the others.
    pub fn spend(
        &self,
        registry: &Registry,
        principal: &Principal,
        categories: &[Category],
        now: Duration,
    ) -> Result<(), Exhausted> {
        let limits = registry.rate_limits();
        if limits.are_off() {
            return Ok(());
        }
        let of_identity = || self.identities.get_with((Arc::clone(&registry.name), principal.id()), Arc::default);
        let of_registry = || self.registries.get_with(Arc::clone(&registry.name), Arc::default);
        let limit = |scope| move |category: &Category| limits.limit(scope, *category).map(|limit| (*category, limit));
        let mut bill = Bill::default();
        let result = bill
            .charge(RateScope::Identity, categories.iter().filter_map(limit(RateScope::Identity)), of_identity, now)
            .and_then(|()| {
                let limits = categories.iter().filter_map(limit(RateScope::Registry));
                bill.charge(RateScope::Registry, limits, of_registry, now)
            });
        if let Err(exhausted) = &result {
            bill.give_back();
            let (category, scope) = (exhausted.category.name(), exhausted.scope.name());
            self.metrics.rate_limited(Some(&registry.name), category, scope);
        }
        result
    }
}

/// What one request has been counted in so far.
#[derive(Default)]
struct Bill(Vec<(Arc<Counters>, Category, Spent)>);

impl Bill {
    fn charge(
        &mut self,
        scope: RateScope,
        limits: impl Iterator<Item = (Category, u32)>,
        counters: impl FnOnce() -> Arc<Counters>,
        now: Duration,
    ) -> Result<(), Exhausted> {
        let mut limits = limits.peekable();
        if limits.peek().is_none() {
            return Ok(());
        }
        let counters = counters();
        for (category, limit) in limits {
            let Some(counter) = counters.get(category.position()) else { continue };
            let spent = counter.spend(limit, now);
            let spent = spent.map_err(|left| Exhausted::new((scope, category), limit, left))?;
            self.0.push((Arc::clone(&counters), category, spent));
        }
        Ok(())
    }

    fn give_back(self) {
        for (counters, category, spent) in self.0 {
            if let Some(counter) = counters.get(category.position()) {
                counter.give_back(spent);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn spend(&self, limit: u32, now: Duration) -> Result<Spent, Duration> {
        let mut seen = Spent::from_bits(self.0.load(Ordering::Relaxed));
        loop {
            let next = seen.spend(limit, PERIOD, now)?;
            match self.0.compare_exchange_weak(seen.bits(), next.bits(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(next),
                Err(other) => seen = Spent::from_bits(other),
            }
        }
    }

    fn give_back(&self, then: Spent) {
        let given_back = |bits| Some(Spent::from_bits(bits).give_back(then).bits());
        // It always gives a value, so that there is no error.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, given_back);
    }
}
