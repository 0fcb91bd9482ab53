//! A stream that waits for requests, and gives up when one does not come, or its head takes too long.
//!
//! pingora's read timeout starts anew with every read, so a client that sends one byte every few seconds holds a
//! connection and its buffers for ever (slow loris). This wrapper bounds the whole head, and the time between two requests. It
//! delegates everything else, and adds the [`Connection`] as the stream's proxy digest. No timer is touched when a head arrives
//! in one piece.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora::listeners::ALPN;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Refusal;
use super::connection::{Connection, HeadState};

/// The largest head of a request, in bytes, with room for an access token.
const HEAD_LIMIT: usize = 64 * 1024;

/// What is read of a head at first, in bytes: all of most heads, with an access token.
const HEAD_PIECE: usize = 8 * 1024;

/// How much is taken of what a refused client still sends, in bytes, and for how long.
const LINGER_LIMIT: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// A downstream connection whose request heads have a deadline and a limit.
#[derive(Debug)]
pub(super) struct HeadDeadline {
    inner: Stream,
    connection: Arc<Connection>,
    digest: Arc<ProxyDigest>,
    /// How long it may be open without a request.
    idle_timeout: Duration,
    /// When what is awaited must be here; `None`: not determined, for nothing had to be waited for.
    due: Option<Instant>,
    /// Wakes us, at `due` or before it. It is moved only when it wakes us, or would do so too late.
    alarm: Pin<Box<Sleep>>,
    answered_early: bool,
    /// Bytes that came after our end of the connection was closed; `None`: it is open.
    lingered: Option<usize>,
    /// Bytes of the head that is arriving, and of what came with it.
    head_bytes: usize,
    /// What was read already, and is to be read again.
    early: Bytes,
}

impl HeadDeadline {
    /// The time for the first head runs from now. Must be called inside a tokio runtime.
    pub(super) fn new(inner: Stream, connection: Arc<Connection>, idle_timeout: Duration) -> pingora::Result<Self> {
        let digest = Arc::new(Arc::clone(&connection).into_digest()?);
        let alarm = Box::pin(tokio::time::sleep(connection.listener.head_timeout));
        let due = Some(alarm.deadline());
        Ok(Self {
            inner,
            connection,
            digest,
            idle_timeout,
            due,
            alarm,
            answered_early: false,
            lingered: None,
            head_bytes: 0,
            early: Bytes::new(),
        })
    }

