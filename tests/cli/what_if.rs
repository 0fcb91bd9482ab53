//! `seawall what-if` and `explain`, of files alone: no server is asked.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Reply, Transcript};

const POLICY: &str = "version: 1
listeners: [{ name: public, address: \"127.0.0.1:8443\" }]
registries:
  myregistry:
    loginServer: registry.example.com
    upstream: { url: http://127.0.0.1:5000 }
    networkRuleSet:
      ipRules: [{ value: 203.0.113.66, action: Deny, name: leaked-laptop }]
      shadow: { defaultAction: Deny, ipRules: [{ value: 203.0.113.0/24, name: office }] }
    scopeMaps:
      samples: { repositories: { samples/*: [content/read, content/write] } }
    tokens:
      ci-push: { scopeMap: samples, passwords: [{ name: password1, file: secret }] }
";

fn record(operation: &str, method: &str, source: &str) -> Value {
    json!({
        "time": "2026-11-21T10:19:54.522554Z", "registry": "myregistry", "listener": "public", "sourceAddress": source,
        "network": "public", "principal": { "kind": "token", "name": "ci-push" }, "credential": "password1", "operation": operation,
        "method": method, "repository": "samples/hello", "decision": "permit", "reason": "permitted",
    })
}

/// In a folder with a file, one that might come, and a log.
fn told() -> Transcript {
    let told = Transcript::new();
    let write = |name: &str, text: &str| fs::write(told.folder.path().join(name), text).unwrap();
    write("secret", "a-secret-of-forty-three-characters-0123456789");
    write("seawall.yaml", POLICY);
    write("new.yaml", &POLICY.replace(", content/write]", "]").replace("203.0.113.66,", "203.0.113.64/28,"));
    let limited = json!({ "decision": "deny", "reason": "rate_limited" });
    let mut refused = record("tags", "GET", "203.0.113.9");
    refused.as_object_mut().unwrap().extend(limited.as_object().unwrap().clone());
    let log = [
        record("manifest_read", "GET", "203.0.113.9"),
        record("manifest_read", "GET", "203.0.113.70"),
        record("manifest_write", "PUT", "203.0.113.9"),
        record("manifest_write", "PUT", "203.0.113.10"),
        refused,
        json!({
            "kind": "management", "time": "2026-11-21T10:19:54.522554Z", "actor": "owner", "sourceAddress": "127.0.0.1:50000",
            "operation": "tokens/write", "method": "PUT", "status": 200,
        }),
        json!({ "kind": "password_expiring", "time": "2026-11-21T10:19:54.522554Z", "registry": "myregistry", "within": "7d" }),
    ];
    let lines: Vec<_> = log.iter().map(ToString::to_string).collect();
    write("audit.jsonl", &format!("{}\nhalf a li", lines.join("\n")));
    write("other.jsonl", "no record\nof anything\n");
    write("empty.jsonl", "");
    told
}

#[test]
fn what_if_lists_the_decisions_that_change() {
    let mut told = told();
    assert_eq!(told.run("what-if --config seawall.yaml --audit audit.jsonl").code, 0);
    assert_eq!(told.run("what-if --config new.yaml --audit audit.jsonl -o table").code, 1);
    told.run(
        "what-if --config new.yaml --audit audit.jsonl --registry myregistry --query changes[0] --only-show-errors",
    );
    assert_eq!(told.run("what-if --config new.yaml --audit empty.jsonl --only-show-errors").code, 0);
    for trouble in [
        "--config new.yaml",
        "--config missing.yaml --audit audit.jsonl",
        "--config new.yaml --audit missing",
        "--config new.yaml --audit other.jsonl",
        "--config new.yaml --audit empty.jsonl --registry nosuch",
    ] {
        assert_eq!(told.run(&format!("what-if {trouble}")).code, 2);
    }
    told.check("what-if");
}

#[test]
fn explain_says_what_shadow_rules_and_scopes_would_do() {
    let mut told = told();
    let question = "explain --config seawall.yaml -r myregistry --source 198.51.100.1 --token ci-push -o table";
    told.run(&format!("{question} push samples/hello"));
    told.run(&format!("{question} --scope repository:samples/hello:pull push samples/hello"));
    told.run(&format!("{question} --scope samples/hello push samples/hello"));
    told.check("explain");
}

/// In one table: what was decided then, and what would be now, where that can be told.
#[test]
fn explain_tells_a_denial_of_the_audit_log() {
    let mut told = told();
    let mut denied = record("manifest_write", "PUT", "203.0.113.66");
    let other = json!({
        "denialId": "0123456789ab", "decision": "deny", "reason": "network_refused",
        "rule": "ip rule `leaked-laptop` (Deny 203.0.113.66)",
    });
    denied.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    fs::write(told.folder.path().join("audit.jsonl"), denied.to_string()).unwrap();
    let question = "explain --denial 0123456789ab --audit audit.jsonl -o table";
    assert_eq!(told.run(question).code, 1);
    assert_eq!(told.run(&format!("{question} --config seawall.yaml")).code, 1);
    // The server remembers the last ones only.
    let forgotten = "no denial with the id '0123456789ab' is remembered; the audit log has every one of them";
    told.server.on("GET", "/seawall/v1/denials/0123456789ab", Reply::error(404, "DenialNotFound", forgotten));
    assert_eq!(told.run("explain --denial 0123456789ab").code, 3);
    // No right opens a lock, so the policy explains nothing.
    let mut locked = record("manifest_write", "PUT", "203.0.113.66");
    let other = json!({
        "denialId": "0123456789ac", "decision": "deny", "reason": "locked",
        "rule": "`samples/hello:v1` is locked: `writeEnabled` is off (store)",
    });
    locked.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    fs::write(told.folder.path().join("audit.jsonl"), locked.to_string()).unwrap();
    let question = "explain --denial 0123456789ac --audit audit.jsonl -o table --config seawall.yaml";
    assert_eq!(told.run(question).code, 1);
    told.check("denial");
}
