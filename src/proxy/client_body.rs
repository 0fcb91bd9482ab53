//! Bodies of requests that go no further: forms, attributes, and what a refused client still sends.

use std::time::Duration;

use bytes::BytesMut;
use pingora::protocols::http::ServerSession;

use super::form::FORM_LIMIT;
use super::forward::MANIFEST_LIMIT;
use super::journey::too_large;
use super::metadata::PATCH_LIMIT;
use super::reject::Refusal;
use crate::oci::{ErrorCode, Method};

/// How much of a refused request's body is read so that the client sees the answer.
const DRAIN_LIMIT: usize = 8 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The form of a `POST` to the token endpoint, bounded.
pub(super) async fn read_form(
    session: &mut ServerSession,
    method: Method,
    time: Duration,
) -> Result<BytesMut, Refusal> {
    const FORM: Bounds = Bounds {
        limit: FORM_LIMIT as u64,
        unreadable: bad_request(400, "the form could not be read"),
        too_large: bad_request(413, "the form is over 64 KiB"),
    };
    if method != Method::Post {
        return Ok(BytesMut::new());
    }
    read(session, time, FORM).await
}

/// The attributes of a `PATCH` of the metadata API, bounded.
pub(super) async fn read_patch(session: &mut ServerSession, time: Duration) -> Result<BytesMut, Refusal> {
    const PATCH: Bounds = Bounds {
        limit: PATCH_LIMIT as u64,
        unreadable: bad_request(400, "the body could not be read"),
        too_large: bad_request(413, "the body is over 64 KiB"),
    };
    read(session, time, PATCH).await
}

/// A manifest that goes no further, bounded as those are that do.
pub(super) async fn read_manifest(session: &mut ServerSession, time: Duration) -> Result<BytesMut, Refusal> {
    const MANIFEST: Bounds = Bounds {
        limit: MANIFEST_LIMIT,
        unreadable: bad_request(400, "the manifest could not be read"),
        too_large: too_large(),
    };
    read(session, time, MANIFEST).await
}

/// What may be read, in bytes, and what is said of what cannot be.
struct Bounds {
    limit: u64,
    unreadable: Refusal,
    too_large: Refusal,
}

const fn bad_request(status: u16, reason: &'static str) -> Refusal {
    Refusal::BadRequest { code: ErrorCode::Unsupported, status, reason }
}

/// The time is for all of it: pingora keeps no time over HTTP/2.
async fn read(session: &mut ServerSession, time: Duration, bounds: Bounds) -> Result<BytesMut, Refusal> {
    let mut body = BytesMut::new();
    let waits = session.req_header().headers.contains_key(http::header::EXPECT);
    let Bounds { limit, unreadable, too_large } = bounds;
    let read = async {
        if waits && session.write_continue_response().await.is_err() {
            return None;
        }
        while let Some(piece) = session.read_request_body().await.ok()? {
            if (body.len() + piece.len()) as u64 > limit {
                return Some(Err(too_large));
            }
            body.extend_from_slice(&piece);
        }
        Some(Ok(()))
    };
    match tokio::time::timeout(time, read).await {
        Ok(Some(read)) => read.map(|()| body),
        Ok(None) | Err(_) => Err(unreadable),
    }
}

/// Reads what is left of the body, within bounds; whether that was all of it. A client that waits for `100 Continue` sends
/// none.
pub(super) async fn drained(session: &mut ServerSession) -> bool {
    if session.req_header().headers.contains_key(http::header::EXPECT) {
        return session.is_body_empty();
    }
    let drain = async {
        let mut read = 0;
        while let Ok(piece) = session.read_request_body().await {
            let Some(piece) = piece else { return true };
            read += piece.len();
            if read > DRAIN_LIMIT {
                return false;
            }
        }
        false
    };
    tokio::time::timeout(DRAIN_TIME, drain).await.unwrap_or(false)
}
