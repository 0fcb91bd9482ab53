//! The bodies of the API. Shapes and names are ARM's; what ARM has no word for says so where it is declared. What may hold a
//! secret has no `Debug`.

mod credentials;
mod endpoint_connection;
mod identity;
mod ids;
mod key;
mod networks;
mod registry;
mod role;
mod scope_map;
mod token;
mod words;

pub(super) use credentials::{
    Credentials, GenerateCredentials, GeneratedCredentials, ListedCredentials, ListedPassword, Password,
    PreviousPassword, RegenerateCredential,
};
pub(super) use endpoint_connection::{
    EndpointConnectionProperties, EndpointConnectionResource, EndpointConnectionUpdate,
    EndpointConnectionUpdateProperties, LinkState,
};
pub(super) use identity::{
    GenerateSecret, GeneratedSecret, IdentityProperties, IdentityResource, IdentityUpdate, IssueToken, IssuedToken,
    MatchRule, ServicePrincipalProperties, ServicePrincipalResource, ServicePrincipalUpdate,
};
pub(super) use ids::Ids;
pub(super) use key::{Key, KeyList};
pub(super) use networks::{Networks, NetworksUpdate};
pub(super) use registry::{
    CheckName, DataEndpointProperties, IpRule, NameAvailability, NetworkRuleSet, NetworkRuleSetUpdate,
    RegistryProperties, RegistryResource, RegistryUpdate, RegistryUpdateProperties, Sku, SummaryResource,
    TrustedInstance, Usage, UsageList, VirtualNetworkRule,
};
pub(super) use role::{
    RoleAssignmentProperties, RoleAssignmentResource, RoleAssignmentUpdate, RoleAssignmentUpdateProperties,
    RoleDefinitionProperties, RoleDefinitionResource, RolePermissions,
};
pub(super) use scope_map::{ScopeMapProperties, ScopeMapResource, ScopeMapUpdate};
pub(super) use token::{
    CredentialsUpdate, KeptPassword, TokenProperties, TokenResource, TokenUpdate, TokenUpdateProperties,
};
pub(super) use words::{Length, Moment, Word};

use serde::Serialize;
use utoipa::ToSchema;

/// The state of everything that can be read: writes are carried out before they are answered.
pub(super) const SUCCEEDED: &str = "Succeeded";

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    pub(super) value: Vec<T>,
    /// Where the next page is; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_link: Option<String>,
}
