//! An image from one registry to another, as it is: the same bytes, and so the same digests (S4-9, B.8-8).
//!
//! All of it: an index with everything that it lists, artifacts too. What the target has already is not sent; within one
//! registry blobs are mounted. The name comes last, so that whoever pulls it finds everything.

pub mod manifest;

use std::collections::HashSet;
use std::sync::Arc;

use thiserror::Error;

use self::manifest::{Contents, Descriptor, ManifestError, contents};
use super::registry::{Begun, Manifest, Registry, RegistryError, Transfer};
use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// How many manifests one image may consist of, and how many bytes these may have together: they are in memory.
const MOST_MANIFESTS: usize = 1_000;
const MOST_BYTES: usize = 64 << 20;
/// How many blobs one image may consist of.
const MOST_BLOBS: usize = 20_000;
/// How deep indexes may be in indexes.
const DEEPEST: usize = 4;

/// Why nothing, or not everything, was copied.
#[derive(Debug, Error)]
pub enum CopyError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{digest}: {cause}")]
    Manifest { digest: Digest, cause: ManifestError },
    #[error("the image consists of too many parts")]
    TooMany,
    /// B.8-8.
    #[error("Tag {0} already exists in target registry.")]
    Exists(String),
}

/// A repository of a registry.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub registry: &'a Registry,
    pub repository: &'a RepositoryName,
}

/// What happens while something is copied.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// What is to be copied.
    Planned {
        manifests: usize,
        blobs: usize,
        bytes: u64,
    },
    /// The target had the blob, in this or in another repository.
    Present(&'a Descriptor),
    /// It is being sent; the transfer says how far it is.
    Sending(&'a Descriptor, &'a Arc<Transfer>),
    Sent(&'a Descriptor),
}

/// What is copied, the manifests in the order in which they are put.
struct Plan {
    manifests: Vec<Manifest>,
    blobs: Vec<Descriptor>,
}

/// Copies what `reference` names at `source` to the repository at `target`, and names it `tag` there; without a tag it is
/// known by its digest only. A tag that is there already is moved only with `force`.
///
/// Returns the digest, which is the same at both ends.
pub async fn copy(
    source: Place<'_>,
    reference: &Reference,
    target: Place<'_>,
    tag: Option<&Tag>,
    force: bool,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Digest, CopyError> {
    if let Some(tag) = tag.filter(|_| !force) {
        let there = target.registry.find_manifest(target.repository, &Reference::Tag(tag.clone())).await?;
        if there.is_some() {
            return Err(CopyError::Exists(format!("{}:{tag}", target.repository)));
        }
    }
    let root = source.registry.manifest(source.repository, reference).await?;
    let digest = root.digest.clone();
    let plan = plan(source, root).await?;
    // Whoever wrote the manifest chose the sizes.
    let bytes = plan.blobs.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
    tell(Event::Planned { manifests: plan.manifests.len(), blobs: plan.blobs.len(), bytes });
    for blob in &plan.blobs {
        copy_blob(source, target, blob, tell).await?;
    }
    for manifest in &plan.manifests {
        let is_root = manifest.digest == digest;
        let by_digest = || Reference::Digest(manifest.digest.clone());
        let name = tag.filter(|_| is_root).map_or_else(by_digest, |tag| Reference::Tag(tag.clone()));
        target.registry.put_manifest(target.repository, &name, manifest).await?;
    }
    Ok(digest)
}

/// Everything that `root` consists of; a manifest stands behind those that it lists.
async fn plan(source: Place<'_>, root: Manifest) -> Result<Plan, CopyError> {
    let mut blobs = Vec::new();
    let (mut known, mut fetched, mut bytes) = (HashSet::new(), 1, root.bytes.len());
    let (mut level, mut levels) = (vec![root], Vec::new());
    for depth in 0.. {
        if level.is_empty() {
            break;
        }
        let mut listed: Vec<Digest> = Vec::new();
        for manifest in &level {
            let digest = || manifest.digest.clone();
            match contents(&manifest.bytes).map_err(|cause| CopyError::Manifest { digest: digest(), cause })? {
                Contents::Blobs(found) => {
                    blobs.extend(found.into_iter().filter(|blob| known.insert(blob.digest.clone())));
                }
                Contents::Index(_) if depth >= DEEPEST => return Err(CopyError::TooMany),
                Contents::Index(children) => listed.extend(children.into_iter().map(|child| child.digest)),
            }
        }
        if blobs.len() > MOST_BLOBS {
            return Err(CopyError::TooMany);
        }
        let mut next = Vec::new();
        let mut here = HashSet::new();
        for child in listed.into_iter().filter(|child| here.insert(child.clone())) {
            fetched += 1;
            if fetched > MOST_MANIFESTS {
                return Err(CopyError::TooMany);
            }
            let manifest = source.registry.manifest(source.repository, &Reference::Digest(child)).await?;
            bytes += manifest.bytes.len();
            if bytes > MOST_BYTES {
                return Err(CopyError::TooMany);
            }
            next.push(manifest);
        }
        levels.push(std::mem::replace(&mut level, next));
    }
    Ok(Plan { manifests: levels.into_iter().rev().flatten().collect(), blobs })
}

async fn copy_blob(
    source: Place<'_>,
    target: Place<'_>,
    blob: &Descriptor,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<(), CopyError> {
    if target.registry.has_blob(target.repository, &blob.digest).await? {
        tell(Event::Present(blob));
        return Ok(());
    }
    let same = source.registry.address() == target.registry.address();
    let from = same.then_some((source.repository, &blob.digest));
    let begun = match target.registry.begin(target.repository, from).await {
        // Whoever may push here may perhaps not pull there.
        Err(error) if from.is_some() && error.is_refusal() => target.registry.begin(target.repository, None).await,
        begun => begun,
    };
    let Begun::Upload(place) = begun? else {
        tell(Event::Present(blob));
        return Ok(());
    };
    let response = source.registry.blob(source.repository, &blob.digest).await?;
    let transfer = Arc::default();
    tell(Event::Sending(blob, &transfer));
    target.registry.upload(target.repository, place, blob, response, &transfer).await?;
    tell(Event::Sent(blob));
    Ok(())
}

#[cfg(test)]
mod tests;
