//! Network conditions by the API, and the two properties of a registry that are about networks: `endpointProtocol` and the
//! export policy.

use serde_json::json;

use super::desk::{Desk, REGISTRY, scope_map, token};

#[tokio::test]
async fn a_condition_is_set_kept_and_cleared() {
    let desk = Desk::start().await;
    let pull = scope_map("_repositories_pull");
    let networks = json!({ "allow": ["192.0.2.0/24", "any private endpoint"], "deny": ["192.0.2.66"] });
    let made = desk.put(&token("MyToken"), json!({ "scopeMapId": pull, "networks": networks })).await.expect(201);
    assert_eq!(made["properties"]["networks"], networks);
    // Whoever puts it again without knowing of conditions widens nothing.
    let again = desk.put(&token("MyToken"), json!({ "scopeMapId": pull })).await.expect(200);
    assert_eq!(again["properties"]["networks"], networks);
    let less = desk.patch(&token("MyToken"), json!({ "networks": { "deny": [] } })).await.expect(200);
    assert_eq!(
        less["properties"]["networks"],
        json!({ "allow": ["192.0.2.0/24", "any private endpoint"], "deny": [] })
    );
    let none = desk.patch(&token("MyToken"), json!({ "networks": { "allow": [] } })).await.expect(200);
    assert_eq!(none["properties"].get("networks"), None);

    let actions = json!({ "actions": ["repositories/a/content/read"], "networks": { "deny": ["::/0"] } });
    desk.put(&scope_map("MyMap"), actions).await.expect(201);
    let again = desk.put(&scope_map("MyMap"), json!({ "actions": ["repositories/b/content/read"] })).await.expect(200);
    assert_eq!(again["properties"]["networks"], json!({ "allow": [], "deny": ["::/0"] }));
}

#[tokio::test]
async fn an_entry_that_is_none_is_named() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    for (networks, target) in [
        (json!({ "allow": ["192.0.2.0/24", "192.0.2.1/24"] }), "properties.networks.allow[1]"),
        (json!({ "deny": ["private endpoint"] }), "properties.networks.deny[0]"),
        (json!({ "allow": vec!["192.0.2.1"; 1001] }), "properties.networks.allow"),
    ] {
        let sent = desk.patch(&token("MyToken"), json!({ "networks": networks })).await;
        let (_, told) = sent.refused(400, "InvalidRequestContent");
        assert_eq!(told.as_deref(), Some(target));
    }
    let misspelt = desk.patch(&token("MyToken"), json!({ "networks": { "allowed": [] } })).await;
    misspelt.refused(400, "InvalidRequestContent");
}

/// B.4-13.
#[tokio::test]
async fn exports_are_forbidden_only_where_public_access_is() {
    let desk = Desk::start().await;
    let exports = |status: &str| json!({ "exportPolicy": { "status": status } });
    let status = |shown: &serde_json::Value| shown["properties"]["policies"]["exportPolicy"]["status"].clone();
    let sent = desk.patch(REGISTRY, json!({ "policies": exports("disabled") })).await;
    let (message, target) = sent.refused(400, "InvalidRequestContent");
    assert_eq!(target.as_deref(), Some("properties.policies.exportPolicy.status"));
    assert!(message.contains("--public-network-enabled false"), "{message}");

    let both = json!({ "policies": exports("Disabled"), "publicNetworkAccess": "Disabled" });
    let shown = desk.patch(REGISTRY, both).await.expect(200);
    assert_eq!(status(&shown), "disabled");
    assert_eq!(shown["properties"]["policies"]["quarantinePolicy"]["status"], "disabled", "the others are shown still");
    desk.patch(REGISTRY, json!({ "publicNetworkAccess": "Enabled" })).await.refused(400, "InvalidRequestContent");
    desk.patch(REGISTRY, json!({ "adminUserEnabled": false })).await.expect(200);
    let both = json!({ "policies": exports("enabled"), "publicNetworkAccess": "Enabled" });
    assert_eq!(status(&desk.patch(REGISTRY, both).await.expect(200)), "enabled");
}

#[tokio::test]
async fn the_protocol_of_the_endpoint_is_set() {
    let desk = Desk::start().await;
    for protocol in ["IPv4", "IPv4AndIPv6"] {
        let shown = desk.patch(REGISTRY, json!({ "endpointProtocol": protocol })).await.expect(200);
        assert_eq!(shown["properties"]["endpointProtocol"], protocol);
    }
    desk.patch(REGISTRY, json!({ "endpointProtocol": "IPv6" })).await.refused(400, "InvalidRequestContent");
}
