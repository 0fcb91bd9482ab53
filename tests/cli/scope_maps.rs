//! `seawall scope-map`, beyond the documented commands.

use crate::arm::{id, scope_map};
use crate::harness::{Reply, Transcript};

#[test]
fn mistakes_are_named() {
    let mut told = Transcript::new();
    let update = "scope-map update -n MyScopeMap -r myregistry";
    told.run(update);
    told.run(&format!("{update} --add-repository samples/nginx content/read content/write --remove-repository Samples/nginx content/read"));
    told.run(&format!("{update} --add-repository samples/nginx"));
    told.run("scope-map create -n MyScopeMap -r myregistry --repository a content/list");
    told.check("scope-map-mistakes");
}

/// (current ∪ added) \ removed; what nobody named stays. Another's change in between is taken in, not overwritten.
#[test]
fn an_update_starts_again_when_another_was_faster() {
    let mut told = Transcript::new();
    let server = &told.server;
    let path = id("/scopeMaps/MyScopeMap");
    let before = scope_map("MyScopeMap", "", &["repositories/a/content/read"]);
    let after = scope_map("MyScopeMap", "", &["repositories/a/content/read", "repositories/b/content/read"]);
    server.on("GET", &path, Reply::json(200, before).etag("\"1\""));
    server.on("GET", &path, Reply::json(200, after.clone()).etag("\"2\""));
    server.on("PATCH", &path, Reply::error(412, "PreconditionFailed", "It was changed meanwhile."));
    server.on("PATCH", &path, Reply::json(200, after));
    told.run("scope-map update -n MyScopeMap -r myregistry --add c content/read --remove a content/read metadata/read -o none");
    told.run(
        "scope-map update -n MyScopeMap -r myregistry --description 'New words' --add-gateway Edge config/read -o none",
    );
    told.run("scope-map update -n MyScopeMap -r myregistry --description 'New words' -o none");
    told.check("scope-map-race");
}

#[test]
fn an_update_gives_up_when_others_are_always_faster() {
    let mut told = Transcript::new();
    let path = id("/scopeMaps/MyScopeMap");
    told.server.on("GET", &path, Reply::json(200, scope_map("MyScopeMap", "", &[])).etag("\"1\""));
    told.server.on("PATCH", &path, Reply::error(412, "PreconditionFailed", "It was changed meanwhile."));
    let run = told.run("scope-map update -n MyScopeMap -r myregistry --description x");
    assert_eq!((run.code, run.err.contains("nothing was changed")), (1, true), "{run:?}");
}

/// D34.
#[test]
fn a_scope_map_in_use_is_deleted_by_force_only() {
    let mut told = Transcript::new();
    let path = id("/scopeMaps/MyScopeMap");
    let used = Reply::error(409, "ScopeMapInUse", "scope map 'MyScopeMap' is used by the tokens 'MyToken', 'Other'");
    told.server.on("DELETE", &path, used);
    told.server.on("DELETE", &path, Reply::empty(200));
    told.run("scope-map delete -n MyScopeMap -r myregistry");
    told.run("scope-map delete -n MyScopeMap -r myregistry --yes");
    told.run("scope-map delete -n MyScopeMap -r myregistry --yes --force");
    told.server.on("DELETE", &id("/scopeMaps/myscopemap"), Reply::empty(204));
    told.run("scope-map delete -n myscopemap -r myregistry --yes");
    told.check("scope-map-delete");
}
