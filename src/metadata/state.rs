//! What all of metadata shares in memory: what is waiting to be learnt, and what was asked a moment ago.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem::take;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use moka::future;
use moka::sync::Cache;
use tokio::sync::{Mutex as AsyncMutex, OnceCell, OwnedMutexGuard, Semaphore, mpsc};

use super::asks::turns;
use super::turnstile::Turnstiles;
use super::{Errand, MetadataError, Note, Passed, Settings};
use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// Notes that wait to be taken in, and the bodies among them, in bytes.
const MOST_NOTES: usize = 8_192;
const MOST_BODIES: usize = 64 * 1024 * 1024;
/// How long a list of tags is good, unless we changed something ourselves.
const NAMES_LIFE: Duration = Duration::from_secs(2);
/// Tags in all lists that are kept.
const MOST_NAMES: u64 = 2_000_000;
/// What was changed or read a moment ago.
const MOST_RECENT: u64 = 100_000;
/// Pushes by tags that are remembered, until the index knows them.
const MOST_PUSHES: u64 = 50_000;
/// For longer than any list takes to be fetched.
const CHANGED_LIFE: Duration = Duration::from_mins(10);
/// How long an upstream's word counts whether it has the referrers API.
const REFERRERS_LIFE: Duration = Duration::from_mins(10);
/// Repositories to read anew; of others the sweep takes care.
const MOST_MISSED: usize = 10_000;
/// Names that were pushed since a catalogue was read, of one registry.
const MOST_NEW: usize = 10_000;

/// Requests of one kind to the upstream of one registry wait in one line.
type Line = (Arc<str>, Errand);

/// A repository of a registry.
pub(super) type Place = (Arc<str>, RepositoryName);

/// A list of tags as the upstream gave it.
#[derive(Debug)]
pub(super) struct Names {
    /// By name; `None`: there is no such repository.
    pub(super) tags: Option<Vec<Tag>>,
    /// When it was asked for.
    pub(super) at: Timestamp,
    /// Set once the index knows all of them.
    pub(super) taken_in: OnceCell<()>,
}

impl Names {
    pub(super) fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// What came when the tags were asked for, for all who had asked before.
#[derive(Debug)]
struct Fetched {
    begun: u64,
    names: Result<Arc<Names>, MetadataError>,
}

/// The repositories as the upstream gave them.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// By name; `None`: the upstream has no catalogue.
    pub(super) names: Option<Vec<RepositoryName>>,
    pub(super) at: Timestamp,
}

/// A note in the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) note: Note,
    /// How often it could not be taken in.
    pub(super) attempts: u32,
}

/// What was read: by this tag or none, and what it was; or a reference that led to nothing.
type Read = (Place, Result<(Option<Tag>, Digest), Reference>);

/// What upstreams can do.
fn of_upstreams<V: Clone + Send + Sync + 'static>() -> Cache<Arc<str>, V> {
    Cache::builder().max_capacity(1_000).time_to_live(REFERRERS_LIFE).build()
}

/// All of it. What few servers ask for is made when it is first asked for: an empty cache has 36 kB.
#[derive(Debug)]
pub(super) struct State {
    waiting: mpsc::Sender<Waiting>,
    /// Whoever learns holds it.
    pub(super) queue: AsyncMutex<mpsc::Receiver<Waiting>>,
    bodies: AtomicUsize,
    /// What was read lately need not be looked at again.
    recent: Cache<Read, ()>,
    /// Repositories about which something was missed.
    missed: Mutex<HashSet<Place>>,
    turns: Mutex<HashMap<Line, Arc<Semaphore>>>,
    /// Counts what we changed ourselves; a list of tags is of one such moment.
    changes: AtomicU64,
    changed: Cache<Place, u64>,
    names: future::Cache<(Place, u64), Arc<Names>>,
    catalogues: future::Cache<Arc<str>, Arc<Catalogue>>,
    /// Repositories that were pushed to, with the moment.
    new: Mutex<HashMap<Arc<str>, HashMap<RepositoryName, Timestamp>>>,
    /// Whether an upstream has the referrers API.
    pub(super) has_referrers: LazyLock<Cache<Arc<str>, bool>>,
    /// Whoever changes a repository at the upstream in several steps holds its turn.
    changing: Turnstiles<Place>,
    /// When manifests were pushed by tags lately: who asks for the tag first may be quicker than the note.
    pushes: LazyLock<Cache<(Place, Tag, Digest), Timestamp>>,
    /// Whoever reads a repository for an answer holds its turn.
    reading: Turnstiles<Place>,
    /// Whoever fetches a list of tags as of now holds it; whoever waited for it finds what came.
    fetching: Turnstiles<(Place, Errand), Option<Fetched>>,
    /// Counts who asks for a list of tags as of now, and who fetches one.
    moments: AtomicU64,
    /// Upstreams that cannot remove a tag alone.
    pub(super) cannot_untag: LazyLock<Cache<Arc<str>, ()>>,
}

