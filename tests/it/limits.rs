//! Limits from the outside: 429 with a `Retry-After` that falls, at the registry, the token endpoint and the management API;
//! guessing stopped, and nobody else (requirements B.9, threat class Q).

use std::thread::sleep;
use std::time::Duration;

use crate::harness::client::Client;
use crate::harness::daemons::Docker;
use crate::harness::http::{self, Response};
use crate::harness::image::Layout;
use crate::harness::nearby::{probe, registry, worker};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{NO_LOGIN_LIMITS, Place, Seawall};
use crate::harness::session::{Account, Session};
use crate::harness::sources::{ask, record_of};

const HOST: &str = "registry.test";

fn document(place: &Place, upstream: &Registry, host: &str, more: &str) -> String {
    let url = format!("url: \"{}\"", upstream.url());
    place.document(&format!("registries:\n{}", registry(place, "myregistry", host, &url, &[more])))
}

fn wrong() -> Account {
    Account::new("worker", "not-the-password")
}

/// A log-in at `/v2/` from `source`.
fn knock(seawall: &Seawall, source: &str, account: &Account) -> Response {
    ask(source, seawall.address(), "GET", "/v2/", &[("Host", HOST), ("Authorization", &account.basic())], b"").unwrap()
}

/// A log-in at the token endpoint from `source`.
fn log_in(seawall: &Seawall, source: &str, account: &Account) -> Response {
    let target = format!("/oauth2/token?service={HOST}&scope=repository:team/app:pull");
    ask(source, seawall.address(), "GET", &target, &[("Host", HOST), ("Authorization", &account.basic())], b"").unwrap()
}

/// The seconds after which to try again, of a 429 as clients of the protocol read it.
#[track_caller]
fn too_many(answer: &Response) -> u64 {
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}"#;
    assert_eq!((answer.status, answer.text().as_str()), (429, body), "{:?}", answer.headers);
    assert_eq!(answer.header("WWW-Authenticate"), None);
    answer.expect_header("Retry-After").parse().unwrap()
}

#[track_caller]
fn assert_counted(seawall: &Seawall, series: &str, times: u32) {
    let metrics = probe(seawall, "/metrics").unwrap().text();
    let line = format!("seawall_rate_limited_total{series} {times}");
    assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
}

#[test]
fn a_limit_is_told_with_a_falling_retry_after_and_a_higher_one_holds_with_the_reload() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let limits = "rateLimits: { registry: { read: 9, login: 2 }, identity: { read: 3, write: 1 } }";
    let whole = document(&place, &upstream, HOST, limits);
    let seawall = place.start(&whole);
    let session = Session::named(seawall.address(), HOST, worker());
    let scope = "repository:team/app:pull,push";
    let token = session.access_token(&[scope]);
    for _ in 0..3 {
        session.bearer(&token, "GET", "/v2/team/app/manifests/none").expect(404);
    }
    let refused = session.bearer(&token, "GET", "/v2/team/app/manifests/none");
    let first = too_many(&refused);
    assert!((50..=60).contains(&first), "{first}");
    let record = record_of(&seawall, &refused);
    assert_eq!((&record["decision"], &record["reason"]), (&"deny".into(), &"rate_limited".into()));
    let rule = record["rule"].as_str().unwrap();
    assert!(rule.starts_with("3 requests a minute: `rateLimits.identity.read` is used up"), "{rule}");
    assert_eq!(record["principal"]["name"], "worker", "{record}");

    sleep(Duration::from_millis(2_100));
    // The other credential of the same identity does not help.
    let later = too_many(&knock(&seawall, "127.0.0.1", &worker()));
    assert!((1..first - 1).contains(&later), "{later} after {first}");

    // Categories have limits of their own; without the right to it a request uses up nothing.
    session.bearer(&token, "POST", "/v2/team/other/blobs/uploads/").expect(401);
    session.bearer(&token, "POST", "/v2/team/app/blobs/uploads/").expect(202);
    too_many(&session.bearer(&token, "POST", "/v2/team/app/blobs/uploads/"));
    session.log_in(&[scope]).expect(200);
    too_many(&session.log_in(&[scope]));
    assert_counted(&seawall, "{category=\"read\",registry=\"myregistry\",scope=\"identity\"}", 2);
    assert_counted(&seawall, "{category=\"login\",registry=\"myregistry\",scope=\"registry\"}", 1);

    seawall.edit(&document(seawall.place(), &upstream, HOST, "rateLimits: { registry: { read: 5 } }"));
    for _ in 0..2 {
        session.bearer(&token, "GET", "/v2/team/app/manifests/none").expect(404);
    }
    too_many(&session.bearer(&token, "GET", "/v2/team/app/manifests/none"));
    session.log_in(&[scope]).expect(200);
}

