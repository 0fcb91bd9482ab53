//! Step 10, rewrite: what of the upstream's answer goes back to the client.
//!
//! Headers are passed from a list; `Location` and `Link` are built anew, relative; the texts of errors are ours. So
//! neither the upstream's host nor its inner errors can leak, and no client is ever sent past us.

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use serde::Deserialize;

use super::answer::Answer;
use super::forward::Forward;
use super::reject::UpstreamFailure;
use super::upload::{self, Binding};
use crate::oci::{Digest, ErrorBody, ErrorCode, Method, Page, Reference, Route, UploadSession};
use crate::secret::HashKey;

/// How much of an upstream's error is read to find its code, in bytes.
const ERROR_LIMIT: usize = 64 * 1024;

/// The upstream's headers that a client may see.
static PASSED: [HeaderName; 17] = [
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RANGE,
    header::RETRY_AFTER,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("docker-content-digest"),
    HeaderName::from_static("docker-upload-uuid"),
    HeaderName::from_static("oci-chunk-min-length"),
    HeaderName::from_static("oci-filters-applied"),
    HeaderName::from_static("oci-subject"),
];

/// Those that tell us something.
static TOLD: [HeaderName; 3] = [header::LOCATION, header::LINK, header::WWW_AUTHENTICATE];

/// The header of an upstream's answer that is called `name`, if anybody looks at it.
pub(crate) fn looked_at(name: &str) -> Option<HeaderName> {
    PASSED.iter().chain(&TOLD).find(|known| known.as_str().eq_ignore_ascii_case(name)).cloned()
}

/// What becomes of the upstream's body.
#[derive(Debug)]
pub(crate) enum Body {
    /// Passed on as it is.
    Pass,
    /// Read up to its end, and replaced by our text for the code that it names.
    Replace { status: StatusCode, read: BytesMut },
}

/// Turns the upstream's answer, about what it says is of the digest `named`, into ours, and says what becomes of its body.
pub(crate) fn answer(
    forward: &Forward,
    key: &HashKey,
    (response, named): (&mut ResponseHeader, Option<&Digest>),
) -> Result<Result<Body, UpstreamFailure>> {
    if response.status.is_informational() {
        return Ok(informational(response));
    }
    let status = match status(forward, response.status) {
        Ok(status) => status,
        Err(failure) => return Ok(Err(failure)),
    };
    let upstream_location = response.headers.get(header::LOCATION).cloned();
    let upstream_link = response.headers.get(header::LINK).cloned();
    response.set_status(status)?;
    keep_listed(response);
    if status.is_success() {
        match location(forward, key, status, upstream_location.as_ref().and_then(plain), named) {
            Ok(Some(location)) => response.insert_header(header::LOCATION, location)?,
            Ok(None) => {}
            Err(failure) => return Ok(Err(failure)),
        }
        if let Some(link) = upstream_link.as_ref().and_then(plain).and_then(|link| next_page(&forward.route, link)) {
            response.insert_header(header::LINK, link)?;
        }
        return Ok(Ok(Body::Pass));
    }
    error_body(forward, status, response).map(Ok)
}

/// The answer to an error that needs nothing of the upstream's body.
///
/// There may be none in which its place could be taken. And to a range that is not there, Distribution 2.8 announces the
/// length of the whole blob and hangs up: whoever waits for that body cannot answer at all.
pub(crate) fn at_once(forward: &Forward, response: &ResponseHeader) -> Option<Answer> {
    let status = status(forward, response.status).ok().filter(|status| !status.is_success())?;
    let bodiless = text(response, &header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    let ours = match (forward.method, status) {
        (Method::Head, _) | (_, StatusCode::NOT_MODIFIED) => false,
        (Method::Get, StatusCode::RANGE_NOT_SATISFIABLE) => true,
        _ => bodiless,
    };
    if !ours {
        return None;
    }
    let answer = Answer::json(status, Body::replacement(&forward.route, status, b""));
    let answer = match text(response, &header::RETRY_AFTER) {
        Some(after) => answer.with(header::RETRY_AFTER, &after),
        None => answer,
    };
    // `bytes */LENGTH` tells the client what there is (RFC 9110 14.4).
    let whole = text(response, &header::CONTENT_RANGE).filter(|range| {
        let length = range.strip_prefix("bytes */").unwrap_or_default();
        !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit())
    });
    Some(match whole {
        Some(range) => answer.with(header::CONTENT_RANGE, &range),
        None => answer,
    })
}

