//! Connections to upstreams that are kept between requests, by each thread for itself, and one exchange over them.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::upstreams::peer::{HttpPeer, Peer, PeerOptions};
use pingora::{Error, ErrorType, OrErr, Result};
use thread_local::ThreadLocal;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::Instant;

use super::head::{self, Head, Parsed};
use super::pace::Pace;
use crate::oci::{Method, Route};
use crate::proxy::forward::Forward;
use crate::proxy::peer::NO_AUTHORITIES;

/// The largest head of an answer, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// What is read at first, in bytes: most manifests with their head.
const FIRST_PIECE: usize = 8 * 1024;

/// Connections that a thread keeps.
const MOST_KEPT: usize = 512;

/// How long an upstream whose answer was not plain is left to pingora at once.
const SHUNNED_FOR: Duration = Duration::from_mins(1);

/// Where a peer has no limit of its own, which ours all have.
const WITHOUT_LIMIT: Duration = Duration::from_mins(15);

/// What pingora tells upstreams apart by.
type PeerKey = u64;

/// An upstream, and whether of its blobs: many send those in another way than manifests.
type Kind = (PeerKey, bool);

/// All kept connections.
#[derive(Default)]
pub(in crate::proxy) struct Links {
    racks: ThreadLocal<Arc<Mutex<Rack>>>,
    connector: OnceLock<TransportConnector>,
    shunned: Mutex<HashMap<Kind, Instant>>,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

/// Those of one thread, the last one used at the end.
#[derive(Default)]
struct Rack {
    kept: Vec<Kept>,
    /// Whether somebody ends those that are not used any more.
    is_swept: bool,
}

struct Kept {
    key: PeerKey,
    until: Instant,
    stream: Stream,
}

/// The body of an upstream's answer, on its way.
pub(super) struct Incoming {
    link: Link,
    stays: bool,
    /// What has come of the body, and perhaps of what does not belong to it.
    read: Bytes,
    /// Bytes of the body that nobody has taken yet.
    left: u64,
    pace: Pace,
}

/// The head of an answer, and what follows.
type Answered = (Box<ResponseHeader>, Incoming);

/// A connection in use.
struct Link {
    stream: Stream,
    key: PeerKey,
    read_timeout: Duration,
    idle_timeout: Duration,
}

impl Links {
    /// Sends a request to the upstream, and waits for the head of its answer. `None`: pingora is to send it, since a kept connection
    /// was closed under us, there is no connection, or the answer is not plain.
    ///
    /// # Errors
    /// When it takes too long, or the upstream hangs up on a new connection.
    pub(super) async fn ask(&self, peer: &HttpPeer, request: &[u8], forward: &Forward) -> Result<Option<Answered>> {
        let key = peer.reuse_hash();
        let kind = (key, matches!(forward.route, Route::Blob { .. }));
        if self.shuns(kind) {
            return Ok(None);
        }
        let (stream, is_new) = match self.take(key) {
            Some(stream) => (stream, false),
            None => match Box::pin(self.connector().new_stream(peer)).await {
                Ok(stream) => (stream, true),
                Err(error) if is_late(&error) => return Err(error.into_up()),
                Err(_) => return Ok(None),
            },
        };
        let mut link = Link::new(stream, key, &peer.options);
        match link.exchange(request, forward.method == Method::Head, &peer.options).await {
            Ok(Some((Head { response, body, stays }, read))) => {
                Ok(Some((response, Incoming { link, stays, read, left: body, pace: Pace::default() })))
            }
            Ok(None) => {
                self.shunned().insert(kind, Instant::now() + SHUNNED_FOR);
                Ok(None)
            }
            Err(error) if is_new || is_late(&error) => Err(error.into_up()),
            Err(_) => Ok(None),
        }
    }

    /// The connection is free, if all that was to come has come, and nothing else.
    pub(super) fn keep(&self, answer: Incoming) {
        let Incoming { link, stays, read, left, .. } = answer;
        if !stays || left > 0 || !read.is_empty() {
            return;
        }
        let place = self.racks.get_or_default();
        let kept = Kept { key: link.key, until: Instant::now() + link.idle_timeout, stream: link.stream };
        let mut rack = lock(place);
        if rack.kept.len() >= MOST_KEPT {
            rack.kept.remove(0);
        }
        rack.kept.push(kept);
        if !std::mem::replace(&mut rack.is_swept, true) {
            tokio::spawn(sweep(Arc::clone(place)));
        }
    }

    fn take(&self, key: PeerKey) -> Option<Stream> {
        let place = self.racks.get_or_default();
        loop {
            let mut rack = lock(place);
            let last = rack.kept.iter().rposition(|kept| kept.key == key)?;
            let mut kept = rack.kept.remove(last);
            drop(rack);
            if is_quiet(&mut kept.stream) {
                return Some(kept.stream);
            }
        }
    }

