//! Role assignments, of a registry and of all: which identity has which role, or scope map, and on what.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::conditions::NetworkCondition;
use crate::policy::credential::PrincipalId;
use crate::policy::document::{
    InstallationAssignmentDocument, InstallationAssignmentDocuments, NetworkConditionDocument, RegistryDocument,
    RoleAssignmentDocument,
};
use crate::policy::identity::{Guid, IdentityKind};
use crate::policy::layers::DeclaredAssignments;
use crate::policy::nearest::nearest;
use crate::policy::origin::{At, Origin};
use crate::policy::pattern::RepositoryPattern;
use crate::policy::problem::{Problem, Problems};
use crate::policy::properties::Repositories;
use crate::policy::role::{Grants, Role, RoleAssignment};

use super::{House, missing, patterns, scope_maps};

/// The assignments of a registry.
pub(super) fn compile(
    registry: &str,
    document: &RegistryDocument,
    house: &House<'_>,
    scope_maps: &scope_maps::ByName,
    problems: &mut Problems,
) -> DeclaredAssignments {
    let assignment = |written: &At<RoleAssignmentDocument>, problems: &mut Problems| {
        let grants = grants(written, scope_maps, problems);
        let (identity, repositories) = (&written.identity, written.repositories.as_ref());
        let (networks, origin) = (written.networks.as_ref(), &written.origin);
        let written = Written { registry: Some(registry), identity, repositories, networks, origin };
        written.compile(grants, house, problems)
    };
    let mut found = Found::default();
    for written in &document.role_assignments {
        found.add(assignment(written, problems), problems);
    }
    found.into_map()
}

/// The assignments of all registries.
pub(super) fn everywhere(
    documents: &InstallationAssignmentDocuments,
    house: &House<'_>,
    problems: &mut Problems,
) -> DeclaredAssignments {
    let mut found = Found::default();
    for At { value: InstallationAssignmentDocument { identity, role, repositories, networks }, origin } in documents {
        let grants = self::role(role, problems).map(Grants::Role);
        let (repositories, networks) = (repositories.as_ref(), networks.as_ref());
        let written = Written { registry: None, identity, repositories, networks, origin };
        found.add(written.compile(grants, house, problems), problems);
    }
    found.into_map()
}

/// What assignments of both kinds have.
struct Written<'a> {
    /// `None` for all of them.
    registry: Option<&'a str>,
    identity: &'a At<String>,
    repositories: Option<&'a At<Vec<At<String>>>>,
    networks: Option<&'a NetworkConditionDocument>,
    origin: &'a Origin,
}

impl Written<'_> {
    fn compile(&self, grants: Option<Grants>, house: &House<'_>, problems: &mut Problems) -> Option<RoleAssignment> {
        if !house.written.contains_key(self.identity) {
            let known = house.written.keys().map(|name| name.as_str());
            problems.push(missing("identity", self.identity, known, "declare it under `identities`"));
        }
        let repositories = match self.repositories {
            None => Some(None),
            Some(patterns) => condition(patterns, grants.as_ref(), problems).map(Some),
        };
        let networks = NetworkCondition::compile(self.networks, problems);
        // One that could not be compiled has a problem of its own.
        let identity = house.identities.named(self.identity)?;
        let (grants, repositories) = (grants?, repositories?);
        Some(RoleAssignment {
            id: self.id(&grants, repositories.as_deref(), house),
            identity: Arc::clone(&identity.name),
            principal_id: identity.principal_id.clone(),
            grants,
            everywhere: self.registry.is_none(),
            repositories,
            networks,
            pull_only: identity.kind == IdentityKind::KubernetesCluster,
            origin: self.origin.clone(),
        })
    }

    /// The same for the same assignment, wherever it stands.
    fn id(&self, grants: &Grants, repositories: Option<&[RepositoryPattern]>, house: &House<'_>) -> Guid {
        let grants = grants.to_string();
        // No registry has an empty name.
        let mut parts = vec![self.registry.unwrap_or_default().to_owned(), self.identity.value.clone(), grants];
        parts.extend(repositories.into_iter().flatten().map(ToString::to_string));
        let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
        PrincipalId::derive(house.hash_key, "role assignment", &parts).into()
    }
}

