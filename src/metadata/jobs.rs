//! Work of several steps that is finished although a step fails or the process ends.
//!
//! It is written down before its first step that cannot be repeated by the client, and forgotten after its last one. Steps may
//! be done twice, so that it does not matter which replica goes on, or whether two do.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{Metadata, MetadataError};
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::policy::Registry;
use crate::policy::locks::Touch;
use crate::store::index::Job;

/// How often it is looked for work that was left.
const LOOK: Duration = Duration::from_secs(5);
/// Whoever works on it says so again and again; another goes on when nobody has for so long.
const LEASE: Duration = Duration::from_secs(20);
const RENEW: Duration = Duration::from_secs(5);
/// After that it is given up.
const LONGEST: Duration = Duration::from_hours(24);

/// What is to be done, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    /// Unique: the job's too.
    pub(super) id: String,
    pub(super) repository: String,
    pub(super) began: Timestamp,
    pub(super) work: Work,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Work {
    /// The tag goes by way of a stand-in for its manifest, which stays.
    #[serde(rename_all = "camelCase")]
    Untag { tag: String, manifest: Digest },
    /// These manifests go, one list after the other, and the repository with them if nothing else is in it.
    #[serde(rename_all = "camelCase")]
    DeleteRepository { waves: Vec<Vec<Digest>> },
}

impl Plan {
    pub(super) fn new(repository: &RepositoryName, work: Work, began: Timestamp) -> Self {
        Self { id: uuid::Uuid::new_v4().to_string(), repository: repository.to_string(), began, work }
    }
}

impl Metadata {
    /// Writes the plan down; whoever did so works on it from `now` on.
    pub(super) async fn put_plan(&self, registry: &Registry, plan: &Plan, now: Timestamp) -> Result<(), MetadataError> {
        let body = serde_json::to_string(plan).map_err(|error| MetadataError::Store(error.to_string()))?;
        let job = Job { id: plan.id.clone(), registry: registry.name.to_string(), body, began: now };
        Ok(self.parts.index.put_job(&job).await?)
    }

    /// Does `work` on the plan, and says now and then that it is being worked on.
    pub(super) async fn work_on<T>(&self, registry: &Registry, plan: &Plan, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(RENEW) => {
                    if let Err(error) = self.put_plan(registry, plan, self.parts.clock.now()).await {
                        tracing::debug!(%error, "another replica may go on with the same");
                    }
                }
            }
        }
    }

    /// Forgets it. When that fails, it is done once more, which changes nothing.
    pub(super) async fn drop_plan(&self, id: &str) {
        if let Err(error) = self.parts.index.remove_job(id).await {
            tracing::debug!(%error, "a job that is done could not be removed");
        }
    }

    /// Goes on with what was left, for ever.
    pub(super) async fn finish_jobs(&self) {
        loop {
            self.finish_jobs_once().await;
            sleep(LOOK).await;
        }
    }

    pub(super) async fn finish_jobs_once(&self) {
        let jobs = match self.parts.index.jobs().await {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::debug!(%error, "what was left to do is not known now");
                return;
            }
        };
        let now = self.parts.clock.now();
        for job in jobs.into_iter().filter(|job| job.began.checked_add(LEASE).is_ok_and(|end| end <= now)) {
            let Some(registry) = self.registry(&job.registry) else { continue };
            let Ok(plan) = serde_json::from_str::<Plan>(&job.body) else {
                // A newer version made it, and another replica has that.
                tracing::debug!(job = job.id, "a job that this version does not know");
                continue;
            };
            // Boxed: what it may have to ask makes it large.
            if let Err(error) = Box::pin(self.go_on(&registry, &plan)).await {
                tracing::debug!(registry = &*registry.name, repository = plan.repository, %error, "tried again later");
            }
        }
    }

    async fn go_on(&self, registry: &Arc<Registry>, plan: &Plan) -> Result<(), MetadataError> {
        let now = self.parts.clock.now();
        if plan.began.checked_add(LONGEST).is_ok_and(|end| end <= now) {
            let repository = &plan.repository;
            tracing::warn!(registry = &*registry.name, repository, "what could not be finished in a day is given up");
            self.drop_plan(&plan.id).await;
            return Ok(());
        }
        self.put_plan(registry, plan, now).await?;
        self.work_on(registry, plan, self.steps(registry, plan)).await
    }

    async fn steps(&self, registry: &Arc<Registry>, plan: &Plan) -> Result<(), MetadataError> {
        let Ok(repository) = RepositoryName::parse(&plan.repository) else { return Ok(()) };
        let done = match &plan.work {
            Work::Untag { tag, manifest } => {
                let Ok(tag) = Tag::parse(tag) else { return Ok(()) };
                let touch = Touch::Untag { repository: repository.clone(), tag: tag.clone() };
                let free = self.must_be_free(registry, &touch).await;
                if free.is_err() {
                    return self.ended(plan, free).await;
                }
                match self.replace_and_delete(registry, &repository, (&tag, Some(manifest)), &plan.id).await {
                    Ok(()) => self.is_untagged(registry, &repository, &tag, plan.began).await,
                    failed => failed,
                }
            }
            Work::DeleteRepository { waves } => {
                self.delete_waves(registry, &repository, waves, plan.began).await.map_err(|(_, error)| error)
            }
        };
        self.ended(plan, done).await
    }

    /// What is done is forgotten, and so is what cannot be done any more.
    async fn ended(&self, plan: &Plan, done: Result<(), MetadataError>) -> Result<(), MetadataError> {
        if let Err(MetadataError::Locked(lock)) = &done {
            tracing::warn!(repository = plan.repository, %lock, "what was left to delete is not, since it was locked");
        }
        if done.as_ref().err().is_none_or(is_final) {
            self.drop_plan(&plan.id).await;
        }
        done
    }
}

/// Whether trying again cannot help: the upstream does not do such things, or a lock forbids it now.
pub(super) const fn is_final(error: &MetadataError) -> bool {
    matches!(error, MetadataError::Refused { status: 400 | 403 | 405 | 501, .. } | MetadataError::Locked(_))
}
