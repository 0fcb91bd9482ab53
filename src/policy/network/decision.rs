//! What the network rules decide about a source, with the reason, and the class of network that it came over.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{
    Effect, EndpointMark, MatchedRule, Network, PrivateEndpointConnection, Source, SourceAddress, VirtualNetworkRule,
};
use crate::policy::trusted::{Distrust, TrustedInstance};

/// What decided. `Display` is the line that the audit log prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Public network access is switched off for this registry, so its IP rules do not count (S2-10), and neither do its
    /// virtual networks (B.3-9).
    PublicAccessDisabled,
    /// A public IPv6 address, and the registry's endpoint is one for IPv4.
    OnlyV4,
    /// What the store has as rules, or the whole registry's record, cannot be read; none of it may be left out.
    RulesUnreadable,
    /// This rule has the longest prefix that holds the address.
    Rule(MatchedRule),
    /// No IP rule holds the address, and this rule holds the source.
    VirtualNetwork(Arc<VirtualNetworkRule>),
    /// No rule holds the source.
    DefaultAction(Effect),
    /// The source is behind the private endpoint of this connection, whose status decides (B.4-3).
    PrivateEndpoint(Arc<PrivateEndpointConnection>),
    /// The source is behind a private endpoint that no connection names.
    UnknownEndpoint(EndpointMark),
    /// The rules refuse the source, and this trusted service comes from it (S2-2).
    TrustedService(Arc<TrustedInstance>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublicAccessDisabled => f.write_str("publicNetworkAccess is Disabled"),
            Self::OnlyV4 => f.write_str("endpointProtocol is IPv4, and this is an IPv6 address"),
            Self::RulesUnreadable => f.write_str("what the store has as network rules cannot be read"),
            Self::Rule(rule) => rule.fmt(f),
            Self::VirtualNetwork(rule) => rule.fmt(f),
            Self::DefaultAction(effect) => write!(f, "no ip rule matches and defaultAction is {effect}"),
            Self::PrivateEndpoint(connection) => connection.fmt(f),
            Self::UnknownEndpoint(mark) => write!(f, "no private endpoint connection matches {mark}"),
            Self::TrustedService(instance) => instance.fmt(f),
        }
    }
}

/// Proof that the network rules let a source in; only [`NetworkRules::admit`](super::NetworkRules::admit) makes one, and a
/// registry for its trusted services.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Admitted {
    pub(super) reason: Reason,
    pub(super) place: Place,
}

impl Admitted {
    /// The rules do not count for this trusted service.
    pub(in crate::policy) fn trusted(instance: &Arc<TrustedInstance>, place: &Place) -> Self {
        let class = NetworkClass::TrustedService(Arc::clone(&instance.service.name));
        let place = Place { address: place.address, class };
        Self { reason: Reason::TrustedService(Arc::clone(instance)), place }
    }

    /// What let it in.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Where it comes from.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

/// The answer to a source that the network rules keep out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Refused {
    pub(super) reason: Reason,
    /// Why nobody passes as a trusted service, where that was asked.
    pub(super) distrust: Option<Distrust>,
    pub(super) place: Place,
}

impl Refused {
    /// What kept it out.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Where it comes from.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Why nobody passes as a trusted service, where that was asked.
    pub fn distrust(&self) -> Option<&Distrust> {
        self.distrust.as_ref()
    }

    /// The same, and why nobody passes as a trusted service.
    pub(in crate::policy) fn although(self, distrust: Distrust) -> Self {
        Self { distrust: Some(distrust), ..self }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        self.distrust.as_ref().map_or(Ok(()), |distrust| write!(f, "; {distrust}"))
    }
}

/// Where a source comes from, in the words of the rules that decided about it: what network conditions look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub address: SourceAddress,
    pub class: NetworkClass,
}

impl Place {
    /// Of `source`, about which this decided.
    #[inline]
    pub(super) fn of(source: Source<'_>, reason: &Reason) -> Self {
        Self { address: source.address, class: NetworkClass::of(source, reason) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.class {
            NetworkClass::Public => self.address.fmt(f),
            class @ (NetworkClass::PrivateEndpoint(_)
            | NetworkClass::UnknownEndpoint(_)
            | NetworkClass::VirtualNetwork(_)
            | NetworkClass::TrustedService(_)) => write!(f, "{} over {class}", self.address),
        }
    }
}

/// The class of network that a source came over, as far as the rules know it by a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkClass {
    Public,
    /// The name of its connection.
    PrivateEndpoint(Arc<str>),
    /// A private endpoint whose connection is not known.
    UnknownEndpoint(EndpointMark),
    /// The name of the rule that admitted it.
    VirtualNetwork(Arc<str>),
    /// The name of the service that passed in spite of the rules.
    TrustedService(Arc<str>),
}

impl NetworkClass {
    /// Of `source`, about which this decided.
    #[inline]
    pub(super) fn of(source: Source<'_>, reason: &Reason) -> Self {
        match (reason, source.network) {
            (Reason::PrivateEndpoint(connection), _) => Self::PrivateEndpoint(Arc::clone(&connection.name)),
            (Reason::VirtualNetwork(rule), _) => Self::VirtualNetwork(Arc::clone(&rule.name)),
            (Reason::TrustedService(instance), _) => Self::TrustedService(Arc::clone(&instance.service.name)),
            (_, Network::PrivateEndpoint(mark)) => Self::UnknownEndpoint(mark.clone()),
            (_, Network::Public) => Self::Public,
        }
    }

    /// Whether a source came through a private endpoint, so that its address is one of somebody's private network.
    pub const fn is_private_endpoint(&self) -> bool {
        matches!(self, Self::PrivateEndpoint(_) | Self::UnknownEndpoint(_))
    }
}

impl fmt::Display for NetworkClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::PrivateEndpoint(name) => write!(f, "private endpoint {name}"),
            Self::UnknownEndpoint(mark) => write!(f, "unknown private endpoint ({mark})"),
            Self::VirtualNetwork(name) => write!(f, "virtual network {name}"),
            Self::TrustedService(name) => write!(f, "trusted service {name}"),
        }
    }
}

/// As it is displayed.
impl Serialize for NetworkClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
