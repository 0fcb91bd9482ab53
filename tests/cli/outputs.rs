//! `--output` and `--query`, as the binary has them.

use crate::arm::{id, password, token};
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
