//! Every spelling of a path is decided on the canonical one, and the canonical one is what goes up (threats 4.1, class C).

use crate::harness::caller::{Caller, digest};
use crate::harness::fake::{Fake, answer};
use crate::harness::image::MANIFEST;
use crate::harness::registry::Distribution;
use crate::harness::wait_until;
use crate::harness::wall::{MINE, READER, REGISTRY, SECRET, Setup, World};

/// All of them are `/v2/secret/app/manifests/v1` to Distribution.
const SPELLINGS: &[&str] = &[
    "/v2/secret/app/manifests/v1",
    "/v2/secret%2Fapp/manifests/v1",
    "/v2/secret%2fapp/manifests/v1",
    "/v2/secret/%61pp/manifests/v1",
    "/v2/%73%65%63%72%65%74/app/manifests/v1",
    "/v2/secret/app/%6danifests/v1",
    "/v2/secret/app%2Fmanifests%2Fv1",
    "/v2/secret/app/manifests/v%31",
    "/%762/secret/app/manifests/v1",
    "/v%32/secret/app/manifests/v1",
    "/v2%2fsecret%2fapp%2fmanifests%2fv1",
    "/v2%2Fsecret/app/manifests/v1",
];

/// Threats 4.1: raw-path routing is bypassed; class C.
#[test]
fn an_encoded_path_is_authorised_as_the_path_it_means() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let (direct, owner, stranger) = (world.direct(), world.caller(SECRET), world.caller(MINE));
        let manifest = direct.push_image("secret/app", "v1", "secret");
        let accept = [("Accept", MANIFEST)];
        for path in SPELLINGS {
            let what = format!("{version:?} {path}");
            assert_eq!(direct.send("GET", path, &accept, b"").body, manifest, "{what}: the registry itself");
            assert_eq!(owner.send("GET", path, &accept, b"").expect(200).body, manifest, "{what}");
            let refused = stranger.send("GET", path, &accept, b"").expect(401);
            let challenge = refused.expect_header("WWW-Authenticate");
            assert!(challenge.contains("scope=\"repository:secret/app:pull\""), "{what}: {challenge}");
            for method in ["HEAD", "DELETE", "PUT"] {
                stranger.send(method, path, &[("Content-Type", MANIFEST)], b"").expect(401);
            }
        }
        assert_eq!(direct.has_manifest("secret/app", "v1"), 200, "{version:?}: it was deleted");
    }
}

/// Threats 4.1: the other endpoints.
#[test]
fn an_encoded_endpoint_is_the_endpoint_it_means() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let (direct, owner, stranger) = (world.direct(), world.caller(SECRET), world.caller(MINE));
        direct.push_image("secret/app", "v1", "secret");
        let blob = direct.push_blob("secret/app", b"content");
        let blob_path = format!("/v2/secret%2Fapp/%62lobs/{}", blob.replace(':', "%3A"));
        for path in ["/v2/secret/app/tags%2flist", "/v2/secret/app/%74ags/list", &blob_path] {
            direct.get(path).expect(200);
            owner.get(path).expect(200);
            stranger.get(path).expect(401);
        }
        // The catalog is the admin's (S3: tokens never see it).
        for path in ["/v2/_catalog", "/v2/%5fcatalog", "/v2/%5Fcatalog", "/%762/_catalog", "/v2%2f_catalog"] {
            direct.get(path).expect(200);
            stranger.get(path).expect(401);
            owner.get(path).expect(401);
            world.caller(REGISTRY).get(path).expect(200);
        }
    }
}

/// Threats 4.1: what is `v1` to the registry is `v1` to whoever decides, and in the audit log.
#[test]
fn an_encoded_tag_is_the_tag_it_means() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        mine.push_image("mine/app", "v1", "before");
        let manifest = mine.push_image("mine/app", "other", "after");
        world.caller(READER).put_manifest("/v2/mine/app/manifests/v%31", &manifest).expect(401);
        mine.put_manifest("/v2/mine/app/manifests/v%31", &manifest).expect(201);
        let stored = mine.send("GET", "/v2/mine/app/manifests/v1", &[("Accept", MANIFEST)], b"");
        assert_eq!(stored.expect(200).body, manifest, "{version:?}");
        let named = || -> Vec<String> {
            let mut audit = world.seawall.audit();
            // Two workers may write their records in another order than they answered.
            audit.sort_by_key(|record| record["time"].to_string());
            let writes = audit.iter().filter(|record| record["operation"] == "manifest_write");
            writes.map(|record| record["reference"].as_str().unwrap().to_owned()).collect()
        };
        wait_until("all four writes are in the audit log", || named().len() == 4);
        assert_eq!(named(), ["v1", "other", "v1", "v1"], "{version:?}");
    }
}

