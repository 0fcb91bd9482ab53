//! Nobody gets what he may not have because somebody else was given it before.

use super::{World, blob_path, expect_kept, expect_upstream, manifest, manifest_path, with_cache};
use crate::harness::caller::{Caller, digest, path_of};
use crate::harness::nearby;
use crate::harness::ports;
use crate::harness::proxies::Proxy;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::session::Session;
use crate::harness::sources::ask;
use crate::harness::wall::{BOTH, MINE, READER, REGISTRY, Setup, WRITER, account};

#[test]
fn those_without_rights_are_refused_though_it_is_kept() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution, "{}");
        let both = world.caller(BOTH);
        let pushed = both.push_image("secret/app", "v1", "a secret");
        let (named, blob) = (digest(&pushed), both.push_blob("secret/app", b"a secret layer"));
        for _ in 0..2 {
            manifest(&both, "secret/app", &named).expect(200);
            both.get(&blob_path("secret/app", &blob)).expect(200);
        }
        assert_eq!(world.hits(), 2);
        for other in [MINE, READER, WRITER] {
            for path in [manifest_path("secret/app", &named), blob_path("secret/app", &blob)] {
                let refused = world.caller(other).get(&path);
                assert!(matches!(refused.status, 401 | 403), "{other}: {refused:?}");
            }
        }
        let nobody = Caller::anonymous(world.seawall.address());
        nobody.get(&manifest_path("secret/app", &named)).expect(401);
        // A repository of one's own does not have it because another one does.
        let mine = world.caller(MINE);
        mine.push_image("mine/app", "v1", "mine");
        for (path, code) in
            [(manifest_path("mine/app", &named), "MANIFEST_UNKNOWN"), (blob_path("mine/app", &blob), "BLOB_UNKNOWN")]
        {
            let missing = mine.get(&path).expect(404);
            assert_eq!(missing.json()["errors"][0]["code"], code);
        }
        assert_eq!(world.hits(), 2);
    }
}

#[test]
fn whoever_is_disabled_is_refused_at_once_and_others_go_on() {
    let registry = Registry::start(Distribution::V2);
    let place = Place::new();
    let setup = Setup::new(&registry.url());
    let document = with_cache(&setup.document(&place), "{}");
    let seawall = place.start(&document);
    let (mine, reader) = (Caller::of(&seawall, MINE), Caller::of(&seawall, READER));
    let pushed = mine.push_image("mine/app", "v1", "an image");
    let named = digest(&pushed);
    let access_token = Session::new(seawall.address(), account(READER)).access_token(&["repository:mine/app:pull"]);
    let bearer = Caller::bearer(&seawall, &access_token);
    manifest(&mine, "mine/app", &named).expect(200);
    for one in [&reader, &bearer] {
        expect_kept(&seawall, &manifest(one, "mine/app", &named));
    }
    let disabled = Setup::new(&registry.url()).disabled(READER).document(seawall.place());
    seawall.edit(&with_cache(&disabled, "{}"));
    for one in [&reader, &bearer] {
        manifest(one, "mine/app", &named).expect(401);
    }
    // The file has changed, and nothing about the cache has.
    expect_kept(&seawall, &manifest(&mine, "mine/app", &named));
    seawall.edit(&with_cache(&setup.document(seawall.place()), "off"));
    expect_upstream(&seawall, &manifest(&mine, "mine/app", &named), 200);
    seawall.edit(&document);
    expect_upstream(&seawall, &manifest(&mine, "mine/app", &named), 200);
    expect_kept(&seawall, &manifest(&mine, "mine/app", &named));
}

#[test]
fn what_is_locked_against_reading_is_refused_at_once() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution, "{tagAge: 1m}");
        let mine = world.caller(MINE);
        let pushed = mine.push_image("mine/app", "v1", "an image");
        let (named, blob) = (digest(&pushed), mine.push_blob("mine/app", b"a layer"));
        let lock = |path: &str, on: bool| {
            let body = format!("{{\"readEnabled\":{on}}}");
            mine.send("PATCH", path, &[("Content-Type", "application/json")], body.as_bytes()).expect(200);
        };
        let read = || {
            mine.get(&blob_path("mine/app", &blob)).expect(200);
            manifest(&mine, "mine/app", &named).expect(200)
        };
        read();
        expect_kept(&world.seawall, &read());
        expect_upstream(&world.seawall, &manifest(&mine, "mine/app", "v1"), 200);
        expect_kept(&world.seawall, &manifest(&mine, "mine/app", "v1"));
        lock(&format!("/acr/v1/mine/app/_manifests/{named}"), false);
        manifest(&mine, "mine/app", &named).expect(405);
        manifest(&mine, "mine/app", "v1").expect(405);
        lock(&format!("/acr/v1/mine/app/_manifests/{named}"), true);
        read();
        lock("/acr/v1/mine/app", false);
        manifest(&mine, "mine/app", &named).expect(405);
        mine.get(&blob_path("mine/app", &blob)).expect(405);
        lock("/acr/v1/mine/app", true);
        lock("/acr/v1/mine/app/_tags/v1", false);
        manifest(&mine, "mine/app", "v1").expect(405);
        read();
        expect_kept(&world.seawall, &read());
    }
}

