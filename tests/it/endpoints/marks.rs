//! Private endpoints by the marks of the three clouds' balancers, byte for byte; and marks that nobody may make up.

use std::io::Write;

use super::world::{HOST, World, aws, azure, google, log_in, tlv, version_2};
use crate::harness::http::{self, Connection};
use crate::harness::proxies::Proxy;
use crate::harness::sources::{connect, message};
use crate::harness::tls::handshake;
use crate::harness::wait_until;

/// Nobody by the public rules; of each cloud one endpoint is approved and one is not.
const RULES: [&str; 2] = [
    "publicNetworkAccess: Disabled",
    "privateEndpointConnections: [ \
     { name: build-vpc, match: { vpcEndpointId: vpce-0build }, status: Approved }, \
     { name: test-vpc, match: { vpcEndpointId: vpce-0test }, status: Pending }, \
     { name: office-link, match: { linkId: 4711 }, status: Approved }, \
     { name: old-link, match: { linkId: 4712 }, status: Disconnected }, \
     { name: psc, match: { pscConnectionId: 72057594037927937 }, status: Approved }, \
     { name: bad-psc, match: { pscConnectionId: 2 }, status: Rejected }, \
     { name: lab, match: { listener: lab }, status: Rejected } ]",
];

/// S2-8, S2-10, B.4-2, B.4-3: public access is off, and an approved endpoint is the way in, whatever its addresses are.
#[test]
fn an_approved_endpoint_of_each_cloud_is_the_only_way_in() {
    let world = World::start(&RULES);
    // Private addresses of different owners are the same ones.
    for address in ["10.0.0.4", "192.0.2.1"] {
        for (listener, mark, expected) in [
            ("aws", aws("vpce-0build"), (200, "private endpoint build-vpc")),
            ("aws", aws("vpce-0test"), (403, "private endpoint test-vpc")),
            ("aws", aws("vpce-0other"), (403, "unknown private endpoint (vpcEndpointId `vpce-0other`)")),
            ("azure", azure(4711), (200, "private endpoint office-link")),
            ("azure", azure(4712), (403, "private endpoint old-link")),
            // The same number with its bytes the other way round.
            ("azure", azure(4711_u32.swap_bytes()), (403, "unknown private endpoint (linkId 1729232896)")),
            ("google", google(72_057_594_037_927_937), (200, "private endpoint psc")),
            ("google", google(2), (403, "private endpoint bad-psc")),
            ("google", google(1), (403, "unknown private endpoint (pscConnectionId 1)")),
        ] {
            let mut tlvs = vec![tlv(0x04, b"\0\0\0"), mark];
            tlvs.push(tlv(0x05, b"a-unique-id"));
            let answer = world.log_in(listener, "127.0.0.1", &version_2(address, &tlvs)).unwrap();
            let (status, network) = world.seen(&answer);
            assert_eq!((status, network.as_str()), expected, "{listener} {address}");
            let record = world.record(&answer);
            assert_eq!((&record["sourceAddress"], &record["listener"]), (&address.into(), &listener.into()));
            if status == 403 {
                let body = answer.text();
                assert!(
                    body.contains(&format!("client with IP \\u0027{address}\\u0027 is not allowed access.")),
                    "{body}"
                );
                assert_eq!(answer.header("WWW-Authenticate"), None);
                assert_eq!(record["reason"], "network_refused");
                let known = network.starts_with("private endpoint");
                let rule = record["rule"].as_str().unwrap();
                assert_eq!(rule.contains("seawall.yaml:"), known, "a connection is named with its place: {rule}");
            }
        }
    }
    // Without a mark it is the public endpoint, which is closed.
    let answer = world.log_in("aws", "127.0.0.1", &version_2("10.0.0.4", &[])).unwrap();
    assert_eq!(world.seen(&answer), (403, "public".into()));
}

