//! Identities and service principals, as the API shows and takes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::credentials::Password;
use super::networks::{Networks, NetworksUpdate};
use super::words::{Expiry, KindWord, Moment, StatusWord};

/// An identity, in the form of a user-assigned identity of `Microsoft.ManagedIdentity`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::management) struct IdentityResource {
    pub(in crate::management) id: String,
    pub(in crate::management) name: String,
    /// Always `local`.
    pub(in crate::management) location: &'static str,
    pub(in crate::management) tags: BTreeMap<String, String>,
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    pub(in crate::management) properties: IdentityProperties,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct IdentityProperties {
    pub(in crate::management) tenant_id: String,
    /// What roles are assigned to.
    pub(in crate::management) principal_id: String,
    /// Null where a file declares it without one.
    pub(in crate::management) client_id: Option<String>,
    /// Not ARM's.
    #[schema(inline)]
    pub(in crate::management) identity_type: KindWord,
    /// Not ARM's: what a provider must say of somebody who is it; any one of these.
    pub(in crate::management) matches: Vec<MatchRule>,
    /// Not ARM's.
    #[schema(inline)]
    pub(in crate::management) status: StatusWord,
    /// Not ARM's. Null where a file declares it.
    pub(in crate::management) creation_date: Option<Moment>,
    /// Not ARM's: from where it counts; from wherever the network rules admit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) networks: Option<Networks>,
    /// Not ARM's: the place in the file that declares it; it can be changed there only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) declared_in: Option<String>,
}

/// Claims that must all hold, of what one provider says.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::management) struct MatchRule {
    /// One of the file's `identityProviders`.
    pub(in crate::management) provider: String,
    /// Claim (`sub`, or a JSON pointer) to its text, in which `*` stands for any run of characters.
    pub(in crate::management) claims: BTreeMap<String, String>,
}

/// An identity to create, or properties of one to change.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::management) struct IdentityUpdate {
    #[serde(default)]
    pub(in crate::management) properties: IdentityUpdateProperties,
    #[serde(default)]
    pub(in crate::management) tags: Option<BTreeMap<String, String>>,
}

/// What is absent stays as it is. A new identity is `UserAssigned` and enabled unless it says otherwise.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct IdentityUpdateProperties {
    /// Of a new identity only.
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) identity_type: Option<KindWord>,
    /// The whole list.
    #[serde(default)]
    pub(in crate::management) matches: Option<Vec<MatchRule>>,
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) status: Option<StatusWord>,
    /// Not ARM's: from where it counts.
    #[serde(default)]
    pub(in crate::management) networks: Option<NetworksUpdate>,
}

/// A service principal: an application that logs in with its client id and a secret.
#[derive(Serialize, ToSchema)]
pub(in crate::management) struct ServicePrincipalResource {
    pub(in crate::management) id: String,
    pub(in crate::management) name: String,
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    pub(in crate::management) tags: BTreeMap<String, String>,
    pub(in crate::management) properties: ServicePrincipalProperties,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct ServicePrincipalProperties {
    /// Its user name.
    pub(in crate::management) client_id: Option<String>,
    /// What roles are assigned to.
    pub(in crate::management) principal_id: String,
    pub(in crate::management) tenant_id: String,
    #[schema(inline)]
    pub(in crate::management) status: StatusWord,
    /// What a provider must say of somebody who is it, besides its secrets.
    pub(in crate::management) matches: Vec<MatchRule>,
    /// The provider that verifies its secret, which has none here then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) verified_by: Option<String>,
    /// `password1` and `password2`, as far as they exist.
    pub(in crate::management) credentials: Vec<Password>,
    /// Null where a file declares it.
    pub(in crate::management) creation_date: Option<Moment>,
    /// From where it counts; from wherever the network rules admit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) networks: Option<Networks>,
    /// The place in the file that declares it; it can be changed there only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) declared_in: Option<String>,
}

/// A service principal to create, or properties of one to change.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::management) struct ServicePrincipalUpdate {
    #[serde(default)]
    pub(in crate::management) properties: ServicePrincipalUpdateProperties,
    #[serde(default)]
    pub(in crate::management) tags: Option<BTreeMap<String, String>>,
}

/// What is absent stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct ServicePrincipalUpdateProperties {
    /// Of a new one that a provider verifies: by which that provider knows it. A random one when absent.
    #[serde(default)]
    pub(in crate::management) client_id: Option<String>,
    #[serde(default)]
    pub(in crate::management) matches: Option<Vec<MatchRule>>,
    /// One of the file's `identityProviders`, which verifies its secret in place of secrets here; empty: none. A rule has to
    /// say what that provider's token says of it.
    #[serde(default)]
    pub(in crate::management) verified_by: Option<String>,
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) status: Option<StatusWord>,
    /// Not ARM's: from where it counts.
    #[serde(default)]
    pub(in crate::management) networks: Option<NetworksUpdate>,
}

/// A secret to generate.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::management) struct GenerateSecret {
    /// `password1` or `password2`; the first that there is not when absent.
    #[serde(default)]
    pub(in crate::management) name: Option<String>,
    /// From this moment on it is refused; a year from now when absent, never when it is the end of the year 9999.
    #[serde(default)]
    pub(in crate::management) expiry: Option<Expiry>,
    /// Whether the new secret takes the place of all that there are.
    #[serde(default)]
    pub(in crate::management) replace_all: bool,
}

/// A new secret: the only place where its value is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct GeneratedSecret {
    /// The user name.
    pub(in crate::management) client_id: String,
    pub(in crate::management) tenant_id: String,
    pub(in crate::management) name: String,
    pub(in crate::management) value: String,
    /// Null: never.
    pub(in crate::management) expiry: Option<Moment>,
}

/// Where a managed identity wants to log in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::management) struct IssueToken {
    /// The registry's name.
    pub(in crate::management) registry: String,
}

/// By which a managed identity logs in at one registry.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct IssuedToken {
    pub(in crate::management) login_server: String,
    /// The one that goes with every refresh token.
    pub(in crate::management) username: &'static str,
    /// Also the password of a login.
    pub(in crate::management) refresh_token: String,
    pub(in crate::management) expires_on: Moment,
}
