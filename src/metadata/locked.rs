//! Whether a lock forbids what is about to be gone on with: it may have been set since it was begun.

use std::sync::Arc;

use super::{Metadata, MetadataError};
use crate::oci::{RepositoryName, Tag};
use crate::policy::Registry;
use crate::policy::locks::{Lock, TagFacts, Touch, Verdict};

/// How often locks may ask for more: for names, and for what their tags are of.
const ROUNDS: usize = 4;

impl Metadata {
    /// All tags that the upstream lists now, also those that no listing shows; none where there is no such repository.
    pub(super) async fn every_tag(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<Vec<Tag>, MetadataError> {
        match self.names_now(registry, repository).await {
            Ok(names) => Ok(names.tags().to_vec()),
            Err(MetadataError::Unknown(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The lock in force now, by the policy of this moment and by what the upstream says of its tags.
    pub(super) async fn lock_on(&self, registry: &Registry, touch: &Touch) -> Result<Option<Lock>, MetadataError> {
        // The policy may be another one than when the work began.
        let Some(registry) = self.registry(&registry.name) else { return Ok(None) };
        let mut facts = TagFacts::default();
        for _ in 0..ROUNDS {
            match registry.locks().judge(touch, &facts, self.parts.clock.now()) {
                Verdict::Free => return Ok(None),
                Verdict::Locked(lock) => return Ok(Some(lock)),
                Verdict::NeedsNames => facts.names = Some(self.every_tag(&registry, touch.repository()).await?),
                Verdict::NeedsTags(tags) => {
                    facts.tags.extend(self.resolve_tags(&registry, touch.repository(), tags).await?);
                }
            }
        }
        Err(MetadataError::Store("the locks cannot be judged by what the upstream says".to_owned()))
    }

    /// The same, as a refusal.
    pub(super) async fn must_be_free(&self, registry: &Registry, touch: &Touch) -> Result<(), MetadataError> {
        self.lock_on(registry, touch).await?.map_or(Ok(()), |lock| Err(MetadataError::Locked(lock)))
    }
}
