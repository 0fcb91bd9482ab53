//! Callers with roles: what each may do, and where.

use jsonwebtoken::{Algorithm, Header};
use reqwest::Method;
use serde_json::{Value, json};

use super::desk::{Answered, Desk, NOW, REGISTRY, scope_map, token};
use super::identities::{IDENTITIES, assign, assignments, desk, identity, make, role_id};

const ALL: &str = "/subscriptions/sub";
const OTHER: &str = "/subscriptions/sub/resourceGroups/group/providers/Microsoft.ContainerRegistry/registries/other1";

/// A token of the provider for `subject`.
fn said(desk: &Desk, subject: &str, changes: &Value) -> String {
    let mut claims = json!({ "iss": "https://login.example.com", "sub": subject, "aud": "seawall", "exp": NOW + 600 });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &desk.provider).unwrap()
}

async fn send(desk: &Desk, bearer: &str, method: Method, path: &str, body: &Value) -> Answered {
    let authorization = format!("Bearer {bearer}");
    let body = if method == Method::GET { Vec::new() } else { body.to_string().into_bytes() };
    desk.send_raw(&desk.url, method, path, body, vec![("authorization", &authorization)]).await
}

/// Somebody with `role` in `scope`, as the provider vouches for him.
async fn somebody(desk: &Desk, name: &str, role: &str, scope: &str) -> String {
    let matches = json!([{ "provider": "corp", "claims": { "sub": name } }]);
    let principal = make(desk, name, json!({ "identityType": "User", "matches": matches })).await;
    assign(desk, scope, &principal, role).await;
    said(desk, name, &json!({ "email": format!("{name}@example.com") }))
}

/// The three rights, each tried: on a registry, or, where none is named, on everything.
async fn tried(desk: &Desk, bearer: &str, principal: &str, scope: &str) -> String {
    let role = json!({ "properties": { "roleDefinitionId": role_id("AcrPull"), "principalId": principal } });
    let assignment = format!("{}/{}", assignments(scope), uuid::Uuid::new_v4());
    let is_registry = scope.contains("/registries/");
    let read = if is_registry { scope.to_owned() } else { IDENTITIES.to_owned() };
    let map = json!({ "properties": { "actions": ["repositories/a/content/read"] } });
    let write = if is_registry {
        (Method::PUT, format!("{scope}/scopeMaps/a-scope-map"), map)
    } else {
        (Method::POST, "/seawall/v1/keys/signing/rotate".to_owned(), json!({}))
    };
    let mut may = String::new();
    for (name, (method, path, body)) in [
        ("read", (Method::GET, read, Value::Null)),
        ("write", write),
        ("assign", (Method::PUT, assignment.clone(), role)),
    ] {
        let answer = send(desk, bearer, method, &path, &body).await;
        match answer.status.as_u16() {
            200 | 201 => may.extend([name, " "]),
            403 => assert_eq!(answer.body["error"]["code"], "AuthorizationFailed", "{:#}", answer.body),
            other => panic!("{other} for {name} at {scope}: {:#}", answer.body),
        }
    }
    desk.delete(&assignment).await;
    may.trim().to_owned()
}

/// B.5: Owner, Contributor, Reader, AcrPull × read, write, assign × own registry, another registry, everything.
#[tokio::test]
async fn roles_say_who_may_manage_what() {
    let desk = desk().await;
    let other = make(&desk, "somebody-else", json!({})).await;
    for (role, may) in
        [("Owner", "read write assign"), ("Contributor", "read write"), ("Reader", "read"), ("AcrPull", "")]
    {
        let here = somebody(&desk, &format!("{role}-here"), role, REGISTRY).await;
        for (scope, expected) in [(REGISTRY, may), (OTHER, ""), (ALL, "")] {
            assert_eq!(tried(&desk, &here, &other, scope).await, expected, "{role} of myregistry at {scope}");
        }
        let everywhere = somebody(&desk, &format!("{role}-everywhere"), role, ALL).await;
        for scope in [REGISTRY, OTHER, ALL] {
            assert_eq!(tried(&desk, &everywhere, &other, scope).await, may, "{role} of everything at {scope}");
        }
    }
}

