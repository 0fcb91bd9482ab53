//! Network admission: which source addresses reach a registry, and what the others learn (S2-9 to S2-12, threat classes
//! M and N). Callers bind to addresses of the loopback, so that one machine plays many.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::harness::http::{Connection, Response};
use crate::harness::nearby::{listener, registry, with_listeners, worker};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::sources::{ask, connect, message, record_of};
use crate::harness::{ports, wait_until};

const HOST: &str = "registry.test";

fn document(place: &Place, upstream: &Registry, more: &[&str]) -> String {
    let url = format!("url: \"{}\"", upstream.url());
    place.document(&format!("registries:\n{}", registry(place, "myregistry", HOST, &url, more)))
}

fn start(upstream: &Registry, more: &[&str]) -> Seawall {
    let place = Place::new();
    let document = document(&place, upstream, more);
    place.start(&document)
}

/// Method, target, headers and body of a request.
type Asked<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, &'a [u8]);

/// A log-in from `source`.
fn log_in(source: &str, to: SocketAddr) -> Response {
    ask(source, to, "GET", "/v2/", &[("Host", HOST), ("Authorization", &worker().basic())], b"").unwrap()
}

/// ACR's answer, to the byte (requirements B.3-12), and the id of the denial, where ACR has no detail.
fn refusal(address: &str, id: &str) -> String {
    format!(
        "{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"client with IP \\u0027{address}\\u0027 is not allowed access. \
         Refer https://aka.ms/acr/firewall to grant access.\",\"detail\":{{\"denial\":\"{id}\"}}}}]}}"
    )
}

#[track_caller]
fn assert_refused(answer: &Response, address: &str) {
    let id = answer.expect_header("X-Seawall-Denial");
    assert_eq!((answer.status, answer.text()), (403, refusal(address, id)), "{:?}", answer.headers);
    assert_eq!(answer.header("WWW-Authenticate"), None, "a refused address is not asked for a credential");
}

/// S2-9, S2-11: the longest prefix decides, Deny wins at equal length, else the default action.
#[test]
fn addresses_are_admitted_by_the_longest_prefix_and_deny_wins_a_tie() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(
        &upstream,
        &["networkRuleSet: { defaultAction: Deny, ipRules: [ \
           { value: 127.0.0.0/28, name: lab }, \
           { value: 127.0.0.4/30, action: Deny, name: leaked }, \
           { value: 127.0.0.6 }, \
           { value: 127.0.0.8, action: Allow }, { value: 127.0.0.8/32, action: Deny, name: tie } ] }"],
    );
    for (source, admitted, rule) in [
        ("127.0.0.1", true, ""),
        ("127.0.0.3", true, ""),
        ("127.0.0.4", false, "leaked"),
        ("127.0.0.6", true, ""),
        ("127.0.0.7", false, "leaked"),
        ("127.0.0.8", false, "tie"),
        ("127.0.0.15", true, ""),
        ("127.0.0.16", false, "defaultAction is Deny"),
        ("127.1.0.1", false, "defaultAction is Deny"),
    ] {
        let answer = log_in(source, seawall.address());
        let record = record_of(&seawall, &answer);
        assert_eq!(record["sourceAddress"], source);
        if admitted {
            assert_eq!(answer.status, 200, "{source}");
            continue;
        }
        assert_refused(&answer, source);
        assert_eq!((&record["decision"], &record["reason"]), (&"deny".into(), &"network_refused".into()));
        let told = record["rule"].as_str().unwrap();
        assert!(told.contains(rule), "{source}: {told}");
        let named = !rule.contains(' ');
        assert_eq!(told.contains("seawall.yaml:"), named, "a rule is named with its place in the file: {told}");
    }
}

/// S2-9, D14: deny rules without a default of Deny, and IPv6.
#[test]
fn deny_rules_and_ipv6_rules_work_where_the_default_is_allow() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, ports::free().port()));
    let rules = |action: &str| {
        format!(
            "networkRuleSet: {{ defaultAction: Allow, ipRules: [ {{ value: \"::/64\", action: {action} }}, \
             {{ value: 127.0.0.66, action: Deny }} ] }}"
        )
    };
    let whole = |place: &Place, action: &str| {
        let document = document(place, &upstream, &[&rules(action)]);
        with_listeners(&document, &format!("{}, {}", listener("public", place.public(), ""), listener("six", six, "")))
    };
    let first = whole(&place, "Deny");
    let seawall = place.start(&first);
    assert_refused(&log_in("::1", six), "::1");
    assert_refused(&log_in("127.0.0.66", seawall.address()), "127.0.0.66");
    assert_eq!(log_in("127.0.0.67", seawall.address()).status, 200);

    seawall.edit(&whole(seawall.place(), "Allow"));
    assert_eq!(log_in("::1", six).status, 200);
}

