//! The keys of one provider as they are known here, and when they are fetched again.
//!
//! Whoever sends tokens decides how often a key is unknown, so not how often the provider is asked: at most once in
//! [`MIN_PAUSE`], by one task at a time, which no disconnecting client can stop. What was good stays in use until
//! something better is there (threat classes G and S).

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tracing::{info, warn};

use super::fetch::fetch;
use super::keys::KeySet;
use crate::policy::identity::{IdentityProvider, ProviderKeys};
use crate::telemetry::metrics::Metrics;

/// Between two attempts to fetch the keys, whatever the reason.
const MIN_PAUSE: SignedDuration = SignedDuration::from_secs(10);
/// How old keys may get before they are fetched anew; those that are there count until the fetch has succeeded. A file is
/// looked at more often, because it costs nothing.
const REFRESH_AFTER: SignedDuration = SignedDuration::from_mins(30);
const REREAD_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Ends when the attempt does, however it ends.
pub(super) type Attempt = watch::Receiver<()>;

/// One provider's keys.
#[derive(Debug)]
pub(super) struct Source {
    provider: Arc<IdentityProvider>,
    keys: ArcSwapOption<KeySet>,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    /// The last attempt that succeeded.
    fetched_at: Option<Timestamp>,
    attempted_at: Option<Timestamp>,
    running: Option<Attempt>,
    /// Why the last attempt failed, if it did.
    failure: Option<String>,
}

impl Source {
    pub(super) fn new(provider: Arc<IdentityProvider>, metrics: Arc<Metrics>) -> Self {
        Self { provider, keys: ArcSwapOption::empty(), state: Mutex::default(), metrics }
    }

    pub(super) fn name(&self) -> &str {
        &self.provider.name
    }

    /// Whether the keys are those of `provider`. What else its declaration says does not matter here.
    pub(super) fn is_of(&self, provider: &IdentityProvider) -> bool {
        let own = &*self.provider;
        (&own.name, &own.issuer, &own.keys, &own.ca) == (&provider.name, &provider.issuer, &provider.keys, &provider.ca)
    }

    /// The keys as they are known. When they are old they are fetched again in the background; only when there are none
    /// is the provider waited for.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) async fn keys(self: &Arc<Self>, now: Timestamp) -> Result<Arc<KeySet>, String> {
        if let Some(keys) = self.keys.load_full() {
            if self.is_due(now) {
                drop(self.attempt(now));
            }
            return Ok(keys);
        }
        self.refresh(now).await;
        self.keys.load_full().ok_or_else(|| self.state().failure.clone().unwrap_or_else(|| "no answer yet".to_owned()))
    }

    /// Fetches the keys, or waits for the one that does; returns at once when the last attempt was a moment ago.
    pub(super) async fn refresh(self: &Arc<Self>, now: Timestamp) {
        if let Some(attempt) = self.attempt(now) {
            end(attempt).await;
        }
    }

    /// Whether it is time to fetch the keys.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let longest = match self.provider.keys {
            ProviderKeys::File(_) => REREAD_AFTER,
            ProviderKeys::Discovery | ProviderKeys::Url(_) => REFRESH_AFTER,
        };
        self.state().fetched_at.is_none_or(|at| apart(at, now) >= longest)
    }

    /// The running attempt, or a new one, or none so soon after the last.
    pub(super) fn attempt(self: &Arc<Self>, now: Timestamp) -> Option<Attempt> {
        let mut state = self.state();
        if let Some(running) = state.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return Some(running.clone());
        }
        if state.attempted_at.is_some_and(|at| apart(at, now) < MIN_PAUSE) {
            return None;
        }
        state.attempted_at = Some(now);
        let (end, attempt) = watch::channel(());
        state.running = Some(attempt.clone());
        let source = Arc::clone(self);
        // It ends by itself: each of its requests has a time limit.
        tokio::spawn(async move {
            let fetched = fetch(Arc::clone(&source.provider)).await;
            source.settle(fetched, now);
            drop(end);
        });
        Some(attempt)
    }

    fn settle(&self, fetched: Result<KeySet, String>, now: Timestamp) {
        let provider = self.name();
        let mut state = self.state();
        self.metrics.identity_provider_answered(provider, fetched.is_ok());
        match fetched {
            Ok(keys) => {
                self.keys.store(Some(Arc::new(keys)));
                state.fetched_at = Some(now);
                if state.failure.take().is_some() {
                    info!(provider, "the keys of the identity provider can be fetched again");
                }
            }
            Err(cause) => {
                if state.failure.is_none() {
                    let kept = self.keys.load().is_some();
                    warn!(provider, cause, kept, "the keys of the identity provider cannot be fetched");
                }
                state.failure = Some(cause);
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until `attempt` is over.
pub(super) async fn end(mut attempt: Attempt) {
    // It sends nothing, so that the first change is an error: the other end is gone.
    let _ = attempt.changed().await;
}

/// The time between the two, whichever came first: a clock that was set back must not stop anything for long.
pub(super) fn apart(one: Timestamp, other: Timestamp) -> SignedDuration {
    one.duration_until(other).abs()
}
