//! A log that is asked again of another policy: what changes, what does not, and what cannot be asked.

use seawall::policy::PolicySnapshot;
use seawall::policy::explain::{Change, Recorded, Replay, Replayed};
use serde_json::{Value, json};

use super::policy::compiled;

/// The policy that the log below was made by.
const POLICY: &str = "identityProviders:
  corp: { issuer: https://corp.example, audiences: [seawall] }
identities:
  jane: { type: User, matches: [{ provider: corp, claims: { sub: jane } }] }
  devs: { type: Group, matches: [{ provider: corp, claims: { groups: devs } }] }
registries:
  myregistry:
    loginServer: one.example.com
    upstream: { url: http://127.0.0.1:5000 }
    adminUserEnabled: true
    admin: { passwords: [{ name: password, file: admin }] }
    networkRuleSet:
      defaultAction: Deny
      ipRules: [{ value: 192.0.2.0/24 }]
      virtualNetworkRules: [{ name: lab, match: { listener: lab } }]
    privateEndpointConnections: [{ name: build, match: { vpcEndpointId: vpce-1 }, status: Approved }]
    scopeMaps:
      team-a: { repositories: { team-a/*: [content/read, content/write, metadata/read] } }
    tokens:
      ci: { scopeMap: team-a, passwords: [{ name: password1, file: a, expiry: 2026-11-20T00:00:00Z }] }
    roleAssignments: [{ identity: jane, role: AcrPull }, { identity: devs, role: AcrPush }]
";

fn policy(text: &str) -> PolicySnapshot {
    let (policy, problems) = compiled(text);
    policy.unwrap_or_else(|| panic!("{problems}{text}"))
}

/// A record, as it is without `other`: the token pulls.
fn record(other: &Value) -> Value {
    let mut record = json!({
        "time": "2026-11-19T00:00:00.000000Z", "registry": "myregistry", "listener": "public", "sourceAddress": "192.0.2.9",
        "network": "public", "principal": { "kind": "token", "name": "ci" }, "credential": "password1", "operation": "manifest_read",
        "method": "GET", "repository": "team-a/app", "reference": "v1", "decision": "permit", "reason": "permitted", "status": 200,
    });
    for (key, value) in other.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn replayed<'a>(text: &str, records: impl IntoIterator<Item = &'a Value>) -> Replayed {
    let policy = policy(text);
    let mut replay = Replay::new(&policy, None);
    for record in records {
        replay.record(serde_json::from_value::<Recorded>(record.clone()).unwrap());
    }
    replay.finish()
}

/// What the one record becomes.
fn becomes(text: &str, other: &Value) -> Option<Change> {
    let replayed = replayed(text, [&record(other)]);
    assert_eq!((replayed.skipped.as_slice(), replayed.records), (&[][..], 1), "{other}");
    assert_eq!(replayed.changed, replayed.changes.len() as u64);
    replayed.changes.into_iter().next()
}

fn principal(kind: &str, name: &str) -> Value {
    json!({ "kind": kind, "name": name })
}

fn of_groups(names: &[&str]) -> Value {
    json!({ "kind": "identity", "name": "Jane", "identities": names })
}

/// One record of each kind, and how it was decided.
fn log() -> Vec<Value> {
    let denied = |reason: &str| json!({ "decision": "deny", "reason": reason });
    let with = |mut one: Value, other: Value| {
        one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        one
    };
    let other = json!({ "sourceAddress": "198.51.100.1" });
    [
        json!({}),
        json!({ "operation": "manifest_write", "method": "PUT" }),
        json!({ "operation": "upload", "method": "PATCH", "reference": null }),
        json!({ "operation": "upload", "method": "POST", "reference": "team-a/b@sha256:0" }),
        json!({ "operation": "blob_read", "method": "HEAD" }),
        json!({ "operation": "tags" }),
        with(json!({ "repository": "team-b/app" }), denied("action_not_granted")),
        json!({ "operation": "token", "method": "POST", "repository": null, "reason": "token_issued" }),
        json!({ "principal": principal("admin", "myregistry"), "credential": "password", "operation": "catalog" }),
        json!({ "principal": of_groups(&["jane"]), "credential": null }),
        json!({ "principal": of_groups(&["jane", "devs"]), "credential": null, "operation": "manifest_write", "method": "PUT" }),
        with(json!({ "principal": of_groups(&["jane"]), "credential": null, "operation": "manifest_write", "method": "PUT" }), denied("action_not_granted")),
        json!({ "principal": null, "operation": "keys", "repository": null, "reason": "public" }),
        with(with(json!({ "principal": null, "operation": "other" }), other.clone()), denied("network_refused")),
        with(other.clone(), json!({ "network": "virtual network lab", "listener": "lab" })),
        with(other, json!({ "network": "private endpoint build" })),
        with(
            json!({ "network": "unknown private endpoint (vpcEndpointId `vpce-2`)", "principal": null, "operation": "other" }),
            denied("network_refused"),
        ),
        with(json!({ "time": "2026-11-21T00:00:00.000000Z" }), denied("password_expired")),
    ]
    .iter()
    .map(record)
    .collect()
}

#[test]
fn nothing_changes_by_the_policy_that_decided() {
    let log = log();
    let replayed = replayed(POLICY, &log);
    assert_eq!((replayed.records, replayed.unchanged), (log.len() as u64, log.len() as u64), "{replayed:#?}");
}

#[test]
fn each_change_is_told_with_its_reason_and_place() {
    let with = |from: &str, to: &str| {
        assert!(POLICY.contains(from), "{from}");
        POLICY.replace(from, to)
    };
    let refused = json!({ "principal": null, "decision": "deny", "reason": "network_refused" });
    let unknown = json!({
        "network": "unknown private endpoint (vpcEndpointId `vpce-1`)", "principal": null, "decision": "deny", "reason": "network_refused",
    });
    let of_two = json!({ "principal": of_groups(&["jane", "devs"]), "credential": null });
    let table = [
        (with("192.0.2.0/24", "192.0.2.128/25"), json!({}), "permit deny network_refused 192.0.2.9"),
        (
            with("192.0.2.0/24", "192.0.2.128/25"),
            json!({ "operation": "keys", "reason": "public" }),
            "permit deny network_refused",
        ),
        (with("defaultAction: Deny", "defaultAction: Allow"), record(&json!({ "sourceAddress": "10.0.0.1" })), ""),
        (POLICY.to_owned(), refused, "deny admitted permitted"),
        (POLICY.to_owned(), unknown, "deny admitted permitted"),
        (
            with("status: Approved", "status: Rejected"),
            json!({ "network": "private endpoint build" }),
            "permit deny network_refused",
        ),
        (
            with("name: build,", "name: other,"),
            json!({ "network": "private endpoint build" }),
            "permit deny network_refused",
        ),
        (
            with("listener: lab }", "listener: den }"),
            json!({ "network": "virtual network lab", "listener": "lab", "sourceAddress": "10.0.0.1" }),
            "permit deny network_refused",
        ),
        (with(" name: lab,", " name: laboratory,"), json!({ "network": "virtual network lab", "listener": "lab" }), ""),
        // As the network rules have it.
        (POLICY.to_owned(), json!({ "network": "trusted service scanner" }), ""),
        (with("team-a/*:", "team-a/b/*:"), json!({}), "permit deny action_not_granted"),
        (with("      ci: {", "      co: {"), json!({}), "permit deny principal_gone there is no token `ci`"),
        (with("name: password1,", "name: password2,"), json!({}), "permit deny password_replaced"),
        (with("      ci: {", "      ci: { status: disabled,"), json!({}), "permit deny token_disabled"),
        (with("2026-11-20", "2026-11-18"), json!({}), "permit deny password_expired"),
        (
            with("2026-11-20", "2026-11-22"),
            json!({ "time": "2026-11-21T00:00:00.000000Z", "decision": "deny", "reason": "password_expired" }),
            "deny permit permitted",
        ),
        (
            with("adminUserEnabled: true", "adminUserEnabled: false"),
            json!({ "principal": principal("admin", "myregistry"), "credential": "password" }),
            "permit deny admin_disabled",
        ),
        (
            with("{ identity: jane, role: AcrPull }, ", ""),
            json!({ "principal": of_groups(&["jane"]), "credential": null }),
            "permit deny no_role",
        ),
        (
            with("  jane: { type: User,", "  jane: { type: User, status: disabled,"),
            of_two.clone(),
            "permit deny identity_unknown",
        ),
        (
            with("  jane: { type: User, matches: [{ provider: corp, claims: { sub: jane } }] }\n", "")
                .replace("{ identity: jane, role: AcrPull }, ", ""),
            of_two,
            "",
        ),
        (
            with("  myregistry:\n", "  another:\n"),
            json!({}),
            "permit deny unknown_host there is no registry `myregistry`",
        ),
        (
            with(
                "team-a/*: [content/read, content/write, metadata/read]",
                "team-a/app: [content/read, content/write, metadata/read]",
            ),
            json!({ "operation": "upload", "method": "POST", "reference": "team-a/b@sha256:0" }),
            "permit deny action_not_granted",
        ),
    ];
    for (text, other, expected) in table {
        let change = becomes(&text, &other);
        let shown = change.as_ref().map_or_else(String::new, |change| {
            assert!(
                change.place.starts_with("policy.yaml:") || change.code == "unknown_host" || change.place.is_empty(),
                "{change:?}"
            );
            let Change { from, to, code, reason, source, .. } = change;
            if code == &"network_refused" && expected.contains("192") {
                format!("{from} {to} {code} {source}")
            } else {
                format!("{from} {to} {code} {reason}")
            }
        });
        assert!(
            if expected.is_empty() { shown.is_empty() } else { shown.starts_with(expected) },
            "{other}: {shown}, not {expected}"
        );
    }
    let mount = json!({ "operation": "upload", "method": "POST", "reference": "team-a/b@sha256:0" });
    let change = becomes(&with("team-a/*:", "team-a/app:"), &mount).unwrap();
    assert!(change.reason.ends_with("; the mount becomes a plain upload, which is permitted"), "{}", change.reason);
}

/// Nobody knows what they would become: they are counted, with the reason.
#[test]
fn what_is_no_decision_of_the_policy_is_counted_apart() {
    let denied = |reason: &str| json!({ "decision": "deny", "reason": reason });
    for other in [
        denied("rate_limited"),
        denied("login_locked"),
        denied("locked"),
        denied("credential_required"),
        denied("credential_invalid"),
        denied("access_token_expired"),
        denied("scope_not_granted"),
        denied("catalog_not_granted"),
        denied("malformed"),
        denied("unknown_host"),
        json!({ "decision": "error", "reason": "upstream_timeout" }),
        json!({ "decision": null, "kind": "management" }),
        json!({ "principal": principal("claimed", "ci") }),
        json!({ "principal": null }),
        json!({ "principal": of_groups(&[]) }),
        json!({ "sourceAddress": null }),
        json!({ "time": null }),
        json!({ "network": "unknown carrier pigeon" }),
        json!({ "operation": "other" }),
    ] {
        let replayed = replayed(POLICY, [&record(&other)]);
        assert_eq!((replayed.changed, replayed.unchanged), (0, 0), "{other}");
        assert_eq!(replayed.skipped.iter().map(|one| one.records).sum::<u64>(), 1, "{other}");
    }
}

/// By registry, caller, neighbours, operation and repository, most records first.
#[test]
fn changes_of_one_kind_are_one_line() {
    let from = |address: &str, second: u32, repository: &str| {
        record(
            &json!({ "sourceAddress": address, "time": format!("2026-11-19T00:00:{second:02}Z"), "repository": repository }),
        )
    };
    let records = [
        from("192.0.2.9", 3, "team-a/b"),
        from("192.0.2.9", 2, "team-a/app"),
        from("192.0.2.10", 1, "team-a/app"),
        from("192.0.2.9", 5, "team-a/app"),
    ];
    let policy = POLICY.replace("[content/read, content/write, metadata/read]", "[metadata/read]");
    let replayed = replayed(&policy, &records);
    let shown: Vec<_> = replayed
        .changes
        .iter()
        .map(|one| {
            let times = [one.first, one.last].map(|time| time.unwrap().strftime("%S").to_string());
            (one.source.as_str(), one.repository.as_deref().unwrap(), one.records, times.join("-"))
        })
        .collect();
    assert_eq!(
        shown,
        [("192.0.2.0/24", "team-a/app", 3, "01-05".to_owned()), ("192.0.2.9", "team-a/b", 1, "03-03".to_owned())]
    );
    assert_eq!((replayed.records, replayed.changed), (4, 4));
}

/// However many different questions there are, they are all answered.
#[test]
fn a_long_log_of_different_questions_is_answered_within_bounds() {
    let policy = policy(&POLICY.replace("[content/read, content/write, metadata/read]", "[metadata/read]"));
    let mut replay = Replay::new(&policy, Some("MYREGISTRY".to_owned()));
    let mut one: Recorded = serde_json::from_value(record(&json!({}))).unwrap();
    for number in 0..21_000 {
        one.repository = Some(format!("team-a/app-{number}"));
        replay.record(one.clone());
    }
    replay.record(Recorded { registry: Some("another".to_owned()), ..one });
    replay.unreadable();
    let replayed = replay.finish();
    assert_eq!((replayed.records, replayed.changed, replayed.unchanged), (21_001, 21_000, 0));
    assert_eq!((replayed.changes.len(), replayed.beyond, replayed.skipped.len()), (10_000, 11_000, 1));
}
