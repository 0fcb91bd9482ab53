//! Every `az acr token|scope-map|credential|update|network-rule` command of ACR's documentation, with `seawall` in place of `az acr`.

use serde_json::json;

use crate::arm::{generated, id, password, registry, registry_with, scope_map, token};
use crate::harness::{Reply, Transcript};

const READ_WRITE: [&str; 2] =
    ["repositories/samples/hello-world/content/write", "repositories/samples/hello-world/content/read"];

/// S3-26…33: the scope map is made on the way, and both passwords are shown once.
#[test]
fn a_token_is_created_with_its_own_scope_map() {
    let mut told = Transcript::new();
    let server = &told.server;
    server.on(
        "PUT",
        &id("/scopeMaps/MyToken-scope-map"),
        Reply::json(201, scope_map("MyToken-scope-map", "", &READ_WRITE)),
    );
    server.on("PUT", &id("/tokens/MyToken"), Reply::json(201, token("MyToken", "MyToken-scope-map", &[])));
    let passwords = generated("MyToken", &[("password1", "value1"), ("password2", "value2")]);
    server.on("POST", &id("/generateCredentials"), Reply::json(200, passwords));
    server.on("GET", &id(""), Reply::json(200, registry()));
    told.run("token create --name MyToken --registry myregistry --repository samples/hello-world content/write content/read --output json");
    told.check("token-create");
}

/// S3-34…36.
#[test]
fn a_scope_map_is_created_and_then_a_token_that_has_it() {
    let mut told = Transcript::new();
    let server = &told.server;
    let map = scope_map("MyScopeMap", "Sample scope map", &READ_WRITE);
    server.on("PUT", &id("/scopeMaps/MyScopeMap"), Reply::json(201, map));
    server.on("PUT", &id("/tokens/MyToken"), Reply::json(201, token("MyToken", "MyScopeMap", &[])));
    let passwords = generated("MyToken", &[("password1", "value1"), ("password2", "value2")]);
    server.on("POST", &id("/generateCredentials"), Reply::json(200, passwords));
    server.on("GET", &id(""), Reply::json(200, registry()));
    told.run("scope-map create --name MyScopeMap --registry myregistry --repository samples/hello-world content/write content/read --description 'Sample scope map'");
    told.run("token create --name MyToken --registry myregistry --scope-map MyScopeMap");
    told.check("scope-map-create");
}

/// S3-40, S3-41, S3-49.
#[test]
fn wildcards_are_sent_as_they_are() {
    let mut told = Transcript::new();
    let server = &told.server;
    for name in ["MyScopeMapWildcard", "MyTokenWildcard-scope-map"] {
        let path = id(&format!("/scopeMaps/{name}"));
        server.on("PUT", &path, Reply::json(201, scope_map(name, "", &["repositories/samples/*/content/read"])));
    }
    server.on(
        "PUT",
        &id("/tokens/MyTokenWildcard"),
        Reply::json(201, token("MyTokenWildcard", "MyScopeMapWildcard", &[])),
    );
    let passwords = generated("MyTokenWildcard", &[("password1", "value1"), ("password2", "value2")]);
    server.on("POST", &id("/generateCredentials"), Reply::json(200, passwords));
    server.on("GET", &id(""), Reply::json(200, registry()));
    told.run("scope-map create --name MyScopeMapWildcard --registry myregistry --repository 'samples/*' content/write content/read --description 'Sample scope map with wildcards' -o none");
    told.run("token create --name MyTokenWildcard --registry myregistry --scope-map MyScopeMapWildcard -o none");
    told.run("token create --name MyTokenWildcard --registry myregistry --repository 'samples/*' content/write content/read -o none");
    told.run(
        "token create --name MyTokenWildcard --registry myregistry --repository '*' content/write content/read -o none",
    );
    told.check("wildcards");
}

