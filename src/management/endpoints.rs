//! Every endpoint: method, path, and the name of its operation. Whoever dispatches and the `OpenAPI` document read this table.
//!
//! Paths are ARM's: the words in them are compared without regard to case, and any subscription and resource group will do.

use std::borrow::Cow;

use http::Method;

use super::error::ApiError;
use crate::oci::percent::{self, Plus};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    ListResources,
    ListRegistries,
    CheckName,
    GetRegistry,
    UpdateRegistry,
    CreateRegistry,
    DeleteRegistry,
    ListCredentials,
    RegenerateCredential,
    GenerateCredentials,
    ListUsages,
    ListScopeMaps,
    GetScopeMap,
    PutScopeMap,
    UpdateScopeMap,
    DeleteScopeMap,
    ListTokens,
    GetToken,
    PutToken,
    UpdateToken,
    DeleteToken,
    ListEndpointConnections,
    GetEndpointConnection,
    PutEndpointConnection,
    DeleteEndpointConnection,
    ListKeys,
    RotateSigningKey,
    RotateManagementKey,
    RevokeKey,
    ListRoleAssignments,
    GetRoleAssignment,
    PutRoleAssignment,
    DeleteRoleAssignment,
    ListRoleDefinitions,
    GetRoleDefinition,
    ListIdentities,
    GetIdentity,
    PutIdentity,
    UpdateIdentity,
    DeleteIdentity,
    IssueIdentityToken,
    ListServicePrincipals,
    GetServicePrincipal,
    PutServicePrincipal,
    UpdateServicePrincipal,
    DeleteServicePrincipal,
    GenerateSecret,
    DeleteSecret,
    Explain,
    GetDenial,
    Describe,
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) operation: Operation,
    pub(super) method: Method,
    /// Segments in braces are parameters.
    pub(super) path: &'static str,
}

/// What a path names: the operation and the parameters, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) operation: Operation,
    parameters: Vec<(&'static str, String)>,
}

impl Operation {
    /// The name for the audit log and metrics, in ARM's manner.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ListResources => "resources/read",
            Self::ListRegistries | Self::GetRegistry => "registries/read",
            Self::CheckName => "registries/checkNameAvailability/action",
            Self::UpdateRegistry | Self::CreateRegistry => "registries/write",
            Self::DeleteRegistry => "registries/delete",
            Self::ListCredentials => "registries/listCredentials/action",
            Self::RegenerateCredential => "registries/regenerateCredential/action",
            Self::GenerateCredentials => "registries/generateCredentials/action",
            Self::ListUsages => "registries/listUsages/read",
            Self::ListScopeMaps | Self::GetScopeMap => "scopeMaps/read",
            Self::PutScopeMap | Self::UpdateScopeMap => "scopeMaps/write",
            Self::DeleteScopeMap => "scopeMaps/delete",
            Self::ListTokens | Self::GetToken => "tokens/read",
            Self::PutToken | Self::UpdateToken => "tokens/write",
            Self::DeleteToken => "tokens/delete",
            Self::ListEndpointConnections | Self::GetEndpointConnection => "privateEndpointConnections/read",
            Self::PutEndpointConnection => "privateEndpointConnections/write",
            Self::DeleteEndpointConnection => "privateEndpointConnections/delete",
            Self::ListKeys => "keys/read",
            Self::RotateSigningKey | Self::RotateManagementKey => "keys/rotate/action",
            Self::RevokeKey => "keys/revoke/action",
            Self::ListRoleAssignments | Self::GetRoleAssignment => "roleAssignments/read",
            Self::PutRoleAssignment => "roleAssignments/write",
            Self::DeleteRoleAssignment => "roleAssignments/delete",
            Self::ListRoleDefinitions | Self::GetRoleDefinition => "roleDefinitions/read",
            Self::ListIdentities | Self::GetIdentity => "userAssignedIdentities/read",
            Self::PutIdentity | Self::UpdateIdentity => "userAssignedIdentities/write",
            Self::DeleteIdentity => "userAssignedIdentities/delete",
            Self::IssueIdentityToken => "identities/tokens/action",
            Self::ListServicePrincipals | Self::GetServicePrincipal => "servicePrincipals/read",
            Self::PutServicePrincipal | Self::UpdateServicePrincipal => "servicePrincipals/write",
            Self::DeleteServicePrincipal => "servicePrincipals/delete",
            Self::GenerateSecret => "servicePrincipals/credentials/action",
            Self::DeleteSecret => "servicePrincipals/credentials/delete",
            Self::Explain => "explain/action",
            Self::GetDenial => "denials/read",
            Self::Describe => "openapi/read",
        }
    }

    /// Whether it changes something or shows a secret: each such request leaves an audit record, whatever comes of it.
    pub(super) const fn is_audited(self) -> bool {
        match self {
            Self::ListResources
            | Self::ListRegistries
            | Self::CheckName
            | Self::GetRegistry
            | Self::ListUsages
            | Self::ListScopeMaps
            | Self::GetScopeMap
            | Self::ListTokens
            | Self::GetToken
            | Self::ListEndpointConnections
            | Self::GetEndpointConnection
            | Self::ListKeys
            | Self::ListRoleAssignments
            | Self::GetRoleAssignment
            | Self::ListRoleDefinitions
            | Self::GetRoleDefinition
            | Self::ListIdentities
            | Self::GetIdentity
            | Self::ListServicePrincipals
            | Self::GetServicePrincipal
            | Self::Explain
            | Self::GetDenial
            | Self::Describe => false,
            Self::UpdateRegistry
            | Self::CreateRegistry
            | Self::DeleteRegistry
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
            | Self::DeleteEndpointConnection
            | Self::RotateSigningKey
            | Self::RotateManagementKey
            | Self::RevokeKey
            | Self::PutRoleAssignment
            | Self::DeleteRoleAssignment
            | Self::PutIdentity
            | Self::UpdateIdentity
            | Self::DeleteIdentity
            | Self::IssueIdentityToken
            | Self::PutServicePrincipal
            | Self::UpdateServicePrincipal
            | Self::DeleteServicePrincipal
            | Self::GenerateSecret
            | Self::DeleteSecret => true,
        }
    }
}

