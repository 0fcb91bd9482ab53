//! Role assignments and role definitions, as `Microsoft.Authorization` shows and takes them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::networks::Networks;
use super::words::Moment;

/// What one identity may do in one scope.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::management) struct RoleAssignmentResource {
    pub(in crate::management) id: String,
    /// A GUID.
    pub(in crate::management) name: String,
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    pub(in crate::management) properties: RoleAssignmentProperties,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct RoleAssignmentProperties {
    /// Null where a scope map is assigned.
    pub(in crate::management) role_definition_id: Option<String>,
    pub(in crate::management) principal_id: String,
    /// `User`, `Group` or `ServicePrincipal`, which every machine is in ARM.
    pub(in crate::management) principal_type: &'static str,
    /// The id of a registry, or of the resource group: all registries.
    pub(in crate::management) scope: String,
    pub(in crate::management) description: Option<String>,
    /// Null where a file declares it.
    pub(in crate::management) created_on: Option<Moment>,
    /// Who assigned it, as the audit log names him.
    pub(in crate::management) created_by: Option<String>,
    /// Always null: `repositories` is the condition.
    #[schema(value_type = Option<String>)]
    pub(in crate::management) condition: Option<()>,
    /// Not ARM's: the identity's name; null when there is none of this id any more.
    pub(in crate::management) principal_name: Option<String>,
    /// Not ARM's: the role's name.
    pub(in crate::management) role_definition_name: Option<String>,
    /// Not ARM's: the id of the scope map whose rights are assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) scope_map_id: Option<String>,
    /// Not ARM's: the repositories to which it is confined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) repositories: Option<Vec<String>>,
    /// Not ARM's: from where a file lets it count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) networks: Option<Networks>,
    /// Not ARM's: the place in the file that declares it; it can be changed there only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) declared_in: Option<String>,
}

/// A role assignment to make.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::management) struct RoleAssignmentUpdate {
    pub(in crate::management) properties: RoleAssignmentUpdateProperties,
}

/// Exactly one of `roleDefinitionId` and `scopeMapId`. Of one that exists only `description` and `repositories` can change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct RoleAssignmentUpdateProperties {
    #[serde(default)]
    pub(in crate::management) role_definition_id: Option<String>,
    pub(in crate::management) principal_id: String,
    /// Refused when the identity is something else.
    #[serde(default)]
    pub(in crate::management) principal_type: Option<String>,
    #[serde(default)]
    pub(in crate::management) description: Option<String>,
    /// Must be absent: write `repositories`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(in crate::management) condition: Option<Value>,
    /// Not ARM's: a scope map of the registry instead of a role.
    #[serde(default)]
    pub(in crate::management) scope_map_id: Option<String>,
    /// Not ARM's: only these repositories (`team/app`, `team/*` or `*`), and not the catalogue. Absent: all, or those that
    /// an assignment that exists is confined to.
    #[serde(default)]
    pub(in crate::management) repositories: Option<Vec<String>>,
}

/// A built-in role.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::management) struct RoleDefinitionResource {
    pub(in crate::management) id: String,
    /// ACR's GUID for it.
    pub(in crate::management) name: &'static str,
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    pub(in crate::management) properties: RoleDefinitionProperties,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct RoleDefinitionProperties {
    pub(in crate::management) role_name: &'static str,
    /// Always `BuiltInRole`.
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    pub(in crate::management) description: &'static str,
    pub(in crate::management) assignable_scopes: [&'static str; 1],
    pub(in crate::management) permissions: [RolePermissions; 1],
}

/// ACR's words for what a role allows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct RolePermissions {
    pub(in crate::management) actions: &'static [&'static str],
    pub(in crate::management) not_actions: &'static [&'static str],
    pub(in crate::management) data_actions: &'static [&'static str],
    pub(in crate::management) not_data_actions: &'static [&'static str],
}
