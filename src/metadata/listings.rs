//! Tags and manifests with their properties. Names come from the upstream; what is known of each from the index, after
//! what is unknown or old on the part that is asked for was asked of the upstream.

use std::collections::HashMap;
use std::sync::Arc;

use super::asks::at_once;
use super::learn::Sign;
use super::reconcile::place;
use super::state::Names;
use super::{
    Listing, ManifestProperties, Metadata, MetadataError, Part, RepositoryProperties, TagProperties, attributes_of,
};
use crate::oci::{Digest, ErrorCode, Reference, RepositoryName, Tag};
use crate::policy::Registry;
use crate::policy::locks::LockTarget;
use crate::store::index::{IndexedManifest, IndexedTag, Order, Slice, TagObservation};

/// Items on a page, where nothing is said.
const USUAL: u32 = 100;
/// How often a page is made again because what was on it has changed meanwhile.
const TRIES: usize = 3;

impl Metadata {
    /// All names without a number, as the upstream lists them now; else a part of what it listed some seconds ago.
    pub(super) async fn list_tag_names(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        part: &Part,
    ) -> Result<Listing<Tag>, MetadataError> {
        let names = match part.n {
            None => self.names_now(registry, repository).await?,
            Some(_) => self.names(registry, repository).await?,
        };
        if names.tags.is_none() {
            // Nobody knows here whether it has manifests without tags, if there is no index to ask.
            self.without_tags_listed(registry, repository).await?;
        }
        let part = Part { n: part.n.or(Some(u32::MAX)), ..part.clone() };
        Ok(self.page_of_names(registry, repository, &names, &part))
    }

