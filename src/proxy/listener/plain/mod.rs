//! A request that the listener has read itself, and the answer to it.
//!
//! What pingora needs to serve any request costs more than most answers of ours take. A plain request, as [`head`] reads it,
//! needs none of that: there is no body to wait for, and nothing in which two readers could see different things. Whoever
//! [`AnswersPlain`] may still leave it to pingora, which then reads the same bytes again.

mod head;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora::protocols::Shutdown;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::date::get_cached_date;
use pingora::{Error, ErrorType, OrErr as _, Result};
use tokio::io::AsyncWriteExt as _;

use self::head::Head;
use super::connection::Connection;
use super::head_deadline::HeadDeadline;
use super::left::Left;
use crate::proxy::http1::has_body;

/// How long it may take to close a connection, where nobody has said how long the client may take.
const CLOSING_TIME: Duration = Duration::from_mins(1);

/// Pieces of less than this many bytes leave together with the head of their answer.
const SMALL: usize = 16 * 1024;

/// What most answers take, in bytes, so that none of it has to be moved.
const HEAD_AND_MANIFEST: usize = 4 * 1024;

/// Serves plain requests.
pub trait AnswersPlain {
    /// Answers it. What is known of one that is still to be answered, by pingora, is returned.
    fn answer(&self, request: &mut PlainRequest<'_>) -> impl Future<Output = Option<Left>> + Send;

    /// The same of a stream of HTTP/2 that brings no body. It is reset if it is dropped before its answer has ended.
    fn answer_stream(&self, stream: &mut ServerSession) -> impl Future<Output = Option<Left>> + Send;
}

/// A `GET` or `HEAD` over HTTP/1.1 without a body, all of which has come.
#[derive(Debug)]
pub struct PlainRequest<'a> {
    connection: &'a Arc<Connection>,
    stream: &'a mut HeadDeadline,
    head: Head,
    answer: Written,
    write_timeout: Option<Duration>,
}

/// What became of the answer so far.
#[derive(Debug, Default)]
struct Written {
    /// What has not left yet.
    waiting: Vec<u8>,
    has_begun: bool,
    is_whole: bool,
    /// Bytes of its body.
    sent: u64,
}

impl<'a> PlainRequest<'a> {
    /// What has come on `stream`, if it is plain, and all of a request.
    pub(super) fn read(
        bytes: &Bytes,
        connection: &'a Arc<Connection>,
        stream: &'a mut HeadDeadline,
        is_stopping: bool,
    ) -> Option<Self> {
        let mut head = head::parse(bytes)?;
        head.stays &= !is_stopping;
        Some(Self { connection, stream, head, answer: Written::default(), write_timeout: None })
    }

    /// The connection it came on.
    pub fn connection(&self) -> &Arc<Connection> {
        self.connection
    }

    /// Its head, apart from what it is for.
    pub fn head(&self) -> &Parts {
        &self.head.parts
    }

    /// What it is for, byte for byte.
    pub fn target(&self) -> &[u8] {
        &self.head.target
    }

    /// How long the client may take nothing of the answer.
    pub fn set_write_timeout(&mut self, time: Duration) {
        self.write_timeout = Some(time);
    }

    /// No other request may come on the connection.
    pub fn close_after(&mut self) {
        self.head.stays = false;
    }

    /// Whether an answer has begun.
    pub fn is_answered(&self) -> bool {
        self.answer.has_begun
    }

    /// Ends when the client has left. What it sends in the meantime waits.
    pub async fn left(&mut self) {
        self.stream.left().await;
    }

    /// Bytes of the answer's body that were written.
    pub fn sent(&self) -> u64 {
        self.answer.sent
    }

