//! The JSON of the metadata API (wire contract 3). Every field is always there: clients take several of them for granted.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::metadata::{ManifestProperties, Referrer, RepositoryProperties, TagProperties};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::policy::Registry;
use crate::policy::locks::{Attributes, LockTarget, Unlock};

/// With seven digits, as ACR writes it.
fn ticks<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.7}"))
}

/// What everything has that can be locked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lockable<'a> {
    #[serde(serialize_with = "ticks")]
    created_time: Timestamp,
    #[serde(serialize_with = "ticks")]
    last_update_time: Timestamp,
    changeable_attributes: Attributes,
    /// seawall's own: only where the lock is open for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    unlock: Option<Unlocked<'a>>,
}

/// For how long its attributes do not count.
#[derive(Serialize)]
struct Unlocked<'a> {
    #[serde(serialize_with = "ticks")]
    until: Timestamp,
    reason: &'a str,
    by: &'a str,
}

impl<'a> From<&'a Unlock> for Unlocked<'a> {
    fn from(Unlock { until, reason, by }: &'a Unlock) -> Self {
        Self { until: *until, reason, by }
    }
}

/// Answers about one registry at one moment.
#[derive(Clone, Copy)]
pub(super) struct Shapes<'a> {
    pub(super) registry: &'a Registry,
    pub(super) now: Timestamp,
}

impl<'a> Shapes<'a> {
    fn lockable(
        &self,
        target: &LockTarget,
        (created, updated): (Timestamp, Timestamp),
        attributes: Attributes,
    ) -> Lockable<'a> {
        let stored = self.registry.locks().stored(target).and_then(|stored| stored.unlock.as_ref());
        let unlock = stored.filter(|unlock| unlock.is_open(self.now)).map(Unlocked::from);
        Lockable { created_time: created, last_update_time: updated, changeable_attributes: attributes, unlock }
    }

    pub(super) fn repository(&self, of: &RepositoryProperties) -> impl Serialize + use<'a> {
        let target = LockTarget::Repository(of.name.clone());
        Repository {
            registry: self.registry.login_server.to_string(),
            image_name: of.name.to_string(),
            manifest_count: of.manifests,
            tag_count: of.tags,
            lockable: self.lockable(&target, (of.created, of.updated), of.attributes),
        }
    }

    pub(super) fn tag(&self, repository: &RepositoryName, of: &TagProperties) -> TagShape<'a> {
        let target = LockTarget::Tag(repository.clone(), of.tag.name.clone());
        TagShape {
            name: of.tag.name.to_string(),
            digest: of.tag.digest.clone(),
            signed: false,
            lockable: self.lockable(&target, (of.tag.created, of.tag.updated), of.attributes),
        }
    }

    pub(super) fn manifest(&self, repository: &RepositoryName, of: ManifestProperties) -> ManifestShape<'a> {
        let ManifestProperties { manifest, tags, attributes } = of;
        let target = LockTarget::Manifest(repository.clone(), manifest.digest.clone());
        let lockable = self.lockable(&target, (manifest.created, manifest.updated), attributes);
        let facts = manifest.facts;
        let reference = |one: crate::metadata::Referenced| Platform {
            digest: one.digest,
            architecture: one.architecture,
            os: one.os,
        };
        ManifestShape {
            digest: manifest.digest,
            image_size: facts.image_size,
            architecture: facts.architecture,
            os: facts.os,
            media_type: facts.media_type,
            config_media_type: facts.config_media_type.unwrap_or_default(),
            tags: tags.iter().map(ToString::to_string).collect(),
            references: facts.references.into_iter().map(reference).collect(),
            lockable,
        }
    }

    /// `what` is in an object that says whose it is.
    pub(super) fn of<T: Serialize>(
        &self,
        repository: &RepositoryName,
        key: &'static str,
        what: T,
    ) -> impl Serialize + use<T> {
        let inner = BTreeMap::from([(key, what)]);
        Of { registry: self.registry.login_server.to_string(), image_name: repository.to_string(), inner }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Of<T> {
    registry: String,
    image_name: String,
    #[serde(flatten)]
    inner: BTreeMap<&'static str, T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Repository<'a> {
    registry: String,
    image_name: String,
    manifest_count: u64,
    tag_count: u64,
    #[serde(flatten)]
    lockable: Lockable<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagShape<'a> {
    name: String,
    digest: Digest,
    /// By Content Trust, which is no more.
    signed: bool,
    #[serde(flatten)]
    lockable: Lockable<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ManifestShape<'a> {
    digest: Digest,
    image_size: u64,
    architecture: String,
    os: String,
    media_type: String,
    config_media_type: String,
    tags: Vec<String>,
    /// Only an index has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Platform>,
    #[serde(flatten)]
    lockable: Lockable<'a>,
}

#[derive(Serialize)]
struct Platform {
    digest: Digest,
    architecture: String,
    os: String,
}

/// What a repository had.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deleted {
    pub(super) manifests_deleted: Vec<Digest>,
    pub(super) tags_deleted: Vec<String>,
}

/// A catalogue. ACR's own API calls an empty one `null` (requirements B.1-12), the one of the protocol has no names.
#[derive(Serialize)]
pub(super) struct Catalog {
    repositories: Option<Vec<String>>,
}

impl Catalog {
    pub(super) fn new(names: &[RepositoryName], null_if_empty: bool) -> Self {
        let some = !(names.is_empty() && null_if_empty);
        Self { repositories: some.then(|| names.iter().map(ToString::to_string).collect()) }
    }
}

/// The names of tags (OCI distribution-spec, "Listing Tags").
#[derive(Serialize)]
pub(super) struct TagNames {
    name: String,
    tags: Vec<String>,
}

impl TagNames {
    pub(super) fn new(repository: &RepositoryName, tags: &[Tag]) -> Self {
        Self { name: repository.to_string(), tags: tags.iter().map(ToString::to_string).collect() }
    }
}

/// An image index of referrers (OCI distribution-spec, "Listing Referrers").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Referrers {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Referrers {
    pub(super) fn new(all: Vec<Referrer>) -> Self {
        let descriptor = |one: Referrer| Descriptor {
            media_type: one.media_type,
            digest: one.digest,
            size: one.size,
            artifact_type: one.artifact_type,
            annotations: one.annotations,
        };
        Self { schema_version: 2, media_type: INDEX, manifests: all.into_iter().map(descriptor).collect() }
    }
}
