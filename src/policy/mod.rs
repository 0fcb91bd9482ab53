//! The rules, pure: what is allowed to whom, from where. No I/O, no async, no clock, no logging.
//!
//! Bottom up: actions and patterns make scope maps, scope maps and credentials make principals, roles and claim rules make
//! identities, a registry knows its principals and network rules, a snapshot holds the registries. `document` is what operators write and [`compile`]
//! turns it into the one layer of a registry; `stored` is what the API has set and makes the other. A snapshot is
//! assembled of both, and [`authorize`] decides.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod action;
pub mod address;
pub mod claims;
mod compile;
pub mod conditions;
pub mod content_cache;
pub mod credential;
mod data_endpoint;
mod decide;
mod described;
pub mod document;
pub mod expiry;
pub mod explain;
#[cfg(test)]
pub(crate) mod fixture;
mod identities;
pub mod identity;
mod layers;
pub mod limits;
mod lint;
pub mod locks;
pub mod manage;
pub mod names;
pub mod nearest;
pub mod network;
mod operation;
pub mod origin;
mod pattern;
pub mod principal;
pub mod problem;
mod properties;
pub mod quantity;
pub mod redirects;
mod registry;
pub mod role;
mod scope_action;
mod scope_map;
mod snapshot;
pub mod stored;
pub mod tier;
pub mod trusted;
pub mod upstream_credential;

pub use compile::{Compiler, References, compile};
pub use data_endpoint::DataEndpoint;
pub use decide::{
    AccessList, Caller, Denial, Granted, Permit, PermitRule, accepted, authorize, grant, located, may_list,
};
pub use identities::Identities;
pub use layers::{
    DeclaredPolicy, StoredPolicy, check_identity, check_private_endpoint_connection, check_role_assignment,
};
pub use lint::lint;
pub use manage::Manager;
pub use operation::{Need, Operation, OperationClass};
pub use pattern::{PatternError, RepositoryPattern};
pub use principal::Principal;
pub use properties::{OnUnlessSet, Properties, Repositories, Setting};
pub use registry::Registry;
pub use scope_action::{GatewayAction, ScopeAction};
pub use scope_map::{ScopeMap, ScopeRule};
pub use snapshot::PolicySnapshot;
