//! Private endpoint connections as the API shows and takes them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::{ActionsWord, LinkStatusWord, Moment};
use crate::policy::stored::StoredEndpointMatch;

/// A private endpoint connection.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::management) struct EndpointConnectionResource {
    pub(in crate::management) id: String,
    pub(in crate::management) name: String,
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    pub(in crate::management) properties: EndpointConnectionProperties,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct EndpointConnectionProperties {
    pub(in crate::management) private_link_service_connection_state: LinkState,
    pub(in crate::management) provisioning_state: &'static str,
    /// Not ARM's: which endpoint it is about.
    #[serde(rename = "match")]
    pub(in crate::management) matches: StoredEndpointMatch,
    /// Not ARM's. Null where a file declares it.
    pub(in crate::management) creation_date: Option<Moment>,
    /// Not ARM's: the place in the file that declares it; it can be changed there only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) declared_in: Option<String>,
}

/// Whether the endpoint may carry traffic. Where it is sent, it is sent whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct LinkState {
    /// Stays as it is when absent; a new connection is `Pending`. Only `Approved` admits.
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) status: Option<LinkStatusWord>,
    /// Why: at most 1024 characters.
    #[serde(default)]
    pub(in crate::management) description: Option<String>,
    /// Kept for clients.
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) actions_required: Option<ActionsWord>,
}

/// A private endpoint connection to approve, reject or create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct EndpointConnectionUpdate {
    pub(in crate::management) properties: EndpointConnectionUpdateProperties,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct EndpointConnectionUpdateProperties {
    #[serde(default)]
    pub(in crate::management) private_link_service_connection_state: Option<LinkState>,
    /// Not ARM's: which endpoint it is about. A new connection needs it, and it stays.
    #[serde(default, rename = "match")]
    pub(in crate::management) matches: Option<StoredEndpointMatch>,
}
