//! Bodies of requests that go no further: the form of a login, and what a refused client still sends.

use std::time::Duration;

use bytes::BytesMut;
use pingora::proxy::Session;

use super::form::FORM_LIMIT;
use super::reject::Refusal;
use crate::oci::{ErrorCode, Method};

/// How much of a refused request's body is read so that the client sees the answer.
const DRAIN_LIMIT: usize = 8 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The form of a `POST` to the token endpoint, bounded. The time is for all of it: pingora keeps no time over HTTP/2.
pub(super) async fn read_form(session: &mut Session, method: Method, time: Duration) -> Result<BytesMut, Refusal> {
    let mut form = BytesMut::new();
    if method != Method::Post {
        return Ok(form);
    }
    let unreadable =
        || Refusal::BadRequest { code: ErrorCode::Unsupported, status: 400, reason: "the form could not be read" };
    let waits = session.req_header().headers.contains_key(http::header::EXPECT);
    let read = async {
        if waits {
            session.as_downstream_mut().write_continue_response().await.map_err(|_| unreadable())?;
        }
        while let Some(piece) = session.as_downstream_mut().read_request_body().await.map_err(|_| unreadable())? {
            if form.len() + piece.len() > FORM_LIMIT {
                return Err(Refusal::BadRequest {
                    code: ErrorCode::Unsupported,
                    status: 413,
                    reason: "the form is over 64 KiB",
                });
            }
            form.extend_from_slice(&piece);
        }
        Ok(())
    };
    tokio::time::timeout(time, read).await.map_err(|_| unreadable())??;
    Ok(form)
}

/// Reads what is left of the body, within bounds; whether that was all of it. A client that waits for `100 Continue` sends
/// none.
pub(super) async fn drained(session: &mut Session) -> bool {
    if session.req_header().headers.contains_key(http::header::EXPECT) {
        return session.as_downstream_mut().is_body_empty();
    }
    let drain = async {
        let mut read = 0;
        while let Ok(piece) = session.as_downstream_mut().read_request_body().await {
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
