//! The two wrappers around pingora's HTTP application: one per connection, one per HTTP/2 request.
//!
//! [`Accept`] lets a connection in: it learns who is at the other end, reads the PROXY header, terminates TLS, and makes
//! it a stream with a deadline for request heads. Over HTTP/1 it waits for each request itself. What has come whole and is
//! plain it has answered without pingora, if that can be. Of all others pingora gets what has begun to arrive, so that what it
//! needs for a request is not held by a connection that waits for one. The connections of HTTP/2 are pingora's; [`Streams`] has its
//! requests answered in the same way.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::listeners::ALPN;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, HttpSession as Http2};
use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::{Ssl as _, Stream};
use pingora::server::ShutdownWatch;
use tokio::select;
use tokio::time::timeout;

use super::connection::{Connection, Head, HeadState};
use super::head_deadline::HeadDeadline;
use super::in_flight::InFlight;
use super::left::Left;
use super::plain::{AnswersPlain, PlainRequest};
use super::proxy_protocol::{peer_address, read_header};
use super::tls::{Handshake, Handshakes};
use super::{Listener, Refusal, SourceMode};
use crate::proxy::source::Header;

/// What a client says first who knows that it may speak HTTP/2 (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_mins(1);

/// Lets connections of one listener in, and hands their requests to `app`.
pub(super) struct Accept<H, G> {
    pub(super) listener: Arc<Listener>,
    /// Terminates TLS, where the listener does.
    pub(super) tls: Option<Arc<Handshakes>>,
    pub(super) app: Arc<Streams<H, G>>,
    pub(super) in_flight: InFlight,
    /// How long an open connection may be without a request.
    pub(super) idle_timeout: Duration,
}

/// What became of a plain request, and of its connection.
enum Plain {
    /// It was answered, and another may come.
    Stays,
    /// It was answered, and the connection is closed.
    Ends,
    /// It is pingora's to answer.
    Left(Left),
}

impl<H, G> Accept<H, G>
where
    H: HttpServerApp + Send + Sync + 'static,
    G: AnswersPlain + Send + Sync + 'static,
{
    /// Reads what comes before the first request: the PROXY header, the handshake. `None`: the client is not let in.
    async fn admit(&self, mut stream: Stream) -> Option<(Arc<Connection>, Stream)> {
        let (peer, announced) =
            self.announced(&mut stream).await.map_err(|refusal| self.listener.refuse(refusal)).ok()?;
        let network = self.listener.network_of(announced.as_ref()).map_err(|_| Refusal::MalformedProxyHeader);
        let network = network.map_err(|refusal| self.listener.refuse(refusal)).ok()?;
        let (stream, Handshake { server_name, shown }) = match &self.tls {
            Some(handshakes) => Box::pin(self.encrypt(handshakes, stream)).await?,
            None => (stream, Handshake::default()),
        };
        let connection = Connection {
            listener: Arc::clone(&self.listener),
            peer,
            announced,
            network,
            server_name,
            shown,
            http2: matches!(stream.selected_alpn_proto(), Some(ALPN::H2)).into(),
            in_flight: self.in_flight.clone(),
            head: Head::first(),
            serving: std::sync::Mutex::default(),
            lingers: false.into(),
        };
        Some((Arc::new(connection), stream))
    }

    /// The other end of the socket, and what a load balancer says of the client.
    async fn announced(&self, stream: &mut Stream) -> Result<(SocketAddr, Option<Header>), Refusal> {
        let peer = peer_address(stream.get_socket_digest()).ok_or(Refusal::NoPeerAddress)?;
        let announced = match &self.listener.source {
            SourceMode::ProxyProtocol { trusted, .. } => Some(read_header(stream, peer, trusted).await?),
            SourceMode::Peer | SourceMode::Forwarded { .. } => None,
        };
        Ok((peer, announced))
    }

    /// The same connection over TLS. Handshakes that fail are everyday life on an open port, and nobody's request.
    async fn encrypt(&self, handshakes: &Handshakes, stream: Stream) -> Option<(Stream, Handshake)> {
        let stream: Box<TcpStream> = stream.into_any().downcast().ok()?;
        let stream = match timeout(HANDSHAKE_TIME, handshakes.shake(*stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(listener = &*self.listener.name, %error, "a TLS handshake failed");
                return None;
            }
            Err(_) => return None,
        };
        let authorities = self.listener.tls.as_ref().and_then(|certificates| certificates.clients());
        let handshake = Handshake::of(stream.get_ssl()?, authorities);
        Some((Box::new(stream), handshake))
    }

    /// Serves the requests of an HTTP/1 connection, one after the other, to its end.
    async fn serve(&self, connection: &Arc<Connection>, mut stream: Box<HeadDeadline>, shutdown: &ShutdownWatch) {
        let mut stop = shutdown.clone();
        let mut stopped = pin!(stop.wait_for(|stop| *stop));
        loop {
            let head = select! {
                biased;
                head = stream.next_head() => head,
                _ = &mut stopped => return,
            };
            let Some(mut head) = head.ok().filter(|head| !head.is_empty()) else { return };
            let may_begin_http2 =
                self.listener.h2c && self.tls.is_none() && connection.head.state() == HeadState::First;
            while is_plain_but_not_whole(&head)
                || may_begin_http2 && head.len() < PREFACE.len() && PREFACE.starts_with(&head)
            {
                if stream.more(&mut head).await.is_err() {
                    return;
                }
            }
            if may_begin_http2 && head.starts_with(PREFACE) {
                stream.begins_http2(head);
                self.app.process_new(stream, shutdown).await;
                return;
            }
            let head = head.freeze();
            let is_stopping = *shutdown.borrow();
            let turn = Turn(connection);
            let mut known = None;
            if let Some(request) = PlainRequest::read(&head, connection, &mut stream, is_stopping) {
                // What it needs is not held by a connection that waits, either.
                match Box::pin(self.answer(request)).await {
                    Plain::Stays => continue,
                    Plain::Ends => return,
                    Plain::Left(left) => known = Some(left),
                }
            }
            let mut session = ServerSession::new_http1(stream);
            session.set_pipelined_prefix(head.into());
            // pingora counts in whole seconds, and 0 would mean for ever.
            let keepalive = (!is_stopping).then(|| self.idle_timeout.as_secs().max(1));
            session.set_keepalive(keepalive);
            let reused = self.app.left_to_pingora(session, known, shutdown).await;
            drop(turn);
            let Some(reused) = reused.and_then(|reused| reused.consume().0.into_any().downcast().ok()) else { return };
            stream = reused;
        }
    }

    async fn answer(&self, mut request: PlainRequest<'_>) -> Plain {
        if let Some(left) = self.app.plain.answer(&mut request).await {
            Plain::Left(left)
        } else if request.finish().await {
            Plain::Stays
        } else {
            Plain::Ends
        }
    }
}