/// An interim answer has nothing to say but its status; only `100 Continue` is one that anybody asked for.
fn informational(response: &mut ResponseHeader) -> Result<Body, UpstreamFailure> {
    let names: Vec<HeaderName> = response.headers.keys().cloned().collect();
    for name in names {
        response.remove_header(&name);
    }
    if response.status == StatusCode::SWITCHING_PROTOCOLS { Err(UpstreamFailure::Unusable) } else { Ok(Body::Pass) }
}

/// Which statuses may be passed on. An upstream that wants a credential, redirects or fails is our failure, not the
/// client's.
fn status(forward: &Forward, status: StatusCode) -> Result<StatusCode, UpstreamFailure> {
    match status.as_u16() {
        200 | 201 | 202 | 204 | 206 | 304 | 400 | 404 | 405 | 412 | 413 | 416 | 429 | 503 => Ok(status),
        // A chunk that does not follow the last one, in some upstreams.
        409 if forward.is_upload() => Ok(status),
        301 | 302 | 303 | 307 | 308 => Err(UpstreamFailure::Redirected),
        401 => Err(UpstreamFailure::Unauthorized),
        403 | 407 => Err(UpstreamFailure::RefusedUs),
        504 => Err(UpstreamFailure::TimedOut),
        500..=599 => Err(UpstreamFailure::Broken),
        _ => Err(UpstreamFailure::Unusable),
    }
}

fn text(response: &ResponseHeader, name: &HeaderName) -> Option<String> {
    response.headers.get(name).and_then(plain).map(str::to_owned)
}

fn plain(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

fn keep_listed(response: &mut ResponseHeader) {
    let drop: Vec<HeaderName> = response.headers.keys().filter(|name| !PASSED.contains(name)).cloned().collect();
    for name in drop {
        response.remove_header(&name);
    }
}

/// The `Location` of an answer, built from what we know of the request.
fn location(
    forward: &Forward,
    key: &HashKey,
    status: StatusCode,
    upstream: Option<&str>,
    named: Option<&Digest>,
) -> Result<Option<String>, UpstreamFailure> {
    let blob = |digest: &Digest| forward.route.repository().map(|name| format!("/v2/{name}/blobs/{digest}"));
    let created = status == StatusCode::CREATED;
    Ok(match &forward.route {
        Route::UploadStart { mount: Some(mount), .. } if created => blob(&mount.digest),
        Route::UploadStart { digest: Some(digest), .. } | Route::Upload { digest: Some(digest), .. } if created => {
            blob(digest)
        }
        Route::Manifest { repository, reference, .. } if created => {
            let digest = named.cloned().map(Reference::Digest);
            Some(format!("/v2/{repository}/manifests/{}", digest.as_ref().unwrap_or(reference)))
        }
        Route::UploadStart { repository, .. } | Route::Upload { repository, .. }
            if status == StatusCode::ACCEPTED
                || (status == StatusCode::NO_CONTENT && forward.method == Method::Get) =>
        {
            let (session, query) =
                upstream.and_then(|at| upload::session_of(at, repository)).ok_or(UpstreamFailure::Unusable)?;
            Some(sealed_location(forward, key, &session, query).ok_or(UpstreamFailure::Unusable)?)
        }
        _ => None,
    })
}

fn sealed_location(forward: &Forward, key: &HashKey, session: &UploadSession, query: &str) -> Option<String> {
    let repository = forward.route.repository()?;
    let principal = forward.permit.principal();
    let state = Binding { registry: &forward.registry.name, repository, session, principal }.seal(key, query);
    Some(format!("/v2/{repository}/blobs/uploads/{}?_state={state}", session.as_str()))
}

/// The link to the next page: the upstream's cursor on our own route (wire contract R8).
fn next_page(route: &Route, link: &str) -> Option<String> {
    let target = link.strip_prefix('<')?.split_once('>')?.0;
    let query = target.split_once('?')?.1;
    let pairs = crate::oci::query::pairs(query).ok()?;
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let page = Page { n: value("n").and_then(|n| n.parse().ok()), last: value("last") };
    page.last.as_ref()?;
    let next = match route {
        Route::Catalog(_) => Route::Catalog(page),
        Route::Tags { repository, .. } => Route::Tags { repository: repository.clone(), page },
        Route::Base
        | Route::Manifest { .. }
        | Route::Blob { .. }
        | Route::UploadStart { .. }
        | Route::Upload { .. }
        | Route::Referrers { .. } => return None,
    };
    Some(format!("<{}>; rel=\"next\"", next.canonical()))
}

/// Prepares the header of an error for a body of ours. A HEAD has no body to replace.
fn error_body(forward: &Forward, status: StatusCode, response: &mut ResponseHeader) -> Result<Body> {
    if status == StatusCode::NOT_MODIFIED {
        return Ok(Body::Pass);
    }
    // What these say of the upstream's body is not true of ours.
    response.remove_header(&header::CONTENT_ENCODING);
    response.remove_header(&header::ETAG);
    if forward.method == Method::Head {
        return Ok(Body::Pass);
    }
    response.remove_header(&header::CONTENT_LENGTH);
    response.remove_header(&header::CONTENT_RANGE);
    response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    response.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))?;
    Ok(Body::Replace { status, read: BytesMut::new() })
}

