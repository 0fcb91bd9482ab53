//! The metadata index: what is known of the repositories, tags and manifests behind a registry.
//!
//! Apart from the records: it follows the upstream, which has the last word, nothing of it is policy, and it can be made
//! anew. Every row has the moment at which it was observed, and an older observation never replaces a newer one, so replicas
//! may write at the same time. A row that cannot be read is as none: the next observation puts it right.

mod database;
mod rows;
mod writing;

use async_trait::async_trait;

use super::StoreError;
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};

pub use crate::oci::manifest::{ManifestFacts, Referenced};

/// The order of a listing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By tag, by digest.
    #[default]
    Name,
    /// The earliest last update first; of one moment, by name.
    OldestFirst,
    NewestFirst,
}

/// A part of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    pub order: Order,
    /// The last tag or digest of the part before. In an order by time, one that is gone is as none.
    pub after: Option<String>,
    pub limit: u32,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedRepository {
    pub name: RepositoryName,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// When all its tags were last read at the upstream; `None`: never.
    pub read: Option<Timestamp>,
    /// It was deleted through us, and the upstream may list it still.
    pub emptied: bool,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedTag {
    pub name: Tag,
    pub digest: Digest,
    pub created: Timestamp,
    /// When it was last seen to be of another manifest than before.
    pub updated: Timestamp,
    /// When the upstream said so last.
    pub observed: Timestamp,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedManifest {
    pub digest: Digest,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// When the upstream was last seen to have it.
    pub observed: Timestamp,
    pub facts: ManifestFacts,
}

/// What the upstream said of a tag at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagObservation {
    pub name: Tag,
    /// `None`: it has no such tag.
    pub digest: Option<Digest>,
    pub at: Timestamp,
    /// When this manifest was pushed by the tag, if that passed us: the tag has its times by it.
    pub pushed: Option<Timestamp>,
}

/// How much there is in a repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub tags: u64,
    pub manifests: u64,
}

/// Work with several steps that must be finished although a step fails or the process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Unique; whoever made it chose it.
    pub id: String,
    pub registry: String,
    /// JSON, for whoever made it.
    pub body: String,
    pub began: Timestamp,
}

/// The index in a database. All methods may be called at the same time; registries are named exactly.
#[async_trait]
pub trait Index: std::fmt::Debug + Send + Sync {
    async fn repository(
        &self,
        registry: &str,
        name: &RepositoryName,
    ) -> Result<Option<(IndexedRepository, Counts)>, StoreError>;

    /// All of a registry, by name.
    async fn repositories(&self, registry: &str) -> Result<Vec<IndexedRepository>, StoreError>;

    /// Makes or changes the row: the earliest `created`, the latest `updated` and `read`, and `emptied` as it is said.
    async fn put_repositories(&self, registry: &str, all: &[IndexedRepository]) -> Result<(), StoreError>;

    /// Forgets a repository with all its tags and manifests.
    async fn remove_repository(&self, registry: &str, name: &RepositoryName) -> Result<(), StoreError>;

    /// A part of the tags; with `digest`, of those of that manifest.
    async fn tags(
        &self,
        registry: &str,
        repository: &RepositoryName,
        slice: &Slice,
        digest: Option<&Digest>,
    ) -> Result<Vec<IndexedTag>, StoreError>;

    /// Those of `names` that are known, by name.
    async fn tags_named(
        &self,
        registry: &str,
        repository: &RepositoryName,
        names: &[Tag],
    ) -> Result<Vec<IndexedTag>, StoreError>;

    /// The tags of these manifests, by tag.
    async fn tags_of(
        &self,
        registry: &str,
        repository: &RepositoryName,
        digests: &[Digest],
    ) -> Result<Vec<IndexedTag>, StoreError>;

    /// All tags, by name.
    async fn tag_names(&self, registry: &str, repository: &RepositoryName) -> Result<Vec<Tag>, StoreError>;

    /// Takes in what was observed, unless something newer is known of the tag. A tag that is gone is forgotten: an
    /// observation of it that was made earlier and comes later is undone by the next one.
    async fn observe_tags(
        &self,
        registry: &str,
        repository: &RepositoryName,
        observed: &[TagObservation],
    ) -> Result<(), StoreError>;

    async fn manifest(
        &self,
        registry: &str,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<IndexedManifest>, StoreError>;

    /// A part of the manifests.
    async fn manifests(
        &self,
        registry: &str,
        repository: &RepositoryName,
        slice: &Slice,
    ) -> Result<Vec<IndexedManifest>, StoreError>;

    /// Those of `digests` that are known.
    async fn known_manifests(
        &self,
        registry: &str,
        repository: &RepositoryName,
        digests: &[Digest],
    ) -> Result<Vec<Digest>, StoreError>;

    /// The manifests whose subject is `subject`, by digest.
    async fn referrers(
        &self,
        registry: &str,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<IndexedManifest>, StoreError>;

    /// Makes or refreshes the rows: the earliest `created`, the latest `updated` and `observed`.
    async fn put_manifests(
        &self,
        registry: &str,
        repository: &RepositoryName,
        all: &[IndexedManifest],
    ) -> Result<(), StoreError>;

    /// Forgets manifests, and tags that are still of one of them.
    async fn remove_manifests(
        &self,
        registry: &str,
        repository: &RepositoryName,
        digests: &[Digest],
    ) -> Result<(), StoreError>;

    /// Makes or replaces a job, durably.
    async fn put_job(&self, job: &Job) -> Result<(), StoreError>;

    /// All jobs, the oldest first.
    async fn jobs(&self) -> Result<Vec<Job>, StoreError>;

    async fn remove_job(&self, id: &str) -> Result<(), StoreError>;
}
