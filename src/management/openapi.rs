//! The `OpenAPI` document, from the table of endpoints and the types of the bodies.

use std::collections::BTreeMap;

use http::Method;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Content, HttpMethod, Info, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required, ResponseBuilder,
    SecurityRequirement,
};
use utoipa::{PartialSchema, ToSchema};

use super::endpoints::{ENDPOINTS, Endpoint, Operation, parameter_name};
use super::error::ErrorResponse;
use super::explain::ExplainedDenial;
use super::models::{
    CheckName, EndpointConnectionResource, EndpointConnectionUpdate, GenerateCredentials, GenerateSecret,
    GeneratedCredentials, GeneratedSecret, IdentityResource, IdentityUpdate, IssueToken, IssuedToken, Key, KeyList,
    List, ListedCredentials, NameAvailability, RegenerateCredential, RegistryResource, RegistryUpdate,
    RoleAssignmentResource, RoleAssignmentUpdate, RoleDefinitionResource, ScopeMapResource, ScopeMapUpdate,
    ServicePrincipalResource, ServicePrincipalUpdate, SummaryResource, TokenResource, TokenUpdate, UsageList,
};
use crate::policy::explain::{Explanation, Request};

const JSON: &str = "application/json";
/// The owner's credential, or a provider's token.
const BEARER: &str = "owner";
/// A service principal's client id and secret.
const BASIC: &str = "servicePrincipal";

/// The schemas that the document mentions, by name.
type Schemas = BTreeMap<String, RefOr<Schema>>;
/// Adds the schema of a body and answers how to refer to it.
type Body = fn(&mut Schemas) -> Ref;

/// What an operation is, for people.
struct Description {
    summary: &'static str,
    request: Option<Body>,
    /// The statuses of success, with their bodies.
    answers: &'static [(&'static str, Option<Body>)],
    query: &'static [(&'static str, &'static str)],
}

/// The whole document.
pub(super) fn document() -> OpenApi {
    let mut schemas = Schemas::new();
    let mut paths = Paths::new();
    for (position, endpoint) in ENDPOINTS.iter().enumerate() {
        let earlier = ENDPOINTS.iter().take(position).filter(|one| one.operation == endpoint.operation).count();
        paths.add_path_operation(endpoint.path, vec![method(endpoint)], operation(endpoint, earlier, &mut schemas));
    }
    let bearer = Http::new(HttpAuthScheme::Bearer);
    let basic = Http::new(HttpAuthScheme::Basic);
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .security_scheme(BASIC, SecurityScheme::Http(basic));
    let mut info = Info::new("seawall management API", "2025-11-01");
    info.description = Some(
        "The resource API of Microsoft.ContainerRegistry, as far as seawall has what it manages. Any subscription, \
         resource group and api-version may be sent. Role assignments and identities are Azure's, too. On a Unix socket \
         no credential is asked for."
            .to_owned(),
    );
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .security(Some([BEARER, BASIC].map(|scheme| SecurityRequirement::new::<_, [&str; 0], &str>(scheme, []))))
        .build()
}

