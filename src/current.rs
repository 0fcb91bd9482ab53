//! The policy in force: one atomic swap.
//!
//! Both planes meet here and nowhere else: whoever publishes and whoever reads share nothing but the snapshot, so pulls
//! keep working while the control plane is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::watch;

use crate::policy::PolicySnapshot;

/// The published snapshot, if there is one yet, and how fresh it is known to be.
#[derive(Debug, Default)]
pub struct Current {
    snapshot: ArcSwapOption<PolicySnapshot>,
    /// The store's revision that the snapshot holds; `None` before the first.
    holds: watch::Sender<Option<u64>>,
    /// When the store was last asked and everything it had is in force, in nanoseconds of the process' clock.
    confirmed: AtomicU64,
}

impl Current {
    /// Nothing published yet: the server is not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `snapshot` the policy of every request that begins from now on.
    pub fn publish(&self, snapshot: impl Into<Arc<PolicySnapshot>>) {
        let snapshot = snapshot.into();
        let revision = snapshot.stored_revision();
        self.snapshot.store(Some(snapshot));
        self.holds.send_replace(Some(revision));
    }

    /// The policy for a request, which keeps it until its end.
    pub fn load(&self) -> Option<Arc<PolicySnapshot>> {
        Guard::into_inner(self.snapshot.load())
    }

    /// Waits until what the store's `revision` wrote is in force here. How long is for the caller to limit.
    pub async fn holds(&self, revision: u64) {
        let mut holds = self.holds.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = holds.wait_for(|held| held.is_some_and(|held| held >= revision)).await;
    }

    /// Notes that the store, asked at `ticks` of the process' clock, has nothing newer than what is in force.
    pub fn confirm(&self, ticks: Duration) {
        let nanoseconds = u64::try_from(ticks.as_nanos()).unwrap_or(u64::MAX);
        self.confirmed.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    /// The latest such moment; zero before the first.
    pub fn confirmed(&self) -> Duration {
        Duration::from_nanos(self.confirmed.load(Ordering::Relaxed))
    }
}
