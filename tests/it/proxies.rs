//! Source addresses behind proxies: the PROXY protocol and forwarded headers, by the real HAProxy and the real nginx and
//! byte for byte (threat classes L and N).

use std::net::{IpAddr, SocketAddr};

use crate::harness::http::{Connection, Response};
use crate::harness::nearby::{listener, registry, with_listeners, worker};
use crate::harness::proxies::Proxy;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::sources::{ask, connect, message, record_of};
use crate::harness::tls::{Authority, handshake, listener_tls};
use crate::harness::{ports, wait_until};

const HOST: &str = "registry.test";

/// Everybody but 127.0.0.77, 203.0.113.7 and 2001:db8::7.
const RULES: &str = "networkRuleSet: { defaultAction: Allow, ipRules: [ { value: 127.0.0.77, action: Deny }, \
                     { value: 203.0.113.7, action: Deny }, { value: \"2001:db8::7\", action: Deny } ] }";

/// A seawall with a listener of each mode; 127.0.0.1 and 127.0.0.2 are trusted.
struct Behind {
    seawall: Seawall,
    _upstream: Registry,
    authority: Authority,
    proxy_protocol: SocketAddr,
    proxy_protocol_tls: SocketAddr,
    x_forwarded_for: SocketAddr,
    forwarded: SocketAddr,
}

impl Behind {
    fn start() -> Self {
        let upstream = Registry::start(Distribution::V2);
        let place = Place::new();
        let authority = Authority::new();
        let files = authority.issue(place.path(), "server", &[HOST]);
        let url = format!("url: \"{}\"", upstream.url());
        let document =
            place.document(&format!("registries:\n{}", registry(&place, "myregistry", HOST, &url, &[RULES])));
        let [proxy_protocol, proxy_protocol_tls, x_forwarded_for, forwarded] = [(); 4].map(|()| ports::free());
        let mode = |mode: &str| format!("source: {{mode: {mode}, trusted: [127.0.0.1, 127.0.0.2]}}");
        let encrypted = format!("{}, {}", mode("proxyProtocol"), listener_tls(&[&files]));
        let listeners = [
            listener("public", place.public(), ""),
            listener("balanced", proxy_protocol, &mode("proxyProtocol")),
            listener("balanced-tls", proxy_protocol_tls, &encrypted),
            listener("nginx", x_forwarded_for, &mode("forwarded")),
            listener("rfc", forwarded, &mode("forwarded, header: Forwarded")),
        ];
        let seawall = place.start(&with_listeners(&document, &listeners.join(", ")));
        Self { seawall, _upstream: upstream, authority, proxy_protocol, proxy_protocol_tls, x_forwarded_for, forwarded }
    }

    /// The source and the peer (without its port) of the audit record.
    #[track_caller]
    fn seen(&self, answer: &Response) -> (String, String) {
        let record = record_of(&self.seawall, answer);
        let peer: SocketAddr = record["peerAddress"].as_str().unwrap().parse().unwrap();
        (record["sourceAddress"].as_str().unwrap().to_owned(), peer.ip().to_string())
    }

    fn refused(&self, reason: &str) -> f64 {
        self.seawall.metric(&format!("seawall_connections_refused_total{{reason=\"{reason}\"}}"))
    }

    #[track_caller]
    fn assert_refused_for(&self, reason: &str, refuse: impl FnOnce()) {
        let before = self.refused(reason);
        refuse();
        wait_until("the refusal is counted", || self.refused(reason) > before);
        assert!((self.refused(reason) - before - 1.0).abs() < f64::EPSILON, "{reason} is counted once");
    }
}

fn log_in() -> Vec<u8> {
    message("GET", "/v2/", &[("Host", HOST), ("Authorization", &worker().basic())], b"")
}

/// An answer after these first bytes, or none.
fn after(peer: &str, to: SocketAddr, first: &[u8]) -> Option<Response> {
    let mut connection = Connection::over(connect(peer, to));
    connection.send(&[first, &log_in()].concat());
    connection.answer("GET")
}

