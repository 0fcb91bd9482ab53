//! Properties of decisions, over random rules, access lists and operations.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use proptest::sample::subsequence;
use seawall::oci::{RepositoryName, Scope};
use seawall::policy::action::{Action, ActionSet};
use seawall::policy::credential::{CredentialId, PrincipalId, Verifier};
use seawall::policy::document::TokenStatus;
use seawall::policy::origin::Origin;
use seawall::policy::principal::{Password, ResolvedToken, Token};
use seawall::policy::{
    AccessList, Caller, Granted, PolicySnapshot, Principal, Registry, RepositoryPattern, ScopeMap, ScopeRule,
    authorize, grant,
};
use seawall::secret::Secret;

use super::policy::{anywhere, hash_key, now, operation, snapshot};

/// A rule as its text.
type Rule = (String, Vec<&'static str>);

const ACTIONS: [(&str, &str); 5] = [
    ("content/read", "pull"),
    ("content/write", "push"),
    ("content/delete", "delete"),
    ("metadata/read", "metadata_read"),
    ("metadata/write", "metadata_write"),
];

fn registry() -> &'static Arc<Registry> {
    static POLICY: OnceLock<PolicySnapshot> = OnceLock::new();
    let text = "myregistry:\n  loginServer: one.example.com\n  upstream: { url: http://127.0.0.1:5000 }\n";
    POLICY.get_or_init(|| snapshot(text)).registry_for_host("one.example.com").unwrap()
}

fn scope_map(rules: &[Rule]) -> Arc<ScopeMap> {
    let rules = rules.iter().map(|(pattern, actions)| ScopeRule {
        pattern: RepositoryPattern::parse(pattern).unwrap(),
        actions: actions.iter().map(|name| Action::parse(name).unwrap()).collect(),
        origin: Origin::built_in(),
    });
    Arc::new(ScopeMap::new("any-map", "", Origin::built_in(), rules.collect()))
}

fn caller(rules: &[Rule], access: Option<&[Scope]>) -> Caller {
    let key = hash_key();
    let credential = CredentialId::derive(&key, "test", &[b"password1"]);
    let verifier = Verifier::of_secret(&key, &Secret::new("any"));
    let token = Token {
        name: "any-token".into(),
        id: PrincipalId::derive(&key, "test", &[b"any-token"]),
        status: TokenStatus::Enabled,
        scope_maps: ["any-map".into()].into(),
        passwords: [Password { name: "password1".into(), id: credential, verifier, expiry: None }].into(),
        networks: None,
        origin: Origin::built_in(),
    };
    let granted = match access {
        None => Granted::Everything,
        Some(scopes) => Granted::Access(Arc::new(AccessList::from_scopes(scopes))),
    };
    let held = ResolvedToken { token: Arc::new(token), scope_maps: [scope_map(rules)].into() };
    Caller { principal: Principal::Token(held), credential: Some(credential), granted }
}

fn permitted(caller: &Caller, line: &str) -> bool {
    authorize(registry(), caller, &operation(line), &anywhere(), now()).is_ok()
}

/// Another implementation, from the texts: the pattern by segments, the rights by asking every rule.
fn oracle(rules: &[Rule], access: Option<&[Scope]>, line: &str) -> bool {
    let holds = |repository: &str, any_of: &[&str]| {
        let from_rules =
            |action: &str| rules.iter().any(|(pattern, held)| held.contains(&action) && covers(pattern, repository));
        let from_access = |name: &str| {
            access.is_none_or(|scopes| {
                scopes.iter().any(|scope| {
                    scope.kind == "repository"
                        && scope.name == repository
                        && scope.actions.iter().any(|held| held == name || held == "*")
                })
            })
        };
        ACTIONS.iter().any(|(action, name)| any_of.contains(action) && from_rules(action) && from_access(name))
    };
    let (method, target) = line.split_once(' ').unwrap();
    let path = target.split('?').next().unwrap();
    let Some(path) = path.strip_prefix("/v2/").filter(|path| !path.is_empty()) else { return true };
    if path == "_catalog" {
        return false;
    }
    let (repository, rest) = ["/manifests/", "/blobs/", "/tags/", "/referrers/"]
        .iter()
        .find_map(|word| path.split_once(word).map(|(name, rest)| (name, format!("{word}{rest}"))))
        .unwrap();
    let source = target.split_once("from=").map(|(_, source)| source);
    let needed: &[&str] = match (method, rest.as_str()) {
        (_, "/tags/list") => &["metadata/read"],
        (_, rest) if rest.starts_with("/blobs/uploads/") => &["content/write"],
        ("GET", _) => &["content/read"],
        ("HEAD", _) => &["content/read", "content/write"],
        ("PUT", _) => &["content/write"],
        ("DELETE", _) => &["content/delete"],
        _ => panic!("{line}"),
    };
    holds(repository, needed) && source.is_none_or(|source| holds(source, &["content/read"]))
}

fn covers(pattern: &str, repository: &str) -> bool {
    let pattern: Vec<_> = pattern.split('/').collect();
    let name: Vec<_> = repository.split('/').collect();
    match pattern.split_last() {
        Some((&"*", prefix)) => name.len() > prefix.len() && name.starts_with(prefix),
        _ => pattern == name,
    }
}

