//! The two wrappers around pingora's HTTP application: one per connection, one per HTTP/2 request.
//!
//! [`Accept`] lets a connection in: it learns who is at the other end, reads the PROXY header of plain listeners, and
//! makes it a stream with a deadline for request heads. Over HTTP/1 it waits for each request itself, and gives pingora only
//! what has begun to arrive: what pingora needs for a request is not held by a connection that waits for one. HTTP/2 is
//! pingora's; [`Streams`] counts the requests.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::listeners::ALPN;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::server::ShutdownWatch;
use tokio::select;

use super::connection::{Connection, Head};
use super::head_deadline::HeadDeadline;
use super::in_flight::InFlight;
use super::proxy_protocol::{peer_address, read_header};
use super::tls::Handshake;
use super::{Listener, Refusal, SourceMode};
use crate::proxy::source::Header;

/// Lets connections of one listener in, and hands their requests to `app`.
pub(super) struct Accept<H> {
    pub(super) listener: Arc<Listener>,
    pub(super) app: Arc<Streams<H>>,
    pub(super) in_flight: InFlight,
    /// How long an open connection may be without a request.
    pub(super) idle_timeout: Duration,
}

impl<H: HttpServerApp + Send + Sync + 'static> Accept<H> {
    async fn admit(&self, stream: &mut Stream) -> Result<Connection, Refusal> {
        let peer = peer_address(stream.get_socket_digest()).ok_or(Refusal::NoPeerAddress)?;
        let encrypted = stream.get_ssl_digest();
        let announced = match &self.listener.source {
            SourceMode::ProxyProtocol { .. } if encrypted.is_some() => {
                // Read before the handshake. Its absence would mean that the hook did not run.
                Some(header_before_tls(stream).ok_or(Refusal::MalformedProxyHeader)?)
            }
            SourceMode::ProxyProtocol { trusted, .. } => Some(read_header(stream, peer, trusted).await?),
            SourceMode::Peer | SourceMode::Forwarded { .. } => None,
        };
        let handshake = encrypted.as_ref().and_then(|tls| tls.extension.get::<Handshake>());
        let network = self.listener.network_of(announced.as_ref()).map_err(|_| Refusal::MalformedProxyHeader)?;
        Ok(Connection {
            listener: Arc::clone(&self.listener),
            peer,
            announced,
            network,
            server_name: handshake.and_then(|handshake| handshake.server_name.clone()),
            shown: handshake.and_then(|handshake| handshake.shown.clone()),
            http2: matches!(stream.selected_alpn_proto(), Some(ALPN::H2)),
            in_flight: self.in_flight.clone(),
            head: Head::first(),
            serving: std::sync::Mutex::default(),
        })
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
            let Some(head) = head.ok().filter(|head| !head.is_empty()) else { return };
            let mut session = ServerSession::new_http1(stream);
            session.set_pipelined_prefix(head);
            // pingora counts in whole seconds, and 0 would mean for ever.
            let keepalive = (!*shutdown.borrow()).then(|| self.idle_timeout.as_secs().max(1));
            session.set_keepalive(keepalive);
            let turn = Turn(connection);
            let reused = self.app.http.process_new_http(session, shutdown).await;
            drop(turn);
            let Some(reused) = reused.and_then(|reused| reused.consume().0.into_any().downcast().ok()) else { return };
            stream = reused;
        }
    }
}

fn header_before_tls(stream: &Stream) -> Option<Header> {
    stream.get_proxy_digest()?.user_data.as_ref()?.downcast_ref().cloned()
}

#[async_trait]
impl<H: HttpServerApp + Send + Sync + 'static> ServerApp for Accept<H> {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let connection = match self.admit(&mut stream).await {
            Ok(connection) => Arc::new(connection),
            Err(refusal) => {
                self.listener.refuse(refusal);
                return None;
            }
        };
        let _open = self.in_flight.connection();
        let stream = Box::new(HeadDeadline::new(stream, Arc::clone(&connection), self.idle_timeout).ok()?);
        if connection.http2 {
            return self.app.process_new(stream, shutdown).await;
        }
        self.serve(&connection, stream, shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}

/// Counts the requests of HTTP/2 connections, and leaves everything else to `http`.
pub(super) struct Streams<H> {
    pub(super) http: Arc<H>,
    pub(super) in_flight: InFlight,
}

#[async_trait]
impl<H: HttpServerApp + Send + Sync + 'static> HttpServerApp for Streams<H> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // The head of an HTTP/2 request has arrived when its session is made.
        let _serving = self.in_flight.request();
        self.http.process_new_http(session, shutdown).await
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

/// One HTTP/1 request, from before its head was read; ends with its task, whatever ends that.
struct Turn<'a>(&'a Connection);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.awaits_next_head();
    }
}