/// Threats 4.1: what the registry would answer with a redirect to its own host is refused here.
#[test]
fn a_path_that_others_would_normalise_is_refused_without_a_redirect() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let direct = world.direct();
        direct.push_image("secret/app", "v1", "secret");
        let mine = direct.push_image("mine/app", "v1", "mine");
        let redirected = direct.get("/v2//secret/app/manifests/v1").expect(301);
        assert!(redirected.header("Location").is_some(), "the registry itself redirects");
        for path in [
            "//v2/secret/app/manifests/v1",
            "/v2//secret/app/manifests/v1",
            "/v2/secret//app/manifests/v1",
            "/v2/./secret/app/manifests/v1",
            "/v2/mine/../secret/app/manifests/v1",
            "/v2/mine/app/manifests/../../../secret/app/manifests/v1",
            "/v2/mine/%2e%2e/secret/app/manifests/v1",
            "/v2/mine/%2E./secret/app/manifests/v1",
            "/v2/mine%2f..%2fsecret/app/manifests/v1",
            "/v2/%2e/secret/app/manifests/v1",
            "/v2/secret/app/manifests/v1/",
            "/v2/secret/app/tags/list/",
            "/v2/_catalog/",
            "/v2/mine/app/manifests/v1%00",
            "/v2/mine/app/manifests/v1%0d%0aX-Injected:%201",
            "/v2/mine\\..\\secret/app/manifests/v1",
            "/v2/mine/%zz/manifests/v1",
            "/v2/mine/%ff/manifests/v1",
            "/v2/mine/app/manifests/v1;secret",
        ] {
            for user in [MINE, SECRET, REGISTRY] {
                let refused = world.caller(user).get(path);
                let what = format!("{version:?} {path} as {user}: {refused:?}");
                // A tag that no tag can be is, to a reader, one that is not there.
                assert!(refused.status == 400 || refused.status == 404, "{what}");
                assert_eq!(refused.header("Location"), None, "{what}");
                refused.json();
            }
        }
        // What stands behind a `#` is gone before anybody looks: what is left is decided, and goes up.
        let cut = "/v2/mine/app/manifests/v1#/../../../secret/app/manifests/v1";
        assert_eq!(world.caller(MINE).send("GET", cut, &[("Accept", MANIFEST)], b"").expect(200).body, mine);
        world.caller(SECRET).get(cut).expect(401);
        // Decoded once: a second layer is text that no name may hold.
        for path in
            ["/v2/secret%252Fapp/manifests/v1", "/v2/%252e%252e/app/manifests/v1", "/v2/mine/%2561pp/manifests/v1"]
        {
            let refused = world.caller(SECRET).get(path).expect(400);
            assert_eq!(refused.json()["errors"][0]["code"], "NAME_INVALID", "{version:?} {path}");
        }
    }
}

/// Threats 4.1: names that look like endpoints are names, and take as much as Distribution gives them.
#[test]
fn a_repository_may_be_named_like_an_endpoint() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let (direct, mine, stranger) = (world.direct(), world.caller(MINE), world.caller(SECRET));
        for name in ["mine/a/manifests/b", "mine/x/blobs/uploads/y", "mine/tags/list", "mine/referrers/secret/app"] {
            let manifest = mine.push_image(name, "v1", name);
            let path = format!("/v2/{name}/manifests/v1");
            let stored = direct.send("GET", &path, &[("Accept", MANIFEST)], b"").expect(200);
            assert_eq!(stored.body, manifest, "{version:?} {name}");
            let refused = stranger.get(&path).expect(401);
            let challenge = refused.expect_header("WWW-Authenticate");
            assert!(challenge.contains(&format!("repository:{name}:pull")), "{version:?}: {challenge}");
        }
        // Nor can such a name reach into a repository on which somebody else has rights.
        stranger.push_image("secret/app", "v1", "secret");
        let blob = direct.push_blob("secret/app", b"content");
        for path in [
            format!("/v2/secret/app/blobs/{blob}/manifests/v1"),
            format!("/v2/secret/app/manifests/v1/blobs/{blob}"),
            "/v2/secret/app/manifests/v1/tags/list".to_owned(),
        ] {
            let refused = mine.get(&path);
            assert!(matches!(refused.status, 400 | 401), "{version:?} {path}: {refused:?}");
        }
    }
}

/// Threats 4.1, last row: registries that honour `?tag=` of a push by digest get the tags that were parsed, and no other
/// parameter.
#[test]
fn tags_of_a_push_by_digest_are_read_and_everything_else_in_a_query_is_dropped() {
    let fake = Fake::always(answer("201 Created", "", ""));
    let seawall = Setup::new(&fake.url()).start();
    let mine = Caller::of(&seawall, MINE);
    let by_digest = format!("/v2/mine/app/manifests/{}", digest(b"{}"));
    mine.put_manifest(&format!("{by_digest}?tag=v%31&x=1&t%61g=v2&digest=sha256:0"), b"{}").expect(201);
    mine.put_manifest("/v2/mine/app/manifests/v3?tag=v4&ns=docker.io", b"{}").expect(201);
    assert_eq!(
        fake.lines(),
        [format!("PUT {by_digest}?tag=v1&tag=v2 HTTP/1.1"), "PUT /v2/mine/app/manifests/v3 HTTP/1.1".to_owned()]
    );
    mine.put_manifest(&format!("{by_digest}?tag=../../secret"), b"{}").expect(400);
    Caller::of(&seawall, READER).put_manifest(&format!("{by_digest}?tag=v1"), b"{}").expect(401);
    assert_eq!(fake.seen().len(), 2);
}

/// Threats 4.1: 2.8 and 3 ignore `?tag=`, so it moves nothing there.
#[test]
fn a_tag_in_the_query_of_a_push_by_digest_moves_nothing_at_a_real_registry() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let manifest = mine.push_image("mine/app", "v1", "one");
        mine.put_manifest(&format!("/v2/mine/app/manifests/{}?tag=moved", digest(&manifest)), &manifest).expect(201);
        assert_eq!(mine.has_manifest("mine/app", "moved"), 404, "{version:?}");
    }
}
