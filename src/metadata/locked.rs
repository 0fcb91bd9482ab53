//! What locks forbid: the policy judges, and what it has to know of tags is asked of the upstream here.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Metadata, MetadataError};
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::policy::Registry;
use crate::policy::locks::{Lock, TagFacts, Touch, Verdict};

/// How often locks may ask for more: for names, and for what their tags are of, each once.
const ROUNDS: usize = 4;

/// A question about locks.
#[derive(Debug, Clone, Copy)]
pub struct Inquiry<'a> {
    pub registry: &'a Arc<Registry>,
    /// What is about to be done.
    pub touch: &'a Touch,
    pub now: Timestamp,
    /// For each thing that the upstream has to say.
    pub patience: Duration,
}

/// Who is told which tags matter before the upstream is asked what they are of: so that nobody pushes them meanwhile.
pub trait BeforeTags: Send {
    /// # Errors
    /// When it takes too long; then the locks are not judged.
    fn hold(&mut self, tags: &[Tag]) -> impl Future<Output = Result<(), MetadataError>> + Send;
}

/// Nobody pushes.
impl BeforeTags for () {
    async fn hold(&mut self, _: &[Tag]) -> Result<(), MetadataError> {
        Ok(())
    }
}

impl Metadata {
    /// Whether a lock is in the way. What was found out for it is in `facts` then.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub async fn judge(
        &self,
        inquiry: &Inquiry<'_>,
        facts: &mut TagFacts,
        before: &mut impl BeforeTags,
    ) -> Result<Result<(), Lock>, MetadataError> {
        for _ in 0..ROUNDS {
            match inquiry.registry.locks().judge(inquiry.touch, facts, inquiry.now) {
                Verdict::Free => return Ok(Ok(())),
                Verdict::Locked(lock) => return Ok(Err(lock)),
                Verdict::NeedsNames => facts.names = Some(self.names_for_locks(inquiry).await?),
                Verdict::NeedsTags(tags) => {
                    before.hold(&tags).await?;
                    facts.tags.extend(self.tags_for_locks(inquiry, &tags).await?);
                }
            }
        }
        Err(MetadataError::LocksUnknown("they cannot be judged by what the upstream says".to_owned()))
    }

    /// What these tags are of now; `None`: there is no such tag.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub async fn tags_for_locks(
        &self,
        inquiry: &Inquiry<'_>,
        tags: &[Tag],
    ) -> Result<Vec<(Tag, Option<Digest>)>, MetadataError> {
        let resolved = self.resolve(inquiry.registry, inquiry.touch.repository(), tags);
        timeout(inquiry.patience, resolved).await.unwrap_or_else(|_| Err(too_late()))
    }

    /// All tags that the upstream lists now, also those that no listing shows.
    async fn names_for_locks(&self, inquiry: &Inquiry<'_>) -> Result<Vec<Tag>, MetadataError> {
        let (registry, repository) = (Arc::clone(inquiry.registry), inquiry.touch.repository().clone());
        let this = self.for_locks();
        let names = this.work(|this| async move { this.every_tag(&registry, &repository).await });
        timeout(inquiry.patience, names).await.unwrap_or_else(|_| Err(too_late()))
    }

    /// None where there is no such repository.
    async fn every_tag(
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

    /// What is about to be gone on with must be free now: a lock may have been set since it was begun.
    pub(super) async fn must_be_free(&self, registry: &Registry, touch: &Touch) -> Result<(), MetadataError> {
        // The policy may be another one than when the work began.
        let Some(registry) = self.registry(&registry.name) else { return Ok(()) };
        let inquiry = Inquiry { registry: &registry, touch, now: self.parts.clock.now(), patience: Duration::MAX };
        self.judge(&inquiry, &mut TagFacts::default(), &mut ()).await?.map_err(MetadataError::Locked)
    }
}

fn too_late() -> MetadataError {
    MetadataError::LocksUnknown("the upstream did not say in time what locked tags are of".to_owned())
}