impl Body {
    /// Takes in a piece of the upstream's error; what is over the limit is not kept.
    pub(crate) fn take(read: &mut BytesMut, piece: &[u8]) {
        let room = ERROR_LIMIT.saturating_sub(read.len());
        read.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    /// Our text for the upstream's error.
    pub(crate) fn replacement(route: &Route, status: StatusCode, read: &[u8]) -> String {
        let code = code_of(read).filter(|code| may_pass(*code)).unwrap_or_else(|| code_for(route, status));
        let body = match (code, route.repository()) {
            (ErrorCode::NameUnknown, Some(repository)) => ErrorBody::name_unknown(repository),
            _ => ErrorBody::new(code),
        };
        body.json()
    }
}

#[derive(Deserialize)]
struct UpstreamErrors {
    errors: Vec<UpstreamError>,
}

#[derive(Deserialize)]
struct UpstreamError {
    code: String,
}

fn code_of(body: &[u8]) -> Option<ErrorCode> {
    let errors: UpstreamErrors = serde_json::from_slice(body).ok()?;
    ErrorCode::parse(&errors.errors.first()?.code)
}

/// Codes about the request itself. Codes about credentials would be about ours, not the client's.
const fn may_pass(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::Unauthorized | ErrorCode::Denied)
}

/// The code for an error that names none.
const fn code_for(route: &Route, status: StatusCode) -> ErrorCode {
    match (status.as_u16(), route) {
        (404, Route::Manifest { .. }) => ErrorCode::ManifestUnknown,
        (404, Route::Blob { .. }) => ErrorCode::BlobUnknown,
        (404, Route::Upload { .. }) => ErrorCode::BlobUploadUnknown,
        (404, _) => ErrorCode::NameUnknown,
        (416, _) => ErrorCode::RangeInvalid,
        (429, _) => ErrorCode::TooManyRequests,
        (503, _) => ErrorCode::Unavailable,
        (400, Route::Manifest { .. }) | (413, _) => ErrorCode::ManifestInvalid,
        (400 | 409, Route::Upload { .. } | Route::UploadStart { .. }) => ErrorCode::BlobUploadInvalid,
        (405, _) => ErrorCode::Unsupported,
        _ => ErrorCode::Unknown,
    }
}
