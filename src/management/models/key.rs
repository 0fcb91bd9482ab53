//! The keys that replicas share, without the keys themselves.

use serde::Serialize;
use utoipa::ToSchema;

use super::words::Moment;

/// One key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct Key {
    pub(in crate::management) id: String,
    /// `signing`, `hash` or `management`.
    pub(in crate::management) purpose: &'static str,
    /// `RS256` or `ES256`, of signing keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) algorithm: Option<String>,
    /// `active`, `upcoming`, `retiring` (what it signed is accepted, it signs no more) or `retired`.
    pub(in crate::management) state: &'static str,
    pub(in crate::management) creation_date: Moment,
    pub(in crate::management) active_from: Moment,
    /// Nothing is accepted by it from this moment on.
    pub(in crate::management) retires_at: Option<Moment>,
    /// A signing key's certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) certificate: Option<String>,
    /// The new credential, only in the answer to the request that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) value: Option<String>,
}

/// All keys.
#[derive(Serialize, ToSchema)]
pub(in crate::management) struct KeyList {
    pub(in crate::management) value: Vec<Key>,
}
