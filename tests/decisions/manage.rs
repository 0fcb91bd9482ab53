//! Who may use the management API: every role by every action, on a registry, on another one, and on the whole.

use seawall::policy::identity::IdentityKind;
use seawall::policy::manage::ManagementAction::{self, AssignRoles, Read, Write};
use seawall::policy::stored::{StoredGrants, StoredIdentity, StoredRoleAssignment};
use seawall::policy::{Manager, PolicySnapshot};
use serde_json::json;

use super::identities::assertion;
use super::layers::records::{guid, identity, role};
use super::stored_identities::House;

const FILE: &str = "identityProviders: { corp: { issuer: https://corp.example, audiences: [a], nameClaim: email } }
identities:
  boss: { type: User, matches: [{ provider: corp, claims: { sub: boss } }] }
  crew: { type: Group, matches: [{ provider: corp, claims: { groups: crew } }] }
roleAssignments: [{ identity: boss, role: Owner }]
registries:
  mybaseregistry: { loginServer: base.example.com, upstream: { url: http://127.0.0.1:5000 } }
  myregistry:
    loginServer: one.example.com
    upstream: { url: http://127.0.0.1:5001 }
    scopeMaps: { team-a: { repositories: { '*': [content/read] } } }
    roleAssignments: [{ identity: crew, role: Contributor }]
";

fn manager(policy: &PolicySnapshot, subject: &str) -> Option<Manager> {
    policy.manager_asserted(&assertion("corp", &json!({ "sub": subject, "email": format!("{subject}@example.com") })))
}

/// What he may do: on his registry, on the other one, on one that is not there, on the whole installation.
fn table(policy: &PolicySnapshot, manager: &Manager) -> [String; 4] {
    let letters = [(Read, 'r'), (Write, 'w'), (AssignRoles, 'a')];
    [Some("MyRegistry"), Some("mybaseregistry"), Some("gone1"), None].map(|registry| {
        let may = |action: &ManagementAction| policy.may_manage(manager, registry, *action).is_some();
        letters.iter().filter(|(action, _)| may(action)).map(|(_, letter)| *letter).collect()
    })
}

/// S1-39; B.5: Contributor is Owner without role assignment, Reader looks, nobody else is anything here.
#[test]
fn a_role_manages_where_it_is_assigned() {
    let roles = [
        ("Owner", "rwa"),
        ("CONTRIBUTOR", "rw"),
        ("Reader", "r"),
        ("AcrPull", ""),
        ("AcrPush", ""),
        ("AcrDelete", ""),
        ("AcrImageSigner", ""),
        ("Container Registry Repository Reader", ""),
        ("Container Registry Repository Writer", ""),
        ("Container Registry Repository Contributor", ""),
        ("Container Registry Repository Catalog Lister", ""),
    ];
    for (name, actions) in roles {
        let house = House::new(FILE).identity("joe", &identity("joe", IdentityKind::User));
        let of_one = house.assign("myregistry", "a1", &role("joe", name)).snapshot();
        assert_eq!(table(&of_one, &manager(&of_one, "joe").unwrap()), [actions, "", "", ""], "{name}");
        let house = House::new(FILE).identity("joe", &identity("joe", IdentityKind::User));
        let of_all = house.assign("", "a1", &role("joe", name)).snapshot();
        assert_eq!(table(&of_all, &manager(&of_all, "joe").unwrap()), [actions; 4], "{name}");
    }
}

#[test]
fn the_files_assignments_manage_too_and_the_answer_names_the_assignment() {
    let house = House::new(FILE);
    let policy = house.snapshot();
    let boss = manager(&policy, "boss").unwrap();
    assert_eq!((&*boss.name, &*boss.subject.as_ref().unwrap().subject), ("boss@example.com", "boss"));
    assert_eq!(table(&policy, &boss), ["rwa"; 4]);
    let by = policy.may_manage(&boss, Some("myregistry"), AssignRoles).unwrap();
    assert_eq!(by.to_string(), "role Owner of identity boss on all registries (policy.yaml:5:19)");
    let crew = policy.manager_asserted(&assertion("corp", &json!({ "sub": "joe", "groups": ["crew"] }))).unwrap();
    assert_eq!(table(&policy, &crew), ["rw", "", "", ""]);
    assert!(manager(&policy, "nobody").is_none());
}

/// What is confined to repositories, a scope map's, or a cluster's is about data.
#[test]
fn what_is_about_data_manages_nothing() {
    let owner = || role("joe", "Owner");
    let confined = StoredRoleAssignment { repositories: Some(vec!["*".to_owned()]), ..owner() };
    let by_map = StoredRoleAssignment { grants: StoredGrants::ScopeMap("team-a".to_owned()), ..owner() };
    for (kind, set) in
        [(IdentityKind::User, confined), (IdentityKind::User, by_map), (IdentityKind::KubernetesCluster, owner())]
    {
        let house = House::new(FILE).identity("joe", &identity("joe", kind));
        let policy = house.assign("myregistry", "a1", &set).assign("", "a2", &set).snapshot();
        assert_eq!(table(&policy, &manager(&policy, "joe").unwrap()), [""; 4], "{kind:?} {set:?}");
    }
}

#[test]
fn a_service_principal_manages_by_its_client_id_while_it_is_enabled() {
    let ci = identity("ci", IdentityKind::ServicePrincipal);
    let house = House::new(FILE).identity("ci", &ci).assign("myregistry", "a1", &role("ci", "Contributor"));
    let policy = house.snapshot();
    let client_id = guid("client of ci").to_string();
    let (found, has_secrets) = policy.manager_named(&client_id.to_uppercase()).unwrap();
    assert_eq!((&*found.name, found.subject.is_none(), has_secrets.secrets.len()), ("ci", true, 1));
    assert_eq!(table(&policy, &found), ["rw", "", "", ""]);
    let by = policy.may_manage(&found, Some("myregistry"), Write).unwrap();
    assert_eq!(by.to_string(), format!("role Contributor of identity ci (store, assignment {})", guid("a1")));
    assert!(policy.manager_named("ci").is_none());
    assert!(policy.manager_named(guid("ci").as_str()).is_none(), "the principal id is no user name");
    let off = StoredIdentity { status: seawall::policy::document::TokenStatus::Disabled, ..ci };
    let policy = house.identity("ci", &off).snapshot();
    assert!(policy.manager_named(&client_id).is_none());
    assert_eq!(table(&policy, &found), [""; 4], "nor whoever was found before");
}
