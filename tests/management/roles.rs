use reqwest::Method;
use serde_json::{Value, json};

use super::desk::{Desk, NOW_TEXT, REGISTRY, scope_map};
use super::identities::{assign, assignments, desk, identity, make, role_id};

const ALL: &str = "/subscriptions/sub";
const OTHER: &str = "/subscriptions/sub/resourceGroups/group/providers/Microsoft.ContainerRegistry/registries/other1";
const ID: &str = "6d1f1a9e-3a54-4b8e-9f0a-0c5f6a7b8c9d";

fn one(scope: &str) -> String {
    format!("{}/{ID}", assignments(scope))
}

async fn listed(desk: &Desk, scope: &str, filter: &str) -> Vec<String> {
    let all = desk.get(&format!("{}?$filter={filter}", assignments(scope))).await.expect(200);
    let shown = |one: &Value| {
        let text = |name: &str| one["properties"][name].as_str().unwrap_or("-").to_owned();
        let scope = text("scope");
        let scope = scope.rsplit('/').next().unwrap().to_owned();
        let what = text("roleDefinitionName");
        format!("{} {what} {scope}", text("principalName"))
    };
    let mut shown: Vec<_> = all["value"].as_array().unwrap().iter().map(shown).collect();
    shown.sort();
    shown
}

/// S4-16: in ARM's shape, with ACR's ids.
#[tokio::test]
async fn an_assignment_is_in_arms_shape() {
    let desk = desk().await;
    let principal = make(&desk, "build-agent", json!({})).await;
    let sent = json!({
        "roleDefinitionId": role_id("AcrPull").to_uppercase(), "principalId": principal.to_uppercase(),
        "principalType": "ServicePrincipal", "description": "base images", "condition": null,
    });
    let made = desk.put(&one(REGISTRY), sent.clone()).await.expect(201);
    assert_eq!(
        made,
        json!({
            "id": one(REGISTRY),
            "name": ID,
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {
                "roleDefinitionId": role_id("AcrPull"),
                "principalId": principal,
                "principalType": "ServicePrincipal",
                "scope": REGISTRY,
                "description": "base images",
                "createdOn": NOW_TEXT,
                "createdBy": "owner",
                "condition": null,
                "principalName": "build-agent",
                "roleDefinitionName": "AcrPull",
            },
        })
    );
    assert_eq!(desk.get(&one(REGISTRY)).await.expect(200), made);
    assert_eq!(desk.put(&one(REGISTRY).to_uppercase(), sent.clone()).await.expect(200), made);
    desk.get(&one(OTHER)).await.refused(404, "ResourceNotFound");
    desk.get(&one(ALL)).await.refused(404, "ResourceNotFound");
    let again = format!("{}/7d1f1a9e-3a54-4b8e-9f0a-0c5f6a7b8c9d", assignments(REGISTRY));
    let (message, _) = desk.put(&again, sent.clone()).await.refused(409, "RoleAssignmentExists");
    assert!(message.contains(ID), "{message}");
    let push = json!({ "roleDefinitionId": role_id("AcrPush"), "principalId": principal });
    desk.put(&one(REGISTRY), push).await.refused(409, "RoleAssignmentUpdateNotPermitted");
    let confined = json!({
        "roleDefinitionId": role_id("AcrPull"), "principalId": principal, "repositories": ["base/*", "base/*", "a"],
    });
    let changed = desk.put(&one(REGISTRY), confined).await.expect(200);
    assert_eq!(changed["properties"]["repositories"], json!(["base/*", "a"]));
    assert_eq!(changed["properties"]["description"], Value::Null);
    desk.delete(&one(REGISTRY)).await.expect(200);
    desk.delete(&one(REGISTRY)).await.expect(204);
    let records = desk.records();
    let rows = records.iter().map(|one| (one["operation"].as_str().unwrap(), one["status"].as_u64().unwrap()));
    let rows: Vec<_> = rows.filter(|(operation, _)| operation.starts_with("roleAssignments")).collect();
    let write = |status| ("roleAssignments/write", status);
    let delete = |status| ("roleAssignments/delete", status);
    assert_eq!(rows, [write(201), write(200), write(409), write(409), write(200), delete(200), delete(204)]);
    let what = format!("role AcrPull of principal {principal}");
    let told = |record: &&Value| record["changes"].as_array().is_some_and(|all| all.contains(&json!(what)));
    let told: Vec<_> = records.iter().filter(told).map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(told, [201, 200, 200], "made, confined, deleted");
}