/// A header of version 2 that passes on a connection, or speaks for the balancer itself (LOCAL).
fn version_2(local: bool, source: &str) -> Vec<u8> {
    let source: IpAddr = source.parse().unwrap();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.push(if local { 0x20 } else { 0x21 });
    match source {
        IpAddr::V4(source) => {
            header.extend([0x11, 0, 12]);
            header.extend(source.octets());
            header.extend([192, 0, 2, 1]);
        }
        IpAddr::V6(source) => {
            header.extend([0x21, 0, 36]);
            header.extend(source.octets());
            header.extend([0; 16]);
        }
    }
    header.extend([0x30, 0x39, 0x01, 0xbb]);
    header
}

/// Both versions, by the balancer that most people run.
#[test]
fn haproxy_in_front_passes_the_source_on_in_both_versions() {
    let behind = Behind::start();
    for version in [1, 2] {
        let haproxy = Proxy::haproxy(behind.proxy_protocol, version);
        let answer = after("127.0.0.5", haproxy.address, b"").unwrap();
        assert_eq!((answer.status, behind.seen(&answer)), (200, ("127.0.0.5".into(), "127.0.0.1".into())));
        let answer = after("127.0.0.77", haproxy.address, b"").unwrap();
        assert_eq!((answer.status, behind.seen(&answer).0), (403, "127.0.0.77".into()));
        assert!(answer.text().contains("127.0.0.77"), "{}", answer.text());

        // The header stands before the handshake, and holds for every request of the connection.
        let haproxy = Proxy::haproxy(behind.proxy_protocol_tls, version);
        for (source, status) in [("127.0.0.6", 200), ("127.0.0.77", 403)] {
            let client = behind.authority.client(&["http/1.1"], rustls::ALL_VERSIONS);
            let mut connection = Connection::over(handshake(connect(source, haproxy.address), client, HOST).unwrap());
            let rounds = if status == 200 { 2 } else { 1 };
            for _ in 0..rounds {
                connection.send(&log_in());
                let answer = connection.answer("GET").unwrap();
                assert_eq!((answer.status, behind.seen(&answer).0), (status, source.to_owned()));
            }
        }
    }
}

#[test]
fn a_proxy_header_names_the_source_and_a_local_one_leaves_the_peer() {
    let behind = Behind::start();
    let header = |text: &str| text.as_bytes().to_vec();
    for (first, source, status) in [
        (header("PROXY TCP4 203.0.113.5 192.0.2.1 1000 443\r\n"), "203.0.113.5", 200),
        (header("PROXY TCP4 203.0.113.7 192.0.2.1 1000 443\r\n"), "203.0.113.7", 403),
        (header("PROXY TCP6 2001:db8::5 2001:db8::1 1000 443\r\n"), "2001:db8::5", 200),
        // Threat class N: an IPv4 address in IPv6 clothes meets the IPv4 rules.
        (header("PROXY TCP6 ::ffff:203.0.113.7 ::ffff:192.0.2.1 1000 443\r\n"), "203.0.113.7", 403),
        (header("PROXY UNKNOWN\r\n"), "127.0.0.2", 200),
        (version_2(false, "203.0.113.5"), "203.0.113.5", 200),
        (version_2(false, "203.0.113.7"), "203.0.113.7", 403),
        (version_2(false, "2001:db8::7"), "2001:db8::7", 403),
        (version_2(false, "::ffff:203.0.113.7"), "203.0.113.7", 403),
        // What a LOCAL header says about addresses is not looked at.
        (version_2(true, "203.0.113.7"), "127.0.0.2", 200),
    ] {
        let answer = after("127.0.0.2", behind.proxy_protocol, &first).unwrap();
        let told = String::from_utf8_lossy(&first);
        assert_eq!((answer.status, behind.seen(&answer)), (status, (source.into(), "127.0.0.2".into())), "{told}");
    }
}

