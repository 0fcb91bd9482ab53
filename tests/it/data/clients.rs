//! Real clients and raw requests on the good path: one host for everything, another one for downloads.

use super::world::{World, account};
use crate::harness::artifacts::{Helm, Oras};
use crate::harness::client::Client;
use crate::harness::containers::{Podman, Skopeo};
use crate::harness::daemons::{Containerd, Docker};
use crate::harness::http::Connection;
use crate::harness::image::Layout;
use crate::harness::nearby::{listener, with_listeners};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::session::Session;
use crate::harness::sources::message;
use crate::harness::tls::{Authority, connect, listener_tls};

/// B.4-9: pushes, forgets and pulls again; every blob comes from the data endpoint.
fn pulls_from_the_data_endpoint<C: Client>() {
    let world = World::start();
    let mut client = C::new();
    client.log_in(&world.login_server(), &account("pusher")).expect_success();
    for (tag, layout) in [("layers", Layout::image("three layers")), ("arches", Layout::index("two images"))] {
        let reference = format!("{}/mine/app:{tag}", world.login_server());
        let identity = client.load(&layout, &reference);
        client.push(&layout, &reference).expect_success();
        client.forget(&reference);
        client.pull(&reference).expect_success();
        assert_eq!(client.identity(&reference), Some(identity));
    }
    let records = world.seawall.audit();
    let reads = records.iter().filter(|record| record["operation"] == "blob_read" && record["method"] == "GET");
    let (visits, redirects): (Vec<_>, Vec<_>) = reads.partition(|record| record["dataEndpoint"] == world.data_host());
    assert!(!visits.is_empty() && redirects.len() >= visits.len(), "{records:?}");
    for (record, status) in redirects.iter().map(|one| (one, 307)).chain(visits.iter().map(|one| (one, 200))) {
        // A client that has lost its access token asks without one, and then with one.
        let refused = record["reason"] == "credential_required";
        assert!(refused || record["status"] == status, "{record}");
        assert!(refused || record["principal"]["name"] == "pusher", "{record}");
    }
    assert!(!records.iter().any(|record| record.to_string().contains("link=")), "no link is in the log");
}

#[test]
fn skopeo_pulls_from_the_data_endpoint() {
    pulls_from_the_data_endpoint::<Skopeo>();
}

#[test]
fn podman_pulls_from_the_data_endpoint() {
    pulls_from_the_data_endpoint::<Podman>();
}

#[test]
fn containerd_pulls_from_the_data_endpoint() {
    pulls_from_the_data_endpoint::<Containerd>();
}

#[test]
fn docker_pulls_from_the_data_endpoint() {
    pulls_from_the_data_endpoint::<Docker>();
}

#[test]
fn oras_and_helm_pull_from_the_data_endpoint() {
    let world = World::start();
    let (server, account) = (world.login_server(), account("pusher"));
    let (oras, helm) = (Oras::new(), Helm::new());
    oras.log_in(&server, &account).expect_success();
    oras.push(&format!("{server}/mine/artifact:v1")).expect_success();
    oras.pull(&format!("{server}/mine/artifact:v1")).expect_success();
    helm.log_in(&server, &account).expect_success();
    helm.push(&server, "mine").expect_success();
    helm.pull(&server, "mine").expect_success();
    assert!(helm.has_pulled_the_same());
    let records = world.seawall.audit();
    let visits = |repository: &str| {
        let at_data = |record: &&serde_json::Value| record["dataEndpoint"] == world.data_host();
        records
            .iter()
            .filter(at_data)
            .filter(|record| record["repository"] == repository && record["status"] == 200)
            .count()
    };
    assert!(visits("mine/artifact") > 0 && visits("mine/hello-world") > 0, "{records:?}");
}