    fn connector(&self) -> &TransportConnector {
        self.connector.get_or_init(|| {
            let mut options = ConnectorOptions::new(0);
            options.ca_file = Some(NO_AUTHORITIES.to_owned());
            TransportConnector::new(Some(options))
        })
    }

    fn shuns(&self, kind: Kind) -> bool {
        let mut shunned = self.shunned();
        if shunned.is_empty() {
            return false;
        }
        let now = Instant::now();
        shunned.retain(|_, until| *until > now);
        shunned.contains_key(&kind)
    }

    fn shunned(&self) -> MutexGuard<'_, HashMap<Kind, Instant>> {
        self.shunned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(place: &Mutex<Rack>) -> MutexGuard<'_, Rack> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends connections that nobody has used for too long, until there are none.
async fn sweep(place: Arc<Mutex<Rack>>) {
    loop {
        let next = {
            let mut rack = lock(&place);
            let now = Instant::now();
            rack.kept.retain(|kept| kept.until > now);
            let next = rack.kept.iter().map(|kept| kept.until).min();
            rack.is_swept = next.is_some();
            next
        };
        match next {
            Some(next) => tokio::time::sleep_until(next).await,
            None => return,
        }
    }
}

/// Whether nothing has come that nobody has asked for, not even an end.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut room = ReadBuf::new(&mut byte);
    Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut room).is_pending()
}

fn is_late(error: &Error) -> bool {
    use ErrorType::{ConnectTimedout, ReadTimedout, TLSHandshakeTimedout, WriteTimedout};
    matches!(error.etype(), ConnectTimedout | ReadTimedout | TLSHandshakeTimedout | WriteTimedout)
}

impl Link {
    fn new(stream: Stream, key: PeerKey, options: &PeerOptions) -> Self {
        let time = |limit: Option<Duration>| limit.unwrap_or(WITHOUT_LIMIT);
        Self { stream, key, read_timeout: time(options.read_timeout), idle_timeout: time(options.idle_timeout) }
    }

    /// Writes the request and reads the head of the answer, with what comes after it. `None`: it is not plain.
    async fn exchange(
        &mut self,
        request: &[u8],
        is_head: bool,
        options: &PeerOptions,
    ) -> Result<Option<(Head, Bytes)>> {
        let write = async {
            self.stream.write_all(request).await?;
            self.stream.flush().await
        };
        let time = options.write_timeout.unwrap_or(WITHOUT_LIMIT);
        let written = tokio::time::timeout(time, write).await;
        written
            .or_err(ErrorType::WriteTimedout, "sending a request")?
            .or_err(ErrorType::WriteError, "sending a request")?;
        let mut read = BytesMut::with_capacity(FIRST_PIECE);
        loop {
            self.read(&mut read).await?;
            read = match head::parse(read, is_head) {
                Parsed::Whole(head, rest) => return Ok(Some((head, rest))),
                Parsed::Partial(read) if read.len() < HEAD_LIMIT => read,
                Parsed::Partial(_) | Parsed::Odd => return Ok(None),
            };
            read.reserve(FIRST_PIECE);
        }
    }

    /// Reads what comes next, at least a byte.
    async fn read(&mut self, room: &mut BytesMut) -> Result<()> {
        let read = tokio::time::timeout(self.read_timeout, self.stream.read_buf(room)).await;
        let read = read.or_err(ErrorType::ReadTimedout, "waiting for an answer")?;
        match read.or_err(ErrorType::ReadError, "reading an answer")? {
            0 => Error::e_explain(ErrorType::ConnectionClosed, "the upstream hung up"),
            _ => Ok(()),
        }
    }
}

impl Incoming {
    /// Whether all of the body was taken.
    pub(super) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The same, where nobody wants the body: with as much of it taken as has come.
    pub(super) fn without_what_came(mut self) -> Self {
        let _ = self.split();
        self
    }

    /// The next piece of the body; `None`: all of it was taken.
    ///
    /// # Errors
    /// When the upstream breaks off, or takes too long.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.is_over() {
            return Ok(None);
        }
        if self.read.is_empty() {
            let most = self.pace.next(Instant::now());
            if self.pace.has_had_its_turn() {
                tokio::task::yield_now().await;
                self.pace.goes_on(Instant::now());
            }
            let mut read = BytesMut::with_capacity(usize::try_from(self.left).map_or(most, |left| left.min(most)));
            self.link.read(&mut read).await.map_err(Error::into_up)?;
            self.pace.came(read.len());
            self.read = read.freeze();
        }
        Ok(Some(self.split()))
    }

    /// What has come of the body.
    fn split(&mut self) -> Bytes {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.read.len());
        self.left -= length as u64;
        self.read.split_to(length)
    }
}
