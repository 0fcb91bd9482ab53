//! S1-39: an owner of a registry, whom only a provider vouches for, assigns a role there, and takes it away.

use serde_json::{Value, json};

use super::world::{BASE, OWN, World};
use crate::harness::http::{self, Response};
use crate::harness::operator::{run, seawall};

const ROLES: &str = "/subscriptions/any/providers/Microsoft.Authorization/roleDefinitions";
const PULL: &str = "7f951dda-4ed3-4680-a7ca-43fe172d538d";
const ID: &str = "6d1f1a9e-3a54-4b8e-9f0a-0c5f6a7b8c9d";

fn send(world: &World, bearer: &str, method: &str, path: &str, body: &Value) -> Response {
    let authorization = format!("Bearer {bearer}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    http::request(world.seawall.place().management(), method, path, &headers, &body).unwrap()
}

fn assignment(registry: &str) -> String {
    format!(
        "/subscriptions/any/resourceGroups/any/providers/Microsoft.ContainerRegistry/registries/{registry}/providers/\
         Microsoft.Authorization/roleAssignments/{ID}"
    )
}

#[test]
fn an_owner_by_a_providers_token_assigns_a_role_on_his_registry_and_takes_it_away() {
    let world = World::start();
    world.assign(["", "{ identity: build-agent, role: Owner }"]);
    let owner = world.provider.token("ci-bot");
    // Another identity of the same provider, made by whoever owns everything.
    let described = "provider=corp,client_id=stranger";
    let made =
        run(&world.seawall, &["identity", "create", "-n", "newcomer", "--type", "User", "--match", described]).ok();
    let principal = made.json()["principalId"].as_str().unwrap().to_owned();
    let refresh = |host: &str| {
        let token = world.provider.token("stranger");
        world.exchange(host, &token)
    };
    refresh(OWN).expect(401);

    let role = json!({ "properties": { "roleDefinitionId": format!("{ROLES}/{PULL}"), "principalId": principal } });
    send(&world, &owner, "PUT", &assignment("mybaseregistry"), &role).expect(403);
    let created = send(&world, &owner, "PUT", &assignment("myregistry"), &role).expect(201).json();
    let by = created["properties"]["createdBy"].as_str().unwrap();
    assert!(by.starts_with("identity build-agent (corp: "), "{by}");
    let refresh_token = refresh(OWN).expect(200).json()["refresh_token"].as_str().unwrap().to_owned();
    refresh(BASE).expect(401);
    let answer = world.access_token(OWN, &refresh_token, "repository:app:pull").expect(200).json();
    let access = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let pull = || world.ask(OWN, "GET", "/v2/app/manifests/none", &access, b"").status;
    assert_eq!(pull(), 404, "it may look, and there is nothing");
    send(&world, &world.provider.token("stranger"), "DELETE", &assignment("myregistry"), &Value::Null).expect(403);

    send(&world, &owner, "DELETE", &assignment("myregistry"), &Value::Null).expect(200);
    assert_eq!(pull(), 401, "the next request is refused");
    world.access_token(OWN, &refresh_token, "repository:app:pull").expect(401);
    let listed = seawall(&world.seawall, "role assignment list --all --assignee newcomer --query length(@)").ok();
    assert_eq!(listed.text(), "0");
}

/// S4: the server vouches for a managed identity; what it obtained ends with the identity.
#[test]
fn a_managed_identity_pulls_until_it_is_deleted() {
    let world = World::start();
    let made = seawall(&world.seawall, "identity create --name myACRTasksId").ok().json();
    let principal = made["principalId"].as_str().unwrap();
    let assign = format!("role assignment create --assignee {principal} --registry mybaseregistry --role acrpull");
    let first = seawall(&world.seawall, &assign).ok().json();
    assert_eq!(seawall(&world.seawall, &assign).ok().json()["id"], first["id"], "once more changes nothing");
    let owner = std::fs::read_to_string(world.seawall.place().credential_file()).unwrap();
    let ask = |registry: &str| {
        let body = json!({ "registry": registry });
        send(&world, owner.trim(), "POST", "/seawall/v1/identities/myACRTasksId/tokens", &body)
    };
    ask("myregistry").expect(403);
    let issued = ask("mybaseregistry").expect(200).json();
    assert_eq!(issued["loginServer"], BASE);
    let refresh_token = issued["refreshToken"].as_str().unwrap();
    let answer = world.access_token(BASE, refresh_token, "repository:app:pull,push").expect(200).json();
    let access = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let status = |method: &str, target: &str| world.ask(BASE, method, target, &access, b"").status;
    assert_eq!(status("GET", "/v2/app/manifests/none"), 404);
    assert_eq!(status("POST", "/v2/app/blobs/uploads/"), 401, "it may only pull");
    world.access_token(OWN, refresh_token, "repository:app:pull").expect(401);
    seawall(&world.seawall, "identity delete --name myACRTasksId").ok();
    assert_eq!(status("GET", "/v2/app/manifests/none"), 401);
    seawall(&world.seawall, "identity create --name myACRTasksId").ok();
    world.access_token(BASE, refresh_token, "repository:app:pull").expect(401);
    ask("mybaseregistry").expect(403);
}
