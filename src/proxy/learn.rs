//! What is learnt of manifests as they pass. Nothing waits for it, except that a push of a manifest with a subject waits until
//! it is known durably who refers to whom: only then may the answer say so (OCI distribution-spec, "Pushing Manifests with
//! Subject").

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;
use serde::Deserialize;

use super::forward::Forward;
use crate::clock::Timestamp;
use crate::metadata::{Metadata, Note, Passed};
use crate::oci::{Digest, Method, Reference, RepositoryName, Route, Tag};

/// How long the answer to a push waits.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// What one request has let be known so far.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    /// The manifest on its way up; bounded as the request is.
    manifest: BytesMut,
    media_type: String,
    /// When the registry behind was asked.
    asked: Option<Timestamp>,
}

impl Learning {
    /// The request goes up now.
    pub(crate) fn asked(&mut self, at: Timestamp) {
        self.asked = Some(at);
    }

    /// A piece of a manifest goes up; `headers` are the client's.
    pub(crate) fn take(&mut self, piece: Option<&Bytes>, headers: &HeaderMap) {
        if self.manifest.is_empty() {
            let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            media_type.unwrap_or_default().clone_into(&mut self.media_type);
        }
        self.manifest.extend_from_slice(piece.map(AsRef::as_ref).unwrap_or_default());
    }

    /// The registry behind has answered with `response`, about what it says is of this digest.
    pub(crate) async fn answered(
        &mut self,
        metadata: &Metadata,
        forward: &Forward,
        (response, named): (&mut ResponseHeader, Option<&Digest>),
    ) {
        let Some(note) = self.note(forward, response.status, named) else { return };
        if !response.headers.contains_key(&SUBJECT)
            && let Passed::Pushed { body, .. } = &note.what
            && let Some(subject) = subject(body)
            && let Ok(Ok(())) = tokio::time::timeout(LONGEST_WAIT, metadata.keep(note.clone())).await
            && let Ok(subject) = HeaderValue::from_str(subject.as_str())
        {
            // Cannot fail for a name and a value that are in order.
            let _ = response.insert_header(SUBJECT, subject);
        }
        metadata.note(note);
    }

    fn note(&mut self, forward: &Forward, status: StatusCode, named: Option<&Digest>) -> Option<Note> {
        let Route::Manifest { repository, reference, tags } = &forward.route else { return None };
        let what = match (forward.method, status) {
            (Method::Put, StatusCode::CREATED) => self.pushed(named?, reference, tags)?,
            (Method::Get | Method::Head, StatusCode::OK) => {
                Passed::Read { tag: reference.tag().cloned(), digest: named?.clone() }
            }
            (Method::Get | Method::Head, StatusCode::NOT_FOUND) => Passed::Missing(reference.clone()),
            (Method::Delete, StatusCode::ACCEPTED | StatusCode::NOT_FOUND) => Passed::Gone(reference.clone()),
            // Half of it may be done.
            (Method::Delete, status) if status.is_server_error() => Passed::Gone(reference.clone()),
            _ => return None,
        };
        Some(self.of(forward, repository, what))
    }

    fn of(&self, forward: &Forward, repository: &RepositoryName, what: Passed) -> Note {
        let registry = Arc::clone(&forward.registry.name);
        Note { registry, repository: repository.clone(), what, at: self.asked.unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    /// The registry behind may have stored something else than what passed: then it is not known what.
    fn pushed(&mut self, digest: &Digest, reference: &Reference, tags: &[Tag]) -> Option<Passed> {
        let body = std::mem::take(&mut self.manifest).freeze();
        if Digest::sha256(&body) != *digest {
            return None;
        }
        let tags = reference.tag().into_iter().chain(tags).cloned().collect();
        Some(Passed::Pushed { digest: digest.clone(), tags, media_type: std::mem::take(&mut self.media_type), body })
    }
}

/// What the registry behind says that the digest is of what it answers with.
pub(crate) fn digest(response: &ResponseHeader) -> Option<Digest> {
    Digest::parse(response.headers.get(&DIGEST)?.to_str().ok()?).ok()
}

/// What a pushed manifest refers to.
fn subject(body: &[u8]) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Manifest {
        subject: Option<Descriptor>,
    }
    #[derive(Deserialize)]
    struct Descriptor {
        digest: Digest,
    }
    serde_json::from_slice::<Manifest>(body).ok()?.subject.map(|subject| subject.digest)
}
