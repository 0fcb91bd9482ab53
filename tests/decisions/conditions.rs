//! Network conditions: what counts from where, for tokens, scope maps, identities and role assignments, in files and in the
//! store; and that they only ever take away.

use std::net::IpAddr;

use proptest::prelude::*;
use proptest::sample::select;
use seawall::oci::Scope;
use seawall::policy::document::ExportStatus;
use seawall::policy::network::{Admitted, EndpointMark, Network, Source};
use seawall::policy::stored::{StoredNetworks, StoredScopeMap, StoredToken};
use seawall::policy::{Caller, Denial, Granted, PolicySnapshot, Registry, StoredPolicy, authorize, grant, located};
use serde_json::json;

use super::identities::asserted;
use super::layers::records;
use super::policy::{anywhere, compiled, declared, now, operation};

const PULL: &str = "GET /v2/a/manifests/v1";

const POLICY: &str = "identityProviders:
  corp: { issuer: https://corp.example, audiences: [seawall] }
identities:
  jane:
    type: User
    matches: [{ provider: corp, claims: { sub: jane } }]
    networks: { allow: [10.1.0.0/16] }
  devs:
    type: Group
    matches: [{ provider: corp, claims: { groups: devs } }]
  ops:
    type: Group
    matches: [{ provider: corp, claims: { groups: ops } }]
    networks: { deny: [10.0.0.0/8] }
registries:
  myregistry:
    loginServer: one.example.com
    upstream: { url: http://127.0.0.1:5000 }
    privateEndpointConnections:
      - { name: build, match: { vpcEndpointId: vpce-1 }, status: Approved }
      - { name: other, match: { vpcEndpointId: vpce-2 }, status: Approved }
    networkRuleSet:
      virtualNetworkRules:
        - { name: office, match: { sourceNetwork: 172.16.0.0/12 } }
    scopeMaps:
      everything: { repositories: { \"*\": [content/read, content/write] } }
      inside:
        repositories: { \"*\": [content/read, content/write] }
        networks: { allow: [10.0.0.0/8, virtual network office] }
    tokens:
      free: { scopeMap: everything, passwords: [{ name: password1, file: a }] }
      ci:
        scopeMap: everything
        passwords: [{ name: password1, file: b }]
        networks:
          allow: [192.0.2.0/24, 2001:db8::/32, private endpoint build]
          deny: [192.0.2.66]
      both: { scopeMap: inside, additionalScopeMaps: [_repositories_pull], passwords: [{ name: password1, file: c }] }
    roleAssignments:
      - { identity: jane, role: AcrPush }
      - { identity: devs, role: AcrPull, networks: { deny: [192.0.2.66] } }
      - { identity: ops, role: Owner }
";

/// It has endpoints and virtual networks, which is worth a warning.
fn snapshot(text: &str) -> PolicySnapshot {
    let (policy, problems) = compiled(text);
    policy.unwrap_or_else(|| panic!("{problems}{text}"))
}

/// A source that the registry admits.
fn from(registry: &Registry, address: &str) -> Admitted {
    registry.network.admit(Source::public(address.parse::<IpAddr>().unwrap())).unwrap()
}

fn behind(registry: &Registry, endpoint: &str) -> Admitted {
    let network = Network::PrivateEndpoint(EndpointMark::vpc_endpoint(endpoint).unwrap());
    registry.network.admit(Source::public(IpAddr::from([192, 0, 2, 1])).behind(&network)).unwrap()
}

fn token(registry: &Registry, name: &str) -> Caller {
    let principal = registry.principal_named(name).unwrap();
    let credential = principal.passwords().first().map(|password| password.id);
    Caller { principal, credential, granted: Granted::Everything }
}

fn jane(registry: &Registry, groups: &[&str]) -> Caller {
    asserted(registry, "corp", &json!({ "sub": "jane", "groups": groups })).unwrap()
}

/// `yes`, or the code of the denial.
fn may(registry: &Registry, caller: &Caller, line: &str, admitted: &Admitted) -> &'static str {
    authorize(registry, caller, &operation(line), admitted, now()).map_or_else(|denial| denial.code(), |_| "yes")
}

fn one(policy: &PolicySnapshot) -> &Registry {
    policy.registry_named("myregistry").unwrap()
}

#[test]
fn a_token_counts_from_its_networks() {
    let policy = snapshot(POLICY);
    let one = one(&policy);
    let (free, ci) = (token(one, "free"), token(one, "ci"));
    let out = "network_not_allowed";
    for (address, expected) in [
        ("192.0.2.1", "yes"),
        ("192.0.2.66", out),
        ("2001:db8::7", "yes"),
        ("::ffff:192.0.2.1", "yes"),
        ("10.0.0.1", out),
        ("172.16.0.1", out),
    ] {
        let admitted = from(one, address);
        assert_eq!(may(one, &ci, PULL, &admitted), expected, "{address}");
        assert_eq!(located(&ci.principal, admitted.place()).is_ok(), expected == "yes", "{address}");
        // Not even the version.
        assert_eq!(may(one, &ci, "GET /v2/", &admitted), expected, "{address}");
        assert_eq!(may(one, &free, PULL, &admitted), "yes", "{address}");
    }
    // Its address is in `allow`, and is somebody's private one.
    assert_eq!(may(one, &ci, PULL, &behind(one, "vpce-1")), "yes");
    assert_eq!(may(one, &ci, PULL, &behind(one, "vpce-2")), out);
    let denial = authorize(one, &ci, &operation(PULL), &from(one, "192.0.2.66"), now()).unwrap_err();
    let expected = "the principal may not come from 192.0.2.66: its networks deny 192.0.2.66/32 (policy.yaml:37:18)";
    assert_eq!(denial.to_string(), expected);
    let denial = authorize(one, &ci, &operation(PULL), &from(one, "10.0.0.1"), now()).unwrap_err();
    let expected =
        "the principal may not come from 10.0.0.1: no network that it is allowed holds it (policy.yaml:36:18)";
    assert_eq!(denial.to_string(), expected);
}

#[test]
fn a_scope_map_gives_nothing_elsewhere_and_the_others_do() {
    let policy = snapshot(POLICY);
    let one = one(&policy);
    let both = token(one, "both");
    let push = "PUT /v2/a/manifests/v1";
    let asked = Scope::parse_list("repository:a:pull,push registry:catalog:*").unwrap();
    for (admitted, pushes) in [
        (from(one, "10.2.3.4"), true),
        (from(one, "172.16.0.9"), true),
        (from(one, "192.0.2.1"), false),
        (behind(one, "vpce-1"), false),
    ] {
        assert_eq!(may(one, &both, PULL, &admitted), "yes");
        assert_eq!(may(one, &both, push, &admitted), if pushes { "yes" } else { "action_not_granted" });
        let granted = grant(&both.principal, &asked, &admitted);
        let granted: Vec<_> = granted.iter().map(ToString::to_string).collect();
        assert_eq!(granted, [if pushes { "repository:a:pull,push" } else { "repository:a:pull" }]);
    }
}

#[test]
fn an_identity_out_of_its_networks_is_as_if_it_were_not_there() {
    let policy = snapshot(POLICY);
    let one = one(&policy);
    let (push, delete) = ("PUT /v2/a/manifests/v1", "DELETE /v2/a/manifests/v1");
    let row = |groups: &[&str], address: &str| {
        let (caller, admitted) = (jane(one, groups), from(one, address));
        [PULL, push, delete].map(|line| may(one, &caller, line, &admitted))
    };
    let (out, no) = ("network_not_allowed", "action_not_granted");
    assert_eq!(row(&[], "10.1.2.3"), ["yes", "yes", no]);
    assert_eq!(row(&[], "10.2.0.1"), [out, out, out]);
    // The group has no condition of its own.
    assert_eq!(row(&["devs"], "10.2.0.1"), ["yes", no, no]);
    assert_eq!(row(&["devs"], "192.0.2.66"), [no, no, no], "its assignment gives nothing there");
    assert_eq!(row(&["ops"], "10.1.2.3"), ["yes", "yes", no]);
    assert_eq!(row(&["ops"], "192.0.2.1"), ["yes", "yes", "yes"]);
    assert_eq!(row(&["ops"], "10.2.0.1"), [out, out, out]);
    let all = ["ops", "devs"];
    assert_eq!(row(&all, "10.2.0.1"), ["yes", no, no]);
    assert_eq!(located(&jane(one, &all).principal, from(one, "10.2.0.1").place()), Ok(()));
}

/// What is left has no role: there is nothing to log in for (S2-32).
#[test]
fn what_counts_has_to_have_a_role() {
    let text = POLICY.replace("      - { identity: devs, role: AcrPull, networks: { deny: [192.0.2.66] } }\n", "");
    let policy = snapshot(&text);
    let one = one(&policy);
    assert_eq!(located(&jane(one, &["devs"]).principal, from(one, "10.2.0.1").place()), Err(Denial::NoRole));
    assert_eq!(located(&jane(one, &["devs"]).principal, from(one, "10.1.0.1").place()), Ok(()));
}

#[test]
fn a_file_with_a_bad_condition_is_refused_by_its_places() {
    let told = |networks: &str| {
        let text = POLICY.replace("networks: { allow: [10.1.0.0/16] }", networks);
        compiled(&text).1
    };
    let problems = told("networks: { allow: [] }");
    assert!(problems.contains("policy.yaml:7:24: `allow` is empty: it would count from nowhere"), "{problems}");
    let problems = told("networks: { deny: [10.1.2.3/8, endpoint build] }");
    assert!(problems.contains("policy.yaml:7:24: the address has bits set outside its prefix"), "{problems}");
    assert!(problems.contains("policy.yaml:7:36: not an IP address or CIDR range: `endpoint build`"), "{problems}");
    let problems = told("networks: { allows: [10.0.0.0/8] }");
    assert!(problems.contains("did you mean \"allow\"?"), "{problems}");
}

#[test]
fn the_store_has_conditions_too_and_what_it_cannot_read_counts_from_nowhere() {
    let offices = "    networkRuleSet:\n      virtualNetworkRules:\n        - { name: office, match: { sourceNetwork: 172.16.0.0/12 } }\n";
    let declared = declared(&POLICY.replace(offices, ""));
    let only = |allow: &str| StoredNetworks { allow: vec![allow.to_owned()], deny: Vec::new() };
    let mut told = seawall::policy::problem::Problems::new();
    let mut stored = StoredPolicy::default();
    let map = StoredScopeMap { networks: only("10.0.0.0/8"), ..records::scope_map(&["repositories/*/content/read"]) };
    stored.set_scope_map("myregistry", "kept-map", Some(&map), &mut told);
    let set = [
        ("by-map", "kept-map", StoredNetworks::default()),
        ("by-token", "_repositories_pull", only("10.0.0.0/8")),
        ("broken", "_repositories_pull", only("10.0.0.0/99")),
    ];
    for (name, map, networks) in set {
        let token = StoredToken { networks, ..records::token(name, &[map]) };
        stored.set_token("myregistry", name, Some(&token), &mut told);
    }
    let policy = PolicySnapshot::assemble(1, &declared, &stored, None);
    let one = one(&policy);
    let row =
        |name: &str| ["10.0.0.1", "192.0.2.1"].map(|address| may(one, &token(one, name), PULL, &from(one, address)));
    assert_eq!(row("by-map"), ["yes", "action_not_granted"]);
    assert_eq!(row("by-token"), ["yes", "network_not_allowed"]);
    assert_eq!(row("broken"), ["network_not_allowed", "network_not_allowed"]);
    let told: Vec<_> = told.iter().map(|problem| problem.what.clone()).collect();
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert!(told.starts_with("token `broken` of registry `myregistry`: not a prefix length"), "{told}");
    assert!(told.ends_with("it counts from nowhere"), "{told}");
}

/// What another part of the policy may say about networks.
const BARE: &str = "myregistry:
  loginServer: one.example.com
  upstream: { url: http://127.0.0.1:5000 }
";

#[test]
fn an_endpoint_for_ipv4_refuses_every_public_ipv6_address() {
    let rules = "  endpointProtocol: IPv4\n  networkRuleSet: { ipRules: [{ value: \"2001:db8::/32\" }] }\n";
    let policy = snapshot(&format!("{BARE}{rules}"));
    let one = one(&policy);
    let six: IpAddr = "2001:db8::1".parse().unwrap();
    let refused = one.network.admit(Source::public(six)).unwrap_err();
    assert_eq!(refused.reason().to_string(), "endpointProtocol is IPv4, and this is an IPv6 address");
    assert!(one.network.admit(Source::public("::ffff:192.0.2.1".parse::<IpAddr>().unwrap())).is_ok(), "it is IPv4");
    let both = snapshot(&format!("{BARE}{}", rules.replace("IPv4", "IPv4AndIPv6")));
    assert!(self::one(&both).network.admit(Source::public(six)).is_ok());
    // Through a private endpoint its address says nothing.
    let endpoint =
        "  privateEndpointConnections: [{ name: build, match: { vpcEndpointId: vpce-1 }, status: Approved }]\n";
    let policy = snapshot(&format!("{BARE}  endpointProtocol: IPv4\n{endpoint}"));
    let network = Network::PrivateEndpoint(EndpointMark::vpc_endpoint("vpce-1").unwrap());
    assert!(self::one(&policy).network.admit(Source::public(six).behind(&network)).is_ok());
}

/// B.4-13.
#[test]
fn exports_are_forbidden_only_where_public_access_is() {
    let forbidden = "  exportPolicy: { status: disabled }\n";
    let (policy, problems) = compiled(&format!("{BARE}{forbidden}"));
    assert!(policy.is_none());
    let expected = "policy.yaml:4:27: `exportPolicy` can only be disabled where public network access is";
    assert!(problems.contains(expected), "{problems}");
    let closed = snapshot(&format!("{BARE}  publicNetworkAccess: Disabled\n{forbidden}"));
    assert_eq!(one(&closed).properties().export_policy.value, ExportStatus::Disabled);
    assert_eq!(one(&snapshot(BARE)).properties().export_policy.value, ExportStatus::Enabled);
}

fn condition() -> impl Strategy<Value = String> {
    let entry = || {
        select(vec![
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.3",
            "0.0.0.0/0",
            "any private endpoint",
            "private endpoint build",
            "virtual network office",
        ])
    };
    let list = || proptest::collection::vec(entry(), 1..4);
    (proptest::option::of(list()), proptest::option::of(list())).prop_map(|(allow, deny)| {
        let list = |name, list: Option<Vec<&str>>| list.map(|list| format!("{name}: [{}]", list.join(", ")));
        let lists: Vec<_> = [list("allow", allow), list("deny", deny)].into_iter().flatten().collect();
        format!("networks: {{ {} }}", lists.join(", "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(60) })]

    /// What is allowed or granted with conditions is so without any.
    #[test]
    fn a_condition_never_widens(conditions in proptest::array::uniform4(condition())) {
        let bare = |text: &str| {
            let lines = text.lines().filter(|line| !line.contains("networks:") && !line.contains("allow: [1") && !line.contains("deny: [1"));
            lines.flat_map(|line| [line, "\n"]).collect::<String>()
        };
        // Where nothing is put in, nothing is shown.
        let put = |text: String, (behind, condition): (&str, String)| {
            assert_eq!(text.matches(behind).count(), 1, "{behind}");
            text.replace(behind, &format!("{behind}{condition}"))
        };
        let bare = bare(POLICY) + "      - { identity: devs, role: AcrPull }\n";
        let [of_token, of_map, of_identity, of_role] = conditions;
        let confined = [
            ("      free: { ", format!("{of_token}, ")),
            ("everything: { ", format!("{of_map}, ")),
            ("  jane:\n", format!("    {of_identity}\n")),
            ("      - { identity: jane, role: AcrPush", format!(", {of_role}")),
        ].into_iter().fold(bare.clone(), put);
        let (bare, confined) = (snapshot(&bare), snapshot(&confined));
        let (before, after) = (one(&bare), one(&confined));
        let asked = Scope::parse_list("repository:a:pull,push,delete registry:catalog:*").unwrap();
        let mut places = vec![anywhere(), behind(before, "vpce-1"), behind(before, "vpce-2")];
        places.extend(["10.1.2.3", "10.1.2.4", "10.2.0.1", "172.16.0.1", "2001:db8::1"].map(|address| from(before, address)));
        for admitted in &places {
            for (wide, narrow) in [
                (token(before, "free"), token(after, "free")),
                (jane(before, &[]), jane(after, &[])),
                (jane(before, &["devs"]), jane(after, &["devs"])),
            ] {
                for line in [PULL, "PUT /v2/a/manifests/v1", "DELETE /v2/a/manifests/v1", "GET /v2/_catalog", "GET /v2/"] {
                    let allowed = may(after, &narrow, line, admitted) == "yes";
                    prop_assert!(!allowed || may(before, &wide, line, admitted) == "yes", "{line} {admitted:?}");
                }
                let granted = |caller: &Caller| grant(&caller.principal, &asked, admitted);
                let wider = granted(&wide);
                for scope in granted(&narrow) {
                    let same = wider.iter().find(|one| (&one.kind, &one.name) == (&scope.kind, &scope.name));
                    prop_assert!(same.is_some_and(|one| scope.actions.iter().all(|action| one.actions.contains(action))));
                }
            }
        }
    }
}
