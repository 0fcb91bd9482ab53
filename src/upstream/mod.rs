//! The registries behind us: where they are and how to reach them, and what seawall presents to them.

mod bypass;
mod calls;
mod client;
mod credentials;
mod exchange;
#[cfg(test)]
pub(crate) mod fake;
mod scopes;

pub use bypass::{Strangers, ask_as_a_stranger, warn_of_open_upstreams};
pub use calls::{Answer, Call, CallError, Calls};
pub use credentials::{Credentials, Mint, NoCredential, NotMinted, Presented};
