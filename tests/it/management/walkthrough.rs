//! ACR's page on repository-scoped tokens from `token create` to `token delete`, with a real Docker and the commands only
//! (S3-29 to S3-97 without the steps that read or delete repositories). Nothing is edited, nothing is restarted.

use serde_json::{Value, json};

use super::support::bare;
use crate::harness::client::Client;
use crate::harness::daemons::Docker;
use crate::harness::image::Layout;
use crate::harness::operator::{run, seawall};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::session::Account;

/// The value of a password that a command has just made.
pub(super) fn password(token: &Value, name: &str) -> String {
    let passwords = token.pointer("/credentials/passwords").or_else(|| token.get("passwords")).unwrap();
    let found = passwords.as_array().unwrap().iter().find(|password| password["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {token}"))["value"].as_str().unwrap().to_owned()
}

#[test]
fn from_token_create_to_token_delete_with_docker_and_the_commands_only() {
    let upstream = Registry::start(Distribution::V2);
    let server = bare(&upstream);
    let mut docker = Docker::new();
    let login_server = server.place().login_server();
    let hello = format!("{login_server}/samples/hello-world:v1");
    let nginx = format!("{login_server}/samples/nginx:v1");
    let layout = Layout::image("hello");
    docker.load(&layout, &hello);
    docker.docker(&["tag", &hello, &nginx]).expect_success();

    // S3-26 to S3-33: two passwords without expiry, a scope map of its own.
    let create = "token create --name MyToken --registry myregistry --repository samples/hello-world content/write \
                  content/read --output json";
    let created = seawall(&server, create).ok();
    assert!(created.stderr.contains("Please store your generated credentials safely."), "{created}");
    let token = created.json();
    assert_eq!(token["status"], "enabled");
    assert_eq!(token["provisioningState"], "Succeeded");
    assert_eq!(token["credentials"]["username"], "MyToken");
    assert_eq!(token["credentials"]["certificates"], json!([]));
    assert_eq!(token["objectId"], Value::Null);
    assert_eq!(token["type"], "Microsoft.ContainerRegistry/registries/tokens");
    assert!(token["scopeMapId"].as_str().unwrap().ends_with("/scopeMaps/MyToken-scope-map"), "{token}");
    for name in ["password1", "password2"] {
        assert!(password(&token, name).len() >= 32);
    }
    // S3-31: never again.
    let shown = seawall(&server, "token show --name MyToken --registry myregistry").ok();
    assert!(!shown.stdout.contains(&password(&token, "password1")), "{shown}");

    // S3-67 to S3-70.
    docker.log_in(&login_server, &Account::new("MyToken", &password(&token, "password1"))).expect_success();
    docker.push(&layout, &hello).expect_success();
    docker.push(&layout, &nginx).expect_failure("requested access to the resource is denied");

    // S3-35, S3-36 (E-11): a scope map first; creating the token again gives it that one, and new passwords.
    let create = "scope-map create --name MyScopeMap --registry myregistry --repository samples/hello-world content/write \
                  content/read --description";
    run(&server, &create.split_whitespace().chain(["Sample scope map"]).collect::<Vec<_>>()).ok();
    let token =
        seawall(&server, "token create --name MyToken --registry myregistry --scope-map MyScopeMap").ok().json();
    assert!(token["scopeMapId"].as_str().unwrap().ends_with("/scopeMaps/MyScopeMap"), "{token}");
    docker.push(&layout, &hello).expect_failure("unauthorized");
    docker.log_in(&login_server, &Account::new("MyToken", &password(&token, "password2"))).expect_success();

    // S3-71, S3-72, S3-74 to S3-76: one update adds and removes, and is in force at once.
    seawall(
        &server,
        "scope-map update --name MyScopeMap --registry myregistry --add-repository samples/nginx content/write \
         content/read --remove-repository samples/hello-world content/write",
    )
    .ok();
    docker.push(&layout, &nginx).expect_success();
    docker.push(&layout, &hello).expect_failure("requested access to the resource is denied");
    docker.forget(&hello);
    docker.pull(&hello).expect_success();
    docker.pull(&nginx).expect_success();

    // S3-78, S3-80: adding to what is there replaces nothing.
    seawall(&server, "scope-map update -n MyScopeMap -r myregistry --add-repository samples/nginx content/delete").ok();
    let map = seawall(
        &server,
        "scope-map update -n MyScopeMap -r myregistry --add-repository samples/hello-world metadata/read",
    );
    let mut actions: Vec<String> = serde_json::from_value(map.ok().json()["actions"].clone()).unwrap();
    actions.sort_unstable();
    let expected = [
        "repositories/samples/hello-world/content/read",
        "repositories/samples/hello-world/metadata/read",
        "repositories/samples/nginx/content/delete",
        "repositories/samples/nginx/content/read",
        "repositories/samples/nginx/content/write",
    ];
    assert_eq!(actions, expected);

    // S3-83 to S3-87.
    let maps = seawall(&server, "scope-map list --registry myregistry --output table").ok();
    let mut lines = maps.stdout.lines();
    let columns = lines.next().unwrap().split("  ").map(str::trim).filter(|one| !one.is_empty());
    assert_eq!(columns.collect::<Vec<_>>(), ["NAME", "TYPE", "CREATION DATE", "DESCRIPTION"], "{maps}");
    let of = |name: &str| maps.stdout.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
    assert!(
        of("_repositories_admin").ends_with("Can perform all read, write and delete operations on the ..."),
        "{maps}"
    );
    assert!(of("_repositories_pull").contains("SystemDefined"), "{maps}");
    assert!(of("_repositories_push").ends_with("Can push to any repository of the registry"), "{maps}");
    assert!(of("MyScopeMap").contains("UserDefined"), "{maps}");
    seawall(&server, "scope-map show --name MyScopeMap --registry myregistry").ok();
    let tokens = seawall(&server, "token list --registry myregistry --output table").ok();
    assert!(tokens.stdout.contains("PASSWORD1 EXPIRY") && tokens.stdout.contains("Never"), "{tokens}");

    // S3-88, S3-89, D1: a new password1 for thirty days; the old one ends with the command, password2 goes on.
    let generated = seawall(
        &server,
        "token credential generate --name MyToken --registry myregistry --expiration-in-days 30 --password1 \
         --query passwords[0].value --output tsv",
    )
    .ok();
    docker
        .log_in(&login_server, &Account::new("MyToken", &password(&token, "password1")))
        .expect_failure("unauthorized");
    docker.log_in(&login_server, &Account::new("MyToken", &password(&token, "password2"))).expect_success();
    docker.log_in(&login_server, &Account::new("MyToken", generated.text())).expect_success();

    // S3-90, S3-92: another scope map, with a tip.
    seawall(&server, "scope-map create --name MyNewScopeMap --registry myregistry --repository samples/* content/read")
        .ok();
    let updated = seawall(&server, "token update --name MyToken --registry myregistry --scope-map MyNewScopeMap").ok();
    assert!(updated.stderr.contains("seawall token credential generate"), "{updated}");
    docker.push(&layout, &nginx).expect_failure("requested access to the resource is denied");
    docker.pull(&nginx).expect_success();

    // S3-93: disabled, and enabled again.
    seawall(&server, "token update --name MyToken --registry myregistry --status disabled").ok();
    docker.pull(&nginx).expect_failure("unauthorized");
    seawall(&server, "token update --name MyToken --registry myregistry --status enabled").ok();
    docker.pull(&nginx).expect_success();

    // S3-95: for good.
    seawall(&server, "token delete --name MyToken --registry myregistry").refused("--yes");
    seawall(&server, "token delete --name MyToken --registry myregistry --yes").ok();
    docker.pull(&nginx).expect_failure("unauthorized");
    assert_eq!(seawall(&server, "token show --name MyToken --registry myregistry").code, Some(3));
}