/// What is redirected, and what is not.
#[test]
fn only_downloads_of_blobs_leave_the_login_server() {
    let world = World::start();
    let pusher = world.caller("pusher");
    let digest = pusher.push_blob("mine/app", b"0123456789");
    pusher.push_image("mine/app", "v1", "an image");
    let path = format!("/v2/mine/app/blobs/{digest}");
    let redirect = pusher.get(&path).expect(307);
    let location = redirect.expect_header("Location").to_owned();
    assert!(location.starts_with(&format!("http://{}{path}?link=", world.data_host())), "{location}");
    assert_eq!((redirect.expect_header("Cache-Control"), redirect.body.len()), ("no-store", 0));
    let record = world.record(&redirect);
    assert_eq!((&record["reason"], &record["status"]), (&"permitted".into(), &307.into()), "{record}");
    assert_eq!(record.get("dataEndpoint"), None);
    assert_eq!(pusher.send("HEAD", &path, &[], b"").expect(200).header("Location"), None);
    assert_eq!(pusher.has_manifest("mine/app", "v1"), 200);
    // Access tokens as well as passwords.
    let session = Session::new(world.seawall.address(), account("reader"));
    session.get(&path).expect(307);

    let target = world.link("reader", "mine/app", &digest);
    let whole = world.visit("GET", &target).expect(200);
    assert_eq!((whole.body.as_slice(), whole.expect_header("Docker-Content-Digest")), (&b"0123456789"[..], &*digest));
    let record = world.record(&whole);
    assert_eq!((&record["dataEndpoint"], &record["principal"]["name"]), (&world.data_host().into(), &"reader".into()));
    assert!(record["rule"].as_str().unwrap().starts_with("scope map readers ("), "{record}");
    assert_eq!(world.visit("HEAD", &target).expect(200).expect_header("Content-Length"), "10");
    // A download that broke off goes on with the same link.
    let host = world.data_host();
    let rest = world.ask("127.0.0.1", &host, "GET", &target, &[("Range", "bytes=4-")]).expect(206);
    assert_eq!((rest.body.as_slice(), rest.expect_header("Content-Range")), (&b"456789"[..], "bytes 4-9/10"));
    // Clients must not carry it there (B.1-15); whatever it is, it is not looked at.
    for authorization in ["Basic !", "Bearer nonsense", &account("nobody").basic()] {
        world.ask("127.0.0.1", &host, "GET", &target, &[("Authorization", authorization)]).expect(200);
    }
}

/// Each process sends clients to its own region.
#[test]
fn the_region_of_the_process_chooses_the_data_endpoint() {
    for (region, expected) in [("", "localhost"), ("region: us", "us.localhost"), ("region: asia", "localhost")] {
        let world = World::in_region(region);
        let pusher = world.caller("pusher");
        let digest = pusher.push_blob("mine/app", b"a layer");
        let answer = pusher.get(&format!("/v2/mine/app/blobs/{digest}")).expect(307);
        let location = answer.expect_header("Location");
        assert!(location.starts_with(&format!("http://{expected}:")), "{region} {location}");
    }
}

/// Two names with a certificate each, at one TLS listener.
#[test]
fn both_hosts_have_their_certificates() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let authority = Authority::new();
    let files = [
        authority.issue(place.path(), "login", &["login.test"]),
        authority.issue(place.path(), "data", &["data.test"]),
    ];
    let (port, password) = (place.public().port(), place.secret("worker", super::world::PASSWORD));
    let registries = format!(
        "registries:\n  myregistry:\n    loginServer: \"login.test:{port}\"\n    upstream: {{ url: \"{}\" }}\n    \
         dataEndpointEnabled: true\n    dataEndpoints: [ {{ region: eu, host: \"data.test:{port}\" }} ]\n    \
         adminUserEnabled: true\n    admin: {{ passwords: [ {{ name: password, file: \"{}\" }} ] }}\n",
        upstream.url(),
        password.display()
    );
    let listeners = listener("public", place.public(), &listener_tls(&[&files[0], &files[1]]));
    let text = with_listeners(&place.document(&registries), &listeners);
    let seawall = place.start(&text);
    let digest = crate::harness::caller::Caller::anonymous(upstream.address()).push_blob("team/app", b"a layer");
    let path = format!("/v2/team/app/blobs/{digest}");
    let basic = account("myregistry").basic();
    let mut login: Connection<_> = connect(seawall.address(), &authority, "login.test");
    let host = format!("login.test:{port}");
    login.send(&message("GET", &path, &[("Host", &host), ("Authorization", &basic)], b""));
    let location = login.answer("GET").unwrap().expect(307).expect_header("Location").to_owned();
    assert!(location.starts_with(&format!("https://data.test:{port}{path}?link=")), "{location}");

    let mut data: Connection<_> = connect(seawall.address(), &authority, "data.test");
    let target = crate::harness::caller::path_of(&location);
    data.send(&message("GET", target, &[("Host", &format!("data.test:{port}"))], b""));
    assert_eq!(data.answer("GET").unwrap().expect(200).body, b"a layer");
}
