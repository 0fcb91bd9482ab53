//! Which repositories there are: what the upstream's catalogue says, what was pushed through us since, less what was
//! deleted through us and the upstream lists still.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::state::Catalogue;
use super::{Listing, MayList, Metadata, MetadataError, Part, attributes_of};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::policy::Registry;
use crate::policy::locks::LockTarget;

/// Names on a page, where nothing is said.
const USUAL: u32 = 1_000;

impl Metadata {
    /// What the upstream lists, asked for no longer ago than is usual.
    pub(super) async fn catalogue(&self, registry: &Arc<Registry>) -> Result<Arc<Catalogue>, MetadataError> {
        let fetch = async {
            let at = self.parts.clock.now();
            let names = match self.all_repositories(registry).await {
                // Not every registry has a catalogue, or has one for us.
                Err(MetadataError::Refused { status: 400..=499, .. }) => None,
                names => names?,
            };
            Ok(Arc::new(Catalogue { names, at }))
        };
        self.state.catalogue(&registry.name, fetch).await
    }

    pub(super) async fn list_repositories(
        &self,
        registry: &Arc<Registry>,
        part: &Part,
        may_list: MayList,
    ) -> Result<Listing<RepositoryName>, MetadataError> {
        let names = self.repository_names(registry).await?;
        let (now, n) = (self.parts.clock.now(), part.n.unwrap_or(USUAL) as usize);
        let is_after = |name: &&RepositoryName| part.last.as_deref().is_none_or(|last| name.as_str() > last);
        let is_listed =
            |name: &RepositoryName| attributes_of(registry, &LockTarget::Repository(name.clone()), now).list_enabled;
        let mut rest = names.iter().filter(is_after).filter(|name| may_list(name) && is_listed(name));
        let items: Vec<_> = rest.by_ref().take(n).cloned().collect();
        let next = rest.next().and(items.last()).map(ToString::to_string);
        Ok(Listing { items, next })
    }

    async fn repository_names(&self, registry: &Arc<Registry>) -> Result<BTreeSet<RepositoryName>, MetadataError> {
        let catalogue = self.catalogue(registry).await?;
        // Where there is no catalogue, whatever was pushed is new.
        let since = if catalogue.names.is_some() { catalogue.at } else { Timestamp::MIN };
        let pushed = self.state.pushed_since(&registry.name, since);
        let rows = match self.parts.index.repositories(&registry.name).await {
            Ok(rows) => rows,
            // Names can do without: what was emptied is listed then, as the upstream does.
            Err(error) if catalogue.names.is_some() => {
                tracing::debug!(%error, "the catalogue is listed without the index");
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        let emptied: HashSet<_> = rows.iter().filter(|row| row.emptied).map(|row| &row.name).collect();
        let listed = catalogue.names.iter().flatten().filter(|name| !emptied.contains(name)).cloned();
        let is_new = |row: &&crate::store::index::IndexedRepository| {
            !row.emptied && (catalogue.names.is_none() || row.updated >= catalogue.at || row.created >= catalogue.at)
        };
        let new = rows.iter().filter(is_new).map(|row| row.name.clone());
        Ok(listed.chain(new).chain(pushed).collect())
    }
}
