//! What each lock forbids, on every path, against the real upstream: what is locked × attribute × path (B.8-2, B.8-3, S3-16).
//!
//! Every cell has a repository of its own: with the lock the path is refused with 405 or goes as if there were none, and
//! whatever was refused goes once the lock is taken off.

use std::fmt;

use serde_json::json;

use crate::harness::caller::{Caller, digest};
use crate::harness::http::Response;
use crate::harness::image::MANIFEST;
use crate::harness::registry::Distribution;
use crate::harness::wall::{MINE, REGISTRY, World};

/// What has the attribute that is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Repository,
    Tag,
    Manifest,
}

const ATTRIBUTES: [&str; 4] = ["deleteEnabled", "writeEnabled", "readEnabled", "listEnabled"];

/// A repository with an image that has two tags, `v1` and `same`, and a second image.
struct Held<'a> {
    caller: &'a Caller,
    name: String,
    /// Of `v1` and of `same`.
    digest: String,
    manifest: Vec<u8>,
    config: String,
}

/// A manifest with the same config and another digest.
fn another(manifest: &[u8]) -> Vec<u8> {
    let mut json: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    json["annotations"] = json!({ "another": "one" });
    json.to_string().into_bytes()
}

impl<'a> Held<'a> {
    fn new(caller: &'a Caller, name: &str) -> Self {
        let manifest = caller.push_image(name, "v1", name);
        caller.put_manifest(&format!("/v2/{name}/manifests/same"), &manifest).expect(201);
        caller.push_image(name, "other", "another image");
        let json: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let config = json["config"]["digest"].as_str().unwrap().to_owned();
        Self { caller, name: name.to_owned(), digest: digest(&manifest), manifest, config }
    }

    fn set(&self, what: What, attribute: &str, on: bool) {
        let target = match what {
            What::Repository => String::new(),
            What::Tag => "/_tags/v1".to_owned(),
            What::Manifest => format!("/_manifests/{}", self.digest),
        };
        let path = format!("/acr/v1/{}{target}", self.name);
        let body = json!({ attribute: on }).to_string();
        let answer = self.caller.send("PATCH", &path, &[("Content-Type", "application/json")], body.as_bytes());
        let object = answer.expect(200).json();
        let found =
            ["", "/tag", "/manifest"].iter().find_map(|at| object.pointer(&format!("{at}/changeableAttributes")));
        assert_eq!(found.unwrap()[attribute], on, "{object}");
    }

    fn v2(&self, method: &str, below: &str) -> Response {
        self.caller.send(method, &format!("/v2/{}/{below}", self.name), &[("Accept", MANIFEST)], b"")
    }

    fn put(&self, reference: &str, manifest: &[u8]) -> Response {
        self.caller.put_manifest(&format!("/v2/{}/manifests/{reference}", self.name), manifest)
    }
}

/// A path that could read, change or delete something: its name, what it does, the status where it goes, and the locks that
/// forbid it.
struct Path {
    name: &'static str,
    go: fn(&Held<'_>) -> Response,
    goes: u16,
    locks: &'static [(What, &'static str)],
}

const REPOSITORY_WRITE: (What, &str) = (What::Repository, "writeEnabled");
const REPOSITORY_READ: (What, &str) = (What::Repository, "readEnabled");
const TAG_WRITE: (What, &str) = (What::Tag, "writeEnabled");
const TAG_DELETE: (What, &str) = (What::Tag, "deleteEnabled");
const MANIFEST_WRITE: (What, &str) = (What::Manifest, "writeEnabled");
const MANIFEST_DELETE: (What, &str) = (What::Manifest, "deleteEnabled");
const MANIFEST_READ: (What, &str) = (What::Manifest, "readEnabled");
const READS_BY_TAG: &[(What, &str)] = &[REPOSITORY_READ, (What::Tag, "readEnabled"), MANIFEST_READ];
const UNTAGS: &[(What, &str)] = &[REPOSITORY_WRITE, TAG_WRITE, TAG_DELETE];
const DELETES: &[(What, &str)] = &[REPOSITORY_WRITE, TAG_WRITE, TAG_DELETE, MANIFEST_WRITE, MANIFEST_DELETE];

