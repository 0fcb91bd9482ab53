//! A repository is deleted: all of its manifests, one by one, since registries know no other way; and then it is hidden, since
//! they list it still.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::jobs::{Plan, Work, is_final};
use super::reconcile::place;
use super::{Deleted, Metadata, MetadataError};
use crate::clock::Timestamp;
use crate::oci::{Digest, ErrorCode, Reference, RepositoryName, Tag};
use crate::policy::Registry;
use crate::policy::locks::Touch;
use crate::store::index::{IndexedManifest, IndexedRepository, ManifestFacts, Slice, TagObservation};

/// Between two attempts at one manifest.
const PAUSE: Duration = Duration::from_millis(100);
const MOST_ATTEMPTS: usize = 5;
/// Manifests after which the index forgets them.
const CHUNK: usize = 16;
/// Rows that are read at a time.
const ROWS: u32 = 1_000;

impl Metadata {
    pub(super) async fn remove_repository(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<Deleted, MetadataError> {
        let (tags, manifests) = self.all_of(registry, repository).await?;
        let waves = waves(&manifests);
        let digests: Vec<Digest> = waves.iter().flatten().cloned().collect();
        let began = self.parts.clock.now();
        let plan = Plan::new(repository, Work::DeleteRepository { waves }, began);
        self.put_plan(registry, &plan, began).await?;
        let Work::DeleteRepository { waves } = &plan.work else { return Ok(Deleted::default()) };
        let work = self.delete_waves(registry, repository, waves, began);
        match self.work_on(registry, &plan, work).await {
            Ok(()) => {
                self.drop_plan(&plan.id).await;
                Ok(Deleted { manifests: digests, tags })
            }
            Err((0, error) | (_, error @ MetadataError::Locked(_))) if is_final(&error) => {
                self.drop_plan(&plan.id).await;
                Err(error)
            }
            Err((done, error)) => Err(MetadataError::Unfinished { done, all: digests.len(), cause: error.to_string() }),
        }
    }

    /// All tags that the upstream lists, and all manifests that are known of, whatever they are in.
    async fn all_of(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<(Vec<Tag>, Vec<IndexedManifest>), MetadataError> {
        let names = self.names_now(registry, repository).await?;
        let observed = self.observe(registry, repository, names.tags()).await?;
        let manifests = self.all_manifests(&registry.name, repository).await?;
        // Manifests that cannot be described have no row, and go too.
        let rows: BTreeSet<&Digest> = manifests.iter().map(|one| &one.digest).collect();
        let bare: BTreeSet<Digest> =
            observed.into_iter().filter_map(|one| one.digest).filter(|digest| !rows.contains(digest)).collect();
        let bare = bare.into_iter().map(|digest| IndexedManifest {
            digest,
            created: names.at,
            updated: names.at,
            observed: names.at,
            facts: ManifestFacts::default(),
        });
        let manifests: Vec<_> = bare.chain(manifests.iter().cloned()).collect();
        let is_hidden = self.parts.index.repository(&registry.name, repository).await?;
        let is_hidden = is_hidden.is_some_and(|(row, _)| row.emptied);
        if manifests.is_empty() && (names.tags.is_none() || is_hidden) {
            return Err(MetadataError::Unknown(ErrorCode::NameUnknown));
        }
        Ok((names.tags().to_vec(), manifests))
    }

    async fn all_manifests(
        &self,
        registry: &str,
        repository: &RepositoryName,
    ) -> Result<Vec<IndexedManifest>, MetadataError> {
        let mut all: Vec<IndexedManifest> = Vec::new();
        loop {
            let after = all.last().map(|one| one.digest.to_string());
            let slice = Slice { after, limit: ROWS, ..Slice::default() };
            let rows = self.parts.index.manifests(registry, repository, &slice).await?;
            if rows.is_empty() {
                return Ok(all);
            }
            all.extend(rows);
        }
    }

    /// Deletes all of them, and hides the repository if nothing else is in it. What was pushed since it `began` stays. With
    /// an error it says how many are gone.
    pub(super) async fn delete_waves(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        waves: &[Vec<Digest>],
        began: Timestamp,
    ) -> Result<(), (usize, MetadataError)> {
        let turn = self.state.turn(&place(registry, repository)).await;
        let mut deleted = BTreeSet::new();
        let touch = Touch::DeleteRepository { repository: repository.clone() };
        for some in waves.iter().flat_map(|wave| wave.chunks(CHUNK)) {
            // Somebody may have locked it since the last ones went.
            self.must_be_free(registry, &touch).await.map_err(|error| (deleted.len(), error))?;
            let gone = self.delete_some(registry, repository, some, began).await;
            let (gone, failure) = gone.map_err(|error| (deleted.len(), error))?;
            let forgotten = self.parts.index.remove_manifests(&registry.name, repository, &gone).await;
            deleted.extend(gone);
            forgotten.map_err(|error| (deleted.len(), error.into()))?;
            if let Some(failure) = failure {
                return Err((deleted.len(), failure));
            }
        }
        drop(turn);
        self.hide(registry, repository, &deleted, began).await.map_err(|error| (deleted.len(), error))
    }

    /// Those that are gone, and why the next one is not. One after the other: Distribution 2 fails when two are deleted from
    /// one repository at the same moment.
    async fn delete_some(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        digests: &[Digest],
        began: Timestamp,
    ) -> Result<(Vec<Digest>, Option<MetadataError>), MetadataError> {
        let mut gone = Vec::new();
        for digest in digests {
            let row = self.parts.index.manifest(&registry.name, repository, digest).await?;
            if row.is_some_and(|row| row.updated > began) {
                continue;
            }
            match self.delete_one(registry, repository, digest).await {
                Ok(()) => gone.push(digest.clone()),
                Err(failure) => return Ok((gone, Some(failure))),
            }
        }
        Ok((gone, None))
    }

    async fn delete_one(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), MetadataError> {
        let mut attempts = 0;
        loop {
            let answer = self.delete_manifest(registry, repository, Reference::Digest(digest.clone())).await?;
            attempts += 1;
            match answer.status {
                200..=299 | 404 => return Ok(()),
                500..=599 if attempts < MOST_ATTEMPTS => sleep(PAUSE).await,
                status => return Err(MetadataError::Refused { status, what: "DELETE of a manifest" }),
            }
        }
    }

    /// What is left is somebody's new push, or else the repository is hidden.
    async fn hide(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        deleted: &BTreeSet<Digest>,
        began: Timestamp,
    ) -> Result<(), MetadataError> {
        let here = place(registry, repository);
        self.state.change(&here);
        let names = self.names_now(registry, repository).await?;
        let left = self.observe(registry, repository, names.tags()).await?;
        let known = self.parts.index.tag_names(&registry.name, repository).await?;
        let gone = known.into_iter().filter(|name| !names.tags().contains(name));
        let gone: Vec<_> = gone.map(|name| TagObservation { name, digest: None, at: names.at, pushed: None }).collect();
        self.parts.index.observe_tags(&registry.name, repository, &gone).await?;
        if left.iter().any(|one| one.digest.as_ref().is_some_and(|digest| deleted.contains(digest))) {
            return Err(MetadataError::Refused { status: 409, what: "DELETE of a manifest, which has a tag again" });
        }
        if left.iter().any(|one| one.digest.is_some()) {
            return Ok(());
        }
        for tag in names.tags() {
            self.remove_dangling(registry, repository, tag).await?;
        }
        self.mark(registry, repository, names.at, true).await?;
        self.state.disappeared(&here);
        // Whoever pushed before it was marked would not be seen.
        let names = self.names_now(registry, repository).await?;
        if names.tags().is_empty() {
            self.forget_all_attributes(registry, repository, began).await
        } else {
            self.mark(registry, repository, names.at, false).await
        }
    }

    /// It was seen `at` a moment that nothing, or something, is in it.
    async fn mark(
        &self,
        registry: &Registry,
        name: &RepositoryName,
        at: Timestamp,
        emptied: bool,
    ) -> Result<(), MetadataError> {
        let known = self.parts.index.repository(&registry.name, name).await?.map(|(known, _)| known);
        let created = known.as_ref().map_or(at, |known| known.created);
        let read = known.and_then(|known| known.read);
        // What was seen of it before this moment does not bring it back.
        let row = IndexedRepository { name: name.clone(), created, updated: at, read, emptied };
        Ok(self.parts.index.put_repositories(&registry.name, &[row]).await?)
    }
}

/// In the order in which they go: an index before what is in it, which some registries keep as long as it is there.
fn waves(manifests: &[IndexedManifest]) -> Vec<Vec<Digest>> {
    let mut left: BTreeMap<&Digest, &IndexedManifest> = manifests.iter().map(|one| (&one.digest, one)).collect();
    let mut waves = Vec::new();
    while !left.is_empty() {
        let children: BTreeSet<&Digest> =
            left.values().flat_map(|one| &one.facts.references).map(|one| &one.digest).collect();
        let mut wave: Vec<Digest> =
            left.keys().filter(|digest| !children.contains(*digest)).map(|&one| one.clone()).collect();
        if wave.is_empty() {
            // No manifest can be in itself, unless its row is damaged.
            wave = left.keys().map(|&digest| digest.clone()).collect();
        }
        for digest in &wave {
            left.remove(digest);
        }
        waves.push(wave);
    }
    waves
}
