//! Keeps when and from where passwords were used last: from the notes of requests to the store. And tells of private
//! endpoints that nobody knows, and makes them Pending.
//!
//! Of each credential only the latest use counts, so a busy password costs one row every two seconds. While the store is
//! away the latest uses wait here, for a bounded number of credentials; what finds no room is dropped and counted.

mod endpoints;
mod pending;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::endpoints::UnknownEndpoints;
pub(super) use self::pending::PendingEndpoints;
use crate::observed::{Observations, PLACES, PasswordUse};
use crate::policy::credential::CredentialId;
use crate::store::{LastUse, Store};
use crate::telemetry::metrics::Metrics;

/// Of how many credentials uses may be noted between two visits, in each place of [`Observed`](crate::observed::Observed).
pub(super) const NOTED: usize = MOST / PLACES;
/// Credentials whose last use may wait for the store.
const MOST: usize = 100_000;
const TAKE_EVERY: Duration = Duration::from_millis(200);
const WRITE_EVERY: Duration = Duration::from_secs(2);
/// How often unknown endpoints are written, if there are any.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The latest uses that the store does not know yet.
pub(super) struct LastUses {
    observations: Observations,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    endpoints: UnknownEndpoints,
    pending: PendingEndpoints,
    waiting: HashMap<CredentialId, LastUse>,
    most: usize,
    /// Whether the last attempt to write failed, so that an outage is told once.
    failing: bool,
}

/// What became of an attempt to write: these uses are still to be written.
type Left = Vec<LastUse>;

impl LastUses {
    pub(super) fn new(
        observations: Observations,
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        pending: PendingEndpoints,
    ) -> Self {
        let endpoints = UnknownEndpoints::new(Arc::clone(&metrics));
        Self { observations, store, metrics, endpoints, pending, waiting: HashMap::new(), most: MOST, failing: false }
    }

    /// Goes on until `stop` is over, which is when no request is left; then writes what there is, once.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let (mut take, mut write, mut ask) = (every(TAKE_EVERY), every(WRITE_EVERY), every(ASK_EVERY));
        let mut stop = pin!(stop);
        let mut writing: Option<JoinHandle<Left>> = None;
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = take.tick() => self.take(),
                _ = ask.tick() => self.pending.write(),
                // Not waited for: no place would be left when a store takes seconds to fail.
                _ = write.tick(), if writing.is_none() => writing = self.write(),
                left = end_of(&mut writing) => {
                    writing = None;
                    self.written(left);
                }
            }
        }
        self.take();
        if writing.is_some() {
            let left = end_of(&mut writing).await;
            self.written(left);
        }
        if let Some(last) = self.write() {
            let left = end_of(&mut Some(last)).await;
            self.written(left);
        }
        self.metrics.observations_dropped(self.waiting.len() as u64);
    }

    /// Takes what is noted.
    fn take(&mut self) {
        let sightings: Vec<_> = self.observations.take_endpoints().collect();
        self.pending.note(&sightings);
        self.endpoints.note(sightings.into_iter());
        let mut dropped = self.observations.dropped();
        let Self { observations, waiting, most, .. } = self;
        for PasswordUse { credential, at, address } in observations.take() {
            dropped += u64::from(!keep(waiting, *most, LastUse { credential, at, address }));
        }
        self.metrics.observations_dropped(dropped);
    }

    /// Begins to write everything that waits, if anything does.
    fn write(&mut self) -> Option<JoinHandle<Left>> {
        if self.waiting.is_empty() {
            return None;
        }
        let uses: Vec<LastUse> = self.waiting.drain().map(|(_, one)| one).collect();
        let store = Arc::clone(&self.store);
        let work = async move {
            match store.note_uses(&uses).await {
                Ok(()) => Left::new(),
                Err(error) => {
                    tracing::debug!(%error, "the last uses of passwords were not written");
                    uses
                }
            }
        };
        Some(tokio::spawn(work))
    }

    /// What could not be written waits again, unless something later is known already.
    fn written(&mut self, left: Left) {
        if self.failing == left.is_empty() {
            self.failing = !left.is_empty();
            if self.failing {
                tracing::warn!("the store does not take the last uses of passwords: they wait");
            } else {
                tracing::info!("the store takes the last uses of passwords again");
            }
        }
        let lost = left.into_iter().filter(|one| !keep(&mut self.waiting, self.most, *one)).count();
        self.metrics.observations_dropped(lost as u64);
    }
}

/// Whether there was room for it.
fn keep(waiting: &mut HashMap<CredentialId, LastUse>, most: usize, one: LastUse) -> bool {
    if let Some(known) = waiting.get_mut(&one.credential) {
        if known.at < one.at {
            *known = one;
        }
        return true;
    }
    let room = waiting.len() < most;
    if room {
        waiting.insert(one.credential, one);
    }
    room
}

fn every(time: Duration) -> Interval {
    let mut interval = interval(time);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Waits for ever when nothing is being written. A defect in the store loses what was being written; it was counted.
async fn end_of(writing: &mut Option<JoinHandle<Left>>) -> Left {
    match writing {
        Some(work) => work.await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
