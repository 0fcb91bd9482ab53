//! `seawall repository` and `seawall manifest`: what they ask a registry, and what they print.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::arm::{id, registry};
use crate::harness::{PASSWORD, Reply, Transcript};

const HELLO: &str = "/acr/v1/samples/hello-world";
/// The user, as the seeds have it.
const WHO: &str = "--username MyToken --password xxxxxxxxxx";

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

fn attributes() -> Value {
    json!({ "deleteEnabled": true, "listEnabled": true, "readEnabled": true, "writeEnabled": true })
}

fn tag(name: &str, of: char) -> Value {
    json!({
        "name": name,
        "digest": digest(of),
        "createdTime": "2026-10-22T00:15:34.3048920Z",
        "lastUpdateTime": "2026-10-22T00:15:34.3048920Z",
        "signed": false,
        "changeableAttributes": attributes(),
    })
}

fn manifest(of: char, tags: &[&str]) -> Value {
    json!({
        "digest": digest(of),
        "imageSize": 5264,
        "createdTime": "2026-10-22T00:15:34.3048920Z",
        "lastUpdateTime": "2026-10-22T00:15:34.3048920Z",
        "architecture": "amd64",
        "os": "linux",
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "configMediaType": "application/vnd.oci.image.config.v1+json",
        "tags": tags,
        "changeableAttributes": attributes(),
    })
}

fn repository() -> Value {
    json!({
        "registry": "registry.example.com",
        "imageName": "samples/hello-world",
        "createdTime": "2026-10-22T00:15:34.3048920Z",
        "lastUpdateTime": "2026-10-22T00:15:34.3048920Z",
        "manifestCount": 2,
        "tagCount": 3,
        "changeableAttributes": attributes(),
    })
}

fn within(key: &str, what: Value) -> Reply {
    let mut answer = json!({ "registry": "registry.example.com", "imageName": "samples/hello-world" });
    answer[key] = what;
    Reply::json(200, answer)
}

/// The registry `myregistry` is the same server.
fn told() -> Transcript {
    let told = Transcript::new();
    let mut shown = registry();
    *shown.pointer_mut("/properties/loginServer").unwrap() = told.server.address().to_string().into();
    told.server.on("GET", &id(""), Reply::json(200, shown));
    told
}

/// S3-64, S3-81, S4-28.
#[test]
fn repositories_are_shown() {
    let mut told = told();
    let server = &told.server;
    let next = "</acr/v1/samples/hello-world/_tags?last=v2&n=100&orderby=>; rel=\"next\"";
    let first = within("tags", json!([tag("v1", 'a'), tag("v2", 'b')])).header("link", next);
    server.on("GET", &format!("{HELLO}/_tags?n=100"), first);
    server.on("GET", &format!("{HELLO}/_tags?last=v2&n=100&orderby="), within("tags", json!([tag("v3", 'b')])));
    let newest = within("tags", json!([tag("v3", 'b')])).header("link", next);
    server.on("GET", &format!("{HELLO}/_tags?orderby=timedesc&n=1"), newest);
    server.on("GET", HELLO, Reply::json(200, repository()));
    server.on("GET", &format!("{HELLO}/_tags/v1"), within("tag", tag("v1", 'a')));
    let listed = within("manifests", json!([manifest('a', &["v1"]), manifest('b', &["v2", "v3"])]));
    server.on("GET", &format!("{HELLO}/_manifests?n=100"), listed);
    server.on("GET", &format!("{HELLO}/_manifests/{}", digest('a')), within("manifest", manifest('a', &["v1"])));
    let of = "--name myregistry --repository samples/hello-world";
    told.run(&format!("repository show-tags {of} {WHO}"));
    told.run(&format!("repository show-tags {of} {WHO} --output tsv"));
    told.run(&format!("repository show-tags {of} {WHO} --top 1 --orderby time_desc --detail"));
    told.run(&format!("repository show-tags {of} {WHO} --detail -o table"));
    told.run(&format!("repository show {of} {WHO}"));
    told.run(&format!("repository show -n myregistry -t samples/hello-world:v1 {WHO} --query digest -o tsv"));
    told.run(&format!("repository show -n myregistry --image samples/hello-world@{} {WHO} -o table", digest('a')));
    told.run(&format!("repository show-manifests {of} {WHO}"));
    told.run(&format!("repository show-manifests {of} {WHO} --detail --query '[].imageSize' -o tsv"));
    told.check("repository-show");
}

