//! Links that somebody else made, kept too long or took elsewhere; and what else a data endpoint is asked for.

use super::world::{PUSHER, READER, World};
use crate::harness::sources::ask;
use crate::harness::wait_until;

/// Threat class A: registry, host, repository and digest.
#[test]
fn a_link_is_of_no_use_at_another_place() {
    let world = World::start();
    let pusher = world.caller("pusher");
    let (digest, other) = (pusher.push_blob("mine/app", b"a layer"), pusher.push_blob("mine/app", b"another"));
    pusher.push_blob("mine/copy", b"a layer");
    let target = world.link("reader", "mine/app", &digest);
    let fetched = world.visit("GET", &target).expect(200);
    // Nobody on the way may keep it past the link's end.
    assert_eq!(fetched.header("Cache-Control"), Some("private, no-store"));
    let data = |name: &str| format!("{name}:{}", world.seawall.address().port());
    for (host, target) in [
        (data("localhost"), target.replace("mine/app", "mine/copy")),
        (data("localhost"), target.replace(&digest, &other)),
        (data("us.localhost"), target.clone()),
        (data("data.other.test"), target.clone()),
        (data("localhost"), format!("{target}A")),
        (data("localhost"), target.replacen("link=1", "link=2", 1)),
        (data("localhost"), format!("{target}&link=")),
        (data("localhost"), format!("{}?link=", target.split_once('?').unwrap().0)),
    ] {
        world.expect_refused(&world.ask("127.0.0.1", &host, "GET", &target, &[]), "link_invalid");
    }
    // A fresh password does not help: it is not looked at.
    let (path, basic) = (target.split_once('?').unwrap().0, super::world::account("pusher").basic());
    let answer = world.ask("127.0.0.1", &data("localhost"), "GET", path, &[("Authorization", &basic)]);
    world.expect_refused(&answer, "link_missing");
    // At the login server a link is worth nothing, and a password what it was.
    let refused = world.ask("127.0.0.1", &world.login_server(), "GET", &target, &[]).expect(401);
    assert!(refused.header("WWW-Authenticate").is_some());
}

/// S3-71, S3-93, S3-95: whatever was taken away since is missed with the next request, on an open connection too.
#[test]
fn a_link_ends_with_what_it_stands_on() {
    let world = World::start();
    let digest = world.caller("pusher").push_blob("mine/app", b"a layer");
    let [reader, admin] = ["reader", "myregistry"].map(|user| world.link(user, "mine/app", &digest));
    let disabled = READER.replace("readers, ", "readers, status: disabled, ");
    let without = ("'mine/*': [content/read]", "'yours/*': [content/read]");
    let renamed = READER.replace("reader:", "leaver:");
    for (change, link, reason) in [
        ((READER, disabled.as_str()), &reader, "token_disabled"),
        (without, &reader, "action_not_granted"),
        ((READER, renamed.as_str()), &reader, "principal_gone"),
        (("adminUserEnabled: true", "adminUserEnabled: false"), &admin, "admin_disabled"),
    ] {
        world.visit("GET", link).expect(200);
        world.edit(&[change]);
        world.expect_refused(&world.visit("GET", link), reason);
        assert_eq!(world.visit("HEAD", link).status, 403);
        world.edit(&[]);
    }
    // What others may does not change with it.
    world.edit(&[(PUSHER, &PUSHER.replace("everything, ", "everything, status: disabled, "))]);
    world.visit("GET", &reader).expect(200);
    // Off, there is no such host, and blobs come from the login server again.
    world.edit(&[("dataEndpointEnabled: true", "dataEndpointEnabled: false")]);
    world.visit("GET", &reader).expect(421);
    world.caller("reader").get(&format!("/v2/mine/app/blobs/{digest}")).expect(200);
}

/// B.4-9, B.3: the network rules are the registry's, and come first.
#[test]
fn the_network_rules_come_before_the_link() {
    let world = World::start();
    let digest = world.caller("pusher").push_blob("mine/app", b"a layer");
    let link = world.link("reader", "mine/app", &digest);
    let host = world.data_host();
    let from = |source: &str, target: &str| world.ask(source, &host, "GET", target, &[]);
    from("127.0.0.6", &link).expect(200);
    let rules = "networkRuleSet: { defaultAction: Deny, ipRules: [ { value: 127.0.0.5 } ] }";
    world.edit(&[("networkRuleSet: { defaultAction: Allow }", rules)]);
    from("127.0.0.5", &link).expect(200);
    for target in [link.as_str(), "/v2/mine/app/blobs/nonsense?link=1", "/v2/"] {
        let refused = from("127.0.0.6", target).expect(403);
        assert!(refused.text().contains("client with IP \\u0027127.0.0.6\\u0027"), "{}", refused.text());
        assert_eq!(world.record(&refused)["reason"], "network_refused");
    }
}

/// Everything but a blob's download is somewhere else, and nobody is asked to log in.
#[test]
fn a_data_endpoint_has_blobs_and_nothing_else() {
    let world = World::start();
    let digest = world.caller("pusher").push_blob("mine/app", b"a layer");
    let link = world.link("pusher", "mine/app", &digest);
    let query = link.split_once('?').unwrap().1.to_owned();
    let authorization = super::world::account("pusher").basic();
    for (method, path) in [
        ("GET", "/v2/"),
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/mine/app/tags/list"),
        ("GET", "/v2/mine/app/manifests/v1"),
        ("PUT", "/v2/mine/app/manifests/v1"),
        ("POST", "/v2/mine/app/blobs/uploads/"),
        ("DELETE", link.split_once('?').unwrap().0),
        ("GET", "/oauth2/token"),
        ("POST", "/oauth2/token"),
        ("POST", "/oauth2/exchange"),
        ("GET", "/oauth2/sign-in"),
        ("GET", "/.well-known/jwks.json"),
    ] {
        let headers = [("Host", world.data_host()), ("Authorization", authorization.clone())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let target = format!("{path}?{query}");
        let answer = ask("127.0.0.1", world.seawall.address(), method, &target, &headers, b"").unwrap();
        assert_eq!((answer.status, answer.header("WWW-Authenticate")), (404, None), "{method} {path}");
    }
    world.visit("GET", &link).expect(200);
}

/// A read is counted where the bytes are: once, however often its link is followed.
#[test]
fn a_read_counts_once_and_at_the_data_endpoint() {
    let world = World::start();
    let digest = world.caller("pusher").push_blob("mine/app", b"a layer");
    let limits = "rateLimits: { identity: { read: 3 } }\n    dataEndpointEnabled: true";
    world.edit(&[("dataEndpointEnabled: true", limits)]);
    let links = [(); 5].map(|()| world.link("reader", "mine/app", &digest));
    for link in &links[..3] {
        world.visit("GET", link).expect(200);
    }
    let refused = world.visit("GET", &links[0]).expect(429);
    assert!(refused.header("Retry-After").is_some());
    wait_until("it is told", || world.record(&refused)["reason"] == "rate_limited");
}