/// S3-40, S3-41, S3-44 to S3-51: wildcards, and the words for those that are none.
#[test]
fn wildcards_of_scope_maps() {
    let upstream = Registry::start(Distribution::V2);
    let server = bare(&upstream);
    let create = |name: &str, repository: &str| {
        let words = format!("token create --name {name} --registry myregistry --repository {repository}");
        seawall(&server, &format!("{words} content/write content/read"))
    };
    create("MyTokenWildcard", "samples/*").ok();
    create("MyTokenRoot", "*").ok();
    for bad in ["sample/*/teamA", "sample/teamA*", "sample/teamA/*/projectB/*"] {
        create("MyTokenBad", bad).refused("wildcard");
    }
    assert_eq!(seawall(&server, "token show -n MyTokenBad -r myregistry").code, Some(3), "nothing is left of it");
}

/// S1-42 to S1-55: the admin account, off until it is asked for, with two passwords of which one can be renewed.
#[test]
fn the_admin_account_by_commands() {
    let upstream = Registry::start(Distribution::V2);
    let server = bare(&upstream);
    let login_server = server.place().login_server();
    let mut docker = Docker::new();

    seawall(&server, "credential show -n myregistry").refused("seawall update -n myregistry --admin-enabled true");
    seawall(&server, "update -n myregistry --admin-enabled true").ok();
    let shown = seawall(&server, "credential show -n myregistry").ok().json();
    assert_eq!(shown["username"], "myregistry");
    let (first, second) = (password(&shown, "password"), password(&shown, "password2"));
    for password in [&first, &second] {
        docker.log_in(&login_server, &Account::new("myregistry", password)).expect_success();
    }
    // S1-48: whichever password it is, and whoever used it.
    let admin = |record: &&Value| record["principal"]["kind"] == "admin";
    let records = server.audit();
    let principals: Vec<&Value> = records.iter().filter(admin).map(|record| &record["principal"]).collect();
    assert!(principals.len() >= 2 && principals.iter().all(|one| *one == principals[0]), "{principals:?}");
    let renewed = seawall(&server, "credential renew -n myregistry --password-name password").ok().json();
    assert_ne!(password(&renewed, "password"), first);
    assert_eq!(password(&renewed, "password2"), second, "S1-52: the other one stays");
    docker.log_in(&login_server, &Account::new("myregistry", &first)).expect_failure("unauthorized");
    docker.log_in(&login_server, &Account::new("myregistry", &second)).expect_success();
    // S1-49: off is off for whoever is logged in.
    let layout = Layout::image("admin");
    let reference = format!("{login_server}/any/thing:v1");
    docker.load(&layout, &reference);
    docker.push(&layout, &reference).expect_success();
    seawall(&server, "update -n myregistry --admin-enabled false").ok();
    docker.push(&layout, &reference).expect_failure("unauthorized");
}