/// Few names, so that rules, scopes and requests meet.
const NAME: &str = "[ab]{1,2}(/[ab]{1,2}){0,2}";

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let pattern = prop_oneof![Just("*".to_owned()), NAME, "[ab]{1,2}(/[ab]){0,1}/\\*"];
    let actions = subsequence(ACTIONS.map(|(action, _)| action).to_vec(), 1..=5);
    proptest::collection::vec((pattern, actions), 0..6)
}

fn scopes() -> impl Strategy<Value = Vec<Scope>> {
    let words = vec!["pull", "push", "delete", "metadata_read", "metadata_write", "*", "unknown"];
    let actions = subsequence(words, 1..=3);
    let of_repository = (NAME, actions).prop_map(|(name, actions)| Scope::new("repository", name, actions));
    let catalog = Just(Scope::new("registry", "catalog", ["*"]));
    let other = (NAME, Just("pull")).prop_map(|(name, action)| Scope::new("artifact-repository", name, [action]));
    proptest::collection::vec(prop_oneof![8 => of_repository, 1 => catalog, 1 => other], 0..6)
}

fn requests() -> impl Strategy<Value = String> {
    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let lines = vec![
        "GET /v2/",
        "GET /v2/_catalog",
        "GET /v2/NAME/tags/list",
        "GET /v2/NAME/manifests/v1",
        "HEAD /v2/NAME/manifests/v1",
        "PUT /v2/NAME/manifests/v1",
        "DELETE /v2/NAME/manifests/DIGEST",
        "GET /v2/NAME/blobs/DIGEST",
        "HEAD /v2/NAME/blobs/DIGEST",
        "DELETE /v2/NAME/blobs/DIGEST",
        "POST /v2/NAME/blobs/uploads/",
        "POST /v2/NAME/blobs/uploads/?mount=DIGEST&from=SOURCE",
        "PATCH /v2/NAME/blobs/uploads/one",
        "PUT /v2/NAME/blobs/uploads/one?digest=DIGEST",
        "GET /v2/NAME/referrers/DIGEST",
    ];
    (proptest::sample::select(lines), NAME, NAME).prop_map(|(line, name, source)| {
        line.replace("NAME", &name).replace("SOURCE", &source).replace("DIGEST", DIGEST)
    })
}

fn repository(name: &str) -> RepositoryName {
    RepositoryName::parse(name).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// S3-37 … S3-43, S3-48, E-6, E-8.
    #[test]
    fn decisions_agree_with_a_naive_oracle(rules in rules(), scopes in proptest::option::of(scopes()), line in requests()) {
        let access = scopes.as_deref();
        prop_assert_eq!(permitted(&caller(&rules, access), &line), oracle(&rules, access, &line));
    }

    /// Threat class E: whatever an access token says, it is never worth more than its principal.
    #[test]
    fn an_access_list_never_allows_more_than_the_principal_may(rules in rules(), scopes in scopes(), line in requests()) {
        if permitted(&caller(&rules, Some(&scopes)), &line) {
            prop_assert!(permitted(&caller(&rules, None), &line), "{}", line);
        }
    }

    /// S3-42, S3-71: rules only add.
    #[test]
    fn removing_a_rule_never_allows_more(
        rules in rules(), which in any::<prop::sample::Index>(), scopes in proptest::option::of(scopes()), line in requests(),
    ) {
        prop_assume!(!rules.is_empty());
        let mut fewer = rules.clone();
        fewer.remove(which.index(rules.len()));
        if permitted(&caller(&fewer, scopes.as_deref()), &line) {
            prop_assert!(permitted(&caller(&rules, scopes.as_deref()), &line), "{}", line);
        }
    }

    /// What the token endpoint grants is asked for and held, and nothing that is both is left out (wire contract 1.2).
    #[test]
    fn what_is_granted_is_the_intersection(rules in rules(), scopes in scopes(), name in NAME) {
        let principal = caller(&rules, None).principal;
        let granted = grant(&principal, &Scope::merge(scopes.clone()), &anywhere());
        let of = |scopes: &[Scope]| {
            let mine = scopes.iter().filter(|scope| scope.kind == "repository" && scope.name == name);
            ActionSet::from_scope_names(mine.flat_map(|scope| scope.actions.iter().map(String::as_str)))
        };
        let (asked, held) = (of(&scopes), principal.actions(&repository(&name)));
        // E-7: for a tag to be taken away `delete` is asked for, and `metadata_write` is enough.
        let untags = asked.contains(Action::ContentDelete) && !held.contains(Action::ContentDelete);
        let asked = if untags { asked.with(Action::MetadataWrite) } else { asked };
        prop_assert_eq!(of(&granted), asked.intersection(held));
        prop_assert!(granted.iter().all(|scope| scope.kind == "repository" && !scope.actions.is_empty()));
    }

    /// An access token for what was granted does exactly what was asked for and is held.
    #[test]
    fn an_access_token_for_the_granted_scopes_is_as_good_as_one_for_the_asked(
        rules in rules(), scopes in scopes(), line in requests(),
    ) {
        let asked = Scope::merge(scopes);
        let granted = grant(&caller(&rules, None).principal, &asked, &anywhere());
        prop_assert_eq!(permitted(&caller(&rules, Some(&granted)), &line), permitted(&caller(&rules, Some(&asked)), &line));
    }
}
