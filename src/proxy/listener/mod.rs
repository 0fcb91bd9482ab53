//! Step 1 of the journey: sockets, TLS and the PROXY protocol, up to a request whose head has arrived.
//!
//! A [`Listener`] says where and how to listen, [`Bound::bind`] takes the port (or says why it cannot) before anything
//! starts, and [`services`] turns bound listeners and one `ProxyHttp` into pingora services. Every connection that is
//! let in carries a [`Connection`], which any later step reads with [`Connection::of`].
//!
//! It is separate because it is the only place that touches pingora's transport layer. Nothing here decides about a
//! request: a connection is closed without an answer when it breaks the rules of its listener, and [`Refusal`] says
//! which rule, so that it can be counted.

mod accept;
mod connection;
mod head_deadline;
mod in_flight;
mod left;
mod plain;
mod proxy_protocol;
mod service;
mod socket;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::source::{EndpointKind, ForwardedHeader, Header, TrustedProxies, UnclearEndpoint};
use crate::policy::network::Network;

pub use connection::Connection;
pub use in_flight::InFlight;
pub use left::{Left, left};
pub use plain::{AnswersPlain, PlainRequest};
pub use service::{Bound, ListenError, Serving, server_configuration, services};
pub use tls::{
    AuthorityFiles, CertificateError, CertificateFiles, CertificateWarning, Certificates, ClientAuthorities,
    ClientCertificate,
};

/// One address to listen on, resolved from the configuration.
pub struct Listener {
    /// The operator's name for it; shown in the audit log.
    pub name: Arc<str>,
    /// Where to listen. Port 0 lets the system choose; [`Bound::address`] tells which.
    pub address: SocketAddr,
    /// Certificates for a TLS listener; `None` for a plain one.
    pub tls: Option<Arc<Certificates>>,
    /// Whether a client may begin with HTTP/2 where there is no TLS.
    pub h2c: bool,
    /// How the source address of its requests is found.
    pub source: SourceMode,
    /// What its connections come over where nobody says more: a public network, or a private endpoint of its own.
    pub network: Network,
    /// How long a client may take to send the whole head of a request.
    pub head_timeout: Duration,
    /// Told of every connection that is closed without an answer of ours. Must not block.
    pub on_refusal: Arc<dyn Fn(Refusal) + Send + Sync>,
}

/// Whose word about the source address a listener takes. The trusted networks are inside the mode, so that no mode can
/// be chosen without them.
#[derive(Debug, Clone)]
pub enum SourceMode {
    /// The socket's: whoever connects is the source.
    Peer,
    /// A load balancer's: every connection must come from one of `trusted` and begin with a PROXY header.
    ProxyProtocol {
        /// The load balancers.
        trusted: TrustedProxies,
        /// Whose private endpoints they tell of; `None`: what they say about endpoints is not read.
        private_endpoint: Option<EndpointKind>,
    },
    /// A reverse proxy's, request by request, as far as it is one of `trusted`.
    Forwarded {
        /// The one header that these proxies write.
        header: ForwardedHeader,
        /// The reverse proxies.
        trusted: TrustedProxies,
    },
}

impl Listener {
    /// Over which network a connection comes that began with this header, or with none.
    fn network_of(&self, header: Option<&Header>) -> Result<Network, UnclearEndpoint> {
        let endpoint = match (&self.source, header) {
            (SourceMode::ProxyProtocol { private_endpoint: Some(kind), .. }, Some(Header::Proxied { tlvs, .. })) => {
                kind.endpoint(tlvs)?
            }
            _ => None,
        };
        Ok(endpoint.map_or_else(|| self.network.clone(), Network::PrivateEndpoint))
    }

    fn refuse(&self, refusal: Refusal) {
        (self.on_refusal)(refusal);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why a connection was closed without an answer of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The socket has no peer address, so nobody can say who is calling.
    NoPeerAddress,
    /// The listener speaks the PROXY protocol and the peer is not one of its trusted load balancers.
    UntrustedPeer,
    /// The PROXY header is missing, malformed, or longer than any header a load balancer sends; or what it says about a
    /// private endpoint cannot be understood.
    MalformedProxyHeader,
    /// The PROXY header did not arrive in time.
    LateProxyHeader,
    /// The head of a request did not arrive in time (slow loris).
    LateHead,
    /// The head of a request is over 64 KiB.
    LargeHead,
    /// The client showed a certificate that none of the listener's authorities stands behind.
    ClientCertificate,
    /// pingora itself answered with an error, because what arrived is not HTTP (or a CONNECT). No other step of the
    /// journey ever sees it.
    MalformedHead,
}

impl Refusal {
    /// The refusal as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoPeerAddress => "no_peer_address",
            Self::UntrustedPeer => "untrusted_peer",
            Self::MalformedProxyHeader => "malformed_proxy_header",
            Self::LateProxyHeader => "late_proxy_header",
            Self::LateHead => "late_head",
            Self::LargeHead => "large_head",
            Self::ClientCertificate => "client_certificate",
            Self::MalformedHead => "malformed_head",
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
