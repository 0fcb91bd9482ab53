//! What machines that watch us see: metrics that move and that nobody can inflate, probes on a listener of their own, and
//! the warnings of the start (threat classes M and T).

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::nearby::{listener, probe, registry, with_listeners, worker};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;
use crate::harness::sources::ask;
use crate::harness::{ports, wait_until};
use crate::records::{HOST, plain, push, start, url};

/// All series of the metrics, without their values.
fn series(seawall: &Seawall) -> BTreeSet<String> {
    let text = probe(seawall, "/metrics").unwrap().expect(200).text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// Threat class T: a time series for each name that a client invents would fill the memory of whoever collects them.
#[test]
fn metrics_move_with_the_requests_and_no_client_can_add_a_series() {
    let upstream = Registry::start(Distribution::V2);
    let mut seawall = start(&upstream, "");
    let value = |name: &str| seawall.metric(name);
    let hits = "seawall_credential_cache_hits_total{cache=\"password\"}";
    assert!(value(hits).abs() < f64::EPSILON);
    let hashed = Account::new("hashed", "U*U").basic();
    for _ in 0..3 {
        plain(&seawall, "127.0.0.1", "GET", "/v2/", &[("Host", HOST), ("Authorization", &hashed)]).expect(200);
    }
    wait_until("two log-ins came from the cache", || value(hits) >= 2.0);
    let token = plain(
        &seawall,
        "127.0.0.1",
        "GET",
        &format!("/oauth2/token?service={HOST}"),
        &[("Host", HOST), ("Authorization", &worker().basic())],
    );
    let bearer = format!("Bearer {}", token.expect(200).json()["access_token"].as_str().unwrap());
    for _ in 0..3 {
        plain(&seawall, "127.0.0.1", "GET", "/v2/", &[("Host", HOST), ("Authorization", &bearer)]).expect(200);
    }
    wait_until("two access tokens came from the cache", || {
        value("seawall_credential_cache_hits_total{cache=\"access_token\"}") >= 2.0
    });
    push(&seawall, &[b'x'; 5000]);
    plain(&seawall, "127.0.0.1", "GET", "/v2/", &[("Host", HOST)]).expect(401);
    plain(&seawall, "127.0.0.9", "GET", "/v2/", &[("Host", HOST)]).expect(403);
    plain(&seawall, "127.0.0.1", "GET", "/v2/", &[("Host", "x.test")]).expect(421);
    let requests = |operation: &str, registry: &str, status: &str| {
        format!("seawall_requests_total{{operation=\"{operation}\",registry=\"{registry}\",status=\"{status}\"}}")
    };
    let decisions = |outcome: &str, reason: &str, registry: &str| {
        format!("seawall_decisions_total{{outcome=\"{outcome}\",reason=\"{reason}\",registry=\"{registry}\"}}")
    };
    wait_until("all are counted", || series(&seawall).contains(&requests("other", "none", "4xx")));
    for (name, expected) in [
        (requests("base", "myregistry", "2xx"), 6.0),
        (requests("base", "myregistry", "4xx"), 1.0),
        (requests("upload", "myregistry", "2xx"), 2.0),
        (requests("token", "myregistry", "2xx"), 1.0),
        (requests("other", "myregistry", "4xx"), 1.0),
        (decisions("deny", "network_refused", "myregistry"), 1.0),
        (decisions("deny", "unknown_host", "none"), 1.0),
        (decisions("permit", "permitted", "myregistry"), 8.0),
        ("seawall_transferred_bytes_total{direction=\"upload\"}".to_owned(), 5000.0),
        ("seawall_upstream_response_seconds_count".to_owned(), 8.0),
        ("seawall_request_duration_seconds_count{operation=\"base\"}".to_owned(), 7.0),
        ("seawall_policy_version".to_owned(), 1.0),
        ("seawall_policy_reloads_total{result=\"ok\"}".to_owned(), 1.0),
        ("seawall_policy_reloads_total{result=\"failed\"}".to_owned(), 0.0),
        ("seawall_requests_in_flight".to_owned(), 0.0),
        ("seawall_open_transfers".to_owned(), 0.0),
        ("seawall_audit_records_dropped_total".to_owned(), 0.0),
        ("seawall_panics_total".to_owned(), 0.0),
    ] {
        assert!((value(&name) - expected).abs() < f64::EPSILON, "{name}: {} instead of {expected}", value(&name));
    }

    // A first round of every kind of nonsense makes the series that nonsense has; a thousand more make none.
    let nonsense = |seed: usize| {
        let user = Account::new(&format!("user{seed}"), "x").basic();
        for (method, target, host) in [
            ("GET", format!("/v2/repo{seed}/manifests/tag{seed}"), HOST.to_owned()),
            ("GET", format!("/path{seed}"), HOST.to_owned()),
            ("GET", "/v2/".to_owned(), format!("host{seed}.test")),
            ("POST", format!("/oauth2/token?service=service{seed}"), HOST.to_owned()),
            (&*format!("METHOD{seed}"), "/v2/".to_owned(), HOST.to_owned()),
        ] {
            let agent = format!("agent{seed}");
            let headers = [("Host", &*host), ("Authorization", &user), ("User-Agent", &agent)];
            let _ = ask("127.0.0.1", seawall.address(), method, &target, &headers, b"");
        }
    };
    nonsense(0);
    let answered = seawall.audit().len();
    wait_until("the first round is counted", || series(&seawall).len() > 50 && seawall.audit().len() >= answered);
    let before = series(&seawall);
    (1..200).for_each(nonsense);
    let after = series(&seawall);
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    let invented = |name: &&String| {
        ["user", "repo1", "path", "host1", "agent", "METHOD", "service1"].iter().any(|word| name.contains(word))
    };
    assert_eq!(after.iter().find(invented), None);
    seawall.process().expect_running();
}

/// Threat class M: health and metrics have a listener of their own, and registries have none there.
#[test]
fn probes_are_never_on_a_public_listener_and_registries_never_on_theirs() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let second = ports::free();
    let listeners = format!("{}, {}", listener("public", place.public(), ""), listener("second", second, ""));
    let registries = registry(&place, "myregistry", HOST, &url(&upstream), &[]);
    let document = with_listeners(&place.document(&format!("registries:\n{registries}")), &listeners);
    let seawall = place.start(&document);
    for path in ["/metrics", "/healthz", "/readyz"] {
        let answer = probe(&seawall, path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("WWW-Authenticate"), None);
        for to in [seawall.address(), second] {
            for authorization in [None, Some(worker().basic())] {
                let mut headers = vec![("Host", HOST), ("User-Agent", "kube-probe/1.30")];
                headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
                let answer = ask("127.0.0.1", to, "GET", path, &headers, b"").unwrap();
                assert_eq!(answer.status, 404, "{path}");
                assert!(!answer.text().contains("seawall_"), "{}", answer.text());
            }
        }
    }
    assert_eq!(probe(&seawall, "/readyz").unwrap().json(), json!({"status": "ready", "policyVersion": 1}));
    for path in ["/v2/", "/oauth2/token", "/.well-known/jwks.json", "/"] {
        assert_eq!(probe(&seawall, path).unwrap().status, 404, "{path}");
    }
}

