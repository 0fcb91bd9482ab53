//! Step 8, locks: what nobody may do now, whatever his rights are (requirements B.8).
//!
//! `policy::locks` judges, by what `metadata` asks the registry behind at that moment, such as which manifest a tag is of.
//! Here is what a request is about to do, and that pushes of one write-once tag wait for each other. What cannot be found out
//! is not done: 503.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, header};
use pingora::http::ResponseHeader;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::forward::Forward;
use super::reject::Refusal;
use super::target::Target;
use crate::clock::Timestamp;
use crate::metadata::{BeforeTags, Inquiry, Metadata, MetadataError, Turnstiles};
use crate::oci::{Digest, MetadataRoute, Method, Reference, RepositoryName, Route, Tag};
use crate::policy::Registry;
use crate::policy::locks::{Lock, LockTarget, TagFacts, Touch, WRITE_ONCE};

/// For each thing that the upstream has to say of tags.
const PATIENCE: Duration = Duration::from_secs(20);
/// With `json` and `prettyjws` at the end.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";
/// How long a push waits for another one of the same write-once tag.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Who is asked about locks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeper<'a> {
    pub(crate) metadata: &'a Metadata,
    pub(crate) turns: &'a Turns,
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) now: Timestamp,
}

/// That no lock is in the way.
#[derive(Debug, Default)]
pub(crate) struct Leave {
    /// Pushes of a write-once tag take turns until the answer is there.
    pub(crate) turns: Vec<Turn>,
    /// The tag exists and is written once only: nothing is in the way if this is the manifest that is pushed.
    pub(crate) only: Option<(Digest, Lock)>,
    /// What the tag that is read was of, where not every manifest of the repository may be read.
    pub(crate) leads_to: Option<Digest>,
}

impl Keeper<'_> {
    /// Whether a lock is in the way of `target`.
    ///
    /// # Errors
    /// [`Refusal::Locked`], or that it could not be found out.
    pub(crate) async fn pass(&self, method: Method, target: &Target) -> Result<Leave, Refusal> {
        if let Some(source) = source(target) {
            self.judge(&source, &mut TagFacts::default(), &mut Vec::new()).await?.map_err(Refusal::Locked)?;
        }
        let Some(touch) = touch(method, target) else { return Ok(Leave::default()) };
        let mut leave = Leave::default();
        let mut facts = TagFacts::default();
        let Err(lock) = self.judge(&touch, &mut facts, &mut leave.turns).await? else {
            leave.leads_to = self.leads_to(&touch).await?;
            return Ok(leave);
        };
        // Which manifest comes is in the body, which nobody has read yet; the one that is there already may come again.
        let Touch::WriteManifest { digest: None, tags, .. } = &touch else { return Err(Refusal::Locked(lock)) };
        if lock.attribute == WRITE_ONCE
            && let Some(Some(there)) = tags.first().and_then(|tag| facts.tags.get(tag)).cloned()
        {
            facts.pushed = Some(there.clone());
            self.judge(&touch, &mut facts, &mut leave.turns).await?.map_err(Refusal::Locked)?;
            leave.only = Some((there, lock));
            return Ok(leave);
        }
        Err(Refusal::Locked(lock))
    }

    /// What a tag leads to, if it may be read. To a client that accepts few media types, Distribution 2 answers with a
    /// converted manifest and the digest of that: only asked with all of them it says which manifest the tag is of.
    async fn leads_to(&self, touch: &Touch) -> Result<Option<Digest>, Refusal> {
        let Touch::ReadManifest { repository, reference: Reference::Tag(tag) } = touch else { return Ok(None) };
        let locks = self.registry.locks();
        if !locks.hides_manifests(repository, self.now) {
            return Ok(None);
        }
        let resolved = self.metadata.tags_for_locks(&self.inquiry(touch), std::slice::from_ref(tag)).await;
        let Some((_, Some(digest))) = resolved.map_err(undecided)?.pop() else { return Ok(None) };
        locks.forbids_reading(repository, &digest, self.now).map_or(Ok(Some(digest)), |lock| Err(Refusal::Locked(lock)))
    }

    async fn judge(
        &self,
        touch: &Touch,
        facts: &mut TagFacts,
        taken: &mut Vec<Turn>,
    ) -> Result<Result<(), Lock>, Refusal> {
        let is_push = matches!(touch, Touch::WriteManifest { .. });
        let (turns, registry, repository) = (self.turns, &self.registry.name, touch.repository());
        let mut queue = Queue { turns, registry, repository, is_push, taken };
        self.metadata.judge(&self.inquiry(touch), facts, &mut queue).await.map_err(undecided)
    }

    const fn inquiry<'a>(&'a self, touch: &'a Touch) -> Inquiry<'a> {
        Inquiry { registry: self.registry, touch, now: self.now, patience: PATIENCE }
    }
}

