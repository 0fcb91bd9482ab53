//! What has been kept for so long that the upstream must say first that it still has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::entry::{Kept, Key};
use super::stock::{Found, Stock};
use crate::clock::Clock;

/// How long a request waits for the upstream's word. Then it goes there itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who asks the upstream about an entry: one at a time.
#[derive(Debug, Default)]
pub(super) struct Check {
    turn: Mutex<()>,
    /// Checks that have ended and did not confirm it.
    failed: AtomicU64,
}

/// What the upstream says.
#[derive(Debug)]
pub enum Aged {
    /// It has it: the headers of its answer to `HEAD`.
    There(HeaderMap),
    /// 404.
    Gone,
    /// There is no answer, or none that says either.
    Unknown,
}

impl Stock {
    /// What is kept by `key` once the upstream has confirmed `stale`, of which this is asked: `ask`, with whatever it costs, by
    /// one of all requests that want to know. `None`: the request goes to the upstream.
    pub async fn confirmed<F>(
        &self,
        key: &Key,
        stale: &Kept,
        clock: &dyn Clock,
        ask: impl FnOnce() -> F,
    ) -> Option<Arc<Kept>>
    where
        F: Future<Output = Aged>,
    {
        let failed = stale.check.failed.load(Ordering::Acquire);
        let _turn = timeout(PATIENCE, stale.check.turn.lock()).await.ok()?;
        match self.find(key, clock.ticks()) {
            Found::Fresh(kept) => return Some(kept),
            Found::Nothing => return None,
            // Somebody has asked in the meantime and knows no more: nobody waits for another question.
            Found::Stale(_) if stale.check.failed.load(Ordering::Acquire) != failed => return None,
            Found::Stale(_) => {}
        }
        let asked = clock.ticks();
        match timeout(PATIENCE, ask()).await.unwrap_or(Aged::Unknown) {
            Aged::There(headers) if stale.is_described_by(&headers, &key.digest) => {
                let kept = Arc::new(stale.confirmed(asked));
                self.put(key.clone(), Arc::clone(&kept));
                // It may have been dropped since.
                return self.is_valid(key, &kept).then_some(kept);
            }
            Aged::There(_) | Aged::Gone => self.forget(key),
            Aged::Unknown => {}
        }
        stale.check.failed.fetch_add(1, Ordering::AcqRel);
        None
    }
}
