//! What the management API has set, as the store keeps it: the second source of policy, besides the files.
//!
//! Data only. Names are ARM's. Whoever writes one of these has checked it with the same functions that check a file, so
//! compiling it cannot fail. A property that only a newer version knows makes the whole record unreadable here: it may be
//! a restriction, and whoever left it out would not enforce it, and erase it at the next change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::credential::{CredentialId, PrincipalId};
use super::document::{
    ConnectionStatus, EndpointProtocol, ExportStatus, NetworkAction, NetworkRuleBypassOptions, PublicNetworkAccess,
    TokenStatus,
};
use super::identity::{Guid, IdentityKind};
use super::properties::OnUnlessSet;
use crate::clock::Timestamp;
use crate::secret::Sealed;

/// The properties of a registry that were set by the API. What is `None` was never set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StoredRegistry {
    pub admin_user_enabled: Option<bool>,
    pub anonymous_pull_enabled: Option<bool>,
    /// Patterns of the repositories that anybody may pull while `anonymous_pull_enabled`; all, where it was never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_pull_repositories: Option<Vec<String>>,
    pub public_network_access: Option<PublicNetworkAccess>,
    pub network_rule_bypass_options: Option<NetworkRuleBypassOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_rule_bypass_allowed_for_tasks: Option<OnUnlessSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_services: Option<Vec<StoredTrustedService>>,
    pub default_action: Option<NetworkAction>,
    pub ip_rules: Option<Vec<StoredIpRule>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_network_rules: Option<Vec<StoredVirtualNetworkRule>>,
    pub data_endpoint_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_protocol: Option<EndpointProtocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_policy: Option<ExportStatus>,
    /// `Basic`, `Standard` or `Premium`: a word that is kept for clients and limits nothing.
    pub sku: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// Generated admin passwords, sealed so that `credential show` can give them back, as in ACR.
    pub admin_passwords: Vec<StoredPassword>,
}

/// One network rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredIpRule {
    pub value: String,
    #[serde(default)]
    pub action: NetworkAction,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An identity that is trusted as a service of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredTrustedService {
    pub service: String,
    pub principal_id: Guid,
}

/// A network condition: entries as in files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredNetworks {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

impl StoredNetworks {
    /// Whether it is no condition at all.
    pub const fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// One virtual network rule. It allows; there are no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredVirtualNetworkRule {
    pub name: String,
    /// ARM's id of the subnet. It decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "match")]
    pub matches: StoredVirtualNetworkMatch,
}

/// Who comes from a virtual network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum StoredVirtualNetworkMatch {
    /// Sources of this address or CIDR range.
    SourceNetwork(String),
    /// Whoever comes in on the public listener of this name.
    Listener(String),
}

/// A private endpoint connection. Its name is the record's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredPrivateEndpointConnection {
    #[serde(rename = "match")]
    pub matches: StoredEndpointMatch,
    pub status: ConnectionStatus,
    /// Why it has this status.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions_required: Option<ActionsRequired>,
    pub creation_date: Timestamp,
}

/// Which endpoint a connection is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum StoredEndpointMatch {
    /// AWS: the id of the VPC endpoint.
    VpcEndpointId(String),
    /// Azure: the LINKID of the private endpoint.
    LinkId(u32),
    /// Google: the `pscConnectionId`.
    PscConnectionId(u64),
    /// The private listener of this name.
    Listener(String),
    /// Sources of this address or CIDR range, on private listeners.
    SourceNetwork(String),
}

/// What whoever has the endpoint should do, in ARM's words. It decides nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionsRequired {
    #[default]
    None,
    Recreate,
}

/// A scope map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredScopeMap {
    #[serde(default)]
    pub description: String,
    /// In ARM's form, such as `repositories/samples/*/content/read` or `gateway/edge/config/read`.
    pub actions: Vec<String>,
    /// From where it counts; both lists empty: from wherever the network rules admit.
    #[serde(default, skip_serializing_if = "StoredNetworks::is_empty")]
    pub networks: StoredNetworks,
    pub creation_date: Timestamp,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredToken {
    /// Random: a token that is created again under the same name is another principal.
    pub id: PrincipalId,
    /// The name of its scope map. When there is none of that name the token may do nothing.
    pub scope_map: String,
    /// Further scope maps, whose permissions add up (D8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_scope_maps: Vec<String>,
    #[serde(default)]
    pub status: TokenStatus,
    /// `password1`, `password2`, and any further named ones (D11).
    #[serde(default)]
    pub passwords: Vec<StoredPassword>,
    /// From where it counts; both lists empty: from wherever the network rules admit.
    #[serde(default, skip_serializing_if = "StoredNetworks::is_empty")]
    pub networks: StoredNetworks,
    pub creation_date: Timestamp,
}

/// What is kept of a generated password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredPassword {
    pub name: String,
    /// Random: ends with the password.
    pub id: CredentialId,
    /// What [`Verifier::parse_hash`](super::credential::Verifier::parse_hash) reads.
    pub hash: String,
    pub creation_time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Timestamp>,
    /// The admin account's only: the password itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// The password that this one replaced, while it is still accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<ReplacedPassword>,
}

impl StoredPassword {
    /// Its own and, where it has replaced another one, that one's.
    pub fn credentials(&self) -> impl Iterator<Item = CredentialId> {
        std::iter::once(self.id).chain(self.replaced.as_ref().map(|replaced| replaced.id))
    }
}

/// A password whose successor exists already, valid for a chosen overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplacedPassword {
    pub id: CredentialId,
    pub hash: String,
    /// Refused from this moment on.
    pub until: Timestamp,
}

/// An identity, of the whole installation. Its name is the record's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredIdentity {
    /// Random: an identity that is created again under the same name is another principal.
    pub id: PrincipalId,
    pub kind: IdentityKind,
    /// Random. What is assigned to the identity names it by this.
    pub principal_id: Guid,
    /// Random. A service principal's user name.
    pub client_id: Guid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<Guid>,
    /// What a provider must say of somebody who is it: any one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<StoredClaimRule>,
    /// A service principal's secrets, `password1` and `password2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<StoredPassword>,
    /// The provider that a service principal's secrets are verified at, in place of secrets of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_by: Option<String>,
    /// From where it counts; both lists empty: from wherever the network rules admit.
    #[serde(default, skip_serializing_if = "StoredNetworks::is_empty")]
    pub networks: StoredNetworks,
    #[serde(default)]
    pub status: TokenStatus,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    pub creation_date: Timestamp,
}

/// Claims that all must hold, of what one provider says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredClaimRule {
    pub provider: String,
    /// Patterns by the claim's name, or JSON pointer. At least one.
    pub claims: BTreeMap<String, String>,
}

/// What one identity may do on one registry, or, where the record belongs to none, on all. Its name is a GUID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredRoleAssignment {
    pub principal_id: Guid,
    pub grants: StoredGrants,
    /// The repositories to which it is confined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repositories: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who assigned it, as audit records name him.
    pub created_by: String,
    pub creation_date: Timestamp,
}

/// A role by its ACR name, or a scope map of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StoredGrants {
    Role(String),
    ScopeMap(String),
}