/// Threat class K: clients of ARM do not know `repositories`, and send back what they know.
#[tokio::test]
async fn a_replacement_does_not_lift_a_condition_that_it_does_not_name() {
    let desk = desk().await;
    let principal = make(&desk, "build-agent", json!({})).await;
    let plain = json!({ "roleDefinitionId": role_id("AcrPull"), "principalId": principal });
    let with = |name: &str, value: Value| {
        let mut sent = plain.clone();
        sent[name] = value;
        sent
    };
    desk.put(&one(REGISTRY), with("repositories", json!(["base/*"]))).await.expect(201);
    for sent in [plain.clone(), with("description", json!("base images")), with("repositories", Value::Null)] {
        let changed = desk.put(&one(REGISTRY), sent).await.expect(200);
        assert_eq!(changed["properties"]["repositories"], json!(["base/*"]));
    }
    let everywhere = assign(&desk, REGISTRY, &principal, "AcrPull").await;
    desk.put(&one(REGISTRY), with("description", json!("still only these"))).await.expect(200);
    desk.put(&everywhere, with("repositories", json!(["base/*"]))).await.refused(409, "RoleAssignmentExists");
    let changed = desk.put(&one(REGISTRY), with("repositories", json!(["*"]))).await.expect(200);
    assert_eq!(changed["properties"]["repositories"], json!(["*"]));
}

#[tokio::test]
async fn what_is_wrong_with_an_assignment_is_said() {
    let desk = desk().await;
    let principal = make(&desk, "build-agent", json!({})).await;
    let role = role_id("AcrPull");
    let lister =
        role_id("AcrPull").replace("7f951dda-4ed3-4680-a7ca-43fe172d538d", "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7");
    for (properties, code, told) in [
        (json!({ "principalId": principal }), "InvalidRequestContent", "exactly one of"),
        (
            json!({ "roleDefinitionId": role, "scopeMapId": "x", "principalId": principal }),
            "InvalidRequestContent",
            "exactly one of",
        ),
        (json!({ "roleDefinitionId": role }), "InvalidRequestContent", "missing field `principalId`"),
        (
            json!({ "roleDefinitionId": "AcrPull", "principalId": principal }),
            "RoleDefinitionDoesNotExist",
            "role definition list",
        ),
        (json!({ "roleDefinitionId": role, "principalId": "build-agent" }), "InvalidRequestContent", "that is a GUID"),
        (
            json!({ "roleDefinitionId": role, "principalId": ID }),
            "PrincipalNotFound",
            "does not exist in the directory",
        ),
        (
            json!({ "roleDefinitionId": role, "principalId": principal, "principalType": "User" }),
            "UnmatchedPrincipalType",
            "not a 'User'",
        ),
        (
            json!({ "roleDefinitionId": role, "principalId": principal, "condition": "@Request" }),
            "InvalidRequestContent",
            "`repositories`",
        ),
        (
            json!({ "roleDefinitionId": role, "principalId": principal, "repositories": [] }),
            "InvalidRequestContent",
            "write `*` for all",
        ),
        (
            json!({ "roleDefinitionId": role, "principalId": principal, "repositories": ["A b"] }),
            "InvalidRequestContent",
            "`A b`",
        ),
        (
            json!({ "roleDefinitionId": lister, "principalId": principal, "repositories": ["*"] }),
            "InvalidRequestContent",
            "takes no condition",
        ),
        (
            json!({ "scopeMapId": scope_map("nothing"), "principalId": principal }),
            "InvalidRequestContent",
            "there is no scope map",
        ),
    ] {
        let (message, _) = desk.put(&one(REGISTRY), properties).await.refused(400, code);
        assert!(message.contains(told), "{message}");
    }
    let map = json!({ "scopeMapId": scope_map("declared-map"), "principalId": principal });
    let (message, _) = desk.put(&one(ALL), map.clone()).await.refused(400, "InvalidRequestContent");
    assert!(message.contains("is of one registry"), "{message}");
    let other = desk.put(&one(OTHER), map.clone()).await.refused(400, "InvalidRequestContent");
    assert!(other.0.contains("of this registry"), "{}", other.0);
    let made = desk.put(&one(REGISTRY), map).await.expect(201);
    assert_eq!(made["properties"]["scopeMapId"], scope_map("declared-map"));
    assert_eq!(made["properties"]["roleDefinitionId"], Value::Null);
    let name = desk.put(&format!("{}/first", assignments(REGISTRY)), json!({})).await;
    name.refused(400, "InvalidResourceName");
    let filter = desk.get(&format!("{}?$filter=roleName eq 'x'", assignments(ALL))).await;
    filter.refused(400, "InvalidFilterInQueryString");
}

