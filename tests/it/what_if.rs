//! What if: the log of a running seawall, asked again of its own file and of another; and the rules that are tried beside those
//! in force, which say the same.

use std::fs;

use serde_json::json;

use crate::harness::http::Response;
use crate::harness::nearby::{probe, registry, worker};
use crate::harness::operator::{Said, run};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;
use crate::harness::sources::{ask, record_of};
use crate::records::{HOST, plain, push, send, url};

const IN_FORCE: &str = "ipRules: [ { value: 127.0.0.9, action: Deny } ]";
const TRIED: &str = "defaultAction: Deny, ipRules: [ { value: 127.0.0.1 } ]";

fn what_if(seawall: &Seawall, config: &str, more: &[&str]) -> Said {
    run(seawall, &[&["what-if", "--config", config, "--audit", "audit.jsonl"], more].concat())
}

fn from(seawall: &Seawall, source: &str, account: &Account) -> Response {
    let headers = [("Host", HOST), ("Authorization", &account.basic())];
    ask(source, seawall.address(), "GET", "/v2/", &headers, b"").unwrap()
}

#[test]
fn a_real_log_shows_what_a_file_would_change_as_the_shadow_rules_did() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let with = |rules: &str| {
        let rules = format!("networkRuleSet: {{ {rules} }}");
        let text = registry(&place, "myregistry", HOST, &url(&upstream), &[&rules]);
        place.document(&format!("registries:\n{text}"))
    };
    let in_force = with(&format!("{IN_FORCE}, shadow: {{ {TRIED} }}"));
    fs::write(place.path().join("new.yaml"), with(TRIED)).unwrap();
    let seawall = place.start(&in_force);

    push(&seawall, b"what if these bytes were asked for again");
    send(&seawall, "GET", "/v2/team/app/tags/list", b"");
    let elsewhere = [
        from(&seawall, "127.0.0.2", &worker()).expect(200),
        plain(&seawall, "127.0.0.2", "GET", "/v2/", &[("Host", HOST)]).expect(401),
    ];
    let others = [
        from(&seawall, "127.0.0.1", &worker()).expect(200),
        from(&seawall, "127.0.0.1", &Account::new("worker", "wrong")).expect(401),
        from(&seawall, "127.0.0.9", &worker()).expect(403),
    ];
    for answer in &elsewhere {
        let shadow = &record_of(&seawall, answer)["shadow"];
        assert_eq!(shadow["would"], "deny", "{shadow}");
        let rule = shadow["rule"].as_str().unwrap();
        assert!(rule.starts_with("no ip rule matches and defaultAction is Deny; tried at "), "{rule}");
    }
    for answer in &others {
        assert_eq!(record_of(&seawall, answer).get("shadow"), None);
    }
    let metrics = probe(&seawall, "/metrics").unwrap().text();
    let counted = "seawall_shadow_decisions_total{registry=\"myregistry\",would=\"deny\"} 2";
    assert!(metrics.contains(counted), "{metrics}");

    let records = seawall.audit().len();
    let own = what_if(&seawall, "seawall.yaml", &[]).ok();
    let skipped = json!([{ "reason": "it was refused before the policy was asked: no credential, a wrong one, or malformed", "records": 2 }]);
    let expected =
        json!({ "records": records, "changed": 0, "unchanged": records - 2, "changes": [], "skipped": skipped });
    assert_eq!(own.json(), expected, "{own}");

    let said = what_if(&seawall, "new.yaml", &[]);
    assert_eq!(said.code, Some(1), "{said}");
    let told = said.json();
    assert_eq!((&told["changed"], &told["skipped"]), (&json!(1), &skipped), "{said}");
    let change = &told["changes"][0];
    for (field, value) in [
        ("principal", "token worker"),
        ("source", "127.0.0.2"),
        ("operation", "base"),
        ("from", "permit"),
        ("to", "deny"),
        ("code", "network_refused"),
        ("reason", "no ip rule matches and defaultAction is Deny"),
    ] {
        assert_eq!(change[field], value, "{field} of {change}");
    }
    assert!(change["place"].as_str().unwrap().contains("new.yaml:"), "{change}");
    assert_eq!(what_if(&seawall, "new.yaml", &["--registry", "another"]).code, Some(2));
    assert_eq!(what_if(&seawall, "missing.yaml", &[]).code, Some(2));
}
