use serde_json::{Value, json};

use super::desk::{Desk, NOW_TEXT, scope_map, token};

#[tokio::test]
async fn a_scope_map_is_made_changed_and_deleted() {
    let desk = Desk::start().await;
    let sent = json!({
        "description": "Sample scope map",
        "actions": [
            "repositories/Samples/Hello-World/content/write",
            "repositories/samples/hello-world/content/write",
            "repositories/samples/*/content/read",
            "gateway/edge1/config/read",
        ],
    });
    let body = desk.put(&scope_map("MyScopeMap"), sent).await.expect(201);
    assert_eq!(
        body,
        json!({
            "id": scope_map("MyScopeMap"),
            "name": "MyScopeMap",
            "type": "Microsoft.ContainerRegistry/registries/scopeMaps",
            "properties": {
                "description": "Sample scope map",
                "type": "UserDefined",
                "creationDate": NOW_TEXT,
                "provisioningState": "Succeeded",
                "actions": [
                    "repositories/samples/hello-world/content/write",
                    "repositories/samples/*/content/read",
                    "gateway/edge1/config/read",
                ],
            },
        })
    );
    desk.clock.advance(60);
    let body = desk.patch(&scope_map("MyScopeMap"), json!({ "actions": [] })).await.expect(200);
    assert_eq!(body["properties"]["description"], "Sample scope map");
    assert_eq!(body["properties"]["creationDate"], NOW_TEXT);
    assert_eq!(desk.registry().scope_map("MyScopeMap").unwrap().scope_actions().count(), 0, "in force");
    desk.delete(&scope_map("MyScopeMap")).await.expect(200);
    desk.get(&scope_map("MyScopeMap")).await.refused(404, "ResourceNotFound");
    desk.delete(&scope_map("MyScopeMap")).await.expect(204);
    desk.patch(&scope_map("MyScopeMap"), json!({ "actions": [] })).await.refused(404, "ResourceNotFound");
}

/// S3-44 … S3-47.
#[tokio::test]
async fn what_is_wrong_is_named_with_its_place() {
    let desk = Desk::start().await;
    let refused = async |properties: Value| {
        desk.put(&scope_map("MyScopeMap"), properties).await.refused(400, "InvalidRequestContent")
    };
    let actions = json!({ "actions": ["repositories/a/content/read", "repositories/sample/*/teamA/content/read"] });
    let (message, target) = refused(actions).await;
    assert!(message.contains("the wildcard must be the last segment"), "{message}");
    assert_eq!(target.as_deref(), Some("properties.actions[1]"));
    let (_, target) = refused(json!({ "actions": "repositories/a/content/read" })).await;
    assert_eq!(target.as_deref(), Some("properties.actions"));
    let (_, target) = refused(json!({ "actions": ["repositories/a/content/read", 1] })).await;
    assert_eq!(target.as_deref(), Some("properties.actions[1]"));
    let (_, target) = refused(json!({ "description": "no actions" })).await;
    assert_eq!(target.as_deref(), Some("properties.actions"));
    let (_, target) = refused(json!({ "actions": [], "description": "d".repeat(257) })).await;
    assert_eq!(target.as_deref(), Some("properties.description"));
    desk.put(&scope_map("tiny"), json!({ "actions": [] })).await.refused(400, "InvalidResourceName");
}

