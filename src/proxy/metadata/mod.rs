//! Answers of seawall's own about what a registry holds: ACR's metadata API, and those listings of the protocol that the
//! registry behind does not page or filter, or does not have.
//!
//! Whoever gets here is permitted and no lock is in the way. What is known, and how, is `crate::metadata`'s; here it is
//! written down as clients expect it (wire contract 3).

mod page;
mod patch;
mod shapes;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

pub(crate) use patch::LIMIT as PATCH_LIMIT;

use self::page::Asked;
use self::shapes::{Catalog, Deleted, INDEX, Referrers, Shapes, TagNames};
use super::answer::Answer;

use super::locks::Leave;
use super::reject::Refusal;
use super::target::Target;
use crate::clock::Timestamp;
use crate::current::Current;
use crate::metadata::{Listing, MayList, Metadata, MetadataError};
use crate::oci::{Digest, ErrorBody, ErrorCode, MetadataRoute, Method, Page, Reference, RepositoryName, Route, Tag};
use crate::policy::locks::{Lock, LockTarget};
use crate::policy::network::Admitted;
use crate::policy::{Permit, Principal, Registry, may_list};

/// A permitted request that seawall answers itself.
#[derive(Debug)]
pub(crate) struct Own {
    /// Nothing is answered without one.
    pub(crate) _permit: Permit,
    pub(crate) registry: Arc<Registry>,
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) principal: Principal,
    pub(crate) admitted: Admitted,
    /// Held to the end of the request.
    pub(crate) leave: Leave,
    pub(crate) now: Timestamp,
}

/// What answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub(crate) metadata: &'a Metadata,
    pub(crate) current: &'a Current,
}

type Answered = Result<Answer, MetadataError>;