/// An owner of a registry decides neither who identities are nor what else there is; a contributor of everything neither.
#[tokio::test]
async fn nobody_makes_himself_more_than_he_is() {
    let desk = desk().await;
    let owner_here = somebody(&desk, "owner-here", "Owner", REGISTRY).await;
    let contributor = somebody(&desk, "contributor", "Contributor", ALL).await;
    let managed = make(&desk, "build-agent", json!({})).await;
    assign(&desk, REGISTRY, &managed, "Owner").await;
    let everybody = json!({ "properties": { "matches": [{ "provider": "corp", "claims": { "sub": "*" } }] } });
    let role = json!({ "properties": { "roleDefinitionId": role_id("Owner"), "principalId": managed } });
    let above = |scope: &str| format!("{}/6d1f1a9e-3a54-4b8e-9f0a-0c5f6a7b8c9d", assignments(scope));
    for (method, path, body) in [
        (Method::PUT, identity("build-agent"), everybody.clone()),
        (Method::PATCH, identity("build-agent"), everybody),
        (Method::DELETE, identity("build-agent"), Value::Null),
        (Method::POST, "/seawall/v1/identities/build-agent/tokens".to_owned(), json!({ "registry": "myregistry" })),
        (Method::PUT, "/seawall/v1/servicePrincipals/deployer".to_owned(), json!({})),
        (Method::POST, "/seawall/v1/servicePrincipals/deployer/credentials".to_owned(), json!({})),
        (Method::DELETE, "/seawall/v1/servicePrincipals/deployer/credentials/password1".to_owned(), Value::Null),
        (Method::POST, "/seawall/v1/keys/management/rotate".to_owned(), json!({})),
        (Method::PUT, above(ALL), role.clone()),
        (Method::PUT, above(&format!("{ALL}/resourceGroups/group")), role.clone()),
        (Method::PUT, above(OTHER), role),
        (Method::DELETE, above(ALL), Value::Null),
    ] {
        for bearer in [&owner_here, &contributor] {
            send(&desk, bearer, method.clone(), &path, &body).await.refused(403, "AuthorizationFailed");
        }
    }
    let declared = said(&desk, "anybody", &json!({ "groups": ["staff"] }));
    send(&desk, &declared, Method::GET, REGISTRY, &Value::Null).await.refused(403, "AuthorizationFailed");
}

/// In ARM's words, whether there is what is asked for or not; lists show what somebody may read.
#[tokio::test]
async fn a_refusal_names_the_action_and_the_scope_and_is_on_record() {
    let desk = desk().await;
    let jane = somebody(&desk, "jane", "Reader", REGISTRY).await;
    let list = "/subscriptions/sub/providers/Microsoft.ContainerRegistry/registries";
    let shown = send(&desk, &jane, Method::GET, list, &Value::Null).await.expect(200);
    let shown: Vec<_> = shown["value"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(shown, ["myregistry"]);
    let resources = send(&desk, &jane, Method::GET, "/subscriptions/sub/resources", &Value::Null).await.expect(200);
    assert_eq!(resources["value"].as_array().unwrap().len(), 1);
    let (message, _) = send(&desk, &jane, Method::GET, OTHER, &Value::Null).await.refused(403, "AuthorizationFailed");
    assert_eq!(
        message,
        format!(
            "The client 'jane@example.com' with object id 'jane' does not have authorization to perform action \
             'Microsoft.ContainerRegistry/registries/read' over scope '{OTHER}' or the scope is invalid. An owner can \
             assign a role."
        )
    );
    let nowhere = OTHER.replace("other1", "nowhere");
    send(&desk, &jane, Method::GET, &nowhere, &Value::Null).await.refused(403, "AuthorizationFailed");
    send(&desk, &jane, Method::DELETE, &token("declared-token"), &Value::Null)
        .await
        .refused(403, "AuthorizationFailed");
    send(&desk, &jane, Method::POST, &format!("{REGISTRY}/listCredentials"), &json!({}))
        .await
        .refused(403, "AuthorizationFailed");
    let actor = "identity jane (corp: jane)";
    let records = desk.records();
    let refused: Vec<_> = records.iter().filter(|record| record["status"] == 403).collect();
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|record| record["actor"] == actor && record["reason"] == "AuthorizationFailed"));
    assert_eq!(refused[2]["operation"], "tokens/delete");
}