/// D34, for identities too: a map that is made anew must not give them rights that nobody gave them.
#[tokio::test]
async fn a_scope_map_that_an_identity_has_is_in_use() {
    let desk = desk().await;
    let principal = make(&desk, "build-agent", json!({})).await;
    let actions = json!({ "actions": ["repositories/a/content/read"] });
    desk.put(&scope_map("a-scope-map"), actions.clone()).await.expect(201);
    let map = json!({ "scopeMapId": scope_map("a-scope-map"), "principalId": principal });
    desk.put(&one(REGISTRY), map).await.expect(201);
    let (message, _) = desk.delete(&scope_map("a-scope-map")).await.refused(409, "ScopeMapInUse");
    assert!(message.contains("is used by 'build-agent'"), "{message}");
    desk.delete(&format!("{}?force=true", scope_map("a-scope-map"))).await.expect(200);
    desk.put(&scope_map("a-scope-map"), actions.clone()).await.refused(409, "ScopeMapInUse");
    desk.delete(&one(REGISTRY)).await.expect(200);
    desk.put(&scope_map("a-scope-map"), actions).await.expect(201);
}

#[tokio::test]
async fn lists_show_a_scope_and_what_is_above_or_below_it() {
    let desk = desk().await;
    let principal = make(&desk, "build-agent", json!({})).await;
    assign(&desk, REGISTRY, &principal, "AcrPush").await;
    assign(&desk, OTHER, &principal, "AcrPull").await;
    assign(&desk, ALL, &principal, "Reader").await;
    let declared = "declared-group AcrPull sub".to_owned();
    let [own, other, all] = ["build-agent AcrPush myregistry", "build-agent AcrPull other1", "build-agent Reader sub"];
    let sorted = |mut rows: Vec<String>| {
        rows.sort();
        rows
    };
    let rows = |rows: &[&str]| sorted(rows.iter().map(ToString::to_string).chain([declared.clone()]).collect());
    assert_eq!(listed(&desk, ALL, "").await, rows(&[own, other, all]));
    assert_eq!(listed(&desk, &format!("{ALL}/resourceGroups/any"), "atScope()").await, rows(&[all]));
    assert_eq!(listed(&desk, REGISTRY, "atScope()").await, rows(&[own, all]));
    for filter in [format!("principalId eq '{principal}'"), format!("atScope() and assignedTo('{principal}')")] {
        assert_eq!(listed(&desk, OTHER, &filter).await, sorted(vec![other.to_owned(), all.to_owned()]), "{filter}");
    }
    let shown = desk.get(&assignments(ALL)).await.expect(200);
    let shown = shown["value"].as_array().unwrap();
    let group = shown.iter().find(|one| one["properties"].get("declaredIn").is_some()).unwrap();
    let id = group["id"].as_str().unwrap();
    assert_eq!(&desk.get(id).await.expect(200), group);
    desk.delete(id).await.refused(409, "DeclaredInFile");
    let sent = json!({ "roleDefinitionId": role_id("AcrPull"), "principalId": group["properties"]["principalId"] });
    desk.put(&one(ALL), sent).await.refused(409, "RoleAssignmentExists");
}

#[tokio::test]
async fn roles_have_acrs_names_and_ids() {
    let desk = desk().await;
    let path = format!("{REGISTRY}/providers/Microsoft.Authorization/roleDefinitions");
    assert_eq!(desk.get(&path).await.expect(200)["value"].as_array().unwrap().len(), 11);
    let found = desk.get(&format!("{path}?$filter=roleName eq 'acrpull'")).await.expect(200);
    let found = &found["value"].as_array().unwrap()[..];
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["id"], &found[0]["properties"]["roleName"]), (&json!(role_id("AcrPull")), &json!("AcrPull")));
    assert_eq!(desk.get(found[0]["id"].as_str().unwrap()).await.expect(200), found[0]);
    desk.get(&format!("{path}/{ID}")).await.refused(404, "ResourceNotFound");
    desk.send(Method::PUT, &format!("{path}/{ID}"), Some(json!({}))).await.refused(405, "MethodNotAllowed");
}

/// Of a registry, beside the switch for all repositories.
#[tokio::test]
async fn anonymous_pull_is_confined_to_repositories() {
    let desk = desk().await;
    let body = desk.patch(REGISTRY, json!({ "anonymousPullRepositories": ["public/*"] })).await.expect(200);
    assert_eq!(body["properties"]["anonymousPullRepositories"], json!(["public/*"]));
    let in_force = desk.registry().properties().anonymous_pull_repositories.value.clone();
    assert_eq!(in_force.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["public/*"]);
    for wrong in [json!([]), json!(["a b"]), json!([1])] {
        desk.patch(REGISTRY, json!({ "anonymousPullRepositories": wrong })).await.refused(400, "InvalidRequestContent");
    }
    let other = desk.get(OTHER).await.expect(200);
    assert_eq!(other["properties"].get("anonymousPullRepositories"), None);
    desk.get(&identity("nobody")).await.refused(404, "ResourceNotFound");
}
