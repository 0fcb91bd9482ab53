//! Network rules to try: they decide nothing, and say where they would decide otherwise.
//!
//! A whole set of rules and not rules one by one, because the longest prefix decides: what one rule does depends on all others.

use std::fmt;
use std::sync::Arc;

use super::{Effect, IpRules, Reason};
use crate::policy::document::{NetworkAction, PublicNetworkAccess};
use crate::policy::origin::Origin;

/// What is tried in place of what is in force. What it leaves out is as it is in force, virtual networks and private endpoints
/// always.
#[derive(Debug, Clone)]
pub struct Shadow {
    pub public: Option<PublicNetworkAccess>,
    pub default: Option<NetworkAction>,
    pub ip_rules: Option<Arc<IpRules>>,
    /// Where it is written.
    pub origin: Origin,
}

/// Something else than what was decided. `Display` is the line that the audit log prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    pub would: Effect,
    pub reason: Reason,
    /// Of the rules that are tried.
    pub origin: Origin,
}

impl fmt::Display for Shadowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; tried at {}", self.reason, self.origin)
    }
}
