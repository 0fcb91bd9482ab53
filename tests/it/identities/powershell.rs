//! The requests that `Connect-AzContainerRegistry` and `Update-AzContainerRegistry` make, in their order (S1-33, S1-34, S1-56).
//!
//! PowerShell itself is not among the tests' parts: the requests are those of its published source, and Docker's part is Docker.

use serde_json::json;

use super::world::{OWN, World};
use crate::harness::client::Client;
use crate::harness::daemons::Docker;
use crate::harness::http::request_to;
use crate::harness::image::Layout;
use crate::harness::manager::Manager;
use crate::harness::provider::{AUDIENCE, NULL_GUID, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::session::Account;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// The exchange comes with a Bearer header without a token: the client has none yet, and says so. Then the refresh token goes
/// to `docker login` as the null GUID's password, by standard input.
#[test]
fn connect_with_the_signed_in_identity() {
    let (provider, upstream, place) = (Provider::start(), Registry::start(Distribution::V2), Place::new());
    let host = place.login_server();
    let document = place.document(&format!(
        "identityProviders:\n  corp: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"] }}\n\
         identities:\n  jane: {{ type: User, matches: [ {{ provider: corp, claims: {{ sub: ci-bot }} }} ] }}\n\
         registries:\n  myregistry: {{ loginServer: \"{host}\", upstream: {{ url: \"{}\" }}, roleAssignments: [ {{ identity: jane, \
         role: AcrPush }} ] }}\n",
        provider.issuer(),
        upstream.url(),
    ));
    let seawall = place.start(&document);
    let form = format!("grant_type=access_token&service={host}&access_token={}", provider.token("ci-bot"));
    let headers =
        [FORM, ("Authorization", "Bearer"), ("User-Agent", "AzurePowershell/v13.0.0 Az.ContainerRegistry/4.3.0")];
    let answer = request_to(seawall.address(), &host, "POST", "/oauth2/exchange", &headers, form.as_bytes()).unwrap();
    let refresh_token = answer.expect(200).json()["refresh_token"].as_str().unwrap().to_owned();

    let mut docker = Docker::new();
    docker.log_in(&host, &Account::new(NULL_GUID, &refresh_token)).expect_success();
    let (layout, reference) = (Layout::image("by PowerShell"), format!("{host}/samples/powershell:v1"));
    docker.load(&layout, &reference);
    docker.push(&layout, &reference).expect_success();
    docker.forget(&reference);
    docker.pull(&reference).expect_success();

    // S1-21, S1-34: what the data commands of the module do next, and again when it is used up.
    let token = |scope: &str| {
        let form = format!("grant_type=refresh_token&service={host}&scope={scope}&refresh_token={refresh_token}");
        let headers = [FORM, ("Authorization", "Bearer")];
        request_to(seawall.address(), &host, "POST", "/oauth2/token", &headers, form.as_bytes()).unwrap()
    };
    let catalog = token("registry:catalog:*").expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {catalog}");
    let listed = request_to(seawall.address(), &host, "GET", "/v2/_catalog", &[("Authorization", &bearer)], b"");
    assert_eq!(listed.unwrap().expect(200).json(), json!({"repositories": ["samples/powershell"]}));
    token("repository:samples/powershell:metadata_read").expect(200);
}

/// With `-UserName` and `-Password` it is `docker login` and nothing else.
#[test]
fn connect_with_a_user_name() {
    let world = World::start();
    let target = format!("/oauth2/token?service={OWN}&scope=repository:a/b:pull");
    let account = Account::new(super::world::CLIENT_ID, super::world::CLIENT_SECRET);
    world.ask(OWN, "GET", &target, &account.basic(), b"").expect(200);
}

/// S1-56: `Update-AzContainerRegistry -EnableAdminUser`, in the words of both generations of the module.
#[test]
fn update_enables_the_admin_account() {
    let (upstream, place) = (Registry::start(Distribution::V2), Place::new());
    let document = place.document(&format!(
        "registries: {{ myregistry: {{ loginServer: \"{}\", upstream: {{ url: \"{}\" }} }} }}\n",
        place.login_server(),
        upstream.url(),
    ));
    let seawall = place.start(&document);
    let manager = Manager::of(&seawall);
    let path = "/subscriptions/6f9619ff-8b86-d011-b42d-00c04fc964ff/resourceGroups/myResourceGroup/providers/Microsoft.ContainerRegistry/registries/myregistry";
    for (version, body) in [
        ("2023-01-01-preview", json!({"properties": {"adminUserEnabled": true}})),
        ("2019-05-01", json!({"properties": {"adminUserEnabled": false}})),
        ("2019-05-01", json!({"tags": {}, "properties": {"adminUserEnabled": true}})),
    ] {
        let target = format!("{path}?api-version={version}");
        let answer = manager.send("PATCH", &target, &body).unwrap().expect(200).json();
        assert_eq!(answer["properties"]["adminUserEnabled"], body["properties"]["adminUserEnabled"]);
        assert_eq!(answer["properties"]["provisioningState"], "Succeeded");
    }
    let listed = manager.send("POST", &format!("{path}/listCredentials?api-version=2023-01-01-preview"), &json!(null));
    let password = listed.unwrap().expect(200).json()["passwords"][0]["value"].as_str().unwrap().to_owned();
    let login_server = seawall.place().login_server();
    Docker::new().log_in(&login_server, &Account::new("myregistry", &password)).expect_success();
}
