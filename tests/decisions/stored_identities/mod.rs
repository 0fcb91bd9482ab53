//! Identities and role assignments that the API has made, beside those of the files.

mod certificates;
mod history;
mod wrong;

use std::sync::Arc;

use seawall::clock::Timestamp;
use seawall::policy::document::TokenStatus;
use seawall::policy::identity::{Assertion, Guid, IdentityKind, OWN_PROVIDER};
use seawall::policy::origin::Origin;
use seawall::policy::problem::Problems;
use seawall::policy::stored::{StoredClaimRule, StoredGrants, StoredIdentity, StoredRoleAssignment};
use seawall::policy::{Caller, DeclaredPolicy, Denial, Granted, PolicySnapshot, Registry, StoredPolicy};
use serde_json::json;

use super::identities::{actions, asserted, assertion, may};
use super::layers::records::{guid, identity, principal_id, role, scope_map, token};
use super::policy::{compiled, declared, texts};

/// `vault` is the file's, with the principal id that `guid("vault")` is.
const FILE: &str = "identityProviders:
  corp: { issuer: https://corp.example, audiences: [seawall], nameClaim: email }
identities:
  jane: { type: User, matches: [{ provider: corp, claims: { sub: jane } }] }
  operators: { type: Group, matches: [{ provider: corp, claims: { groups: ops } }] }
  vault:
    type: ServicePrincipal
    clientId: 6F9619FF-8B86-D011-B42D-00C04FC964FF
    principalId: VAULT
    secrets: [{ name: password1, file: a }]
roleAssignments:
  - { identity: operators, role: AcrDelete }
  - { identity: vault, role: Reader, repositories: [tools/*] }
registries:
  mybaseregistry:
    loginServer: base.example.com
    upstream: { url: http://127.0.0.1:5000 }
  myregistry:
    loginServer: one.example.com
    upstream: { url: http://127.0.0.1:5001 }
    scopeMaps: { team-a: { repositories: { team-a/*: [content/read] } } }
    roleAssignments:
      - { identity: jane, role: AcrPull, repositories: [jane/*] }
";
const VAULT: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";

/// A policy in the making.
pub(crate) struct House {
    declared: DeclaredPolicy,
    pub(crate) stored: StoredPolicy,
    told: Problems,
}

impl House {
    pub(crate) fn new(file: &str) -> Self {
        let declared = declared(&file.replace("VAULT", guid("vault").as_str()));
        Self { declared, stored: StoredPolicy::default(), told: Problems::new() }
    }

    pub(crate) fn identity(mut self, name: &str, set: &StoredIdentity) -> Self {
        self.stored.set_identity(name, Some(set), &mut self.told);
        self
    }

    /// Assigns on `registry`, or with an empty name on all, under the name `guid(name)`.
    pub(crate) fn assign(mut self, registry: &str, name: &str, set: &StoredRoleAssignment) -> Self {
        self.stored.set_role_assignment(registry, guid(name).as_str(), Some(set), &mut self.told);
        self
    }

    pub(crate) fn unassign(mut self, registry: &str, name: &str) -> Self {
        self.stored.set_role_assignment(registry, guid(name).as_str(), None, &mut self.told);
        self
    }

    fn after(&self, before: Option<&PolicySnapshot>) -> PolicySnapshot {
        PolicySnapshot::assemble(1, &self.declared, &self.stored, before)
    }

    pub(crate) fn snapshot(&self) -> PolicySnapshot {
        self.after(None)
    }

    pub(crate) fn one(&self) -> Arc<Registry> {
        Arc::clone(self.snapshot().registry_named("myregistry").unwrap())
    }

    fn base(&self) -> Arc<Registry> {
        Arc::clone(self.snapshot().registry_named("mybaseregistry").unwrap())
    }

    fn warnings(&self) -> String {
        let snapshot = self.snapshot();
        let beside = texts(self.declared.warnings_beside(&self.stored));
        texts(self.told.clone()) + &beside + &texts(snapshot.identities().warnings().clone())
    }
}

fn user(registry: &Registry, subject: &str) -> Option<Caller> {
    asserted(registry, "corp", &json!({ "sub": subject }))
}

/// Who logs in with the first secret.
fn by_secret(registry: &Registry, client_id: &Guid) -> Option<Caller> {
    let principal = registry.principal_named(client_id.as_str())?;
    let credential = principal.passwords().first().map(|password| password.id);
    Some(Caller { principal, credential, granted: Granted::Everything })
}

const PULL: &str = "GET /v2/team-a/app/manifests/v1";
const PUSH: &str = "PUT /v2/team-a/app/manifests/v1";

#[test]
fn a_stored_identity_is_somebody_until_it_is_deleted() {
    let mut house = House::new(FILE)
        .identity("joe", &identity("joe", IdentityKind::User))
        .identity("ci", &identity("ci", IdentityKind::ServicePrincipal))
        .assign("myregistry", "a1", &role("joe", "acrpush"))
        .assign("myregistry", "a2", &role("ci", "AcrPull"));
    assert_eq!(house.warnings(), "");
    let one = house.one();
    let joe = user(&one, "joe").unwrap();
    assert_eq!(
        may(&one, &joe, PUSH).unwrap(),
        format!("role AcrPush of identity joe (store, assignment {})", guid("a1"))
    );
    assert_eq!(may(&house.base(), &user(&house.base(), "joe").unwrap(), PULL), Err(Denial::NoRole));
    let ci = by_secret(&one, &guid("client of ci")).unwrap();
    assert_eq!((ci.principal.kind(), ci.principal.name()), ("servicePrincipal", "ci"));
    assert!(may(&one, &ci, PULL).is_ok() && may(&one, &ci, PUSH).is_err());
    assert_eq!(one.principal(ci.principal.id().unwrap()).unwrap().name(), "ci");
    assert!(one.principal(joe.principal.id().unwrap()).is_none(), "a person has no credential of ours");

    house.stored.set_identity("joe", None, &mut Problems::new());
    house.stored.set_identity("ci", None, &mut Problems::new());
    let one = house.one();
    assert!(user(&one, "joe").is_none());
    assert!(by_secret(&one, &guid("client of ci")).is_none());
    assert!(one.principal(ci.principal.id().unwrap()).is_none());
}

/// What is assigned names the principal id, not the name.
#[test]
fn an_identity_made_again_under_its_name_inherits_nothing() {
    let again = StoredIdentity {
        id: principal_id("again"),
        principal_id: guid("again"),
        client_id: guid("client of again"),
        ..identity("joe", IdentityKind::User)
    };
    let house = House::new(FILE)
        .identity("joe", &identity("joe", IdentityKind::User))
        .assign("myregistry", "a1", &role("joe", "Owner"))
        .assign("", "a2", &role("joe", "Owner"))
        .identity("joe", &again);
    let one = house.one();
    let joe = user(&one, "joe").unwrap();
    assert_eq!(may(&one, &joe, PULL), Err(Denial::NoRole));
    assert_eq!(actions(&joe.principal, "a"), "");
    assert_eq!(one.role_assignments().filter(|one| &*one.identity == "joe").count(), 0);
}

/// Rights of an identity on a registry: of its file, of the file for all, of its records, of the records for all.
#[test]
fn what_is_assigned_by_both_layers_here_and_everywhere_adds_up() {
    let confined = StoredRoleAssignment { repositories: Some(vec!["tools/*".to_owned()]), ..role("vault", "AcrPush") };
    let mut house =
        House::new(FILE).assign("mybaseregistry", "a1", &role("vault", "AcrDelete")).assign("", "a2", &confined);
    let vault = |house: &House, registry: fn(&House) -> Arc<Registry>, repository: &str| {
        let registry = registry(house);
        actions(&by_secret(&registry, &Guid::parse(VAULT).unwrap()).unwrap().principal, repository)
    };
    assert_eq!(vault(&house, House::one, "tools/x"), "pull,push,metadata_read");
    assert_eq!(vault(&house, House::one, "other"), "");
    assert_eq!(vault(&house, House::base, "tools/x"), "pull,push,delete,metadata_read");
    assert_eq!(vault(&house, House::base, "other"), "delete");
    let one = house.one();
    let ops = asserted(&one, "corp", &json!({ "sub": "x", "groups": ["ops"] })).unwrap();
    assert_eq!(
        may(&one, &ops, "DELETE /v2/a/manifests/v1").unwrap(),
        "role AcrDelete of identity operators on all registries (policy.yaml:12:5)"
    );
    let both = asserted(&one, "corp", &json!({ "sub": "jane", "groups": ["ops"] })).unwrap();
    assert_eq!(actions(&both.principal, "jane/app"), "pull,delete,metadata_read");
    let snapshot = house.snapshot();
    let declared: Vec<_> = snapshot.declared_assignments().map(|one| one.identity.to_string()).collect();
    assert_eq!((declared.join(" "), one.declared_assignments().count()), ("operators vault".to_owned(), 1));
    assert_eq!(one.role_assignments().count(), 4, "one of this file, two of all files, one of all records");
    house = house.unassign("", "a2").unassign("mybaseregistry", "a1");
    assert_eq!(vault(&house, House::base, "tools/x"), "pull,metadata_read");
}

/// Lifts S3-7; looked up when somebody asks.
#[test]
fn a_scope_map_is_the_one_that_the_registry_has_by_now() {
    let by_map =
        |name: &str| StoredRoleAssignment { grants: StoredGrants::ScopeMap(name.to_owned()), ..role("jane", "") };
    let jane = |set: StoredRoleAssignment| StoredRoleAssignment { principal_id: House::new(FILE).id_of("jane"), ..set };
    let mut house = House::new(FILE)
        .assign("myregistry", "a1", &jane(by_map("team-a")))
        .assign("myregistry", "a2", &jane(by_map("team-b")))
        .assign("mybaseregistry", "a3", &jane(by_map("team-a")));
    let may_push = |house: &House| may(&house.one(), &user(&house.one(), "jane").unwrap(), PUSH);
    assert_eq!(
        may(&house.one(), &user(&house.one(), "jane").unwrap(), PULL).unwrap(),
        format!("scope map team-a of identity jane (store, assignment {})", guid("a1"))
    );
    assert!(may(&house.base(), &user(&house.base(), "jane").unwrap(), "GET /v2/").is_err(), "it is another registry's");
    assert!(may_push(&house).is_err());
    let writes = scope_map(&["repositories/team-a/*/content/write"]);
    house.stored.set_scope_map("myregistry", "team-b", Some(&writes), &mut Problems::new());
    assert!(may_push(&house).is_ok());
    house.stored.set_scope_map("myregistry", "team-b", None, &mut Problems::new());
    assert!(may_push(&house).is_err());
}

impl House {
    fn id_of(&self, identity: &str) -> Guid {
        self.snapshot().identities().named(identity).unwrap().principal_id.clone()
    }
}

#[test]
fn every_identity_of_a_file_has_a_principal_id_that_stays() {
    let (one, other) = (House::new(FILE), House::new(&FILE.replace("[ops]", "[ops, x]")));
    assert_eq!(one.id_of("jane"), other.id_of("jane"));
    assert_ne!(one.id_of("jane"), one.id_of("operators"));
    assert_eq!(one.id_of("vault"), guid("vault"));
    let snapshot = one.snapshot();
    assert_eq!(&*snapshot.identities().with_principal_id(&one.id_of("jane")).unwrap().name, "jane");
    assert_eq!(&*snapshot.identities().with_client_id(&Guid::parse(VAULT).unwrap()).unwrap().name, "vault");
}

/// A group's rights are every member's, whichever layer has the group; who is disabled is so in all his groups.
#[test]
fn a_disabled_identity_is_nobody_in_every_layer() {
    let group = StoredIdentity {
        matches: vec![StoredClaimRule { provider: "corp".into(), claims: [("groups".into(), "dev-*".into())].into() }],
        ..identity("developers", IdentityKind::Group)
    };
    let disabled = |name: &str| StoredIdentity { status: TokenStatus::Disabled, ..identity(name, IdentityKind::User) };
    let mut house = House::new(FILE)
        .identity("developers", &group)
        .identity("ci", &identity("ci", IdentityKind::ServicePrincipal))
        .assign("myregistry", "a1", &role("developers", "AcrPush"))
        .assign("myregistry", "a2", &role("ci", "AcrPush"));
    let developer = |house: &House| asserted(&house.one(), "corp", &json!({ "sub": "joe", "groups": ["dev-1"] }));
    assert!(may(&house.one(), &developer(&house).unwrap(), PUSH).is_ok());
    house = house.identity("joe", &disabled("joe"));
    assert!(developer(&house).is_none());
    let ci = by_secret(&house.one(), &guid("client of ci")).unwrap();
    let off = StoredIdentity { status: TokenStatus::Disabled, ..identity("ci", IdentityKind::ServicePrincipal) };
    house = house.identity("ci", &off);
    let now_it_is = house.one().principal(ci.principal.id().unwrap()).unwrap();
    let refused = may(&house.one(), &Caller { principal: now_it_is, ..ci }, PULL);
    assert_eq!(refused.unwrap_err().code(), "identity_disabled");
}

/// S1-8, S1-9, of whichever layer the assignment is.
#[test]
fn a_stored_cluster_pulls_and_does_nothing_else() {
    let mut house = House::new(FILE)
        .identity("aks", &identity("aks", IdentityKind::KubernetesCluster))
        .assign("myregistry", "a1", &role("aks", "Owner"))
        .assign("", "a2", &role("aks", "AcrPush"));
    let of = |house: &House| user(&house.one(), "aks").unwrap().principal;
    assert_eq!((actions(&of(&house), "a"), of(&house).may_list_catalog()), ("pull".to_owned(), false));
    // The cap is the kind's that the identity has now.
    house = house.identity("aks", &identity("aks", IdentityKind::UserAssigned));
    assert_eq!(actions(&of(&house), "a"), "pull,push,delete,metadata_read,metadata_write");
}

/// The installation's word holds for one identity, as it is now.
#[test]
fn the_installation_vouches_for_managed_identities_only() {
    let kinds = [
        IdentityKind::User,
        IdentityKind::Group,
        IdentityKind::SystemAssigned,
        IdentityKind::UserAssigned,
        IdentityKind::ServicePrincipal,
        IdentityKind::KubernetesCluster,
    ];
    for kind in kinds {
        let house = House::new(FILE).identity("agent", &identity("agent", kind));
        let snapshot = house.snapshot();
        let word = snapshot.identities().named("agent").unwrap().own_assertion();
        assert_eq!(
            word.is_some(),
            matches!(kind, IdentityKind::SystemAssigned | IdentityKind::UserAssigned),
            "{kind:?}"
        );
        let said = Assertion {
            provider: OWN_PROVIDER.into(),
            issuer: OWN_PROVIDER.into(),
            subject: guid("agent").to_string(),
            claims: [("identity".to_owned(), json!(principal_id("agent")))].into_iter().collect(),
        };
        assert!(word.is_none_or(|word| word == said), "{kind:?}");
        assert_eq!(snapshot.identities().meant_by(&said).is_empty(), !kind.is_managed(), "{kind:?}");
    }
    let house = House::new(FILE).identity("agent", &identity("agent", IdentityKind::UserAssigned)).assign(
        "myregistry",
        "a1",
        &role("agent", "AcrPush"),
    );
    let one = house.one();
    let word = house.snapshot().identities().named("agent").unwrap().own_assertion().unwrap();
    let id = principal_id("subject");
    let agent = one.asserted(&word, id).unwrap();
    assert_eq!((agent.kind(), agent.name(), &*actions(&agent, "a")), ("identity", "agent", "pull,push,metadata_read"));
    assert_eq!(house.snapshot().identities().claims_in_use(&word), word.claims);
    for almost in [
        Assertion { provider: "corp".into(), ..word.clone() },
        Assertion { issuer: "https://corp.example".into(), ..word.clone() },
        Assertion { subject: guid("other").to_string(), ..word.clone() },
        Assertion { claims: serde_json::Map::new(), ..word.clone() },
        Assertion { claims: assertion("corp", &json!({ "identity": principal_id("other") })).claims, ..word.clone() },
    ] {
        assert!(one.asserted(&almost, id).is_none(), "{almost:?}");
    }
    let off = StoredIdentity { status: TokenStatus::Disabled, ..identity("agent", IdentityKind::UserAssigned) };
    let again = StoredIdentity { id: principal_id("again"), ..identity("agent", IdentityKind::UserAssigned) };
    for set in [off, again] {
        assert!(House::new(FILE).identity("agent", &set).one().asserted(&word, id).is_none());
    }
    let reserved = FILE.replace("  corp: {", "  seawall: { issuer: https://x.example, audiences: [y] }\n  corp: {");
    let (policy, problems) = compiled(&reserved.replace("VAULT", VAULT));
    assert!(policy.is_none());
    assert!(problems.starts_with("policy.yaml:2:3: `seawall` is the name of the installation itself"), "{problems}");
}

/// A change among tens of thousands of tokens does not touch identities, and one among identities no tokens.
#[test]
fn a_change_of_something_else_makes_no_identities_anew() {
    let mut house = House::new(FILE)
        .identity("joe", &identity("joe", IdentityKind::User))
        .assign("", "a1", &role("joe", "AcrPull"))
        .assign("mybaseregistry", "a2", &role("joe", "AcrPush"));
    let before = house.snapshot();
    house.stored.set_token("myregistry", "ci-push", Some(&token("ci-push", &["team-a"])), &mut Problems::new());
    let after = house.after(Some(&before));
    assert!(Arc::ptr_eq(before.identities(), after.identities()));
    let same = |one: &PolicySnapshot, other: &PolicySnapshot, name: &str| {
        Arc::ptr_eq(one.registry_named(name).unwrap(), other.registry_named(name).unwrap())
    };
    assert!(same(&before, &after, "mybaseregistry") && !same(&before, &after, "myregistry"));
    house = house.assign("mybaseregistry", "a2", &role("joe", "AcrPull"));
    let third = house.after(Some(&after));
    assert!(Arc::ptr_eq(before.identities(), third.identities()));
    assert!(!same(&after, &third, "mybaseregistry") && same(&after, &third, "myregistry"));
    house = house.assign("", "a1", &role("joe", "AcrPush"));
    let fourth = house.after(Some(&third));
    assert!(Arc::ptr_eq(before.identities(), fourth.identities()));
    assert!(!same(&third, &fourth, "mybaseregistry") && !same(&third, &fourth, "myregistry"));
    house = house.identity("joe", &identity("joe", IdentityKind::Group));
    let fifth = house.after(Some(&fourth));
    assert!(!Arc::ptr_eq(fourth.identities(), fifth.identities()));
    let [one, other] = [&fourth, &fifth].map(|snapshot| snapshot.registry_named("myregistry").unwrap());
    assert!(Arc::ptr_eq(one.token("ci-push").unwrap(), other.token("ci-push").unwrap()));
    assert!(std::ptr::eq(one.properties(), other.properties()));
}

/// The end of a secret is foreseen wherever it was made.
#[test]
fn secrets_of_the_store_are_told_of_by_the_registries_where_they_count() {
    let mut set = identity("ci", IdentityKind::ServicePrincipal);
    set.secrets[0].expiry = Some("2026-11-22T00:00:00Z".parse::<Timestamp>().unwrap());
    let house = House::new(FILE).identity("ci", &set).assign("mybaseregistry", "a1", &role("ci", "AcrPull"));
    let endings = |registry: &Registry| seawall::policy::expiry::endings(registry, super::policy::now()).len();
    assert_eq!((endings(&house.base()), endings(&house.one())), (1, 0));
    assert_eq!(house.snapshot().identities().named("ci").unwrap().origin, Origin::store());
}