macro_rules! in_group {
    ($provider:literal, $($rest:literal),+) => {
        concat!("/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/", $provider, $($rest),+)
    };
}

macro_rules! group {
    ($rest:literal) => {
        in_group!("Microsoft.ContainerRegistry", $rest)
    };
}

/// A path of `Microsoft.Authorization` in each of its scopes: a subscription, a resource group, a registry.
macro_rules! scoped {
    ($rest:literal) => {
        [
            concat!("/subscriptions/{subscriptionId}/providers/Microsoft.Authorization", $rest),
            in_group!("Microsoft.Authorization", $rest),
            in_group!(
                "Microsoft.ContainerRegistry",
                "/registries/{registryName}/providers/Microsoft.Authorization",
                $rest
            ),
        ]
    };
}

const fn row(operation: Operation, method: Method, path: &'static str) -> Endpoint {
    Endpoint { operation, method, path }
}

/// All endpoints.
pub(super) static ENDPOINTS: [Endpoint; 65] = {
    use Operation as O;
    const REGISTRY: &str = group!("/registries/{registryName}");
    const SCOPE_MAP: &str = group!("/registries/{registryName}/scopeMaps/{scopeMapName}");
    const TOKEN: &str = group!("/registries/{registryName}/tokens/{tokenName}");
    const ENDPOINT_CONNECTION: &str =
        group!("/registries/{registryName}/privateEndpointConnections/{privateEndpointConnectionName}");
    const PROVIDER: &str = "/subscriptions/{subscriptionId}/providers/Microsoft.ContainerRegistry/registries";
    const CHECK_NAME: &str =
        "/subscriptions/{subscriptionId}/providers/Microsoft.ContainerRegistry/checkNameAvailability";
    const ASSIGNMENTS: [&str; 3] = scoped!("/roleAssignments");
    const ASSIGNMENT: [&str; 3] = scoped!("/roleAssignments/{roleAssignmentName}");
    const DEFINITIONS: [&str; 3] = scoped!("/roleDefinitions");
    const DEFINITION: [&str; 3] = scoped!("/roleDefinitions/{roleDefinitionId}");
    const IDENTITIES: &str =
        "/subscriptions/{subscriptionId}/providers/Microsoft.ManagedIdentity/userAssignedIdentities";
    const IDENTITY: &str = in_group!("Microsoft.ManagedIdentity", "/userAssignedIdentities/{identityName}");
    const SERVICE_PRINCIPAL: &str = "/seawall/v1/servicePrincipals/{identityName}";
    [
        row(O::ListResources, Method::GET, "/subscriptions/{subscriptionId}/resources"),
        row(O::ListRegistries, Method::GET, PROVIDER),
        row(O::ListRegistries, Method::GET, group!("/registries")),
        row(O::CheckName, Method::POST, CHECK_NAME),
        row(O::GetRegistry, Method::GET, REGISTRY),
        row(O::UpdateRegistry, Method::PATCH, REGISTRY),
        row(O::CreateRegistry, Method::PUT, REGISTRY),
        row(O::DeleteRegistry, Method::DELETE, REGISTRY),
        row(O::ListCredentials, Method::POST, group!("/registries/{registryName}/listCredentials")),
        row(O::RegenerateCredential, Method::POST, group!("/registries/{registryName}/regenerateCredential")),
        row(O::GenerateCredentials, Method::POST, group!("/registries/{registryName}/generateCredentials")),
        row(O::ListUsages, Method::GET, group!("/registries/{registryName}/listUsages")),
        row(O::ListScopeMaps, Method::GET, group!("/registries/{registryName}/scopeMaps")),
        row(O::GetScopeMap, Method::GET, SCOPE_MAP),
        row(O::PutScopeMap, Method::PUT, SCOPE_MAP),
        row(O::UpdateScopeMap, Method::PATCH, SCOPE_MAP),
        row(O::DeleteScopeMap, Method::DELETE, SCOPE_MAP),
        row(O::ListTokens, Method::GET, group!("/registries/{registryName}/tokens")),
        row(O::GetToken, Method::GET, TOKEN),
        row(O::PutToken, Method::PUT, TOKEN),
        row(O::UpdateToken, Method::PATCH, TOKEN),
        row(O::DeleteToken, Method::DELETE, TOKEN),
        row(O::ListEndpointConnections, Method::GET, group!("/registries/{registryName}/privateEndpointConnections")),
        row(O::GetEndpointConnection, Method::GET, ENDPOINT_CONNECTION),
        row(O::PutEndpointConnection, Method::PUT, ENDPOINT_CONNECTION),
        row(O::DeleteEndpointConnection, Method::DELETE, ENDPOINT_CONNECTION),
        row(O::ListKeys, Method::GET, "/seawall/v1/keys"),
        row(O::RotateSigningKey, Method::POST, "/seawall/v1/keys/signing/rotate"),
        row(O::RotateManagementKey, Method::POST, "/seawall/v1/keys/management/rotate"),
        row(O::RevokeKey, Method::POST, "/seawall/v1/keys/{keyId}/revoke"),
        row(O::ListRoleAssignments, Method::GET, ASSIGNMENTS[0]),
        row(O::ListRoleAssignments, Method::GET, ASSIGNMENTS[1]),
        row(O::ListRoleAssignments, Method::GET, ASSIGNMENTS[2]),
        row(O::GetRoleAssignment, Method::GET, ASSIGNMENT[0]),
        row(O::GetRoleAssignment, Method::GET, ASSIGNMENT[1]),
        row(O::GetRoleAssignment, Method::GET, ASSIGNMENT[2]),
        row(O::PutRoleAssignment, Method::PUT, ASSIGNMENT[0]),
        row(O::PutRoleAssignment, Method::PUT, ASSIGNMENT[1]),
        row(O::PutRoleAssignment, Method::PUT, ASSIGNMENT[2]),
        row(O::DeleteRoleAssignment, Method::DELETE, ASSIGNMENT[0]),
        row(O::DeleteRoleAssignment, Method::DELETE, ASSIGNMENT[1]),
        row(O::DeleteRoleAssignment, Method::DELETE, ASSIGNMENT[2]),
        row(O::ListRoleDefinitions, Method::GET, DEFINITIONS[0]),
        row(O::ListRoleDefinitions, Method::GET, DEFINITIONS[1]),
        row(O::ListRoleDefinitions, Method::GET, DEFINITIONS[2]),
        row(O::GetRoleDefinition, Method::GET, DEFINITION[0]),
        row(O::GetRoleDefinition, Method::GET, DEFINITION[1]),
        row(O::GetRoleDefinition, Method::GET, DEFINITION[2]),
        row(O::ListIdentities, Method::GET, IDENTITIES),
        row(O::ListIdentities, Method::GET, in_group!("Microsoft.ManagedIdentity", "/userAssignedIdentities")),
        row(O::GetIdentity, Method::GET, IDENTITY),
        row(O::PutIdentity, Method::PUT, IDENTITY),
        row(O::UpdateIdentity, Method::PATCH, IDENTITY),
        row(O::DeleteIdentity, Method::DELETE, IDENTITY),
        row(O::IssueIdentityToken, Method::POST, "/seawall/v1/identities/{identityName}/tokens"),
        row(O::ListServicePrincipals, Method::GET, "/seawall/v1/servicePrincipals"),
        row(O::GetServicePrincipal, Method::GET, SERVICE_PRINCIPAL),
        row(O::PutServicePrincipal, Method::PUT, SERVICE_PRINCIPAL),
        row(O::UpdateServicePrincipal, Method::PATCH, SERVICE_PRINCIPAL),
        row(O::DeleteServicePrincipal, Method::DELETE, SERVICE_PRINCIPAL),
        row(O::GenerateSecret, Method::POST, "/seawall/v1/servicePrincipals/{identityName}/credentials"),
        row(
            O::DeleteSecret,
            Method::DELETE,
            "/seawall/v1/servicePrincipals/{identityName}/credentials/{credentialName}",
        ),
        row(O::Explain, Method::POST, "/seawall/v1/explain"),
        row(O::GetDenial, Method::GET, "/seawall/v1/denials/{denialId}"),
        row(O::Describe, Method::GET, "/openapi.json"),
    ]
};