    /// Waits for the next request: the beginning of its head, and of whatever has come with it; nothing when the client has
    /// left. All that a connection without a request takes is what this holds.
    ///
    /// # Errors
    /// When the connection is broken, or nothing has come in time.
    pub(super) async fn next_head(&mut self) -> io::Result<BytesMut> {
        if self.connection.head.state() != HeadState::First {
            self.due = None;
        }
        poll_fn(|cx| {
            let mut room = [const { MaybeUninit::uninit() }; HEAD_PIECE];
            let mut piece = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut *self).poll_read(cx, &mut piece))?;
            Poll::Ready(Ok(BytesMut::from(piece.filled())))
        })
        .await
    }

    /// Adds what comes next to `head`.
    ///
    /// # Errors
    /// As for [`Self::next_head`]; also when nothing more comes.
    pub(super) async fn more(&mut self, head: &mut BytesMut) -> io::Result<()> {
        head.reserve(HEAD_PIECE);
        match self.read_buf(head).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// What was read, `head`, is HTTP/2's beginning: whoever reads next reads it too.
    pub(super) fn begins_http2(&mut self, head: BytesMut) {
        self.early = head.freeze();
        self.connection.http2.store(true, Ordering::Release);
    }

    /// Waits until the client leaves, while nothing is awaited of it. A client that has sent more is there.
    pub(super) async fn left(&mut self) {
        poll_fn(|cx| {
            if !self.early.is_empty() {
                return Poll::Pending;
            }
            let mut byte = [0];
            let mut room = ReadBuf::new(&mut byte);
            let read = ready!(Pin::new(&mut *self.inner).poll_read(cx, &mut room));
            self.early = Bytes::copy_from_slice(room.filled());
            if read.is_ok() && !self.early.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Whether what is awaited in this state should have come by now. If not, we are woken when it should have.
    fn is_overdue(&mut self, state: HeadState, cx: &mut Context<'_>) -> bool {
        let time = match state {
            HeadState::First | HeadState::Begun => self.connection.listener.head_timeout,
            HeadState::Awaited => self.idle_timeout,
            HeadState::Received => return false,
        };
        let due = *self.due.get_or_insert_with(|| Instant::now() + time);
        loop {
            if self.alarm.deadline() > due {
                self.alarm.as_mut().reset(due);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return false;
            }
            if self.alarm.deadline() == due {
                return true;
            }
            self.alarm.as_mut().reset(due);
        }
    }

    /// Counts what arrives while a head does. pingora would take a mebibyte, and parse it anew with every piece.
    fn head_is_too_large(&mut self, state: HeadState, arrived: usize) -> bool {
        self.head_bytes = match state {
            HeadState::First | HeadState::Begun => self.head_bytes + arrived,
            HeadState::Awaited | HeadState::Received => arrived,
        };
        let counts = matches!(state, HeadState::First | HeadState::Begun) && !self.connection.is_http2();
        counts && self.head_bytes > HEAD_LIMIT
    }

    /// Takes what the client still sends, within bounds. Bytes that nobody has taken when a connection is closed make the system
    /// reset it, and a client that is still writing then never reads its answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.lingered.is_some_and(|taken| taken < LINGER_LIMIT) {
            let mut room = [const { MaybeUninit::uninit() }; 4096];
            let mut piece = ReadBuf::uninit(&mut room);
            match Pin::new(&mut *self.inner).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    self.lingered = self.lingered.map(|taken| taken + piece.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => return self.alarm.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }

    /// An HTTP/1 answer before the gate has seen a head is pingora's own: it could not read what came.
    fn about_to_write(&mut self) {
        let unseen = matches!(self.connection.head.state(), HeadState::First | HeadState::Begun);
        if unseen && !self.connection.is_http2() && !self.answered_early {
            self.answered_early = true;
            self.connection.refuse(Refusal::MalformedHead);
        }
    }
}

impl AsyncRead for HeadDeadline {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let state = this.connection.head.state();
        let filled = buf.filled().len();
        let early = this.early.split_to(this.early.len().min(buf.remaining()));
        buf.put_slice(&early);
        let read = match Pin::new(&mut *this.inner).poll_read(cx, buf) {
            Poll::Pending if !early.is_empty() => Poll::Ready(Ok(())),
            read => read,
        };
        let arrived = buf.filled().len() - filled;
        if this.head_is_too_large(state, arrived) {
            this.connection.refuse(Refusal::LargeHead);
            return Poll::Ready(Err(io::Error::other("the head of the request is too large")));
        }
        match (state, &read) {
            (HeadState::Awaited, Poll::Ready(_)) if arrived > 0 => {
                this.due = None;
                this.connection.head.advance(HeadState::Awaited, HeadState::Begun);
            }
            (_, Poll::Pending) if this.is_overdue(state, cx) => {
                if state != HeadState::Awaited {
                    this.connection.refuse(Refusal::LateHead);
                }
                let late = io::Error::new(io::ErrorKind::TimedOut, "the request took too long to come");
                return Poll::Ready(Err(late));
            }
            _ => {}
        }
        read
    }
}

impl AsyncWrite for HeadDeadline {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.about_to_write();
        Pin::new(&mut *self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingered.is_none() {
            ready!(Pin::new(&mut *self.inner).poll_shutdown(cx))?;
            self.lingered = Some(0);
            self.alarm.as_mut().reset(Instant::now() + LINGER_TIME);
        }
        if self.connection.lingers() { self.poll_linger(cx).map(Ok) } else { Poll::Ready(Ok(())) }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.about_to_write();
        Pin::new(&mut *self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for HeadDeadline {
    async fn shutdown(&mut self) {
        // All that can be said of an error is that the client has gone already.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

#[async_trait]
impl Peek for HeadDeadline {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(buf).await
    }
}

impl UniqueID for HeadDeadline {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for HeadDeadline {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        // Also where the client has begun with it, and there is no TLS in which to agree on it.
        if self.connection.is_http2() { Some(ALPN::H2) } else { self.inner.selected_alpn_proto() }
    }
}

impl GetTimingDigest for HeadDeadline {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for HeadDeadline {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl GetSocketDigest for HeadDeadline {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}
