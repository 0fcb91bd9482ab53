//! Reading the PROXY header from a connection: only from trusted balancers, exactly its own bytes, within a deadline.
//!
//! It comes before anything else on a connection, also before the TLS handshake. What the bytes mean is
//! [`crate::proxy::source`]'s business.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::http::ResponseHeader;
use pingora::protocols::SocketDigest;
use pingora::protocols::raw_connect::ProxyDigest;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Refusal;
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

/// A digest that carries `data` to every request of a connection.
pub(super) fn digest_with<T: Send + Sync + 'static>(data: T) -> pingora::Result<ProxyDigest> {
    // The type wants the answer of a CONNECT proxy; there was none, and nobody reads it.
    let unused = ResponseHeader::build(200, Some(0))?;
    Ok(ProxyDigest::new(Box::new(unused), Some(Box::new(data))))
}
