//! The listener of the management API: a TCP address, plain or with TLS, or a Unix socket.
//!
//! Apart from the data plane's listeners, which are pingora's: it serves an [`axum::Router`] on the control plane's own
//! runtime. It authenticates nobody, but says how each request arrived ([`Connection`]). What a stranger can hold up is
//! bounded: connections, the handshake, each head, each answer, and the life of a connection.

mod socket;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::crypto;
use crate::management::Connection;
use crate::proxy::listener::Certificates;
use socket::{SocketFile, UnixSocket};

/// Further ones wait in the system's queue.
const MOST_CONNECTIONS: usize = 256;
/// The most bytes of a head, and of what is read ahead.
const HEAD_BYTES: usize = 64 * 1024;
/// After an accept that failed for want of file descriptors: some will be closed.
const BREATH: Duration = Duration::from_millis(100);

/// How long a client may take for each step.
#[derive(Debug, Clone, Copy)]
struct Patience {
    handshake: Duration,
    /// From the start of a connection, or from the last answer, until the whole head of a request.
    head: Duration,
    /// From the head of a request to that of its answer: reading its body, writing to the store, the wait until the change is
    /// in force. Also how long an answer may take that is being sent when a connection should end.
    answer: Duration,
    /// When a connection takes no further requests, so that nobody keeps one by not reading the answers.
    life: Duration,
}

const PATIENCE: Patience = Patience {
    handshake: Duration::from_secs(10),
    head: Duration::from_secs(30),
    answer: Duration::from_mins(1),
    life: Duration::from_mins(10),
};

/// Why the listener cannot be opened.
#[derive(Debug, Error)]
pub enum ManagementError {
    #[error("cannot listen on {address} for management: {source}")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("cannot listen on the Unix socket `{}` for management: {source}", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("cannot use TLS for management: {0}")]
    Tls(#[from] rustls::Error),
}

/// The listener, bound but not yet answering.
pub(super) struct Management {
    socket: Socket,
    patience: Patience,
}

enum Socket {
    Tcp { listener: TcpListener, tls: Option<TlsAcceptor> },
    Unix(UnixSocket),
}

/// The same, within a runtime.
enum Listening {
    Tcp { listener: tokio::net::TcpListener, tls: Option<TlsAcceptor> },
    Unix { listener: tokio::net::UnixListener, _file: SocketFile },
}

enum Accepted {
    Tcp { stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor> },
    Unix(UnixStream),
}

impl Management {
    /// Takes the port. Without `certificates` it speaks plain HTTP.
    ///
    /// # Errors
    /// [`ManagementError::Tcp`] when the port cannot be had.
    pub(super) fn tcp(address: SocketAddr, certificates: Option<Arc<Certificates>>) -> Result<Self, ManagementError> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = bind().map_err(|source| ManagementError::Tcp { address, source })?;
        let tls = certificates.map(acceptor).transpose()?;
        Ok(Self { socket: Socket::Tcp { listener, tls }, patience: PATIENCE })
    }

    /// Makes a Unix socket that only our own user (and root) can connect to. A socket that a process left behind is
    /// replaced; anything else at `path`, a socket in use too, is an error.
    ///
    /// # Errors
    /// [`ManagementError::Unix`].
    pub(super) fn unix(path: &Path) -> Result<Self, ManagementError> {
        let socket = UnixSocket::bind(path);
        let socket = socket.map_err(|source| ManagementError::Unix { path: path.to_owned(), source })?;
        Ok(Self { socket: Socket::Unix(socket), patience: PATIENCE })
    }

    /// Where it listens, with the port that the system chose if 0 was asked for.
    #[cfg(test)]
    fn address(&self) -> SocketAddr {
        let Socket::Tcp { listener, .. } = &self.socket else { panic!("no TCP listener") };
        listener.local_addr().unwrap()
    }

    /// Answers until `stop` turns true; then requests that have begun are finished, and this returns.
    pub(super) async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let listening = self.socket.listen()?;
        let service = TowerToHyperService::new(router);
        let host = Host { service, patience: self.patience, stop: stop.clone() };
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                Some(_) = connections.join_next() => {}
                accepted = listening.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                    Ok(accepted) => { connections.spawn(host.clone().receive(accepted)); }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection for management");
                        sleep(BREATH).await;
                    }
                },
            }
        }
        drop(listening);
        while connections.join_next().await.is_some() {}
        Ok(())
    }
}

impl Socket {
    fn listen(self) -> io::Result<Listening> {
        Ok(match self {
            Self::Tcp { listener, tls } => {
                Listening::Tcp { listener: tokio::net::TcpListener::from_std(listener)?, tls }
            }
            Self::Unix(UnixSocket { listener, file }) => {
                Listening::Unix { listener: tokio::net::UnixListener::from_std(listener)?, _file: file }
            }
        })
    }
}

impl Listening {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp { listener, tls } => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted::Tcp { stream, peer, tls: tls.clone() })
            }
            Self::Unix { listener, .. } => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Host {
    service: TowerToHyperService<Router>,
    patience: Patience,
    stop: watch::Receiver<bool>,
}

impl Host {
    async fn receive(self, accepted: Accepted) {
        match accepted {
            Accepted::Tcp { stream, peer, tls: None } => self.converse(stream, Connection::Tcp(peer)).await,
            Accepted::Tcp { stream, peer, tls: Some(tls) } => {
                match timeout(self.patience.handshake, tls.accept(stream)).await {
                    Ok(Ok(stream)) => self.converse(stream, Connection::Tcp(peer)).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake for management failed"),
                    Err(_) => tracing::debug!(%peer, "a TLS handshake for management took too long"),
                }
            }
            Accepted::Unix(stream) => {
                let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                self.converse(stream, Connection::Unix { uid }).await;
            }
        }
    }

    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, connection: Connection) {
        let Self { service, patience, mut stop } = self;
        let answer = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(connection);
            // Within it comes the request's body too: nothing that an answer waits for may go on for ever.
            let answer = timeout(patience.answer, service.call(request));
            async { answer.await.unwrap_or_else(|_| Ok(late())) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(patience.head).max_buf_size(HEAD_BYTES);
        let mut conversation = pin!(http.serve_connection(TokioIo::new(stream), answer));
        let last_request = timeout(patience.life, stopped(&mut stop));
        let ended = tokio::select! {
            ended = conversation.as_mut() => Ok(ended),
            _ = last_request => {
                conversation.as_mut().graceful_shutdown();
                timeout(patience.answer, conversation).await
            }
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(?connection, %error, "a connection for management failed"),
            Err(_) => tracing::debug!(?connection, "a connection for management was cut"),
        }
    }
}

/// Until the listener shall end: it is told so, or there is nobody left to tell it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn late() -> Response<Body> {
    let mut answer = Response::new(Body::from(
        r#"{"error":{"code":"RequestTimeout","message":"the request did not arrive or was not done in time"}}"#,
    ));
    *answer.status_mut() = StatusCode::REQUEST_TIMEOUT;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    answer
}

/// TLS 1.2 and 1.3 with these certificates, which may be reloaded meanwhile; HTTP/1.1.
fn acceptor(certificates: Arc<Certificates>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(crypto::provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

#[cfg(test)]
mod tests;
