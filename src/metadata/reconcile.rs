//! The index is brought up to what the upstream says: which tags there are, what they are of, which manifests are gone.

use std::collections::HashSet;
use std::sync::Arc;

use super::asks::at_once;
use super::learn::Sign;
use super::state::{Names, Place};
use super::{Metadata, MetadataError};
use crate::clock::Timestamp;
use crate::oci::{Digest, ErrorCode, Reference, RepositoryName, Tag};
use crate::policy::Registry;
use crate::store::index::{IndexedManifest, IndexedTag, Slice, TagObservation};
use tokio::sync::OnceCell;

/// Rows that are read at a time.
const ROWS: u32 = 1_000;
/// Tags that are asked for anew before an answer. Where more are old, it is left to the sweep.
const MOST_OLD: usize = 1_000;

/// How much of what is old is asked for anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What is needed for an answer.
    Answer,
    /// Everything, however long it takes.
    All,
}

impl Metadata {
    /// The tags that the upstream lists, at most some seconds ago.
    pub(super) async fn names(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<Arc<Names>, MetadataError> {
        let fetch = self.fetch_names(registry, repository);
        self.state.names(&place(registry, repository), fetch).await
    }

    /// The tags that the upstream lists now.
    pub(super) async fn names_now(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<Arc<Names>, MetadataError> {
        let fetch = self.fetch_names(registry, repository);
        self.state.names_now(&place(registry, repository), self.errand, fetch).await
    }

    async fn fetch_names(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<Arc<Names>, MetadataError> {
        let at = self.parts.clock.now();
        let tags = self.listed_tags(registry, repository).await?;
        Ok(Arc::new(Names { tags, at, taken_in: OnceCell::new() }))
    }

    /// Everything that the upstream lists is in the index then, and nothing else is; once for all who wait.
    ///
    /// # Errors
    /// Also when there is no such repository.
    pub(super) async fn known(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<Arc<Names>, MetadataError> {
        let names = self.names(registry, repository).await?;
        // Whoever asks for a newer list finds what was read for this one in the index.
        let _turn = self.state.reading(&place(registry, repository)).await;
        names.taken_in.get_or_try_init(|| self.take_in(registry, repository, &names, Depth::Answer)).await?;
        if names.tags().is_empty() {
            self.without_tags(registry, repository).await?;
        }
        Ok(names)
    }

    /// Reads a repository at the upstream, all of it.
    pub(super) async fn read(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<(), MetadataError> {
        let names = self.names_now(registry, repository).await?;
        self.take_in(registry, repository, &names, Depth::All).await?;
        self.verify_all(registry, repository).await?;
        match self.without_tags(registry, repository).await {
            Err(MetadataError::Unknown(_)) => Ok(()),
            other => other,
        }
    }

    async fn take_in(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        names: &Names,
        depth: Depth,
    ) -> Result<(), MetadataError> {
        let index = &self.parts.index;
        let known: HashSet<Tag> = index.tag_names(&registry.name, repository).await?.into_iter().collect();
        let listed: HashSet<&Tag> = names.tags().iter().collect();
        let gone = known.iter().filter(|name| !listed.contains(name));
        let gone: Vec<_> =
            gone.map(|name| TagObservation { name: name.clone(), digest: None, at: names.at, pushed: None }).collect();
        if !gone.is_empty() {
            index.observe_tags(&registry.name, repository, &gone).await?;
        }
        let new = names.tags().iter().filter(|name| !known.contains(name)).cloned();
        let mut ask: Vec<_> = new.collect();
        let old = self.old_tags(registry, repository).await?;
        if depth == Depth::All || old.len() <= MOST_OLD {
            ask.extend(old);
        }
        self.observe(registry, repository, &ask).await?;
        if names.tags().is_empty() {
            return Ok(());
        }
        self.put_repository(&registry.name, repository, names.at, Sign::Read).await
    }

    /// The tags of the index that were asked for too long ago.
    async fn old_tags(&self, registry: &Registry, repository: &RepositoryName) -> Result<Vec<Tag>, MetadataError> {
        let since = self.fresh_since();
        let (mut old, mut slice) = (Vec::new(), Slice { limit: ROWS, ..Slice::default() });
        loop {
            let rows = self.parts.index.tags(&registry.name, repository, &slice, None).await?;
            let Some(last) = rows.last() else { return Ok(old) };
            slice.after = Some(last.name.as_str().to_owned());
            old.extend(rows.into_iter().filter(|row| row.observed < since).map(|row| row.name));
        }
    }

    /// A repository without tags is there as long as a manifest is.
    async fn without_tags(&self, registry: &Arc<Registry>, repository: &RepositoryName) -> Result<(), MetadataError> {
        let index = &self.parts.index;
        let Some((row, counts)) = index.repository(&registry.name, repository).await? else {
            return Err(MetadataError::Unknown(ErrorCode::NameUnknown));
        };
        if counts.tags > 0 {
            return Ok(());
        }
        let slice = Slice { limit: ROWS, ..Slice::default() };
        // What is gone is forgotten, so that the first rows are others then.
        loop {
            let rows = index.manifests(&registry.name, repository, &slice).await?;
            if rows.is_empty() {
                break;
            }
            if !self.verify(registry, repository, rows).await?.is_empty() {
                return Ok(());
            }
        }
        // One that was deleted through us stays hidden for as long as the upstream lists it.
        if !row.emptied {
            index.remove_repository(&registry.name, repository).await?;
        }
        Err(MetadataError::Unknown(ErrorCode::NameUnknown))
    }

    async fn verify_all(&self, registry: &Arc<Registry>, repository: &RepositoryName) -> Result<(), MetadataError> {
        let mut slice = Slice { limit: ROWS, ..Slice::default() };
        loop {
            let rows = self.parts.index.manifests(&registry.name, repository, &slice).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            slice.after = Some(last.digest.as_str().to_owned());
            self.verify(registry, repository, rows).await?;
        }
    }

    /// Those of these manifests that the upstream still has; the index forgets the others. What it has said lately, of
    /// them or of one of their tags, is not asked again.
    pub(super) async fn verify(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        rows: Vec<IndexedManifest>,
    ) -> Result<Vec<IndexedManifest>, MetadataError> {
        let since = self.fresh_since();
        let old: Vec<_> = rows.iter().filter(|row| row.observed < since).map(|row| row.digest.clone()).collect();
        if old.is_empty() {
            return Ok(rows);
        }
        let tags = self.parts.index.tags_of(&registry.name, repository, &old).await?;
        let tagged: HashSet<_> = tags.into_iter().filter(|tag| tag.observed >= since).map(|tag| tag.digest).collect();
        let ask = old.into_iter().filter(|digest| !tagged.contains(digest));
        let seen = self.ask_manifests(registry, repository, ask).await?;
        let gone: HashSet<_> = seen.iter().filter(|(_, there, _)| !there).map(|(digest, ..)| digest.clone()).collect();
        if !gone.is_empty() {
            let gone: Vec<_> = gone.iter().cloned().collect();
            self.parts.index.remove_manifests(&registry.name, repository, &gone).await?;
        }
        let rows: Vec<_> = rows.into_iter().filter(|row| !gone.contains(&row.digest)).collect();
        let there = seen.into_iter().filter(|(_, there, _)| *there);
        let refreshed: Vec<_> = there
            .filter_map(|(digest, _, at)| {
                let row = rows.iter().find(|row| row.digest == digest)?;
                Some(IndexedManifest { observed: at, ..row.clone() })
            })
            .collect();
        self.parts.index.put_manifests(&registry.name, repository, &refreshed).await?;
        Ok(rows)
    }

    /// Whether the upstream has these manifests, and when it was asked.
    pub(super) async fn ask_manifests(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        digests: impl IntoIterator<Item = Digest>,
    ) -> Result<Vec<(Digest, bool, Timestamp)>, MetadataError> {
        let asked = at_once(digests, |digest| {
            let (this, registry, repository) = (self.clone(), Arc::clone(registry), repository.clone());
            async move {
                let seen = this.look_up(&registry, &repository, Reference::Digest(digest.clone())).await?;
                Ok((digest, seen.digest.is_some(), seen.at))
            }
        });
        asked.await?.into_iter().collect()
    }

    /// Those of these tags that are as the index says or were asked for anew, in their order.
    pub(super) async fn refreshed(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        names: &[Tag],
    ) -> Result<Vec<IndexedTag>, MetadataError> {
        let (index, since) = (&self.parts.index, self.fresh_since());
        let rows = index.tags_named(&registry.name, repository, names).await?;
        let fresh: HashSet<_> = rows.iter().filter(|row| row.observed >= since).map(|row| &row.name).collect();
        let ask: Vec<_> = names.iter().filter(|name| !fresh.contains(name)).cloned().collect();
        if ask.is_empty() {
            return Ok(rows);
        }
        self.see(registry, repository, &self.observe(registry, repository, &ask).await?).await?;
        Ok(index.tags_named(&registry.name, repository, names).await?)
    }

    /// What was observed before this moment is old.
    pub(super) fn fresh_since(&self) -> Timestamp {
        let now = self.parts.clock.now();
        now.checked_sub(self.parts.settings.maximum_age).unwrap_or(now)
    }
}

pub(super) fn place(registry: &Registry, repository: &RepositoryName) -> Place {
    (Arc::clone(&registry.name), repository.clone())
}
