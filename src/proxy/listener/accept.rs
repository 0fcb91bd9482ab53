//! The two wrappers around pingora's HTTP application: one per connection, one per request.
//!
//! [`Accept`] lets a connection in: it learns who is at the other end, reads the PROXY header of plain listeners, and
//! hands on a stream with a deadline for request heads. [`Turns`] marks where one request ends and the next may begin.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::listeners::ALPN;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::server::ShutdownWatch;

use super::connection::{Connection, Head};
use super::head_deadline::HeadDeadline;
use super::in_flight::InFlight;
use super::proxy_protocol::{peer_address, read_header};
use super::tls::Handshake;
use super::{Listener, Refusal, SourceMode};
use crate::proxy::source::Header;

/// Lets connections of one listener in, and hands them to `app`.
pub(super) struct Accept<A> {
    pub(super) listener: Arc<Listener>,
    pub(super) app: Arc<A>,
    pub(super) in_flight: InFlight,
}

impl<A> Accept<A> {
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
}

fn header_before_tls(stream: &Stream) -> Option<Header> {
    stream.get_proxy_digest()?.user_data.as_ref()?.downcast_ref().cloned()
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Accept<A> {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let connection = match self.admit(&mut stream).await {
            Ok(connection) => Arc::new(connection),
            Err(refusal) => {
                self.listener.refuse(refusal);
                return None;
            }
        };
        let _open = self.in_flight.connection();
        let stream = HeadDeadline::new(stream, connection).ok()?;
        self.app.process_new(Box::new(stream), shutdown).await
    }

    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}

/// Tells the connection when a request begins and ends, and leaves everything else to `http`.
pub(super) struct Turns<H> {
    pub(super) http: Arc<H>,
    pub(super) in_flight: InFlight,
    pub(super) idle_seconds: u64,
}

#[async_trait]
impl<H: HttpServerApp + Send + Sync + 'static> HttpServerApp for Turns<H> {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if session.is_http2() {
            // The head of an HTTP/2 request has arrived when its session is made.
            let _serving = self.in_flight.request();
            return self.http.process_new_http(session, shutdown).await;
        }
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(self.idle_seconds));
        }
        // An HTTP/1 session is made before its head is read: it counts from `head_received` on.
        let _turn = Connection::of(&session).cloned().map(Turn);
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

/// One HTTP/1 request; ends with its task, whatever ends that.
struct Turn(Arc<Connection>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.awaits_next_head();
    }
}