fn undecided(error: MetadataError) -> Refusal {
    Refusal::LocksUnknown(match error {
        MetadataError::LocksUnknown(why) => why,
        error => error.to_string(),
    })
}

/// Where pushes of write-once tags wait for each other.
struct Queue<'a> {
    turns: &'a Turns,
    registry: &'a Arc<str>,
    repository: &'a RepositoryName,
    is_push: bool,
    taken: &'a mut Vec<Turn>,
}

impl BeforeTags for Queue<'_> {
    /// In one order, so that no two requests wait for each other.
    async fn hold(&mut self, tags: &[Tag]) -> Result<(), MetadataError> {
        if !self.is_push || !self.taken.is_empty() {
            return Ok(());
        }
        let tags: BTreeSet<&Tag> = tags.iter().collect();
        for tag in tags {
            let target = LockTarget::Tag(self.repository.clone(), tag.clone());
            let turn = timeout(LONGEST_WAIT, self.turns.take((Arc::clone(self.registry), target))).await;
            let busy = |_| {
                let why = "another push of the same write-once tag goes on for too long";
                MetadataError::LocksUnknown(why.to_owned())
            };
            self.taken.push(turn.map_err(busy)?);
        }
        Ok(())
    }
}

/// Why the manifest that a tag led to may not be read: also by the digest in the answer of the registry behind, so that no
/// tag can move in between. A conversion to schema 1 may be of any manifest, such as of one in the tag's list.
pub(crate) fn bars_answer(
    forward: &Forward,
    leave: &Leave,
    (response, named): (&ResponseHeader, Option<&Digest>),
    now: Timestamp,
) -> Option<Refusal> {
    let Route::Manifest { repository, reference: Reference::Tag(_), .. } = &forward.route else { return None };
    let is_read = matches!(forward.method, Method::Get | Method::Head);
    if !is_read || !(response.status.is_success() || response.status == StatusCode::NOT_MODIFIED) {
        return None;
    }
    let locks = forward.registry.locks();
    let unknown = || {
        locks.hides_manifests(repository, now).then(|| {
            let why = "the upstream does not say which manifest the tag is of, and not every manifest may be read";
            Refusal::LocksUnknown(why.to_owned())
        })
    };
    let Some(digest) = named else { return unknown() };
    if let Some(lock) = locks.forbids_reading(repository, digest, now) {
        return Some(Refusal::Locked(lock));
    }
    if is_schema_1(response) && leave.leads_to.as_ref() != Some(digest) { unknown() } else { None }
}

/// Whether the answer is of the kind that others are converted to, which can be converted to nothing else.
fn is_schema_1(response: &ResponseHeader) -> bool {
    let media_type = response.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.is_some_and(|text| text.trim().to_ascii_lowercase().starts_with(SCHEMA_1))
}

/// What is read from another repository than the one in the path: what is mounted.
fn source(target: &Target) -> Option<Touch> {
    match target {
        Target::Registry(Route::UploadStart { mount: Some(mount), .. }) => {
            Some(Touch::ReadContent { repository: mount.from.clone() })
        }
        Target::Registry(_) | Target::Metadata(_) => None,
    }
}

/// What a request is about to do, as far as locks are concerned.
fn touch(method: Method, target: &Target) -> Option<Touch> {
    match target {
        Target::Registry(route) => touch_of(method, route),
        Target::Metadata(MetadataRoute::Repository(repository)) if method == Method::Delete => {
            Some(Touch::DeleteRepository { repository: repository.clone() })
        }
        Target::Metadata(MetadataRoute::Tag { repository, tag }) if method == Method::Delete => {
            Some(Touch::Untag { repository: repository.clone(), tag: tag.clone() })
        }
        // Whoever may change attributes may always change them, and to look at them is not to read what they are of.
        Target::Metadata(_) => None,
    }
}

