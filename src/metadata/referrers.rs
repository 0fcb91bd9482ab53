//! What refers to a manifest (OCI distribution-spec "Listing Referrers"): by the upstream's own word where it has the API;
//! else by the index, which has seen them pass, and by the tag that stands in for the API, which clients keep themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::listings::cut;
use super::{Listing, Metadata, MetadataError, Part, Referrer, asks, attributes_of};
use crate::oci::{Digest, Method, Page, Reference, RepositoryName, Route, Tag};
use crate::policy::Registry;
use crate::policy::locks::LockTarget;
use crate::store::index::IndexedManifest;
use crate::upstream::{Answer, Call};

const MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const LARGEST: usize = 16 * 1024 * 1024;
/// Of all of them together.
const MOST: usize = 10_000;
/// The spec has no limit for a hash in the tag, but tags have one.
const LONGEST_HASH: usize = 64;

/// An image index, as far as it is a list of referrers.
#[derive(Debug, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    #[serde(default)]
    size: u64,
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl From<Descriptor> for Referrer {
    fn from(descriptor: Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type,
            digest: descriptor.digest,
            size: descriptor.size,
            artifact_type: descriptor.artifact_type,
            annotations: descriptor.annotations.unwrap_or_default(),
        }
    }
}

impl From<IndexedManifest> for Referrer {
    fn from(row: IndexedManifest) -> Self {
        Self {
            media_type: row.facts.media_type,
            digest: row.digest,
            size: row.facts.size,
            artifact_type: row.facts.artifact_type.or(row.facts.config_media_type),
            annotations: row.facts.annotations,
        }
    }
}

impl Metadata {
    /// Whether the upstream is known to have the API. Asked once in a while, of a manifest that there is or that there is not.
    pub(super) async fn upstream_has_referrers(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
    ) -> Result<bool, MetadataError> {
        if let Some(known) = self.state.has_referrers.get(&registry.name) {
            return Ok(known);
        }
        Ok(self.ask_referrers(registry, repository, &Digest::sha256(b"")).await?.is_some())
    }

    pub(super) async fn list_referrers(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        part: &Part,
    ) -> Result<Listing<Referrer>, MetadataError> {
        let all = match self.state.has_referrers.get(&registry.name) {
            Some(false) => None,
            _ => self.ask_referrers(registry, repository, subject).await?,
        };
        let all = match all {
            Some(all) => all,
            None => self.own_referrers(registry, repository, subject).await?,
        };
        let now = self.parts.clock.now();
        let is_listed = |one: &Referrer| {
            let target = LockTarget::Manifest(repository.clone(), one.digest.clone());
            attributes_of(registry, &target, now).list_enabled
        };
        let is_wanted = |one: &Referrer| artifact_type.is_none_or(|kind| one.artifact_type.as_deref() == Some(kind));
        let is_after = |one: &Referrer| part.last.as_deref().is_none_or(|last| one.digest.as_str() > last);
        let all: BTreeMap<_, _> = all.into_iter().map(|one| (one.digest.clone(), one)).collect();
        let items = all.into_values().filter(|one| is_after(one) && is_wanted(one) && is_listed(one)).collect();
        Ok(cut(items, part.n.unwrap_or(u32::MAX), |one| one.digest.as_str().to_owned()))
    }

    /// What the upstream's own API says; `None`: it has none, or says nothing of this subject.
    async fn ask_referrers(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<Vec<Referrer>>, MetadataError> {
        let (repository, digest) = (repository.clone(), subject.clone());
        let route = Route::Referrers { repository, digest, artifact_type: None, page: Page::default() };
        let call = Call { method: Method::Get, route: &route, accept: Some(MEDIA_TYPE), content: None, limit: LARGEST };
        let answer = self.ask(registry, call).await?;
        let found = match answer.status {
            200 => Some(read(&answer.body)?),
            400 | 404 | 405 | 501 => None,
            status => return Err(MetadataError::Refused { status, what: "the list of referrers" }),
        };
        if let Some(has) = says_of_the_api(&answer) {
            self.state.has_referrers.insert(Arc::clone(&registry.name), has);
        }
        if found.is_some() && asks::next_link(&answer.headers).is_some() {
            // Its pages have no common form that could be asked for by our routes.
            return Err(asks::unusable("a list of referrers in pages").into());
        }
        Ok(found)
    }

    async fn own_referrers(
        &self,
        registry: &Arc<Registry>,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Referrer>, MetadataError> {
        let rows = self.parts.index.referrers(&registry.name, repository, subject).await?;
        let rows = self.verify(registry, repository, rows).await?;
        let mut all: Vec<_> = self.of_fallback(registry, repository, subject).await?;
        // Of one that both know, the manifest itself says more.
        all.extend(rows.into_iter().map(Referrer::from));
        Ok(all)
    }

    /// What clients wrote under the tag that stands in for the API.
    async fn of_fallback(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Referrer>, MetadataError> {
        let Some(tag) = fallback_tag(subject) else { return Ok(Vec::new()) };
        let (now, target) = (self.parts.clock.now(), LockTarget::Tag(repository.clone(), tag.clone()));
        if !registry.locks().effective(&target, now).read_enabled {
            return Ok(Vec::new());
        }
        let Some(fetched) = self.fetch(registry, repository, Reference::Tag(tag)).await? else {
            return Ok(Vec::new());
        };
        // Under such a tag there may be anything.
        if fetched.media_type == MEDIA_TYPE { Ok(read(&fetched.body).unwrap_or_default()) } else { Ok(Vec::new()) }
    }
}

/// The tag that stands in for the referrers API (OCI distribution-spec "Referrers Tag Schema").
fn fallback_tag(subject: &Digest) -> Option<Tag> {
    let (algorithm, hash) = subject.as_str().split_once(':')?;
    Tag::parse(&format!("{algorithm}-{}", hash.get(..LONGEST_HASH).unwrap_or(hash))).ok()
}

fn read(body: &[u8]) -> Result<Vec<Referrer>, MetadataError> {
    let index: Index = serde_json::from_slice(body).map_err(|_| asks::unusable("a list of referrers"))?;
    Ok(index.manifests.into_iter().take(MOST).map(Referrer::from).collect())
}

/// Whether an upstream that answers so has the API. An error of a registry's form may be about this repository or manifest
/// only, which anybody can name: it decides nothing for others.
fn says_of_the_api(answer: &Answer) -> Option<bool> {
    match answer.status {
        200 => Some(true),
        404 if serde_json::from_slice::<IgnoredAny>(&answer.body).is_err() => Some(false),
        405 | 501 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says_of_the_api() {
        let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#;
        for (status, body, expected) in [
            (200, "{}", Some(true)),
            (404, unknown, None),
            (404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#, None),
            (404, "404 page not found\n", Some(false)),
            (404, "", Some(false)),
            (405, "", Some(false)),
            (501, unknown, Some(false)),
            (400, "", None),
        ] {
            let answer = Answer { status, headers: http::HeaderMap::new(), body: body.into() };
            assert_eq!(says_of_the_api(&answer), expected, "{status} {body}");
        }
    }
}
