//! The control plane: the management API in the shape of Azure Resource Manager.

use std::net::SocketAddr;

/// How a request for the management API arrived. Whoever serves the API adds it to each request, as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// From this peer: it has to authenticate itself.
    Tcp(SocketAddr),
    /// Through the Unix socket, whose mode lets its owner in only.
    Unix {
        /// The user of the process at the other end, if the system says so.
        uid: Option<u32>,
    },
}
