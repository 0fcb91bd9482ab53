use serde_json::json;

use super::desk::{Desk, NOW_TEXT, REGISTRY, scope_map, token};

/// S3-32, in ARM's form.
#[tokio::test]
async fn a_new_token_is_in_force_when_it_is_answered() {
    let desk = Desk::start().await;
    let actions = json!({ "actions": ["repositories/samples/app/content/read"] });
    desk.put(&scope_map("MyMap"), actions).await.expect(201);
    let made = desk.put(&token("MyToken"), json!({ "scopeMapId": scope_map("MyMap"), "status": "enabled" })).await;
    let etag = made.headers["etag"].to_str().unwrap().to_owned();
    let body = made.expect(201);
    assert_eq!(
        body,
        json!({
            "id": token("MyToken"),
            "name": "MyToken",
            "type": "Microsoft.ContainerRegistry/registries/tokens",
            "properties": {
                "creationDate": NOW_TEXT,
                "provisioningState": "Succeeded",
                "scopeMapId": scope_map("MyMap"),
                "credentials": { "certificates": [], "passwords": [] },
                "status": "enabled",
            },
        })
    );
    assert!(desk.principal("MyToken").is_some());
    let read = desk.get(&token("MyToken")).await;
    assert_eq!(read.headers["etag"].to_str().unwrap(), etag);
    assert_eq!(read.expect(200), body);
}

/// E-11.
#[tokio::test]
async fn putting_again_points_to_another_map_and_keeps_identity_passwords_and_status() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    desk.post(&format!("{REGISTRY}/generateCredentials"), json!({ "tokenId": token("MyToken") })).await.expect(200);
    desk.patch(&token("MyToken"), json!({ "status": "Disabled" })).await.expect(200);
    let id = desk.principal("MyToken").unwrap().id();
    let body = desk.put(&token("MyToken"), json!({ "scopeMapId": scope_map("_repositories_pull") })).await.expect(200);
    assert_eq!(body["properties"]["scopeMapId"], scope_map("_repositories_pull"));
    assert_eq!(body["properties"]["status"], "disabled");
    assert_eq!(body["properties"]["credentials"]["passwords"].as_array().unwrap().len(), 2);
    assert_eq!(desk.principal("MyToken").unwrap().id(), id);

    desk.delete(&token("MyToken")).await.expect(200);
    assert!(desk.principal("MyToken").is_none());
    desk.delete(&token("MyToken")).await.expect(204);
    desk.make_token("MyToken").await;
    assert_ne!(desk.principal("MyToken").unwrap().id(), id, "made again it is another principal");
}

#[tokio::test]
async fn a_token_needs_a_scope_map_of_its_registry_and_a_name_of_its_own() {
    let desk = Desk::start().await;
    let refused =
        async |name: &str, properties, code: &str| desk.put(&token(name), properties).await.refused(400, code);
    let (message, target) = refused("MyToken", json!({}), "InvalidRequestContent").await;
    assert_eq!((message.as_str(), target.as_deref()), ("a token needs a `scopeMapId`", Some("properties.scopeMapId")));
    let (message, _) = refused("MyToken", json!({ "scopeMapId": scope_map("MyMap") }), "InvalidRequestContent").await;
    assert!(message.contains("there is no scope map 'MyMap'; create it first"), "{message}");
    for id in ["MyMap".to_owned(), scope_map("_repositories_pull").replace("myregistry", "other1")] {
        let (message, _) = refused("MyToken", json!({ "scopeMapId": id }), "InvalidRequestContent").await;
        assert!(message.contains("is not the id of a scope map of this registry"), "{message}");
    }
    let pull = json!({ "scopeMapId": scope_map("_repositories_pull") });
    for name in ["abc", "my_token", "myregistry"] {
        refused(name, pull.clone(), "InvalidResourceName").await;
    }
    assert_eq!(desk.registry().tokens().count(), 1, "the declared one only");
}

#[tokio::test]
async fn what_a_file_declares_is_shown_and_cannot_be_changed() {
    let desk = Desk::start().await;
    let body = desk.get(&token("declared-token")).await.expect(200);
    let declared = body["properties"]["declaredIn"].as_str().unwrap().to_owned();
    assert!(declared.ends_with("seawall.yaml:13:7"), "{declared}");
    assert_eq!(body["properties"]["creationDate"], json!(null));
    let expected = format!("token 'declared-token' is declared at {declared}; change it there");
    let sent = json!({ "scopeMapId": scope_map("_repositories_pull"), "status": "disabled" });
    for answer in [
        desk.put(&token("declared-token"), sent.clone()).await,
        desk.patch(&token("declared-token"), sent).await,
        desk.delete(&token("declared-token")).await,
        desk.post(&format!("{REGISTRY}/generateCredentials"), json!({ "tokenId": token("declared-token") })).await,
    ] {
        assert_eq!(answer.refused(409, "DeclaredInFile").0, expected);
    }
}

/// S3-90, S3-93, D8.
#[tokio::test]
async fn patching_changes_what_it_names() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let pull = scope_map("_repositories_pull");
    let body = desk.patch(&token("MyToken"), json!({ "additionalScopeMapIds": [pull, pull] })).await.expect(200);
    assert_eq!(body["properties"]["additionalScopeMapIds"], json!([pull]));
    let body = desk.patch(&token("MyToken"), json!({ "status": "disabled" })).await.expect(200);
    assert_eq!(body["properties"]["scopeMapId"], scope_map("samples-map"));
    assert_eq!(body["properties"]["additionalScopeMapIds"], json!([pull]));
    assert_eq!(body["properties"]["status"], "disabled");
    let body = desk.patch(&token("MyToken"), json!({ "additionalScopeMapIds": [] })).await.expect(200);
    assert!(body["properties"].get("additionalScopeMapIds").is_none());
    let missing = desk.patch(&token("nobody"), json!({ "status": "disabled" })).await;
    let (message, _) = missing.refused(404, "ResourceNotFound");
    assert_eq!(
        message,
        "The resource 'Microsoft.ContainerRegistry/registries/myregistry/tokens/nobody' was not found."
    );
    let certificates = json!({ "credentials": { "certificates": [{ "name": "certificate1" }] } });
    desk.patch(&token("MyToken"), certificates).await.refused(400, "InvalidRequestContent");
}

#[tokio::test]
async fn a_replacement_never_widens_by_what_it_leaves_out() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    desk.patch(&token("MyToken"), json!({ "additionalScopeMapIds": [scope_map("_repositories_push")] }))
        .await
        .expect(200);
    let body = desk.put(&token("MyToken"), json!({ "scopeMapId": scope_map("samples-map") })).await.expect(200);
    assert!(body["properties"].get("additionalScopeMapIds").is_none());
}