/// S2-7, B.4-2: a status is changed in the file, and holds for the next request of a connection that is open.
#[test]
fn a_status_that_changes_counts_with_the_next_request() {
    let world = World::start(&RULES);
    let mut open = Connection::over(connect("127.0.0.1", world.listener("aws")));
    open.send(&[version_2("10.0.0.4", &[aws("vpce-0build")]), log_in()].concat());
    assert_eq!(open.answer("GET").unwrap().status, 200);
    for (status, expected) in [("Rejected", 403), ("Approved", 200), ("Disconnected", 403), ("Pending", 403)] {
        let changed = format!("vpce-0build }}, status: {status}");
        world.edit(&[RULES[0], &RULES[1].replace("vpce-0build }, status: Approved", &changed)]);
        let answer = world.log_in("aws", "127.0.0.1", &version_2("10.0.0.4", &[aws("vpce-0build")])).unwrap();
        assert_eq!(world.seen(&answer), (expected, "private endpoint build-vpc".into()), "{status}");
        if status == "Rejected" {
            open.send(&log_in());
            assert_eq!(open.answer("GET").unwrap().status, 403, "the connection was opened while it was approved");
        }
    }
}

/// Threat class N: a mark is worth something from a trusted balancer, on a listener that believes its kind, and nowhere
/// else.
#[test]
fn a_mark_that_somebody_made_up_opens_nothing() {
    let world = World::start(&RULES);
    let (build, link) = (version_2("10.0.0.4", &[aws("vpce-0build")]), version_2("10.0.0.4", &[azure(4711)]));
    // Strangers: closed unread.
    for listener in ["aws", "azure", "google", "deaf"] {
        for first in [&build, &link] {
            assert!(world.log_in(listener, "127.0.0.9", first).is_none(), "{listener}");
        }
    }
    // A listener that believes another kind, or none: there is no mark.
    for (listener, first) in [("deaf", &build), ("deaf", &link), ("azure", &build), ("aws", &link), ("google", &link)] {
        let answer = world.log_in(listener, "127.0.0.1", first).unwrap();
        assert_eq!(world.seen(&answer), (403, "public".into()), "{listener}");
    }
    // Where nobody speaks the PROXY protocol, it is no HTTP.
    for listener in ["public", "vnet", "lab"] {
        let answer = world.log_in(listener, "127.0.0.1", &build);
        assert!(answer.is_none_or(|answer| answer.status == 400), "{listener}");
    }
    // A second header behind the first is a request, and no good one.
    let twice = [version_2("10.0.0.4", &[]), build.clone()].concat();
    assert!(world.log_in("aws", "127.0.0.1", &twice).is_none_or(|answer| answer.status == 400));
    // Nor is there a header of HTTP for it.
    let marked = message(
        "GET",
        "/v2/",
        &[("Host", HOST), ("X-Forwarded-For", "10.0.0.4"), ("X-Ms-Private-Link-Id", "4711")],
        b"",
    );
    let mut plain = Connection::over(connect("127.0.0.1", world.listener("public")));
    plain.send(&marked);
    assert_eq!(plain.answer("GET").unwrap().status, 403);
}

/// What is not clear is closed, even where the public rules would let it in.
#[test]
fn a_repeated_or_malformed_mark_never_passes_for_public() {
    let world = World::start(&["networkRuleSet: { defaultAction: Allow }", RULES[1]]);
    let allowed = world.log_in("aws", "127.0.0.1", &version_2("10.0.0.4", &[])).unwrap();
    assert_eq!(world.seen(&allowed), (200, "public".into()));
    let unclear: [(&str, Vec<Vec<u8>>); 9] = [
        ("aws", vec![aws("vpce-0build"), aws("vpce-0build")]),
        ("aws", vec![aws("vpce-0build"), tlv(0x04, b""), aws("vpce-0test")]),
        ("aws", vec![tlv(0xEA, b"")]),
        ("aws", vec![tlv(0xEA, b"\x02vpce-0build")]),
        ("aws", vec![aws("vpce-0build\0")]),
        ("azure", vec![tlv(0xEE, b"\x01\x67\x12\0")]),
        ("azure", vec![azure(4711), azure(4711)]),
        ("google", vec![tlv(0xE0, &[0; 4])]),
        ("google", vec![google(1), tlv(0xE0, &[])]),
    ];
    let refused = || world.seawall.metric("seawall_connections_refused_total{reason=\"malformed_proxy_header\"}");
    let before = refused();
    for (listener, tlvs) in &unclear {
        let answer = world.log_in(listener, "127.0.0.1", &version_2("10.0.0.4", tlvs));
        assert!(answer.is_none(), "{listener} {tlvs:02x?}");
    }
    wait_until("each is counted", || (refused() - before - 9.0).abs() < f64::EPSILON);
}

