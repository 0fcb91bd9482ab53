//! The client's side of one request, whoever reads it: pingora, or the listener itself where the request is plain.

use std::borrow::Cow;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, response};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType, OrErr as _, Result};

use super::client_body::drained;
use super::listener::{Connection, PlainRequest};

/// What is given to pingora to write at a time, in bytes.
const PART: usize = 64 * 1024;

/// A header of an answer: one that is kept elsewhere is not copied.
pub(super) type Line<'a> = (Cow<'a, HeaderName>, Cow<'a, HeaderValue>);

/// A header of this answer alone.
pub(super) fn owned<'a>((name, value): (HeaderName, HeaderValue)) -> Line<'a> {
    (Cow::Owned(name), Cow::Owned(value))
}

/// One that is kept elsewhere.
pub(super) fn borrowed<'a>((name, value): (&'a HeaderName, &'a HeaderValue)) -> Line<'a> {
    (Cow::Borrowed(name), Cow::Borrowed(value))
}

/// A request that has come, and the way its answer goes.
pub(super) trait Client: Send {
    /// The head of an answer that has not left yet.
    type Head: Send;

    /// Its head, apart from what it is for.
    fn head(&self) -> &Parts;

    /// The request target, byte for byte.
    fn target(&self) -> &[u8];

    /// The connection it came on. `None`: nobody knows, and it must be refused.
    fn connection(&self) -> Option<&Arc<Connection>>;

    /// Whether it came over TLS.
    fn is_encrypted(&self) -> bool;

    /// Whether a body comes with it, or may.
    fn has_body(&mut self) -> bool;

    /// Reads what is left of its body, within bounds; whether that was all of it.
    fn drain(&mut self) -> impl Future<Output = bool> + Send;

    /// No other request may come on this connection. Over HTTP/2 it does nothing.
    fn close_after(&mut self);

    /// Whether an answer has begun.
    fn is_answered(&self) -> bool;

    /// The head of an answer, made of headers none of which is there twice.
    ///
    /// # Errors
    /// When there are too many of them.
    fn compose<'a>(&mut self, status: StatusCode, lines: impl Iterator<Item = Line<'a>>) -> Result<Self::Head>;

    /// The same of one that is made already, and `more`.
    ///
    /// # Errors
    /// When there are too many of them.
    fn compose_of(
        &mut self,
        head: Box<ResponseHeader>,
        more: impl Iterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Self::Head>;

    /// Writes the head of an answer; `is_all`: nothing follows.
    fn write_head(&mut self, head: Self::Head, is_all: bool) -> impl Future<Output = Result<()>> + Send;

    /// Writes a piece of the body.
    fn write_piece(&mut self, piece: Bytes, is_last: bool) -> impl Future<Output = Result<()>> + Send;

    /// Ends when the client has left, where that can be seen before all of its answer is written.
    fn left(&mut self) -> impl Future<Output = ()> + Send;

    /// Bytes of bodies: those that came, those that went.
    fn transferred(&self) -> (u64, u64);

    /// Whether it wants no body.
    fn is_head(&self) -> bool {
        self.head().method == Method::HEAD
    }
}

/// pingora's, without its modules: no module may touch a registry's bytes.
impl Client for ServerSession {
    type Head = Box<ResponseHeader>;

    fn head(&self) -> &Parts {
        self.req_header()
    }

    fn target(&self) -> &[u8] {
        self.req_header().raw_path()
    }

    fn connection(&self) -> Option<&Arc<Connection>> {
        Connection::of(self)
    }

    fn is_encrypted(&self) -> bool {
        self.digest().is_some_and(|digest| digest.ssl_digest.is_some())
    }

    fn has_body(&mut self) -> bool {
        !self.is_body_empty()
    }

    async fn drain(&mut self) -> bool {
        Box::pin(drained(self)).await
    }

    fn close_after(&mut self) {
        self.set_keepalive(None);
    }

