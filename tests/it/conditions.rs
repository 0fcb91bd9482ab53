//! Network conditions from the outside (D15): a token of one address is of no use at another, neither its password nor what
//! was obtained by it. Callers bind to addresses of the loopback.

use serde_json::{Value, json};

use crate::harness::http::Response;
use crate::harness::nearby::{registry, worker};
use crate::harness::operator::seawall;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;
use crate::harness::sources::{ask, record_of};

const HOST: &str = "registry.test";
const SCOPE: &str = "repository:team/app:pull,push";

/// A registry whose token `worker` counts from these networks.
fn document(place: &Place, upstream: &Registry, networks: &str) -> String {
    let url = format!("url: \"{}\"", upstream.url());
    let whole = place.document(&format!("registries:\n{}", registry(place, "myregistry", HOST, &url, &[])));
    whole.replace("worker: { ", &format!("worker: {{ networks: {networks}, "))
}

fn get(server: &Seawall, source: &str, target: &str, authorization: &str) -> Response {
    ask(source, server.address(), "GET", target, &[("Host", HOST), ("Authorization", authorization)], b"").unwrap()
}

fn log_in(server: &Seawall, source: &str, account: &Account) -> Response {
    get(server, source, &format!("/oauth2/token?service={HOST}&scope={SCOPE}"), &account.basic())
}

fn access_token(server: &Seawall, source: &str, account: &Account) -> String {
    let answer = log_in(server, source, account).expect(200).json();
    format!("Bearer {}", answer["access_token"].as_str().unwrap())
}

/// That the answer says no more than to a wrong password, and the record which condition it was.
#[track_caller]
fn assert_elsewhere(server: &Seawall, answer: &Response, says: &str) -> Value {
    assert_eq!(answer.status, 401, "{:?}", answer.headers);
    let record = record_of(server, answer);
    assert_eq!((&record["decision"], &record["reason"]), (&"deny".into(), &"network_not_allowed".into()), "{record}");
    let rule = record["rule"].as_str().unwrap();
    assert!(rule.contains(says), "{rule}");
    record
}

#[test]
fn a_token_of_one_address_is_of_no_use_at_another() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let whole = document(&place, &upstream, "{ allow: [127.0.0.5/32] }");
    let server = place.start(&whole);
    let (here, elsewhere) = ("127.0.0.5", "127.0.0.6");
    assert_eq!(get(&server, here, "/v2/", &worker().basic()).status, 200);
    let stolen = access_token(&server, here, &worker());
    let manifest = "/v2/team/app/manifests/none";
    assert_eq!(get(&server, here, manifest, &stolen).status, 404, "it goes up");

    let says = "may not come from 127.0.0.6: no network that it is allowed holds it (";
    for (target, authorization) in [
        ("/v2/", worker().basic()),
        (manifest, worker().basic()),
        ("/v2/", stolen.clone()),
        (manifest, stolen.clone()),
        (&format!("/oauth2/token?service={HOST}&scope={SCOPE}"), worker().basic()),
    ] {
        let record = assert_elsewhere(&server, &get(&server, elsewhere, target, &authorization), says);
        let worker = json!({ "kind": "token", "name": "worker" });
        assert_eq!((&record["principal"], record["credential"].is_string()), (&worker, true), "{record}");
    }
    // Under the null GUID a login may be by the access token.
    let as_password = Account::new("00000000-0000-0000-0000-000000000000", stolen.trim_start_matches("Bearer "));
    assert_eq!(log_in(&server, here, &as_password).status, 200);
    assert_elsewhere(&server, &log_in(&server, elsewhere, &as_password), says);

    // Nobody learns elsewhere that a password is right.
    let told = |answer: Response| {
        let id = answer.expect_header("X-Seawall-Denial").to_owned();
        let challenge = answer.header("WWW-Authenticate").map(str::to_owned);
        (answer.status, challenge, answer.text().replace(&id, "ID"))
    };
    let wrong = Account::new("worker", "not-the-password-at-all");
    for target in ["/v2/".to_owned(), format!("/oauth2/token?service={HOST}")] {
        let right = told(get(&server, elsewhere, &target, &worker().basic()));
        assert_eq!(right, told(get(&server, elsewhere, &target, &wrong.basic())), "{target}");
    }

    // A reload counts with the next request, for what was obtained before, too.
    server.edit(&document(server.place(), &upstream, "{ allow: [127.0.0.0/8], deny: [127.0.0.5] }"));
    assert_eq!(get(&server, elsewhere, manifest, &stolen).status, 404);
    assert_elsewhere(&server, &get(&server, here, manifest, &stolen), "its networks deny 127.0.0.5/32 (");
}

