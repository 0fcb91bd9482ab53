//! Listeners on real sockets: what they let in, what they close, and when.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use pingora::server::{RunArgs, ShutdownSignal, ShutdownSignalWatch};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::sync::watch;

use super::testing::*;
use super::*;

mod heads;
mod http2_without_tls;
mod plain;
mod proxy_header;
mod tls_listener;

const IDLE: Duration = Duration::from_secs(1);

/// A server in a thread of this process; stops when it is dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) refusals: Arc<Mutex<Vec<Refusal>>>,
    pub(super) in_flight: InFlight,
    stop: watch::Sender<bool>,
    _never_released: watch::Sender<bool>,
    server: Option<JoinHandle<()>>,
}

struct Stopped(watch::Receiver<bool>);

#[async_trait]
impl ShutdownSignalWatch for Stopped {
    async fn recv(&self) -> ShutdownSignal {
        let _ = self.0.clone().wait_for(|stop| *stop).await;
        ShutdownSignal::FastShutdown
    }
}

impl Running {
    pub(super) fn start(source: SourceMode, change: impl FnOnce(&mut Listener)) -> Self {
        Self::with_threads(1, source, change)
    }

    pub(super) fn with_threads(threads: usize, source: SourceMode, change: impl FnOnce(&mut Listener)) -> Self {
        let (mut listener, refusals) = listener(source);
        change(&mut listener);
        let (stop, stopped) = watch::channel(false);
        let in_flight = InFlight::default();
        let serving = Serving { in_flight: in_flight.clone(), stop: stopped.clone(), threads, idle_timeout: IDLE };
        let (server, addresses, never_released) = server(vec![listener], &serving);
        let server = thread::spawn(|| server.run(RunArgs { shutdown_signal: Box::new(Stopped(stopped)) }));
        Self { address: addresses[0], refusals, in_flight, stop, _never_released: never_released, server: Some(server) }
    }

    pub(super) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// A TLS client that trusts anybody, with the certificate it was shown.
    pub(super) fn connect_tls(&self, name: &str, first_bytes: &[u8]) -> (TlsClient, CertificateDer<'static>) {
        let mut socket = self.connect();
        socket.write_all(first_bytes).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = rustls::ClientConnection::new(Arc::new(client_config(&[])), name).unwrap();
        session.complete_io(&mut socket).unwrap();
        let shown = session.peer_certificates().unwrap()[0].clone().into_owned();
        (rustls::StreamOwned::new(session, socket), shown)
    }

    fn refused(&self) -> Vec<Refusal> {
        self.refusals.lock().unwrap().clone()
    }
}

pub(super) type TlsClient = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.server.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_plain_connection_shows_its_listener_and_peer_on_every_request() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    for _ in 0..3 {
        assert_eq!(ask(&mut client, WHO), "public 127.0.0.1 none none");
    }
    assert_eq!(running.refused(), []);
}

#[test]
fn counts_open_connections_and_forgets_closed_ones() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    ask(&mut client, WHO);
    assert_eq!(running.in_flight.connections(), 1);
    drop(client);
    wait_until(|| running.in_flight.connections() == 0);
    assert_eq!(running.in_flight.requests(), 0);
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_the_listener() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut listener, _) = listener(SourceMode::Peer);
    listener.address = taken.local_addr().unwrap();
    let error = Bound::bind(listener).unwrap_err().to_string();
    let address = taken.local_addr().unwrap();
    assert!(error.starts_with(&format!("listener `public` cannot listen on {address}: ")), "{error}");
}

/// Waits for what another thread is about to do, at most five seconds.
pub(super) fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("waited for five seconds");
}