const PATHS: &[Path] = &[
    Path { name: "GET by tag", go: |held| held.v2("GET", "manifests/v1"), goes: 200, locks: READS_BY_TAG },
    Path { name: "HEAD by tag", go: |held| held.v2("HEAD", "manifests/v1"), goes: 200, locks: READS_BY_TAG },
    Path {
        name: "GET by another tag of the manifest",
        go: |held| held.v2("GET", "manifests/same"),
        goes: 200,
        locks: &[REPOSITORY_READ, MANIFEST_READ],
    },
    Path {
        name: "GET by digest",
        go: |held| held.v2("GET", &format!("manifests/{}", held.digest)),
        goes: 200,
        locks: &[REPOSITORY_READ, MANIFEST_READ],
    },
    Path {
        name: "GET a blob",
        go: |held| held.v2("GET", &format!("blobs/{}", held.config)),
        goes: 200,
        locks: &[REPOSITORY_READ],
    },
    Path {
        name: "list referrers",
        go: |held| held.v2("GET", &format!("referrers/{}", held.digest)),
        goes: 200,
        locks: &[REPOSITORY_READ],
    },
    Path {
        name: "mount from it",
        go: |held| {
            let path = format!("/v2/mine/elsewhere/blobs/uploads/?mount={}&from={}", held.config, held.name);
            held.caller.send("POST", &path, &[], b"")
        },
        goes: 201,
        locks: &[REPOSITORY_READ],
    },
    Path {
        name: "move the tag",
        go: |held| held.put("v1", &another(&held.manifest)),
        goes: 201,
        locks: &[REPOSITORY_WRITE, TAG_WRITE],
    },
    Path {
        name: "push by digest with ?tag=",
        go: |held| {
            let manifest = another(&held.manifest);
            held.put(&format!("{}?tag=v1", digest(&manifest)), &manifest)
        },
        goes: 201,
        locks: &[REPOSITORY_WRITE, TAG_WRITE],
    },
    Path { name: "push a new tag", go: |held| held.put("new", &held.manifest), goes: 201, locks: &[REPOSITORY_WRITE] },
    Path {
        name: "push it by its digest",
        go: |held| held.put(&held.digest, &held.manifest),
        goes: 201,
        locks: &[REPOSITORY_WRITE, MANIFEST_WRITE],
    },
    Path {
        name: "begin an upload",
        go: |held| held.v2("POST", "blobs/uploads/"),
        goes: 202,
        locks: &[REPOSITORY_WRITE],
    },
    Path {
        name: "mount into it",
        go: |held| {
            let blob = held.caller.push_blob("mine/source", b"a blob of another repository");
            held.v2("POST", &format!("blobs/uploads/?mount={blob}&from=mine/source"))
        },
        goes: 201,
        locks: &[REPOSITORY_WRITE],
    },
    Path { name: "untag", go: |held| acr("DELETE", held, "/_tags/v1"), goes: 202, locks: UNTAGS },
    Path { name: "DELETE by tag", go: |held| held.v2("DELETE", "manifests/v1"), goes: 202, locks: UNTAGS },
    Path {
        name: "untag another tag of the manifest",
        go: |held| acr("DELETE", held, "/_tags/same"),
        goes: 202,
        locks: &[REPOSITORY_WRITE],
    },
    Path {
        name: "DELETE by digest",
        go: |held| held.v2("DELETE", &format!("manifests/{}", held.digest)),
        goes: 202,
        locks: DELETES,
    },
    Path {
        name: "DELETE a blob",
        go: |held| held.v2("DELETE", &format!("blobs/{}", held.config)),
        goes: 202,
        locks: DELETES,
    },
    Path {
        name: "delete the repository",
        go: |held| acr("DELETE", held, ""),
        goes: 202,
        locks: &[
            REPOSITORY_WRITE,
            (What::Repository, "deleteEnabled"),
            TAG_WRITE,
            TAG_DELETE,
            MANIFEST_WRITE,
            MANIFEST_DELETE,
        ],
    },
];

