//! `seawall token`, beyond the documented commands: what is wrong, and what is better.

use std::fs;

use serde_json::json;

use crate::arm::{generated, id, password, scope_map, token};
use crate::harness::{Reply, Transcript};

/// B.2-3, to the letter. Nothing is sent.
#[test]
fn what_is_wrong_on_the_command_line_is_said_before_anything_is_sent() {
    let mut told = Transcript::new();
    let create = "token create -n MyToken -r myregistry";
    told.run(create);
    told.run(&format!("{create} --scope-map MyScopeMap --repository samples/nginx content/read"));
    told.run(&format!("{create} --repository samples/nginx"));
    told.run(&format!("{create} --repository samples/nginx content/pull"));
    told.run(&format!("{create} --gateway edge content/read"));
    told.run(&format!("{create} --scope-map MyScopeMap --no-passwords --expiration-in-days 30"));
    told.run(&format!("{create} --scope-map MyScopeMap --expiration-in-days 30 --expiration 2030-12-31T12:59:59Z"));
    told.run(&format!("{create} --scope-map MyScopeMap --expiration tomorrow"));
    told.run(&format!("{create} --scope-map MyScopeMap --expiration-in-days -1"));
    told.run("token update -n MyToken -r myregistry");
    told.run("token credential delete -n MyToken -r myregistry");
    told.run("token credential generate -n MyToken -r myregistry --password1 --password-name third");
    told.check("token-mistakes");
}

/// E-12: `--repository *` without quotes arrives as the names of the files in the folder.
#[test]
fn an_expanded_wildcard_is_recognised() {
    let mut told = Transcript::new();
    fs::write(told.folder.path().join("Cargo.toml"), "").unwrap();
    fs::write(told.folder.path().join("README.md"), "").unwrap();
    told.run("token create -n MyToken -r myregistry --repository Cargo.toml README.md content/write content/read");
    told.check("expanded-wildcard");
}

/// Several repositories, actions in any case, gateway actions.
#[test]
fn permissions_are_lower_case_on_the_wire() {
    let mut told = Transcript::new();
    let server = &told.server;
    server.on("PUT", &id("/scopeMaps/MyToken-scope-map"), Reply::json(201, scope_map("MyToken-scope-map", "", &[])));
    server.on("PUT", &id("/tokens/MyToken"), Reply::json(201, token("MyToken", "MyToken-scope-map", &[])));
    told.run("token create -n MyToken -r myregistry --repository Samples/A Content/Read METADATA/read --repository b content/write --gateway Edge message/read --no-passwords --status Disabled --additional-scope-map one two --verbose -o none");
    told.check("permissions");
}

#[test]
fn a_scope_map_of_the_same_permissions_is_taken_and_any_other_is_not_touched() {
    let mut told = Transcript::new();
    let server = &told.server;
    let actions = ["repositories/b/content/read", "repositories/a/content/read"];
    server.on(
        "GET",
        &id("/scopeMaps/MyToken-scope-map"),
        Reply::json(200, scope_map("MyToken-scope-map", "", &actions)),
    );
    server.on("PUT", &id("/tokens/MyToken"), Reply::json(200, token("MyToken", "MyToken-scope-map", &[])));
    let create = "token create -n MyToken -r myregistry --no-passwords true -o none";
    told.run(&format!("{create} --repository a content/read --repository b content/read"));
    told.run(&format!("{create} --repository a content/read"));
    told.check("default-scope-map");
}

/// What was made on the way is there still when the token is refused.
#[test]
fn a_scope_map_without_its_token_is_not_kept_quiet() {
    let mut told = Transcript::new();
    told.server.on("PUT", &id("/scopeMaps/abc-scope-map"), Reply::json(201, scope_map("abc-scope-map", "", &[])));
    let refused = Reply::error(400, "InvalidTokenName", "a token's name has 5 to 50 letters, digits and hyphens");
    told.server.on("PUT", &id("/tokens/abc"), refused);
    told.run("token create -n abc -r myregistry --repository a content/read");
    told.check("scope-map-left");
}

/// E-11: what is created once more stays the same token. That its passwords are no longer those that people use is said.
#[test]
fn a_token_that_existed_says_what_becomes_of_its_passwords() {
    let mut told = Transcript::new();
    let existing = token("MyToken", "MyScopeMap", &[password("password1", None), password("password2", None)]);
    told.server.on("PUT", &id("/tokens/MyToken"), Reply::json(200, existing));
    let passwords = generated("MyToken", &[("password1", "value1"), ("password2", "value2")]);
    told.server.on("POST", &id("/generateCredentials"), Reply::json(200, passwords));
    let create = "token create -n MyToken -r myregistry --scope-map MyScopeMap -o none";
    told.run(create);
    told.run(&format!("{create} --no-passwords"));
    told.check("created-again");
}

/// A token whose passwords could not be made is there all the same.
#[test]
fn a_half_created_token_is_not_kept_quiet() {
    let mut told = Transcript::new();
    told.server.on("PUT", &id("/tokens/MyToken"), Reply::json(201, token("MyToken", "MyScopeMap", &[])));
    let broken = Reply::error(503, "StoreUnavailable", "The store is not available.");
    told.server.on("POST", &id("/generateCredentials"), broken);
    told.run("token create -n MyToken -r myregistry --scope-map MyScopeMap");
    told.check("half-created");
}