/// Design, requests: whoever reaches an open upstream passes us by, so the start says so, unless only this machine does.
#[test]
fn an_upstream_that_is_open_to_others_is_warned_of_at_the_start() {
    let upstream = Registry::start(Distribution::V2);
    let port = upstream.url().rsplit(':').next().unwrap().to_owned();
    let place = Place::new();
    // `127.1` leads to the loopback too, but not by a name that says so.
    let named = registry(&place, "named", "named.test", &format!("url: \"http://127.1:{port}\""), &[]);
    let local = registry(&place, "local", "local.test", &url(&upstream), &[]);
    let secure = registry(&place, "secure", "secure.test", "url: \"https://127.1:1\"", &[]);
    let document = place.document(&format!("registries:\n{named}{local}{secure}"));
    let mut seawall = place.start(&document);
    let said = "the upstream answers without credentials";
    wait_until("both are told", || {
        let log = seawall.process().log();
        log.contains(said) && log.contains("was not checked")
    });
    let log = seawall.process().log();
    let warned: Vec<&str> = log.lines().filter(|line| line.contains(said)).collect();
    assert!(warned.len() == 1 && warned[0].contains("WARN") && warned[0].contains("named"), "{warned:?}");
    let unchecked: Vec<&str> = log.lines().filter(|line| line.contains("was not checked")).collect();
    assert!(unchecked.len() == 1 && unchecked[0].contains("secure"), "{unchecked:?}");
}
