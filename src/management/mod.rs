//! The control plane: the resource API of `Microsoft.ContainerRegistry`, over what files declare and the store keeps.
//!
//! It writes to the store and to nothing else. What was written comes back through the provider of the policy, and a write
//! is answered when the policy in force holds it. It never meets `proxy`: pulls go on while this is down.

mod access;
mod admin;
mod call;
pub mod client;
mod endpoint_connections;
mod endpoints;
mod error;
mod explain;
mod fixed;
mod identities;
mod identity_tokens;
mod journey;
pub mod key_records;
mod keys;
mod limits;
mod lists;
mod models;
mod networks;
mod openapi;
mod owner;
mod passwords;
mod principals;
mod registries;
mod repositories;
mod rights;
mod role_assignments;
mod role_definitions;
mod scope_maps;
mod service_principals;
mod spelling;
mod tokens;
mod trusted;
mod usages;
mod uses;
mod virtual_networks;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;

use crate::auth::Authenticator;
use crate::auth::keys::SigningAlgorithm;
use crate::clock::Clock;
use crate::current::Current;
use crate::policy::tier::Tier;
use crate::secret::{EncryptionKey, HashKey};
use crate::store::Store;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::metrics::Metrics;

pub use owner::OwnerCredential;

/// How a request came in. The listener inserts it as an extension of every request; without it a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// From this address. The credential is asked for.
    Tcp(SocketAddr),
    /// Through the socket, whose mode says who may; from this user of the system.
    Unix { uid: Option<u32> },
}

/// How the API presents itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the subscription in answers; requests may use any.
    pub subscription: String,
    /// The name of the resource group in answers; requests may use any.
    pub resource_group: String,
    /// Whether clients speak TLS to it: links in answers begin with `https` then.
    pub tls: bool,
    /// Refuses what goes beyond the limits of a tier. `None` limits nothing.
    pub enforced_tier: Option<Tier>,
    /// Of signing keys that are made by rotating.
    pub signing_algorithm: SigningAlgorithm,
}

/// What the API works with.
#[derive(Debug, Clone)]
pub struct Parts {
    pub current: Arc<Current>,
    pub store: Arc<dyn Store>,
    pub encryption: EncryptionKey,
    pub hash_key: HashKey,
    pub owner: OwnerCredential,
    /// Tells who other callers are.
    pub authenticator: Arc<Authenticator>,
    pub audit: AuditLog,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
}

/// The management API. Clones share it.
#[derive(Debug, Clone)]
pub struct Api(Arc<Parts>);

impl Api {
    /// An API over `parts`.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Answers every request; each must carry a [`Connection`] as an extension.
    pub fn router(self) -> Router {
        Router::new().fallback(move |request: Request| {
            let parts = Arc::clone(&self.0);
            journey::answer(parts, request)
        })
    }
}
