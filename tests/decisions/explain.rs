//! Explanations: what is in them, and that they agree with what is enforced.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;
use seawall::policy::explain::{Asked, Explanation, Question, Request, Step, StepEffect, Via, Who, Words, explain};
use seawall::policy::network::Source;
use seawall::policy::{Caller, Granted, PolicySnapshot, Principal, Registry, authorize};
use serde_json::json;

use super::identities::asserted;
use super::policy::{compiled, now};

const CLIENT_ID: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";

const POLICY: &str = "identityProviders:
  corp: { issuer: https://corp.example, audiences: [seawall] }
identities:
  jane: { type: User, matches: [{ provider: corp, claims: { sub: jane } }] }
registries:
  myregistry:
    loginServer: one.example.com
    upstream: { url: http://127.0.0.1:5000 }
    networkRuleSet:
      defaultAction: Deny
      ipRules:
        - { value: 192.0.2.0/24, name: office }
        - { value: 192.0.2.7, action: Deny }
    scopeMaps:
      team-a: { repositories: { team-a/*: [content/read], team-a/app: [content/write] } }
    tokens:
      ci:
        scopeMap: team-a
        passwords: [{ name: password1, file: a, expiry: 2026-11-20T00:00:00Z }, { name: password2, file: b }]
    roleAssignments: [{ identity: jane, role: AcrPull, repositories: [team-b/*] }]
";

/// With a warning, that a password has expired.
fn policy() -> PolicySnapshot {
    compiled(POLICY).0.unwrap()
}

fn question(source: &str, who: Who, action: &str, target: Option<&str>, from: Option<&str>) -> Question {
    let what = Asked::parse(&Words { action, target, from }).unwrap();
    let source = source.parse::<std::net::IpAddr>().unwrap().into();
    Question { source, via: Via::Public, who, credential: None, scopes: None, what }
}

fn explained(policy: &PolicySnapshot, question: &Question) -> Explanation {
    explain(policy, "MyRegistry", question, now()).unwrap()
}

fn shown(explanation: &Explanation) -> String {
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
fn every_rule_that_is_considered_has_its_place() {
    let policy = policy();
    let token = || Who::Token("ci".to_owned());
    let push = explained(&policy, &question("192.0.2.9", token(), "push", Some("team-a/app:v1"), None));
    assert_eq!(
        shown(&push),
        "  publicNetworkAccess [store or default] Enabled
+ ip rule `office` 192.0.2.0/24 [policy.yaml:12:20] Allow: the longest prefix that holds the address
  defaultAction [policy.yaml:10:22] Deny: not asked
  password1 [policy.yaml:17:7] has not counted since 2026-11-20T00:00:00Z
  password2 [policy.yaml:17:7] counts, and never expires
+ token ci [policy.yaml:17:7] is accepted
+ scope map team-a, pattern team-a/app [policy.yaml:15:59] gives content/write on team-a/app; needed: content/write
  scope map team-a, pattern team-a/* [policy.yaml:15:33] gives content/read on team-a/app; needed: content/write
permitted: scope map team-a (policy.yaml:15:59)
"
    );
    let delete = explained(&policy, &question("192.0.2.7", token(), "delete", Some("team-b/app"), None));
    assert_eq!(
        shown(&delete),
        "  publicNetworkAccess [store or default] Enabled
- ip rule 192.0.2.7/32 [policy.yaml:13:20] Deny: the longest prefix that holds the address
  ip rule `office` 192.0.2.0/24 [policy.yaml:12:20] holds the address, but a longer prefix does too
  defaultAction [policy.yaml:10:22] Deny: not asked
  password1 [policy.yaml:17:7] has not counted since 2026-11-20T00:00:00Z
  password2 [policy.yaml:17:7] counts, and never expires
+ token ci [policy.yaml:17:7] is accepted
  scope map team-a [policy.yaml:15:7] none of its 2 patterns covers team-b/app
network_refused: ip rule (Deny 192.0.2.7/32) at policy.yaml:13:20
"
    );
    let jane = Who::Identities(vec!["jane".to_owned()]);
    let pull = explained(&policy, &question("192.0.2.9", jane, "pull", Some("team-a/app"), None));
    assert!(shown(&pull).ends_with(
        "  role AcrPull of identity jane, on team-b/* [policy.yaml:20:23] gives nothing on team-a/app; needed: content/read\n\
         action_not_granted: the principal may not content/read on repository team-a/app\n"
    ), "{}", shown(&pull));
}

/// The public rules say nothing about a private endpoint; a virtual network is asked where no IP rule holds the address.
#[test]
fn a_private_way_is_explained_by_its_own_rule() {
    let text = POLICY.replace(
        "        - { value: 192.0.2.7, action: Deny }\n",
        "        - { value: 192.0.2.7, action: Deny }\n      virtualNetworkRules:\n        - { name: lab, match: { sourceNetwork: \
         10.9.0.0/16 } }\n    privateEndpointConnections:\n      - { name: build-vpc, match: { vpcEndpointId: vpce-0abc }, status: \
         Approved }\n      - { name: test-vpc, match: { linkId: 7 }, status: Pending }\n",
    );
    let (policy, problems) = compiled(&text);
    let policy = policy.unwrap_or_else(|| panic!("{problems}"));
    let network = |source: &str, via: &str| {
        let asked = question(source, Who::Admin, "catalog", None, None);
        let asked = Question { via: Via::parse(via).unwrap(), ..asked };
        explain(&policy, "myregistry", &asked, now()).map(|explanation| {
            let steps = explanation.steps.iter().filter(|step| step.effect != StepEffect::Nothing);
            let step = steps.map(|step| format!("{} [{}] {}", step.rule, step.place, step.says)).next().unwrap();
            (explanation.code == "network_refused", step)
        })
    };
    let endpoint =
        |name: &str, at: &str, says: &str| format!("private endpoint connection `{name}` [policy.yaml:{at}] {says}");
    assert_eq!(
        network("203.0.113.1", "private endpoint build-vpc"),
        Ok((false, endpoint("build-vpc", "17:9", "Approved")))
    );
    assert_eq!(network("192.0.2.9", "private endpoint test-vpc"), Ok((true, endpoint("test-vpc", "18:9", "Pending"))));
    let lab = "virtual network rule `lab` [policy.yaml:15:11] Allow: it holds the source".to_owned();
    assert_eq!(network("10.9.0.1", "virtual network lab"), Ok((false, lab)));
    assert!(network("192.0.2.7", "public").unwrap().0);
    let error = network("192.0.2.9", "private endpoint build-vpd").unwrap_err();
    assert!(error.contains("did you mean `build-vpc`"), "{error}");
    Via::parse("private endpoint ").unwrap_err();
}

#[test]
fn whose_secret_a_provider_verifies_needs_no_password_of_ours() {
    let deployer = format!(
        "identities:\n  deployer: {{ type: ServicePrincipal, clientId: {CLIENT_ID}, verifiedBy: corp, matches: [{{ provider: corp, \
         claims: {{ azp: deployer }} }}] }}\n"
    );
    let text = POLICY.replace("identities:\n", &deployer);
    let text = text.replace("roleAssignments: [", "roleAssignments: [{ identity: deployer, role: AcrPull }, ");
    for (text, code) in [
        (text.clone(), "permitted"),
        (text.replace("ServicePrincipal,", "ServicePrincipal, status: disabled,"), "identity_unknown"),
    ] {
        let who = Who::ServicePrincipal("deployer".to_owned());
        let asked = question("192.0.2.9", who, "pull", Some("team-a/app"), None);
        let (policy, problems) = compiled(&text);
        let policy = policy.unwrap_or_else(|| panic!("{problems}"));
        assert_eq!(explained(&policy, &asked).code, code);
    }
}

#[test]
fn a_mount_whose_source_may_not_be_read_is_said_to_become_an_upload() {
    let policy = policy();
    let mount = question("192.0.2.9", Who::Token("ci".to_owned()), "mount", Some("team-a/app"), Some("team-b/app"));
    let explanation = explained(&policy, &mount);
    assert_eq!((explanation.allowed, explanation.instead.is_some()), (false, true));
}

#[test]
fn who_or_what_is_not_there_is_no_decision() {
    let policy = policy();
    let ask =
        |registry: &str, who| explain(&policy, registry, &question("192.0.2.9", who, "catalog", None, None), now());
    assert_eq!(
        ask("myregistri", Who::Admin).unwrap_err(),
        "there is no registry `myregistri`; did you mean `myregistry`?"
    );
    assert_eq!(ask("myregistry", Who::Token("c".to_owned())).unwrap_err(), "there is no token `c`");
    assert!(ask("myregistry", Who::ServicePrincipal("jane".to_owned())).is_err());
}

/// Whether a request is let in that shows any of the passwords, or of which the provider says this.
fn enforced(registry: &Registry, question: &Question) -> bool {
    let (operation, now) = (&question.what.operation, now());
    let by_password = |name: &str| -> Vec<Caller> {
        let principal = registry.principal_named(name).unwrap();
        let ids: Vec<_> = principal.passwords().iter().map(|password| password.id).collect();
        let caller = |id| Caller { principal: principal.clone(), credential: Some(id), granted: Granted::Everything };
        ids.into_iter().map(caller).collect()
    };
    let callers = match &question.who {
        Who::Unknown | Who::Anonymous => vec![Caller::anonymous(registry)],
        Who::Admin => by_password("myregistry"),
        Who::Token(name) => by_password(name),
        Who::ServicePrincipal(_) => by_password(CLIENT_ID),
        Who::Identities(names) => {
            let sub = if names.iter().any(|name| name == "jane") { "jane" } else { "somebody" };
            let groups: Vec<_> = names.iter().filter(|name| *name == "devs").collect();
            asserted(registry, "corp", &json!({ "sub": sub, "groups": groups })).into_iter().collect()
        }
    };
    let Ok(admitted) = registry.network.admit(Source::public(question.source)) else { return false };
    callers.iter().any(|caller| authorize(registry, caller, operation, &admitted, now).is_ok())
}

/// A policy of few names, so that its rules and the questions meet.
fn policies() -> impl Strategy<Value = String> {
    let network = select(vec!["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "2001:db8::/32"]);
    let effect = || select(vec!["Allow", "Deny"]);
    let rules = proptest::collection::vec((network, effect()), 0..6);
    let pattern = || select(vec!["a", "a/b", "a/*", "b/*", "a/b/c"]);
    let actions = || select(vec!["content/read", "content/write", "content/delete", "metadata/read", "metadata/write"]);
    let map = || proptest::collection::btree_map(pattern(), actions(), 0..4);
    let status = || select(vec!["enabled", "enabled", "disabled"]);
    let expiry = || select(vec!["", ", expiry: 2026-11-20T00:00:00Z", ", expiry: 2027-11-20T00:00:00Z"]);
    let role = select(vec![
        "AcrPull",
        "AcrPush",
        "AcrDelete",
        "Owner",
        "AcrImageSigner",
        "Container Registry Repository Writer",
    ]);
    let confined = select(vec!["", ", repositories: [a/*]", ", repositories: [a, b/*]"]);
    let networks = || {
        select(vec![
            "",
            "",
            ", networks: { allow: [10.1.0.0/16] }",
            ", networks: { deny: [10.1.2.3, \"2001:db8::/32\"] }",
            ", networks: { allow: [10.0.0.0/8, any private endpoint], deny: [10.1.2.0/24] }",
        ])
    };
    let role = (role, confined, networks()).prop_map(|(role, on, from)| (role, format!("{on}{from}")));
    let assignments = proptest::collection::btree_map(select(vec!["jane", "devs", "vault"]), role, 0..4);
    let status = move || (status(), networks()).prop_map(|(status, from)| format!("{status}{from}"));
    let map = move || (map(), networks());
    let switch = || select(vec!["true", "false"]);
    let network = (select(vec!["Enabled", "Enabled", "Enabled", "Disabled"]), effect(), rules);
    let tokens = (map(), map(), (status(), expiry(), expiry()));
    let people = (status(), status(), (status(), expiry()), assignments);
    let whole =
        (switch(), switch(), select(vec!["", "anonymousPullRepositories: [a/*], ", "endpointProtocol: IPv4, "]));
    (network, tokens, people, whole).prop_map(|(network, tokens, people, whole)| {
        let mut text = format!(
            "identityProviders:\n  corp: {{ issuer: https://corp.example, audiences: [seawall] }}\nidentities:\n  \
             jane: {{ type: User, status: {}, matches: [{{ provider: corp, claims: {{ sub: jane }} }}] }}\n  \
             devs: {{ type: Group, status: {}, matches: [{{ provider: corp, claims: {{ groups: devs }} }}] }}\n  \
             vault: {{ type: ServicePrincipal, clientId: {CLIENT_ID}, status: {}, secrets: [{{ name: password1, file: v{} }}] }}\n",
            people.0, people.1, people.2.0, people.2.1
        );
        write!(
            text,
            "registries:\n  myregistry:\n    {{ loginServer: one.example.com, upstream: {{ url: http://127.0.0.1:5000 }}, \
             adminUserEnabled: {}, anonymousPullEnabled: {}, {}admin: {{ passwords: [{{ name: password, file: x }}] }}, \
             publicNetworkAccess: {}, networkRuleSet: {{ defaultAction: {}, ipRules: [",
            whole.0, whole.1, whole.2, network.0, network.1
        )
        .unwrap();
        for (value, action) in network.2 {
            write!(text, "{{ value: \"{value}\", action: {action} }}, ").unwrap();
        }
        text.push_str("] }, scopeMaps: { ");
        for (name, (map, from)) in [("one", tokens.0), ("two", tokens.1)] {
            write!(text, "{name}-map: {{ repositories: {{ ").unwrap();
            for (pattern, action) in &map {
                write!(text, "{pattern}: [{action}], ").unwrap();
            }
            write!(text, "}}{from} }}, ").unwrap();
        }
        let (status, first, second) = tokens.2;
        write!(
            text,
            "}}, tokens: {{ ci: {{ scopeMap: one-map, additionalScopeMaps: [two-map], status: {status}, passwords: [{{ name: \
             password1, file: a{first} }}, {{ name: password2, file: b{second} }}] }} }}, roleAssignments: ["
        )
        .unwrap();
        for (who, (role, on)) in &people.3 {
            write!(text, "{{ identity: {who}, role: {role}{on} }}, ").unwrap();
        }
        text.push_str("] }\n");
        text
    })
}

fn questions() -> impl Strategy<Value = Vec<Question>> {
    let source =
        select(vec!["10.1.2.3", "10.1.2.4", "10.1.3.1", "10.2.0.1", "192.0.2.1", "2001:db8::1", "2001:db9::1"]);
    let named = |names: &[&str]| Who::Identities(names.iter().map(ToString::to_string).collect());
    let who = select(vec![
        Who::Anonymous,
        Who::Admin,
        Who::Token("ci".to_owned()),
        named(&["jane"]),
        named(&["devs"]),
        named(&["jane", "devs"]),
        Who::ServicePrincipal("vault".to_owned()),
    ]);
    let repository = || select(vec!["a", "b", "a/b", "a/b/c", "b/c", "c"]);
    let plain = (select(vec!["pull", "push", "delete", "list", "content/read", "metadata/write"]), repository())
        .prop_map(|(action, target)| (action, Some(target), None));
    let mount = (repository(), repository()).prop_map(|(target, from)| ("mount", Some(target), Some(from)));
    let what = prop_oneof![6 => plain, 1 => mount, 1 => Just(("catalog", None, None))];
    let one = (source, who, what);
    let one = one.prop_map(|(source, who, (action, target, from))| question(source, who, action, target, from));
    proptest::collection::vec(one, 500)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(200) })]

    /// 200 policies with 500 questions each: a hundred thousand. What is said to be allowed is let in, what is said to be
    /// denied is not; and the steps say no other thing than the decision.
    #[test]
    fn an_explanation_agrees_with_what_is_enforced(text in policies(), questions in questions()) {
        let (policy, problems) = compiled(&text);
        let policy = policy.unwrap_or_else(|| panic!("{problems}{text}"));
        let registry = policy.registry_named("myregistry").unwrap();
        for question in &questions {
            let explanation = explained(&policy, question);
            prop_assert_eq!(explanation.allowed, enforced(registry, question), "{:?}\n{}\n{}", question, shown(&explanation), text);
            let denies = explanation.steps.iter().any(|step| step.effect == StepEffect::Denies);
            prop_assert!(!(explanation.allowed && denies), "{}", shown(&explanation));
        }
    }
}

/// An access token carries no more than it was issued for, and no more than there is.
#[test]
fn an_access_token_is_explained_by_what_it_was_issued_for() {
    let policy = policy();
    let with = |scope: &str, action: &str, target: Option<&str>| {
        let request = Request {
            registry: "myregistry".to_owned(),
            source: "192.0.2.9".to_owned(),
            action: action.to_owned(),
            repository: target.map(str::to_owned),
            token: Some("ci".to_owned()),
            scopes: vec![scope.to_owned()],
            ..Request::default()
        };
        explained(&policy, &request.question().unwrap())
    };
    let app = Some("team-a/app");
    let pull = with("repository:team-a/app:pull", "pull", app);
    assert_eq!(pull.code, "permitted");
    let push = with("repository:team-a/app:pull", "push", app);
    assert_eq!(push.code, "scope_not_granted");
    assert!(
        shown(&push).contains(
            "- access token [the token itself] was issued for content/read on team-a/app; needed: content/write\n"
        ),
        "{}",
        shown(&push)
    );
    assert_eq!(with("repository:team-b/app:pull,push", "pull", app).code, "scope_not_granted");
    assert_eq!(with("repository:team-b/app:pull", "pull", Some("team-b/app")).code, "action_not_granted");
    let catalog = with("repository:team-a/app:pull", "catalog", None);
    assert_eq!(catalog.code, "catalog_not_granted");
    let malformed = Request { scopes: vec!["team-a/app".to_owned()], ..Request::default() };
    malformed.question().unwrap_err();
}

#[test]
fn whoever_has_no_password_cannot_log_in() {
    let policy = policy();
    let explanation = explained(&policy, &question("192.0.2.9", Who::Admin, "catalog", None, None));
    assert!(!explanation.allowed && explanation.code == "admin_disabled" || explanation.code == "password_replaced");
    assert!(matches!(
        policy.registry_named("myregistry").unwrap().principal_named("myregistry"),
        Some(Principal::Admin(_))
    ));
}
