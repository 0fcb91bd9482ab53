//! The control plane as a whole: the real seawall, its commands, Microsoft's SDK, real databases.

mod conflicts;
mod durability;
mod replicas;
mod rotation;
mod sdk;
#[path = "../../support/replicas.rs"]
pub(crate) mod support;
mod walkthrough;
