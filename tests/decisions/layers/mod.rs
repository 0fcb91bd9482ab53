//! What files declare and what the API has set, in one policy: who wins, who is told, and that a change costs only itself.

mod endpoints;
pub(crate) mod records;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use seawall::clock::Timestamp;
use seawall::policy::document::{NetworkAction, PublicNetworkAccess, TokenStatus};
use seawall::policy::network::Source;
use seawall::policy::origin::Origin;
use seawall::policy::principal::NotAccepted;
use seawall::policy::problem::Problems;
use seawall::policy::stored::{ReplacedPassword, StoredIpRule, StoredRegistry};
use seawall::policy::{
    Caller, DeclaredPolicy, Denial, Granted, PolicySnapshot, Principal, Registry, StoredPolicy, authorize,
};

use self::records::{credential_id, password, principal_id, scope_map, token};
use super::policy::{anywhere, declared, now, operation, texts};

const FILE: &str = "myregistry:
  loginServer: one.example.com
  upstream: { url: http://127.0.0.1:5000 }
";

/// A policy in the making.
struct House {
    declared: DeclaredPolicy,
    stored: StoredPolicy,
    told: Problems,
}

impl House {
    fn new(more: &str) -> Self {
        Self { declared: declared(&format!("{FILE}{more}")), stored: StoredPolicy::default(), told: Problems::new() }
    }

    fn scope_map(mut self, name: &str, actions: &[&str]) -> Self {
        self.stored.set_scope_map("myregistry", name, Some(&scope_map(actions)), &mut self.told);
        self
    }

    fn token(mut self, name: &str, scope_maps: &[&str]) -> Self {
        self.stored.set_token("myregistry", name, Some(&token(name, scope_maps)), &mut self.told);
        self
    }

    fn registry(mut self, set: &StoredRegistry) -> Self {
        self.stored.set_registry("myregistry", Some(set), &mut self.told);
        self
    }

    fn snapshot(&self) -> PolicySnapshot {
        PolicySnapshot::assemble(1, &self.declared, &self.stored, None)
    }

    fn one(&self) -> Arc<Registry> {
        Arc::clone(self.snapshot().registry_named("myregistry").unwrap())
    }

    /// What the operator is told of the records, then of both layers together.
    fn warnings(&self) -> String {
        texts(self.told.clone()) + &texts(self.declared.warnings_beside(&self.stored))
    }
}

/// Whether the principal of that name may, with its first password, do what the request line says.
fn may(registry: &Registry, user: &str, line: &str) -> Result<String, Denial> {
    let principal = registry.principal_named(user).ok_or(Denial::CredentialInvalid)?;
    let credential = principal.passwords().first().map(|password| password.id);
    let caller = Caller { principal, credential, granted: Granted::Everything };
    authorize(registry, &caller, &operation(line), &anywhere(), now()).map(|permit| permit.rule().to_string())
}

/// S3-19 … S3-21, S3-85.
#[test]
fn a_stored_token_has_the_rights_of_its_scope_map_whichever_layer_has_it() {
    let house = House::new("  scopeMaps: { team-a: { repositories: { team/*: [content/read] } } }\n")
        .scope_map("team-b", &["repositories/samples/*/content/read", "repositories/samples/*/content/write"])
        .token("by-store", &["team-b"])
        .token("by-file", &["team-a"])
        .token("by-system", &["_repositories_pull"]);
    let registry = house.one();
    let allowed = |user: &str, line: &str| may(&registry, user, line).ok();
    assert_eq!(allowed("by-store", "PUT /v2/samples/x/manifests/v1").as_deref(), Some("scope map team-b (store)"));
    assert_eq!(
        allowed("by-file", "GET /v2/team/x/manifests/v1").as_deref(),
        Some("scope map team-a (policy.yaml:4:42)")
    );
    assert_eq!(
        allowed("by-system", "GET /v2/any/manifests/v1").as_deref(),
        Some("scope map _repositories_pull (built-in)")
    );
    assert_eq!(allowed("by-store", "GET /v2/team/x/manifests/v1"), None);
    assert_eq!(allowed("by-file", "PUT /v2/team/x/manifests/v1"), None);
    assert_eq!(house.warnings(), "");
}

/// S3-71, D34: names are looked up when somebody asks.
#[test]
fn a_scope_map_changes_comes_and_goes_under_its_tokens() {
    let mut house = House::new("").token("ci-push", &["team-a"]);
    let line = "GET /v2/team/x/manifests/v1";
    assert!(matches!(may(&house.one(), "ci-push", line), Err(Denial::ActionNotGranted { .. })), "there is none yet");
    house = house.scope_map("team-a", &["repositories/team/*/content/read"]);
    assert!(may(&house.one(), "ci-push", line).is_ok());
    house = house.scope_map("team-a", &["repositories/team/*/content/write"]);
    assert!(may(&house.one(), "ci-push", line).is_err());
    house = house.scope_map("team-a", &["repositories/team/*/content/read"]);
    house.stored.set_scope_map("myregistry", "team-a", None, &mut Problems::new());
    assert!(may(&house.one(), "ci-push", line).is_err());
    assert!(may(&house.one(), "ci-push", "GET /v2/").is_ok(), "without rights it is still somebody");
}

/// D8: what several scope maps allow adds up, and the answer names the one that allowed.
#[test]
fn additional_scope_maps_add_up_in_both_layers() {
    let more = "  scopeMaps: { read-it: { repositories: { a: [content/read] } }, write-it: { repositories: { a: [content/write] } } }
  tokens: { in-file: { scopeMap: read-it, additionalScopeMaps: [write-it], passwords: [{ name: password1, file: a }] } }\n";
    let house = House::new(more).token("in-store", &["read-it", "gone-map", "write-it"]);
    for user in ["in-file", "in-store"] {
        let rule = |line: &str| may(&house.one(), user, line).unwrap();
        assert_eq!(rule("GET /v2/a/manifests/v1"), "scope map read-it (policy.yaml:4:43)", "{user}");
        assert_eq!(rule("PUT /v2/a/manifests/v1"), "scope map write-it (policy.yaml:4:94)", "{user}");
    }
}

/// A token that a file declares hides the stored one of its name, by name and by id.
#[test]
fn the_file_wins_and_the_operator_is_told() {
    let more = "  adminUserEnabled: false
  admin: { passwords: [{ name: password, file: a }] }
  networkRuleSet: { defaultAction: Deny, ipRules: [{ value: 203.0.113.0/24 }] }
  scopeMaps: { team-a: { repositories: { a: [content/read] } } }
  tokens: { ci-push: { scopeMap: team-a, passwords: [{ name: password1, file: a }] } }\n";
    let set = StoredRegistry {
        admin_user_enabled: Some(true),
        default_action: Some(NetworkAction::Allow),
        ip_rules: Some(Vec::new()),
        public_network_access: Some(PublicNetworkAccess::Enabled),
        admin_passwords: vec![password("password", "stored admin")],
        ..StoredRegistry::default()
    };
    let house = House::new(more)
        .scope_map("team-a", &["repositories/*/content/delete"])
        .token("ci-push", &["_repositories_admin"])
        .token("stored", &["team-a"])
        .registry(&set);
    let registry = house.one();
    assert!(may(&registry, "ci-push", "GET /v2/a/manifests/v1").is_ok());
    for user in ["ci-push", "stored"] {
        assert!(may(&registry, user, "GET /v2/other/manifests/v1").is_err(), "{user}");
    }
    assert!(registry.principal(principal_id("ci-push")).is_none(), "hidden by id too");
    assert_eq!(registry.principal(principal_id("stored")).unwrap().name(), "stored");
    let mut names: Vec<_> = registry.tokens().map(|token| token.name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["ci-push", "stored"]);
    assert_eq!(registry.declared_token("ci-push").unwrap().origin.to_string(), "policy.yaml:8:13");
    assert!(!registry.admin.enabled);
    assert_eq!(registry.admin.passwords.len(), 1);
    assert_ne!(registry.admin.passwords[0].id, credential_id("stored admin"));
    assert!(registry.network.admit(Source::public("203.0.113.7".parse::<std::net::IpAddr>().unwrap())).is_ok());
    assert!(registry.network.admit(Source::public("192.0.2.1".parse::<std::net::IpAddr>().unwrap())).is_err());
    let hint = "\n  hint: what this file says is in force; remove it here to use what the API has set\n";
    let expected = [
        "policy.yaml:4:21: warning: `adminUserEnabled` has another value in the store",
        "policy.yaml:5:24: warning: the admin account has passwords in the store too",
        "policy.yaml:6:36: warning: `defaultAction` has another value in the store",
        "policy.yaml:6:51: warning: `ipRules` has another value in the store",
        "policy.yaml:7:16: warning: scope map `team-a` is in the store too",
        "policy.yaml:8:13: warning: token `ci-push` is in the store too",
    ];
    assert_eq!(house.warnings(), expected.map(|line| format!("{line}{hint}")).concat());
}

/// Unset is not the default: the API may set what the file leaves out.
#[test]
fn a_property_is_the_files_else_the_stores_else_acrs_default() {
    let default = House::new("").one();
    let properties = default.properties();
    assert!(!properties.admin_user_enabled.value && !properties.anonymous_pull_enabled.value);
    assert_eq!(properties.public_network_access.value, PublicNetworkAccess::Enabled);
    assert_eq!(properties.default_action.value, NetworkAction::Allow);
    assert!(properties.ip_rules.value.is_empty() && properties.ip_rules.declared.is_none());
    assert!(default.network.admit(Source::public("192.0.2.1".parse::<std::net::IpAddr>().unwrap())).is_ok());

    let rule = |value: &str, action| StoredIpRule { value: value.to_owned(), action, name: None };
    let set = StoredRegistry {
        anonymous_pull_enabled: Some(true),
        admin_user_enabled: Some(true),
        default_action: Some(NetworkAction::Deny),
        ip_rules: Some(vec![rule("192.0.2.0/24", NetworkAction::Allow)]),
        admin_passwords: vec![password("password", "one"), password("password2", "two")],
        ..StoredRegistry::default()
    };
    let house = House::new("  anonymousPullEnabled: false\n").registry(&set);
    let registry = house.one();
    let properties = registry.properties();
    assert_eq!(properties.anonymous_pull_enabled.declared, Some(Origin::new("policy.yaml", 4, 25)));
    assert!(!registry.anonymous_pull());
    assert!(properties.admin_user_enabled.value && properties.admin_user_enabled.declared.is_none());
    assert_eq!(&*properties.ip_rules.value, set.ip_rules.as_deref().unwrap());
    assert!(registry.network.admit(Source::public("192.0.2.1".parse::<std::net::IpAddr>().unwrap())).is_ok());
    assert!(registry.network.admit(Source::public("198.51.100.1".parse::<std::net::IpAddr>().unwrap())).is_err());
    let rule = may(&registry, "myregistry", "GET /v2/_catalog").unwrap();
    assert_eq!(rule, "the admin account may do everything (store)");
    assert_eq!(registry.declared_admin(), None);
}

/// S1-49: what the admin account obtained ends with it.
#[test]
fn the_admin_account_is_switched_off_and_its_password_replaced_by_the_store() {
    let set = StoredRegistry {
        admin_user_enabled: Some(true),
        admin_passwords: vec![password("password", "one")],
        ..StoredRegistry::default()
    };
    let mut house = House::new("").registry(&set);
    let caller = Caller {
        principal: house.one().principal_named("myregistry").unwrap(),
        credential: Some(credential_id("one")),
        granted: Granted::Everything,
    };
    let accepted = |house: &House| {
        let principal = house.one().principal(caller.principal.id().unwrap()).unwrap();
        principal.accepts(credential_id("one"), now()).map(|_| ())
    };
    assert_eq!(accepted(&house), Ok(()));
    house = house.registry(&StoredRegistry { admin_user_enabled: Some(false), ..set.clone() });
    assert_eq!(accepted(&house), Err(NotAccepted::AdminDisabled));
    house = house.registry(&StoredRegistry { admin_passwords: vec![password("password", "two")], ..set });
    assert_eq!(accepted(&house), Err(NotAccepted::PasswordReplaced));
}

#[test]
fn an_enabled_admin_account_is_told_of_when_neither_layer_has_a_password_for_it() {
    let house = House::new("  adminUserEnabled: true\n");
    assert!(house.warnings().contains("has no password, so nobody can use it"));
    let set = StoredRegistry { admin_passwords: vec![password("password", "one")], ..StoredRegistry::default() };
    assert_eq!(house.registry(&set).warnings(), "");
}

/// A chosen overlap: both passwords open until the old one's end.
#[test]
fn a_replaced_password_is_accepted_until_its_end_under_the_same_name() {
    let until: Timestamp = "2026-11-21T12:10:00Z".parse().unwrap();
    let old = password("password1", "old");
    let mut new = password("password1", "new");
    new.replaced = Some(ReplacedPassword { id: old.id, hash: old.hash, until });
    let mut set = token("ci-push", &["_repositories_pull"]);
    set.passwords = vec![new];
    let mut house = House::new("");
    house.stored.set_token("myregistry", "ci-push", Some(&set), &mut house.told);
    let principal = house.one().principal_named("ci-push").unwrap();
    let accepts =
        |secret: &str, at: Timestamp| principal.accepts(credential_id(secret), at).map(|one| one.name.to_string());
    assert_eq!(accepts("old", now()).as_deref(), Ok("password1"));
    assert_eq!(accepts("new", now()).as_deref(), Ok("password1"));
    assert_eq!(accepts("old", until), Err(NotAccepted::PasswordExpired));
    assert_eq!(accepts("new", until).as_deref(), Ok("password1"));
}

/// A token that is made again under its name is another principal.
#[test]
fn what_is_deleted_is_nobody_by_name_and_by_id() {
    let mut house = House::new("").token("ci-push", &["_repositories_pull"]);
    let mut again = token("ci-push", &["_repositories_pull"]);
    again.id = principal_id("another");
    house.stored.set_token("myregistry", "ci-push", Some(&again), &mut house.told);
    assert!(house.one().principal(principal_id("ci-push")).is_none());
    assert_eq!(house.one().principal(principal_id("another")).unwrap().name(), "ci-push");
    house.stored.set_token("myregistry", "ci-push", None, &mut house.told);
    assert!(house.one().principal(principal_id("another")).is_none());
    assert!(house.one().principal_named("ci-push").is_none());
    let disabled = {
        let mut set = token("ci-push", &["_repositories_pull"]);
        set.status = TokenStatus::Disabled;
        set
    };
    house.stored.set_token("myregistry", "ci-push", Some(&disabled), &mut house.told);
    let refused = may(&house.one(), "ci-push", "GET /v2/");
    assert_eq!(refused, Err(Denial::NotAccepted(NotAccepted::TokenDisabled)));
}

/// What another version or another hand has written.
#[test]
fn what_cannot_be_read_grants_nothing_and_is_told() {
    let mut broken = token("ci-push", &["team-a"]);
    broken.passwords[0].hash = "hunter2".to_owned();
    let mut house = House::new("")
        .scope_map(
            "team-a",
            &["repositories/a/content/read", "repositories/a*/content/read", "gateway/edge1/config/read"],
        )
        .scope_map("_repositories_mine", &["repositories/*/content/read"])
        .token("myregistry", &["_repositories_admin"])
        .token("ci:push", &["_repositories_admin"])
        .registry(&StoredRegistry {
            ip_rules: Some(vec![StoredIpRule { value: "x".into(), action: NetworkAction::Deny, name: None }]),
            ..StoredRegistry::default()
        });
    house.stored.set_token("myregistry", "ci-push", Some(&broken), &mut house.told);
    house.stored.set_scope_map("gone", "team-a", Some(&scope_map(&[])), &mut house.told);
    let registry = house.one();
    assert!(may(&registry, "myregistry", "GET /v2/").is_err());
    assert!(matches!(registry.principal_named("myregistry"), Some(Principal::Admin(_))));
    assert!(registry.principal(principal_id("myregistry")).is_none());
    assert!(registry.principal_named("ci:push").is_none());
    assert!(registry.principal_named("ci-push").unwrap().passwords().is_empty());
    assert!(registry.scope_map("_repositories_mine").is_none());
    assert_eq!(registry.scope_map("team-a").unwrap().scope_actions().count(), 1);
    assert!(registry.network.admit(Source::public("192.0.2.1".parse::<std::net::IpAddr>().unwrap())).is_err());
    let warnings = house.warnings();
    for part in [
        "store: warning: scope map `team-a` of registry `myregistry`: `repositories/a*/content/read`: the wildcard must",
        "store: warning: scope map `_repositories_mine` of registry `myregistry`: `_repositories_mine`: names that begin",
        "store: warning: token `myregistry` of registry `myregistry`: it has the registry's name",
        "store: warning: token `ci:push` of registry `myregistry`: `ci:push` is not a token name",
        "store: warning: token `ci-push` of registry `myregistry`: password `password1`: not a hash",
        "store: warning: registry `myregistry`: not an IP address or CIDR range: `x`: nobody is admitted",
        "store: warning: the store has objects of registry `gone`, which no file declares",
    ] {
        assert!(warnings.contains(part), "{part}\n{warnings}");
    }
    assert_eq!(warnings.matches("warning").count(), 7, "{warnings}");
    assert!(!warnings.contains("hunter2"));
}

#[test]
fn a_registry_is_found_by_name_and_host_in_any_case() {
    let snapshot = House::new("").snapshot();
    for name in ["myregistry", "MyRegistry"] {
        assert_eq!(&*snapshot.registry_named(name).unwrap().name, "myregistry");
    }
    assert!(snapshot.registry_named("myregistr").is_none());
    assert!(snapshot.registry_for_host("ONE.example.com:443").is_some());
}

/// One change leaves everything else where it is in memory.
#[test]
fn a_snapshot_shares_with_the_one_before_whatever_did_not_change() {
    let second = "other1:\n  loginServer: two.example.com\n  upstream: { url: http://127.0.0.1:5000 }\n";
    let mut house = House::new(second)
        .registry(&StoredRegistry::default())
        .scope_map("team-a", &["repositories/a/content/read"])
        .token("ci-push", &["team-a"])
        .token("ci-pull", &["team-a"]);
    let before = house.snapshot();
    house = house.token("ci-push", &["_repositories_pull"]);
    let after = PolicySnapshot::assemble(2, &house.declared, &house.stored, Some(&before));
    let [one, other] = [before.registries(), after.registries()].map(|all| [Arc::clone(&all[0]), Arc::clone(&all[1])]);
    assert!(!Arc::ptr_eq(&one[0], &other[0]), "it changed");
    assert!(Arc::ptr_eq(&one[1], &other[1]), "the other registry did not");
    assert!(Arc::ptr_eq(&one[0].admin, &other[0].admin));
    assert!(std::ptr::eq(one[0].properties(), other[0].properties()));
    assert!(Arc::ptr_eq(one[0].token("ci-pull").unwrap(), other[0].token("ci-pull").unwrap()));
    assert!(Arc::ptr_eq(one[0].scope_map("team-a").unwrap(), other[0].scope_map("team-a").unwrap()));
    let held = |registry: &Registry| match registry.principal_named("ci-push") {
        Some(Principal::Token(held)) => held.scope_maps[0].name.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!([held(&one[0]), held(&other[0])], ["team-a", "_repositories_pull"], "and the old one is as it was");
}

/// One write of a random history; names are few, so that they meet.
#[derive(Debug, Clone)]
enum Step {
    ScopeMap(&'static str, Option<&'static str>),
    Token(&'static str, Option<(u8, &'static str)>),
}

const TOKENS: [&str; 4] = ["token1", "token2", "in-file", "myregistry"];
const MAPS: [&str; 3] = ["map-1", "map-2", "map-of-file"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let action =
        select(vec!["repositories/a/content/read", "repositories/a/content/write", "repositories/b/*/content/read"]);
    let map = (select(MAPS.to_vec()), proptest::option::weighted(0.7, action))
        .prop_map(|(name, set)| Step::ScopeMap(name, set));
    let held = (0_u8..6, select(MAPS.to_vec()));
    let token =
        (select(TOKENS.to_vec()), proptest::option::weighted(0.7, held)).prop_map(|(name, set)| Step::Token(name, set));
    proptest::collection::vec(prop_oneof![map, token], 0..24)
}

fn apply(stored: &mut StoredPolicy, step: &Step) {
    let told = &mut Problems::new();
    match step {
        Step::ScopeMap(name, set) => {
            stored.set_scope_map("myregistry", name, set.map(|action| scope_map(&[action])).as_ref(), told);
        }
        Step::Token(name, set) => {
            let set = set.map(|(id, map)| {
                let mut set = token(name, &[map]);
                set.id = principal_id(&format!("{name}{id}"));
                set
            });
            stored.set_token("myregistry", name, set.as_ref(), told);
        }
    }
}

/// Everything that a registry answers about the few names.
fn answers(registry: &Registry) -> Vec<String> {
    let mut answers = Vec::new();
    for user in TOKENS {
        for line in ["GET /v2/a/manifests/v1", "PUT /v2/a/manifests/v1", "GET /v2/b/c/manifests/v1"] {
            answers.push(format!("{user} {line} {:?}", may(registry, user, line)));
        }
        for id in 0..6 {
            let id = principal_id(&format!("{user}{id}"));
            answers.push(format!("{id} {:?}", registry.principal(id).map(|found| found.name().to_owned())));
        }
    }
    let mut names: Vec<_> = registry.tokens().map(|token| token.name.to_string()).collect();
    names.sort();
    answers.extend(names);
    answers
}

proptest! {
    /// Whatever happened before, a policy says what its last records say.
    #[test]
    fn a_policy_that_was_changed_is_the_policy_that_is_read_anew(history in steps()) {
        let more = "  scopeMaps: { map-of-file: { repositories: { a: [content/read] } } }
  tokens: { in-file: { scopeMap: map-of-file, passwords: [{ name: password1, file: a }] } }\n";
        let house = House::new(more);
        let mut changed = StoredPolicy::default();
        let mut before: Option<PolicySnapshot> = None;
        for (version, step) in (1..).zip(&history) {
            apply(&mut changed, step);
            before = Some(PolicySnapshot::assemble(version, &house.declared, &changed, before.as_ref()));
        }
        let mut anew = StoredPolicy::default();
        let mut last: Vec<&Step> = Vec::new();
        for step in history.iter().rev() {
            let name = |step: &Step| match step { Step::ScopeMap(name, _) | Step::Token(name, _) => *name };
            if !last.iter().any(|later| name(later) == name(step)) {
                last.push(step);
            }
        }
        for step in last {
            apply(&mut anew, step);
        }
        let anew = PolicySnapshot::assemble(1, &house.declared, &anew, None);
        if let Some(changed) = before {
            prop_assert_eq!(answers(&changed.registries()[0]), answers(&anew.registries()[0]));
        }
        let ids = anew.registries()[0].tokens().count();
        prop_assert!(ids <= 3, "the registry's name is no token");
    }
}
