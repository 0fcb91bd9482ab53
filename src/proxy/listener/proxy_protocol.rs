//! Reading the PROXY header from a connection: only from trusted balancers, exactly its own bytes, within a deadline.
//!
//! pingora has two places for it and neither serves both kinds of listener: before the TLS handshake there is the
//! [`PreTlsProcess`] hook, which is silently ignored on a plain listener; there the application reads the stream itself.
//! What the bytes mean is [`crate::proxy::source`]'s business.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::listeners::PreTlsProcess;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, GetSocketDigest, SocketDigest};
use pingora::{Error, ErrorType};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Listener, Refusal, SourceMode};
use crate::proxy::source::{Header, Progress, TrustedProxies, parse, progress};

/// A balancer sends its header with the first packet; whoever needs longer is none.
const DEADLINE: Duration = Duration::from_secs(3);

/// Reads the header from `stream`, whose socket's other end is `peer`.
pub(super) async fn read_header<S: AsyncRead + Unpin + ?Sized>(
    stream: &mut S,
    peer: SocketAddr,
    trusted: &TrustedProxies,
) -> Result<Header, Refusal> {
    // Before any byte is read: what a stranger sends is never parsed.
    if !trusted.contains(peer.ip()) {
        return Err(Refusal::UntrustedPeer);
    }
    tokio::time::timeout(DEADLINE, read_bytes(stream)).await.map_err(|_| Refusal::LateProxyHeader)?
}

async fn read_bytes<S: AsyncRead + Unpin + ?Sized>(stream: &mut S) -> Result<Header, Refusal> {
    let mut received = Vec::with_capacity(64);
    while let Progress::Read(count) = progress(&received).map_err(|_| Refusal::MalformedProxyHeader)? {
        let limit = u64::try_from(count).unwrap_or(u64::MAX);
        match (&mut *stream).take(limit).read_buf(&mut received).await {
            Ok(0) | Err(_) => return Err(Refusal::MalformedProxyHeader),
            Ok(_) => {}
        }
    }
    parse(&received).map_err(|_| Refusal::MalformedProxyHeader)
}

/// The other end of the socket. `None` for anything but TCP.
pub(super) fn peer_address(digest: Option<Arc<SocketDigest>>) -> Option<SocketAddr> {
    digest?.peer_addr()?.as_inet().copied()
}

/// The hook for TLS listeners: leaves the [`Header`] in the stream's proxy digest, where the application finds it after
/// the handshake.
pub(super) struct BeforeTls(pub(super) Arc<Listener>);

impl BeforeTls {
    async fn read(&self, stream: &mut L4Stream, trusted: &TrustedProxies) -> Result<Header, Refusal> {
        let peer = peer_address(stream.get_socket_digest()).ok_or(Refusal::NoPeerAddress)?;
        read_header(stream, peer, trusted).await
    }
}

#[async_trait]
impl PreTlsProcess for BeforeTls {
    async fn process(&self, stream: &mut L4Stream) -> pingora::Result<()> {
        let SourceMode::ProxyProtocol { trusted, .. } = &self.0.source else { return Ok(()) };
        match self.read(stream, trusted).await {
            Ok(header) => {
                stream.set_proxy_digest(digest_with(header)?);
                Ok(())
            }
            Err(refusal) => {
                self.0.refuse(refusal);
                Error::e_explain(ErrorType::AcceptError, refusal.label())
            }
        }
    }
}

/// A digest that carries `data` to every request of a connection.
pub(super) fn digest_with<T: Send + Sync + 'static>(data: T) -> pingora::Result<ProxyDigest> {
    // The type wants the answer of a CONNECT proxy; there was none, and nobody reads it.
    let unused = ResponseHeader::build(200, Some(0))?;
    Ok(ProxyDigest::new(Box::new(unused), Some(Box::new(data))))
}
