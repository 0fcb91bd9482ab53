//! Identities from the outside: who somebody turns out to be, and what follows for each registry.

use std::fmt::Write as _;

use proptest::prelude::*;
use seawall::clock::Timestamp;
use seawall::oci::{RepositoryName, Scope};
use seawall::policy::action::{Action, ActionSet};
use seawall::policy::credential::PrincipalId;
use seawall::policy::expiry::endings;
use seawall::policy::identity::Assertion;
use seawall::policy::problem::Problems;
use seawall::policy::stored::{StoredNetworks, StoredToken};
use seawall::policy::{
    Caller, Denial, Granted, PermitRule, PolicySnapshot, Principal, Registry, StoredPolicy, authorize, grant, may_list,
};
use serde_json::{Value, json};

use super::policy::{anywhere, declared, hash_key, now, operation, snapshot, texts};

const VAULT: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";

const POLICY: &str = "identityProviders:
  corp: { issuer: https://corp.example, audiences: [seawall], nameClaim: email }
  github: { issuer: https://github.example, audiences: [seawall] }
identities:
  jane:
    type: User
    matches: [{ provider: corp, claims: { sub: jane } }, { provider: github, claims: { sub: jane } }]
  developers: { type: Group, matches: [{ provider: corp, claims: { groups: dev-* } }] }
  operators: { type: Group, status: disabled, matches: [{ provider: corp, claims: { groups: ops } }] }
  agent:
    type: UserAssigned
    matches: [{ provider: github, claims: { sub: 'repo:acme/*:ref:refs/heads/main', repository_owner: acme } }]
  cluster: { type: KubernetesCluster, matches: [{ provider: corp, claims: { /kubernetes.io/namespace: build } }] }
  vault:
    type: ServicePrincipal
    clientId: 6F9619FF-8B86-D011-B42D-00C04FC964FF
    secrets: [{ name: password1, file: a, expiry: 2026-11-22T00:00:00Z }, { name: password2, file: b }]
    matches: [{ provider: corp, claims: { azp: vault } }]
  retired:
    type: ServicePrincipal
    clientId: 11111111-2222-3333-4444-555555555555
    status: disabled
    secrets: [{ name: password1, file: c, expiry: 2026-11-22T00:00:00Z }]
registries:
  mybaseregistry:
    loginServer: base.example.com
    upstream: { url: http://127.0.0.1:5000 }
    roleAssignments:
      - { identity: agent, role: acrpull }
      - { identity: retired, role: AcrPull }
  myregistry:
    loginServer: one.example.com
    upstream: { url: http://127.0.0.1:5001 }
    scopeMaps: { team-a: { repositories: { team-a/*: [content/read, content/write] } } }
    roleAssignments:
      - { identity: jane, role: Container Registry Repository Reader, repositories: [jane/*] }
      - { identity: developers, scopeMap: team-a }
      - { identity: operators, role: Owner }
      - { identity: agent, role: AcrPush, repositories: [backend/*] }
      - { identity: cluster, role: Contributor }
      - { identity: vault, role: AcrPull }
";

/// Whom the provider describes by these claims, as a caller; `None` when it is nobody.
pub(crate) fn asserted(registry: &Registry, provider: &str, claims: &Value) -> Option<Caller> {
    let assertion = assertion(provider, claims);
    let id = PrincipalId::derive(&hash_key(), "subject", &[provider.as_bytes(), assertion.subject.as_bytes()]);
    let principal = registry.asserted(&assertion, id)?;
    assert_eq!(principal.id(), Some(id));
    Some(Caller { principal, credential: None, granted: Granted::Everything })
}

pub(crate) fn assertion(provider: &str, claims: &Value) -> Assertion {
    Assertion {
        provider: provider.into(),
        issuer: format!("https://{provider}.example").into(),
        subject: claims["sub"].as_str().unwrap_or("somebody").to_owned(),
        claims: claims.as_object().unwrap().clone(),
    }
}

fn registry<'p>(policy: &'p PolicySnapshot, name: &str) -> &'p Registry {
    policy.registry_named(name).unwrap()
}

pub(crate) fn actions(principal: &Principal, repository: &str) -> String {
    let actions = principal.actions(&RepositoryName::parse(repository).unwrap());
    actions.iter().map(Action::scope_name).collect::<Vec<_>>().join(",")
}

pub(crate) fn may(registry: &Registry, caller: &Caller, line: &str) -> Result<String, Denial> {
    authorize(registry, caller, &operation(line), &anywhere(), now()).map(|permit| permit.rule().to_string())
}

/// A caller who logged in with the first secret.
fn by_secret(registry: &Registry, client_id: &str) -> Caller {
    let principal = registry.principal_named(client_id).unwrap();
    let credential = principal.passwords().first().map(|password| password.id);
    Caller { principal, credential, granted: Granted::Everything }
}

#[test]
fn a_person_is_all_identities_that_a_rule_makes_him() {
    let policy = snapshot(POLICY);
    let one = registry(&policy, "myregistry");
    let caller = asserted(one, "corp", &json!({ "sub": "jane", "groups": ["sales", "dev-7"] })).unwrap();
    let Principal::Identity(held) = &caller.principal else { panic!() };
    assert_eq!(held.identities.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["developers", "jane"]);
    assert_eq!(actions(&caller.principal, "jane/app"), "pull,metadata_read");
    assert_eq!(actions(&caller.principal, "team-a/app"), "pull,push");
    assert_eq!(actions(&caller.principal, "team-b/app"), "");
    assert_eq!(
        may(one, &caller, "PUT /v2/team-a/app/manifests/v1").unwrap(),
        "scope map team-a of identity developers (policy.yaml:37:9)"
    );
    assert_eq!(
        may(one, &caller, "GET /v2/jane/app/manifests/v1").unwrap(),
        "role Container Registry Repository Reader of identity jane (policy.yaml:36:9)"
    );
    assert_eq!(may(one, &caller, "GET /v2/_catalog"), Err(Denial::CatalogNotGranted));
    // Another provider's jane is the same identity, by a rule of its own, and in no group.
    let other = asserted(one, "github", &json!({ "sub": "jane", "groups": ["dev-7"] })).unwrap();
    assert_eq!(actions(&other.principal, "team-a/app"), "");
    assert_eq!(actions(&other.principal, "jane/app"), "pull,metadata_read");
}

#[test]
fn a_disabled_identity_is_nobody() {
    let policy = snapshot(POLICY);
    let one = registry(&policy, "myregistry");
    assert!(asserted(one, "corp", &json!({ "sub": "joe", "groups": ["ops"] })).is_none());
    let both = asserted(one, "corp", &json!({ "sub": "jane", "groups": ["ops"] })).unwrap();
    assert_eq!(actions(&both.principal, "any"), "");
    // A person who is disabled is so in all his groups.
    let developer = json!({ "sub": "jane", "groups": ["dev-a"] });
    assert!(asserted(one, "corp", &developer).is_some());
    let disabled = snapshot(&POLICY.replace("type: User\n", "type: User\n    status: disabled\n"));
    assert!(asserted(registry(&disabled, "myregistry"), "corp", &developer).is_none());
    let enabled = snapshot(&POLICY.replace("Group, status: disabled", "Group"));
    let both =
        asserted(registry(&enabled, "myregistry"), "corp", &json!({ "sub": "jane", "groups": ["ops"] })).unwrap();
    assert_eq!(actions(&both.principal, "any"), "pull,push,delete,metadata_read,metadata_write");
}

/// Threat classes E and G: what is almost right is nobody.
#[test]
fn whoever_no_rule_describes_is_nobody() {
    let policy = snapshot(POLICY);
    let one = registry(&policy, "myregistry");
    let sub = "repo:acme/app:ref:refs/heads/main";
    assert!(asserted(one, "github", &json!({ "sub": sub, "repository_owner": "acme" })).is_some());
    for (provider, claims) in [
        ("github", json!({ "sub": "repo:acmeevil/app:ref:refs/heads/main", "repository_owner": "acme" })),
        ("github", json!({ "sub": "repo:acme/app:ref:refs/heads/main-2", "repository_owner": "acme" })),
        ("github", json!({ "sub": sub, "repository_owner": "acmeevil" })),
        ("github", json!({ "sub": sub })),
        ("github", json!({ "sub": sub, "repository_owner": null })),
        ("corp", json!({ "sub": sub, "repository_owner": "acme" })),
        ("corp", json!({ "sub": "joe" })),
        ("corp", json!({ "sub": "JANE" })),
        ("corp", json!({ "sub": "joe", "kubernetes.io/namespace": "build" })),
        ("unknown", json!({ "sub": "jane" })),
        ("corp", json!({})),
    ] {
        assert!(asserted(one, provider, &claims).is_none(), "{provider} {claims}");
    }
    let mut elsewhere = assertion("corp", &json!({ "sub": "jane" }));
    let id = PrincipalId::derive(&hash_key(), "subject", &[b"jane"]);
    assert!(one.asserted(&elsewhere, id).is_some());
    elsewhere.issuer = "https://corp.example/other".into();
    assert!(one.asserted(&elsewhere, id).is_none(), "the provider stands for another issuer now");
}

/// S4: one identity, two registries, another role on each; S2-31, S2-32.
#[test]
fn a_role_is_worth_something_on_its_own_registry_only() {
    let policy = snapshot(POLICY);
    let (base, one) = (registry(&policy, "mybaseregistry"), registry(&policy, "myregistry"));
    let claims = json!({ "sub": "repo:acme/app:ref:refs/heads/main", "repository_owner": "acme" });
    let on = |registry: &Registry| asserted(registry, "github", &claims).unwrap();
    assert!(may(base, &on(base), "GET /v2/backend/api/manifests/v1").is_ok());
    assert!(may(base, &on(base), "PUT /v2/backend/api/manifests/v1").is_err());
    assert!(may(base, &on(base), "GET /v2/_catalog").is_ok());
    assert!(may(one, &on(one), "PUT /v2/backend/api/manifests/v1").is_ok());
    assert!(may(one, &on(one), "DELETE /v2/backend/api/manifests/v1").is_err());
    for repository in ["backend", "backend-infra", "backend-infra/api", "other/backend/api"] {
        assert!(may(one, &on(one), &format!("GET /v2/{repository}/manifests/v1")).is_err(), "{repository}");
    }
    let jane = asserted(base, "corp", &json!({ "sub": "jane" })).unwrap();
    assert_eq!(may(base, &jane, "GET /v2/"), Err(Denial::NoRole));
    assert_eq!(Denial::NoRole.code(), "no_role");
}

/// S1-8, S1-9: the cap is the cluster's, and nobody else's who is a cluster too.
#[test]
fn a_cluster_pulls_and_does_nothing_else() {
    let policy = snapshot(POLICY);
    let one = registry(&policy, "myregistry");
    let claims = |groups: &[&str]| json!({ "sub": "sa", "groups": groups, "kubernetes.io": { "namespace": "build" } });
    let caller = asserted(one, "corp", &claims(&[])).unwrap();
    assert_eq!(actions(&caller.principal, "team-a/app"), "pull");
    assert!(!caller.principal.may_list_catalog());
    let also_a_developer = asserted(one, "corp", &claims(&["dev-1"])).unwrap();
    assert_eq!(actions(&also_a_developer.principal, "team-a/app"), "pull,push");
    assert_eq!(actions(&also_a_developer.principal, "team-b/app"), "pull");
}

/// S1-36, B.6-1; threat class I.
#[test]
fn a_service_principal_logs_in_with_its_client_id_and_a_secret() {
    let policy = snapshot(POLICY);
    let (base, one) = (registry(&policy, "mybaseregistry"), registry(&policy, "myregistry"));
    let caller = by_secret(one, VAULT);
    assert_eq!((caller.principal.kind(), caller.principal.name()), ("servicePrincipal", "vault"));
    assert_eq!(caller.principal.passwords().len(), 2);
    assert_eq!(may(one, &caller, "GET /v2/_catalog").unwrap(), "role AcrPull of identity vault (policy.yaml:41:9)");
    assert!(one.principal_named(&VAULT.to_uppercase()).is_some());
    assert!(one.principal_named("vault").is_none());
    let by_id = one.principal(caller.principal.id().unwrap()).unwrap();
    assert_eq!(by_id.name(), "vault");
    assert_eq!(may(base, &by_secret(base, VAULT), "GET /v2/"), Err(Denial::NoRole));

    let without = Caller { credential: None, ..caller.clone() };
    assert_eq!(may(one, &without, "GET /v2/").unwrap_err().code(), "password_replaced");
    let foreign = Caller { credential: by_secret(base, "11111111-2222-3333-4444-555555555555").credential, ..caller };
    assert_eq!(may(one, &foreign, "GET /v2/").unwrap_err().code(), "password_replaced");
    let retired = by_secret(base, "11111111-2222-3333-4444-555555555555");
    assert_eq!(may(base, &retired, "GET /v2/").unwrap_err().code(), "identity_disabled");
    let expired = authorize(one, &by_secret(one, VAULT), &operation("GET /v2/"), &anywhere(), Timestamp::MAX);
    assert_eq!(expired.unwrap_err().code(), "password_expired");

    let vouched_for = asserted(one, "corp", &json!({ "sub": "x", "azp": "vault" })).unwrap();
    assert_eq!(vouched_for.principal.kind(), "identity");
    assert!(may(one, &vouched_for, "GET /v2/any/manifests/v1").is_ok());
    let with_secret = Caller { credential: foreign.credential, ..vouched_for };
    assert_eq!(may(one, &with_secret, "GET /v2/").unwrap_err().code(), "password_replaced");
}

#[test]
fn the_token_endpoint_grants_what_identities_hold() {
    let policy = snapshot(POLICY);
    let one = registry(&policy, "myregistry");
    let asked = Scope::parse_list("registry:catalog:* repository:team-a/app:pull,push,delete repository:b:*").unwrap();
    let granted = |principal: &Principal| {
        grant(principal, &asked, &anywhere()).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let vault = one.principal_named(VAULT).unwrap();
    assert_eq!(
        granted(&vault),
        ["registry:catalog:*", "repository:team-a/app:pull", "repository:b:pull,metadata_read"]
    );
    let developer = asserted(one, "corp", &json!({ "sub": "joe", "groups": "dev-1" })).unwrap().principal;
    assert_eq!(granted(&developer), ["repository:team-a/app:pull,push"]);
}

#[test]
fn the_audit_log_calls_people_as_their_provider_does() {
    let policy = snapshot(POLICY);
    let one = registry(&policy, "myregistry");
    for (claims, name) in [
        (json!({ "sub": "jane", "email": "jane@example.com" }), "jane@example.com".to_owned()),
        (json!({ "sub": "jane", "email": "" }), "jane".to_owned()),
        (json!({ "sub": "jane", "email": 7 }), "jane".to_owned()),
        (json!({ "sub": "jane", "email": "é".repeat(1000) }), "é".repeat(256)),
    ] {
        assert_eq!(asserted(one, "corp", &claims).unwrap().principal.name(), name);
    }
}

/// What a token keeps of the claims makes the same principal as all of them.
#[test]
fn what_is_kept_of_an_assertion_means_the_same() {
    let policy = snapshot(POLICY);
    let one = registry(&policy, "myregistry");
    let whole = assertion(
        "corp",
        &json!({
            "sub": "jane", "email": "j@example.com", "groups": ["a", "dev-1", "ops"], "azp": ["x"], "other": "y",
            "kubernetes.io": { "namespace": "build", "pod": { "name": "p" } },
        }),
    );
    let kept = policy.identities().claims_in_use(&whole);
    assert_eq!(
        Value::Object(kept.clone()),
        json!({
            "sub": "jane", "email": "j@example.com", "groups": ["dev-1", "ops"], "azp": [],
            "kubernetes.io": { "namespace": "build" },
        })
    );
    let id = PrincipalId::derive(&hash_key(), "subject", &[b"jane"]);
    let identities = |assertion: &Assertion| match one.asserted(assertion, id) {
        Some(Principal::Identity(held)) => (held.name.to_string(), held.identities.to_vec()),
        other => panic!("{other:?}"),
    };
    let before = identities(&whole);
    assert_eq!(identities(&Assertion { claims: kept, ..whole }), before);
    assert_eq!(before.1.len(), 3);
}

/// The files win: a token in the store cannot take a service principal's user name.
#[test]
fn a_stored_token_does_not_shadow_a_service_principal() {
    let id = PrincipalId::derive(&hash_key(), "test", &[b"token"]);
    let token = StoredToken {
        id,
        scope_map: "_repositories_admin".to_owned(),
        additional_scope_maps: Vec::new(),
        status: seawall::policy::document::TokenStatus::Enabled,
        passwords: Vec::new(),
        networks: StoredNetworks::default(),
        creation_date: now(),
    };
    let mut stored = StoredPolicy::default();
    stored.set_token("myregistry", VAULT, Some(&token), &mut Problems::new());
    let declared = declared(POLICY);
    let policy = PolicySnapshot::assemble(1, &declared, &stored, None);
    let one = registry(&policy, "myregistry");
    assert!(matches!(one.principal_named(VAULT), Some(Principal::Identity(_))));
    assert!(one.principal(id).is_none());
    assert_eq!(one.tokens().count(), 0);
    let warning = texts(declared.warnings_beside(&stored));
    assert!(warning.contains(&format!("a token in the store is named `{VAULT}`, as this client id")), "{warning}");
}

/// Told by the registries on which it has a role, while it is enabled.
#[test]
fn the_end_of_a_secret_is_foreseen() {
    let policy = snapshot(POLICY);
    let ending = |name: &str| {
        let endings = endings(registry(&policy, name), now());
        endings.into_iter().map(|one| (one.kind, one.user.to_string(), one.password.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(ending("myregistry"), [("servicePrincipal", "vault".to_owned(), "password1".to_owned())]);
    assert_eq!(ending("mybaseregistry"), []);
}

/// How much is assigned to the identity of this name.
fn assigned(registry: &Registry, identity: &str) -> usize {
    registry.assignments(registry.identities().named(identity).unwrap()).len()
}

#[test]
fn a_snapshot_shows_providers_identities_and_assignments() {
    let policy = snapshot(POLICY);
    let providers: Vec<_> = policy.identity_providers().iter().map(|one| one.name.to_string()).collect();
    assert_eq!(providers, ["corp", "github"]);
    assert_eq!(policy.identities().iter().count(), 7);
    assert!(policy.identities().named("jane").is_some_and(|one| one.rules.len() == 2));
    let one = registry(&policy, "myregistry");
    assert_eq!((one.role_assignments().count(), assigned(one, "vault")), (6, 1));
    assert_eq!(assigned(registry(&policy, "mybaseregistry"), "vault"), 0);
    let same = snapshot(&format!("{POLICY}# moved\n"));
    assert_eq!(policy.identity_providers(), same.identity_providers(), "a reload keeps a provider as it is");
}

/// A role, what it gives in scopes' words, and whether it shows the catalogue: B.5 once more, written apart from the code.
const ROLES: [(&str, &[&str], bool); 8] = [
    ("Owner", &["pull", "push", "delete", "metadata_read", "metadata_write"], true),
    ("Reader", &["pull", "metadata_read"], true),
    ("AcrPull", &["pull", "metadata_read"], true),
    ("AcrPush", &["pull", "push", "metadata_read"], true),
    ("AcrDelete", &["delete"], false),
    ("Container Registry Repository Writer", &["pull", "push", "metadata_read", "metadata_write"], false),
    ("Container Registry Repository Reader", &["pull", "metadata_read"], false),
    (
        "Container Registry Repository Contributor",
        &["pull", "push", "delete", "metadata_read", "metadata_write"],
        false,
    ),
];

/// An assignment: to which of the identities, which role, on which repositories.
type Held = (usize, usize, Option<Vec<String>>);

fn policy_of(kinds: &[bool], assignments: &[Held]) -> PolicySnapshot {
    let mut text =
        "identityProviders: { corp: { issuer: https://corp.example, audiences: [a] } }\nidentities:\n".to_owned();
    for (number, cluster) in kinds.iter().enumerate() {
        let kind = if *cluster { "KubernetesCluster" } else { "Group" };
        writeln!(
            text,
            "  i{number}: {{ type: {kind}, matches: [{{ provider: corp, claims: {{ groups: g{number} }} }}] }}"
        )
        .unwrap();
    }
    text.push_str(
        "registries:\n  myregistry:\n    loginServer: one.example.com\n    upstream: { url: http://127.0.0.1:1 }\n",
    );
    text.push_str("    roleAssignments:\n");
    for (identity, role, condition) in assignments {
        let condition =
            condition.as_ref().map_or(String::new(), |them| format!(", repositories: ['{}']", them.join("', '")));
        writeln!(text, "      - {{ identity: i{identity}, role: {}{condition} }}", ROLES[*role].0).unwrap();
    }
    let (policy, problems) = super::policy::compiled(&text);
    policy.unwrap_or_else(|| panic!("{problems}"))
}

fn covers(pattern: &str, repository: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => repository.starts_with(prefix),
        None => pattern == repository,
    }
}

fn assignments() -> impl Strategy<Value = Vec<Held>> {
    let pattern = "[ab]{1,2}(/[ab]){0,1}(/\\*)?|\\*";
    let condition = proptest::option::of(proptest::collection::vec(pattern, 1..3));
    let one = (0_usize..3, 0..ROLES.len(), condition);
    proptest::collection::vec(one, 1..6).prop_map(|mut all| {
        all.sort();
        all.dedup();
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What an identity may do is the union of what is assigned to all that it is, and never more.
    #[test]
    fn rights_are_the_union_of_the_assignments_that_match(
        kinds in proptest::collection::vec(any::<bool>(), 3),
        assignments in assignments(),
        groups in proptest::sample::subsequence(vec![0_usize, 1, 2, 3], 0..=4),
        name in "[ab]{1,2}(/[ab]{1,2}){0,2}",
    ) {
        let policy = policy_of(&kinds, &assignments);
        let one = registry(&policy, "myregistry");
        let claims = json!({ "groups": groups.iter().map(|number| format!("g{number}")).collect::<Vec<_>>() });
        let caller = asserted(one, "corp", &claims);
        prop_assert_eq!(caller.is_some(), groups.iter().any(|number| *number < 3));
        let Some(caller) = caller else { return Ok(()) };
        let mine = || assignments.iter().filter(|(identity, ..)| groups.contains(identity));
        let expected = mine().fold(ActionSet::EMPTY, |set, (identity, role, condition)| {
            let covered = condition.as_ref().is_none_or(|them| them.iter().any(|pattern| covers(pattern, &name)));
            let words = ROLES[*role].1.iter().copied().filter(|word| covered && (!kinds[*identity] || *word == "pull"));
            set.union(ActionSet::from_scope_names(words))
        });
        prop_assert_eq!(caller.principal.actions(&RepositoryName::parse(&name).unwrap()), expected);
        let catalog = mine().any(|(identity, role, _)| ROLES[*role].2 && !kinds[*identity]);
        prop_assert_eq!(caller.principal.may_list_catalog(), catalog);
        // D7: a list of repositories has those that one may read.
        let shown = may_list(&caller.principal, &RepositoryName::parse(&name).unwrap(), &anywhere());
        prop_assert_eq!(shown, expected.contains(Action::ContentRead));

        // The decision agrees, and what allowed it is an assignment of one of them.
        let pulled = authorize(one, &caller, &operation(&format!("GET /v2/{name}/manifests/v1")), &anywhere(), now());
        prop_assert_eq!(pulled.is_ok(), expected.contains(Action::ContentRead));
        if let Ok(permit) = pulled {
            let PermitRule::Role(assignment) = permit.rule() else { panic!("{:?}", permit.rule()) };
            let mine = groups.iter().any(|number| *assignment.identity == *format!("i{number}"));
            prop_assert!(mine, "{}", assignment);
        }
    }
}
