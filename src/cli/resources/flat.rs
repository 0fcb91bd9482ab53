//! ARM's shape → the shape that `az` prints: the properties of a resource stand beside its name, what is missing is
//! `null`, and a few words have other names. The one place that knows the difference.

use serde_json::{Map, Value, json};

/// What is always printed of a registry.
const REGISTRY: [&str; 20] = [
    "adminUserEnabled",
    "anonymousPullEnabled",
    "creationDate",
    "dataEndpointEnabled",
    "dataEndpointHostNames",
    "encryption",
    "identity",
    "location",
    "loginServer",
    "networkRuleBypassOptions",
    "networkRuleSet",
    "policies",
    "privateEndpointConnections",
    "provisioningState",
    "publicNetworkAccess",
    "sku",
    "status",
    "tags",
    "type",
    "zoneRedundancy",
];
const SCOPE_MAP: [&str; 6] = ["actions", "creationDate", "description", "provisioningState", "scopeMapType", "type"];
const TOKEN: [&str; 7] =
    ["creationDate", "credentials", "objectId", "provisioningState", "scopeMapId", "status", "type"];
const ENDPOINT_CONNECTION: [&str; 4] =
    ["privateEndpoint", "privateLinkServiceConnectionState", "provisioningState", "type"];
const IDENTITY: [&str; 6] = ["clientId", "location", "principalId", "tags", "tenantId", "type"];
const ROLE_ASSIGNMENT: [&str; 11] = [
    "condition",
    "conditionVersion",
    "createdBy",
    "createdOn",
    "delegatedManagedIdentityResourceId",
    "description",
    "principalName",
    "roleDefinitionId",
    "roleDefinitionName",
    "updatedBy",
    "updatedOn",
];
/// What is always printed of a token's password.
pub(super) const PASSWORD: [&str; 4] = ["creationTime", "expiry", "name", "value"];
/// What is always printed of the admin account's password.
pub(super) const ADMIN_PASSWORD: [&str; 2] = ["name", "value"];

/// A registry.
pub(super) fn registry(resource: Value) -> Value {
    let mut registry = flat(resource);
    fill(&mut registry, &REGISTRY);
    if let Some(rules) = registry.get_mut("networkRuleSet") {
        network_rules(rules);
    }
    registry
}

/// A scope map. Its `type` (system-defined or user-defined) would stand where the type of the resource is.
pub(super) fn scope_map(mut resource: Value) -> Value {
    let properties = resource.get_mut("properties").and_then(Value::as_object_mut);
    if let Some((properties, kind)) = properties.and_then(|one| one.remove("type").map(|kind| (one, kind))) {
        properties.insert("scopeMapType".to_owned(), kind);
    }
    let mut scope_map = flat(resource);
    fill(&mut scope_map, &SCOPE_MAP);
    scope_map
}

/// A token.
pub(super) fn token(resource: Value) -> Value {
    let mut token = flat(resource);
    fill(&mut token, &TOKEN);
    if let Some(Value::Object(credentials)) = token.get_mut("credentials") {
        for list in ["certificates", "passwords"] {
            credentials.entry(list).or_insert_with(|| json!([]));
        }
        passwords(credentials, &PASSWORD);
    }
    token
}

/// A private endpoint connection. Microsoft's names of an Azure endpoint are printed, though there is none of them here.
pub(super) fn endpoint_connection(resource: Value) -> Value {
    let mut connection = flat(resource);
    fill(&mut connection, &ENDPOINT_CONNECTION);
    connection
}

/// An identity (S4-12).
pub(super) fn identity(resource: Value) -> Value {
    let mut identity = flat(resource);
    fill(&mut identity, &IDENTITY);
    identity
}

/// A role assignment.
pub(super) fn role_assignment(resource: Value) -> Value {
    let mut assignment = flat(resource);
    fill(&mut assignment, &ROLE_ASSIGNMENT);
    assignment
}

