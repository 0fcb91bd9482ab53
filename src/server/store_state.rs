//! Whether the store answered when it was last asked: for `/readyz`, a metric, and one line in the log when that changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::StoreError;
use crate::telemetry::metrics::Metrics;

/// Shared by whoever asks the store and whoever wants to know. It begins as answering: a start without a store fails.
#[derive(Debug, Clone)]
pub(super) struct StoreState {
    lost: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl StoreState {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { lost: Arc::default(), metrics }
    }

    /// Notes how asking the store went.
    pub(super) fn asked(&self, state: Result<(), &StoreError>) {
        match state {
            Ok(()) => {
                self.metrics.store_answered();
                if self.lost.swap(false, Ordering::AcqRel) {
                    tracing::info!("the store answers again");
                }
            }
            Err(error) => {
                self.metrics.store_failed();
                if !self.lost.swap(true, Ordering::AcqRel) {
                    tracing::error!(%error, "the store is lost: the policy in force stays, and no change arrives");
                }
            }
        }
    }

    /// Whether it did not answer.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_counts() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let state = StoreState::new(Arc::clone(&metrics));
        let shows = |line: &str| metrics.render().unwrap().lines().any(|found| found == line);
        state.asked(Ok(()));
        assert!(!state.is_lost() && shows("seawall_store_up 1"));
        let error = StoreError::Unavailable("connection refused".to_owned());
        state.asked(Err(&error));
        state.clone().asked(Err(&error));
        assert!(state.is_lost() && shows("seawall_store_up 0") && shows("seawall_store_errors_total 2"));
        state.asked(Ok(()));
        assert!(!state.is_lost() && shows("seawall_store_up 1"));
    }
}
