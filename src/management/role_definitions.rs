//! The built-in roles, with the ids that they have in ACR.

use super::access::scope;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::models::{List, RoleDefinitionProperties, RoleDefinitionResource, RolePermissions};
use crate::policy::role::Role;

const TYPE: &str = "Microsoft.Authorization/roleDefinitions";

pub(super) fn list(call: &Call) -> Result<Answer, ApiError> {
    let name = call.query("$filter").map(name_in).transpose()?.flatten();
    let admitted = |role: &Role| name.is_none_or(|name| role.name().eq_ignore_ascii_case(name));
    let value = Role::ALL.into_iter().filter(admitted).map(|role| resource(call, role));
    Answer::ok(&List { value: value.collect(), next_link: None })
}

pub(super) fn get(call: &Call) -> Result<Answer, ApiError> {
    let id = call.parameter("roleDefinitionId");
    let role = with_guid(id).ok_or_else(|| ApiError::not_found_in("Microsoft.Authorization/roleDefinitions", id))?;
    Answer::ok(&resource(call, role))
}

/// The id of a role, as it is written where all registries are meant.
pub(super) fn id(call: &Call, role: Role) -> String {
    format!("{}/providers/{TYPE}/{}", scope(&call.parts.settings, None), guid(role))
}

/// The role with this id, in whatever scope it is written.
pub(super) fn with_id(id: &str) -> Option<Role> {
    let (before, guid) = id.rsplit_once('/')?;
    let kind = format!("/providers/{TYPE}").to_ascii_lowercase();
    before.to_ascii_lowercase().ends_with(&kind).then(|| with_guid(guid)).flatten()
}

fn with_guid(text: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| guid(*role).eq_ignore_ascii_case(text))
}

/// The name that the condition `roleName eq '…'` asks for.
fn name_in(filter: &str) -> Result<Option<&str>, ApiError> {
    if filter.trim().is_empty() {
        return Ok(None);
    }
    let value = filter.split_once(" eq ").filter(|(field, _)| field.trim().eq_ignore_ascii_case("roleName"));
    let value = value.and_then(|(_, value)| value.trim().strip_prefix('\'')?.strip_suffix('\''));
    value.map(Some).ok_or_else(|| ApiError::filter(filter, "`roleName eq '…'`"))
}

fn resource(call: &Call, role: Role) -> RoleDefinitionResource {
    let (description, actions, not_actions, data_actions) = allowed(role);
    let permissions = RolePermissions { actions, not_actions, data_actions, not_data_actions: &[] };
    let properties = RoleDefinitionProperties {
        role_name: role.name(),
        kind: "BuiltInRole",
        description,
        assignable_scopes: ["/"],
        permissions: [permissions],
    };
    RoleDefinitionResource { id: id(call, role), name: guid(role), kind: TYPE, properties }
}

/// Azure's ids of its built-in roles.
const fn guid(role: Role) -> &'static str {
    match role {
        Role::Owner => "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        Role::Contributor => "b24988ac-6180-42a0-ab88-20f7382dd24c",
        Role::Reader => "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        Role::AcrPull => "7f951dda-4ed3-4680-a7ca-43fe172d538d",
        Role::AcrPush => "8311e382-0749-4cb8-b61a-304f252e45ec",
        Role::AcrDelete => "c2f4ef07-c644-48eb-af81-4b1b4947fb11",
        Role::AcrImageSigner => "6cef56e8-d556-48e5-a04f-b8e64114680f",
        Role::RepositoryReader => "b93aa761-3e63-49ed-ac28-beffa264f7ac",
        Role::RepositoryWriter => "2a1e307c-b015-4ebd-883e-5b7698a07328",
        Role::RepositoryContributor => "2efddaa5-3f1f-4df3-97df-af3f13818f4c",
        Role::RepositoryCatalogLister => "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7",
    }
}

type Words = &'static [&'static str];

/// What a role is for, and its actions, excepted actions and data actions in ACR's words.
const fn allowed(role: Role) -> (&'static str, Words, Words, Words) {
    const CONTENT_READ: &str = "Microsoft.ContainerRegistry/registries/repositories/content/read";
    const CONTENT_WRITE: &str = "Microsoft.ContainerRegistry/registries/repositories/content/write";
    const CONTENT_DELETE: &str = "Microsoft.ContainerRegistry/registries/repositories/content/delete";
    const METADATA_READ: &str = "Microsoft.ContainerRegistry/registries/repositories/metadata/read";
    const METADATA_WRITE: &str = "Microsoft.ContainerRegistry/registries/repositories/metadata/write";
    match role {
        Role::Owner => ("Manages everything, roles included, and has all rights on data.", &["*"], &[], &[]),
        Role::Contributor => (
            "Manages everything but roles and identities, and has all rights on data.",
            &["*"],
            &["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"],
            &[],
        ),
        Role::Reader => ("Sees everything but secrets, and pulls.", &["*/read"], &[], &[]),
        Role::AcrPull => ("Pulls.", &["Microsoft.ContainerRegistry/registries/pull/read"], &[], &[]),
        Role::AcrPush => (
            "Pulls and pushes.",
            &["Microsoft.ContainerRegistry/registries/pull/read", "Microsoft.ContainerRegistry/registries/push/write"],
            &[],
            &[],
        ),
        Role::AcrDelete => ("Deletes images.", &["Microsoft.ContainerRegistry/registries/artifacts/delete"], &[], &[]),
        Role::AcrImageSigner => (
            "Signs images, which gives no right on data here.",
            &["Microsoft.ContainerRegistry/registries/sign/write"],
            &[],
            &[],
        ),
        Role::RepositoryReader => ("Reads repositories.", &[], &[], &[CONTENT_READ, METADATA_READ]),
        Role::RepositoryWriter => {
            ("Reads and writes repositories.", &[], &[], &[CONTENT_READ, CONTENT_WRITE, METADATA_READ, METADATA_WRITE])
        }
        Role::RepositoryContributor => (
            "Reads, writes and deletes repositories.",
            &[],
            &[],
            &[CONTENT_READ, CONTENT_WRITE, CONTENT_DELETE, METADATA_READ, METADATA_WRITE],
        ),
        Role::RepositoryCatalogLister => {
            ("Lists the names of all repositories.", &[], &[], &["Microsoft.ContainerRegistry/registries/catalog/read"])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id is known in any scope and case; nothing else is one.
    #[test]
    fn every_role_has_an_id_of_its_own() {
        for role in Role::ALL {
            for before in ["", "/subscriptions/s", "/subscriptions/s/resourceGroups/g"] {
                let id = format!("{before}/providers/{TYPE}/{}", guid(role));
                assert_eq!((with_id(&id), with_id(&id.to_uppercase())), (Some(role), Some(role)), "{id}");
            }
            assert_eq!(with_id(guid(role)), None);
            assert_eq!(with_id(&format!("/providers/Microsoft.Other/roleDefinitions/{}", guid(role))), None);
        }
        assert_eq!(with_id(&format!("/providers/{TYPE}/00000000-0000-0000-0000-000000000001")), None);
    }
}