    fn is_answered(&self) -> bool {
        self.response_written().is_some()
    }

    fn compose<'a>(&mut self, status: StatusCode, lines: impl Iterator<Item = Line<'a>>) -> Result<Self::Head> {
        let (mut head, ()) = http::Response::new(()).into_parts();
        head.status = status;
        head.headers.reserve(16);
        put(&mut head.headers, lines.map(|(name, value)| (name.into_owned(), value.into_owned())))?;
        Ok(Box::new(head.into()))
    }

    fn compose_of(
        &mut self,
        head: Box<ResponseHeader>,
        more: impl Iterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Self::Head> {
        let mut head = response::Parts::from(*head);
        put(&mut head.headers, more)?;
        Ok(Box::new(head.into()))
    }

    async fn write_head(&mut self, head: Self::Head, is_all: bool) -> Result<()> {
        match self {
            // A stream whose end nobody has said is reset.
            Self::H2(stream) => stream.write_response_header(head, is_all).map_err(Error::into_down),
            other => other.write_response_header(head).await,
        }
    }

    async fn write_piece(&mut self, mut piece: Bytes, is_last: bool) -> Result<()> {
        // The time that the client has is for each of them.
        while piece.len() > PART {
            self.write_response_body(piece.split_to(PART), false).await?;
        }
        self.write_response_body(piece, is_last).await
    }

    async fn left(&mut self) {
        match self.watch_h2_stream_close() {
            // Whether it was reset, or its connection broke.
            Some(closed) => drop(closed.await),
            None => pending().await,
        }
    }

    fn transferred(&self) -> (u64, u64) {
        (self.body_bytes_read() as u64, self.body_bytes_sent() as u64)
    }
}

impl Client for PlainRequest<'_> {
    /// It waits in the request.
    type Head = ();

    fn head(&self) -> &Parts {
        self.head()
    }

    fn target(&self) -> &[u8] {
        self.target()
    }

    fn connection(&self) -> Option<&Arc<Connection>> {
        Some(self.connection())
    }

    fn is_encrypted(&self) -> bool {
        self.connection().is_encrypted()
    }

    fn has_body(&mut self) -> bool {
        false
    }

    async fn drain(&mut self) -> bool {
        true
    }

    fn close_after(&mut self) {
        self.close_after();
    }

    fn is_answered(&self) -> bool {
        self.is_answered()
    }

    fn compose<'a>(&mut self, status: StatusCode, lines: impl Iterator<Item = Line<'a>>) -> Result<Self::Head> {
        self.begin_answer(status, lines);
        Ok(())
    }

    fn compose_of(
        &mut self,
        head: Box<ResponseHeader>,
        more: impl Iterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Self::Head> {
        self.begin_answer(head.status, head.headers.iter().map(borrowed).chain(more.map(owned)));
        Ok(())
    }

    async fn write_head(&mut self, (): Self::Head, is_all: bool) -> Result<()> {
        self.sent_head(is_all).await
    }

    async fn write_piece(&mut self, piece: Bytes, is_last: bool) -> Result<()> {
        self.write_piece(&piece, is_last).await
    }

    async fn left(&mut self) {
        self.left().await;
    }

    fn transferred(&self) -> (u64, u64) {
        (0, self.sent())
    }
}

/// Puts headers into a head, each in place of one with its name. pingora reads each name anew where it does that.
fn put(head: &mut HeaderMap, lines: impl Iterator<Item = (HeaderName, HeaderValue)>) -> Result<()> {
    for (name, value) in lines {
        head.try_insert(name, value).or_err(ErrorType::InvalidHTTPHeader, "too many headers")?;
    }
    Ok(())
}

/// The same with one that pingora made, and keeps its own account of.
pub(super) fn insert(head: &mut ResponseHeader, lines: impl Iterator<Item = (HeaderName, HeaderValue)>) -> Result<()> {
    for (name, value) in lines {
        head.insert_header(name, value)?;
    }
    Ok(())
}
