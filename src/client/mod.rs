//! What seawall does as a client: of registries, its own and others, and of identity providers.
//!
//! Nothing here knows the server's policy. A credential goes to whom it is meant for only: no redirect is followed with it, and
//! in clear text nothing is sent but to this machine.

pub mod address;
pub mod copy;
pub mod described;
pub mod docker_config;
pub mod exchange;
mod file;
pub mod http;
pub mod provider;
pub mod registry;
pub mod sign_in;

#[cfg(test)]
mod tests;