impl Target {
    /// The endpoint that a request asks for.
    ///
    /// # Errors
    /// 404 for a path that there is not, 405 for a method that it does not have, 400 for a broken escape.
    pub(super) fn find(method: &Method, path: &str) -> Result<Self, ApiError> {
        let segments = segments(path)?;
        let mut other_methods = Vec::new();
        for endpoint in &ENDPOINTS {
            let Some(parameters) = endpoint.parameters(&segments) else { continue };
            if endpoint.method == *method {
                return Ok(Self { operation: endpoint.operation, parameters });
            }
            other_methods.push(endpoint.method.as_str());
        }
        Err(if other_methods.is_empty() { no_such_path() } else { wrong_method(&other_methods) })
    }

    /// The parameter `name`, which the path of the operation has; empty if it has not.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

impl Endpoint {
    /// The parameters in `segments`, if these are a path of this endpoint.
    fn parameters(&self, segments: &[String]) -> Option<Vec<(&'static str, String)>> {
        let template = self.path.split('/').skip(1);
        if template.clone().count() != segments.len() {
            return None;
        }
        let mut parameters = Vec::new();
        for (expected, given) in template.zip(segments) {
            match parameter_name(expected) {
                Some(name) => parameters.push((name, given.clone())),
                None if expected.eq_ignore_ascii_case(given) => {}
                None => return None,
            }
        }
        Some(parameters)
    }
}

/// The name in `{name}`.
pub(super) fn parameter_name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The decoded segments. They are taken apart first, so that an encoded `/` stays inside its segment.
fn segments(path: &str) -> Result<Vec<String>, ApiError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let decoded = path.split('/').map(|segment| percent::decode(segment, Plus::Literal));
    let segments: Vec<_> = decoded
        .map(|segment| segment.map(Cow::into_owned))
        .collect::<Result<_, _>>()
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    if segments.iter().any(String::is_empty) { Err(no_such_path()) } else { Ok(segments) }
}

