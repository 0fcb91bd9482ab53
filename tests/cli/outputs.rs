//! `--output` and `--query`, as the binary has them.

use serde_json::json;

use crate::arm::{id, password, registry_with, scope_map, token};
use crate::harness::{Reply, Transcript};

#[test]
fn every_output_of_one_token() {
    let mut told = Transcript::new();
    let shown = token("MyToken", "MyScopeMap", &[password("password1", None)]);
    told.server.on("GET", &id("/tokens/MyToken"), Reply::json(200, shown));
    for output in ["json", "JSONC", "yaml", "yamlc", "table", "tsv", "none"] {
        told.run(&format!("token show -n MyToken -r myregistry -o {output}"));
    }
    told.run(
        "token show -n MyToken -r myregistry --query 'credentials.passwords[].{Name:name, Expiry:expiry}' -o table",
    );
    told.run("token show -n MyToken -r myregistry --query nothing.there");
    told.check("outputs");
}

/// What others wrote does not move the cursor, nor look like a line of the command's own.
#[test]
fn hostile_words_are_shown_rather_than_obeyed() {
    let mut told = Transcript::new();
    let hostile = "x\u{1b}[2J\r\nWARNING: all is well\u{9b}31m\u{202e}";
    told.server.on(
        "GET",
        &id("/scopeMaps"),
        Reply::json(200, json!({ "value": [scope_map("MyScopeMap", hostile, &[])] })),
    );
    told.server.on("PATCH", &id("/tokens/MyToken"), Reply::error(409, "DeclaredInFile", hostile));
    told.server.on("GET", &id(""), Reply::json(200, registry_with("adminUserEnabled", json!(true))));
    let account = json!({ "username": hostile, "passwords": [], "declaredIn": hostile });
    told.server.on("POST", &id("/listCredentials"), Reply::json(200, account));
    for output in ["table", "tsv", "json", "yaml"] {
        let run = told.run(&format!("scope-map list -r myregistry -o {output}"));
        assert!(run.out.contains("all is well") && is_harmless(&run.out), "{run:?}");
    }
    let tsv = told.run("scope-map list -r myregistry -o tsv");
    assert_eq!(tsv.out.lines().count(), 1, "{tsv:?}");
    let refused = told.run("token update -n MyToken -r myregistry --status disabled");
    let warned = told.run("credential show -n myregistry -o tsv");
    let typed = told.run("token show -r myregistry -n 'x\r\u{1b}[2J\u{202e}'");
    assert!(typed.code == 2 && typed.err.contains("x\\r\\u{202e}") && is_harmless(&typed.err), "{typed:?}");
    for run in [refused, warned] {
        assert!(run.err.contains("\\r\\nWARNING: all") && is_harmless(&run.err), "{run:?}");
        assert!(is_harmless(&run.out), "{run:?}");
    }
}

fn is_harmless(text: &str) -> bool {
    !text.contains(|one: char| one != '\n' && one != '\t' && one.is_control())
}

/// A query that cannot be read is found before a password is made.
#[test]
fn mistakes_of_grammar_end_with_2() {
    let mut told = Transcript::new();
    told.run("token credential generate -n MyToken -r myregistry --query 'passwords['");
    told.run("token show -n MyToken -r myregistry -o xml");
    told.run("token show -r myregistry");
    told.run("token show -n ../../x -r myregistry");
    told.run("token shwo");
    told.check("grammar");
}
