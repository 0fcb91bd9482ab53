//! Bound sockets and a `ProxyHttp` become pingora services.
//!
//! Every worker is a service of its own, with one thread, its own socket on the port and its own pool of connections to the
//! upstreams. So a request stays on the thread that accepted its connection: pingora gives every task of a service with
//! several threads, such as the one that watches an idle connection, to any of them, and then each request wakes another
//! thread and is woken by it.
//!
//! pingora binds inside a task of the service and panics there when it cannot, which nobody sees. So the sockets are
//! bound here first, where an error can still stop the start, and handed over. The services also follow our own stop
//! signal instead of pingora's, because pingora's ends the process after a fixed sleep (see `server::lifecycle`).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions};
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::{HttpProxy, ProxyHttp, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::listening::Service;
use pingora::services::{Service as PingoraService, ServiceWithDependents};
use thiserror::Error;

use super::accept::{Accept, Streams};
use super::tls::Handshakes;
use super::{AnswersPlain, InFlight, Listener, socket};
use crate::crypto;
use crate::proxy::peer::NO_AUTHORITIES;

/// In bytes; an idle connection costs both. Only the header of the PROXY protocol is read in pieces smaller than the read buffer:
/// everything else is read past it. The write buffer lets a response head and a small body leave in one packet.
const READ_BUFFER: usize = 1024;
const WRITE_BUFFER: usize = 8 * 1024;
/// What is under TLS comes in records, and large ones go past it.
const TLS_WRITE_BUFFER: usize = 4 * 1024;

/// In bytes: as much as Go's server takes of a stream, and as many streams of which nobody reads anything.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// Idle connections that each worker keeps to the registries behind us.
const UPSTREAM_POOL: usize = 512;

/// Attempts for one request: three to reach the upstream, where only what pingora knows to be safe is tried again, one with
/// a fresh token, and three to follow its redirects.
const UPSTREAM_ATTEMPTS: usize = 7;

/// Why a listener cannot be opened.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is taken, not ours, or needs a right we lack.
    #[error("listener `{name}` cannot listen on {address}: {source}")]
    Bind {
        /// The listener.
        name: String,
        /// Its address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// rustls does not take the TLS settings; with what was checked before, that does not happen.
    #[error("listener `{name}` cannot use TLS: {reason}")]
    Tls {
        /// The listener.
        name: String,
        /// What rustls says.
        reason: String,
    },
}

/// A listener whose port is taken; connections wait in the backlog until its service starts.
#[derive(Debug)]
pub struct Bound {
    listener: Arc<Listener>,
    socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Takes the listener's port.
    pub fn bind(listener: Listener) -> Result<Self, ListenError> {
        let bound = socket::first(listener.address).and_then(|socket| {
            let address = socket.local_addr()?;
            Ok((socket, address))
        });
        match bound {
            Ok((socket, address)) => Ok(Self { listener: Arc::new(listener), socket, address }),
            Err(source) => Err(cannot_listen(&listener, listener.address, source)),
        }
    }

    /// What terminates TLS, if it does.
    fn handshakes(&self) -> Result<Option<Arc<Handshakes>>, ListenError> {
        let Some(certificates) = &self.listener.tls else { return Ok(None) };
        certificates
            .handshakes(&self.listener)
            .map(|handshakes| Some(Arc::new(handshakes)))
            .map_err(|error| ListenError::Tls { name: self.listener.name.to_string(), reason: error.to_string() })
    }

    /// The socket of this worker: the system spreads connections among all of them.
    fn socket(&self, worker: usize) -> Result<TcpListener, ListenError> {
        let socket = if worker == 0 { self.socket.try_clone() } else { socket::another(&self.socket) };
        socket.map_err(|source| cannot_listen(&self.listener, self.address, source))
    }

    /// Where it listens, with the port that the system chose if the configuration said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn cannot_listen(listener: &Listener, address: SocketAddr, source: io::Error) -> ListenError {
    ListenError::Bind { name: listener.name.to_string(), address, source }
}

/// What the services share with the rest of the process.
#[derive(Debug, Clone)]
pub struct Serving {
    /// Counts open connections and requests.
    pub in_flight: InFlight,
    /// Turns true when the listeners shall close.
    pub stop: ShutdownWatch,
    /// Workers of each listener.
    pub threads: usize,
    /// How long an open connection may be without a request.
    pub idle_timeout: Duration,
}

/// The settings of the pingora server that runs the services.
pub fn server_configuration() -> ServerConf {
    ServerConf {
        // Of each service.
        threads: 1,
        work_stealing: false,
        upstream_keepalive_pool_size: UPSTREAM_POOL,
        max_retries: UPSTREAM_ATTEMPTS,
        ca_file: Some(NO_AUTHORITIES.to_owned()),
        // `server::lifecycle` waits for what is in flight; when pingora is told, nothing is left to wait for.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    }
}

/// A service for each worker of each listener, all in front of clones of `gate`, which share what it has.
///
/// HTTP/2 is agreed on in the TLS handshake, or begun by the client at once where a listener says so.
pub fn services<G>(
    configuration: &Arc<ServerConf>,
    gate: &G,
    listeners: Vec<Bound>,
    serving: &Serving,
) -> Result<Vec<Box<dyn ServiceWithDependents>>, ListenError>
where
    G: ProxyHttp + AnswersPlain + Clone + Send + Sync + 'static,
    G::CTX: Send + Sync,
{
    // Before pingora chooses.
    crypto::install();
    let handshakes = listeners.iter().map(Bound::handshakes).collect::<Result<Vec<_>, _>>()?;
    let mut services = Vec::new();
    for worker in 0..serving.threads.max(1) {
        let app = Arc::new(application(configuration, gate, serving));
        for (bound, tls) in listeners.iter().zip(&handshakes) {
            services.push(service(bound, tls.clone(), (worker, &app), serving)?);
        }
    }
    // Only the workers' sockets stay, which close when they stop.
    drop(listeners);
    Ok(services)
}

/// What one worker does with connections, whichever listener they come from.
fn application<G>(configuration: &Arc<ServerConf>, gate: &G, serving: &Serving) -> Streams<HttpProxy<G>, G>
where
    G: ProxyHttp + Clone + Send + Sync + 'static,
    G::CTX: Send + Sync,
{
    let mut http: HttpProxy<G> = http_proxy(configuration, gate.clone());
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(serving.idle_timeout);
    http.server_options = Some(options);
    http.h2_options = Some(http2());
    Streams { http: Arc::new(http), plain: Arc::new(gate.clone()), in_flight: serving.in_flight.clone() }
}

/// How much a client of HTTP/2 may send before somebody has read it. The default is 64 KiB for a stream, which is all that goes up in a
/// round trip, and as much for the whole connection, so that one upload that waits for its registry stops all others.
fn http2() -> H2Options {
    let mut options = default_h2_options();
    options.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    options
}

fn service<H, G>(
    bound: &Bound,
    tls: Option<Arc<Handshakes>>,
    (worker, app): (usize, &Arc<Streams<H, G>>),
    serving: &Serving,
) -> Result<Box<dyn ServiceWithDependents>, ListenError>
where
    H: HttpServerApp + Send + Sync + 'static,
    G: AnswersPlain + Send + Sync + 'static,
{
    let Bound { listener, address, .. } = bound;
    let socket = bound.socket(worker)?;
    let key = format!("{address} of worker {worker}");
    let write_buffer = if tls.is_some() { TLS_WRITE_BUFFER } else { WRITE_BUFFER };
    let endpoint = ListenerConfig::tcp(key.as_str()).l4_buffer(L4BufferSettings::new(READ_BUFFER, write_buffer));
    let accept = Accept {
        listener: Arc::clone(listener),
        tls,
        app: Arc::clone(app),
        in_flight: serving.in_flight.clone(),
        idle_timeout: serving.idle_timeout,
    };
    let mut service = Service::new(format!("listener {}", listener.name), accept);
    service.threads = Some(1);
    service.add_listener(endpoint);
    Ok(Box::new(Endpoint { service, key, socket: Some(socket), stop: serving.stop.clone() }))
}

/// A service on a socket that is bound already, following our stop signal.
struct Endpoint<H, G> {
    service: Service<Accept<H, G>>,
    /// The name under which pingora looks for the socket before it would bind one.
    key: String,
    socket: Option<TcpListener>,
    stop: ShutdownWatch,
}

#[async_trait]
impl<H, G> PingoraService for Endpoint<H, G>
where
    H: HttpServerApp + Send + Sync + 'static,
    G: AnswersPlain + Send + Sync + 'static,
{
    async fn start_service(&mut self, sockets: Option<ListenFds>, _stop: ShutdownWatch, tasks_per_socket: usize) {
        if let (Some(sockets), Some(socket)) = (&sockets, self.socket.take()) {
            sockets.lock().add(self.key.clone(), socket.into_raw_fd());
        }
        PingoraService::start_service(&mut self.service, sockets, self.stop.clone(), tasks_per_socket).await;
    }

    fn name(&self) -> &str {
        PingoraService::name(&self.service)
    }

    fn threads(&self) -> Option<usize> {
        PingoraService::threads(&self.service)
    }
}
