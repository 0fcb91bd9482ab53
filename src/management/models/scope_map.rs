//! Scope maps as the API shows and takes them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::networks::{Networks, NetworksUpdate};
use super::words::Moment;

/// A scope map.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::management) struct ScopeMapResource {
    pub(in crate::management) id: String,
    pub(in crate::management) name: String,
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    pub(in crate::management) properties: ScopeMapProperties,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct ScopeMapProperties {
    pub(in crate::management) description: String,
    /// `SystemDefined` or `UserDefined`.
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    /// Null where a file declares it, or seawall itself.
    pub(in crate::management) creation_date: Option<Moment>,
    pub(in crate::management) provisioning_state: &'static str,
    /// Such as `repositories/samples/*/content/read`.
    pub(in crate::management) actions: Vec<String>,
    /// Not ARM's: from where it counts; from wherever the network rules admit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) networks: Option<Networks>,
    /// Not ARM's: the place in the file that declares it; it can be changed there only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) declared_in: Option<String>,
}

/// A scope map to create, or properties of one to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct ScopeMapUpdate {
    pub(in crate::management) properties: ScopeMapUpdateProperties,
}

/// What is absent stays as it is. A new scope map needs `actions`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct ScopeMapUpdateProperties {
    /// At most 256 characters.
    #[serde(default)]
    pub(in crate::management) description: Option<String>,
    #[serde(default)]
    pub(in crate::management) actions: Option<Vec<String>>,
    /// Not ARM's: from where it counts.
    #[serde(default)]
    pub(in crate::management) networks: Option<NetworksUpdate>,
}