impl Own {
    /// The one manifest that may be pushed, if this is a push.
    pub(crate) fn only(&self) -> Option<Only<'_>> {
        let (digest, lock) = self.leave.only.as_ref()?;
        Some(Only { repository: self.target.repository()?, digest, lock })
    }

    /// Whether the answer depends on the request's body.
    pub(crate) fn has_body(&self) -> bool {
        self.method == Method::Patch
    }

    /// The answer. `body` is that of the request, where it has one; in `changed` there is at every moment what the audit log
    /// has to say of it.
    pub(crate) async fn answer(
        &self,
        desk: Desk<'_>,
        body: &[u8],
        changed: &mut Option<String>,
    ) -> Result<Answer, Refusal> {
        let answered = match &self.target {
            Target::Registry(route) => self.of_registry(desk.metadata, route).await,
            Target::Metadata(route) if self.method == Method::Patch => self.change(desk, route, body, changed).await,
            Target::Metadata(route) if self.method == Method::Delete => self.remove(desk.metadata, route).await,
            Target::Metadata(route) => self.show(desk.metadata, &self.registry, route).await,
        };
        answered.or_else(|error| self.failed(error))
    }

    async fn of_registry(&self, metadata: &Metadata, route: &Route) -> Answered {
        match route {
            Route::Catalog(page) => self.catalog(metadata, &Asked::by_name(page), "/v2/_catalog", false).await,
            Route::Tags { repository, page } => self.tag_names(metadata, repository, page).await,
            Route::Referrers { repository, digest, artifact_type, page } => {
                self.referrers(metadata, (repository, digest), artifact_type.as_deref(), page).await
            }
            Route::Manifest { repository, reference: Reference::Tag(tag), .. } => {
                self.untag(metadata, repository, tag).await
            }
            Route::Base
            | Route::Manifest { .. }
            | Route::Blob { .. }
            | Route::UploadStart { .. }
            | Route::Upload { .. } => Err(MetadataError::Invalid("the registry behind answers this")),
        }
    }

    /// Only names of what the caller may look into (D7).
    async fn catalog(&self, metadata: &Metadata, asked: &Asked, path: &str, null: bool) -> Answered {
        let (principal, admitted) = (self.principal.clone(), self.admitted.clone());
        let mine: MayList = Arc::new(move |name| may_list(&principal, name, &admitted));
        let listing = metadata.repositories(&self.registry, &asked.part(), mine).await?;
        let (names, link) = cut(asked, listing, path, &[]);
        Ok(linked(json(StatusCode::OK, &Catalog::new(&names, null)), link))
    }

    async fn tag_names(&self, metadata: &Metadata, repository: &RepositoryName, page: &Page) -> Answered {
        let asked = Asked::whole(page);
        let listing = metadata.tag_names(&self.registry, repository, &asked.part()).await?;
        let (tags, link) = cut(&asked, listing, &format!("/v2/{repository}/tags/list"), &[]);
        Ok(linked(json(StatusCode::OK, &TagNames::new(repository, &tags)), link))
    }

    async fn referrers(
        &self,
        metadata: &Metadata,
        (repository, subject): (&RepositoryName, &Digest),
        artifact_type: Option<&str>,
        page: &Page,
    ) -> Answered {
        let asked = Asked::by_name(page);
        let part = asked.part();
        let listing = metadata.referrers(&self.registry, repository, subject, artifact_type, &part).await?;
        let filter: Vec<_> = artifact_type.map(|kind| ("artifactType", kind)).into_iter().collect();
        let (referrers, link) = cut(&asked, listing, &format!("/v2/{repository}/referrers/{subject}"), &filter);
        let mut answer = json(StatusCode::OK, &Referrers::new(referrers));
        answer.headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(INDEX))];
        let answer = linked(answer, link);
        Ok(match artifact_type {
            Some(_) => answer.with(HeaderName::from_static("oci-filters-applied"), "artifactType"),
            None => answer,
        })
    }

    /// The tag goes, whatever it is of stays (OCI distribution-spec, "Deleting tags").
    async fn untag(&self, metadata: &Metadata, repository: &RepositoryName, tag: &Tag) -> Answered {
        metadata.untag(&self.registry, repository, tag).await?;
        Ok(Answer::empty(StatusCode::ACCEPTED))
    }

    /// By the attributes of `registry`, which may be newer than those the request was judged by.
    async fn show(&self, metadata: &Metadata, registry: &Arc<Registry>, route: &MetadataRoute) -> Answered {
        let shapes = Shapes { registry, now: self.now };
        let path = route.path();
        let answer = match route {
            MetadataRoute::Catalog(page) => {
                return self.catalog(metadata, &Asked::ordered(page), &path, true).await;
            }
            MetadataRoute::Repository(name) => {
                json(StatusCode::OK, &shapes.repository(&metadata.repository(registry, name).await?))
            }
            MetadataRoute::Tag { repository, tag } => {
                let tag = metadata.tag(registry, repository, tag).await?;
                json(StatusCode::OK, &shapes.of(repository, "tag", shapes.tag(repository, &tag)))
            }
            MetadataRoute::Manifest { repository, digest } => {
                let manifest = metadata.manifest(registry, repository, digest).await?;
                json(StatusCode::OK, &shapes.of(repository, "manifest", shapes.manifest(repository, manifest)))
            }
            MetadataRoute::Tags { repository, page, digest } => {
                let asked = Asked::ordered(page);
                let listing = metadata.tags(registry, repository, &asked.part(), digest.as_ref()).await?;
                let digest: Vec<_> = digest.iter().map(|digest| ("digest", digest.as_str())).collect();
                let (tags, link) = cut(&asked, listing, &path, &digest);
                let tags: Vec<_> = tags.iter().map(|tag| shapes.tag(repository, tag)).collect();
                linked(json(StatusCode::OK, &shapes.of(repository, "tags", tags)), link)
            }
            MetadataRoute::Manifests { repository, page } => {
                let asked = Asked::ordered(page);
                let listing = metadata.manifests(registry, repository, &asked.part()).await?;
                let (manifests, link) = cut(&asked, listing, &path, &[]);
                let manifests: Vec<_> =
                    manifests.into_iter().map(|manifest| shapes.manifest(repository, manifest)).collect();
                linked(json(StatusCode::OK, &shapes.of(repository, "manifests", manifests)), link)
            }
        };
        Ok(answer)
    }

    /// Changes attributes and shows what they are now.
    async fn change(
        &self,
        desk: Desk<'_>,
        route: &MetadataRoute,
        body: &[u8],
        changed: &mut Option<String>,
    ) -> Answered {
        let change = patch::read(body).map_err(MetadataError::Invalid)?;
        let target = lock_target(route).ok_or(MetadataError::Invalid("a listing has no attributes"))?;
        let by = format!("{} {}", self.principal.kind(), self.principal.name());
        let told = patch::told(&change);
        // Beforehand: it may be stored although it fails, or although the client leaves.
        *changed = Some(format!("asked for: {told}"));
        let set = desk.metadata.set_attributes(&self.registry, &target, &change, &by).await;
        if !set.as_ref().is_err_and(may_be_stored) {
            *changed = set.is_ok().then_some(told);
        }
        set?;
        let policy = desk.current.load();
        let now_in_force = policy.as_ref().and_then(|policy| policy.registry_named(&self.registry.name));
        self.show(desk.metadata, now_in_force.unwrap_or(&self.registry), route).await
    }

    async fn remove(&self, metadata: &Metadata, route: &MetadataRoute) -> Answered {
        match route {
            MetadataRoute::Tag { repository, tag } => self.untag(metadata, repository, tag).await,
            MetadataRoute::Repository(name) => {
                let deleted = metadata.delete_repository(&self.registry, name).await?;
                let tags_deleted = deleted.tags.iter().map(ToString::to_string).collect();
                let shape = Deleted { manifests_deleted: deleted.manifests, tags_deleted };
                Ok(json(StatusCode::ACCEPTED, &shape))
            }
            MetadataRoute::Catalog(_)
            | MetadataRoute::Tags { .. }
            | MetadataRoute::Manifests { .. }
            | MetadataRoute::Manifest { .. } => Err(MetadataError::Invalid("this is not deleted here")),
        }
    }

    /// What is not there, or cannot be meant, is an answer like any other; the rest ends the request.
    fn failed(&self, error: MetadataError) -> Result<Answer, Refusal> {
        let told = |status: StatusCode, body: &ErrorBody| Answer::json(status, body.json());
        match error {
            MetadataError::Unknown(code) => {
                let body = match (code, self.target.repository()) {
                    (ErrorCode::NameUnknown, Some(repository)) => ErrorBody::name_unknown(repository),
                    _ => ErrorBody::new(code),
                };
                Ok(told(StatusCode::NOT_FOUND, &body))
            }
            MetadataError::Invalid(text) => {
                Ok(told(StatusCode::BAD_REQUEST, &ErrorBody::with_message(ErrorCode::Unsupported, text)))
            }
            MetadataError::Locked(lock) => Err(Refusal::Locked(lock)),
            MetadataError::LocksUnknown(why) => Err(Refusal::LocksUnknown(why)),
            MetadataError::Upstream(error) => Err(Refusal::Upstream((&error).into())),
            refused @ MetadataError::Refused { .. } => {
                Err(Refusal::Metadata { status: 502, cause: refused.to_string() })
            }
            rest @ (MetadataError::Store(_) | MetadataError::Unfinished { .. }) => {
                Err(Refusal::Metadata { status: 503, cause: rest.to_string() })
            }
        }
    }
}