fn acr(method: &str, held: &Held<'_>, below: &str) -> Response {
    held.caller.send(method, &format!("/acr/v1/{}{below}", held.name), &[], b"")
}

/// Where in the matrix something is not as it should be.
struct Cell<'a>(&'a Path, What, &'a str);

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} where {} of the {:?} is off", self.0.name, self.2, self.1)
    }
}

fn check(caller: &Caller, name: &str, path: &Path, what: What, attribute: &str) {
    let (held, cell) = (Held::new(caller, name), Cell(path, what, attribute));
    held.set(what, attribute, false);
    let answer = (path.go)(&held);
    if !path.locks.contains(&(what, attribute)) {
        assert_eq!(answer.status, path.goes, "{cell}: {}", answer.text());
        return;
    }
    assert_eq!(answer.status, 405, "{cell}: {}", answer.text());
    if !path.name.starts_with("HEAD") {
        assert_eq!(answer.json()["errors"][0]["code"], "REGISTRY_DISALLOWED_OPERATION", "{cell}");
    }
    held.set(what, attribute, true);
    let answer = (path.go)(&held);
    assert_eq!(answer.status, path.goes, "{cell} was on again: {}", answer.text());
}

#[test]
fn every_lock_forbids_what_it_should_on_every_path_and_nothing_else() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution);
        let caller = world.caller(MINE);
        let mut number = 0;
        for path in PATHS {
            for what in [What::Repository, What::Tag, What::Manifest] {
                for attribute in ATTRIBUTES {
                    number += 1;
                    check(&caller, &format!("mine/cell-{number}"), path, what, attribute);
                }
            }
        }
        let locked = world.seawall.audit().iter().filter(|record| record["reason"] == "locked").count();
        let expected: usize = PATHS.iter().map(|path| path.locks.len()).sum();
        assert!(locked >= expected, "{locked} of {expected} refusals say why");
    }
}

#[test]
fn what_may_not_be_listed_is_in_no_list_and_can_still_be_read() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution);
        let caller = world.caller(MINE);
        let held = Held::new(&caller, "mine/listed");
        let names = |path: &str, pointer: &str| -> Vec<String> {
            let list = caller.get(path).expect(200).json();
            let items = list.pointer(pointer).unwrap().as_array().cloned().unwrap_or_default();
            let name = |item: &serde_json::Value| {
                let named = item.as_str().or_else(|| item["name"].as_str()).or_else(|| item["digest"].as_str());
                named.unwrap().to_owned()
            };
            items.iter().map(name).collect()
        };
        let has = |path: &str, pointer: &str, name: &str| names(path, pointer).iter().any(|one| one == name);

        held.set(What::Tag, "listEnabled", false);
        for (path, pointer) in [("/v2/mine/listed/tags/list", "/tags"), ("/acr/v1/mine/listed/_tags", "/tags")] {
            assert_eq!(names(path, pointer), ["other", "same"], "{path}");
        }
        assert_eq!(held.v2("GET", "manifests/v1").status, 200);
        held.set(What::Tag, "listEnabled", true);

        held.set(What::Manifest, "listEnabled", false);
        assert!(!has("/acr/v1/mine/listed/_manifests", "/manifests", &held.digest));
        assert!(has("/acr/v1/mine/listed/_tags", "/tags", "v1"), "its tags have attributes of their own");
        held.set(What::Manifest, "listEnabled", true);
        assert!(has("/acr/v1/mine/listed/_manifests", "/manifests", &held.digest));

        held.set(What::Repository, "listEnabled", false);
        let admin = world.caller(REGISTRY);
        for path in ["/v2/_catalog", "/acr/v1/_catalog"] {
            assert!(!admin.get(path).expect(200).text().contains("mine/listed"), "{path}");
        }
        assert_eq!(held.v2("GET", "manifests/v1").status, 200);
        held.set(What::Repository, "listEnabled", true);
        assert!(admin.get("/v2/_catalog").expect(200).text().contains("mine/listed"));
    }
}