/// A registry that cannot be asked for its login server is no reason to lose the passwords.
#[test]
fn generated_passwords_are_always_shown() {
    let mut told = Transcript::new();
    told.server.on("PUT", &id("/tokens/MyToken"), Reply::json(201, token("MyToken", "MyScopeMap", &[])));
    let passwords = generated("MyToken", &[("password1", "value1"), ("password2", "value2")]);
    told.server.on("POST", &id("/generateCredentials"), Reply::json(200, passwords));
    told.run(
        "token create -n MyToken -r myregistry --scope-map MyScopeMap --query 'credentials.passwords[].value' -o tsv",
    );
    told.check("passwords-shown");
}

#[test]
fn passwords_are_generated_and_deleted_by_name() {
    let mut told = Transcript::new();
    let server = &told.server;
    server.on("POST", &id("/generateCredentials"), Reply::json(200, generated("MyToken", &[("password2", "value2")])));
    let mut with_three = token("MyToken", "MyScopeMap", &[password("password1", None)]);
    with_three["properties"]["credentials"]["additionalPasswords"] = json!([{ "name": "third" }, { "name": "fourth" }]);
    server.on("GET", &id("/tokens/MyToken"), Reply::json(200, with_three.clone()).etag("\"3\""));
    server.on("PATCH", &id("/tokens/MyToken"), Reply::json(200, with_three));
    let generate = "token credential generate -n MyToken -r myregistry";
    told.run(&format!("{generate} --password2 --overlap 10m -o table"));
    told.run(&format!("{generate} --password1 --password2 -o none"));
    told.run(&format!("{generate} --password-name third --expiration 2030-12-31T12:59:59Z -o none"));
    let delete = "token credential delete -n MyToken -r myregistry";
    told.run(&format!("{delete} --password1"));
    told.run(&format!("{delete} --password1 --password2"));
    told.run(&format!("{delete} --password1 --password-name third -o none"));
    told.run(&format!("{delete} --password-name fifth"));
    told.check("passwords");
}

#[test]
fn what_is_not_there_ends_with_3() {
    let mut told = Transcript::new();
    told.run("token show -n MyToken -r myregistry");
    let answer =
        Reply::error(409, "DeclaredInFile", "token 'ci-push' is declared at seawall.yaml:12:5; change it there");
    told.server.on("PATCH", &id("/tokens/ci-push"), answer);
    told.run("token update -n ci-push -r myregistry --status disabled");
    told.server.on("DELETE", &id("/tokens/gone1"), Reply::empty(204));
    told.run("token delete -n gone1 -r myregistry -y");
    let invalid = json!({ "error": {
        "code": "InvalidRequestContent", "message": "expected \"enabled\" or \"disabled\"", "target": "properties.status",
        "details": [{ "code": "Inner", "message": "more" }],
    }});
    told.server.on("PATCH", &id("/tokens/bad01"), Reply::json(400, invalid));
    told.run("token update -n bad01 -r myregistry --status disabled --debug");
    let forgotten = Reply::error(404, "DenialNotFound", "no denial with the id '0123456789ab' is remembered");
    told.server.on("GET", "/seawall/v1/denials/0123456789ab", forgotten);
    told.run("explain --denial 0123456789ab");
    told.check("errors");
}

/// Lists come in pages; a link to another host is not followed there.
#[test]
fn all_pages_are_one_list() {
    let mut told = Transcript::new();
    let page = |name: &str, next: Option<&str>| {
        let mut page = json!({ "value": [token(name, "MyScopeMap", &[])] });
        if let Some(next) = next {
            page["nextLink"] = next.into();
        }
        Reply::json(200, page)
    };
    let link = "https://elsewhere.example.com/other?api-version=1&$skipToken=one%20%26";
    told.server.on("GET", &id("/tokens"), page("one01", Some(link)));
    told.server.on("GET", &id("/tokens"), page("two01", Some("?%24skipToken=two")));
    told.server.on("GET", &id("/tokens"), page("three", None));
    told.run("token list -r myregistry --query '[].{Token:name, Map:scopeMapId}' -o table");
    told.check("pages");
}

/// D15: what is given replaces that list, the flag alone empties it, and the other list is not sent.
#[test]
fn networks_are_sent_as_they_are() {
    let mut told = Transcript::new();
    let server = &told.server;
    let made = || Reply::json(200, token("MyToken", "MyScopeMap", &[]));
    server.on("PUT", &id("/tokens/MyToken"), made());
    server.on("PATCH", &id("/tokens/MyToken"), made());
    let quiet = "-o none --verbose";
    told.run(&format!(
        "token create -n MyToken -r myregistry --scope-map MyScopeMap --no-passwords --allow-network 192.0.2.0/24 2001:db8::/32 {quiet}"
    ));
    told.run(&format!("token update -n MyToken -r myregistry --deny-network 192.0.2.66 {quiet}"));
    told.run(&format!("token update -n MyToken -r myregistry --allow-network --deny-network {quiet}"));
    told.check("networks");
}
