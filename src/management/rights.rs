//! Which right each operation needs, of callers who are neither the owner nor on this machine.

use super::endpoints::Operation;
use crate::policy::manage::ManagementAction;

/// A right, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needed {
    /// Everybody who is known; lists show what he may read.
    Nothing,
    /// On the registry that the path names.
    Registry(ManagementAction),
    /// On all registries.
    Installation(ManagementAction),
    /// On the registry that the path names, else on all.
    Scope(ManagementAction),
}

impl Operation {
    /// What whoever asks for it needs.
    ///
    /// To decide who an identity is (its rules, its secrets) is to decide who has its roles: only an owner of everything may
    /// do it, and a contributor cannot make himself one. The owner's credential is no different.
    pub(super) const fn needs(self) -> Needed {
        use ManagementAction::{AssignRoles, Read, Write};
        match self {
            Self::ListResources
            | Self::ListRegistries
            | Self::ListRoleDefinitions
            | Self::GetRoleDefinition
            // The registry is in the body, or in the denial.
            | Self::Explain
            | Self::GetDenial
            | Self::Describe => Needed::Nothing,
            Self::GetRegistry
            | Self::ListUsages
            | Self::ListScopeMaps
            | Self::GetScopeMap
            | Self::ListTokens
            | Self::GetToken
            | Self::ListEndpointConnections
            | Self::GetEndpointConnection => Needed::Registry(Read),
            Self::UpdateRegistry
            | Self::ListCredentials
            | Self::RegenerateCredential
            | Self::GenerateCredentials
            | Self::PutScopeMap
            | Self::UpdateScopeMap
            | Self::DeleteScopeMap
            | Self::PutToken
            | Self::UpdateToken
            | Self::DeleteToken
            | Self::PutEndpointConnection
            | Self::DeleteEndpointConnection => Needed::Registry(Write),
            Self::CheckName
            | Self::ListKeys
            | Self::ListIdentities
            | Self::GetIdentity
            | Self::ListServicePrincipals
            | Self::GetServicePrincipal => Needed::Installation(Read),
            Self::CreateRegistry | Self::DeleteRegistry | Self::RotateSigningKey | Self::RevokeKey => {
                Needed::Installation(Write)
            }
            Self::RotateManagementKey
            | Self::PutIdentity
            | Self::UpdateIdentity
            | Self::DeleteIdentity
            | Self::IssueIdentityToken
            | Self::PutServicePrincipal
            | Self::UpdateServicePrincipal
            | Self::DeleteServicePrincipal
            | Self::GenerateSecret
            | Self::DeleteSecret => Needed::Installation(AssignRoles),
            Self::ListRoleAssignments | Self::GetRoleAssignment => Needed::Scope(Read),
            Self::PutRoleAssignment | Self::DeleteRoleAssignment => Needed::Scope(AssignRoles),
        }
    }

    /// What it is called in ARM, with its provider.
    pub(super) fn action(self) -> String {
        let name = self.name();
        let provider = match name.split_once('/').map(|(kind, _)| kind) {
            Some("scopeMaps" | "tokens" | "privateEndpointConnections") => "Microsoft.ContainerRegistry/registries",
            Some("roleAssignments" | "roleDefinitions") => "Microsoft.Authorization",
            Some("userAssignedIdentities") => "Microsoft.ManagedIdentity",
            Some("registries") => "Microsoft.ContainerRegistry",
            _ => "Seawall",
        };
        format!("{provider}/{name}")
    }
}