/// Threat class N (Traefik GO-2024-2917): an IPv4 caller of an IPv6 socket is the same caller.
#[test]
fn an_ipv4_caller_of_a_dual_stack_listener_meets_the_ipv4_rules() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, ports::free().port()));
    let rules = "networkRuleSet: { defaultAction: Deny, ipRules: [ { value: 127.0.0.2 }, { value: \"::/0\" }, \
                 { value: 127.0.0.3, action: Deny } ] }";
    let document = with_listeners(&document(&place, &upstream, &[rules]), &listener("both", both, ""));
    let seawall = place.start(&document);
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, both.port()));
    let answer = log_in("127.0.0.2", to);
    assert_eq!(answer.status, 200);
    assert_eq!(record_of(&seawall, &answer)["sourceAddress"], "127.0.0.2");
    assert_refused(&log_in("127.0.0.3", to), "127.0.0.3");
    // `::/0` is no back door for what arrives as `::ffff:127.0.0.4`.
    assert_refused(&log_in("127.0.0.4", to), "127.0.0.4");
    assert_eq!(log_in("::1", SocketAddr::from((Ipv6Addr::LOCALHOST, both.port()))).status, 200);
}

/// S2-10, S2-11: with public access off no rule lets anybody in; a change holds for the next request of an open connection.
#[test]
fn without_public_access_no_rule_admits_and_open_connections_notice() {
    let upstream = Registry::start(Distribution::V2);
    let rules = "networkRuleSet: { defaultAction: Allow, ipRules: [ { value: 127.0.0.0/8 } ] }";
    let seawall = start(&upstream, &["publicNetworkAccess: Enabled", rules]);
    let request = message("GET", "/v2/", &[("Host", HOST), ("Authorization", &worker().basic())], b"");
    let mut open = Connection::over(connect("127.0.0.2", seawall.address()));
    open.send(&request);
    assert_eq!(open.answer("GET").unwrap().status, 200);

    seawall.edit(&document(seawall.place(), &upstream, &["publicNetworkAccess: Disabled", rules]));
    open.send(&request);
    assert_refused(&open.answer("GET").unwrap(), "127.0.0.2");
    let answer = log_in("127.0.0.1", seawall.address());
    assert_refused(&answer, "127.0.0.1");
    let record = record_of(&seawall, &answer);
    assert!(record["rule"].as_str().unwrap().contains("publicNetworkAccess is Disabled"), "{record}");

    seawall.edit(&document(seawall.place(), &upstream, &[rules]));
    assert_eq!(log_in("127.0.0.2", seawall.address()).status, 200);
}

/// S2-11, S2-12, requirements B.3-12 and -13, threat class M: the refusal comes before everything else, on every path.
#[test]
fn a_refused_address_gets_the_same_answer_on_every_path_before_credentials_are_read() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream, &["networkRuleSet: { defaultAction: Deny }"]);
    let digest = format!("sha256:{}", "a".repeat(64));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let upload = format!("/v2/team/app/blobs/uploads/x?_state=y&digest={digest}");
    let blob = format!("/v2/team/app/blobs/{digest}");
    let body = vec![b'x'; 100_000];
    let requests: [Asked<'_>; 25] = [
        ("GET", "/v2/", vec![], b""),
        ("GET", "/v2", vec![], b""),
        ("GET", "/", vec![], b""),
        ("GET", "/v2/_catalog", vec![], b""),
        ("GET", "/v2/team/app/tags/list", vec![], b""),
        ("GET", "/v2/team/app/manifests/latest", vec![], b""),
        ("PUT", "/v2/team/app/manifests/latest", vec![("Content-Type", "application/json")], b"{}"),
        ("DELETE", "/v2/team/app/manifests/latest", vec![], b""),
        ("GET", &blob, vec![("Range", "bytes=0-1")], b""),
        ("POST", "/v2/team/app/blobs/uploads/", vec![], b""),
        ("PATCH", &upload, vec![], &body),
        ("PUT", &upload, vec![("Expect", "100-continue")], b""),
        ("GET", "/oauth2/token?service=registry.test&scope=repository:team/app:pull", vec![], b""),
        ("POST", "/oauth2/token", vec![form], b"grant_type=password&service=registry.test&username=worker&password=x"),
        ("POST", "/oauth2/exchange", vec![form], b"grant_type=access_token"),
        ("GET", "/.well-known/jwks.json", vec![], b""),
        ("GET", "/acr/v1/_catalog", vec![], b""),
        ("GET", "/metrics", vec![], b""),
        ("GET", "/healthz", vec![("User-Agent", "kube-probe/1.30")], b""),
        ("GET", "/nowhere/at/all", vec![], b""),
        ("GET", "/v2/../v2/", vec![], b""),
        ("GET", "/v2/Team%2FApp/%zz/manifests/", vec![], b""),
        ("GET", "/v2/team/app/tags/list?n=-1&n=2&last=%ff", vec![], b""),
        ("OPTIONS", "/v2/", vec![], b""),
        ("BREW", "/v2/", vec![], b""),
    ];
    let right = worker().basic();
    let credentials = [None, Some(&*right), Some("Basic !!! not base64"), Some("Bearer a.b")];
    for (at, (method, target, headers, body)) in requests.iter().enumerate() {
        let mut all = vec![("Host", HOST)];
        all.extend(headers.iter().copied());
        if let Some(credential) = credentials[at % 4] {
            all.push(("Authorization", credential));
        }
        let answer = ask("127.0.0.9", seawall.address(), method, target, &all, body);
        let answer = answer.unwrap_or_else(|| panic!("no answer to {method} {target}"));
        assert_eq!(answer.status, 403, "{method} {target}: {}", answer.text());
        assert_refused(&answer, "127.0.0.9");
        // A body is not read, and so the connection is of no use any more.
        let expected = if body.is_empty() { "keep-alive" } else { "close" };
        assert_eq!(answer.header("Connection"), Some(expected), "{method} {target}");
        let record = record_of(&seawall, &answer);
        assert_eq!(record["reason"], "network_refused", "{record}");
        assert_eq!(record["sourceAddress"], "127.0.0.9");
        assert!(record.get("principal").is_none() && record.get("credential").is_none(), "{record}");
        assert_eq!(record["requestBytes"], 0, "{method} {target}: no byte of the body was taken");
    }
    let head = ask("127.0.0.9", seawall.address(), "HEAD", "/v2/", &[("Host", HOST)], b"").unwrap();
    assert_eq!((head.status, head.header("WWW-Authenticate")), (403, None));
}