impl State {
    pub(super) fn new(settings: Settings) -> Self {
        let (waiting, queue) = mpsc::channel(MOST_NOTES);
        let age = settings.maximum_age;
        let recent = age.clamp(Duration::from_secs(1), Duration::from_mins(1));
        let weight = |_: &(Place, u64), names: &Arc<Names>| u32::try_from(names.tags().len() + 1).unwrap_or(u32::MAX);
        Self {
            waiting,
            queue: AsyncMutex::new(queue),
            bodies: AtomicUsize::new(0),
            recent: Cache::builder().max_capacity(MOST_RECENT).time_to_live(recent).build(),
            missed: Mutex::default(),
            turns: Mutex::default(),
            changes: AtomicU64::new(0),
            changed: Cache::builder().max_capacity(MOST_RECENT).time_to_live(CHANGED_LIFE).build(),
            names: future::Cache::builder()
                .max_capacity(MOST_NAMES)
                .weigher(weight)
                .time_to_live(age.min(NAMES_LIFE))
                .build(),
            catalogues: future::Cache::builder().max_capacity(1_000).time_to_live(age).build(),
            new: Mutex::default(),
            has_referrers: LazyLock::new(of_upstreams),
            changing: Turnstiles::default(),
            pushes: LazyLock::new(|| Cache::builder().max_capacity(MOST_PUSHES).time_to_live(CHANGED_LIFE).build()),
            reading: Turnstiles::default(),
            fetching: Turnstiles::default(),
            moments: AtomicU64::new(0),
            cannot_untag: LazyLock::new(of_upstreams),
        }
    }

    /// Waits until nobody else changes this repository at the upstream in several steps.
    pub(super) async fn turn(&self, place: &Place) -> OwnedMutexGuard<()> {
        self.changing.take(place.clone()).await
    }

    /// When `digest` was pushed by the tag, if that was lately.
    pub(super) fn pushed(&self, place: &Place, tag: &Tag, digest: Option<&Digest>) -> Option<Timestamp> {
        self.pushes.get(&(place.clone(), tag.clone(), digest?.clone()))
    }

    /// Waits until nobody else reads this repository for an answer.
    pub(super) async fn reading(&self, place: &Place) -> OwnedMutexGuard<()> {
        self.reading.take(place.clone()).await
    }

    /// Takes a note, after whatever it is about has happened; `false`: it is lost, and its repository is to be read anew.
    pub(super) fn leave(&self, mut note: Note, now: Timestamp) -> bool {
        let place = (Arc::clone(&note.registry), note.repository.clone());
        match &mut note.what {
            Passed::Read { tag, digest } => {
                if self.was_read((place.clone(), Ok((tag.clone(), digest.clone())))) {
                    return true;
                }
            }
            Passed::Missing(reference) => {
                if self.was_read((place.clone(), Err(reference.clone()))) {
                    return true;
                }
            }
            Passed::Pushed { body, tags, digest, .. } => {
                self.change(&place);
                for tag in tags {
                    self.pushes.insert((place.clone(), tag.clone(), digest.clone()), note.at);
                }
                // Not when it was sent: a catalogue that was read meanwhile does not have it.
                self.appeared(&place, now);
                let length = body.len();
                if self.bodies.fetch_add(length, Ordering::Relaxed) + length > MOST_BODIES {
                    self.bodies.fetch_sub(length, Ordering::Relaxed);
                    // The upstream has it too.
                    *body = bytes::Bytes::new();
                }
            }
            Passed::Gone(_) => self.change(&place),
        }
        self.put_back(Waiting { note, attempts: 0 })
    }

    /// Whether the same was found a moment ago, and need not be looked at.
    fn was_read(&self, read: Read) -> bool {
        // Most were: to look is cheaper than to put.
        self.recent.contains_key(&read) || !self.recent.entry(read).or_insert(()).is_fresh()
    }

    /// As [`State::leave`], for one that could not be taken in.
    pub(super) fn put_back(&self, waiting: Waiting) -> bool {
        match self.waiting.try_send(waiting) {
            Ok(()) => true,
            Err(error) => {
                self.lose(error.into_inner().note);
                false
            }
        }
    }