/// A role. Its `type` would stand where the type of the resource is.
pub(super) fn role_definition(mut resource: Value) -> Value {
    let properties = resource.get_mut("properties").and_then(Value::as_object_mut);
    if let Some((properties, kind)) = properties.and_then(|one| one.remove("type").map(|kind| (one, kind))) {
        properties.insert("roleType".to_owned(), kind);
    }
    let mut role = flat(resource);
    if let Some(role) = role.as_object_mut() {
        role.remove("resourceGroup");
    }
    role
}

/// A service principal, with the words of `az ad sp`.
pub(super) fn service_principal(resource: Value) -> Value {
    let mut shown = flat(resource);
    let Some(object) = shown.as_object_mut() else { return shown };
    object.remove("resourceGroup");
    for (of_the_api, of_az) in
        [("clientId", "appId"), ("name", "displayName"), ("principalId", "id"), ("tenantId", "appOwnerOrganizationId")]
    {
        let value = object.remove(of_the_api).unwrap_or_default();
        object.insert(of_az.to_owned(), value);
    }
    if let Some(credentials) = object.remove("credentials") {
        object.insert("passwordCredentials".to_owned(), secrets(credentials));
    }
    shown
}

/// Secrets of a service principal, with the words of `az ad sp credential`.
pub(super) fn secrets(mut credentials: Value) -> Value {
    for secret in credentials.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        for (of_the_api, of_az) in [("creationTime", "startDateTime"), ("expiry", "endDateTime"), ("name", "keyId")] {
            let value = secret.remove(of_the_api).unwrap_or_default();
            secret.insert(of_az.to_owned(), value);
        }
    }
    credentials
}

/// A user name with passwords: what generating and listing them answers.
pub(super) fn credentials(mut answer: Value, of_each: &[&str]) -> Value {
    if let Some(answer) = answer.as_object_mut() {
        passwords(answer, of_each);
    }
    answer
}

/// ARM's `{value, action}` and `{id, action}`: the first of each is called otherwise.
fn network_rules(rules: &mut Value) {
    let Some(rules) = rules.as_object_mut() else { return };
    rules.entry("virtualNetworkRules").or_insert_with(|| json!([]));
    let ip_rules = rules.entry("ipRules").or_insert_with(|| json!([]));
    for rule in ip_rules.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(value) = rule.remove("value") {
            rule.insert("ipAddressOrRange".to_owned(), value);
        }
    }
    let networks = rules.get_mut("virtualNetworkRules").and_then(Value::as_array_mut);
    for rule in networks.into_iter().flatten().filter_map(Value::as_object_mut) {
        let id = rule.remove("id").unwrap_or_default();
        rule.insert("virtualNetworkResourceId".to_owned(), id);
    }
}

fn passwords(credentials: &mut Map<String, Value>, of_each: &[&str]) {
    for list in ["passwords", "additionalPasswords"] {
        let passwords = credentials.get_mut(list).and_then(Value::as_array_mut);
        passwords.into_iter().flatten().for_each(|password| fill(password, of_each));
    }
}

/// Lifts `properties`, and names the resource group of the id.
fn flat(resource: Value) -> Value {
    let Value::Object(mut resource) = resource else { return resource };
    if let Some(Value::Object(properties)) = resource.remove("properties") {
        for (name, value) in properties {
            resource.entry(name).or_insert(value);
        }
    }
    let group = resource.get("id").and_then(Value::as_str).and_then(group).map(Value::from);
    resource.insert("resourceGroup".to_owned(), group.unwrap_or_default());
    resource.into()
}

fn group(id: &str) -> Option<String> {
    let mut segments = id.split('/').skip_while(|segment| !segment.eq_ignore_ascii_case("resourceGroups"));
    segments.nth(1).map(str::to_owned)
}

fn fill(value: &mut Value, names: &[&str]) {
    let Some(object) = value.as_object_mut() else { return };
    for name in names {
        object.entry(*name).or_insert(Value::Null);
    }
}
