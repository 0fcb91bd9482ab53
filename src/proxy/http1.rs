//! What both of our readers of HTTP/1 heads hold to, that of requests and that of answers.

use http::StatusCode;

/// The most headers that a head may have.
pub(super) const MOST_HEADERS: usize = 64;

/// Whether a head is over where it seems to be, and its lines are: some see the end of a line without a carriage return elsewhere.
pub(super) fn is_clean(head: &[u8]) -> bool {
    let bare = head.iter().zip(head.iter().skip(1)).filter(|pair| *pair.0 != b'\r' && *pair.1 == b'\n').count();
    head.ends_with(b"\r\n\r\n") && bare == 0 && !head.starts_with(b"\n")
}

/// Whether an answer with this status to a request that is no `HEAD` has a body.
pub(super) const fn has_body(status: StatusCode) -> bool {
    !matches!(status.as_u16(), 204 | 304)
}
