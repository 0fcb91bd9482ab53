//! A tag is removed, and its manifest stays.
//!
//! Registries by the book delete a tag by its name. Distribution before version 3 cannot: there the tag is first moved to a
//! stand-in, a manifest that is like no other, and then that is deleted by its digest, which takes the tag along.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::sleep;

use super::asks::Fetched;
use super::jobs::{Plan, Work, is_final};
use super::reconcile::place;
use super::{Metadata, MetadataError};
use crate::clock::Timestamp;
use crate::oci::{Digest, ErrorCode, Method, Reference, RepositoryName, Route, Tag};
use crate::policy::Registry;
use crate::store::index::TagObservation;
use crate::upstream::{Answer, Call};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Between two attempts; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The largest answer to a change that is read, in bytes.
const SMALL: usize = 64 * 1024;

impl Metadata {
    pub(super) async fn remove_tag(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<(), MetadataError> {
        let began = self.parts.clock.now();
        let by_tag = Reference::Tag(tag.clone());
        let manifest = self.look_up(registry, repository, by_tag).await?.digest;
        let manifest = manifest.ok_or(MetadataError::Unknown(ErrorCode::ManifestUnknown))?;
        let knows = self.state.cannot_untag.get(&registry.name).is_none();
        if !(knows && self.delete_by_tag(registry, repository, (tag, &manifest)).await?) {
            self.state.cannot_untag.insert(Arc::clone(&registry.name), ());
            self.by_stand_in(registry, repository, (tag, manifest)).await?;
        }
        self.is_untagged(registry, repository, tag, began).await
    }

    /// Asks the upstream to remove the tag; `false`: it cannot.
    async fn delete_by_tag(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        (tag, digest): (&Tag, &Digest),
    ) -> Result<bool, MetadataError> {
        let by_digest = Reference::Digest(digest.clone());
        let Some(manifest) = self.fetch(registry, repository, by_digest.clone()).await? else {
            return Ok(false);
        };
        let others = self.parts.index.tags_of(&registry.name, repository, std::slice::from_ref(digest)).await;
        let answer = self.delete_manifest(registry, repository, Reference::Tag(tag.clone())).await?;
        match answer.status {
            200..=299 | 404 => {}
            400 | 405 | 501 => return Ok(false),
            status => return Err(MetadataError::Refused { status, what: "DELETE of a tag" }),
        }
        if self.look_up(registry, repository, by_digest.clone()).await?.digest.is_none() {
            // It took a tag for the manifest's name: what was not to go comes back.
            tracing::warn!(registry = &*registry.name, %repository, "the upstream deletes manifests by tag: restored");
            self.put_manifest(registry, repository, by_digest, &manifest).await?;
            for other in others.into_iter().flatten().filter(|other| other.name != *tag) {
                self.put_manifest(registry, repository, Reference::Tag(other.name), &manifest).await?;
            }
        }
        let now = self.look_up(registry, repository, Reference::Tag(tag.clone())).await?.digest;
        Ok(now.as_ref() != Some(digest))
    }

    async fn by_stand_in(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        (tag, manifest): (&Tag, Digest),
    ) -> Result<(), MetadataError> {
        let now = self.parts.clock.now();
        let work = Work::Untag { tag: tag.as_str().to_owned(), manifest: manifest.clone() };
        let plan = Plan::new(repository, work, now);
        self.put_plan(registry, &plan, now).await?;
        let work = self.replace_and_delete(registry, repository, (tag, Some(&manifest)), &plan.id);
        match self.work_on(registry, &plan, work).await {
            Err(error) if !is_final(&error) => {
                Err(MetadataError::Unfinished { done: 0, all: 1, cause: error.to_string() })
            }
            done => {
                self.drop_plan(&plan.id).await;
                done
            }
        }
    }

    /// Moves the tag to the stand-in of this name if it still is of `manifest`, and deletes the stand-in. A tag that is of
    /// anything else by now is somebody's new one, and stays.
    pub(super) async fn replace_and_delete(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        (tag, manifest): (&Tag, Option<&Digest>),
        name: &str,
    ) -> Result<(), MetadataError> {
        let by_tag = Reference::Tag(tag.clone());
        let (config, stand_in) = stand_in(name);
        let own = Digest::sha256(&stand_in.body);
        let _turn = self.state.turn(&place(registry, repository)).await;
        let mut pause = FIRST_PAUSE;
        loop {
            let mut is_of = self.look_up(registry, repository, by_tag.clone()).await?.digest;
            if (is_of.is_some() && is_of.as_ref() == manifest)
                || (is_of.is_none() && self.dangles(registry, repository, tag).await?)
            {
                self.parts.calls.upload(registry, repository, config.clone()).await?;
                self.put_manifest(registry, repository, by_tag.clone(), &stand_in).await?;
                is_of = Some(own.clone());
            }
            let deleted = self.delete_manifest(registry, repository, Reference::Digest(own.clone())).await?;
            let refused = match deleted.status {
                200..=299 | 404 => break,
                status => MetadataError::Refused { status, what: "DELETE of a manifest" },
            };
            if let Some(manifest) = manifest.filter(|_| is_final(&refused) && is_of.as_ref() == Some(&own)) {
                self.put_back(registry, repository, (tag, manifest)).await?;
            }
            // Distribution 2 fails when somebody else deletes at the same moment, and has done half of it.
            if is_final(&refused) || pause > LONGEST_PAUSE {
                return Err(refused);
            }
            sleep(pause).await;
            pause *= 2;
        }
        let Some(manifest) = manifest else { return Ok(()) };
        if self.look_up(registry, repository, Reference::Digest(manifest.clone())).await?.digest.is_none() {
            tracing::warn!(registry = &*registry.name, %repository, %manifest, "a manifest went while its tag was removed");
        }
        match self.look_up(registry, repository, by_tag).await?.digest {
            Some(still) if still == own => {
                self.put_back(registry, repository, (tag, manifest)).await?;
                Err(MetadataError::Refused { status: 405, what: "DELETE of a manifest with its tag" })
            }
            _ => Ok(()),
        }
    }

    /// Whether the upstream lists the tag and has no manifest of it: what a deletion leaves that failed half-way.
    pub(super) async fn dangles(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<bool, MetadataError> {
        Ok(self.names_now(registry, repository).await?.tags().contains(tag))
    }

    /// The tag is of `manifest` again.
    async fn put_back(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        (tag, manifest): (&Tag, &Digest),
    ) -> Result<(), MetadataError> {
        match self.fetch(registry, repository, Reference::Digest(manifest.clone())).await? {
            Some(fetched) => self.put_manifest(registry, repository, Reference::Tag(tag.clone()), &fetched).await,
            None => Ok(()),
        }
    }

    /// Removes a tag that is of no manifest any more.
    pub(super) async fn remove_dangling(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<(), MetadataError> {
        let name = uuid::Uuid::new_v4().to_string();
        self.replace_and_delete(registry, repository, (tag, None), &name).await
    }

    /// The index knows it, and the tag's attributes are forgotten.
    pub(super) async fn is_untagged(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        tag: &Tag,
        began: Timestamp,
    ) -> Result<(), MetadataError> {
        self.state.change(&place(registry, repository));
        let seen = self.look_up(registry, repository, Reference::Tag(tag.clone())).await?;
        if seen.digest.is_some() {
            // Somebody pushed it again.
            return Ok(());
        }
        let gone = TagObservation { name: tag.clone(), digest: None, at: seen.at, pushed: None };
        let kept = async {
            self.parts.index.observe_tags(&registry.name, repository, &[gone]).await?;
            self.forget_tag_attributes(registry, repository, tag, began).await
        };
        if let Err(error) = kept.await {
            // The tag is gone, which is what was asked.
            tracing::warn!(registry = &*registry.name, %repository, %error, "a removed tag is not forgotten yet");
            self.state.miss(place(registry, repository));
        }
        Ok(())
    }

    pub(super) async fn delete_manifest(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        reference: Reference,
    ) -> Result<Answer, MetadataError> {
        let route = Route::Manifest { repository: repository.clone(), reference, tags: Vec::new() };
        let call = Call { method: Method::Delete, route: &route, accept: None, content: None, limit: SMALL };
        self.ask(registry, call).await
    }

    async fn put_manifest(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        reference: Reference,
        manifest: &Fetched,
    ) -> Result<(), MetadataError> {
        let route = Route::Manifest { repository: repository.clone(), reference, tags: Vec::new() };
        let content = Some((manifest.media_type.clone(), manifest.body.clone()));
        let call = Call { method: Method::Put, route: &route, accept: None, content, limit: SMALL };
        match self.ask(registry, call).await?.status {
            200..=299 => Ok(()),
            status => Err(MetadataError::Refused { status, what: "PUT of a manifest" }),
        }
    }
}

/// A configuration and a manifest that nobody else has, as any registry takes them.
fn stand_in(name: &str) -> (Bytes, Fetched) {
    let config = json!({
        "architecture": "unknown", "os": "unknown", "rootfs": { "type": "layers", "diff_ids": [] },
        "author": format!("seawall, in place of a tag that is being removed: {name}"),
    });
    let config = Bytes::from(config.to_string());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": IMAGE, "layers": [],
        "config": { "mediaType": CONFIG, "digest": Digest::sha256(&config), "size": config.len() },
    });
    (config, Fetched { media_type: IMAGE.to_owned(), body: Bytes::from(manifest.to_string()) })
}
