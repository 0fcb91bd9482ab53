//! seawall: an authenticating reverse proxy in front of container registries that people already run.
//!
//! The rooms are listed bottom up; `docs/architecture.md` says what lives in each and who may import whom, and
//! `tests/architecture.rs` fails on a breach. To read how one request is decided, open `proxy::journey`.

pub mod clock;
pub mod crypto;
pub mod secret;

pub mod oci;
pub mod policy;

pub mod current;
pub mod observed;
pub mod telemetry;

pub mod auth;
pub mod client;
pub mod store;

pub mod management;

pub mod provider;
pub mod upstream;

pub mod content;
pub mod metadata;

pub mod proxy;

pub mod config;
pub mod server;

pub mod cli;