#[test]
fn guessing_is_stopped_before_the_password_counts_and_other_sources_go_on() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let limits = "loginLimits: { perSource: 6, perPrincipal: 3, lockout: 20s }";
    let document = document(&place, &upstream, HOST, "newerSystemScopeMaps: false").replace(NO_LOGIN_LIMITS, limits);
    let seawall = place.start(&document);
    let (attacker, office) = ("127.0.0.66", "127.0.0.2");
    assert_eq!(knock(&seawall, attacker, &wrong()).status, 401);
    assert_eq!(log_in(&seawall, attacker, &wrong()).status, 401);
    assert_eq!(knock(&seawall, attacker, &wrong()).status, 401);
    let refused = log_in(&seawall, attacker, &worker());
    let first = too_many(&refused);
    assert!((15..=20).contains(&first), "{first}");
    let record = record_of(&seawall, &refused);
    assert_eq!((&record["reason"], &record["principal"]["name"]), (&"login_locked".into(), &"worker".into()));
    let rule = record["rule"].as_str().unwrap();
    assert!(rule.starts_with("3 failed logins of this user from this source (`loginLimits.perPrincipal`)"), "{rule}");
    sleep(Duration::from_millis(2_100));
    assert!(too_many(&knock(&seawall, attacker, &worker())) < first - 1);

    assert_eq!((knock(&seawall, office, &worker()).status, log_in(&seawall, office, &worker()).status), (200, 200));
    for name in ["a", "b", "c"] {
        assert_eq!(knock(&seawall, attacker, &Account::new(name, "guess")).status, 401);
    }
    too_many(&knock(&seawall, attacker, &Account::new("d", "guess")));
    let form = "grant_type=refresh_token&service=registry.test&refresh_token=guess";
    let headers = [("Host", HOST), ("Content-Type", "application/x-www-form-urlencoded")];
    for endpoint in ["/oauth2/token", "/oauth2/exchange"] {
        too_many(&ask(attacker, seawall.address(), "POST", endpoint, &headers, form.as_bytes()).unwrap());
    }
    assert_counted(&seawall, "{category=\"login\",registry=\"myregistry\",scope=\"principal_from_source\"}", 2);
    assert_eq!(knock(&seawall, office, &worker()).status, 200);
}

/// Its callers are all on this machine here; the owner's credential is never locked.
#[test]
fn logins_at_the_management_api_are_counted_too() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let limits = "loginLimits: { perSource: 3, perPrincipal: 2 }";
    let document = document(&place, &upstream, HOST, "newerSystemScopeMaps: false").replace(NO_LOGIN_LIMITS, limits);
    let seawall = place.start(&document);
    let management = seawall.place().management();
    let path = "/subscriptions/s/providers/Microsoft.ContainerRegistry/registries?api-version=2023-07-01";
    let ask =
        |authorization: &str| http::request(management, "GET", path, &[("Authorization", authorization)], b"").unwrap();
    let basic = Account::new("6f9619ff-8b86-d011-b42d-00c04fc964ff", "guess").basic();
    assert_eq!([ask(&basic).status, ask(&basic).status], [401, 401]);
    let refused = ask(&basic);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &"TooManyRequests".into()));
    assert!(refused.expect_header("Retry-After").parse::<u64>().unwrap() > 290);
    assert_eq!([ask("Bearer guess").status, ask("Bearer guess").status], [401, 429]);
    let owner = std::fs::read_to_string(seawall.place().path().join("management.credential")).unwrap();
    assert_eq!(ask(&format!("Bearer {}", owner.trim())).status, 200);
}

#[test]
fn docker_shows_what_it_met() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let limits = "rateLimits: { identity: { read: 1000, write: 1 } }";
    let host = place.login_server();
    let whole = document(&place, &upstream, &host, limits);
    let seawall = place.start(&whole);
    let mut docker = Docker::new();
    docker.log_in(&host, &worker()).expect_success();
    let layout = Layout::image("too often");
    let reference = format!("{}/team/app:v1", seawall.place().login_server());
    docker.load(&layout, &reference);
    docker.push(&layout, &reference).expect_failure("toomanyrequests");
}
