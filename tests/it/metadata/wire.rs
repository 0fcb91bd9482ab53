//! ACR's metadata API and the listings of the protocol, as clients see them (wire contract 3).

use serde_json::{Value, json};

use crate::harness::caller::{Caller, digest};
use crate::harness::http::Response;
use crate::harness::registry::Distribution;
use crate::harness::wall::{MINE, READER, REGISTRY, WRITER, World};

/// The time of ACR: `2026-05-17T08:18:30.4492203Z`.
fn is_acrs_time(value: &Value) -> bool {
    let text = value.as_str().unwrap();
    text.len() == 28 && text.as_bytes()[19] == b'.' && text.ends_with('Z')
}

fn all_on() -> Value {
    json!({ "deleteEnabled": true, "writeEnabled": true, "readEnabled": true, "listEnabled": true })
}

/// Takes the two times out of an object, each of which must be there.
fn timeless(mut object: Value) -> Value {
    for name in ["createdTime", "lastUpdateTime"] {
        let time = object.as_object_mut().unwrap().remove(name).unwrap_or_else(|| panic!("no {name}: {object}"));
        assert!(is_acrs_time(&time), "{time}");
    }
    object
}

#[test]
fn repositories_tags_and_manifests_have_the_shapes_of_acr() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution);
        let caller = world.caller(MINE);
        let manifest = caller.push_image("mine/app", "v1", "words");
        let (of, login) = (digest(&manifest), world.seawall.address().to_string());
        let repository = json!({
            "registry": login, "imageName": "mine/app", "manifestCount": 1, "tagCount": 1, "changeableAttributes": all_on(),
        });
        for path in ["/acr/v1/mine/app", "/acr/v1/mine%2Fapp?api-version=2021-07-01"] {
            assert_eq!(timeless(caller.get(path).expect(200).json()), repository, "{path}");
        }
        let tag = json!({ "name": "v1", "digest": of, "signed": false, "changeableAttributes": all_on() });
        let answer = caller.get("/acr/v1/mine%2Fapp/_tags/v1").expect(200).json();
        assert_eq!((&answer["registry"], &answer["imageName"]), (&json!(login), &json!("mine/app")));
        assert_eq!(timeless(answer["tag"].clone()), tag);
        let list = caller.get("/acr/v1/mine/app/_tags?orderby=").expect(200).json();
        assert_eq!(timeless(list["tags"][0].clone()), tag);
        let list = caller.get(&format!("/acr/v1/mine/app/_tags?digest={of}")).expect(200).json();
        assert_eq!(list["tags"].as_array().unwrap().len(), 1);

        let path = format!("/acr/v1/mine/app/_manifests/{of}");
        let answer = timeless(caller.get(&path).expect(200).json()["manifest"].clone());
        assert_eq!((&answer["digest"], &answer["tags"]), (&json!(of), &json!(["v1"])));
        assert_eq!((&answer["architecture"], &answer["os"]), (&json!("amd64"), &json!("linux")));
        assert_eq!(answer["configMediaType"], "application/vnd.oci.image.config.v1+json");
        assert_eq!(answer["changeableAttributes"], all_on());
        assert!(answer["imageSize"].as_u64().unwrap() > manifest.len() as u64, "{answer}");
        let list = caller.get("/acr/v1/mine/app/_manifests").expect(200).json();
        assert_eq!(timeless(list["manifests"][0].clone()), answer);
    }
}

#[test]
fn what_is_not_there_is_not_found_and_what_nobody_has_is_unsupported() {
    let world = World::start(Distribution::V2);
    let caller = world.caller(MINE);
    caller.push_image("mine/app", "v1", "words");
    let none = digest(b"none");
    for path in
        ["/acr/v1/mine/none", "/acr/v1/mine/none/_tags", "/acr/v1/mine/app/_tags/none", "/v2/mine/none/tags/list"]
    {
        caller.get(path).expect(404);
    }
    caller.get(&format!("/acr/v1/mine/app/_manifests/{none}")).expect(404);
    for path in ["/acr/v1/_deleted/_catalog", "/acr/v1/mine/app/_metadata/key"] {
        assert_eq!(caller.get(path).expect(404).json()["errors"][0]["code"], "UNSUPPORTED", "{path}");
    }
    caller.get("/acr/v1/mine/app/_tags?orderby=name").expect(400);
    caller.send("PATCH", "/acr/v1/mine/app", &[], br#"{"writeEnabled":"no"}"#).expect(400);
}

/// The path in `Link`, as clients cut it out (R8).
fn next(answer: &Response) -> Option<String> {
    let link = answer.header("Link")?;
    let path = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    assert!(path.split_once('?').unwrap().1.split('&').all(|item| item.contains('=')), "{link}");
    Some(path.to_owned())
}

/// All items below `key`, page by page, and how many pages there were.
fn pages(caller: &Caller, first: &str, key: &str) -> (Vec<String>, usize) {
    let (mut items, mut count, mut path) = (Vec::new(), 0, Some(first.to_owned()));
    while let Some(at) = path {
        let answer = caller.get(&at).expect(200);
        let name = |item: &Value| item.as_str().or_else(|| item["name"].as_str()).unwrap().to_owned();
        items.extend(answer.json()[key].as_array().unwrap().iter().map(name));
        count += 1;
        path = next(&answer);
    }
    (items, count)
}

/// B.1-13. Distribution 2.8 gives all tags at once, whatever is asked for.
#[test]
fn lists_of_tags_have_pages() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution);
        let caller = world.caller(MINE);
        let manifest = caller.push_image("mine/app", "v1", "words");
        for tag in ["v2", "v3", "v4", "v5"] {
            caller.put_manifest(&format!("/v2/mine/app/manifests/{tag}"), &manifest).expect(201);
        }
        let all = ["v1", "v2", "v3", "v4", "v5"].map(str::to_owned).to_vec();
        for first in
            ["/v2/mine/app/tags/list?n=2", "/acr/v1/mine/app/_tags?n=2", "/acr/v1/mine/app/_tags?n=2&orderby=timeasc"]
        {
            assert_eq!(pages(&caller, first, "tags"), (all.clone(), 3), "{first}");
        }
        assert_eq!(pages(&caller, "/v2/mine/app/tags/list", "tags"), (all.clone(), 1));
        assert_eq!(pages(&caller, "/v2/mine/app/tags/list?last=v3", "tags"), (all[3..].to_vec(), 1));
        let newest = pages(&caller, "/acr/v1/mine/app/_tags?n=3&orderby=timedesc", "tags");
        assert_eq!(newest, (all.iter().rev().cloned().collect(), 2));
        let none = caller.get("/v2/mine/app/tags/list?n=0").expect(200);
        assert_eq!((none.json()["tags"].clone(), next(&none)), (json!([]), None));
    }
}

