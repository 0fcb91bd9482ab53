//! What the network rules decide about a source, with the reason, and the class of network that it came over.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Effect, EndpointMark, MatchedRule, Network, PrivateEndpointConnection, Source, VirtualNetworkRule};
use crate::policy::trusted::{Distrust, TrustedInstance};

/// What decided. `Display` is the line that the audit log prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Public network access is switched off for this registry, so its IP rules do not count (S2-10), and neither do its
    /// virtual networks (B.3-9).
    PublicAccessDisabled,
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
}

impl Admitted {
    /// The rules do not count for this trusted service.
    pub(in crate::policy) fn trusted(instance: &Arc<TrustedInstance>) -> Self {
        Self { reason: Reason::TrustedService(Arc::clone(instance)) }
    }

    /// What let it in.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// The answer to a source that the network rules keep out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Refused {
    pub(super) reason: Reason,
    /// Why nobody passes as a trusted service, where that was asked.
    pub(super) distrust: Option<Distrust>,
}

impl Refused {
    /// What kept it out.
    pub fn reason(&self) -> &Reason {
        &self.reason
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
    pub fn of(source: Source<'_>, reason: &Reason) -> Self {
        match (reason, source.network) {
            (Reason::PrivateEndpoint(connection), _) => Self::PrivateEndpoint(Arc::clone(&connection.name)),
            (Reason::VirtualNetwork(rule), _) => Self::VirtualNetwork(Arc::clone(&rule.name)),
            (Reason::TrustedService(_), Network::Public) => Self::of_trusted(reason).unwrap_or(Self::Public),
            (_, Network::PrivateEndpoint(mark)) => Self::UnknownEndpoint(mark.clone()),
            (_, Network::Public) => Self::Public,
        }
    }

    /// Of a source whose trusted service this let in.
    pub fn of_trusted(reason: &Reason) -> Option<Self> {
        match reason {
            Reason::TrustedService(instance) => Some(Self::TrustedService(Arc::clone(&instance.service.name))),
            Reason::PublicAccessDisabled
            | Reason::RulesUnreadable
            | Reason::Rule(_)
            | Reason::VirtualNetwork(_)
            | Reason::DefaultAction(_)
            | Reason::PrivateEndpoint(_)
            | Reason::UnknownEndpoint(_) => None,
        }
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
