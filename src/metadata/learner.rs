//! Takes in what passed by. Notes are hints: what they say is asked of the upstream afterwards, so that their order does
//! not matter, and of several about one tag only one question is left.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::{self, JoinSet};
use tokio::time::{sleep, timeout};

use super::asks::{at_once, ended};
use super::learn::Sign;
use super::reconcile::place;
use super::state::{Place, Waiting};
use super::{Metadata, MetadataError, Note, Passed};
use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag, manifest};
use crate::policy::Registry;
use crate::store::index::{IndexedManifest, TagObservation};

/// Notes that are taken in together.
const BATCH: usize = 256;
/// Notes of one registry that wait while others of it are taken in.
const LONGEST_LINE: usize = 4_096;
/// For what is noted of one repository. Its upstream may be away, and others of the same registry wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before notes are tried again, for the turn of their repository too, and how often: then it is read anew instead.
const BREATH: Duration = Duration::from_secs(1);
const MOST_ATTEMPTS: u32 = 30;
/// For the row of a manifest that is kept durably.
const KEEP: Duration = Duration::from_secs(2);

/// What is noted of one repository.
#[derive(Debug, Default)]
struct Noted {
    /// With the moment; of a body that is not there the upstream is asked.
    pushed: BTreeMap<Digest, (String, Bytes, Timestamp)>,
    /// Tags and manifests to ask for.
    tags: BTreeSet<Tag>,
    digests: BTreeSet<Digest>,
    /// What was read, to ask for where the index says something else.
    read: Vec<(Option<Tag>, Digest)>,
    /// What to ask for where the index has it.
    gone: Vec<Reference>,
}

impl Noted {
    fn add(&mut self, note: &Note) {
        match &note.what {
            Passed::Pushed { digest, tags, media_type, body } => {
                self.tags.extend(tags.iter().cloned());
                self.digests.insert(digest.clone());
                let pushed = (media_type.clone(), body.clone(), note.at);
                let latest = self.pushed.entry(digest.clone()).or_insert_with(|| pushed.clone());
                if latest.2 < note.at {
                    *latest = pushed;
                }
            }
            Passed::Read { tag, digest } => self.read.push((tag.clone(), digest.clone())),
            Passed::Gone(reference) | Passed::Missing(reference) => self.gone.push(reference.clone()),
        }
    }
}

/// The notes of each registry, in their order. Of each registry one batch at a time is taken in.
#[derive(Debug, Default)]
struct Lines {
    waiting: HashMap<Arc<str>, VecDeque<Waiting>>,
    work: JoinSet<()>,
    /// Of which registry each of `work` is.
    busy: HashMap<task::Id, Arc<str>>,
}

impl Lines {
    /// Gives it back when too many of its registry wait.
    fn put(&mut self, waiting: Waiting) -> Option<Note> {
        let line = self.waiting.entry(Arc::clone(&waiting.note.registry)).or_default();
        if line.len() >= LONGEST_LINE {
            return Some(waiting.note);
        }
        line.push_back(waiting);
        None
    }

    /// Starts what can be started.
    fn go_on(&mut self, metadata: &Metadata) {
        let Self { waiting, work, busy } = self;
        waiting.retain(|registry, line| {
            if !busy.values().any(|name| name == registry) {
                let batch: Vec<_> = line.drain(..line.len().min(BATCH)).collect();
                let metadata = metadata.clone();
                let id = work.spawn(async move { metadata.take_in_batch(batch).await }).id();
                busy.insert(id, Arc::clone(registry));
            }
            !line.is_empty()
        });
    }

    /// For ever, where nothing goes on.
    async fn one_is_done(&mut self) {
        match self.work.join_next_with_id().await {
            Some(done) => drop(self.busy.remove(&done.map_or_else(|defect| defect.id(), |(id, ())| id))),
            None => pending().await,
        }
    }
}

impl Metadata {
    /// Takes in notes for ever, those of each registry in a line of their own: its upstream may be away.
    pub(super) async fn learn_from_notes(&self) {
        let mut queue = self.state.queue.lock().await;
        let (mut arrived, mut lines) = (Vec::with_capacity(BATCH), Lines::default());
        loop {
            tokio::select! {
                count = queue.recv_many(&mut arrived, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    for waiting in arrived.drain(..) {
                        if let Some(note) = lines.put(waiting) {
                            self.state.lose(note);
                            self.count_note(false);
                        }
                    }
                }
                () = lines.one_is_done() => {}
            }
            lines.go_on(self);
        }
    }

