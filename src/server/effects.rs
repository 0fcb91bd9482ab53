//! What happens when the store has something new, besides that it comes into force.

use std::sync::Arc;
use std::time::Duration;

use super::keys::KeysInForce;
use super::reload::tell;
use super::store_state::StoreState;
use crate::provider::Applied;
use crate::provider::feed::FeedEvents;
use crate::store::{StoreError, StoredKey, Unreadable};
use crate::telemetry::metrics::Metrics;

/// Told by the feed.
pub(super) struct Effects {
    pub(super) keys: KeysInForce,
    pub(super) state: StoreState,
    pub(super) metrics: Arc<Metrics>,
}

impl FeedEvents for Effects {
    fn keys(&self, all: &[StoredKey]) {
        self.state.keys(self.keys.replace(all));
    }

    fn unreadable(&self, all: &[Unreadable]) {
        self.state.unreadable(all);
    }

    fn published(&self, applied: &Applied, delays: &[Duration]) {
        tell(&applied.warnings);
        self.metrics.store_changes_applied(delays);
        tracing::debug!(version = applied.version, revision = applied.revision, "changes of the store are in force");
    }

    fn store_state(&self, state: Result<(), &StoreError>) {
        self.state.asked(state);
    }
}
