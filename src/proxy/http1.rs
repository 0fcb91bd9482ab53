//! What both of our readers of HTTP/1 heads hold to, that of requests and that of answers.

use http::StatusCode;

/// The most headers that a head may have.
pub(super) const MOST_HEADERS: usize = 64;

/// Whether a head is over where it seems to be, and its lines are: some see the end of a line without a carriage return elsewhere.
pub(super) fn is_clean(head: &[u8]) -> bool {
    let next = head.get(1..).unwrap_or_default();
    // To the end in any case, without a branch for each byte: so many are looked at in one step.
    #[expect(clippy::needless_bitwise_bool, reason = "a branch for each byte is what it avoids")]
    let is_bare = head.iter().zip(next).fold(false, |bare, (&byte, &next)| bare | ((byte != b'\r') & (next == b'\n')));
    head.ends_with(b"\r\n\r\n") && !is_bare && !head.starts_with(b"\n")
}

/// Whether an answer with this status to a request that is no `HEAD` has a body.
pub(super) const fn has_body(status: StatusCode) -> bool {
    !matches!(status.as_u16(), 204 | 304)
}