fn no_such_path() -> ApiError {
    let message = "there is no resource at this path; `GET /openapi.json` lists what there is";
    ApiError::new(http::StatusCode::NOT_FOUND, "InvalidResourceType", message)
}

fn wrong_method(methods: &[&str]) -> ApiError {
    let allow = methods.join(", ");
    let message = format!("this resource has {allow}");
    ApiError { allow: Some(allow), ..ApiError::new(http::StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    const REGISTRY: &str =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/myregistry";

    #[test]
    fn words_of_a_path_have_no_case_and_names_keep_theirs() {
        for path in [format!("{REGISTRY}/tokens/MyToken"), format!("{}/Tokens/MyToken/", REGISTRY.to_uppercase())] {
            let target = Target::find(&Method::PUT, &path).unwrap();
            assert_eq!((target.operation, target.parameter("tokenName")), (Operation::PutToken, "MyToken"));
            assert!(target.parameter("registryName").eq_ignore_ascii_case("myregistry"));
        }
        let target = Target::find(&Method::GET, &format!("{REGISTRY}/tokens/a%40b%2Fc")).unwrap();
        assert_eq!(target.parameter("tokenName"), "a@b/c");
    }

    #[test]
    fn what_there_is_not_is_refused() {
        let status = |method: Method, path: &str| Target::find(&method, path).unwrap_err().status;
        let registry = |rest: &str| format!("{REGISTRY}{rest}");
        for path in ["/", "", "//seawall/v1/keys", "/seawall/v1/keys/a/b/revoke", &registry("/tokens//x")] {
            assert_eq!(status(Method::GET, path), StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(status(Method::GET, &registry("/tokens/a%2")), StatusCode::BAD_REQUEST);
        let error = Target::find(&Method::POST, &registry("/tokens/x")).unwrap_err();
        assert_eq!(error.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(error.allow.as_deref(), Some("GET, PUT, PATCH, DELETE"));
    }

    #[test]
    fn every_endpoint_is_found_by_its_own_path() {
        for endpoint in &ENDPOINTS {
            let path = endpoint.path.replace(['{', '}'], "");
            assert_eq!(Target::find(&endpoint.method, &path).unwrap().operation, endpoint.operation, "{path}");
        }
    }
}
