//! Facts of manifests that are not known yet: fetched from the upstream and put into the index.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::asks::at_once;
use super::reconcile::place;
use super::{Metadata, MetadataError};
use crate::clock::Timestamp;
use crate::oci::manifest::{self, ParsedManifest};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::policy::Registry;
use crate::store::index::{IndexedManifest, IndexedRepository, TagObservation};

/// An index of indexes of indexes is where it ends.
const DEEPEST: usize = 3;
/// Tags that are asked for before what was learnt is written.
const CHUNK: usize = 256;

/// What says that a repository is there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sign {
    /// Something was pushed to it at this moment.
    Changed(Timestamp),
    /// All of it was read.
    Read,
    /// Something is in it.
    Seen,
}

impl Metadata {
    /// Asks the upstream for these tags, and takes in what it says and the manifests that it leads to. What could be asked
    /// is taken in also where something could not.
    pub(super) async fn observe(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tags: &[Tag],
    ) -> Result<Vec<TagObservation>, MetadataError> {
        let mut all = Vec::with_capacity(tags.len());
        for chunk in tags.chunks(CHUNK) {
            let (observed, failure) = self.ask_tags(registry, repository, chunk).await?;
            let digests = observed.iter().filter_map(|one| one.digest.clone()).collect();
            self.learn(registry, repository, digests).await?;
            self.parts.index.observe_tags(&registry.name, repository, &observed).await?;
            if let Some(failure) = failure {
                return Err(failure);
            }
            all.extend(observed);
        }
        Ok(all)
    }

    /// What the upstream says of these tags, and why it said nothing of one of them.
    pub(super) async fn ask_tags(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tags: &[Tag],
    ) -> Result<(Vec<TagObservation>, Option<MetadataError>), MetadataError> {
        let asked = at_once(tags.iter().cloned(), |name| {
            let (this, registry, repository) = (self.clone(), Arc::clone(registry), repository.clone());
            async move {
                let seen = this.look_up(&registry, &repository, Reference::Tag(name.clone())).await?;
                let pushed = this.state.pushed(&place(&registry, &repository), &name, seen.digest.as_ref());
                Ok(TagObservation { name, digest: seen.digest, at: seen.at, pushed })
            }
        });
        let (mut observed, mut failure) = (Vec::with_capacity(tags.len()), None);
        for answer in asked.await? {
            match answer {
                Ok(seen) => observed.push(seen),
                Err(error) => failure = Some(error),
            }
        }
        Ok((observed, failure))
    }

    /// Takes in those of these manifests that the index does not know, and the manifests in them. Those that the upstream
    /// does not have, or that cannot be used, are left out.
    pub(super) async fn learn(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        mut digests: BTreeSet<Digest>,
    ) -> Result<(), MetadataError> {
        for _ in 0..DEEPEST {
            digests = self.unknown(&registry.name, repository, digests).await?;
            if digests.is_empty() {
                break;
            }
            let fetched = at_once(digests, |digest| {
                let (this, registry, repository) = (self.clone(), Arc::clone(registry), repository.clone());
                async move { this.describe(&registry, &repository, digest).await }
            });
            let mut rows = Vec::new();
            for described in fetched.await? {
                match described {
                    Ok(row) => rows.extend(row),
                    Err(MetadataError::Upstream(error)) if is_of_one(&error) => {
                        tracing::debug!(registry = &*registry.name, %repository, %error, "a manifest is left out");
                    }
                    Err(error) => return Err(error),
                }
            }
            self.parts.index.put_manifests(&registry.name, repository, &rows).await?;
            digests = rows.iter().flat_map(|row| &row.facts.references).map(|one| one.digest.clone()).collect();
        }
        Ok(())
    }

    async fn unknown(
        &self,
        registry: &str,
        repository: &RepositoryName,
        mut digests: BTreeSet<Digest>,
    ) -> Result<BTreeSet<Digest>, MetadataError> {
        let asked: Vec<_> = digests.iter().cloned().collect();
        for known in self.parts.index.known_manifests(registry, repository, &asked).await? {
            digests.remove(&known);
        }
        Ok(digests)
    }

    async fn describe(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Result<Option<IndexedManifest>, MetadataError> {
        let at = self.parts.clock.now();
        let Some(fetched) = self.fetch(registry, repository, Reference::Digest(digest.clone())).await? else {
            return Ok(None);
        };
        self.row(registry, repository, digest, (&fetched.media_type, &fetched.body), at).await.map(Some)
    }

    /// The row of a manifest with this media type and body that was there `at` a moment, with the platform from its config.
    pub(super) async fn row(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        digest: Digest,
        (media_type, body): (&str, &Bytes),
        at: Timestamp,
    ) -> Result<IndexedManifest, MetadataError> {
        let ParsedManifest { mut facts, config, .. } = manifest::parse(media_type, body);
        // An image is one without its platform too.
        if let Some(config) = config
            && let Ok(Some(config)) = self.blob(registry, repository, config).await
        {
            (facts.architecture, facts.os) = manifest::platform(&config);
        }
        Ok(IndexedManifest { digest, created: at, updated: at, observed: at, facts })
    }

    /// Takes in that the repository is there where one of these tags is.
    pub(super) async fn see(
        &self,
        registry: &Registry,
        name: &RepositoryName,
        observed: &[TagObservation],
    ) -> Result<(), MetadataError> {
        match observed.iter().filter(|one| one.digest.is_some()).map(|one| one.at).max() {
            Some(at) => self.put_repository(&registry.name, name, at, Sign::Seen).await,
            None => Ok(()),
        }
    }

    /// The repository was there `at` a moment. That is nothing to one that was deleted since.
    pub(super) async fn put_repository(
        &self,
        registry: &str,
        name: &RepositoryName,
        at: Timestamp,
        sign: Sign,
    ) -> Result<(), MetadataError> {
        let (changed, read) = match sign {
            Sign::Changed(changed) => (Some(changed), None),
            Sign::Read => (None, Some(at)),
            Sign::Seen => (None, None),
        };
        let known = self.parts.index.repository(registry, name).await?.map(|(known, _)| known);
        let row = match known {
            Some(known) if known.emptied && at <= known.updated => return Ok(()),
            Some(known) if matches!(sign, Sign::Seen) && !known.emptied => return Ok(()),
            Some(known) => IndexedRepository {
                updated: changed.map_or(known.updated, |changed| changed.max(known.updated)),
                read: read.max(known.read),
                emptied: false,
                ..known
            },
            None => {
                let first = changed.unwrap_or(at);
                IndexedRepository { name: name.clone(), created: first, updated: first, read, emptied: false }
            }
        };
        Ok(self.parts.index.put_repositories(registry, &[row]).await?)
    }
}

/// Whether the next manifest may be all right.
const fn is_of_one(error: &crate::upstream::CallError) -> bool {
    matches!(error, crate::upstream::CallError::TooLarge(_) | crate::upstream::CallError::Unusable(_))
}
