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

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::clock::Timestamp;
    use crate::policy::document::PolicyDocument;
    use crate::policy::origin::At;
    use crate::policy::{Compiler, References, StoredPolicy, compile};
    use crate::secret::{HashKey, Secret};

    struct Nothing;

    impl References for Nothing {
        fn file(&self, _: &At<String>) -> Result<Secret, String> {
            Err(String::new())
        }

        fn environment(&self, _: &At<String>) -> Result<Secret, String> {
            Err(String::new())
        }
    }

    fn snapshot(revision: u64) -> PolicySnapshot {
        let key = HashKey::from_bytes([0; 32]);
        let compiler = Compiler { hash_key: &key, references: &Nothing, now: Timestamp::UNIX_EPOCH };
        let declared = compile(&PolicyDocument::default(), compiler).0.unwrap();
        let mut stored = StoredPolicy::default();
        stored.set_revision(revision);
        PolicySnapshot::assemble(1, &declared, &stored, None)
    }

    #[test]
    fn a_writer_waits_until_its_revision_is_in_force() {
        let current = Current::new();
        let mut first = pin!(current.holds(0));
        let mut second = pin!(current.holds(7));
        let mut look = Context::from_waker(Waker::noop());
        assert_eq!(first.as_mut().poll(&mut look), Poll::Pending, "nothing is published");
        current.publish(snapshot(6));
        assert_eq!(first.as_mut().poll(&mut look), Poll::Ready(()));
        assert_eq!(second.as_mut().poll(&mut look), Poll::Pending);
        current.publish(snapshot(8));
        assert_eq!(second.as_mut().poll(&mut look), Poll::Ready(()));
        assert_eq!(current.load().unwrap().stored_revision(), 8);
    }

    #[test]
    fn what_is_confirmed_never_grows_older() {
        let current = Current::new();
        assert_eq!(current.confirmed(), Duration::ZERO);
        current.confirm(Duration::from_millis(20));
        current.confirm(Duration::from_millis(10));
        assert_eq!(current.confirmed(), Duration::from_millis(20));
    }
}
