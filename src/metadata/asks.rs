//! The questions to the registry behind us, at most [`AT_ONCE`] at a time for each of them.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, LINK};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Metadata, MetadataError};
use crate::clock::Timestamp;
use crate::oci::{Digest, Method, Page, Reference, RepositoryName, Route, Tag, query};
use crate::policy::Registry;
use crate::telemetry::UpstreamCall;
use crate::upstream::{Answer, Call, CallError};

/// Requests to one upstream at the same time.
pub(super) const AT_ONCE: usize = 16;
/// The kinds of manifests that are asked for: all that there are, so that no upstream converts one.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.artifact.manifest.v1+json, application/vnd.cncf.oras.artifact.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json, */*";
/// In bytes.
const LARGEST_MANIFEST: usize = 4 * 1024 * 1024;
const LARGEST_LIST: usize = 32 * 1024 * 1024;
/// An error that says no more than that.
const SMALL: usize = 64 * 1024;
/// Pages of a list that are followed: beyond them an upstream is going round in circles.
const MOST_PAGES: usize = 10_000;
/// Repositories on a page: what every registry allows.
const CATALOGUE_PAGE: u32 = 1_000;

/// What an upstream says of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// `None`: there is no such thing.
    pub(super) digest: Option<Digest>,
    /// When the question was sent.
    pub(super) at: Timestamp,
}

/// A manifest as it came.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) media_type: String,
    pub(super) body: Bytes,
}

impl Metadata {
    /// What `reference` is now.
    pub(super) async fn look_up(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        reference: Reference,
    ) -> Result<Seen, MetadataError> {
        let at = self.parts.clock.now();
        let route = Route::Manifest { repository: repository.clone(), reference, tags: Vec::new() };
        let answer = self.ask(registry, manifest_call(Method::Head, &route)).await?;
        let Some(answer) = found(answer, "HEAD of a manifest")? else { return Ok(Seen { digest: None, at }) };
        let named = match &route {
            Route::Manifest { reference: Reference::Digest(digest), .. } => Some(digest.clone()),
            _ => digest_of(&answer.headers),
        };
        let digest = match named {
            Some(digest) => Some(digest),
            // Without the header, which it should have sent, only the manifest itself tells.
            None => found(self.ask(registry, manifest_call(Method::Get, &route)).await?, "GET of a manifest")?
                .map(|answer| Digest::sha256(&answer.body)),
        };
        Ok(Seen { digest, at })
    }

    /// The manifest that `reference` leads to; `None`: there is none.
    pub(super) async fn fetch(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        reference: Reference,
    ) -> Result<Option<Fetched>, MetadataError> {
        let route = Route::Manifest { repository: repository.clone(), reference, tags: Vec::new() };
        let answer = self.ask(registry, manifest_call(Method::Get, &route)).await?;
        let Some(answer) = found(answer, "GET of a manifest")? else { return Ok(None) };
        let media_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        if let Route::Manifest { reference: Reference::Digest(digest), .. } = &route
            && digest.as_str().starts_with("sha256:")
            && Digest::sha256(&answer.body) != *digest
        {
            return Err(unusable("a manifest that has another digest").into());
        }
        Ok(Some(Fetched { media_type, body: answer.body }))
    }

    /// A small blob; `None`: there is none, or it is elsewhere.
    pub(super) async fn blob(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Result<Option<Bytes>, MetadataError> {
        let route = Route::Blob { repository: repository.clone(), digest };
        let call = Call { method: Method::Get, route: &route, accept: None, content: None, limit: LARGEST_MANIFEST };
        let answer = self.ask(registry, call).await?;
        if (300..400).contains(&answer.status) {
            return Ok(None);
        }
        Ok(found(answer, "GET of a blob")?.map(|answer| answer.body))
    }

    /// All tags, by name; `None`: there is no such repository.
    pub(super) async fn listed_tags(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
    ) -> Result<Option<Vec<Tag>>, MetadataError> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let route = |page| Route::Tags { repository: repository.clone(), page };
        let read = |body: &[u8]| Some(serde_json::from_slice::<Tags>(body).ok()?.tags.unwrap_or_default());
        let names = self.all_pages(registry, Page::default(), route, read, "the list of tags").await?;
        Ok(names.map(|names| sorted(names.iter().filter_map(|name| Tag::parse(name).ok()))))
    }

    /// All repositories, by name; `None`: there is no catalogue.
    pub(super) async fn all_repositories(
        &self,
        registry: &Registry,
    ) -> Result<Option<Vec<RepositoryName>>, MetadataError> {
        #[derive(Deserialize)]
        struct Catalogue {
            repositories: Option<Vec<String>>,
        }
        let first = Page { n: Some(CATALOGUE_PAGE), last: None };
        let read = |body: &[u8]| Some(serde_json::from_slice::<Catalogue>(body).ok()?.repositories.unwrap_or_default());
        let names = self.all_pages(registry, first, Route::Catalog, read, "the catalogue").await?;
        Ok(names.map(|names| sorted(names.iter().filter_map(|name| RepositoryName::parse(name).ok()))))
    }