/// S3-84, B.2-2.
#[tokio::test]
async fn system_defined_and_declared_ones_are_read_only() {
    let desk = Desk::start().await;
    let body = desk.get(&scope_map("_repositories_push")).await.expect(200);
    assert_eq!(body["properties"]["type"], "SystemDefined");
    assert_eq!(body["properties"]["actions"], json!(["repositories/*/content/read", "repositories/*/content/write"]));
    assert_eq!(body["properties"].get("declaredIn"), None);
    let sent = json!({ "actions": ["repositories/a/content/read"] });
    for name in ["_repositories_push", "_repositories_mine"] {
        desk.put(&scope_map(name), sent.clone()).await.refused(409, "SystemDefined");
        desk.patch(&scope_map(name), sent.clone()).await.refused(409, "SystemDefined");
        desk.delete(&scope_map(name)).await.refused(409, "SystemDefined");
    }
    let body = desk.get(&scope_map("declared-map")).await.expect(200);
    assert!(body["properties"]["declaredIn"].as_str().unwrap().ends_with("seawall.yaml:11:7"), "{body}");
    let (message, _) = desk.put(&scope_map("declared-map"), sent).await.refused(409, "DeclaredInFile");
    assert!(message.contains("seawall.yaml:11:7"), "{message}");
}

/// D34.
#[tokio::test]
async fn one_in_use_is_deleted_only_by_force() {
    let desk = Desk::start().await;
    for number in 1..=7 {
        desk.make_token(&format!("token-{number}")).await;
    }
    let refused = desk.delete(&scope_map("samples-map")).await;
    assert_eq!(refused.body["error"]["details"].as_array().unwrap().len(), 5);
    let (message, _) = refused.refused(409, "ScopeMapInUse");
    assert!(
        message.starts_with(
            "scope map 'samples-map' is used by 'token-1', 'token-2', 'token-3', 'token-4', 'token-5' and 2 more;"
        ),
        "{message}"
    );
    desk.patch(&token("token-2"), json!({ "scopeMapId": scope_map("_repositories_pull") })).await.expect(200);
    desk.delete(&format!("{}?force=true", scope_map("samples-map"))).await.expect(200);
    assert!(desk.registry().scope_map("samples-map").is_none());
    let body = desk.get(&token("token-1")).await.expect(200);
    assert_eq!(body["properties"]["scopeMapId"], scope_map("samples-map"), "it stays, without permissions");
}

/// An additional scope map counts as use too.
#[tokio::test]
async fn an_additional_map_is_in_use_too() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    desk.put(&scope_map("further"), json!({ "actions": [] })).await.expect(201);
    desk.patch(&token("MyToken"), json!({ "additionalScopeMapIds": [scope_map("further")] })).await.expect(200);
    desk.delete(&scope_map("further")).await.refused(409, "ScopeMapInUse");
}

#[tokio::test]
async fn an_enforced_tier_limits_actions() {
    let desk = Desk::start_with(Some(seawall::policy::tier::Tier::Premium)).await;
    let actions = |count: usize| {
        let actions: Vec<_> = (0..count).map(|n| format!("repositories/r{n}/content/read")).collect();
        json!({ "actions": actions })
    };
    desk.put(&scope_map("MyScopeMap"), actions(500)).await.expect(201);
    desk.put(&scope_map("MyScopeMap"), actions(501)).await.refused(409, "QuotaExceeded");
}

#[tokio::test]
async fn one_that_was_deleted_by_force_does_not_come_back_to_its_tokens() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    desk.delete(&format!("{}?force=true", scope_map("samples-map"))).await.expect(200);
    let actions = json!({ "actions": ["repositories/*/content/write"] });
    let (message, _) = desk.put(&scope_map("samples-map"), actions.clone()).await.refused(409, "ScopeMapInUse");
    assert!(message.contains("'MyToken' lost scope map 'samples-map'"), "{message}");
    desk.delete(&token("MyToken")).await.expect(200);
    desk.put(&scope_map("samples-map"), actions).await.expect(201);
}

#[tokio::test]
async fn names_that_differ_in_case_only_are_refused() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let pull = json!({ "scopeMapId": scope_map("_repositories_pull") });
    desk.put(&token("mytoken"), pull.clone()).await.refused(409, "AlreadyExists");
    desk.put(&token("DECLARED-token"), pull).await.refused(409, "AlreadyExists");
    for name in ["Samples-Map", "Declared-Map"] {
        desk.put(&scope_map(name), json!({ "actions": [] })).await.refused(409, "AlreadyExists");
    }
}
