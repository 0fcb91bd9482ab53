//! Data endpoints: hosts besides the login server from which clients fetch blobs, and nothing else (requirements B.4-9).

use std::sync::Arc;

use super::address::LoginServer;
use super::origin::Origin;

/// One host of a registry for downloads.
#[derive(Debug, Clone)]
pub struct DataEndpoint {
    /// Where it is, such as `westeurope`.
    pub region: Arc<str>,
    /// The host, and the port unless it is the scheme's own.
    pub host: LoginServer,
    pub origin: Origin,
}
