//! Step 9, forward: the request that goes upstream, rebuilt from parsed fields only.
//!
//! Nothing of the client's request line reaches the upstream, and of its headers only those on the list below. So there
//! is no spelling of a path, a query, a body or a header that we and the upstream could read differently
//! (threats 4.1, class L).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, header};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, Result};

use crate::oci::{Method, Route};
use crate::policy::{Permit, Registry};

/// Largest manifest, in bytes (requirements B.9).
pub(crate) const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;

/// What goes upstream, and the permit without which nothing does.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) permit: Permit,
    pub(crate) registry: Arc<Registry>,
    pub(crate) method: Method,
    pub(crate) route: Route,
    /// The upstream's own query of an upload session, as it was sealed.
    pub(crate) upload_state: Option<String>,
}

/// What may be in a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyRule {
    /// No body goes up, whatever the client sent.
    Empty,
    /// Bytes, never interpreted, as many as there are.
    Blob,
    /// A manifest of its own media type, at most [`MANIFEST_LIMIT`] bytes.
    Manifest,
}

impl Forward {
    /// What may be in the body of this request.
    ///
    /// A mount's body is dropped because Distribution would read `mount` and `from` in it (threats 4.1).
    pub(crate) const fn body(&self) -> BodyRule {
        match (&self.route, self.method) {
            (Route::UploadStart { mount: None, .. }, Method::Post)
            | (Route::Upload { .. }, Method::Patch | Method::Put) => BodyRule::Blob,
            (Route::Manifest { .. }, Method::Put) => BodyRule::Manifest,
            _ => BodyRule::Empty,
        }
    }

    /// Whether the upstream works on bytes that the client sent, and may take its time to answer.
    pub(crate) const fn is_upload(&self) -> bool {
        matches!(self.body(), BodyRule::Blob | BodyRule::Manifest)
    }

    /// The request to send. `has_body`: whether the client sends one, wanted or not.
    pub(crate) fn request(&self, client: &RequestHeader, has_body: bool) -> Result<RequestHeader> {
        let target = self.target();
        let mut request = RequestHeader::build_no_case(http_method(self.method), target.as_bytes(), Some(16))?;
        request.insert_header(header::HOST, self.registry.upstream.host_header())?;
        for name in PASSED {
            copy(&client.headers, &name, &mut request)?;
        }
        self.body_headers(client, has_body, &mut request)?;
        Ok(request)
    }

    /// The head of the request to send, for one without a body: the same as [`Self::request`], as it is written.
    ///
    /// # Errors
    /// When its target could not be written; what a route is made of always can.
    pub(crate) fn head(&self, client: &HeaderMap, authorization: Option<&HeaderValue>) -> Result<Vec<u8>> {
        let target = self.target();
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Error::e_explain(ErrorType::InternalError, "a target that is no text");
        }
        let mut head = Vec::with_capacity(512);
        for piece in [http_method(self.method).as_str(), " ", &target, " HTTP/1.1\r\n"] {
            head.extend_from_slice(piece.as_bytes());
        }
        let mut line = |name: &HeaderName, value: &[u8]| {
            for piece in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
                head.extend_from_slice(piece);
            }
        };
        line(&header::HOST, self.registry.upstream.host_header().as_bytes());
        for name in PASSED {
            client.get_all(&name).iter().for_each(|value| line(&name, value.as_bytes()));
        }
        if let Some(authorization) = authorization {
            line(&header::AUTHORIZATION, authorization.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        Ok(head)
    }

    fn target(&self) -> String {
        let canonical = self.route.canonical();
        match &self.upload_state {
            Some(state) if !state.is_empty() => {
                let separator = if canonical.contains('?') { '&' } else { '?' };
                format!("{canonical}{separator}{state}")
            }
            _ => canonical,
        }
    }

    fn body_headers(&self, client: &RequestHeader, has_body: bool, request: &mut RequestHeader) -> Result<()> {
        match self.body() {
            BodyRule::Empty => {
                // Said aloud also where a client sends a body with a `GET`: pingora would announce a chunked one.
                if has_body || !matches!(self.method, Method::Get | Method::Head) {
                    request.insert_header(header::CONTENT_LENGTH, "0")?;
                }
                return Ok(());
            }
            BodyRule::Blob => {
                request.insert_header(header::CONTENT_TYPE, "application/octet-stream")?;
                copy(&client.headers, &header::CONTENT_RANGE, request)?;
            }
            BodyRule::Manifest => {
                let media_type = client.headers.get(header::CONTENT_TYPE).filter(|value| is_media_type(value));
                let media_type = media_type.cloned().unwrap_or(HeaderValue::from_static("application/octet-stream"));
                request.insert_header(header::CONTENT_TYPE, media_type)?;
            }
        }
        match declared_length(&client.headers) {
            Some(length) => request.insert_header(header::CONTENT_LENGTH, length.to_string())?,
            None => request.insert_header(header::TRANSFER_ENCODING, "chunked")?,
        }
        if client
            .headers
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
        {
            request.insert_header(header::EXPECT, "100-continue")?;
        }
        Ok(())
    }
}

/// The client's headers that an upstream may see. `Accept` may stand on several lines: all of them go (wire contract).
const PASSED: [HeaderName; 6] = [
    header::ACCEPT,
    header::RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
    header::USER_AGENT,
];

pub(crate) fn copy(from: &HeaderMap, name: &HeaderName, to: &mut RequestHeader) -> Result<()> {
    for value in from.get_all(name) {
        to.append_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// `type/subtype` with optional parameters, and none of the types that Go reads as a form.
fn is_media_type(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.split_once('/').is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty())
        && !essence.starts_with("multipart/")
        && essence != "application/x-www-form-urlencoded"
}

pub(crate) const fn http_method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::GET,
        Method::Head => HttpMethod::HEAD,
        Method::Post => HttpMethod::POST,
        Method::Put => HttpMethod::PUT,
        Method::Patch => HttpMethod::PATCH,
        Method::Delete => HttpMethod::DELETE,
    }
}

/// Whether the headers say in one clear way where the body ends: one `Content-Length` of digits, or nothing but `chunked`.
pub(crate) fn is_framed(headers: &HeaderMap) -> bool {
    let lines = |name| headers.get_all(name).iter().count();
    let length = match lines(header::CONTENT_LENGTH) {
        0 => true,
        1 => declared_length(headers).is_some(),
        _ => false,
    };
    let chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    let coding = match lines(header::TRANSFER_ENCODING) {
        0 => true,
        1 => headers.get(header::TRANSFER_ENCODING).is_some_and(chunked),
        _ => false,
    };
    length && coding
}

/// The length a client declared, if it declared one.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    length(headers.get(header::CONTENT_LENGTH)?)
}

/// What a `Content-Length` says. `parse` alone would read a sign.
pub(crate) fn length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