#[async_trait]
impl<H, G> ServerApp for Accept<H, G>
where
    H: HttpServerApp + Send + Sync + 'static,
    G: AnswersPlain + Send + Sync + 'static,
{
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let (connection, stream) = self.admit(stream).await?;
        let _open = self.in_flight.connection();
        let stream = Box::new(HeadDeadline::new(stream, Arc::clone(&connection), self.idle_timeout).ok()?);
        if connection.is_http2() {
            return self.app.process_new(stream, shutdown).await;
        }
        self.serve(&connection, stream, shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}

/// Counts the requests of HTTP/2 connections, has those answered that bring no body, if that can be, and leaves everything else
/// to `http`.
pub(super) struct Streams<H, G> {
    pub(super) http: Arc<H>,
    pub(super) plain: Arc<G>,
    pub(super) in_flight: InFlight,
}

impl<H: HttpServerApp, G> Streams<H, G> {
    /// Has pingora answer it, with what is `known` of it already.
    async fn left_to_pingora(
        &self,
        session: ServerSession,
        known: Option<Left>,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let served = self.http.process_new_http(session, shutdown);
        match known {
            Some(known) => known.within(served).await,
            None => served.await,
        }
    }
}

#[async_trait]
impl<H, G> HttpServerApp for Streams<H, G>
where
    H: HttpServerApp + Send + Sync + 'static,
    G: AnswersPlain + Send + Sync + 'static,
{
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // The head of an HTTP/2 request has arrived when its session is made.
        let _serving = self.in_flight.request();
        let mut known = None;
        if brings_nothing(&session) {
            // What it needs is not held by a request that takes its time with pingora.
            known = Some(Box::pin(self.plain.answer_stream(&mut session)).await?);
        }
        self.left_to_pingora(session, known, shutdown).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.http.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.http.server_options()
    }

    async fn http_cleanup(&self) {
        self.http.http_cleanup().await;
    }
}

/// Whether it begins as what [`PlainRequest`] reads does, and its head goes on: a long access token takes more than one packet.
fn is_plain_but_not_whole(head: &[u8]) -> bool {
    let is_read = [&b"GET "[..], b"HEAD "].iter().any(|method| head.starts_with(method));
    // Some take lines without a carriage return: what such a head is, pingora says.
    let is_whole = || head.windows(2).any(|end| end == b"\n\n") || head.windows(3).any(|end| end == b"\n\r\n");
    is_read && !head.ends_with(b"\r\n\r\n") && !is_whole()
}

/// Whether it is a stream of HTTP/2 with a `GET` or `HEAD` that brings no body.
fn brings_nothing(session: &ServerSession) -> bool {
    let is_nothing =
        |stream: &Http2| matches!(stream.req_header().method, Method::GET | Method::HEAD) && stream.is_body_done();
    session.as_http2().is_some_and(is_nothing)
}

/// One HTTP/1 request, from before its head was read; ends with its task, whatever ends that.
struct Turn<'a>(&'a Connection);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.awaits_next_head();
    }
}