/// The catalogue is asked as `az` does; tokens do not get it.
#[test]
fn the_catalogue_is_listed() {
    let mut told = told();
    let server = &told.server;
    let next = "</v2/_catalog?last=b&n=100&orderby=>; rel=\"next\"";
    let page = Reply::json(200, json!({ "repositories": ["a", "b"] })).header("link", next);
    server.on("GET", "/v2/_catalog?n=100", page);
    server.on("GET", "/v2/_catalog?last=b&n=100&orderby=", Reply::json(200, json!({ "repositories": ["c"] })));
    let refused =
        Reply::refusal(401, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization");
    server.on("GET", "/v2/_catalog?n=2", refused.header("x-seawall-denial", "0a1b2c3d4e5f"));
    told.run(&format!("repository list --name myregistry {WHO}"));
    told.run(&format!("repository list --name myregistry {WHO} -o table"));
    told.run(&format!("repository list --name myregistry {WHO} --top 2"));
    told.check("repository-list");
}

/// Not only that the service is unavailable: who it is that is away, and by which id the audit log knows the request.
#[test]
fn what_is_wrong_behind_the_registry_is_told() {
    let mut told = told();
    let detail = "the registry behind seawall cannot be reached";
    let error = json!({ "errors": [{ "code": "UNAVAILABLE", "message": "service unavailable", "detail": detail }] });
    let away = || Reply::json(502, error.clone()).header("x-ms-correlation-request-id", "7");
    let server = &told.server;
    server.on("GET", &format!("{HELLO}/_tags?n=100"), away());
    server.on("GET", "/v2/samples/hello-world/manifests/v1", away());
    told.run(&format!("repository show-tags -n myregistry --repository samples/hello-world {WHO}"));
    told.run(&format!("manifest show -r myregistry -n samples/hello-world:v1 {WHO}"));
    told.check("repository-away");
}

/// S3-65, B.8-2; unlocking for a while is seawall's own.
#[test]
fn repositories_are_changed() {
    let mut told = told();
    let server = &told.server;
    let mut locked = repository();
    locked["changeableAttributes"]["writeEnabled"] = false.into();
    server.on("GET", HELLO, Reply::json(200, repository()));
    server.on("PATCH", HELLO, Reply::json(200, locked));
    server.on("PATCH", &format!("{HELLO}/_tags/v1"), within("tag", tag("v1", 'a')));
    server.on("PATCH", &format!("{HELLO}/_manifests/{}", digest('a')), within("manifest", manifest('a', &["v1"])));
    server.on("DELETE", &format!("{HELLO}/_tags/v1"), Reply::empty(202));
    let message = "The operation is disallowed on this registry, repository or image. View troubleshooting steps at \
                   https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation";
    let refused = Reply::refusal(405, "REGISTRY_DISALLOWED_OPERATION", message);
    server.on("DELETE", &format!("{HELLO}/_tags/v2"), refused.header("x-seawall-denial", "0a1b2c3d4e5f"));
    let of = "repository update -n myregistry";
    told.run(&format!("{of} --repository samples/hello-world --write-enabled false --delete-enabled {WHO}"));
    told.run(&format!("{of} -t samples/hello-world:v1 --read-enabled true --list-enabled FALSE {WHO} -o none"));
    told.run(&format!("{of} -t samples/hello-world@{} --write-enabled false {WHO} -o none", digest('a')));
    told.run(&format!("{of} --repository samples/hello-world --unlock-for 30m --reason 'ticket 7' {WHO} -o none"));
    // A file keeps it off.
    told.run(&format!("{of} --repository samples/hello-world --write-enabled true {WHO} -o none"));
    told.run(&format!("{of} --repository samples/hello-world --lock-again {WHO} -o none"));
    told.run(&format!("{of} --repository samples/hello-world {WHO} --query tagCount"));
    told.run(&format!("{of} --repository samples/hello-world --unlock-for 30m {WHO}"));
    for length in ["30", "25h", "0s"] {
        told.run(&format!("{of} --repository samples/hello-world --unlock-for {length} --reason 'ticket 7' {WHO}"));
    }
    told.run(&format!("{of} --repository samples/hello-world --unlock-for 30m --reason ' ' {WHO}"));
    told.run(&format!("repository untag -n myregistry -t samples/hello-world:v1 {WHO}"));
    told.run(&format!("repository untag -n myregistry -t samples/hello-world:v2 {WHO}"));
    told.run(&format!("repository untag -n myregistry -t samples/hello-world@{} {WHO}", digest('a')));
    told.check("repository-update");
}

/// S3-61, S3-79, B.8-6.
#[test]
fn repositories_and_images_are_deleted() {
    let mut told = told();
    let server = &told.server;
    let gone = json!({ "manifestsDeleted": [digest('a'), digest('b')], "tagsDeleted": ["v1", "v2", "v3"] });
    server.on("DELETE", HELLO, Reply::refusal(503, "UNAVAILABLE", "5 of 7 steps are done"));
    server.on("DELETE", HELLO, Reply::json(202, gone));
    server.on("DELETE", HELLO, Reply::refusal(404, "NAME_UNKNOWN", "repository name not known to registry"));
    server.on("GET", &format!("{HELLO}/_tags/v2"), within("tag", tag("v2", 'b')));
    let encoded = digest('b').replace(':', "%3A");
    let of_b = within("tags", json!([tag("v1", 'a'), tag("v2", 'b'), tag("v3", 'b')]));
    server.on("GET", &format!("{HELLO}/_tags?n=100&digest={encoded}"), of_b);
    server.on("DELETE", &format!("/v2/samples/hello-world/manifests/{}", digest('b')), Reply::empty(202));
    let none = within("tags", json!([]));
    server.on("GET", &format!("{HELLO}/_tags?n=100&digest={}", digest('c').replace(':', "%3A")), none);
    let of = "repository delete --name myregistry --repository samples/hello-world";
    told.run(&format!("{of} {WHO}"));
    told.run(&format!("{of} {WHO} --yes"));
    told.run(&format!("{of} {WHO} --yes"));
    told.run(&format!("{of} {WHO} -y"));
    told.run(&format!("repository delete -n myregistry -t samples/hello-world:v2 {WHO}"));
    told.run(&format!("repository delete -n myregistry -t samples/hello-world:v2 {WHO} -y"));
    told.run(&format!("repository delete -n myregistry -t samples/hello-world:v2 {WHO} -y --only-show-errors"));
    told.run(&format!("repository delete -n myregistry -t samples/hello-world@{} {WHO} -y", digest('c')));
    told.run(&format!("repository delete -n myregistry -t samples/hello-world:v9 {WHO} -y"));
    told.check("repository-delete");
}

/// S3-64, S3-82.
#[test]
fn manifests_are_shown_and_deleted() {
    let mut told = told();
    let server = &told.server;
    let listed = within("manifests", json!([manifest('a', &["v1"]), manifest('b', &[])]));
    server.on("GET", &format!("{HELLO}/_manifests?n=100"), listed);
    server.on("GET", &format!("{HELLO}/_tags/v1"), within("tag", tag("v1", 'a')));
    server.on("PATCH", &format!("{HELLO}/_tags/v1"), within("tag", tag("v1", 'a')));
    server.on("GET", &format!("{HELLO}/_manifests/{}", digest('a')), within("manifest", manifest('a', &["v1"])));
    server.on("DELETE", &format!("/v2/samples/hello-world/manifests/{}", digest('a')), Reply::empty(202));
    let address = server.address();
    let full = format!("{address}/samples/hello-world");
    told.run(&format!("manifest list-metadata --registry myregistry --name samples/hello-world {WHO}"));
    told.run(&format!("manifest list-metadata {full} {WHO} --query '[].tags'"));
    told.run(&format!("manifest show-metadata {full}:v1 {WHO}"));
    told.run(&format!("manifest show-metadata -r myregistry -n samples/hello-world@{} {WHO} -o table", digest('a')));
    told.run(&format!("manifest update-metadata {full}:v1 --write-enabled false {WHO} -o none"));
    told.run(&format!("manifest delete {full}:v1 {WHO}"));
    told.run(&format!("manifest delete {full}:v1 {WHO} --yes"));
    told.check("manifest-metadata");
}

#[test]
fn manifests_and_their_referrers_are_read() {
    let mut told = told();
    let server = &told.server;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let image = json!({ "schemaVersion": 2, "mediaType": kind, "artifactType": "application/spdx+json",
        "subject": { "digest": digest('a') } });
    let path = "/v2/samples/hello-world/manifests";
    server.on("GET", &format!("{path}/v1"), Reply::json(200, image.clone()));
    let own = "sha256:eef8f1a2c3f0b8c1e3e4b0a6b1d7bd4f8a2d0c5c8f1a3b3f0a9f6f0e5d4c3b2a";
    server.on("GET", &format!("{path}/{own}"), Reply::json(200, image));
    let referrer = |of: char, size: u64| json!({ "digest": digest(of), "artifactType": "application/spdx+json", "mediaType": kind, "size": size });
    let all = |list: Value| Reply::json(200, json!({ "schemaVersion": 2, "manifests": list }));
    let referrers = |of: char| format!("/v2/samples/hello-world/referrers/{}", digest(of));
    let next = format!("<{}?last=1>; rel=\"next\"", referrers('a'));
    server.on("GET", &referrers('a'), all(json!([referrer('b', 7)])).header("link", &next));
    server.on("GET", &format!("{}?last=1", referrers('a')), all(json!([referrer('c', 8)])));
    let filtered = format!("{}?artifactType=application%2Fspdx%2Bjson", referrers('a'));
    server.on("GET", &filtered, all(json!([])));
    server.on("GET", &referrers('b'), all(json!([referrer('d', 9)])));
    // A registry that says that the image is a referrer of its referrer.
    server.on("GET", &referrers('c'), all(json!([referrer('a', 1)])));
    server.on("GET", &referrers('d'), all(json!([])));
    server.on("GET", &format!("{HELLO}/_tags/v1"), within("tag", tag("v1", 'a')));
    let full = format!("{}/samples/hello-world", server.address());
    told.run(&format!("manifest show {full}:v1 {WHO}"));
    told.run(&format!("manifest show {full}:v1 {WHO} --raw"));
    told.run(&format!("manifest show {full}@{own} {WHO}"));
    told.run(&format!("manifest show {full}:v9 {WHO}"));
    let message = "The operation is disallowed on this registry, repository or image.";
    let refused = Reply::refusal(405, "REGISTRY_DISALLOWED_OPERATION", message);
    let refused = refused.header("x-seawall-denial", "0a1b2c3d4e5f");
    told.server.on("GET", &format!("{path}/v7"), refused);
    told.run(&format!("manifest show {full}:v7 {WHO}"));
    told.run(&format!("manifest list-referrers {full}:v1 {WHO} -o table"));
    let by_digest = format!("manifest list-referrers {full}@{}", digest('a'));
    told.run(&format!("{by_digest} --artifact-type application/spdx+json {WHO}"));
    told.run(&format!("{by_digest} --recursive --query 'manifests[].digest' -o tsv {WHO}"));
    told.check("manifest-show");
}

#[test]
fn the_user_is_given_or_logged_in() {
    let mut told = told();
    let server = told.server.clone();
    server.on("GET", HELLO, Reply::json(200, repository()));
    let of = "repository show -n myregistry --repository samples/hello-world --query imageName";
    told.run(of);
    told.run(&format!("{of} --username MyToken"));
    told.run(&format!("{of} --password xxxxxxxxxx"));
    told.run(&format!("{of} --username MyToken --password wrong"));
    told.run(&format!("{of} {WHO} --suffix tenant --debug"));
    told.environment.push(("SEAWALL_PASSWORD", PASSWORD.to_owned()));
    told.run(&format!("{of} -u MyToken"));
    let logins = json!({ "auths": {
        server.address().to_string(): { "auth": STANDARD.encode(format!("MyToken:{PASSWORD}")) }
    } });
    fs::write(told.folder.path().join("config.json"), logins.to_string()).unwrap();
    told.environment.push(("DOCKER_CONFIG", told.folder.path().to_str().unwrap().to_owned()));
    told.run(of);
    // No management API is needed where the login server is named.
    told.environment.retain(|(name, _)| *name != "SEAWALL_ENDPOINT");
    told.run(&format!("repository show -n {} --repository samples/hello-world --query imageName", server.address()));
    told.check("repository-access");
}

#[test]
fn what_makes_no_sense_is_not_asked() {
    let mut told = told();
    told.run(&format!("repository show -n myregistry {WHO}"));
    told.run(&format!("repository show -n myregistry --repository a --image a:b {WHO}"));
    told.run(&format!("repository show -n myregistry --image a:b:c {WHO}"));
    told.run(&format!("repository show -n myregistry --repository ../_catalog {WHO}"));
    told.run(&format!("repository show-tags -n myregistry --repository a --orderby name {WHO}"));
    told.run(&format!("repository show-tags -n myregistry --repository a --top 0 {WHO}"));
    told.run(&format!("manifest list-metadata {WHO}"));
    told.run(&format!("manifest list-metadata -r myregistry -n a:b {WHO}"));
    told.run(&format!("manifest list-metadata registry.example.com/a:b {WHO}"));
    told.run(&format!("manifest list-metadata myregistry/a {WHO}"));
    told.run(&format!("manifest show -r myregistry {WHO}"));
    told.run(&format!("manifest show a:b {WHO}"));
    assert_eq!(told.server.requests(), Vec::<String>::new());
    told.run(&format!("repository show -n 127.0.0.1:1 --repository a {WHO}"));
    told.check("repository-mistakes");
}
