//! Resources in ARM's shape, as the management API answers them.

use serde_json::{Value, json};

/// Where everything is.
pub(crate) const GROUP: &str =
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/seawall/providers/Microsoft.ContainerRegistry";

pub(crate) fn id(rest: &str) -> String {
    format!("{GROUP}/registries/myregistry{rest}")
}

pub(crate) fn registry() -> Value {
    json!({
        "id": id(""),
        "name": "myregistry",
        "type": "Microsoft.ContainerRegistry/registries",
        "location": "local",
        "tags": {},
        "sku": { "name": "Premium", "tier": "Premium" },
        "properties": {
            "loginServer": "myregistry.example.com",
            "provisioningState": "Succeeded",
            "adminUserEnabled": false,
            "anonymousPullEnabled": false,
            "publicNetworkAccess": "Enabled",
            "networkRuleBypassOptions": "AzureServices",
            "networkRuleSet": {
                "defaultAction": "Deny",
                "ipRules": [
                    { "action": "Allow", "value": "203.0.113.0/24", "name": "office" },
                    { "action": "Deny", "value": "203.0.113.66" }
                ]
            },
            "dataEndpointEnabled": false,
            "policies": { "retentionPolicy": { "days": 7, "status": "disabled" } },
            "declaredIn": "seawall.yaml:4:3"
        }
    })
}

pub(crate) fn registry_with(property: &str, value: Value) -> Value {
    let mut registry = registry();
    registry["properties"][property] = value;
    registry
}

pub(crate) fn scope_map(name: &str, description: &str, actions: &[&str]) -> Value {
    let kind = if name.starts_with('_') { "SystemDefined" } else { "UserDefined" };
    json!({
        "id": id(&format!("/scopeMaps/{name}")),
        "name": name,
        "type": "Microsoft.ContainerRegistry/registries/scopeMaps",
        "properties": {
            "description": description,
            "type": kind,
            "creationDate": "2026-01-20T09:44:24.250000+00:00",
            "provisioningState": "Succeeded",
            "actions": actions
        }
    })
}

pub(crate) fn token(name: &str, scope_map: &str, passwords: &[Value]) -> Value {
    json!({
        "id": id(&format!("/tokens/{name}")),
        "name": name,
        "type": "Microsoft.ContainerRegistry/registries/tokens",
        "properties": {
            "creationDate": "2026-10-22T00:15:34.304892+00:00",
            "provisioningState": "Succeeded",
            "scopeMapId": id(&format!("/scopeMaps/{scope_map}")),
            "credentials": { "certificates": [], "passwords": passwords },
            "status": "enabled"
        }
    })
}

pub(crate) fn password(name: &str, expiry: Option<&str>) -> Value {
    json!({ "name": name, "creationTime": "2026-10-22T00:15:52.837651+00:00", "expiry": expiry })
}

/// What `generateCredentials` answers.
pub(crate) fn generated(username: &str, values: &[(&str, &str)]) -> Value {
    let passwords: Vec<Value> = values
        .iter()
        .map(|(name, value)| {
            let mut password = password(name, None);
            password["value"] = (*value).into();
            password
        })
        .collect();
    json!({ "username": username, "passwords": passwords })
}
