//! Role assignments of a registry: which identity has which role, or scope map, and on what.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::document::{IdentityDocuments, RegistryDocument, RoleAssignmentDocument};
use crate::policy::identity::IdentityKind;
use crate::policy::nearest::nearest;
use crate::policy::origin::At;
use crate::policy::pattern::RepositoryPattern;
use crate::policy::problem::{Problem, Problems};
use crate::policy::role::{Grants, Role, RoleAssignment};

use super::{missing, scope_maps};

/// By the identity's name.
pub(super) type ByIdentity = BTreeMap<Arc<str>, Arc<[Arc<RoleAssignment>]>>;

pub(super) fn compile(
    document: &RegistryDocument,
    identities: &IdentityDocuments,
    scope_maps: &scope_maps::ByName,
    problems: &mut Problems,
) -> ByIdentity {
    let mut found: BTreeMap<Arc<str>, Vec<Arc<RoleAssignment>>> = BTreeMap::new();
    for written in &document.role_assignments {
        let Some(assignment) = assignment(written, identities, scope_maps, problems) else { continue };
        let others = found.entry(Arc::clone(&assignment.identity)).or_default();
        if let Some(first) = others.iter().find(|other| same(other, &assignment)) {
            let what = format!("{} is assigned to `{}` already", assignment.grants, assignment.identity);
            problems.push(Problem::new(&written.origin, what).hint(format!("the other is at {}", first.origin)));
        }
        warn(&assignment, problems);
        others.push(Arc::new(assignment));
    }
    found.into_iter().map(|(identity, assignments)| (identity, assignments.into())).collect()
}

fn assignment(
    written: &At<RoleAssignmentDocument>,
    identities: &IdentityDocuments,
    scope_maps: &scope_maps::ByName,
    problems: &mut Problems,
) -> Option<RoleAssignment> {
    let identity = identities.get_key_value(&written.identity);
    if identity.is_none() {
        let known = identities.keys().map(|name| name.as_str());
        problems.push(missing("identity", &written.identity, known, "declare it under `identities`"));
    }
    let grants = grants(written, scope_maps, problems);
    let repositories = match &written.repositories {
        None => Some(None),
        Some(patterns) => condition(patterns, grants.as_ref(), problems).map(Some),
    };
    let (name, document) = identity?;
    Some(RoleAssignment {
        identity: name.as_str().into(),
        grants: grants?,
        repositories: repositories?,
        pull_only: document.kind.value == IdentityKind::KubernetesCluster,
        origin: written.origin.clone(),
    })
}

fn grants(
    written: &At<RoleAssignmentDocument>,
    scope_maps: &scope_maps::ByName,
    problems: &mut Problems,
) -> Option<Grants> {
    match (&written.role, &written.scope_map) {
        (Some(name), None) => {
            let role = Role::parse(name);
            if role.is_none() {
                let problem = Problem::new(&name.origin, format!("there is no role `{}`", name.value));
                let meant = nearest(name, Role::ALL.into_iter().map(Role::name));
                problems.push(problem.hint(match meant {
                    Some(role) => format!("did you mean `{role}`?"),
                    None => format!("the roles are {}", Role::ALL.map(|role| format!("`{role}`")).join(", ")),
                }));
            }
            role.map(Grants::Role)
        }
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

fn condition(
    patterns: &At<Vec<At<String>>>,
    grants: Option<&Grants>,
    problems: &mut Problems,
) -> Option<Box<[RepositoryPattern]>> {
    if patterns.is_empty() {
        let problem = Problem::new(&patterns.origin, "this condition covers no repository");
        problems.push(problem.hint("leave `repositories` out to cover all of them"));
    }
    if let Some(Grants::Role(Role::RepositoryCatalogLister)) = grants {
        let what = format!("`{}` takes no condition: it shows all repositories or none", Role::RepositoryCatalogLister);
        problems.push(Problem::new(&patterns.origin, what).hint("remove `repositories`"));
        return None;
    }
    let pattern = |text: &At<String>| {
        let refuse = |error| Problem::new(&text.origin, format!("`{}`: {error}", text.value));
        RepositoryPattern::parse(text).map_err(|error| problems.push(refuse(error))).ok()
    };
    let patterns: Vec<_> = patterns.iter().map(pattern).collect();
    patterns.into_iter().collect()
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