    /// Takes in notes about one registry.
    async fn take_in_batch(&self, batch: Vec<Waiting>) {
        let mut places: HashMap<Place, Vec<Waiting>> = HashMap::new();
        for waiting in batch {
            let place = (Arc::clone(&waiting.note.registry), waiting.note.repository.clone());
            places.entry(place).or_default().push(waiting);
        }
        let work = at_once(places, |(place, all)| {
            let this = self.clone();
            async move { this.take_in_notes(&place, all).await }
        });
        if work.await.is_err() {
            tracing::error!("some notes about manifests were lost in a defect");
        }
    }

    async fn take_in_notes(&self, place: &Place, all: Vec<Waiting>) {
        let Some(registry) = self.registry(&place.0) else {
            self.release(&all);
            return;
        };
        let mut noted = Noted::default();
        for waiting in &all {
            noted.add(&waiting.note);
        }
        // While nobody deletes what the upstream says is there, so that nothing comes back that is gone. A large deletion takes
        // minutes, for which other repositories do not wait.
        let Ok(_turn) = timeout(BREATH, self.state.turn(place)).await else {
            self.try_again(all);
            return;
        };
        match timeout(PATIENCE, self.confirm(&registry, &place.1, noted)).await.unwrap_or_else(|_| Err(ended())) {
            Ok(()) => self.release(&all),
            Err(error) => {
                tracing::debug!(registry = &*place.0, repository = %place.1, %error, "notes are tried again");
                self.try_again(all);
            }
        }
    }

    fn release(&self, all: &[Waiting]) {
        for waiting in all {
            self.state.release(&waiting.note);
        }
    }

    fn try_again(&self, all: Vec<Waiting>) {
        let (again, given_up): (Vec<_>, Vec<_>) = all.into_iter().partition(|waiting| waiting.attempts < MOST_ATTEMPTS);
        for Waiting { note, .. } in given_up {
            self.state.lose(note);
        }
        let this = self.clone();
        self.parts.runtime.spawn(async move {
            sleep(BREATH).await;
            for Waiting { note, attempts } in again {
                let kept = this.state.put_back(Waiting { note, attempts: attempts + 1 });
                this.count_note(kept);
            }
        });
    }

