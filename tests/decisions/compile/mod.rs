//! Everything that can be wrong with a policy, and what the operator is told about it.

mod identities;
mod networks;
mod problems;

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use seawall::policy::network::{EndpointMark, Network, PrivateEndpointConnection, Source};
use seawall::policy::problem::Problem;
use seawall::policy::{Compiler, PolicySnapshot, Registry, StoredPolicy, compile};
use seawall::{config, server};

use self::problems::{BEGINNING, PROBLEMS};
use crate::policy::{StandIn, compiled, hash_key, now};

/// S3-44 … S3-48 (the wildcards of ACR's page, literally), B.2-2, B.2-3; threat classes J, K, S; wire contract R14.
#[test]
fn every_problem_of_a_policy_is_told_with_its_place_and_a_way_out() {
    let mut wrong = Vec::new();
    for (what, text, expected) in PROBLEMS {
        let text = if text.starts_with(' ') { format!("{BEGINNING}{text}\n") } else { format!("{text}\n") };
        let (snapshot, problems) = compiled(&text);
        if problems != format!("{expected}\n") {
            wrong.push(format!("{what}\n{text}expected:\n{expected}\nfound:\n{problems}"));
        }
        let warnings_only =
            expected.lines().filter(|line| !line.starts_with(' ')).all(|line| line.contains(" warning: "));
        assert_eq!(snapshot.is_some(), warnings_only, "{what}");
        assert!(!problems.contains("hunter2"), "{what}: a secret is repeated");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Threat classes G, S: a rule that would match more than was meant is a problem, not a surprise.
#[test]
fn every_problem_with_identities_is_told_with_its_place_and_a_way_out() {
    let mut wrong = Vec::new();
    assert_eq!(compiled(identities::SOUND).1, "");
    for (what, line, instead, expected) in identities::PROBLEMS {
        assert!(identities::SOUND.contains(&format!("{line}\n")), "{what}");
        let text = identities::SOUND.replacen(&format!("{line}\n"), &format!("{instead}\n"), 1);
        let (snapshot, problems) = compiled(&text);
        if problems != format!("{expected}\n") {
            wrong.push(format!("{what}\nexpected:\n{expected}\nfound:\n{problems}"));
        }
        let warnings_only =
            expected.lines().filter(|line| !line.starts_with(' ')).all(|line| line.contains(" warning: "));
        assert_eq!(snapshot.is_some(), warnings_only, "{what}");
        assert!(!problems.contains("hunter2"), "{what}: a secret is repeated");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Threat class I: what the store assigns to one identity is not another one's, too.
#[test]
fn the_principal_id_that_follows_from_an_identity_is_not_written_for_another() {
    let with = |more: &str| {
        let text =
            identities::SOUND.replace("    type: KubernetesCluster", &format!("    type: KubernetesCluster{more}"));
        compiled(&text)
    };
    let (sound, _) = with("");
    for other in ["build-agent", "vault"] {
        let id = sound.as_ref().unwrap().identities().named(other).unwrap().principal_id.clone();
        let (snapshot, problems) = with(&format!("\n    principalId: {id}"));
        assert!(snapshot.is_none() && problems.contains("has the principal id of this one"), "{problems}");
    }
    let id = sound.unwrap().identities().named("cluster").unwrap().principal_id.clone();
    assert_eq!(with(&format!("\n    principalId: {id}")).1, "", "its own");
}

/// B.4: a connection that is not what was meant would keep people out, or let others in.
#[test]
fn every_problem_with_endpoints_and_virtual_networks_is_told_with_its_place() {
    let endpoints = networks::ENDPOINT_PROBLEMS.iter().map(|(what, items, expected)| {
        (what, format!("{BEGINNING}  privateEndpointConnections:\n    - {items}\n"), expected)
    });
    let virtual_networks = networks::VIRTUAL_NETWORK_PROBLEMS.iter().map(|(what, items, expected)| {
        let list = format!("{BEGINNING}  networkRuleSet:\n    virtualNetworkRules:\n      - {items}\n");
        (what, list, expected)
    });
    for (what, text, expected) in endpoints.chain(virtual_networks) {
        let (snapshot, problems) = compiled(&text);
        assert_eq!(problems, format!("{expected}\n"), "{what}");
        assert!(snapshot.is_none(), "{what}");
    }
}

/// Requirements B.9 and B.4-8; what seawall prints for an unknown endpoint is what approves it.
#[test]
fn endpoints_and_virtual_networks_have_the_limits_of_acr_and_may_stand_side_by_side() {
    let endpoint = |id| format!("    - {}\n", PrivateEndpointConnection::approval(&EndpointMark::LinkId(id)));
    let network = |id| format!("    - {{ name: n{id}, match: {{ sourceNetwork: 10.0.0.{id} }} }}\n");
    let text = |endpoints, networks| {
        let endpoints: String = (0..endpoints).map(endpoint).collect();
        let networks: String = (0..networks).map(network).collect();
        let networks = format!("  networkRuleSet:\n   virtualNetworkRules:\n{networks}");
        format!("{BEGINNING}{networks}  privateEndpointConnections:\n{endpoints}")
    };
    let (snapshot, warning) = compiled(&text(200, 100));
    let both = "policy.yaml:6:7: warning: a registry in ACR has either virtual network rules or private endpoints, and this one has both
  hint: both work here; the endpoints are at policy.yaml:107:7\n";
    assert_eq!(warning, both);
    let registry = Arc::clone(snapshot.unwrap().registry_named("myregistry").unwrap());
    assert_eq!(registry.network.endpoints().connections().len(), 200);
    assert!(registry.has_virtual_network_rules());
    assert!(!registry_of(BEGINNING).has_virtual_network_rules());

    let (snapshot, problems) = compiled(&text(201, 101));
    assert!(snapshot.is_none());
    assert!(problems.contains("policy.yaml:106:7: a registry has at most 100 virtual network rules\n"), "{problems}");
    assert!(
        problems.contains("policy.yaml:308:7: a registry has at most 200 private endpoint connections\n"),
        "{problems}"
    );
}

#[test]
fn what_is_printed_for_an_unknown_endpoint_approves_it() {
    let marks = [
        EndpointMark::vpc_endpoint("vpce-0abc").unwrap(),
        EndpointMark::vpc_endpoint("1e5").unwrap(),
        EndpointMark::LinkId(u32::MAX),
        EndpointMark::PscConnectionId(u64::MAX),
        EndpointMark::Listener("a \"b\": {é}, #c".into()),
    ];
    for mark in marks {
        let item = PrivateEndpointConnection::approval(&mark);
        let registry = registry_of(&format!("{BEGINNING}  privateEndpointConnections:\n    - {item}\n"));
        let network = Network::PrivateEndpoint(mark);
        let source = Source::public(IpAddr::from([192, 0, 2, 1])).behind(&network);
        assert!(registry.network.admit(source).is_ok(), "{item}");
    }
}

/// A name that no listener has, or a mark that none reads, would keep everybody out in silence.
#[test]
fn matches_that_no_listener_can_meet_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    let written = |listeners: &str| {
        let text = format!(
            "version: 1
listeners: [{listeners}]
registries:
  myregistry:
    loginServer: r.example.com
    upstream: {{ url: http://127.0.0.1:5000 }}
    networkRuleSet: {{ virtualNetworkRules: [{{ name: inner, match: {{ listener: inner }} }}] }}
    privateEndpointConnections:
      - {{ name: aws, match: {{ vpcEndpointId: vpce-1 }}, status: Approved }}
      - {{ name: azure, match: {{ linkId: 1 }}, status: Approved }}
      - {{ name: google, match: {{ pscConnectionId: 1 }}, status: Approved }}
      - {{ name: lab, match: {{ listener: lab }}, status: Approved }}
      - {{ name: rack, match: {{ sourceNetwork: 10.0.0.0/8 }}, status: Pending }}
"
        );
        fs::write(&path, text).unwrap();
        let told = server::check(&path).sorted();
        assert!(told.iter().all(|problem| problem.warning), "{told:?}");
        told.into_iter()
            .filter(|problem| problem.what.ends_with("nothing matches"))
            .map(|problem| format!("{}:{} {}", problem.origin.line, problem.origin.column, problem.what))
            .collect::<Vec<_>>()
    };
    let unread = "no listener reads these marks, so nothing matches";
    assert_eq!(
        written("{ name: lab, address: 127.0.0.1:1 }"),
        [
            "7:79 there is no listener \"inner\", so nothing matches",
            &format!("9:46 {unread}"),
            &format!("10:41 {unread}"),
            &format!("11:51 {unread}"),
            "12:41 listener \"lab\" is public, so nothing matches",
            "13:47 no listener is private, so nothing matches",
        ]
    );
    let balanced = |port: u8, kind: &str| {
        let source = format!("{{ mode: proxyProtocol, trusted: [10.0.0.0/8], privateEndpoint: {kind} }}");
        format!("{{ name: {kind}, address: 127.0.0.1:{port}, source: {source} }}")
    };
    let all = [
        balanced(1, "aws"),
        balanced(2, "azure"),
        balanced(3, "google"),
        "{ name: lab, address: 127.0.0.1:4, network: private }".to_owned(),
        "{ name: inner, address: 127.0.0.1:5 }".to_owned(),
    ];
    assert_eq!(written(&all.join(", ")), [""; 0]);
    let private = all.join(", ").replace("127.0.0.1:5 }", "127.0.0.1:5, network: private }");
    assert_eq!(written(&private), ["7:79 listener \"inner\" is private, so nothing matches"]);
}

/// So would a rule about certificates that nobody is asked for; a file that is missing keeps seawall from starting.
#[test]
fn rules_about_certificates_need_a_listener_that_takes_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    let told = |tls: &str| {
        let text = format!(
            "version: 1
listeners: [{{ name: a, address: 127.0.0.1:1{tls} }}]
identities:
  scanner: {{ type: SystemAssigned, matches: [{{ provider: certificate, claims: {{ uri: \"spiffe://corp/scanner\" }} }}] }}
registries:
  myregistry: {{ loginServer: r.example.com, upstream: {{ url: http://127.0.0.1:5000 }} }}
"
        );
        fs::write(&path, text).unwrap();
        let problems = server::check(&path).sorted();
        let shown = |one: Problem| format!("{}:{} {} {}", one.origin.line, one.origin.column, one.warning, one.what);
        problems.into_iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(told(""), ["4:58 true no listener takes certificates of clients, so nothing matches"]);
    for name in ["tls.crt", "tls.key", "ca.pem"] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    let certificates = ", tls: { certificates: [{ certificate: tls.crt, key: tls.key }], clientCertificates: ";
    assert_eq!(told(&format!("{certificates}{{ authorities: [ca.pem] }} }}")), [""; 0]);
    let missing = told(&format!("{certificates}{{ authorities: [ca.pem, other.pem], revocationLists: [crl.pem] }} }}"));
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing[0].starts_with("2:153 false cannot read ") && missing[0].contains("other.pem"), "{missing:?}");
    assert!(missing[1].starts_with("2:183 false cannot read ") && missing[1].contains("crl.pem"), "{missing:?}");
}

fn registry_of(text: &str) -> Arc<Registry> {
    let (snapshot, problems) = compiled(text);
    assert_eq!(problems, "");
    Arc::clone(snapshot.unwrap().registry_named("myregistry").unwrap())
}

/// S3-43, S3-48, S3-50: what the wildcard rules allow.
#[test]
fn the_wildcards_of_acr_are_accepted() {
    for pattern in ["'*'", "sample/*", "sample/teamA/*", "sample/teamA/projectB", "does/not/exist/yet"] {
        let text =
            format!("{BEGINNING}  scopeMaps: {{ team-a: {{ repositories: {{ {pattern}: [content/read] }} }} }}\n");
        let (snapshot, problems) = compiled(&text);
        assert_eq!(problems, "", "{pattern}");
        assert!(snapshot.is_some(), "{pattern}");
    }
}

/// S3-6, S3-55, S3-56, S1-43: what may be left out, and how many passwords there may be.
#[test]
fn a_token_may_have_no_password_one_or_two_and_names_may_have_the_limits_of_acr() {
    for passwords in
        ["[]", "[{ name: password2, file: a }]", "[{ name: password1, env: A }, { name: password2, file: b }]"]
    {
        let text =
            format!("{BEGINNING}  tokens: {{ ci-push: {{ scopeMap: _repositories_pull, passwords: {passwords} }} }}\n");
        assert_eq!(compiled(&text).1, "", "{passwords}");
    }
    let longest = "r".repeat(50);
    for (registry, token) in [("12345", "54321"), (longest.as_str(), "-ci--"), ("MyRegistry", "myregistry")] {
        let text = BEGINNING.replace("myregistry", registry);
        assert_eq!(compiled(&format!("{text}  tokens: {{ {token}: {{ scopeMap: _repositories_pull }} }}\n")).1, "");
    }
}

/// One mistake hides no other: all of a file, of whatever kind, at once (threat class S).
#[test]
fn all_problems_of_a_file_are_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    let text = "version: 1
listeners: [{ name: a, address: 'localhost:8443' }]
metrix: {}
registries:
  myregistry:
    loginServer: https://r.example.com
    upstream: { url: http://127.0.0.1:5000, timeouts: { read: 0s } }
    anonymousPull: true
    networkRuleSet: { defaultAction: Denny, ipRules: [{ value: 10.0.0.1/8 }] }
    scopeMaps: { team-a: { repositories: { a*: [content/raed] } } }
    tokens:
      c i: { scopeMap: team-b, passwords: [{ name: password3, file: b }, { name: password1, file: gone }] }
";
    fs::write(&path, text).unwrap();
    let problems = server::check(&path).sorted();
    let prefix = format!("{}:", path.display());
    let places: Vec<_> = problems
        .iter()
        .map(|problem| problem.to_string().strip_prefix(&prefix).unwrap().split(": ").next().unwrap().to_owned())
        .collect();
    let expected =
        ["2:33", "3:1", "6:18", "7:63", "8:5", "9:38", "9:64", "10:44", "10:49", "12:7", "12:24", "12:52", "12:99"];
    assert_eq!(places, expected, "{problems:#?}");
}

/// The files that we give to people are valid policies, and nothing in them needs a warning.
#[test]
fn every_example_compiles_without_a_problem() {
    let mut count = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        count += 1;
        let reading = config::read(&path);
        assert!(reading.problems.is_empty(), "{:?}", reading.problems);
        let key = hash_key();
        let compiler = Compiler { hash_key: &key, references: &StandIn, now: now() };
        let (declared, mut problems) = compile(reading.policy.unwrap().examine(), compiler);
        let (declared, stored) = (declared.unwrap(), StoredPolicy::default());
        problems.extend(declared.warnings_beside(&stored));
        assert!(problems.is_empty(), "{:#?}", problems.sorted());
        let snapshot = PolicySnapshot::assemble(1, &declared, &stored, None);
        assert!(!snapshot.registries().is_empty(), "{}", path.display());
    }
    assert!(count >= 4, "{count}");
}
