//! Where a connection comes from: its address, its listener, and whether it came over a public network.
//!
//! Apart from the rules, because it is what others say: a listener, or a load balancer that the listener trusts. It is a
//! fact about the connection and decides nothing.

use std::fmt;
use std::sync::Arc;

use super::SourceAddress;

/// The longest VPC endpoint id that is read; AWS's own have 22 characters.
const VPC_ENDPOINT_ID_MAX: usize = 128;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    pub address: SourceAddress,
    /// The name of the listener.
    pub listener: &'a str,
    pub network: &'a Network,
}

impl<'a> Source<'a> {
    /// A source on a public network, on no listener in particular.
    #[inline]
    pub fn public(address: impl Into<SourceAddress>) -> Self {
        static PUBLIC: Network = Network::Public;
        Self { address: address.into(), listener: "", network: &PUBLIC }
    }

    /// The same over this network.
    #[must_use]
    pub fn behind(self, network: &'a Network) -> Self {
        Self { network, ..self }
    }

    /// The same on the listener of this name.
    #[must_use]
    pub fn on(self, listener: &'a str) -> Self {
        Self { listener, ..self }
    }
}

/// Over which kind of network a connection came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Any that is not known to be private: the public rules apply.
    Public,
    /// A private endpoint, by its mark. Its addresses are those of somebody's private network, so the public rules say
    /// nothing about them.
    PrivateEndpoint(EndpointMark),
}

/// By what a private endpoint is told from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointMark {
    /// AWS: the id of a VPC endpoint, such as `vpce-0abc`.
    VpcEndpointId(Arc<str>),
    /// Azure: the LINKID of a private endpoint of a Private Link service.
    LinkId(u32),
    /// Google: the `pscConnectionId` of a Private Service Connect endpoint.
    PscConnectionId(u64),
    /// The listener of this name, which is not public.
    Listener(Arc<str>),
}

impl EndpointMark {
    /// The VPC endpoint of this id: letters, digits and `-`, as AWS documents it.
    pub fn vpc_endpoint(id: &str) -> Option<Self> {
        let legible = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let sized = (1..=VPC_ENDPOINT_ID_MAX).contains(&id.len());
        (legible && sized).then(|| Self::VpcEndpointId(id.into()))
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (key, value) = text.split_once(' ')?;
        let quoted = || value.strip_prefix('`')?.strip_suffix('`');
        match key {
            "vpcEndpointId" => quoted().and_then(Self::vpc_endpoint),
            "linkId" => value.parse().ok().map(Self::LinkId),
            "pscConnectionId" => value.parse().ok().map(Self::PscConnectionId),
            "listener" => quoted().map(|name| Self::Listener(name.into())),
            _ => None,
        }
    }

    /// The key under which files name it.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::VpcEndpointId(_) => "vpcEndpointId",
            Self::LinkId(_) => "linkId",
            Self::PscConnectionId(_) => "pscConnectionId",
            Self::Listener(_) => "listener",
        }
    }

    /// What a file says to match it, as a mapping on one line.
    pub fn yaml(&self) -> String {
        let value = match self {
            // As a JSON string, which YAML reads as that text whatever is in it.
            Self::VpcEndpointId(text) | Self::Listener(text) => serde_json::Value::from(&**text).to_string(),
            Self::LinkId(id) => id.to_string(),
            Self::PscConnectionId(id) => id.to_string(),
        };
        format!("{{ {}: {value} }}", self.key())
    }
}

impl fmt::Display for EndpointMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.key())?;
        match self {
            Self::VpcEndpointId(text) | Self::Listener(text) => write!(f, "`{text}`"),
            Self::LinkId(id) => id.fmt(f),
            Self::PscConnectionId(id) => id.fmt(f),
        }
    }
}