    /// Begins the answer; it leaves with [`Self::sent_head`].
    pub fn begin_answer<N, V>(&mut self, status: StatusCode, lines: impl Iterator<Item = (N, V)>)
    where
        N: std::borrow::Borrow<HeaderName>,
        V: std::borrow::Borrow<HeaderValue>,
    {
        let head = &mut self.answer.waiting;
        head.reserve(HEAD_AND_MANIFEST);
        let reason = status.canonical_reason().unwrap_or_default();
        for piece in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
            head.extend_from_slice(piece.as_bytes());
        }
        let mut has_end = !has_body(status) || self.head.parts.method == http::Method::HEAD;
        let mut line = |name: &str, value: &[u8]| {
            for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
                head.extend_from_slice(piece);
            }
        };
        for (name, value) in lines {
            let (name, value) = (name.borrow(), value.borrow());
            has_end |= *name == header::CONTENT_LENGTH;
            // These are this connection's.
            if !matches!(*name, header::DATE | header::CONNECTION | header::TRANSFER_ENCODING) {
                line(titled(name), value.as_bytes());
            }
        }
        // To a body whose length nobody has said, the end of the connection is the end.
        self.head.stays &= has_end;
        line("Date", get_cached_date().as_bytes());
        line("Connection", if self.head.stays { b"keep-alive" } else { b"close" });
        head.extend_from_slice(b"\r\n");
        self.answer.has_begun = true;
    }

    /// The head of the answer is on its way, at the latest with the next piece; `is_all`: nothing follows.
    ///
    /// # Errors
    /// When the client has left, or takes too long.
    pub async fn sent_head(&mut self, is_all: bool) -> Result<()> {
        if is_all {
            self.write(&[]).await?;
            self.answer.is_whole = true;
        }
        Ok(())
    }

    /// Writes a piece of the body.
    ///
    /// # Errors
    /// When the client has left, or takes nothing for too long.
    pub async fn write_piece(&mut self, piece: &[u8], is_last: bool) -> Result<()> {
        if piece.len() >= SMALL {
            self.write(piece).await?;
        } else {
            self.answer.waiting.extend_from_slice(piece);
            self.write(&[]).await?;
            self.answer.sent += piece.len() as u64;
        }
        self.answer.is_whole = is_last;
        Ok(())
    }

    /// Writes what waits, and `piece`, which is counted as it goes.
    async fn write(&mut self, piece: &[u8]) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.answer.waiting);
        for (mut rest, is_counted) in [(&*waiting, false), (piece, true)] {
            while !rest.is_empty() {
                // Large pieces go in parts: a client that takes its time still takes something.
                let taken = in_time(self.write_timeout, self.stream.write(rest)).await?;
                if taken == 0 {
                    return Error::e_explain(ErrorType::WriteError, "the client has left").map_err(Error::into_down);
                }
                rest = rest.get(taken..).unwrap_or_default();
                self.answer.sent += if is_counted { taken as u64 } else { 0 };
            }
        }
        waiting.clear();
        self.answer.waiting = waiting;
        in_time(self.write_timeout, self.stream.flush()).await
    }

    /// It is over. Whether another may come on its connection; if not, that is closed.
    pub(super) async fn finish(self) -> bool {
        if !self.answer.is_whole {
            // What the client has not taken, it would not take now: the connection is cut.
            return false;
        }
        if !self.head.stays {
            let time = self.write_timeout.unwrap_or(CLOSING_TIME);
            let _ = pingora::prelude::timeout(time, Shutdown::shutdown(self.stream)).await;
        }
        self.head.stays
    }
}

/// Does one thing with the client, in no more than this time.
async fn in_time<T>(time: Option<Duration>, doing: impl Future<Output = io::Result<T>>) -> Result<T> {
    let done = match time {
        Some(time) => {
            pingora::prelude::timeout(time, doing).await.or_err(ErrorType::WriteTimedout, "writing an answer")
        }
        None => Ok(doing.await),
    };
    done.and_then(|done| done.or_err(ErrorType::WriteError, "writing an answer")).map_err(Error::into_down)
}

/// The names that pingora writes in another way than in lower case, in that way.
fn titled(name: &HeaderName) -> &str {
    match *name {
        header::ACCEPT_RANGES => "Accept-Ranges",
        header::AGE => "Age",
        header::CACHE_CONTROL => "Cache-Control",
        header::CONTENT_ENCODING => "Content-Encoding",
        header::CONTENT_LENGTH => "Content-Length",
        header::CONTENT_TYPE => "Content-Type",
        _ => name.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use pingora::http::ResponseHeader;

    use super::*;

    /// Clients see the same head, whoever has written it.
    #[test]
    fn names_are_written_as_pingora_writes_them() {
        for name in [
            header::ACCEPT_RANGES,
            header::AGE,
            header::CACHE_CONTROL,
            header::CONTENT_ENCODING,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::CONTENT_TYPE,
            header::ETAG,
            header::LAST_MODIFIED,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("docker-content-digest"),
        ] {
            let mut answer = ResponseHeader::build_no_case(StatusCode::OK, None).unwrap();
            answer.insert_header(name.clone(), "1").unwrap();
            let mut written = BytesMut::new();
            answer.header_to_h1_wire(&mut written);
            assert_eq!(written, format!("{}: 1\r\n", titled(&name)));
        }
    }
}
