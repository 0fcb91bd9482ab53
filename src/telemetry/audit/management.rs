//! What one line of the audit log says about a request to the management API.

use std::net::SocketAddr;

use serde::Serialize;

use super::record::{Bounded, micros};
use crate::clock::Timestamp;

/// One change, or one look at a secret, or an attempt at either.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "management", rename_all = "camelCase")]
pub struct ManagementRecord {
    /// When the request began. RFC 3339, UTC, microseconds.
    #[serde(serialize_with = "micros")]
    pub time: Timestamp,
    /// The id that the client's answer carries too, as `x-ms-request-id`.
    pub request_id: String,
    /// `owner`, `uid 0` and so on; `unknown` for somebody who may not.
    pub actor: String,
    /// The other end of the socket; none on a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<SocketAddr>,
    /// As in ARM, such as `tokens/write`.
    pub operation: &'static str,
    pub method: &'static str,
    /// The path that was asked for.
    pub target: Bounded,
    /// The status sent to the client.
    pub status: u16,
    /// The code in the answer's body, unless it was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The names of the properties that were changed, and of a role assignment what is assigned to whom; never secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Bounded>,
}
