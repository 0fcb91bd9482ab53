//! Whether what the store has is in force here: for `/readyz`, a metric, and one line in the log when that changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::keys::KeyTroubles;
use crate::store::{StoreError, Unreadable};
use crate::telemetry::metrics::Metrics;

/// Shared by whoever asks the store and whoever wants to know. It begins without troubles: a start without a store fails.
#[derive(Debug, Clone)]
pub(super) struct StoreState {
    troubles: Arc<Mutex<Troubles>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Troubles {
    /// It did not answer when it was last asked.
    lost: bool,
    keys: KeyTroubles,
    unreadable: Vec<Unreadable>,
}

impl StoreState {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { troubles: Arc::default(), metrics }
    }

    /// Notes how asking the store went.
    pub(super) fn asked(&self, state: Result<(), &StoreError>) {
        let was_lost = std::mem::replace(&mut self.troubles().lost, state.is_err());
        match state {
            Ok(()) => {
                self.metrics.store_answered();
                if was_lost {
                    tracing::info!("the store answers again");
                }
            }
            Err(error) => {
                self.metrics.store_failed();
                if !was_lost {
                    tracing::error!(%error, "the store is lost: the policy in force stays, and no change arrives");
                }
            }
        }
    }

    /// Notes what cannot be read of what the store has now, and tells what is new of it.
    pub(super) fn unreadable(&self, all: &[Unreadable]) {
        let before = std::mem::replace(&mut self.troubles().unreadable, all.to_vec());
        for Unreadable { key, reason, .. } in all.iter().filter(|one| !before.contains(one)) {
            let (registry, kind, name) = (&key.registry, key.kind, &key.name);
            tracing::error!(registry, ?kind, name, reason, "a record of the store has no effect: it cannot be read");
        }
        if all.is_empty() {
            tracing::info!("everything in the store can be read again");
        }
    }

    /// Notes what is wrong with the keys that the store has now.
    pub(super) fn keys(&self, troubles: KeyTroubles) {
        self.troubles().keys = troubles;
    }

    /// Why not all that the store has is in force; the gravest reason.
    pub(super) fn trouble(&self) -> Option<&'static str> {
        let troubles = self.troubles();
        match &*troubles {
            Troubles { lost: true, .. } => Some("the store does not answer"),
            Troubles { keys: KeyTroubles { other_hash_key: true, .. }, .. } => {
                Some("the store has another hash key, as after a restore: restart seawall")
            }
            Troubles { keys: KeyTroubles { no_signing_key: true, .. }, .. } => {
                Some("no signing key of the store can be used: the former ones sign on")
            }
            Troubles { keys: KeyTroubles { unusable: true, .. }, .. } => {
                Some("a key of the store cannot be used: the log names it")
            }
            Troubles { unreadable, .. } if !unreadable.is_empty() => {
                Some("a record of the store cannot be read: the log names it")
            }
            Troubles { .. } => None,
        }
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Kind, ObjectKey, Revision};

    fn state() -> (StoreState, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new().unwrap());
        (StoreState::new(Arc::clone(&metrics)), metrics)
    }

    #[test]
    fn the_last_answer_counts() {
        let (state, metrics) = state();
        let shows = |line: &str| metrics.render().unwrap().lines().any(|found| found == line);
        let is_lost = || state.trouble() == Some("the store does not answer");
        state.asked(Ok(()));
        assert!(!is_lost() && shows("seawall_store_up 1"));
        let error = StoreError::Unavailable("connection refused".to_owned());
        state.asked(Err(&error));
        state.clone().asked(Err(&error));
        assert!(is_lost() && shows("seawall_store_up 0") && shows("seawall_store_errors_total 2"));
        state.asked(Ok(()));
        assert!(!is_lost() && shows("seawall_store_up 1"));
    }

    #[test]
    fn what_cannot_be_used_is_a_reason_until_it_can() {
        let (state, _) = state();
        let reason = |word: &str| state.trouble().is_some_and(|reason| reason.contains(word));
        let key = ObjectKey { registry: "myregistry".to_owned(), kind: Kind::Registry, name: String::new() };
        state.unreadable(&[Unreadable { key, revision: Revision(1), reason: "unknown field".to_owned() }]);
        assert!(reason("cannot be read"));
        state.keys(KeyTroubles { unusable: true, ..KeyTroubles::default() });
        assert!(reason("a key of the store cannot be used"));
        state.keys(KeyTroubles { no_signing_key: true, unusable: true, other_hash_key: false });
        assert!(reason("no signing key"));
        state.keys(KeyTroubles { other_hash_key: true, no_signing_key: true, unusable: true });
        assert!(reason("restart seawall"));
        state.keys(KeyTroubles::default());
        assert!(reason("cannot be read"));
        state.unreadable(&[]);
        assert_eq!(state.trouble(), None);
    }
}
