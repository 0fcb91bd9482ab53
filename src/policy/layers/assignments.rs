//! Role assignments that the API has made, on one registry or on all, and how they meet those of the files.
//!
//! A stored assignment names a principal id. Who that is, what kind of identity, and what its scope map is by now, is
//! looked up when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::HashTrieMapSync;

use super::stored::{Told, checked, patterns};
use crate::policy::identity::{Guid, Identity, IdentityKind};
use crate::policy::names::shortened;
use crate::policy::origin::Origin;
use crate::policy::pattern::RepositoryPattern;
use crate::policy::role::{Grants, Role, RoleAssignment};
use crate::policy::scope_map::ScopeMap;
use crate::policy::stored::{StoredGrants, StoredRoleAssignment};

/// What files assign, by the identity's name.
pub(in crate::policy) type DeclaredAssignments = BTreeMap<Arc<str>, Arc<[Arc<RoleAssignment>]>>;

/// The records of one registry, or of the whole installation.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct StoredAssignments {
    /// Whom each is about.
    principals: HashTrieMapSync<Guid, Guid>,
    by_principal: HashTrieMapSync<Guid, Arc<[Arc<Assigned>]>>,
}

/// One record.
#[derive(Debug)]
struct Assigned {
    id: Guid,
    gives: Gives,
    repositories: Option<Arc<[RepositoryPattern]>>,
}

#[derive(Debug)]
enum Gives {
    Role(Role),
    /// By the scope map's name.
    ScopeMap(Arc<str>),
}

impl StoredAssignments {
    pub(super) fn is_empty(&self) -> bool {
        self.principals.is_empty()
    }

    /// The record `name` as it is now; `None`: it was deleted, or cannot be read.
    pub(super) fn set(
        &mut self,
        name: &str,
        everywhere: bool,
        set: Option<&StoredRoleAssignment>,
        told: &mut Told<'_>,
    ) {
        let Some(id) = Guid::parse(name) else {
            return told.push("its name is no GUID: it has no effect");
        };
        self.remove(&id);
        let Some(set) = set else { return };
        let Some(assigned) = compile(id.clone(), everywhere, set, told) else { return };
        let others = self.by_principal.get(&set.principal_id).cloned().unwrap_or_default();
        let mut all: Vec<_> = others.iter().map(Arc::clone).chain([Arc::new(assigned)]).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        self.by_principal.insert_mut(set.principal_id.clone(), all.into());
        self.principals.insert_mut(id, set.principal_id.clone());
    }

    fn remove(&mut self, id: &Guid) {
        let Some(principal) = self.principals.get(id).cloned() else { return };
        self.principals.remove_mut(id);
        let others: Arc<[_]> = self
            .by_principal
            .get(&principal)
            .into_iter()
            .flat_map(|all| &**all)
            .filter(|one| one.id != *id)
            .cloned()
            .collect();
        if others.is_empty() {
            self.by_principal.remove_mut(&principal);
        } else {
            self.by_principal.insert_mut(principal, others);
        }
    }

    /// Whether anything is assigned to `identity`.
    pub(in crate::policy) fn knows(&self, identity: &Identity) -> bool {
        self.by_principal.contains_key(&identity.principal_id)
    }

    /// What is assigned to `identity`. A scope map that `scope_map` does not know gives nothing.
    pub(in crate::policy) fn resolved<'a>(
        &'a self,
        identity: &'a Identity,
        everywhere: bool,
        scope_map: impl Fn(&str) -> Option<&'a Arc<ScopeMap>> + 'a,
    ) -> impl Iterator<Item = Arc<RoleAssignment>> + 'a {
        let assigned = self.by_principal.get(&identity.principal_id).into_iter().flat_map(|all| all.iter());
        assigned.filter_map(move |assigned| {
            let grants = match &assigned.gives {
                Gives::Role(role) => Grants::Role(*role),
                Gives::ScopeMap(name) => Grants::ScopeMap(Arc::clone(scope_map(name)?)),
            };
            Some(Arc::new(RoleAssignment {
                id: assigned.id.clone(),
                identity: Arc::clone(&identity.name),
                principal_id: identity.principal_id.clone(),
                grants,
                everywhere,
                repositories: assigned.repositories.clone(),
                networks: None,
                pull_only: identity.kind == IdentityKind::KubernetesCluster,
                origin: Origin::store(),
            }))
        })
    }
}

/// What both layers assign on all registries.
#[derive(Debug, Clone)]
pub(in crate::policy) struct Everywhere {
    pub(in crate::policy) declared: Arc<DeclaredAssignments>,
    pub(in crate::policy) stored: Arc<StoredAssignments>,
}

impl Everywhere {
    /// Whether both have the same assignments in memory.
    pub(in crate::policy) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.declared, &other.declared) && Arc::ptr_eq(&self.stored, &other.stored)
    }

    /// Whether anything is assigned to `identity`.
    pub(in crate::policy) fn knows(&self, identity: &Identity) -> bool {
        self.declared.contains_key(&identity.name) || self.stored.knows(identity)
    }

    /// What `identity` may do on every registry.
    pub(in crate::policy) fn of<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> impl Iterator<Item = Arc<RoleAssignment>> + 'a {
        let declared = declared_of(&self.declared, identity);
        // A scope map is of one registry; compiling lets none in here.
        declared.chain(self.stored.resolved(identity, true, |_| None))
    }
}

/// What `declared` assigns to `identity`.
pub(in crate::policy) fn declared_of<'a>(
    declared: &'a DeclaredAssignments,
    identity: &Identity,
) -> impl Iterator<Item = Arc<RoleAssignment>> + use<'a> {
    declared.get(&identity.name).into_iter().flat_map(|all| all.iter().map(Arc::clone))
}

/// Checks what somebody is about to store, for all registries or for one.
///
/// # Errors
/// The first thing without effect in it, in a sentence. Whether there is such a principal or scope map is not looked at.
pub fn check_role_assignment(everywhere: bool, set: &StoredRoleAssignment) -> Result<(), String> {
    checked(|told| {
        compile(set.principal_id.clone(), everywhere, set, told);
    })
}

fn compile(id: Guid, everywhere: bool, set: &StoredRoleAssignment, told: &mut Told<'_>) -> Option<Assigned> {
    let gives = match &set.grants {
        StoredGrants::Role(name) => match Role::parse(name) {
            Some(Role::RepositoryCatalogLister) if set.repositories.is_some() => {
                let role = Role::RepositoryCatalogLister;
                return told.without_effect(&format!("`{role}` takes no condition: it shows all repositories or none"));
            }
            Some(role) => Gives::Role(role),
            None => return told.without_effect(&format!("there is no role `{}`", shortened(name))),
        },
        StoredGrants::ScopeMap(_) if everywhere => {
            return told.without_effect("a scope map is of one registry, and this is for all of them");
        }
        StoredGrants::ScopeMap(name) => Gives::ScopeMap(name.as_str().into()),
    };
    let repositories = set.repositories.as_ref().map(|patterns| condition(patterns, told));
    Some(Assigned { id, gives, repositories })
}

/// What cannot be read covers nothing.
fn condition(patterns: &[String], told: &mut Told<'_>) -> Arc<[RepositoryPattern]> {
    if patterns.is_empty() {
        told.push("its condition covers no repository: it grants nothing");
    }
    self::patterns(patterns, told)
}