/// S3-17: for no token, whatever its scope map is.
#[test]
fn the_catalogue_is_not_for_tokens() {
    let world = World::start(Distribution::V2);
    let admin = world.caller(REGISTRY);
    assert_eq!(admin.get("/v2/_catalog").expect(200).json(), json!({ "repositories": [] }));
    assert_eq!(admin.get("/acr/v1/_catalog").expect(200).json(), json!({ "repositories": null }));
    let caller = world.caller(MINE);
    for name in ["mine/a", "mine/b", "mine/c"] {
        caller.push_image(name, "v1", name);
    }
    for path in ["/v2/_catalog", "/acr/v1/_catalog"] {
        let refused = caller.get(path).expect(401);
        assert!(refused.expect_header("WWW-Authenticate").contains("scope=\"registry:catalog:*\""), "{path}");
        let all = ["mine/a", "mine/b", "mine/c"].map(str::to_owned).to_vec();
        assert_eq!(pages(&admin, &format!("{path}?n=2"), "repositories"), (all, 2));
    }
}

/// B.1-10: each needs its own action.
#[test]
fn metadata_is_for_those_who_may_see_or_change_it() {
    let world = World::start(Distribution::V2);
    world.caller(MINE).push_image("mine/app", "v1", "words");
    for user in [READER, WRITER] {
        let caller = world.caller(user);
        for (method, path, scope) in [
            ("GET", "/acr/v1/mine/app", "repository:mine/app:metadata_read"),
            ("GET", "/acr/v1/mine/app/_tags", "repository:mine/app:metadata_read"),
            ("PATCH", "/acr/v1/mine/app", "repository:mine/app:metadata_read,metadata_write"),
            ("DELETE", "/acr/v1/mine/app", "repository:mine/app:delete"),
            ("DELETE", "/acr/v1/mine/app/_tags/v1", "repository:mine/app:delete"),
        ] {
            let challenge = caller.send(method, path, &[], b"").expect(401);
            let challenge = challenge.expect_header("WWW-Authenticate");
            assert!(challenge.contains(&format!("scope=\"{scope}\"")), "{method} {path}: {challenge}");
        }
    }
}

/// OCI distribution-spec "Deleting tags", which Distribution 2.8 cannot do.
#[test]
fn deleting_a_tag_leaves_its_manifest() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution);
        let caller = world.caller(MINE);
        let manifest = caller.push_image("mine/app", "v1", "words");
        for (tag, path) in [("a", "/v2/mine/app/manifests/a"), ("b", "/acr/v1/mine%2Fapp/_tags/b")] {
            caller.put_manifest(&format!("/v2/mine/app/manifests/{tag}"), &manifest).expect(201);
            caller.send("DELETE", path, &[], b"").expect(202);
            assert_eq!(caller.has_manifest("mine/app", tag), 404, "{path}");
            assert_eq!(caller.has_manifest("mine/app", &digest(&manifest)), 200, "{path}");
        }
        assert_eq!(pages(&caller, "/v2/mine/app/tags/list", "tags").0, ["v1"]);
        let deleted = caller.send("DELETE", "/acr/v1/mine%2Fapp", &[], b"").expect(202).json();
        assert_eq!(deleted["tagsDeleted"], json!(["v1"]));
        assert!(deleted["manifestsDeleted"].as_array().unwrap().contains(&json!(digest(&manifest))), "{deleted}");
        caller.get("/acr/v1/mine/app").expect(404);
    }
}