fn touch_of(method: Method, route: &Route) -> Option<Touch> {
    let repository = route.repository()?.clone();
    match (route, method) {
        (Route::Manifest { reference, .. }, Method::Get | Method::Head) => {
            Some(Touch::ReadManifest { repository, reference: reference.clone() })
        }
        (Route::Manifest { reference: Reference::Tag(tag), .. }, Method::Delete) => {
            Some(Touch::Untag { repository, tag: tag.clone() })
        }
        (Route::Manifest { reference: Reference::Digest(digest), .. }, Method::Delete) => {
            Some(Touch::DeleteManifest { repository, digest: digest.clone() })
        }
        (Route::Manifest { reference: Reference::Tag(tag), .. }, _) => {
            Some(Touch::WriteManifest { repository, digest: None, tags: vec![tag.clone()] })
        }
        (Route::Manifest { reference: Reference::Digest(digest), tags, .. }, _) => {
            Some(Touch::WriteManifest { repository, digest: Some(digest.clone()), tags: tags.clone() })
        }
        (Route::Blob { .. }, Method::Get | Method::Head) | (Route::Referrers { .. }, _) => {
            Some(Touch::ReadContent { repository })
        }
        (Route::Blob { .. }, _) => Some(Touch::DeleteBlob { repository }),
        (Route::Upload { .. }, Method::Get | Method::Head)
        | (Route::Base | Route::Catalog(_) | Route::Tags { .. }, _) => None,
        (Route::UploadStart { .. } | Route::Upload { .. }, _) => Some(Touch::WriteBlob { repository }),
    }
}

/// Who pushes a write-once tag now, in this process: between the look whether the tag exists and the end of the push nobody
/// else does.
pub(crate) type Turns = Turnstiles<(Arc<str>, LockTarget)>;

/// Ends with the request.
pub(crate) type Turn = OwnedMutexGuard<()>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Endpoint, parse};

    const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn target(line: &str) -> (Method, Target) {
        let (method, path) = line.split_once(' ').unwrap();
        let parsed = parse(method, &path.replace("SHA", SHA)).unwrap();
        let target = match parsed.endpoint {
            Endpoint::Registry(route) => Target::Registry(route),
            Endpoint::Metadata(route) => Target::Metadata(route),
            other => panic!("{other:?}"),
        };
        (parsed.method, target)
    }

    /// The name of the variant, and of a push its tags.
    fn shown(touch: Option<Touch>) -> String {
        match touch {
            None => "-".to_owned(),
            Some(Touch::WriteManifest { digest, tags, .. }) => {
                let tags: Vec<_> = tags.iter().map(Tag::as_str).collect();
                format!("WriteManifest {} {}", if digest.is_some() { "digest" } else { "-" }, tags.join(","))
            }
            Some(touch) => format!("{touch:?}").split(' ').next().unwrap().to_owned(),
        }
    }

    /// B.8-3: every path that could read, change or delete something.
    #[test]
    fn every_path_says_what_it_touches() {
        for (line, expected) in [
            ("GET /v2/a/manifests/v1", "ReadManifest"),
            ("HEAD /v2/a/manifests/SHA", "ReadManifest"),
            ("PUT /v2/a/manifests/v1", "WriteManifest - v1"),
            ("PUT /v2/a/manifests/SHA", "WriteManifest digest "),
            ("PUT /v2/a/manifests/SHA?tag=v1&tag=v2", "WriteManifest digest v1,v2"),
            ("DELETE /v2/a/manifests/v1", "Untag"),
            ("DELETE /v2/a/manifests/SHA", "DeleteManifest"),
            ("GET /v2/a/blobs/SHA", "ReadContent"),
            ("HEAD /v2/a/blobs/SHA", "ReadContent"),
            ("DELETE /v2/a/blobs/SHA", "DeleteBlob"),
            ("POST /v2/a/blobs/uploads/", "WriteBlob"),
            ("POST /v2/a/blobs/uploads/?mount=SHA&from=b", "WriteBlob"),
            ("GET /v2/a/blobs/uploads/x", "-"),
            ("PATCH /v2/a/blobs/uploads/x", "WriteBlob"),
            ("PUT /v2/a/blobs/uploads/x?digest=SHA", "WriteBlob"),
            ("DELETE /v2/a/blobs/uploads/x", "WriteBlob"),
            ("GET /v2/a/referrers/SHA", "ReadContent"),
            ("GET /v2/a/tags/list", "-"),
            ("GET /v2/_catalog", "-"),
            ("GET /v2/", "-"),
            ("GET /acr/v1/a", "-"),
            ("PATCH /acr/v1/a", "-"),
            ("DELETE /acr/v1/a", "DeleteRepository"),
            ("GET /acr/v1/a/_tags/v1", "-"),
            ("PATCH /acr/v1/a/_tags/v1", "-"),
            ("DELETE /acr/v1/a/_tags/v1", "Untag"),
            ("GET /acr/v1/a/_manifests/SHA", "-"),
            ("PATCH /acr/v1/a/_manifests/SHA", "-"),
        ] {
            let (method, target) = target(line);
            assert_eq!(shown(touch(method, &target)), expected, "{line}");
            let mounts = line.contains("mount=");
            assert_eq!(source(&target).is_some(), mounts, "{line}");
        }
        let (_, mount) = target("POST /v2/a/blobs/uploads/?mount=SHA&from=b/c");
        assert_eq!(source(&mount).unwrap().repository().as_str(), "b/c");
    }
}