/// `earlier`: in how many scopes the same operation stands before.
fn operation(endpoint: &Endpoint, earlier: usize, schemas: &mut Schemas) -> OperationBuilder {
    let described = describe(endpoint.operation);
    let place = ["", "InGroup", "OfRegistry"].get(earlier).copied().unwrap_or("Again");
    let id = format!("{:?}{place}", endpoint.operation);
    let mut operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(described.summary))
        .description(Some(format!("`{}` in the audit log.", endpoint.operation.name())));
    for name in endpoint.path.split('/').filter_map(parameter_name) {
        operation = operation.parameter(parameter(name, ParameterIn::Path, None));
    }
    for (name, text) in described.query {
        operation = operation.parameter(parameter(name, ParameterIn::Query, Some(text)));
    }
    if let Some(body) = described.request {
        let content = Content::new(Some(body(schemas)));
        operation = operation.request_body(Some(
            RequestBodyBuilder::new().content(JSON, content).required(Some(Required::True)).build(),
        ));
    }
    for (status, body) in described.answers {
        let mut response = ResponseBuilder::new().description(meaning(status, endpoint.operation));
        if let Some(body) = body {
            response = response.content(JSON, Content::new(Some(body(schemas))));
        }
        operation = operation.response(*status, response.build());
    }
    let refused = Content::new(Some(body::<ErrorResponse<'_>>(schemas)));
    operation.response("default", ResponseBuilder::new().description("Not carried out.").content(JSON, refused).build())
}

fn describe(operation: Operation) -> Description {
    use Operation as O;
    let (summary, request, answers): (_, Option<Body>, &[(_, Option<Body>)]) = match operation {
        O::ListResources => {
            ("Registries, in the form of any resource.", None, &[("200", Some(list::<SummaryResource>))])
        }
        O::ListRegistries => ("All registries.", None, &[("200", Some(list::<RegistryResource>))]),
        O::CheckName => (
            "Whether a registry may be called so.",
            Some(body::<CheckName>),
            &[("200", Some(body::<NameAvailability>))],
        ),
        O::GetRegistry => ("One registry.", None, &[("200", Some(body::<RegistryResource>))]),
        O::UpdateRegistry => (
            "Sets properties that no file declares.",
            Some(body::<RegistryUpdate>),
            &[("200", Some(body::<RegistryResource>))],
        ),
        O::CreateRegistry | O::DeleteRegistry => ("Always refused: files declare registries.", None, &[]),
        O::ListCredentials => ("The admin account's passwords.", None, &[("200", Some(body::<ListedCredentials>))]),
        O::RegenerateCredential => (
            "Replaces one of the admin account's passwords.",
            Some(body::<RegenerateCredential>),
            &[("200", Some(body::<ListedCredentials>))],
        ),
        O::GenerateCredentials => (
            "Makes passwords of a token. They are shown here and never again.",
            Some(body::<GenerateCredentials>),
            &[("200", Some(body::<GeneratedCredentials>))],
        ),
        O::ListUsages => ("How much there is of what ACR limits.", None, &[("200", Some(body::<UsageList>))]),
        O::ListScopeMaps => ("All scope maps.", None, &[("200", Some(list::<ScopeMapResource>))]),
        O::GetScopeMap => ("One scope map.", None, &[("200", Some(body::<ScopeMapResource>))]),
        O::PutScopeMap => ("Creates or replaces a scope map.", Some(body::<ScopeMapUpdate>), PUT_SCOPE_MAP),
        O::UpdateScopeMap => {
            ("Changes a scope map.", Some(body::<ScopeMapUpdate>), &[("200", Some(body::<ScopeMapResource>))])
        }
        O::DeleteScopeMap => ("Deletes a scope map that no token uses.", None, DELETED),
        O::ListTokens => ("All tokens.", None, &[("200", Some(list::<TokenResource>))]),
        O::GetToken => ("One token.", None, &[("200", Some(body::<TokenResource>))]),
        O::PutToken => ("Creates a token, or gives it another scope map.", Some(body::<TokenUpdate>), PUT_TOKEN),
        O::UpdateToken => ("Changes a token.", Some(body::<TokenUpdate>), &[("200", Some(body::<TokenResource>))]),
        O::DeleteToken => ("Deletes a token: whoever uses it is refused from now on.", None, DELETED),
        O::ListEndpointConnections => LIST_ENDPOINT_CONNECTIONS,
        O::GetEndpointConnection => GET_ENDPOINT_CONNECTION,
        O::PutEndpointConnection => PUT_ENDPOINT_CONNECTION,
        O::DeleteEndpointConnection => DELETE_ENDPOINT_CONNECTION,
        O::ListKeys => {
            ("The keys that replicas share, without what is secret.", None, &[("200", Some(body::<KeyList>))])
        }
        O::RotateSigningKey => ("A new key signs from a few seconds on.", None, &[("200", Some(body::<Key>))]),
        O::RotateManagementKey => ("A new credential for this API.", None, &[("200", Some(body::<Key>))]),
        O::RevokeKey => ("What this key signed is refused from now on.", None, &[("204", None)]),
        O::ListRoleAssignments => {
            ("Role assignments of a scope and above it.", None, &[("200", Some(list::<RoleAssignmentResource>))])
        }
        O::GetRoleAssignment => ("One role assignment.", None, &[("200", Some(body::<RoleAssignmentResource>))]),
        O::PutRoleAssignment => {
            ("Assigns a role, or a scope map.", Some(body::<RoleAssignmentUpdate>), PUT_ROLE_ASSIGNMENT)
        }
        O::DeleteRoleAssignment => ("Takes a role away: the next request is refused.", None, DELETED),
        O::ListRoleDefinitions => ("The roles.", None, &[("200", Some(list::<RoleDefinitionResource>))]),
        O::GetRoleDefinition => ("One role.", None, &[("200", Some(body::<RoleDefinitionResource>))]),
        O::ListIdentities => {
            ("All identities but service principals.", None, &[("200", Some(list::<IdentityResource>))])
        }
        O::GetIdentity => ("One identity.", None, &[("200", Some(body::<IdentityResource>))]),
        O::PutIdentity => ("Creates or changes an identity.", Some(body::<IdentityUpdate>), PUT_IDENTITY),
        O::UpdateIdentity => {
            ("Changes an identity.", Some(body::<IdentityUpdate>), &[("200", Some(body::<IdentityResource>))])
        }
        O::DeleteIdentity => ("Deletes an identity, with what is assigned to it.", None, DELETED),
        O::IssueIdentityToken => (
            "A login for a managed identity at one registry.",
            Some(body::<IssueToken>),
            &[("200", Some(body::<IssuedToken>))],
        ),
        O::ListServicePrincipals => {
            ("All service principals.", None, &[("200", Some(list::<ServicePrincipalResource>))])
        }
        O::GetServicePrincipal => ("One service principal.", None, &[("200", Some(body::<ServicePrincipalResource>))]),
        O::PutServicePrincipal => {
            ("Creates or changes a service principal.", Some(body::<ServicePrincipalUpdate>), PUT_SERVICE_PRINCIPAL)
        }
        O::UpdateServicePrincipal => (
            "Changes a service principal.",
            Some(body::<ServicePrincipalUpdate>),
            &[("200", Some(body::<ServicePrincipalResource>))],
        ),
        O::DeleteServicePrincipal => ("Deletes a service principal, with what is assigned to it.", None, DELETED),
        O::GenerateSecret => (
            "Makes a secret of a service principal. It is shown here and never again.",
            Some(body::<GenerateSecret>),
            &[("200", Some(body::<GeneratedSecret>))],
        ),
        O::DeleteSecret => ("Deletes a secret: it is refused from now on.", None, DELETED),
        O::Explain => EXPLAIN,
        O::GetDenial => GET_DENIAL,
        O::Describe => ("This document.", None, &[("200", None)]),
    };
    Description { summary, request, answers, query: query(operation) }
}

/// What it does, what it takes and what it answers.
type Row = (&'static str, Option<Body>, &'static [(&'static str, Option<Body>)]);

const EXPLAIN: Row = (
    "What a request would get, and every rule that is considered.",
    Some(body::<Request>),
    &[("200", Some(body::<Explanation>))],
);
const GET_DENIAL: Row =
    ("A denial by its id, and what the same request would get now.", None, &[("200", Some(body::<ExplainedDenial>))]);
const PUT_SCOPE_MAP: &[(&str, Option<Body>)] =
    &[("200", Some(body::<ScopeMapResource>)), ("201", Some(body::<ScopeMapResource>))];
const PUT_TOKEN: &[(&str, Option<Body>)] =
    &[("200", Some(body::<TokenResource>)), ("201", Some(body::<TokenResource>))];
const LIST_ENDPOINT_CONNECTIONS: Row =
    ("All private endpoint connections.", None, &[("200", Some(list::<EndpointConnectionResource>))]);
const GET_ENDPOINT_CONNECTION: Row =
    ("One private endpoint connection.", None, &[("200", Some(body::<EndpointConnectionResource>))]);
const PUT_ENDPOINT_CONNECTION: Row = (
    "Approves or rejects a private endpoint connection, or creates one.",
    Some(body::<EndpointConnectionUpdate>),
    &[("200", Some(body::<EndpointConnectionResource>)), ("201", Some(body::<EndpointConnectionResource>))],
);
const DELETE_ENDPOINT_CONNECTION: Row =
    ("Deletes a private endpoint connection: its endpoint is unknown from now on.", None, DELETED);
const PUT_ROLE_ASSIGNMENT: &[(&str, Option<Body>)] =
    &[("200", Some(body::<RoleAssignmentResource>)), ("201", Some(body::<RoleAssignmentResource>))];
const PUT_IDENTITY: &[(&str, Option<Body>)] =
    &[("200", Some(body::<IdentityResource>)), ("201", Some(body::<IdentityResource>))];
const PUT_SERVICE_PRINCIPAL: &[(&str, Option<Body>)] =
    &[("200", Some(body::<ServicePrincipalResource>)), ("201", Some(body::<ServicePrincipalResource>))];
const DELETED: &[(&str, Option<Body>)] = &[("200", None), ("204", None)];

fn query(operation: Operation) -> &'static [(&'static str, &'static str)] {
    match operation {
        Operation::ListResources => &[("$filter", "`resourceType eq '…'` or `name eq '…'`, joined by `and`.")],
        Operation::DeleteScopeMap => {
            &[("force", "`true` deletes it although tokens use it: they lose its permissions.")]
        }
        Operation::ListRoleAssignments => &[
            ("$filter", "`atScope()`, `principalId eq '…'` or `assignedTo('…')`, joined by `and`."),
            ("$skipToken", "As in `nextLink`."),
        ],
        Operation::ListRoleDefinitions => &[("$filter", "`roleName eq '…'`.")],
        Operation::ListScopeMaps
        | Operation::ListTokens
        | Operation::ListEndpointConnections
        | Operation::ListIdentities
        | Operation::ListServicePrincipals => &[("$skipToken", "As in `nextLink`.")],
        _ => &[],
    }
}

fn meaning(status: &str, operation: Operation) -> &'static str {
    match status {
        "201" => "Created, and in force.",
        "204" if operation == Operation::RevokeKey => "Done, and in force.",
        "204" => "There was nothing to delete.",
        _ if operation.is_audited() => "Done, and in force.",
        _ => "What was asked for.",
    }
}

fn body<T: ToSchema>(schemas: &mut Schemas) -> Ref {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    schemas.extend(found);
    Ref::from_schema_name(T::name())
}

/// A page of `T`. The derived schemas of all pages have one name.
fn list<T: ToSchema>(schemas: &mut Schemas) -> Ref {
    body::<T>(schemas);
    let name = format!("{}List", T::name());
    schemas.insert(name.clone(), List::<T>::schema());
    Ref::from_schema_name(name)
}

fn parameter(name: &str, place: ParameterIn, text: Option<&str>) -> ParameterBuilder {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(text)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
}

fn method(endpoint: &Endpoint) -> HttpMethod {
    match endpoint.method {
        Method::PUT => HttpMethod::Put,
        Method::POST => HttpMethod::Post,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SEAWALL_WRITE_GOLDEN=1 cargo test --lib management::openapi` writes it anew.
    #[test]
    fn the_document_in_docs_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let document = document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("SEAWALL_WRITE_GOLDEN").is_some() {
            std::fs::write(path, &document).unwrap();
        }
        assert!(std::fs::read_to_string(path).unwrap_or_default() == document, "docs/openapi.json is not up to date");
    }

    #[test]
    fn every_reference_has_its_schema() {
        let text = serde_json::to_value(document()).unwrap();
        let schemas = text["components"]["schemas"].as_object().unwrap();
        let references = text.to_string();
        for name in references.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(schemas.contains_key(name), "{name}");
        }
        assert!(schemas.keys().any(|name| name.contains("TokenResource")), "{:?}", schemas.keys());
    }
}
