//! The upstream as a pingora peer: where to connect, whom to trust, how long to wait.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pingora::protocols::{ALPN, TcpKeepalive};
use pingora::upstreams::peer::HttpPeer;
use pingora::upstreams::peer::HttpUpstreamRequestPolicy;
use pingora::{Error, ErrorType, OrErr, Result};

use crate::clock::Clock;
use crate::policy::address::UpstreamTarget;

mod authorities;

use authorities::Authorities;
pub(super) use authorities::NONE as NO_AUTHORITIES;

/// How long a resolved address is used before it is asked for again.
const RESOLVED_FOR: Duration = Duration::from_secs(5);

/// What is resolved.
type HostAndPort = (Arc<str>, u16);

/// An address and until when it is used.
type Resolved = (SocketAddr, Duration);

/// Makes peers, remembering what is costly: addresses of host names and parsed certificate authorities.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    resolved: Mutex<HashMap<HostAndPort, Resolved>>,
    authorities: Authorities,
}

impl Peers {
    /// The peer for one request. `upload` waits longer for the answer, not for the bytes.
    pub(crate) async fn peer(&self, target: &UpstreamTarget, upload: bool, clock: &dyn Clock) -> Result<Box<HttpPeer>> {
        let address = self.resolve(target, clock).await?;
        let name = target.tls.as_ref().map(|tls| tls.server_name.to_string());
        let mut peer = HttpPeer::new(address, name.is_some(), name.unwrap_or_default());
        let timeouts = &target.timeouts;
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.total_connection_timeout = Some(timeouts.connect);
        // Both restart with every piece that moves (pingora's select drops the read while a body is being sent), so
        // they bound silence, never a transfer's length.
        peer.options.read_timeout = Some(if upload { timeouts.upload_answer } else { timeouts.read });
        peer.options.write_timeout = Some(timeouts.write);
        peer.options.idle_timeout = Some(timeouts.idle);
        peer.options.tcp_keepalive = Some(keepalive(timeouts.write));
        peer.options.alpn = ALPN::H1;
        peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        if let Some(tls) = &target.tls {
            let (key, authorities) = self.authorities.of(tls).await?;
            peer.options.ca = Some(authorities);
            // pingora's pool does not know which authorities a connection was verified against.
            peer.group_key = key;
        }
        Ok(Box::new(peer))
    }

    async fn resolve(&self, target: &UpstreamTarget, clock: &dyn Clock) -> Result<SocketAddr> {
        if let Ok(address) = target.host.parse() {
            return Ok(SocketAddr::new(address, target.port));
        }
        let key = (Arc::clone(&target.host), target.port);
        let now = clock.ticks();
        if let Some((address, until)) = self.resolved.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && now < *until
        {
            return Ok(*address);
        }
        let found = tokio::time::timeout(target.timeouts.connect, tokio::net::lookup_host((&*key.0, key.1))).await;
        let found = found.or_err(ErrorType::ConnectTimedout, "resolving the upstream's name")?;
        let mut found = found.or_err(ErrorType::ConnectNoRoute, "resolving the upstream's name")?;
        let address = found.next();
        drop(found);
        let address =
            address.ok_or_else(|| Error::explain(ErrorType::ConnectNoRoute, "the upstream's name has no address"))?;
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        resolved.insert(key, (address, now + RESOLVED_FOR));
        Ok(address)
    }
}

/// What the kernel watches for us: a peer that is gone, and one that takes no byte for the time of a write. After a write
/// timeout pingora still waits for an answer, for an upload as long as one may take to be stored; with the connection
/// ended under it, it does not.
fn keepalive(write: Duration) -> TcpKeepalive {
    TcpKeepalive {
        idle: Duration::from_secs(30),
        interval: Duration::from_secs(10),
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: write,
    }
}