#[test]
fn an_explanation_says_which_condition_it_was() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let whole = document(&place, &upstream, "{ deny: [127.0.0.6] }");
    let server = place.start(&whole);
    let ask = |source: &str| {
        let command = format!("explain -r myregistry --source {source} --token worker pull team/app");
        seawall(&server, &command)
    };
    let allowed = ask("127.0.0.5").json();
    assert_eq!((&allowed["allowed"], &allowed["code"]), (&json!(true), &json!("permitted")));
    let denied = ask("127.0.0.6").json();
    assert_eq!((&denied["allowed"], &denied["code"]), (&json!(false), &json!("network_not_allowed")));
    let steps = denied["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["rule"] == "networks of worker").unwrap();
    assert_eq!(step["effect"], "denies");
    assert!(step["says"].as_str().unwrap().contains("deny 127.0.0.6/32"), "{step}");
    assert!(step["place"].as_str().unwrap().contains("seawall.yaml:"), "{step}");

    let token = access_token(&server, "127.0.0.5", &worker());
    for credential in [token, worker().basic()] {
        let answer = get(&server, "127.0.0.6", "/v2/", &credential);
        let id = answer.expect_header("X-Seawall-Denial").to_owned();
        let resolved = seawall(&server, &format!("explain --denial {id}")).json();
        assert_eq!(resolved["explanation"]["code"], "network_not_allowed", "{resolved}");
    }
}

#[test]
fn conditions_are_set_and_cleared_by_commands() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let whole = document(&place, &upstream, "{ allow: [127.0.0.1] }");
    let server = place.start(&whole);
    let command = "token create -n builder -r myregistry --repository team/app content/read content/write \
                   --allow-network 127.0.0.5 127.0.0.9/32 --deny-network 127.0.0.9";
    let made = seawall(&server, command).ok().json();
    assert_eq!(made["networks"], json!({ "allow": ["127.0.0.5", "127.0.0.9/32"], "deny": ["127.0.0.9"] }));
    let builder = Account::new("builder", made["credentials"]["passwords"][0]["value"].as_str().unwrap());
    let statuses = || ["127.0.0.5", "127.0.0.6", "127.0.0.9"].map(|source| log_in(&server, source, &builder).status);
    assert_eq!(statuses(), [200, 401, 401]);
    let token = access_token(&server, "127.0.0.5", &builder);

    seawall(&server, "token update -n builder -r myregistry --allow-network 127.0.0.6").ok();
    assert_eq!(statuses(), [401, 200, 401]);
    assert_eq!(get(&server, "127.0.0.5", "/v2/", &token).status, 401);
    seawall(&server, "token update -n builder -r myregistry --allow-network --deny-network").ok();
    assert_eq!(statuses(), [200, 200, 200]);
    let shown = seawall(&server, "token show -n builder -r myregistry").ok().json();
    assert_eq!(shown.get("networks"), None);

    // What a scope map out of its networks gives is not granted.
    seawall(&server, "scope-map update -n builder-scope-map -r myregistry --allow-network 127.0.0.5").ok();
    let granted = |source: &str| log_in(&server, source, &builder).expect(200).json()["scope"].clone();
    assert_eq!((granted("127.0.0.5"), granted("127.0.0.6")), (json!(SCOPE), json!("")));
    let refused = seawall(&server, "token update -n builder -r myregistry --allow-network 10.0.0.1/8");
    refused.refused("10.0.0.0/8");
    seawall(&server, "token update -n worker -r myregistry --deny-network").refused("seawall.yaml:");
}