/// S3-72, S3-78, S3-80: one call adds and removes, per action.
#[test]
fn a_scope_map_is_updated_action_by_action() {
    let mut told = Transcript::new();
    let server = &told.server;
    let map = scope_map("MyScopeMap", "Sample scope map", &READ_WRITE);
    server.on("GET", &id("/scopeMaps/MyScopeMap"), Reply::json(200, map.clone()).etag("\"7\""));
    server.on("PATCH", &id("/scopeMaps/MyScopeMap"), Reply::json(200, map));
    told.run("scope-map update --name MyScopeMap --registry myregistry --add-repository samples/nginx content/write content/read --remove-repository samples/hello-world content/write");
    told.run("scope-map update --name MyScopeMap --registry myregistry --add-repository samples/nginx content/delete -o none");
    told.run("scope-map update --name MyScopeMap --registry myregistry --add-repository samples/hello-world metadata/read -o none");
    told.check("scope-map-update");
}

/// S3-83, S3-84, S3-86, S3-87.
#[test]
fn scope_maps_and_tokens_are_listed_and_shown() {
    let mut told = Transcript::new();
    let server = &told.server;
    let maps = [
        scope_map("_repositories_admin", "Can perform all read, write and delete operations on the registry", &[]),
        scope_map("_repositories_pull", "Can pull any repository of the registry", &[]),
        scope_map("_repositories_push", "Can push to any repository of the registry", &[]),
        scope_map("MyScopeMap", "Sample scope map", &READ_WRITE),
    ];
    server.on("GET", &id("/scopeMaps"), Reply::json(200, json!({ "value": maps })));
    server.on("GET", &id("/scopeMaps/MyScopeMap"), Reply::json(200, maps[3].clone()));
    let mut disabled = token("Disabled", "_repositories_pull", &[]);
    disabled["properties"]["status"] = "disabled".into();
    let passwords = [password("password1", Some("2026-11-21T00:00:00.000000+00:00")), password("password2", None)];
    let tokens = [token("MyToken", "MyScopeMap", &passwords), disabled];
    server.on("GET", &id("/tokens"), Reply::json(200, json!({ "value": tokens })));
    server.on("GET", &id("/tokens/MyToken"), Reply::json(200, tokens[0].clone()));
    told.run("scope-map list --registry myregistry --output table");
    told.run("scope-map show --name MyScopeMap --registry myregistry");
    told.run("token list --registry myregistry --output table");
    told.run("token show --name MyToken --registry myregistry");
    told.check("lists");
}

/// S3-88, S3-89.
#[test]
fn one_password_is_generated_and_goes_into_a_variable() {
    let mut told = Transcript::new();
    let passwords = generated("MyToken", &[("password1", "value1")]);
    told.server.on("POST", &id("/generateCredentials"), Reply::json(200, passwords));
    let run = told.run("token credential generate --name MyToken --registry myregistry --expiration-in-days 30 --password1 --query 'passwords[0].value' --output tsv");
    assert_eq!(run.out, "value1\n");
    told.run("token credential generate --name MyToken --registry myregistry");
    told.check("credential-generate");
}

/// S3-90, S3-92, S3-93, S3-95.
#[test]
fn a_token_gets_another_scope_map_is_disabled_and_deleted() {
    let mut told = Transcript::new();
    let server = &told.server;
    server.on("PATCH", &id("/tokens/MyToken"), Reply::json(200, token("MyToken", "MyNewScopeMap", &[])));
    server.on("DELETE", &id("/tokens/MyToken"), Reply::empty(200));
    told.run("token update --name MyToken --registry myregistry --scope-map MyNewScopeMap");
    told.run("token update --name MyToken --registry myregistry --status disabled -o none");
    told.run("token delete --name MyToken --registry myregistry");
    told.run("token delete --name MyToken --registry myregistry --yes");
    told.check("token-update-and-delete");
}

/// S1-55, S2-38: `update`, and the admin account's passwords.
#[test]
fn a_registry_is_updated() {
    let mut told = Transcript::new();
    let server = &told.server;
    server.on("PATCH", &id(""), Reply::json(200, registry_with("adminUserEnabled", json!(true))));
    told.run("update -n myregistry --admin-enabled true");
    told.run("update --name myregistry --allow-trusted-services true -o none");
    told.run("update --name myregistry --allow-trusted-services false -o none");
    told.run("update --name myregistry --default-action Deny -o none");
    told.run("update --name myregistry --public-network-enabled false -o none");
    told.run("update --name myregistry --public-network-enabled true -o none");
    told.run("update --name myregistry --endpoint-protocol IPv4 -o none");
    told.run("update --name myregistry --allow-exports false --public-network-enabled false -o none");
    told.check("update");
}