/// By the identity's name.
#[derive(Default)]
struct Found(BTreeMap<Arc<str>, Vec<Arc<RoleAssignment>>>);

impl Found {
    fn add(&mut self, assignment: Option<RoleAssignment>, problems: &mut Problems) {
        let Some(assignment) = assignment else { return };
        let others = self.0.entry(Arc::clone(&assignment.identity)).or_default();
        if let Some(first) = others.iter().find(|other| same(other, &assignment)) {
            let what = format!("{} is assigned to `{}` already", assignment.grants, assignment.identity);
            problems.push(Problem::new(&assignment.origin, what).hint(format!("the other is at {}", first.origin)));
        }
        warn(&assignment, problems);
        others.push(Arc::new(assignment));
    }

    fn into_map(self) -> DeclaredAssignments {
        self.0.into_iter().map(|(identity, assignments)| (identity, assignments.into())).collect()
    }
}

fn grants(
    written: &At<RoleAssignmentDocument>,
    scope_maps: &scope_maps::ByName,
    problems: &mut Problems,
) -> Option<Grants> {
    match (&written.role, &written.scope_map) {
        (Some(name), None) => role(name, problems).map(Grants::Role),
        (None, Some(name)) => {
            let name = scope_maps::find(name, scope_maps, problems)?;
            scope_maps.get(&name).map(|map| Grants::ScopeMap(Arc::clone(map)))
        }
        _ => {
            let problem = Problem::new(&written.origin, "a role assignment needs exactly one of `role` and `scopeMap`");
            problems.push(problem.hint("for both, write two assignments: what they allow adds up"));
            None
        }
    }
}

fn role(name: &At<String>, problems: &mut Problems) -> Option<Role> {
    let role = Role::parse(name);
    if role.is_none() {
        let problem = Problem::new(&name.origin, format!("there is no role `{}`", name.value));
        let meant = nearest(name, Role::ALL.into_iter().map(Role::name));
        problems.push(problem.hint(match meant {
            Some(role) => format!("did you mean `{role}`?"),
            None => format!("the roles are {}", Role::ALL.map(|role| format!("`{role}`")).join(", ")),
        }));
    }
    role
}

fn condition(written: &At<Vec<At<String>>>, grants: Option<&Grants>, problems: &mut Problems) -> Option<Repositories> {
    if written.is_empty() {
        let problem = Problem::new(&written.origin, "this condition covers no repository");
        problems.push(problem.hint("leave `repositories` out to cover all of them"));
    }
    if let Some(Grants::Role(Role::RepositoryCatalogLister)) = grants {
        let what = format!("`{}` takes no condition: it shows all repositories or none", Role::RepositoryCatalogLister);
        problems.push(Problem::new(&written.origin, what).hint("remove `repositories`"));
        return None;
    }
    patterns(written, problems)
}

fn warn(assignment: &RoleAssignment, problems: &mut Problems) {
    if assignment.grants_anything() {
        return;
    }
    let what = format!("this assignment gives `{}` nothing", assignment.identity);
    problems.push(Problem::warning(&assignment.origin, what).hint(match &assignment.grants {
        Grants::Role(Role::AcrImageSigner) => "signatures are pushed like images: `AcrPush` is the role for it",
        _ if assignment.pull_only => {
            "an identity of type `KubernetesCluster` pulls and does nothing else: `AcrPull` is its role"
        }
        Grants::Role(_) | Grants::ScopeMap(_) => "give the scope map a repository, or assign a role",
    }));
}

fn same(one: &RoleAssignment, other: &RoleAssignment) -> bool {
    let same_grants = match (&one.grants, &other.grants) {
        (Grants::Role(one), Grants::Role(other)) => one == other,
        (Grants::ScopeMap(one), Grants::ScopeMap(other)) => one.name == other.name,
        (Grants::Role(_), Grants::ScopeMap(_)) | (Grants::ScopeMap(_), Grants::Role(_)) => false,
    };
    same_grants && one.repositories == other.repositories
}
