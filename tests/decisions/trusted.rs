//! Trusted services: each condition by itself, and that nobody else passes.

use std::net::IpAddr;

use proptest::prelude::*;
use proptest::sample::select;
use seawall::policy::document::NetworkRuleBypassOptions;
use seawall::policy::explain::{Asked, Explanation, Question, Step, StepEffect, Via, Who, Words, explain};
use seawall::policy::identity::Guid;
use seawall::policy::network::Source;
use seawall::policy::problem::Problems;
use seawall::policy::stored::{
    StoredRegistry, StoredTrustedService, StoredVirtualNetworkMatch, StoredVirtualNetworkRule,
};
use seawall::policy::trusted::Admission;
use seawall::policy::{Caller, OnUnlessSet, PolicySnapshot, Registry, StoredPolicy, authorize};
use serde_json::json;

use super::identities::asserted;
use super::policy::{compiled, declared, now, operation, snapshot};

const CLIENT_ID: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";

/// `build` is a task, `lab` is user-assigned, `scan` a scanner, `farm` a service of this file, `vault` has a secret.
const POLICY: &str = "identityProviders:
  corp: { issuer: https://corp.example, audiences: [seawall] }
trustedServices:
  containerInstances: { identity: any, description: runs containers }
identities:
  build: { type: SystemAssigned, matches: [{ provider: corp, claims: { sub: build } }] }
  lab: { type: UserAssigned, matches: [{ provider: corp, claims: { sub: lab } }] }
  scan: { type: UserAssigned, matches: [{ provider: corp, claims: { sub: scan } }] }
  farm: { type: UserAssigned, matches: [{ provider: corp, claims: { sub: farm } }] }
  jane: { type: User, matches: [{ provider: corp, claims: { sub: jane } }] }
  vault: { type: ServicePrincipal, clientId: CLIENT_ID, secrets: [{ name: password1, file: v }], matches: [{ provider: corp, claims: { sub: vault } }] }
registries:
  myregistry:
    loginServer: one.example.com
    upstream: { url: http://127.0.0.1:5000 }
    adminUserEnabled: true
    admin: { passwords: [{ name: password, file: x }] }
    NETWORK
    TRUST
    trustedServices:
      - { service: tasks, identity: build }
      - { service: scanner, identity: scan }
      - { service: containerInstances, identity: farm }
      - { service: containerInstances, identity: vault }
    roleAssignments:
      - { identity: build, role: AcrPull }
      - { identity: lab, role: AcrPull }
      - { identity: farm, role: AcrPush }
      - { identity: jane, role: Owner }
      - { identity: vault, role: AcrPull }
";

const CLOSED: &str = "publicNetworkAccess: Disabled";
const PULL: &str = "GET /v2/a/manifests/v1";
const PUSH: &str = "PUT /v2/a/manifests/v1";

fn text(network: &str, trust: &str) -> String {
    POLICY.replace("NETWORK", network).replace("TRUST", trust).replace("CLIENT_ID", CLIENT_ID)
}

fn policy(network: &str, trust: &str) -> PolicySnapshot {
    snapshot(&text(network, trust))
}

fn caller(registry: &Registry, who: &str) -> Caller {
    asserted(registry, "corp", &json!({ "sub": who })).unwrap()
}

/// What becomes of a request of `who`: the class of the network and the rule that allows it, or why not.
fn decided(policy: &PolicySnapshot, who: &str, line: &str) -> Result<String, String> {
    let registry = policy.registry_named("myregistry").unwrap();
    entered(registry, &caller(registry, who), line)
}

fn entered(registry: &Registry, caller: &Caller, line: &str) -> Result<String, String> {
    let source = Source::public("192.0.2.1".parse::<std::net::IpAddr>().unwrap());
    let admission = registry.admit(source).map_err(|refused| refused.to_string())?;
    let admitted = admission.resolve(registry, &caller.principal).map_err(|refused| refused.to_string())?;
    let permit = authorize(registry, caller, &operation(line), &admitted, now());
    let permit = permit.map_err(|denial| denial.code().to_owned())?;
    Ok(format!("{}: {}", admitted.place().class, permit.rule()))
}

/// S2-2, S2-5, S2-13, S2-16 to S2-19, S2-32; E-4, E-17.
#[test]
fn a_trusted_service_passes_and_does_what_its_role_allows() {
    let deny = "networkRuleSet: { defaultAction: Deny }";
    let listed = "networkRuleSet: { ipRules: [{ value: 192.0.2.0/24, action: Deny }] }";
    for network in [CLOSED, deny, listed] {
        let policy = policy(network, "");
        let pull = decided(&policy, "build", PULL).unwrap();
        assert!(pull.starts_with("trusted service tasks: role AcrPull"), "{pull}");
        assert_eq!(decided(&policy, "build", PUSH).unwrap_err(), "action_not_granted");
        assert!(
            decided(&policy, "farm", PUSH).unwrap().starts_with("trusted service containerInstances: role AcrPush")
        );
        assert!(decided(&policy, "vault", PULL).is_ok());
        // Right elsewhere, trusted nowhere.
        let stranger = decided(&policy, "jane", PULL).unwrap_err();
        assert!(stranger.ends_with("; none of its identities is a trusted service of this registry"), "{stranger}");
        assert!(decided(&policy, "lab", PULL).is_err());
    }
    let open = policy("publicNetworkAccess: Enabled", "");
    assert!(decided(&open, "build", PULL).unwrap().starts_with("public: role AcrPull"));
}

/// S2-17, S2-20: no role, and reading only.
#[test]
fn a_scanner_has_the_permit_of_the_catalogue() {
    let policy = policy(CLOSED, "");
    let rule = "trusted service scanner: trusted service scanner (policy.yaml:22:9)";
    for line in [PULL, "GET /v2/a/tags/list", "GET /v2/x/y/manifests/v1"] {
        assert_eq!(decided(&policy, "scan", line).as_deref(), Ok(rule), "{line}");
    }
    for line in [PUSH, "DELETE /v2/a/manifests/v1", "POST /v2/a/blobs/uploads/"] {
        assert_eq!(decided(&policy, "scan", line).unwrap_err(), "action_not_granted", "{line}");
    }
    assert_eq!(decided(&policy, "scan", "GET /v2/_catalog").unwrap_err(), "catalog_not_granted");
    // The permit ends with the switch, on every network.
    let open = snapshot(&text("publicNetworkAccess: Enabled", "networkRuleBypassOptions: None"));
    assert_eq!(decided(&open, "scan", PULL).unwrap_err(), "no_role");
    let open = snapshot(&text("publicNetworkAccess: Enabled", ""));
    assert!(decided(&open, "scan", PULL).unwrap().starts_with("public: trusted service scanner"));
}

/// One off at a time: S2-6, S2-22, S2-38, E-5.
#[test]
fn each_condition_is_needed() {
    let vnet = "networkRuleSet: { defaultAction: Deny, virtualNetworkRules: [{ name: lab, match: { sourceNetwork: 10.9.0.0/16 } }] }";
    let table = [
        (CLOSED, "networkRuleBypassOptions: None", "trusted services do not pass: networkRuleBypassOptions is None"),
        (vnet, "", "trusted services do not pass where there are virtual network rules"),
    ];
    let idle =
        "policy.yaml:21:9: warning: no trusted service passes the rules of a registry that has virtual network rules
  hint: the first of them is at policy.yaml:18:66; write IP rules, or remove the trusted services\n";
    for (network, trust, why) in table {
        let (policy, problems) = compiled(&text(network, trust));
        assert_eq!(problems, if network == vnet { idle } else { "" });
        let policy = policy.unwrap();
        for who in ["build", "scan", "farm"] {
            let refused = decided(&policy, who, PULL).unwrap_err();
            assert!(refused.ends_with(&format!("; {why}")), "{refused}");
        }
    }
    assert_eq!(compiled(&text(vnet, "networkRuleBypassOptions: None")).1, "", "nobody is meant to pass");
    // What no trusted service passes is not hidden by public access that is off.
    let only_v4 = policy(&format!("{CLOSED}\n    endpointProtocol: IPv4"), "");
    let registry = only_v4.registry_named("myregistry").unwrap();
    let admitted = |address: &str| registry.admit(Source::public(address.parse::<IpAddr>().unwrap()));
    assert!(admitted("192.0.2.1").is_ok() && admitted("2001:db8::1").is_err());
    let tasks_off = policy(CLOSED, "networkRuleBypassAllowedForTasks: false");
    let refused = decided(&tasks_off, "build", PULL).unwrap_err();
    assert!(refused.ends_with("; tasks do not pass: networkRuleBypassAllowedForTasks is false"), "{refused}");
    decided(&tasks_off, "scan", PULL).unwrap();
    decided(&tasks_off, "farm", PUSH).unwrap();
}

/// A private endpoint that is not approved is nobody's way in.
#[test]
fn a_private_endpoint_that_is_not_approved_stays_closed() {
    let endpoints = "privateEndpointConnections: [{ name: test-vpc, match: { linkId: 7 }, status: Pending }]";
    let policy = snapshot(&text(endpoints, CLOSED));
    let registry = policy.registry_named("myregistry").unwrap();
    for id in [7, 8] {
        let network =
            seawall::policy::network::Network::PrivateEndpoint(seawall::policy::network::EndpointMark::LinkId(id));
        let source = Source::public("192.0.2.1".parse::<std::net::IpAddr>().unwrap()).behind(&network);
        assert!(registry.admit(source).is_err());
    }
}

/// Who has a password has no assertion: neither the admin account nor a service principal by its secret.
#[test]
fn a_password_proves_no_trusted_service() {
    let policy = policy(CLOSED, "");
    let registry = policy.registry_named("myregistry").unwrap();
    let admission = registry.admit(Source::public(IpAddr::from([192, 0, 2, 1]))).unwrap();
    let place = admission.place();
    for name in ["myregistry", CLIENT_ID] {
        let principal = registry.principal_named(name).unwrap();
        assert!(registry.trust(&principal, place).is_err(), "{name}");
    }
    assert!(registry.trust(&registry.anonymous(), place).is_err());
}

#[test]
fn the_catalogue_and_the_instances_are_checked() {
    let bad = text(CLOSED, "")
        .replace("containerInstances: { identity: any, description: runs containers }", "Tasks: { identity: any }\n  one: { identity: any, permit: [content/read] }\n  two: { identity: none }\n  three: { identity: none, permit: [content/write] }")
        .replace("service: containerInstances, identity: farm", "service: taks, identity: farms")
        .replace("service: containerInstances, identity: vault", "service: tasks, identity: lab");
    let (policy, problems) = compiled(&bad);
    assert!(policy.is_none());
    for expected in [
        "policy.yaml:4:3: `tasks` is a built-in service",
        "policy.yaml:5:33: a service with an identity has roles, and no permit of its own",
        "policy.yaml:6:20: service `two` needs no identity, so its `permit` must say what it may do",
        "policy.yaml:7:37: `content/write` is nothing that a permit can have",
        "there is no service `taks` in the catalogue\n  hint: did you mean `tasks`?",
        "there is no identity `farms`\n  hint: did you mean `farm`?",
        "service `tasks` takes a system-assigned identity, which `lab` is not",
    ] {
        assert!(problems.contains(expected), "{expected}\nis not in\n{problems}");
    }
    // Nothing is concluded from an `identity` that could not be read.
    let (_, problems) =
        compiled(&text(CLOSED, "").replace("{ identity: any, description", "{ identity: anny, description"));
    assert!(problems.contains("\"anny\" is not one of"), "{problems}");
    assert!(!problems.contains("needs no identity"), "{problems}");
    let app_service = text(CLOSED, "").replace("service: scanner", "service: appService");
    let (_, problems) = compiled(&app_service);
    assert!(problems.contains("there is no service `appService`"), "S2-21: {problems}");
}

/// What the API sets counts where the file says nothing, and nobody is trusted while the record cannot be read.
#[test]
fn the_store_sets_what_the_file_leaves_open() {
    let file = text(CLOSED, "");
    let start = file.find("    trustedServices:\n").unwrap();
    let end = file.find("    roleAssignments:\n").unwrap();
    let open =
        format!("{}{}", &file[..start], &file[end..]).replace("    \n", "").replace(&format!("    {CLOSED}\n"), "");
    let declared = declared(&open);
    let snapshot = |stored: &StoredPolicy| PolicySnapshot::assemble(1, &declared, stored, None);
    let mut stored = StoredPolicy::default();
    let ids = snapshot(&stored);
    let id = |name: &str| ids.identities().named(name).unwrap().principal_id.clone();
    let trust = |service: &str, principal_id: Guid| StoredTrustedService { service: service.to_owned(), principal_id };
    let mut set = StoredRegistry {
        public_network_access: Some(seawall::policy::document::PublicNetworkAccess::Disabled),
        trusted_services: Some(vec![trust("tasks", id("build")), trust("tasks", id("lab")), trust("gone", id("farm"))]),
        ..StoredRegistry::default()
    };
    let mut put = |set: &StoredRegistry| {
        stored.set_registry("myregistry", Some(set), &mut Problems::new());
        snapshot(&stored)
    };
    let policy = put(&set);
    assert!(decided(&policy, "build", PULL).is_ok());
    let wrong = decided(&policy, "lab", PULL).unwrap_err();
    assert!(wrong.ends_with("; trusted service tasks takes a systemAssigned identity only"), "S2-5: {wrong}");
    assert!(decided(&policy, "farm", PULL).is_err());
    set.network_rule_bypass_allowed_for_tasks = Some(OnUnlessSet(false));
    assert!(decided(&put(&set), "build", PULL).is_err());
    set.network_rule_bypass_allowed_for_tasks = None;
    set.network_rule_bypass_options = Some(NetworkRuleBypassOptions::None);
    assert!(decided(&put(&set), "build", PULL).is_err());
    set.network_rule_bypass_options = None;
    assert!(decided(&put(&set), "build", PULL).is_ok());
    // It may have been why nobody is trusted (S2-6).
    let broken = StoredVirtualNetworkRule {
        name: "lab".to_owned(),
        id: None,
        matches: StoredVirtualNetworkMatch::SourceNetwork("10.0.0.0/33".to_owned()),
    };
    set.virtual_network_rules = Some(vec![broken]);
    assert!(decided(&put(&set), "build", PULL).is_err());
    set.virtual_network_rules = None;
    assert!(decided(&put(&set), "build", PULL).is_ok());
    let mut unreadable = StoredPolicy::default();
    unreadable.keep_registry("myregistry", &StoredPolicy::default());
    let policy = PolicySnapshot::assemble(2, &super::policy::declared(&file), &unreadable, None);
    assert!(decided(&policy, "build", PULL).is_err());
}

fn explained(policy: &PolicySnapshot, who: &str, action: &str) -> Explanation {
    let what = Asked::parse(&Words { action, target: Some("a"), from: None }).unwrap();
    let source = "192.0.2.1".parse::<std::net::IpAddr>().unwrap().into();
    let who = Who::Identities(vec![who.to_owned()]);
    explain(
        policy,
        "myregistry",
        &Question { source, via: Via::Public, who, credential: None, scopes: None, what },
        now(),
    )
    .unwrap()
}

fn steps(explanation: &Explanation) -> String {
    let step = |step: &Step| {
        let effect = match step.effect {
            StepEffect::Allows => "+",
            StepEffect::Denies => "-",
            StepEffect::Nothing => " ",
        };
        format!("{effect} {} [{}] {}\n", step.rule, step.place, step.says)
    };
    let steps: String = explanation.steps.iter().map(step).collect();
    format!("{steps}{}: {}\n", explanation.code, explanation.reason)
}

#[test]
fn an_explanation_names_the_condition_that_fails() {
    let policy = policy(CLOSED, "");
    assert_eq!(
        steps(&explained(&policy, "scan", "pull")),
        "  publicNetworkAccess [policy.yaml:18:26] Disabled: no public address is admitted, whatever the rules say; not for trusted \
         services
  defaultAction [store or default] Allow: not asked
+ trusted service scanner [policy.yaml:22:9] passes the rules for public networks
+ identity scan [policy.yaml:8:3] is accepted
+ trusted service scanner [policy.yaml:22:9] gives content/read, metadata/read on a; needed: content/read
permitted: trusted service scanner (policy.yaml:22:9)
"
    );
    let jane = steps(&explained(&policy, "jane", "pull"));
    assert!(jane.contains("] none of its identities is a trusted service of this registry"), "{jane}");
    let off = snapshot(&text(CLOSED, "networkRuleBypassOptions: None"));
    let off = steps(&explained(&off, "scan", "pull"));
    assert!(off.contains("  networkRuleBypassOptions [policy.yaml:19:31] trusted services do not pass"), "{off}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whoever is refused by the rules and is no trusted service is never let in; and explanations say the same.
    #[test]
    fn nobody_else_passes(
        network in select(vec![
            "publicNetworkAccess: Enabled",
            CLOSED,
            "networkRuleSet: { defaultAction: Deny }",
            "networkRuleSet: { defaultAction: Deny, virtualNetworkRules: [{ name: lab, match: { sourceNetwork: 10.9.0.0/16 } }] }",
            "networkRuleSet: { defaultAction: Deny, ipRules: [{ value: 192.0.2.1 }] }",
        ]),
        options in select(vec!["AzureServices", "AzureServices", "None"]),
        tasks in any::<bool>(),
        trusted in proptest::collection::btree_set(
            (
                select(vec!["tasks", "machineLearning", "scanner", "import", "containerInstances"]),
                select(vec!["build", "lab", "scan", "farm", "jane", "vault"]),
            ),
            0..5,
        ),
        who in select(vec!["build", "lab", "scan", "farm", "jane", "vault"]),
        (action, line) in select(vec![("pull", PULL), ("push", PUSH)]),
    ) {
        let fits = |service: &str, who: &str| !matches!(service, "tasks" | "machineLearning") || who == "build";
        let trusted: Vec<_> = trusted.into_iter().filter(|(service, who)| fits(service, who)).collect();
        let list: Vec<_> =
            trusted.iter().map(|(service, who)| format!("{{ service: {service}, identity: {who} }}")).collect();
        let list = list.join(", ");
        let trust = format!("networkRuleBypassOptions: {options}\n    networkRuleBypassAllowedForTasks: {tasks}");
        let file = text(network, &trust);
        let start = file.find("    trustedServices:\n").unwrap();
        let end = file.find("    roleAssignments:\n").unwrap();
        let file = format!("{}    trustedServices: [{list}]\n{}", &file[..start], &file[end..]);
        let (policy, problems) = compiled(&file);
        let policy = policy.unwrap_or_else(|| panic!("{problems}{file}"));
        let registry = policy.registry_named("myregistry").unwrap();
        let caller = caller(registry, who);
        let source = Source::public("192.0.2.1".parse::<std::net::IpAddr>().unwrap());
        let refused = registry.network.admit(source).is_err();
        let may_pass = options == "AzureServices" && !network.contains("virtualNetworkRules")
            && trusted.iter().any(|(service, name)| *name == who && (*service != "tasks" || tasks));
        let decided = entered(registry, &caller, line);
        prop_assert!(!refused || may_pass || decided.is_err(), "{decided:?}\n{file}");
        let passes = registry.admit(source).is_ok_and(|admission| admission.resolve(registry, &caller.principal).is_ok());
        prop_assert_eq!(passes, !refused || may_pass);
        let confined = matches!(registry.admit(source), Ok(Admission::Confined(_)));
        prop_assert!(!confined || refused);
        // A service principal in a question is one by its secret.
        if who != "vault" {
            let explanation = explained(&policy, who, action);
            prop_assert_eq!(explanation.allowed, decided.is_ok(), "{}\n{}", steps(&explanation), file);
            let denies = explanation.steps.iter().any(|step| step.effect == StepEffect::Denies);
            prop_assert!(!(explanation.allowed && denies), "{}", steps(&explanation));
        }
    }
}
