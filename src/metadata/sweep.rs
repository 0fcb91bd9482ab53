//! Reads everything at the upstreams now and then: what was changed behind our back. One repository after the other, with
//! pauses. Replicas share the work: whoever finds a repository that nobody has read for long enough reads it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Metadata, MetadataError};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::policy::Registry;

/// How often it is looked for something to do.
const LOOK: Duration = Duration::from_secs(1);
/// After something did not work.
const BREATH: Duration = Duration::from_secs(5);
/// The longest pause between two repositories.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// For one repository, however large.
const PATIENCE: Duration = Duration::from_mins(15);

impl Metadata {
    /// Reads what was missed at once, and everything every so often, for ever.
    pub(super) async fn sweep(&self) {
        let every = self.parts.settings.sweep_every;
        let mut begun: Option<Duration> = None;
        loop {
            sleep(LOOK).await;
            self.read_missed().await;
            let Some(every) = every else { continue };
            let now = self.parts.clock.ticks();
            if self.parts.current.load().is_none() || begun.is_some_and(|begun| now.saturating_sub(begun) < every) {
                continue;
            }
            begun = Some(now);
            self.sweep_once(every).await;
            let took = self.parts.clock.ticks().saturating_sub(now);
            self.parts.metrics.metadata_swept(took, self.parts.clock.now());
        }
    }

    async fn read_missed(&self) {
        for (registry_name, repository) in self.state.take_missed() {
            let Some(registry) = self.registry(&registry_name) else { continue };
            if let Err(error) = self.read_patiently(&registry, &repository).await {
                tracing::debug!(registry = &*registry_name, %repository, %error, "a repository is read again later");
                self.state.miss((registry_name, repository));
                sleep(BREATH).await;
            }
        }
    }

    /// Everything of every registry that nobody has read for as long as `every`.
    pub(super) async fn sweep_once(&self, every: Duration) {
        let registries = self.parts.current.load().map(|policy| policy.registries().to_vec()).unwrap_or_default();
        for registry in registries {
            if let Err(error) = self.sweep_registry(&registry, every).await {
                tracing::debug!(registry = &*registry.name, %error, "the registry could not be read to its end");
            }
        }
    }

    async fn sweep_registry(&self, registry: &Arc<Registry>, every: Duration) -> Result<(), MetadataError> {
        let now = self.parts.clock.now();
        let before = now.checked_sub(every).unwrap_or(now);
        let old = self.unread(registry, before).await?;
        let pause = every / 2 / u32::try_from(old.len().max(1)).unwrap_or(u32::MAX);
        for repository in old {
            self.read_missed().await;
            if let Err(error) = self.read_patiently(registry, &repository).await {
                tracing::debug!(registry = &*registry.name, %repository, %error, "a repository could not be read");
                sleep(BREATH).await;
            }
            sleep(pause.min(LONGEST_PAUSE)).await;
        }
        Ok(())
    }

    /// The repositories, of the upstream or of the index, that were last read before this moment.
    async fn unread(&self, registry: &Arc<Registry>, before: Timestamp) -> Result<Vec<RepositoryName>, MetadataError> {
        let catalogue = self.catalogue(registry).await?;
        let rows = self.parts.index.repositories(&registry.name).await?;
        let read_lately = |name: &RepositoryName| {
            let at = rows.binary_search_by(|row| row.name.cmp(name)).ok();
            at.and_then(|at| rows.get(at)).is_some_and(|row| row.read.is_some_and(|read| read > before))
        };
        let mut names: Vec<_> = catalogue.names.iter().flatten().chain(rows.iter().map(|row| &row.name)).collect();
        names.sort_unstable();
        names.dedup();
        let listed =
            |name: &RepositoryName| catalogue.names.as_ref().is_none_or(|names| names.binary_search(name).is_ok());
        for row in rows.iter().filter(|row| row.emptied && !listed(&row.name)) {
            // There is nothing left to hide.
            self.parts.index.remove_repository(&registry.name, &row.name).await?;
        }
        Ok(names.into_iter().filter(|name| !read_lately(name)).cloned().collect())
    }

    async fn read_patiently(&self, registry: &Arc<Registry>, repository: &RepositoryName) -> Result<(), MetadataError> {
        timeout(PATIENCE, self.read(registry, repository)).await.unwrap_or(Ok(()))
    }
}