/// S2-9, B.3-5, D2: network rules by commands, in force on the next request.
#[test]
fn network_rules_by_commands() {
    let upstream = Registry::start(Distribution::V2);
    let server = bare(&upstream);
    let status = || crate::harness::http::get(server.address(), "/v2/").unwrap().status;
    assert_eq!(status(), 401);
    seawall(&server, "update --name myregistry --default-action Deny").ok();
    assert_eq!(status(), 403);
    seawall(&server, "network-rule add --name myregistry --ip-address 127.0.0.0/8").ok();
    assert_eq!(status(), 401);
    let list = seawall(&server, "network-rule list --name myregistry").ok().json();
    assert_eq!(list["ipRules"][0]["ipAddressOrRange"], "127.0.0.0/8", "{list}");
    seawall(&server, "network-rule remove --name myregistry --ip-address 127.0.0.0/8").ok();
    assert_eq!(status(), 403);
    seawall(&server, "update --name myregistry --default-action Allow").ok();
    assert_eq!(status(), 401);
    seawall(&server, "update --name myregistry --public-network-enabled false").ok();
    assert_eq!(status(), 403);
    let shown = seawall(&server, "show --name myregistry").ok().json();
    assert_eq!(shown["publicNetworkAccess"], "Disabled");
    assert_eq!(shown["networkRuleSet"]["defaultAction"], "Deny", "B.3-9");
}
