//! Tokens as the API shows and takes them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::credentials::Credentials;
use super::networks::{Networks, NetworksUpdate};
use super::words::{Expiry, Moment, StatusWord};

/// A token.
#[derive(Serialize, ToSchema)]
pub(in crate::management) struct TokenResource {
    pub(in crate::management) id: String,
    pub(in crate::management) name: String,
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    pub(in crate::management) properties: TokenProperties,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct TokenProperties {
    /// Null where a file declares it.
    pub(in crate::management) creation_date: Option<Moment>,
    pub(in crate::management) provisioning_state: &'static str,
    pub(in crate::management) scope_map_id: String,
    pub(in crate::management) credentials: Credentials,
    #[schema(inline)]
    pub(in crate::management) status: StatusWord,
    /// Not ARM's: further scope maps, whose permissions add up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::management) additional_scope_map_ids: Vec<String>,
    /// Not ARM's: from where it counts; from wherever the network rules admit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) networks: Option<Networks>,
    /// Not ARM's: the place in the file that declares it; it can be changed there only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) declared_in: Option<String>,
}

/// A token to create, or properties of one to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct TokenUpdate {
    pub(in crate::management) properties: TokenUpdateProperties,
}

/// What is absent stays as it is. A new token needs `scopeMapId` and is enabled unless it says otherwise.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct TokenUpdateProperties {
    #[serde(default)]
    pub(in crate::management) scope_map_id: Option<String>,
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) status: Option<StatusWord>,
    #[serde(default)]
    pub(in crate::management) credentials: Option<CredentialsUpdate>,
    /// Not ARM's: further scope maps, whose permissions add up.
    #[serde(default)]
    pub(in crate::management) additional_scope_map_ids: Option<Vec<String>>,
    /// Not ARM's: from where it counts.
    #[serde(default)]
    pub(in crate::management) networks: Option<NetworksUpdate>,
}

/// Which passwords to keep: those of a list that are not named are deleted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct CredentialsUpdate {
    /// Must be empty: tokens have no certificates.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(in crate::management) certificates: Option<Vec<Value>>,
    #[serde(default)]
    pub(in crate::management) passwords: Option<Vec<KeptPassword>>,
    /// Not ARM's.
    #[serde(default)]
    pub(in crate::management) additional_passwords: Option<Vec<KeptPassword>>,
}

/// A password that stays. Only `generateCredentials` makes one, with another expiry or for another name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct KeptPassword {
    pub(in crate::management) name: String,
    /// As it is, or absent.
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) expiry: Option<Expiry>,
}