#[test]
fn without_a_header_of_a_trusted_balancer_a_connection_is_closed() {
    let behind = Behind::start();
    let to = behind.proxy_protocol;
    let good = b"PROXY TCP4 203.0.113.5 192.0.2.1 1000 443\r\n";
    behind.assert_refused_for("untrusted_peer", || assert!(after("127.0.0.66", to, good).is_none()));
    behind.assert_refused_for("untrusted_peer", || assert!(after("127.0.0.66", to, b"").is_none()));
    behind.assert_refused_for("malformed_proxy_header", || assert!(after("127.0.0.1", to, b"").is_none()));
    for first in [
        &b"PROXY TCP4 203.0.113.5\r\n"[..],
        b"PROXY TCP4 256.0.0.1 192.0.2.1 1 2\r\n",
        b"proxy TCP4 203.0.113.5 192.0.2.1 1000 443\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c123412341212",
    ] {
        behind.assert_refused_for("malformed_proxy_header", || {
            assert!(after("127.0.0.1", to, first).is_none(), "{}", String::from_utf8_lossy(first));
        });
    }
    behind.assert_refused_for("late_proxy_header", || {
        let mut silent = Connection::over(connect("127.0.0.1", to));
        silent.send(b"PROXY TCP4 203");
        assert!(silent.answer("GET").is_none());
    });
    // Before a TLS handshake, too.
    let to = behind.proxy_protocol_tls;
    let hello = || handshake(connect("127.0.0.66", to), behind.authority.client(&[], rustls::ALL_VERSIONS), HOST);
    behind.assert_refused_for("untrusted_peer", || assert!(hello().is_err()));
    let hello = || handshake(connect("127.0.0.1", to), behind.authority.client(&[], rustls::ALL_VERSIONS), HOST);
    behind.assert_refused_for("malformed_proxy_header", || assert!(hello().is_err()));
    // A second header is a request line that is none.
    let twice = [&good[..], b"PROXY TCP4 203.0.113.6 192.0.2.1 1000 443\r\n"].concat();
    let answer = after("127.0.0.1", behind.proxy_protocol, &twice);
    assert!(answer.is_none_or(|answer| answer.status == 400));
    assert!(behind.seawall.audit().is_empty(), "{:?}", behind.seawall.audit());
}

/// One answer of the `X-Forwarded-For` or `Forwarded` listener.
fn forwarded(peer: &str, to: SocketAddr, headers: &[(&str, &str)]) -> Response {
    let basic = worker().basic();
    let all = [&[("Host", HOST), ("Authorization", basic.as_str())], headers].concat();
    ask(peer, to, "GET", "/v2/", &all, b"").unwrap()
}

#[test]
fn nginx_in_front_passes_the_source_on_and_a_spoofed_hop_is_ignored() {
    let behind = Behind::start();
    let nginx = Proxy::nginx(behind.x_forwarded_for);
    for (source, spoofed, status) in [
        ("127.0.0.5", None, 200),
        ("127.0.0.5", Some("203.0.113.7"), 200),
        ("127.0.0.5", Some("127.0.0.1"), 200),
        ("127.0.0.77", None, 403),
        ("127.0.0.77", Some("127.0.0.5"), 403),
        ("127.0.0.77", Some("127.0.0.5, 127.0.0.1, 127.0.0.2"), 403),
    ] {
        let headers: Vec<(&str, &str)> = spoofed.iter().map(|spoofed| ("X-Forwarded-For", *spoofed)).collect();
        let answer = forwarded(source, nginx.address, &headers);
        let seen = behind.seen(&answer);
        assert_eq!((answer.status, seen), (status, (source.into(), "127.0.0.1".into())), "{source} {spoofed:?}");
    }
    // The request itself comes through whole: an upload with a body.
    let authorization = worker().basic();
    let headers = [("Host", HOST), ("Authorization", authorization.as_str())];
    let start = ask("127.0.0.5", nginx.address, "POST", "/v2/team/app/blobs/uploads/", &headers, b"").unwrap();
    let location = start.expect(202).expect_header("Location").to_owned();
    assert!(location.starts_with("/v2/"), "{location}");
    let body = vec![b'z'; 300_000];
    let patched = ask("127.0.0.5", nginx.address, "PATCH", &location, &headers, &body).unwrap().expect(202);
    assert_eq!(record_of(&behind.seawall, &patched)["requestBytes"], 300_000);
}

