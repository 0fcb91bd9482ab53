//! What changes in the store comes into force here: on its hints, and by asking four times a second in any case.
//!
//! One task per process. An outage of the store ends nothing: the last policy stays, and asking goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::publish::{Applied, PolicyProvider};
use crate::clock::Clock;
use crate::current::Current;
use crate::store::{Changes, Kind, Object, ObjectKey, Position, Store, StoreError, StoredKey, Unreadable};

/// How often the store is asked although it gave no hint.
pub const POLL: Duration = Duration::from_millis(250);
/// The first pause after a failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Who is told what the feed does.
pub trait FeedEvents: Send + Sync {
    /// The shared keys changed: these are all there are now. Told before the policy of the same revision is published.
    fn keys(&self, all: &[StoredKey]);

    /// Other records than before cannot be read: these are all there are now, by their keys. Told after [`FeedEvents::keys`].
    fn unreadable(&self, all: &[Unreadable]);

    /// Changes were applied. `delays` has the time since each was written, by the clocks of writer and reader; it is
    /// empty where everything was read anew, and that says nothing.
    fn published(&self, applied: &Applied, delays: &[Duration]);

    /// How asking the store went, each time.
    fn store_state(&self, state: Result<(), &StoreError>);
}

/// Follows one store.
pub struct Feed {
    store: Arc<dyn Store>,
    provider: Arc<PolicyProvider>,
    events: Arc<dyn FeedEvents>,
    current: Arc<Current>,
    clock: Arc<dyn Clock>,
    position: Option<Position>,
    keys: BTreeMap<String, StoredKey>,
    unreadable: BTreeMap<ObjectKey, Unreadable>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Feed {
    /// Nothing is read before [`Feed::first`] or [`Feed::follow`].
    pub fn new(
        store: Arc<dyn Store>,
        provider: Arc<PolicyProvider>,
        events: Arc<dyn FeedEvents>,
        current: Arc<Current>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (keys, unreadable) = (BTreeMap::new(), BTreeMap::new());
        Self { store, provider, events, current, clock, position: None, keys, unreadable }
    }

    /// Reads once whatever is new, which is everything at first.
    ///
    /// # Errors
    /// The store's; nothing changed then.
    pub async fn first(&mut self) -> Result<(), StoreError> {
        self.step().await
    }

    /// Reads and applies what is new, for ever: whenever the store hints, and every `poll`.
    pub async fn follow(mut self, poll: Duration) {
        let mut hints = self.store.hints();
        let mut pause = FIRST_PAUSE;
        loop {
            // Seen before asking: a hint in the meantime wakes us again.
            hints.mark_unchanged();
            if self.step().await.is_ok() {
                pause = FIRST_PAUSE;
                hint(&mut hints, poll).await;
            } else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    async fn step(&mut self) -> Result<(), StoreError> {
        let asked = self.clock.ticks();
        let changes = self.store.changes(self.position.as_ref()).await;
        self.events.store_state(changes.as_ref().map(|_| ()));
        let changes = changes?;
        if self.position.as_ref() != Some(&changes.position) {
            self.apply(&changes);
        }
        self.current.confirm(asked);
        self.position = Some(changes.position);
        Ok(())
    }

    fn apply(&mut self, changes: &Changes) {
        if self.note_keys(changes) {
            let all: Vec<_> = self.keys.values().cloned().collect();
            self.events.keys(&all);
        }
        if self.note_unreadable(changes) {
            let all: Vec<_> = self.unreadable.values().cloned().collect();
            self.events.unreadable(&all);
        }
        let applied = self.provider.apply(changes);
        let now = self.clock.now();
        let delay = |written| Duration::try_from(now.duration_since(written)).unwrap_or_default();
        let timed = changes.changes.iter().filter(|_| !changes.everything);
        let delays: Vec<_> = timed.map(|change| delay(change.written_at)).collect();
        self.events.published(&applied, &delays);
    }

    /// Brings our copy of the keys up to date; says whether it is another one now.
    fn note_keys(&mut self, changes: &Changes) -> bool {
        let written = || changes.changes.iter().filter(|change| change.key.kind == Kind::Key);
        let lost = || changes.unreadable.iter().filter(|one| one.key.kind == Kind::Key);
        if !changes.everything && written().next().is_none() && lost().next().is_none() {
            return false;
        }
        let mut keys = if changes.everything { BTreeMap::new() } else { self.keys.clone() };
        for change in written() {
            match &change.object {
                Some(Object::Key(key)) => keys.insert(change.key.name.clone(), key.clone()),
                Some(_) | None => keys.remove(&change.key.name),
            };
        }
        for one in lost() {
            keys.remove(&one.key.name);
        }
        let before = std::mem::replace(&mut self.keys, keys);
        before != self.keys
    }

    /// The same for what cannot be read.
    fn note_unreadable(&mut self, changes: &Changes) -> bool {
        let mut unreadable = if changes.everything { BTreeMap::new() } else { self.unreadable.clone() };
        for change in &changes.changes {
            unreadable.remove(&change.key);
        }
        unreadable.extend(changes.unreadable.iter().map(|one| (one.key.clone(), one.clone())));
        let before = std::mem::replace(&mut self.unreadable, unreadable);
        before != self.unreadable
    }
}

/// Waits for the next hint, but no longer than `poll`.
async fn hint(hints: &mut watch::Receiver<u64>, poll: Duration) {
    tokio::select! {
        // A store without a sender of hints is asked now and then only.
        Ok(()) = hints.changed() => {}
        () = tokio::time::sleep(poll) => {}
    }
}

#[cfg(test)]
mod tests;
