//! Which sources a registry admits: private endpoints, the switch for public access, IP rules, virtual networks, the default
//! action.
//!
//! Separate from the other rules because it decides before any credential is read (requirements B.3-13, S2-7..11).
//! A decision costs the same with ten rules as with a hundred thousand. [`Admitted`] can be built nowhere else, so a
//! step that asks for one cannot run before the rules did.

mod address;
mod decision;
mod endpoints;
mod rules;
mod shadow;
mod source;
mod steps;
mod table;
mod virtual_networks;

pub use address::{InvalidNetwork, SourceAddress, parse_network};
pub use decision::{Admitted, NetworkClass, Place, Reason, Refused};
pub use endpoints::{EndpointMatch, PrivateEndpointConnection, PrivateEndpoints};
pub use rules::{Effect, IpRule, IpRules, MatchedRule, NetworkRules};
pub use rules::{check_rule, check_rule_name};
pub use shadow::{Shadow, Shadowed};
pub use source::{EndpointMark, Network, Source};
pub use table::NetworkTable;
pub use virtual_networks::{
    MOST_VIRTUAL_NETWORKS, SUBNET_HINT, VirtualNetworkMatch, VirtualNetworkRule, VirtualNetworks, is_subnet,
};

#[cfg(test)]
mod precedence;
#[cfg(test)]
mod tests;