    async fn without_tags_listed(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<(), MetadataError> {
        match self.known(registry, repository).await {
            Err(MetadataError::Store(_)) => Err(MetadataError::Unknown(ErrorCode::NameUnknown)),
            other => other.map(|_| ()),
        }
    }

    fn page_of_names(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        names: &Names,
        part: &Part,
    ) -> Listing<Tag> {
        let now = self.parts.clock.now();
        let tags = names.tags();
        let first = part.last.as_deref().map_or(0, |last| tags.partition_point(|tag| tag.as_str() <= last));
        let is_listed = |tag: &&Tag| {
            attributes_of(registry, &LockTarget::Tag(repository.clone(), (*tag).clone()), now).list_enabled
        };
        let mut rest = tags.iter().skip(first).filter(is_listed);
        let items: Vec<_> = rest.by_ref().take(part.n.unwrap_or(USUAL) as usize).cloned().collect();
        let next = rest.next().and(items.last()).map(|tag| tag.as_str().to_owned());
        Listing { items, next }
    }

    pub(super) async fn list_tags(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        part: &Part,
        digest: Option<&Digest>,
    ) -> Result<Listing<TagProperties>, MetadataError> {
        if part.order != Order::Name || digest.is_some() {
            return self.list_tags_of_index(registry, repository, part, digest).await;
        }
        let names = self.names(registry, repository).await?;
        if names.tags().is_empty() {
            self.known(registry, repository).await?;
        }
        let page = self.page_of_names(registry, repository, &names, part);
        let rows = self.refreshed(registry, repository, &page.items).await?;
        let items = rows.into_iter().map(|row| self.tag_properties(registry, repository, row)).collect();
        Ok(Listing { items, next: page.next })
    }

    /// In an order that only the index knows.
    async fn list_tags_of_index(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        part: &Part,
        digest: Option<&Digest>,
    ) -> Result<Listing<TagProperties>, MetadataError> {
        self.known(registry, repository).await?;
        let mut page = self.page_of_tags(registry, repository, part, digest).await?;
        for _ in 0..TRIES {
            let names: Vec<_> = page.items.iter().map(|one| one.tag.name.clone()).collect();
            let fresh: HashMap<_, _> =
                self.refreshed(registry, repository, &names).await?.into_iter().map(named).collect();
            if page.items.iter().all(|one| fresh.get(&one.tag.name) == Some(&one.tag.digest)) {
                break;
            }
            page = self.page_of_tags(registry, repository, part, digest).await?;
        }
        Ok(page)
    }

    async fn page_of_tags(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        part: &Part,
        digest: Option<&Digest>,
    ) -> Result<Listing<TagProperties>, MetadataError> {
        let (n, mut items) = (part.n.unwrap_or(USUAL), Vec::new());
        let limit = n.saturating_add(1);
        let mut slice = Slice { order: part.order, after: part.last.clone(), limit };
        loop {
            let rows = self.parts.index.tags(&registry.name, repository, &slice, digest).await?;
            let is_end = rows.len() < limit as usize;
            slice.after = rows.last().map(|row| row.name.as_str().to_owned());
            let properties = rows.into_iter().map(|row| self.tag_properties(registry, repository, row));
            items.extend(properties.filter(|one| one.attributes.list_enabled));
            if is_end || items.len() > n as usize {
                return Ok(cut(items, n, |one| one.tag.name.as_str().to_owned()));
            }
        }
    }

    /// One tag, as the upstream has it now.
    pub(super) async fn show_tag(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<TagProperties, MetadataError> {
        let names = std::slice::from_ref(tag);
        let seen = self.observe(registry, repository, names).await?;
        self.see(registry, repository, &seen).await?;
        let rows = self.parts.index.tags_named(&registry.name, repository, names).await?;
        let row = rows.into_iter().next().ok_or(MetadataError::Unknown(ErrorCode::ManifestUnknown))?;
        Ok(self.tag_properties(registry, repository, row))
    }

    pub(super) async fn list_manifests(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        part: &Part,
    ) -> Result<Listing<ManifestProperties>, MetadataError> {
        self.known(registry, repository).await?;
        let (n, now, mut items) = (part.n.unwrap_or(USUAL), self.parts.clock.now(), Vec::new());
        let limit = n.saturating_add(1);
        let mut slice = Slice { order: part.order, after: part.last.clone(), limit };
        loop {
            let rows = self.parts.index.manifests(&registry.name, repository, &slice).await?;
            let is_end = rows.len() < limit as usize;
            slice.after = rows.last().map(|row| row.digest.as_str().to_owned());
            let is_listed = |row: &IndexedManifest| {
                let target = LockTarget::Manifest(repository.clone(), row.digest.clone());
                attributes_of(registry, &target, now).list_enabled
            };
            let rows = rows.into_iter().filter(is_listed).collect();
            items.extend(self.verify(registry, repository, rows).await?);
            if is_end || items.len() > n as usize {
                break;
            }
        }
        let Listing { items, next } = cut(items, n, |row| row.digest.as_str().to_owned());
        Ok(Listing { items: self.with_tags(registry, repository, items).await?, next })
    }

    async fn with_tags(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        rows: Vec<IndexedManifest>,
    ) -> Result<Vec<ManifestProperties>, MetadataError> {
        let now = self.parts.clock.now();
        let digests: Vec<_> = rows.iter().map(|row| row.digest.clone()).collect();
        let mut tags: HashMap<Digest, Vec<Tag>> = HashMap::new();
        for row in self.parts.index.tags_of(&registry.name, repository, &digests).await? {
            let properties = self.tag_properties(registry, repository, row);
            if properties.attributes.list_enabled {
                tags.entry(properties.tag.digest).or_default().push(properties.tag.name);
            }
        }
        let with_tags = |manifest: IndexedManifest| {
            let tags = tags.remove(&manifest.digest).unwrap_or_default();
            let target = LockTarget::Manifest(repository.clone(), manifest.digest.clone());
            ManifestProperties { tags, attributes: attributes_of(registry, &target, now), manifest }
        };
        Ok(rows.into_iter().map(with_tags).collect())
    }

    /// One manifest, which the upstream has now.
    pub(super) async fn show_manifest(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<ManifestProperties, MetadataError> {
        let unknown = MetadataError::Unknown(ErrorCode::ManifestUnknown);
        let seen = self.look_up(registry, repository, Reference::Digest(digest.clone())).await?;
        if seen.digest.is_none() {
            let gone = std::slice::from_ref(digest);
            self.parts.index.remove_manifests(&registry.name, repository, gone).await?;
            return Err(unknown);
        }
        self.learn(registry, repository, [digest.clone()].into()).await?;
        self.put_repository(&registry.name, repository, seen.at, Sign::Seen).await?;
        // Its tags.
        self.known(registry, repository).await?;
        let row = self.parts.index.manifest(&registry.name, repository, digest).await?.ok_or(unknown.clone())?;
        let row = IndexedManifest { observed: seen.at.max(row.observed), ..row };
        self.with_tags(registry, repository, vec![row]).await?.into_iter().next().ok_or(unknown)
    }

    pub(super) async fn show_repository(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<RepositoryProperties, MetadataError> {
        self.known(registry, repository).await?;
        let (index, name) = (&self.parts.index, &registry.name);
        let known = index.repository(name, repository).await?;
        let (row, counts) = known.ok_or(MetadataError::Unknown(ErrorCode::NameUnknown))?;
        let newest = Slice { order: Order::NewestFirst, after: None, limit: 1 };
        let tags = index.tags(name, repository, &newest, None).await?;
        let latest = tags.first().map_or(row.updated, |tag| tag.updated);
        let target = LockTarget::Repository(repository.clone());
        Ok(RepositoryProperties {
            name: row.name,
            created: row.created,
            updated: row.updated.max(latest),
            manifests: counts.manifests,
            tags: counts.tags,
            attributes: attributes_of(registry, &target, self.parts.clock.now()),
        })
    }

    /// What the upstream says now; the index may know it too, if there is one.
    pub(super) async fn resolve_tags(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tags: Vec<Tag>,
    ) -> Result<Vec<(Tag, Option<Digest>)>, MetadataError> {
        let asked = at_once(tags, |tag| {
            let (this, registry, repository) = (self.clone(), Arc::clone(registry), repository.clone());
            async move {
                let seen = this.look_up(&registry, &repository, Reference::Tag(tag.clone())).await?;
                let pushed = this.state.pushed(&place(&registry, &repository), &tag, seen.digest.as_ref());
                Ok(TagObservation { name: tag, digest: seen.digest, at: seen.at, pushed })
            }
        });
        let seen = asked.await?.into_iter().collect::<Result<Vec<_>, MetadataError>>()?;
        let resolved = seen.iter().map(|one| (one.name.clone(), one.digest.clone())).collect();
        self.remember(registry, repository, seen);
        Ok(resolved)
    }

    fn tag_properties(&self, registry: &Registry, repository: &RepositoryName, tag: IndexedTag) -> TagProperties {
        let target = LockTarget::Tag(repository.clone(), tag.name.clone());
        TagProperties { attributes: attributes_of(registry, &target, self.parts.clock.now()), tag }
    }
}

fn named(row: IndexedTag) -> (Tag, Digest) {
    (row.name, row.digest)
}

/// The first `n` of what was found, with what comes after them.
pub(super) fn cut<T>(mut items: Vec<T>, n: u32, name: impl Fn(&T) -> String) -> Listing<T> {
    let is_more = items.len() > n as usize;
    items.truncate(n as usize);
    let next = if is_more { items.last().map(name) } else { None };
    Listing { items, next }
}