/// On a TLS listener the mark is read before the handshake; on a private one it comes before the listener's own name.
#[test]
fn a_mark_is_read_in_front_of_tls() {
    let world = World::start(&[RULES[0], &RULES[1].replace("listener: lab", "listener: private-azure")]);
    for (tlvs, expected) in [
        (vec![azure(4711)], (200, "private endpoint office-link")),
        (vec![azure(4712)], (403, "private endpoint old-link")),
        (vec![], (403, "private endpoint lab")),
        // It believes Azure: what says AWS says nothing.
        (vec![aws("vpce-0build")], (403, "private endpoint lab")),
    ] {
        let mut socket = connect("127.0.0.1", world.listener("private-azure"));
        socket.write_all(&version_2("10.0.0.4", &tlvs)).unwrap();
        let client = world.authority.client(&[], rustls::ALL_VERSIONS);
        let mut connection = Connection::over(handshake(socket, client, HOST).unwrap());
        connection.send(&log_in());
        let answer = connection.answer("GET").unwrap();
        let (status, network) = world.seen(&answer);
        assert_eq!((status, network.as_str()), expected, "{tlvs:02x?}");
    }
}

/// The balancer that most people run, which adds extensions of its own: on a public listener it is the public endpoint, on a
/// private one the listener's.
#[test]
fn haproxy_in_front_is_public_or_private_as_its_listener_is() {
    let world = World::start(&["networkRuleSet: { defaultAction: Deny, ipRules: [ { value: 127.0.0.5 } ] }", RULES[1]]);
    for (peer, expected) in [("127.0.0.5", (200, "public")), ("127.0.0.6", (403, "public"))] {
        for listener in ["aws", "azure", "deaf"] {
            let haproxy = Proxy::haproxy_with_unique_ids(world.listener(listener));
            let mut connection = Connection::over(connect(peer, haproxy.address));
            connection.send(&log_in());
            let answer = connection.answer("GET").unwrap();
            let (status, network) = world.seen(&answer);
            assert_eq!((status, network.as_str()), expected, "{listener} {peer}");
            assert_eq!(world.record(&answer)["sourceAddress"], peer);
        }
    }
}

/// An endpoint that nobody knows is told once, with what approves it.
#[test]
fn an_unknown_endpoint_is_told_once_with_the_line_that_approves_it() {
    let mut world = World::start(&[RULES[0]]);
    let first = version_2("10.0.0.4", &[aws("vpce-0new")]);
    for _ in 0..3 {
        assert_eq!(world.log_in("aws", "127.0.0.1", &first).unwrap().status, 403);
    }
    let name = "seawall_private_endpoints_unknown_total{registry=\"myregistry\"}";
    let metrics = world.seawall.place().metrics();
    wait_until("it is counted", || {
        let text = http::get(metrics, "/metrics").unwrap().text();
        text.lines().any(|line| line == format!("{name} 1"))
    });
    let line = r#"{ name: "vpce-0new", match: { vpcEndpointId: "vpce-0new" }, status: Approved }"#;
    wait_until("it is told", || world.log().contains(line));
    assert_eq!(world.log().matches(line).count(), 1);
    assert_eq!(world.log_in("aws", "127.0.0.1", &version_2("10.0.0.4", &[aws("vpce-0more")])).unwrap().status, 403);
    wait_until("another one is counted", || (world.seawall.metric(name) - 2.0).abs() < f64::EPSILON);

    world.edit(&[RULES[0], &format!("privateEndpointConnections: [ {line} ]")]);
    // That they become Pending makes new policies, too.
    let met = || world.seen(&world.log_in("aws", "127.0.0.1", &first).unwrap());
    wait_until("the line is in force", || met() == (200, "private endpoint vpce-0new".into()));
}