/// Design, step 3: a host that names no registry has no rules to apply and no credential to check.
#[test]
fn an_unknown_or_ambiguous_host_is_misdirected() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream, &["networkRuleSet: { defaultAction: Deny, ipRules: [ { value: 127.0.0.1 } ] }"]);
    let basic = worker().basic();
    let with = |source: &str, hosts: &[&str]| {
        let mut headers: Vec<(&str, &str)> = hosts.iter().map(|host| ("Host", *host)).collect();
        headers.push(("Authorization", &basic));
        ask(source, seawall.address(), "GET", "/v2/", &headers, b"").unwrap()
    };
    for host in [HOST, "registry.test:443", "registry.test:80", "REGISTRY.Test", "Registry.TEST:443"] {
        assert_eq!(with("127.0.0.1", &[host]).status, 200, "{host}");
        assert_refused(&with("127.0.0.2", &[host]), "127.0.0.2");
    }
    for hosts in [
        vec!["other.test"],
        vec!["registry.test:8443"],
        vec!["registry.test:"],
        vec!["xregistry.test"],
        vec!["registry.test.evil.test"],
        vec!["127.0.0.1"],
        vec![""],
        vec![],
        vec![HOST, HOST],
        vec![HOST, "other.test"],
    ] {
        let answer = with("127.0.0.1", &hosts);
        assert!(matches!(answer.status, 400 | 421), "{hosts:?}: {}", answer.status);
        assert_eq!(answer.header("WWW-Authenticate"), None, "{hosts:?}");
    }
    let answer = with("127.0.0.2", &["other.test"]);
    assert_eq!((answer.status, answer.json()["errors"][0]["code"].as_str()), (421, Some("NAME_UNKNOWN")));
    let record = record_of(&seawall, &answer);
    assert!(record.get("registry").is_none(), "{record}");
    assert_eq!(record["reason"], "unknown_host");
    // The same in the absolute form of a request to a proxy, which outranks the Host header.
    for target in ["http://other.test/v2/", "http://registry.test.evil.test/v2/"] {
        let answer = ask("127.0.0.1", seawall.address(), "GET", target, &[("Host", HOST)], b"");
        assert!(answer.is_none_or(|answer| matches!(answer.status, 400 | 421)), "{target}");
    }
    let mut without = Connection::over(connect("127.0.0.1", seawall.address()));
    without.send(b"GET /v2/ HTTP/1.0\r\n\r\n");
    assert!(matches!(without.answer("GET").unwrap().status, 400 | 421));
    // Two Hosts, and an authority that differs from the Host, are no HTTP: pingora refuses them before anybody decides.
    assert!((seawall.metric("seawall_malformed_requests_total") - 4.0).abs() < f64::EPSILON);
    wait_until("every other answer has its record", || seawall.audit().len() == 20);
}
