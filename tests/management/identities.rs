use reqwest::Method;
use serde_json::{Value, json};

use super::desk::{Desk, NOW_TEXT, REGISTRY};

pub(crate) const IDENTITIES: &str =
    "/subscriptions/sub/resourceGroups/group/providers/Microsoft.ManagedIdentity/userAssignedIdentities";
pub(crate) const PROVIDER: &str = "identityProviders:
  corp: { issuer: https://login.example.com, audiences: [seawall], nameClaim: email, jwks: { file: KEYS } }
identities:
  declared-group: { type: Group, matches: [ { provider: corp, claims: { groups: staff } } ] }
  declared-app:
    type: ServicePrincipal
    clientId: 6f9619ff-8b86-d011-b42d-00c04fc964ff
    matches: [ { provider: corp, claims: { /azp~1x: app } } ]
roleAssignments: [ { identity: declared-group, role: AcrPull } ]
";

pub(crate) fn identity(name: &str) -> String {
    format!("{IDENTITIES}/{name}")
}

pub(crate) fn assignments(scope: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/roleAssignments")
}

/// Makes an identity; its principal id.
pub(crate) async fn make(desk: &Desk, name: &str, properties: Value) -> String {
    let made = desk.put(&identity(name), properties).await.expect(201);
    made["properties"]["principalId"].as_str().unwrap().to_owned()
}

/// Assigns a role; the id of the assignment.
pub(crate) async fn assign(desk: &Desk, scope: &str, principal: &str, role: &str) -> String {
    let id = format!("{}/{}", assignments(scope), uuid::Uuid::new_v4());
    let sent = json!({ "roleDefinitionId": role_id(role), "principalId": principal });
    desk.put(&id, sent).await.expect(201);
    id
}

pub(crate) fn role_id(role: &str) -> String {
    let guid = match role {
        "Owner" => "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Contributor" => "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Reader" => "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "AcrPush" => "8311e382-0749-4cb8-b61a-304f252e45ec",
        _ => "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    };
    format!("/subscriptions/sub/providers/Microsoft.Authorization/roleDefinitions/{guid}")
}

pub(crate) async fn desk() -> Desk {
    Desk::start_saying(PROVIDER, None).await
}

/// S4-12, in ARM's shape.
#[tokio::test]
async fn an_identity_has_three_ids_and_keeps_them() {
    let desk = desk().await;
    let made = desk.put(&identity("myACRTasksId"), json!({})).await;
    let etag = made.headers["etag"].to_str().unwrap().to_owned();
    let body = made.expect(201);
    let properties = &body["properties"];
    assert_eq!(body["id"], identity("myACRTasksId"));
    assert_eq!(
        (&body["name"], &body["location"], &body["tags"]),
        (&json!("myACRTasksId"), &json!("local"), &json!({}))
    );
    assert_eq!(body["type"], "Microsoft.ManagedIdentity/userAssignedIdentities");
    assert_eq!(properties["identityType"], "UserAssigned");
    assert_eq!((&properties["creationDate"], &properties["matches"]), (&json!(NOW_TEXT), &json!([])));
    let ids = ["principalId", "clientId", "tenantId"].map(|name| properties[name].as_str().unwrap().to_owned());
    assert!(ids.iter().all(|id| id.len() == 36) && ids[0] != ids[1] && ids[1] != ids[2]);
    let read = desk.get(&identity("myACRTasksId")).await;
    assert_eq!(read.headers["etag"].to_str().unwrap(), etag);
    assert_eq!(read.expect(200), body);
    let rules = json!([{ "provider": "corp", "claims": { "sub": "build-*" } }]);
    // No file declares the provider of certificates.
    let by_certificate = json!([{ "provider": "certificate", "claims": { "uri": "spiffe://corp/build" } }]);
    let shown = desk.put(&identity("myACRTasksId"), json!({ "matches": by_certificate })).await.expect(200);
    assert_eq!(shown["properties"]["matches"], by_certificate);
    let again = json!({ "matches": rules, "status": "disabled" });
    let again = desk.put(&identity("myACRTasksId"), again).await.expect(200);
    assert_eq!(again["properties"]["principalId"], properties["principalId"]);
    let again = desk.put(&identity("myACRTasksId"), json!({})).await.expect(200);
    assert_eq!((&again["properties"]["status"], &again["properties"]["matches"]), (&json!("disabled"), &rules));
    let tags = json!({ "tags": { "team": "a" }, "properties": { "status": "Enabled" } });
    let headers = [("if-match", etag.as_str())];
    desk.send_with(Method::PATCH, &identity("myACRTasksId"), Some(tags.clone()), &headers)
        .await
        .refused(412, "PreconditionFailed");
    let patched = desk.send(Method::PATCH, &identity("myACRTasksId"), Some(tags)).await.expect(200);
    assert_eq!((&patched["tags"], &patched["properties"]["status"]), (&json!({ "team": "a" }), &json!("enabled")));
}

#[tokio::test]
async fn files_and_the_store_are_one_list_and_the_file_wins() {
    let desk = desk().await;
    make(&desk, "another", json!({ "identityType": "systemassigned" })).await;
    let all = desk.get(IDENTITIES).await.expect(200);
    let names: Vec<_> = all["value"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["another", "declared-group"], "service principals are elsewhere");
    let elsewhere = "/subscriptions/x/providers/microsoft.managedidentity/userAssignedIdentities";
    assert_eq!(desk.get(elsewhere).await.expect(200), all);
    let declared = desk.get(&identity("declared-group")).await.expect(200);
    assert_eq!(declared["properties"]["matches"], json!([{ "provider": "corp", "claims": { "groups": "staff" } }]));
    let place = declared["properties"]["declaredIn"].as_str().unwrap();
    for (method, body) in [(Method::PUT, Some(json!({}))), (Method::PATCH, Some(json!({}))), (Method::DELETE, None)] {
        let (message, _) = desk.send(method, &identity("declared-group"), body).await.refused(409, "DeclaredInFile");
        assert_eq!(message, format!("identity 'declared-group' is declared at {place}; change it there"));
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_identity_is_said() {
    let desk = desk().await;
    let refused = async |name: &str, properties: Value| desk.put(&identity(name), properties).await;
    refused("a b", json!({})).await.refused(400, "InvalidResourceName");
    for (properties, told, at) in [
        (json!({ "identityType": "Robot" }), "expected \"User\"", "properties.identityType"),
        (json!({ "identityType": "ServicePrincipal" }), "seawall service-principal create", "properties.identityType"),
        (
            json!({ "matches": [{ "provider": "x", "claims": { "sub": "a" } }] }),
            "there is no identity provider 'x'",
            "properties.matches[0]",
        ),
        (
            json!({ "matches": [{ "provider": "corp", "claims": {} }] }),
            "would match everybody",
            "properties.matches[0]",
        ),
        (json!({ "matches": [{ "provider": "corp", "claims": { "sub": "" } }] }), "is empty", "properties.matches[0]"),
        (
            json!({ "matches": [{ "provider": "corp", "claims": { "/a//b": "x" } }] }),
            "an empty step",
            "properties.matches[0]",
        ),
        (
            json!({ "matches": [{ "provider": "certificate", "claims": { "sub": "x" } }] }),
            "`sub`: a certificate says",
            "properties.matches[0]",
        ),
        (json!({ "Matches": [] }), "write `matches`", "properties.Matches"),
    ] {
        let (message, target) = refused("somebody", properties).await.refused(400, "InvalidRequestContent");
        assert!(message.contains(told), "{message}");
        assert_eq!(target.as_deref(), Some(at));
    }
    make(&desk, "somebody", json!({ "identityType": "KubernetesCluster" })).await;
    refused("Somebody", json!({})).await.refused(409, "AlreadyExists");
    refused("somebody", json!({ "identityType": "User" })).await.refused(409, "AlreadyExists");
    desk.get(&identity("nobody")).await.refused(404, "ResourceNotFound");
    desk.patch(&identity("nobody"), json!({})).await.refused(404, "ResourceNotFound");
    desk.delete(&identity("nobody")).await.expect(204);
}

/// An identity that is made again under its name has none of the old one's roles, and there is nothing left of them.
#[tokio::test]
async fn with_an_identity_go_its_assignments() {
    let desk = desk().await;
    let principal = make(&desk, "build-agent", json!({})).await;
    let here = assign(&desk, REGISTRY, &principal, "AcrPush").await;
    let everywhere = assign(&desk, "/subscriptions/sub", &principal, "AcrPull").await;
    let other = make(&desk, "another", json!({})).await;
    let stays = assign(&desk, REGISTRY, &other, "AcrPull").await;
    desk.delete(&identity("build-agent")).await.expect(200);
    desk.get(&here).await.refused(404, "ResourceNotFound");
    desk.get(&everywhere).await.refused(404, "ResourceNotFound");
    desk.get(&stays).await.expect(200);
    assert_ne!(make(&desk, "build-agent", json!({})).await, principal);
    let login = desk.post("/seawall/v1/identities/build-agent/tokens", json!({ "registry": "myregistry" })).await;
    login.refused(403, "IdentityNotAllowed");
}

/// S4: the installation vouches for managed identities, and for nobody else.
#[tokio::test]
async fn a_managed_identity_logs_in_where_it_has_a_role() {
    let desk = desk().await;
    let principal = make(&desk, "build-agent", json!({})).await;
    let ask = async |name: &str, registry: &str| {
        desk.post(&format!("/seawall/v1/identities/{name}/tokens"), json!({ "registry": registry })).await
    };
    let (message, _) = ask("build-agent", "myregistry").await.refused(403, "IdentityNotAllowed");
    assert!(message.contains("no role on this registry"), "{message}");
    let assignment = assign(&desk, REGISTRY, &principal, "AcrPull").await;
    let issued = ask("build-agent", "MyRegistry").await.expect(200);
    assert_eq!(issued["loginServer"], "registry.example.com");
    assert_eq!(issued["username"], "00000000-0000-0000-0000-000000000000");
    assert_eq!(issued["expiresOn"], "2027-01-15T11:15:00.000000+00:00");
    let token = issued["refreshToken"].as_str().unwrap();
    assert_eq!(token.split('.').count(), 3);
    ask("build-agent", "other1").await.refused(403, "IdentityNotAllowed");
    ask("build-agent", "nowhere").await.refused(400, "InvalidRequestContent");
    ask("nobody", "myregistry").await.refused(404, "ResourceNotFound");
    ask("declared-group", "myregistry").await.refused(409, "NotAManagedIdentity");
    desk.patch(&identity("build-agent"), json!({ "status": "disabled" })).await.expect(200);
    ask("build-agent", "myregistry").await.refused(403, "IdentityNotAllowed");
    desk.patch(&identity("build-agent"), json!({ "status": "enabled" })).await.expect(200);
    ask("build-agent", "myregistry").await.expect(200);
    desk.delete(&assignment).await.expect(200);
    ask("build-agent", "myregistry").await.refused(403, "IdentityNotAllowed");
    let records = desk.records();
    let issuing = |record: &&Value| record["operation"] == "identities/tokens/action";
    assert_eq!(records.iter().filter(issuing).count(), 9, "each attempt is on record");
    let first = records.iter().filter(issuing).find(|record| record["status"] == 200).unwrap();
    assert_eq!(first["changes"], json!(["identities/build-agent", "registries/myregistry"]));
    assert!(!Value::from(records.clone()).to_string().contains(token));
}
