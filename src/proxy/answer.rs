//! Answers of our own: status, headers and a small body, before anything is written to a socket.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

/// A complete answer that does not come from an upstream.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// JSON with this status.
    pub(crate) fn json(status: StatusCode, body: String) -> Self {
        let content_type = HeaderValue::from_static("application/json; charset=utf-8");
        Self { status, headers: vec![(header::CONTENT_TYPE, content_type)], body: Bytes::from(body) }
    }

    /// An answer that says everything in its head.
    pub(crate) const fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// The same answer with one more header. A value that no header can hold is left out.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

/// The headers of every answer, ours or the upstream's (requirements B.1-1).
pub(crate) fn common_headers(request_id: &str, tls: bool) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    // Constants: a name is looked at when it is made.
    const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
    const REGISTRY_2: HeaderValue = HeaderValue::from_static("registry/2.0");
    const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
    const EXPOSED: HeaderValue =
        HeaderValue::from_static("Docker-Content-Digest, WWW-Authenticate, Link, X-Ms-Correlation-Request-Id");
    const STRICT: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");
    let fixed = [
        (VERSION, REGISTRY_2),
        (header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
    ];
    let request_id = HeaderValue::from_str(request_id).ok().map(|mut id| {
        // No other answer has it: in the table that HTTP/2 keeps for a connection it would drive out what all answers have.
        id.set_sensitive(true);
        (REQUEST_ID, id)
    });
    let strict = tls.then_some((header::STRICT_TRANSPORT_SECURITY, STRICT));
    fixed.into_iter().chain(request_id).chain(strict)
}
