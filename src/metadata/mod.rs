//! What ACR knows of a registry's contents and a plain registry does not: repositories, tags and manifests with times, sizes,
//! platforms, attributes and referrers.
//!
//! Learnt from traffic as it passes, and from the upstream, which has the last word. Requests that pass through leave a
//! [`Note`] and never wait for anything here; those that ask for metadata do.

mod asks;
mod attributes;
mod catalogue;
#[cfg(test)]
mod change_tests;
mod delete;
mod jobs;
mod learn;
mod learner;
mod listings;
mod locked;
mod reconcile;
mod referrers;
mod state;
mod sweep;
#[cfg(test)]
mod tests;
mod turnstile;
mod untag;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use thiserror::Error;
use tokio::runtime::Handle;

use crate::clock::{Clock, Timestamp};
use crate::content::Content;
use crate::current::Current;
use crate::oci::{Digest, ErrorCode, Reference, RepositoryName, Route, Tag};
use crate::policy::Registry;
use crate::policy::locks::{Attributes, Lock, LockTarget};
use crate::store::index::Index;
pub use crate::store::index::{IndexedManifest, IndexedTag, Order, Referenced};
use crate::store::{Store, StoreError};
use crate::telemetry::Noted;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{CallError, Calls};
pub use locked::{BeforeTags, Inquiry};
use state::State;
pub use turnstile::Turnstiles;

/// How the index is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What was observed at the upstream no longer ago than this is not asked for again. Zero asks every time.
    pub maximum_age: Duration,
    /// How often everything is read anew in the background; `None`: never.
    pub sweep_every: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { maximum_age: Duration::from_mins(1), sweep_every: Some(Duration::from_mins(15)) }
    }
}

/// What it is made of.
#[derive(Debug)]
pub struct Parts {
    pub index: Arc<dyn Index>,
    pub store: Arc<dyn Store>,
    pub calls: Calls,
    pub current: Arc<Current>,
    /// Told of what may change at the upstream through here.
    pub content: Content,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// Everything runs on it, whoever asks: it carries the connections.
    pub runtime: Handle,
    pub settings: Settings,
}

/// Something that passed by. Leaving a note never waits.
#[derive(Debug, Clone)]
pub struct Note {
    /// The registry's name.
    pub registry: Arc<str>,
    pub repository: RepositoryName,
    pub what: Passed,
    pub at: Timestamp,
}

/// What passed by.
#[derive(Debug, Clone)]
pub enum Passed {
    /// A manifest was stored, by these tags too.
    Pushed { digest: Digest, tags: Vec<Tag>, media_type: String, body: Bytes },
    /// A manifest was read.
    Read { tag: Option<Tag>, digest: Digest },
    /// The upstream does not have it (any more), after a delete.
    Gone(Reference),
    /// It was read, and the upstream does not have it. Whoever may read can say so as often as he likes.
    Missing(Reference),
}

/// Why there is no metadata, or why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// 404 with this code.
    #[error("there is no such thing")]
    Unknown(ErrorCode),
    #[error("{0}")]
    Locked(Lock),
    #[error("it cannot be found out whether a lock is in the way: {0}")]
    LocksUnknown(String),
    #[error("{0}")]
    Upstream(#[from] CallError),
    /// The upstream answered with this status to what needs another one.
    #[error("the upstream answered {status} to {what}")]
    Refused { status: u16, what: &'static str },
    #[error("the store is not available: {0}")]
    Store(String),
    /// Some steps are done, others will be tried again in the background.
    #[error("{done} of {all} steps are done, the rest is tried again in the background: {cause}")]
    Unfinished { done: usize, all: usize, cause: String },
    /// The request cannot be meant.
    #[error("{0}")]
    Invalid(&'static str),
}

impl From<StoreError> for MetadataError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// Which part of a listing is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// How many; `None`: what is usual for the listing.
    pub n: Option<u32>,
    /// The last item of the part before.
    pub last: Option<String>,
    pub order: Order,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    pub items: Vec<T>,
    /// What to say as `last` to get the next part; `None`: this was the last one.
    pub next: Option<String>,
}

/// A repository with what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryProperties {
    pub name: RepositoryName,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub manifests: u64,
    pub tags: u64,
    pub attributes: Attributes,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagProperties {
    pub tag: IndexedTag,
    pub attributes: Attributes,
}

/// A manifest and its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestProperties {
    pub manifest: IndexedManifest,
    pub tags: Vec<Tag>,
    pub attributes: Attributes,
}