#[test]
fn forwarded_headers_are_believed_as_far_as_trusted_proxies_wrote_them() {
    let behind = Behind::start();
    let (x, rfc) = (behind.x_forwarded_for, behind.forwarded);
    let xff = "X-Forwarded-For";
    for (peer, to, headers, source) in [
        ("127.0.0.1", x, vec![], "127.0.0.1"),
        ("127.0.0.1", x, vec![(xff, "203.0.113.5")], "203.0.113.5"),
        ("127.0.0.1", x, vec![(xff, "203.0.113.7")], "203.0.113.7"),
        // From the right, as far as the hops are trusted.
        ("127.0.0.1", x, vec![(xff, "10.0.0.1, 203.0.113.5, 127.0.0.2")], "203.0.113.5"),
        ("127.0.0.1", x, vec![(xff, "203.0.113.7, 203.0.113.5")], "203.0.113.5"),
        // Several lines are one list, in their order.
        ("127.0.0.1", x, vec![(xff, "203.0.113.7"), (xff, "203.0.113.5"), (xff, "127.0.0.2")], "203.0.113.5"),
        ("127.0.0.1", x, vec![(xff, "203.0.113.5"), ("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
        // A malformed hop ends the walk at the proxy that vouched for it.
        ("127.0.0.1", x, vec![(xff, "203.0.113.5, unknown, 127.0.0.2")], "127.0.0.2"),
        ("127.0.0.1", x, vec![(xff, "203.0.113.5, fe80::1%eth0")], "127.0.0.1"),
        ("127.0.0.1", x, vec![(xff, "")], "127.0.0.1"),
        ("127.0.0.1", x, vec![(xff, "::ffff:203.0.113.7")], "203.0.113.7"),
        ("127.0.0.1", x, vec![(xff, "[2001:db8::7]:443")], "2001:db8::7"),
        // An untrusted peer says what it likes.
        ("127.0.0.66", x, vec![(xff, "203.0.113.5")], "127.0.0.66"),
        ("127.0.0.77", x, vec![(xff, "203.0.113.5, 127.0.0.1")], "127.0.0.77"),
        // Only the one header that was configured.
        ("127.0.0.1", x, vec![("Forwarded", "for=203.0.113.5")], "127.0.0.1"),
        ("127.0.0.1", x, vec![("X_Forwarded_For", "203.0.113.5"), ("X-Real-IP", "203.0.113.5")], "127.0.0.1"),
        ("127.0.0.1", rfc, vec![("Forwarded", "for=203.0.113.5;proto=https, for=127.0.0.2")], "203.0.113.5"),
        ("127.0.0.1", rfc, vec![("Forwarded", "for=\"[2001:db8::7]:4711\"")], "2001:db8::7"),
        ("127.0.0.1", rfc, vec![("Forwarded", "for=203.0.113.7"), ("Forwarded", "for=_hidden")], "127.0.0.1"),
        ("127.0.0.1", rfc, vec![(xff, "203.0.113.5")], "127.0.0.1"),
        ("127.0.0.66", rfc, vec![("Forwarded", "for=203.0.113.5")], "127.0.0.66"),
        // Elsewhere such headers are nothing at all.
        (
            "127.0.0.66",
            behind.seawall.address(),
            vec![(xff, "203.0.113.5"), ("Forwarded", "for=203.0.113.5")],
            "127.0.0.66",
        ),
    ] {
        let answer = forwarded(peer, to, &headers);
        let denied = matches!(source, "127.0.0.77" | "203.0.113.7" | "2001:db8::7");
        let expected = if denied { 403 } else { 200 };
        assert_eq!((answer.status, behind.seen(&answer)), (expected, (source.into(), peer.into())), "{headers:?}");
    }
    // On a balanced listener the PROXY header counts, and no other.
    let mut both = Connection::over(connect("127.0.0.1", behind.proxy_protocol));
    both.send(b"PROXY TCP4 203.0.113.5 192.0.2.1 1000 443\r\n");
    let basic = worker().basic();
    both.send(&message("GET", "/v2/", &[("Host", HOST), ("Authorization", &basic), (xff, "203.0.113.7")], b""));
    let answer = both.answer("GET").unwrap();
    assert_eq!((answer.status, behind.seen(&answer).0), (200, "203.0.113.5".into()));
}
