//! Which source addresses a registry admits: IP rules, the default action and the switch for public access.
//!
//! Separate from the other rules because it decides before any credential is read (requirements B.3-13, S2-9..11).
//! A decision costs the same with ten rules as with a hundred thousand. [`Admitted`] can be built nowhere else, so a
//! step that asks for one cannot run before the rules did.

mod address;
mod rules;
mod steps;
mod table;

pub use address::{InvalidNetwork, SourceAddress, parse_network};
pub use rules::{Admitted, Effect, IpRule, IpRules, MatchedRule, NetworkRules, Reason, Refused};
pub use rules::{check_rule, check_rule_name};
pub use table::NetworkTable;

#[cfg(test)]
mod tests;