    /// Asks the upstream what became of all that is noted, and takes in what it says.
    async fn confirm(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        mut noted: Noted,
    ) -> Result<(), MetadataError> {
        let asked = self.parts.clock.now();
        self.ask_of_reads(registry, repository, &mut noted).await?;
        self.ask_of_gone(registry, repository, &mut noted).await?;
        let tags: Vec<_> = noted.tags.iter().cloned().collect();
        let (seen, failure) = self.ask_tags(registry, repository, &tags).await?;
        let tagged: HashSet<_> = seen.iter().filter_map(|one| one.digest.clone()).collect();
        let ask = noted.digests.iter().filter(|digest| !tagged.contains(digest)).cloned();
        let answers = self.ask_manifests(registry, repository, ask.collect::<Vec<_>>()).await?;
        let gone: Vec<_> = answers.iter().filter(|(_, there, _)| !there).map(|(digest, ..)| digest.clone()).collect();
        let changed = noted.pushed.values().map(|(.., at)| *at).max();
        for digest in &gone {
            noted.pushed.remove(digest);
        }
        let is_there = answers.len() > gone.len() || !tagged.is_empty();
        let referenced = self.put_pushed(registry, repository, noted.pushed).await?;
        let there = answers.into_iter().filter(|(_, there, _)| *there).map(|(one, ..)| one);
        self.learn(registry, repository, tagged.into_iter().chain(there).chain(referenced).collect()).await?;
        if !gone.is_empty() {
            self.parts.index.remove_manifests(&registry.name, repository, &gone).await?;
        }
        self.parts.index.observe_tags(&registry.name, repository, &seen).await?;
        if is_there {
            self.put_repository(&registry.name, repository, asked, changed.map_or(Sign::Seen, Sign::Changed)).await?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// What was read and is in the index as it was read needs no question.
    async fn ask_of_reads(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        noted: &mut Noted,
    ) -> Result<(), MetadataError> {
        let tags: Vec<_> = noted.read.iter().filter_map(|(tag, _)| tag.clone()).collect();
        if !tags.is_empty() {
            let known = self.parts.index.tags_named(&registry.name, repository, &tags).await?;
            let known: HashMap<_, _> = known.into_iter().map(|row| (row.name, row.digest)).collect();
            let other = noted
                .read
                .iter()
                .filter_map(|(tag, digest)| tag.as_ref().filter(|tag| known.get(*tag) != Some(digest)).cloned());
            noted.tags.extend(other);
        }
        let digests: BTreeSet<_> = noted.read.iter().map(|(_, digest)| digest.clone()).collect();
        if digests.is_empty() {
            return Ok(());
        }
        let asked: Vec<_> = digests.iter().cloned().collect();
        let known = self.parts.index.known_manifests(&registry.name, repository, &asked).await?;
        noted.digests.extend(digests.into_iter().filter(|digest| !known.contains(digest)));
        Ok(())
    }

    /// What nobody has ever seen needs no question either.
    async fn ask_of_gone(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        noted: &mut Noted,
    ) -> Result<(), MetadataError> {
        let (mut tags, mut digests) = (Vec::new(), Vec::new());
        for reference in &noted.gone {
            match reference {
                Reference::Tag(tag) => tags.push(tag.clone()),
                Reference::Digest(digest) => digests.push(digest.clone()),
            }
        }
        if !tags.is_empty() {
            let known = self.parts.index.tags_named(&registry.name, repository, &tags).await?;
            noted.tags.extend(known.into_iter().map(|row| row.name));
        }
        if !digests.is_empty() {
            let known = self.parts.index.known_manifests(&registry.name, repository, &digests).await?;
            // Its tags may have gone with it, or stay behind.
            let of_them = self.parts.index.tags_of(&registry.name, repository, &known).await?;
            noted.tags.extend(of_them.into_iter().map(|row| row.name));
            noted.digests.extend(known);
        }
        Ok(())
    }

    /// Returns the manifests that the pushed ones are made of.
    async fn put_pushed(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        pushed: BTreeMap<Digest, (String, Bytes, Timestamp)>,
    ) -> Result<Vec<Digest>, MetadataError> {
        let whole = pushed.into_iter().filter(|(_, (_, body, _))| !body.is_empty());
        let rows = at_once(whole, |(digest, (media_type, body, at))| {
            let (this, registry, repository) = (self.clone(), Arc::clone(registry), repository.clone());
            async move { this.row(&registry, &repository, digest, (&media_type, &body), at).await }
        });
        let rows: Vec<_> = rows.await?.into_iter().collect::<Result<_, _>>()?;
        self.parts.index.put_manifests(&registry.name, repository, &rows).await?;
        Ok(rows.into_iter().flat_map(|row| row.facts.references).map(|one| one.digest).collect())
    }

    /// The row of what was pushed, durably.
    pub(super) async fn keep_pushed(&self, note: &Note) -> Result<(), MetadataError> {
        let Passed::Pushed { digest, media_type, body, .. } = &note.what else {
            return Err(MetadataError::Invalid("only what was pushed can be kept"));
        };
        let facts = manifest::parse(media_type, body).facts;
        let row =
            IndexedManifest { digest: digest.clone(), created: note.at, updated: note.at, observed: note.at, facts };
        let rows = [row];
        let put = self.parts.index.put_manifests(&note.registry, &note.repository, &rows);
        match timeout(KEEP, put).await {
            Ok(kept) => Ok(kept?),
            Err(_) => Err(MetadataError::Store("it did not answer in time".to_owned())),
        }
    }

    /// Takes in what the upstream said of tags when it was asked for another purpose; nobody waits for it.
    pub(super) fn remember(&self, registry: &Arc<Registry>, repository: &RepositoryName, seen: Vec<TagObservation>) {
        let (this, registry, repository) = (self.clone(), Arc::clone(registry), repository.clone());
        self.parts.runtime.spawn(async move {
            let digests = seen.iter().filter_map(|one| one.digest.clone()).collect();
            let taken = async {
                this.learn(&registry, &repository, digests).await?;
                Ok::<_, MetadataError>(this.parts.index.observe_tags(&registry.name, &repository, &seen).await?)
            };
            if taken.await.is_err() {
                this.state.miss(place(&registry, &repository));
            }
        });
    }

    pub(super) fn registry(&self, name: &str) -> Option<Arc<Registry>> {
        self.parts.current.load()?.registry_named(name).map(Arc::clone)
    }
}