/// What is to be changed of attributes; `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributesChange {
    pub delete_enabled: Option<bool>,
    pub write_enabled: Option<bool>,
    pub read_enabled: Option<bool>,
    pub list_enabled: Option<bool>,
    /// Unlocks it for a while, with the reason; `Some(None)` ends that.
    pub unlock: Option<Option<(Duration, String)>>,
}

impl AttributesChange {
    /// Whether it switches any attribute off.
    fn locks(&self) -> bool {
        [self.delete_enabled, self.write_enabled, self.read_enabled, self.list_enabled].contains(&Some(false))
    }
}

/// What a deleted repository had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deleted {
    pub manifests: Vec<Digest>,
    pub tags: Vec<Tag>,
}

/// Whether a repository is one that the caller may list.
pub type MayList = Arc<dyn Fn(&RepositoryName) -> bool + Send + Sync>;

/// All metadata. Clones share everything.
#[derive(Debug, Clone)]
pub struct Metadata {
    parts: Arc<Parts>,
    state: Arc<State>,
    errand: Errand,
}

/// For what the upstream is asked. Each has turns of its own, so that no listing holds up what locks must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Errand {
    Listing,
    Locks,
    Contents,
}

impl Metadata {
    /// Nothing is read yet.
    pub fn new(parts: Parts) -> Self {
        let state = Arc::new(State::new(parts.settings));
        Self { parts: Arc::new(parts), state, errand: Errand::Listing }
    }

    /// The same, asking for locks.
    fn for_locks(&self) -> Self {
        Self { errand: Errand::Locks, ..self.clone() }
    }

    /// Learns, sweeps and finishes what was begun, for ever.
    pub async fn run(self) {
        tokio::join!(self.learn_from_notes(), self.sweep(), self.finish_jobs());
    }

    /// Leaves a note; drops and counts it when too many are waiting.
    pub fn note(&self, note: Note) {
        let kept = self.state.leave(note, self.parts.clock.now());
        self.count_note(kept);
    }

    fn count_note(&self, kept: bool) {
        self.parts.metrics.metadata_noted(if kept { Noted::Kept } else { Noted::Dropped });
    }

    /// Keeps durably that the manifest `digest` with this body was pushed: after it, its subject's referrers have it. At most
    /// some seconds.
    ///
    /// # Errors
    /// When it is not kept.
    pub async fn keep(&self, note: Note) -> Result<(), MetadataError> {
        self.work(|this| async move { this.keep_pushed(&note).await }).await
    }

    /// Whether the upstream of `registry` is known to have the referrers API itself.
    pub async fn has_referrers(&self, registry: &Arc<Registry>, repository: &RepositoryName) -> bool {
        let (registry, repository) = (Arc::clone(registry), repository.clone());
        let asked = self.work(|this| async move { this.upstream_has_referrers(&registry, &repository).await });
        asked.await.unwrap_or(false)
    }

    /// Names of repositories, as far as they may be listed (D7).
    pub async fn repositories(
        &self,
        registry: &Arc<Registry>,
        part: &Part,
        may_list: MayList,
    ) -> Result<Listing<RepositoryName>, MetadataError> {
        let (registry, part) = (Arc::clone(registry), part.clone());
        self.work(|this| async move { this.list_repositories(&registry, &part, may_list).await }).await
    }

    /// Names of tags; all of them where the part says no number.
    pub async fn tag_names(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        part: &Part,
    ) -> Result<Listing<Tag>, MetadataError> {
        let (registry, repository, part) = (Arc::clone(registry), repository.clone(), part.clone());
        self.work(|this| async move { this.list_tag_names(&registry, &repository, &part).await }).await
    }

