//! An upstream that redirects to its storage: what is followed, what is passed on, and the request to the storage.
//!
//! Only downloads of blobs, and only to origins that the operator listed (decision 12). The storage gets neither the
//! upstream's credential nor anything of the client's but what says which bytes it wants.

use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::answer::Answer;
use super::forward::{Forward, copy, http_method};
use super::trail::Trail;
use crate::oci::{Digest, Method, Route};
use crate::policy::address::UpstreamTarget;
use crate::policy::redirects::{RedirectRefusal, StorageUrl};

/// How many redirects of one request are followed, the upstream's among them.
const MOST_HOPS: u8 = 3;

/// The client's headers that a storage may see.
const PASSED: [HeaderName; 3] = [header::ACCEPT, header::RANGE, header::IF_RANGE];

/// Where a request goes after it was redirected.
#[derive(Debug)]
pub(crate) struct Hop {
    url: StorageUrl,
    number: u8,
    /// Whether it is about to be sent there.
    due: bool,
}

/// What is done with a redirect.
#[derive(Debug)]
pub(crate) enum Step {
    Follow(Hop),
    /// The answer that sends the client there.
    Pass(Answer),
}

/// What is done with an answer of the upstream, or of the storage that `before` led to. `None`: it is no redirect, or an
/// upstream's whose redirects are refused.
pub(crate) fn step(
    forward: &Forward,
    before: Option<&Hop>,
    response: &ResponseHeader,
    trail: &Trail,
) -> Option<Result<Step, RedirectRefusal>> {
    let redirects = forward.registry.upstream.redirects.as_ref()?;
    let status = response.status.as_u16();
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let next = || {
        if !is_download(forward) {
            return Err(RedirectRefusal::NotADownload);
        }
        if status == 301 {
            return Err(RedirectRefusal::Status(status));
        }
        let number = before.map_or(0, |hop| hop.number) + 1;
        if number > MOST_HOPS {
            return Err(RedirectRefusal::TooMany);
        }
        let url = redirects.storage(location(response).ok_or(RedirectRefusal::Malformed)?)?;
        let passes = match (trail.source, &trail.network) {
            (Some(source), Some(network)) => redirects.passes_to(source, network),
            _ => false,
        };
        Ok(if passes { Step::Pass(pass(&url)) } else { Step::Follow(Hop { url, number, due: true }) })
    };
    Some(next())
}

/// The one `Location`: of two, nobody knows which one is meant.
fn location(response: &ResponseHeader) -> Option<&str> {
    let mut lines = response.headers.get_all(header::LOCATION).iter();
    let only = lines.next().filter(|_| lines.next().is_none())?;
    only.to_str().ok()
}

/// Not the upstream's status: what is redirected for good would never be asked of us again.
fn pass(url: &StorageUrl) -> Answer {
    Answer::empty(StatusCode::TEMPORARY_REDIRECT)
        .with(header::LOCATION, &url.url())
        .with(header::CACHE_CONTROL, "no-store")
}

const fn is_download(forward: &Forward) -> bool {
    matches!((&forward.route, forward.method), (Route::Blob { .. }, Method::Get | Method::Head))
}

impl Hop {
    /// Whether the request is to be sent again, to here; once.
    pub(crate) const fn take_due(&mut self) -> bool {
        std::mem::replace(&mut self.due, false)
    }

    pub(crate) fn storage(&self) -> &UpstreamTarget {
        &self.url.storage
    }

    /// The request to the storage.
    pub(crate) fn request(&self, method: Method, client: &RequestHeader) -> Result<RequestHeader> {
        let target = self.url.path_and_query().as_bytes();
        let mut request = RequestHeader::build(http_method(method), target, Some(4))?;
        request.insert_header(header::HOST, self.url.storage.host_header())?;
        for name in PASSED {
            copy(&client.headers, &name, &mut request)?;
        }
        Ok(request)
    }
}

/// Whether an answer of a storage is about the blob. All others are between the upstream and its storage: a URL that has
/// expired, for one.
pub(crate) const fn is_about_the_blob(status: StatusCode) -> bool {
    matches!(status.as_u16(), 100..=199 | 200 | 206 | 304 | 404 | 412 | 416)
}

/// Makes the storage's answer the upstream's, which names the blob.
pub(crate) fn name_blob(forward: &Forward, response: &mut ResponseHeader) -> Result<()> {
    match &forward.route {
        Route::Blob { digest, .. } if response.status.is_success() => {
            response.insert_header(HeaderName::from_static("docker-content-digest"), text(digest))
        }
        _ => Ok(()),
    }
}

fn text(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(digest.as_str()).unwrap_or(HeaderValue::from_static(""))
}
