//! Keeps the keys of identity providers at hand, so that nobody's sign-in waits for them.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::current::Current;

const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Looks for keys that are missing or old, at once and then every minute, until it is dropped.
pub(super) async fn keep_fresh(authenticator: Arc<Authenticator>, current: Arc<Current>, clock: Arc<dyn Clock>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        if let Some(policy) = current.load() {
            authenticator.providers().keep_fresh(policy.identity_providers(), clock.now()).await;
        }
    }
}