    pub async fn repository(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<RepositoryProperties, MetadataError> {
        let (registry, repository) = (Arc::clone(registry), repository.clone());
        self.work(|this| async move { this.show_repository(&registry, &repository).await }).await
    }

    /// Tags with their properties; with `digest`, those of that manifest.
    pub async fn tags(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        part: &Part,
        digest: Option<&Digest>,
    ) -> Result<Listing<TagProperties>, MetadataError> {
        let (registry, repository, part) = (Arc::clone(registry), repository.clone(), part.clone());
        let digest = digest.cloned();
        self.work(|this| async move { this.list_tags(&registry, &repository, &part, digest.as_ref()).await }).await
    }

    /// The tag as the upstream has it now.
    pub async fn tag(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<TagProperties, MetadataError> {
        let (registry, repository, tag) = (Arc::clone(registry), repository.clone(), tag.clone());
        self.work(|this| async move { this.show_tag(&registry, &repository, &tag).await }).await
    }

    pub async fn manifests(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        part: &Part,
    ) -> Result<Listing<ManifestProperties>, MetadataError> {
        let (registry, repository, part) = (Arc::clone(registry), repository.clone(), part.clone());
        self.work(|this| async move { this.list_manifests(&registry, &repository, &part).await }).await
    }

    pub async fn manifest(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<ManifestProperties, MetadataError> {
        let (registry, repository, digest) = (Arc::clone(registry), repository.clone(), digest.clone());
        self.work(|this| async move { this.show_manifest(&registry, &repository, &digest).await }).await
    }

    /// The manifests that refer to `subject`, of the upstream's own API where it has one, else of the index and of the tag
    /// that stands in for it (OCI distribution-spec "Listing Referrers").
    pub async fn referrers(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        part: &Part,
    ) -> Result<Listing<Referrer>, MetadataError> {
        let (registry, repository, part) = (Arc::clone(registry), repository.clone(), part.clone());
        let (subject, kind) = (subject.clone(), artifact_type.map(ToOwned::to_owned));
        let work = |this: Self| async move {
            this.list_referrers(&registry, &repository, &subject, kind.as_deref(), &part).await
        };
        self.work(work).await
    }

    /// What the upstream says of these tags now; `None`: it has no such tag.
    pub async fn resolve(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tags: &[Tag],
    ) -> Result<Vec<(Tag, Option<Digest>)>, MetadataError> {
        let (registry, repository, tags) = (Arc::clone(registry), repository.clone(), tags.to_vec());
        self.for_locks().work(|this| async move { this.resolve_tags(&registry, &repository, tags).await }).await
    }

    /// What the upstream says of a manifest or blob by its digest: the headers of its answer to `HEAD`; `None`: it has none.
    pub async fn head(&self, registry: &Arc<Registry>, route: Route) -> Result<Option<HeaderMap>, MetadataError> {
        let registry = Arc::clone(registry);
        Self { errand: Errand::Contents, ..self.clone() }
            .work(|this| async move { this.head_of(&registry, &route).await })
            .await
    }

    /// Does it on our own runtime, to its end also when the caller leaves.
    async fn work<T, F>(&self, work: impl FnOnce(Self) -> F) -> Result<T, MetadataError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, MetadataError>> + Send + 'static,
    {
        self.parts.runtime.spawn(work(self.clone())).await.unwrap_or_else(|_| Err(asks::ended()))
    }

    /// Changes attributes; returns when the change is in force here. 404 for what is not there.
    pub async fn set_attributes(
        &self,
        registry: &Arc<Registry>,
        target: &LockTarget,
        change: &AttributesChange,
        by: &str,
    ) -> Result<(), MetadataError> {
        let (registry, target) = (Arc::clone(registry), target.clone());
        let (change, by) = (change.clone(), by.to_owned());
        self.work(|this| async move { this.change_attributes(&registry, &target, &change, &by).await }).await
    }

    /// Removes a tag and leaves its manifest. Locks were judged.
    pub async fn untag(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<(), MetadataError> {
        let (registry, repository, tag) = (Arc::clone(registry), repository.clone(), tag.clone());
        self.work(|this| async move { this.remove_tag(&registry, &repository, &tag).await }).await
    }

    /// Removes every manifest and hides the repository. Locks were judged. Goes on when the caller leaves.
    pub async fn delete_repository(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<Deleted, MetadataError> {
        let (registry, repository) = (Arc::clone(registry), repository.clone());
        self.work(|this| async move { this.remove_repository(&registry, &repository).await }).await
    }
}

/// A descriptor in a list of referrers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    pub media_type: String,
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    pub artifact_type: Option<String>,
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// The attributes in force.
fn attributes_of(registry: &Registry, target: &LockTarget, now: Timestamp) -> Attributes {
    registry.locks().effective(target, now)
}