    /// A note is not taken in any more: its repository is read anew instead.
    pub(super) fn lose(&self, note: Note) {
        self.release(&note);
        self.miss((note.registry, note.repository));
    }

    /// A note is done with.
    pub(super) fn release(&self, note: &Note) {
        if let Passed::Pushed { body, .. } = &note.what {
            self.bodies.fetch_sub(body.len(), Ordering::Relaxed);
        }
    }

    /// Something about this repository was missed.
    pub(super) fn miss(&self, place: Place) {
        let mut missed = lock(&self.missed);
        if missed.len() < MOST_MISSED {
            missed.insert(place);
        }
    }

    /// The repositories to read anew, each of them once.
    pub(super) fn take_missed(&self) -> HashSet<Place> {
        take(&mut lock(&self.missed))
    }

    /// We changed something in a repository: lists that were fetched before are not good any more.
    pub(super) fn change(&self, place: &Place) {
        self.changed.insert(place.clone(), self.changes.fetch_add(1, Ordering::Relaxed) + 1);
    }

    /// The turns of the requests to the upstream of a registry.
    pub(super) fn turns(&self, registry: &Arc<str>, errand: Errand) -> Arc<Semaphore> {
        Arc::clone(lock(&self.turns).entry((Arc::clone(registry), errand)).or_insert_with(turns))
    }

    /// The list of tags, fetched where none is good; once for all who wait.
    pub(super) async fn names<F>(&self, place: &Place, fetch: F) -> Result<Arc<Names>, MetadataError>
    where
        F: Future<Output = Result<Arc<Names>, MetadataError>>,
    {
        let key = (place.clone(), self.changed.get(place).unwrap_or_default());
        self.names.try_get_with(key, fetch).await.map_err(|error| MetadataError::clone(&error))
    }

    /// A list of tags as of now, whatever is kept; it is kept for others. Whoever asks while one is being fetched waits, and
    /// gets the next one with all others who wait: the one on its way may have been read before they asked.
    pub(super) async fn names_now<F>(
        &self,
        place: &Place,
        errand: Errand,
        fetch: F,
    ) -> Result<Arc<Names>, MetadataError>
    where
        F: Future<Output = Result<Arc<Names>, MetadataError>>,
    {
        let asked = self.moments.fetch_add(1, Ordering::SeqCst);
        let mut latest = self.fetching.take((place.clone(), errand)).await;
        if let Some(Fetched { begun, names }) = &*latest
            && *begun > asked
        {
            return names.clone();
        }
        let begun = self.moments.fetch_add(1, Ordering::SeqCst);
        let key = (place.clone(), self.changed.get(place).unwrap_or_default());
        let names = fetch.await;
        if let Ok(names) = &names {
            self.names.insert(key, Arc::clone(names)).await;
        }
        *latest = Some(Fetched { begun, names: names.clone() });
        names
    }

    /// The catalogue of a registry, fetched where none is good; once for all who wait.
    pub(super) async fn catalogue<F>(&self, registry: &Arc<str>, fetch: F) -> Result<Arc<Catalogue>, MetadataError>
    where
        F: Future<Output = Result<Arc<Catalogue>, MetadataError>>,
    {
        let catalogue = self.catalogues.try_get_with(Arc::clone(registry), fetch).await;
        catalogue.map_err(|error| MetadataError::clone(&error))
    }

    /// The repositories that were pushed to here after `since`.
    pub(super) fn pushed_since(&self, registry: &Arc<str>, since: Timestamp) -> BTreeSet<RepositoryName> {
        let mut new = lock(&self.new);
        let Some(names) = new.get_mut(registry) else { return BTreeSet::new() };
        names.iter().filter(|(_, at)| **at >= since).map(|(name, _)| name.clone()).collect()
    }

    /// It is not in lists any more, such as after it was deleted.
    pub(super) fn disappeared(&self, place: &Place) {
        if let Some(names) = lock(&self.new).get_mut(&place.0) {
            names.remove(&place.1);
        }
    }

    fn appeared(&self, (registry, name): &Place, at: Timestamp) {
        let mut new = lock(&self.new);
        let names = new.entry(Arc::clone(registry)).or_default();
        if names.len() >= MOST_NEW && !names.contains_key(name) {
            // By now most are in the catalogue; those that are not are in the index.
            names.clear();
        }
        names.insert(name.clone(), at);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