#[test]
fn what_is_deleted_through_seawall_is_gone_at_once() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution, "{maximumAge: 1h, tagAge: 1h}");
        let mine = world.caller(MINE);
        let pushed = mine.push_image("mine/app", "v1", "an image");
        let (named, blob) = (digest(&pushed), mine.push_blob("mine/app", b"a layer"));
        let (by_digest, layer) = (manifest_path("mine/app", &named), blob_path("mine/app", &blob));
        for _ in 0..2 {
            manifest(&mine, "mine/app", "v1").expect(200);
            mine.get(&layer).expect(200);
        }
        mine.send("DELETE", &by_digest, &[], b"").expect(202);
        manifest(&mine, "mine/app", &named).expect(404);
        manifest(&mine, "mine/app", "v1").expect(404);
        mine.get(&layer).expect(200);
        mine.send("DELETE", &layer, &[], b"").expect(202);
        mine.get(&layer).expect(404);

        let pushed = mine.push_image("mine/app", "v2", "another image");
        for _ in 0..2 {
            manifest(&mine, "mine/app", "v2").expect(200);
        }
        mine.send("DELETE", "/acr/v1/mine/app/_tags/v2", &[], b"").expect(202);
        manifest(&mine, "mine/app", "v2").expect(404);
        manifest(&mine, "mine/app", &digest(&pushed)).expect(200);
        expect_kept(&world.seawall, &manifest(&mine, "mine/app", &digest(&pushed)));
        world.caller(REGISTRY).send("DELETE", "/acr/v1/mine/app", &[], b"").expect(202);
        manifest(&mine, "mine/app", &digest(&pushed)).expect(404);
    }
}

/// Two registries of one process before two upstreams, and the same names in both.
#[test]
fn registries_do_not_share_what_they_keep() {
    let (one, two) = (Registry::start(Distribution::V2), Registry::start(Distribution::V2));
    let place = Place::new();
    let first = nearby::registry(&place, "firstreg", &place.login_server(), &format!("url: \"{}\"", one.url()), &[]);
    let second = nearby::registry(&place, "secondreg", "two.test", &format!("url: \"{}\"", two.url()), &[]);
    let document = place.document(&format!("registries:\n{first}{second}"));
    let seawall = place.start(&document);
    let caller = Caller { address: seawall.address(), authorization: Some(nearby::worker().basic()) };
    let blob = caller.push_blob("team/app", b"a layer");
    let path = blob_path("team/app", &blob);
    for _ in 0..2 {
        caller.get(&path).expect(200);
    }
    let basic = nearby::worker().basic();
    let headers = [("Host", "two.test"), ("Authorization", basic.as_str())];
    ask("127.0.0.1", seawall.address(), "GET", &path, &headers, b"").unwrap().expect(404);
    // The same name before another upstream.
    let moved = document.replace(&one.url(), &two.url());
    seawall.edit(&moved);
    caller.get(&path).expect(404);
}

#[test]
fn what_came_from_a_storage_is_kept_too() {
    let files = tempfile::tempdir().unwrap();
    let nginx = Proxy::nginx_files(files.path());
    let middleware =
        format!("middleware: {{storage: [{{name: redirect, options: {{baseurl: \"http://{}/\"}}}}]}}", nginx.address);
    let registry = Registry::guarded(Distribution::V2, ports::free(), &middleware);
    std::os::unix::fs::symlink(registry.storage().join("docker"), files.path().join("docker")).unwrap();
    let place = Place::new();
    let redirects =
        format!("url: \"{}\", redirects: {{ mode: follow, origins: [\"http://{}\"] }}", registry.url(), nginx.address);
    let text = nearby::registry(&place, "myregistry", &place.login_server(), &redirects, &[]);
    let document = place.document(&format!("registries:\n{text}"));
    let seawall = place.start(&document);
    let caller = Caller { address: seawall.address(), authorization: Some(nearby::worker().basic()) };
    let path = blob_path("team/app", &caller.push_blob("team/app", b"a layer"));
    let first = caller.get(&path).expect(200);
    expect_upstream(&seawall, &first, 200);
    let second = caller.get(&path).expect(200);
    expect_kept(&seawall, &second);
    assert_eq!((&second.body, second.header("ETag")), (&first.body, first.header("ETag")));
}

/// At a data endpoint, where whoever has the link is decided about anew.
#[test]
fn a_data_endpoint_gives_out_what_is_kept() {
    let registry = Registry::start(Distribution::V2);
    let place = Place::new();
    let host = format!("localhost:{}", place.public().port());
    let data = format!("dataEndpoints: [ {{ region: eu, host: \"{host}\" }} ]");
    let more = ["dataEndpointEnabled: true", data.as_str()];
    let text =
        nearby::registry(&place, "myregistry", &place.login_server(), &format!("url: \"{}\"", registry.url()), &more);
    let document = place.document(&format!("registries:\n{text}"));
    let seawall = place.start(&document);
    let caller = Caller { address: seawall.address(), authorization: Some(nearby::worker().basic()) };
    let path = blob_path("team/app", &caller.push_blob("team/app", b"a layer"));
    let link = path_of(caller.get(&path).expect(307).expect_header("Location")).to_owned();
    let visit = || ask("127.0.0.1", seawall.address(), "GET", &link, &[("Host", &host)], b"").unwrap();
    expect_upstream(&seawall, &visit(), 200);
    let kept = visit();
    expect_kept(&seawall, &kept);
    assert_eq!((&*kept.body, kept.expect_header("Cache-Control")), (&b"a layer"[..], "private, no-store"));
    seawall.edit(&document.replace("scopeMap: everything", "scopeMap: everything, status: disabled"));
    assert_eq!(visit().status, 403);
}