/// Roles count as they are at each request; what was assigned names who did it.
#[tokio::test]
async fn what_is_taken_away_ends_with_the_next_request() {
    let desk = desk().await;
    let jane = somebody(&desk, "jane", "Owner", REGISTRY).await;
    let agent = make(&desk, "build-agent", json!({})).await;
    let path = format!("{}/6d1f1a9e-3a54-4b8e-9f0a-0c5f6a7b8c9d", assignments(REGISTRY));
    let role = json!({ "properties": { "roleDefinitionId": role_id("AcrPull"), "principalId": agent } });
    let made = send(&desk, &jane, Method::PUT, &path, &role).await.expect(201);
    assert_eq!(made["properties"]["createdBy"], "identity jane (corp: jane)");
    let map = json!({ "properties": { "actions": ["repositories/a/content/read"] } });
    send(&desk, &jane, Method::PUT, &scope_map("a-scope-map"), &map).await.expect(201);
    desk.patch(&identity("jane"), json!({ "status": "disabled" })).await.expect(200);
    send(&desk, &jane, Method::GET, REGISTRY, &Value::Null).await.refused(401, "AuthenticationFailed");
    desk.patch(&identity("jane"), json!({ "status": "enabled" })).await.expect(200);
    send(&desk, &jane, Method::GET, REGISTRY, &Value::Null).await.expect(200);
    desk.delete(&identity("jane")).await.expect(200);
    send(&desk, &jane, Method::GET, REGISTRY, &Value::Null).await.refused(401, "AuthenticationFailed");
}

/// Threat classes G and H at this door: nothing else is a credential.
#[tokio::test]
async fn only_what_proves_something_opens() {
    let desk = desk().await;
    let jane = somebody(&desk, "jane", "Owner", ALL).await;
    let issued = make(&desk, "build-agent", json!({})).await;
    assign(&desk, ALL, &issued, "Owner").await;
    let ours = desk.post("/seawall/v1/identities/build-agent/tokens", json!({ "registry": "myregistry" })).await;
    let ours = ours.expect(200)["refreshToken"].as_str().unwrap().to_owned();
    let forged = jane.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    for bearer in [
        ours,
        forged,
        said(&desk, "jane", &json!({ "exp": NOW - 600 })),
        said(&desk, "jane", &json!({ "aud": "other" })),
        said(&desk, "jane", &json!({ "iss": "https://elsewhere.example.com" })),
        said(&desk, &issued, &json!({ "iss": "seawall", "identity": "x" })),
        said(&desk, "nobody", &json!({})),
        "x".to_owned(),
    ] {
        send(&desk, &bearer, Method::GET, REGISTRY, &Value::Null).await.refused(401, "AuthenticationFailed");
    }
    for value in [format!("Basic {jane}"), format!("bearer{jane}"), jane.clone(), "Basic Og==".to_owned()] {
        let answer = desk.send_raw(&desk.url, Method::GET, REGISTRY, Vec::new(), vec![("authorization", &value)]).await;
        answer.refused(401, "AuthenticationFailed");
    }
    let twice = format!("Bearer {jane}");
    let both = vec![("authorization", twice.as_str()), ("authorization", twice.as_str())];
    desk.send_raw(&desk.url, Method::GET, REGISTRY, Vec::new(), both).await.refused(401, "AuthenticationFailed");
}