    /// A list to its end, whether or not the upstream divides it into pages.
    async fn all_pages(
        &self,
        registry: &Registry,
        mut page: Page,
        route: impl Fn(Page) -> Route,
        read: impl Fn(&[u8]) -> Option<Vec<String>>,
        what: &'static str,
    ) -> Result<Option<Vec<String>>, MetadataError> {
        let mut names = Vec::new();
        for _ in 0..MOST_PAGES {
            let route = route(page.clone());
            let call = Call { method: Method::Get, route: &route, accept: None, content: None, limit: LARGEST_LIST };
            let answer = self.ask(registry, call).await?;
            let Some(answer) = found(answer, what)? else { return Ok(None) };
            names.extend(read(&answer.body).ok_or_else(|| unusable(what))?);
            match next_page(&answer.headers) {
                None => return Ok(Some(names)),
                Some(next) if next.last == page.last => return Err(unusable("pages that lead nowhere").into()),
                Some(next) => page = next,
            }
        }
        Err(unusable("pages without end").into())
    }

    /// The headers of the answer to `HEAD`; `None`: there is no such thing.
    pub(super) async fn head_of(&self, registry: &Registry, route: &Route) -> Result<Option<HeaderMap>, MetadataError> {
        let answer = self.ask(registry, manifest_call(Method::Head, route)).await?;
        Ok(found(answer, "HEAD of what is kept")?.map(|answer| answer.headers))
    }

    /// Asks, when it is our turn.
    pub(super) async fn ask(&self, registry: &Registry, call: Call<'_>) -> Result<Answer, MetadataError> {
        let turns = self.state.turns(&registry.name, self.errand);
        // Nobody closes the semaphore.
        let _turn = turns.acquire().await;
        let is_read = matches!(call.method, Method::Get | Method::Head);
        let touched = call.route.repository().filter(|_| !is_read);
        let _change = touched.map(|repository| self.parts.content.change(&registry.name, repository));
        let answered = self.parts.calls.send(registry, call).await;
        self.parts.metrics.upstream_called(match &answered {
            Ok(answer) if answer.status < 400 => UpstreamCall::Ok,
            Ok(answer) if answer.status == 404 => UpstreamCall::NotFound,
            Ok(_) => UpstreamCall::Refused,
            Err(_) => UpstreamCall::Failed,
        });
        Ok(answered?)
    }
}

/// Does `work` with all of `items`, [`AT_ONCE`] of them at a time. The results come in any order.
pub(super) async fn at_once<T, R, F>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> F,
) -> Result<Vec<R>, MetadataError>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let (mut running, mut results) = (JoinSet::new(), Vec::new());
    for item in items {
        if running.len() >= AT_ONCE
            && let Some(done) = running.join_next().await
        {
            results.push(done.map_err(|_| ended())?);
        }
        running.spawn(work(item));
    }
    while let Some(done) = running.join_next().await {
        results.push(done.map_err(|_| ended())?);
    }
    Ok(results)
}

/// As many turns as requests may be on their way.
pub(super) fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_ONCE))
}

const fn manifest_call(method: Method, route: &Route) -> Call<'_> {
    let limit = match method {
        Method::Head => SMALL,
        _ => LARGEST_MANIFEST,
    };
    Call { method, route, accept: Some(ACCEPT), content: None, limit }
}

/// The answer of a success; `None` for 404.
fn found(answer: Answer, what: &'static str) -> Result<Option<Answer>, MetadataError> {
    match answer.status {
        200 => Ok(Some(answer)),
        404 => Ok(None),
        status => Err(MetadataError::Refused { status, what }),
    }
}

fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    Digest::parse(headers.get("docker-content-digest")?.to_str().ok()?).ok()
}

/// What the `Link` of an answer asks for next (RFC 8288; OCI "Listing Tags"). Only the query counts: where the upstream is
/// we know better.
pub(super) fn next_page(headers: &HeaderMap) -> Option<Page> {
    let pairs = query::pairs(next_link(headers)?.split_once('?')?.1).ok()?;
    let one = |key: &str| pairs.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| value);
    Some(Page { n: one("n").and_then(|n| n.parse().ok()), last: Some(one("last")?.clone()) })
}

/// The target of the `Link` to what comes next.
pub(super) fn next_link(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(LINK).iter().find_map(|value| {
        let (target, parameters) = value.to_str().ok()?.strip_prefix('<')?.split_once('>')?;
        parameters.contains("next").then_some(target)
    })
}

/// Some work stopped at a defect, which was counted and logged where it happened.
pub(super) fn ended() -> MetadataError {
    MetadataError::Store("the work was ended by a defect".to_owned())
}

pub(super) fn unusable(what: &str) -> CallError {
    CallError::Unusable(what.to_owned())
}

fn sorted<T: Ord>(names: impl Iterator<Item = T>) -> Vec<T> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}