/// A push by a tag that exists and is written once only.
#[derive(Debug)]
pub(crate) struct Only<'a> {
    repository: &'a RepositoryName,
    /// What the tag is of.
    digest: &'a Digest,
    lock: &'a Lock,
}

impl Only<'_> {
    /// The manifest that the tag is of already may be pushed again, and nothing is left to do.
    pub(crate) fn answer(&self, manifest: &[u8]) -> Result<Answer, Refusal> {
        let Self { repository, digest, lock } = self;
        if Digest::sha256(manifest) != **digest {
            return Err(Refusal::Locked((*lock).clone()));
        }
        Ok(Answer::empty(StatusCode::CREATED)
            .with(header::LOCATION, &format!("/v2/{repository}/manifests/{digest}"))
            .with(HeaderName::from_static("docker-content-digest"), digest.as_str()))
    }
}

/// Whether a change that ended so may be stored all the same.
const fn may_be_stored(error: &MetadataError) -> bool {
    matches!(error, MetadataError::Store(_) | MetadataError::Unfinished { .. })
}

/// What has the attributes.
fn lock_target(route: &MetadataRoute) -> Option<LockTarget> {
    match route {
        MetadataRoute::Repository(name) => Some(LockTarget::Repository(name.clone())),
        MetadataRoute::Tag { repository, tag } => Some(LockTarget::Tag(repository.clone(), tag.clone())),
        MetadataRoute::Manifest { repository, digest } => {
            Some(LockTarget::Manifest(repository.clone(), digest.clone()))
        }
        MetadataRoute::Catalog(_) | MetadataRoute::Tags { .. } | MetadataRoute::Manifests { .. } => None,
    }
}

fn cut<T>(asked: &Asked, listing: Listing<T>, path: &str, more: &[(&str, &str)]) -> (Vec<T>, Option<String>) {
    asked.cut((listing.items, listing.next), path, more)
}

fn linked(answer: Answer, link: Option<String>) -> Answer {
    match link {
        Some(link) => answer.with(header::LINK, &link),
        None => answer,
    }
}

/// Nothing that is written here can fail to be.
fn json(status: StatusCode, shape: &impl Serialize) -> Answer {
    let mut answer = Answer::json(status, String::new());
    answer.body = serde_json::to_vec(shape).map(Bytes::from).unwrap_or_default();
    answer
}