/// What no list shows is locked all the same.
#[test]
fn a_lock_that_no_list_shows_holds() {
    let world = World::start(Distribution::V2);
    let caller = world.caller(MINE);
    let held = Held::new(&caller, "mine/hidden");
    held.set(What::Tag, "listEnabled", false);
    held.set(What::Tag, "deleteEnabled", false);
    for path in PATHS.iter().filter(|path| path.locks.contains(&TAG_DELETE)) {
        assert_eq!((path.go)(&held).status, 405, "{}", path.name);
    }
}

/// Distribution 2 converts what a client does not accept, and names the digest of what it made of it.
#[test]
fn what_may_not_be_read_is_not_read_in_another_form_either() {
    const PLAIN: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    const SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let world = World::start(Distribution::V2);
    let caller = world.caller(MINE);
    let held = Held::new(&caller, "mine/converted");
    let put = |reference: &str, media_type: &str, manifest: &serde_json::Value| {
        let body = manifest.to_string().into_bytes();
        let path = format!("/v2/mine/converted/manifests/{reference}");
        caller.send("PUT", &path, &[("Content-Type", media_type)], &body).expect(201);
        body
    };
    // Only an image with a history can be converted.
    let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] },
        "history": [{ "created": "2020-01-01T00:00:00Z", "created_by": "test", "empty_layer": true }] })
    .to_string();
    let config = json!({ "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(),
        "digest": caller.push_blob("mine/converted", config.as_bytes()) });
    let image = json!({ "schemaVersion": 2, "mediaType": PLAIN, "config": config, "layers": [] });
    let body = put("v1", PLAIN, &image);
    let child = json!({ "mediaType": PLAIN, "digest": digest(&body), "size": body.len(),
        "platform": { "architecture": "amd64", "os": "linux" } });
    put("list", LIST, &json!({ "schemaVersion": 2, "mediaType": LIST, "manifests": [child] }));
    let converted = caller.get("/v2/mine/converted/manifests/list").expect(200);
    assert_eq!(converted.header("content-type"), Some(SIGNED), "else there is nothing to test");
    let held = Held { digest: digest(&body), ..held };
    held.set(What::Manifest, "readEnabled", false);
    for method in ["GET", "HEAD"] {
        for headers in [&[][..], &[("Accept", SIGNED)], &[("Accept", PLAIN)]] {
            for (tag, statuses) in [("v1", &[405][..]), ("list", &[405, 503])] {
                let path = format!("/v2/mine/converted/manifests/{tag}");
                let answer = caller.send(method, &path, headers, b"");
                assert!(statuses.contains(&answer.status), "{method} {tag} {headers:?}: {}", answer.status);
            }
        }
    }
    assert_eq!(held.v2("GET", "manifests/other").status, 200, "others may be read");
}

/// D23: time-boxed, with a reason, and the audit log knows who.
#[test]
fn a_lock_can_be_lifted_for_a_while() {
    let world = World::start(Distribution::V2);
    let caller = world.caller(MINE);
    let held = Held::new(&caller, "mine/unlocked");
    held.set(What::Tag, "writeEnabled", false);
    assert_eq!(held.put("v1", &another(&held.manifest)).status, 405);
    let patch = |body: &serde_json::Value, status: u16| {
        let headers = [("Content-Type", "application/json")];
        let path = "/acr/v1/mine/unlocked/_tags/v1";
        caller.send("PATCH", path, &headers, body.to_string().as_bytes()).expect(status)
    };
    patch(&json!({ "unlock": { "for": "1h" } }), 400);
    patch(&json!({ "unlock": { "for": "30h", "reason": "too long" } }), 400);
    patch(&json!({ "unlock": { "for": "1h", "reason": "a wrong base image" } }), 200);
    held.put("v1", &another(&held.manifest)).expect(201);
    patch(&json!({ "unlock": null }), 200);
    assert_eq!(held.put("v1", &held.manifest).status, 405);
    patch(&json!({ "unlock": { "for": "1s", "reason": "for a moment" } }), 200);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(held.put("v1", &held.manifest).status, 405, "it closes by itself");
    let text = world.seawall.audit().iter().map(ToString::to_string).collect::<String>();
    assert!(text.contains("a wrong base image"), "the reason is in the audit log");
}
