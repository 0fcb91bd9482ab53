//! Roles as in ACR, and their assignment to identities on one registry (requirements B.5).
//!
//! Everything here only adds: what an identity may do is the union of its assignments.

use std::fmt;
use std::sync::Arc;

use super::action::{Action, ActionSet};
use super::conditions::NetworkCondition;
use super::identity::Guid;
use super::origin::Origin;
use super::pattern::RepositoryPattern;
use super::scope_map::ScopeMap;
use crate::oci::RepositoryName;

/// A built-in role, as far as it is about data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Owner,
    Contributor,
    Reader,
    AcrPull,
    /// Pushes, and cannot delete (E-13).
    AcrPush,
    /// Deletes, and cannot pull.
    AcrDelete,
    /// Signs, which is no right on data.
    AcrImageSigner,
    RepositoryReader,
    RepositoryWriter,
    RepositoryContributor,
    RepositoryCatalogLister,
}

impl Role {
    pub const ALL: [Self; 11] = [
        Self::Owner,
        Self::Contributor,
        Self::Reader,
        Self::AcrPull,
        Self::AcrPush,
        Self::AcrDelete,
        Self::AcrImageSigner,
        Self::RepositoryReader,
        Self::RepositoryWriter,
        Self::RepositoryContributor,
        Self::RepositoryCatalogLister,
    ];

    /// ACR's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Contributor => "Contributor",
            Self::Reader => "Reader",
            Self::AcrPull => "AcrPull",
            Self::AcrPush => "AcrPush",
            Self::AcrDelete => "AcrDelete",
            Self::AcrImageSigner => "AcrImageSigner",
            Self::RepositoryReader => "Container Registry Repository Reader",
            Self::RepositoryWriter => "Container Registry Repository Writer",
            Self::RepositoryContributor => "Container Registry Repository Contributor",
            Self::RepositoryCatalogLister => "Container Registry Repository Catalog Lister",
        }
    }

    /// Reads a name; case does not matter (S2-29, S4-16).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name))
    }

    /// What it allows on every repository that its assignment covers.
    pub fn actions(self) -> ActionSet {
        use Action::{ContentDelete, ContentRead, ContentWrite, MetadataRead, MetadataWrite};
        let actions: &[Action] = match self {
            Self::Owner | Self::Contributor | Self::RepositoryContributor => &Action::ALL,
            Self::Reader | Self::AcrPull | Self::RepositoryReader => &[ContentRead, MetadataRead],
            Self::AcrPush => &[ContentRead, ContentWrite, MetadataRead],
            Self::AcrDelete => &[ContentDelete],
            Self::AcrImageSigner | Self::RepositoryCatalogLister => &[],
            Self::RepositoryWriter => &[ContentRead, ContentWrite, MetadataRead, MetadataWrite],
        };
        actions.iter().copied().collect()
    }

    /// What it allows at the management API (B.5: Contributor is Owner without role assignment).
    const fn manages(self, action: ManagementAction) -> bool {
        use ManagementAction::{AssignRoles, Read, Write};
        match (self, action) {
            (Self::Owner, Read | Write | AssignRoles) | (Self::Contributor, Read | Write) | (Self::Reader, Read) => {
                true
            }
            (Self::Contributor | Self::Reader, AssignRoles)
            | (Self::Reader, Write)
            | (
                Self::AcrPull
                | Self::AcrPush
                | Self::AcrDelete
                | Self::AcrImageSigner
                | Self::RepositoryReader
                | Self::RepositoryWriter
                | Self::RepositoryContributor
                | Self::RepositoryCatalogLister,
                Read | Write | AssignRoles,
            ) => false,
        }
    }

    /// Whether it shows the names of all repositories; where it is confined to some of them, of those.
    pub const fn lists_catalog(self) -> bool {
        match self {
            Self::Owner
            | Self::Contributor
            | Self::Reader
            | Self::AcrPull
            | Self::AcrPush
            | Self::RepositoryCatalogLister => true,
            Self::AcrDelete
            | Self::AcrImageSigner
            | Self::RepositoryReader
            | Self::RepositoryWriter
            | Self::RepositoryContributor => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What somebody does at the management API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManagementAction {
    /// Looks at something, secrets excepted.
    Read,
    /// Makes, changes and deletes, and lets secrets be shown.
    Write,
    /// Gives and takes away rights.
    AssignRoles,
}

/// What an assignment gives.
#[derive(Debug, Clone)]
pub enum Grants {
    Role(Role),
    /// The rights of a scope map of the same registry; ACR has them for tokens only (lifts S3-7).
    ScopeMap(Arc<ScopeMap>),
}

impl Grants {
    fn actions(&self, repository: &RepositoryName) -> ActionSet {
        match self {
            Self::Role(role) => role.actions(),
            Self::ScopeMap(map) => map.actions(repository),
        }
    }

    /// Everything that it may give on any repository.
    fn widest(&self) -> ActionSet {
        match self {
            Self::Role(role) => role.actions(),
            Self::ScopeMap(map) => map.rules().fold(ActionSet::EMPTY, |set, rule| set.union(rule.actions)),
        }
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => write!(f, "role {role}"),
            Self::ScopeMap(map) => write!(f, "scope map {}", map.name),
        }
    }
}

/// One identity's role, or scope map, on one registry or on all.
#[derive(Debug, Clone)]
pub struct RoleAssignment {
    /// In the store its record's name; of a file it follows from what is assigned to whom.
    pub id: Guid,
    /// The identity's name.
    pub identity: Arc<str>,
    /// The identity's principal id.
    pub principal_id: Guid,
    pub grants: Grants,
    /// Whether it holds on all registries.
    pub everywhere: bool,
    /// The repositories to which it is confined; without this condition it covers all of them.
    pub repositories: Option<Arc<[RepositoryPattern]>>,
    /// From where it gives anything.
    pub networks: Option<Arc<NetworkCondition>>,
    /// The identity is a Kubernetes cluster: whatever its role, it pulls and does nothing else (S1-8, S1-9).
    pub pull_only: bool,
    pub origin: Origin,
}

impl RoleAssignment {
    /// What it allows on `repository`.
    pub fn actions(&self, repository: &RepositoryName) -> ActionSet {
        let covers = |patterns: &[RepositoryPattern]| patterns.iter().any(|pattern| pattern.covers(repository));
        if self.repositories.as_deref().is_none_or(covers) {
            self.capped(self.grants.actions(repository))
        } else {
            ActionSet::EMPTY
        }
    }

    /// Whether it lets the identity ask for a list of repositories. Which names are in it is [`may_list`]'s: of an
    /// assignment that is confined to some repositories those that it lets be read (D7).
    ///
    /// [`may_list`]: super::may_list
    pub fn lists_catalog(&self) -> bool {
        match &self.grants {
            Grants::Role(role) => {
                let some = self.repositories.as_deref();
                let shows_some = some.is_none_or(|some| !some.is_empty() && role.actions().shows());
                role.lists_catalog() && shows_some && !self.pull_only
            }
            Grants::ScopeMap(_) => false,
        }
    }

    /// Whether it shows the names of all repositories: never when it covers only some of them.
    pub fn lists_whole_catalog(&self) -> bool {
        self.lists_catalog() && self.repositories.is_none()
    }

    /// Whether it lets the identity do `action` at the management API, on what it is about. Only a whole role does: an
    /// assignment that is confined to repositories or networks, or a cluster's, is about data alone.
    pub fn manages(&self, action: ManagementAction) -> bool {
        match &self.grants {
            Grants::Role(role) => {
                let is_whole = self.repositories.is_none() && self.networks.is_none();
                role.manages(action) && is_whole && !self.pull_only
            }
            Grants::ScopeMap(_) => false,
        }
    }

    /// Whether it gives anything at all.
    pub fn grants_anything(&self) -> bool {
        self.lists_catalog() || !self.capped(self.grants.widest()).is_empty()
    }

    fn capped(&self, actions: ActionSet) -> ActionSet {
        if self.pull_only { actions.intersection(Action::ContentRead.into()) } else { actions }
    }
}

/// The sentence in the audit log.
impl fmt::Display for RoleAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = if self.everywhere { " on all registries" } else { "" };
        write!(f, "{} of identity {}{on} ({}", self.grants, self.identity, self.origin)?;
        // A place in a file says which one it is.
        if self.origin.line == 0 { write!(f, ", assignment {})", self.id) } else { f.write_str(")") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::scope_map::ScopeRule;

    fn assignment(grants: Grants, repositories: Option<&[&str]>) -> RoleAssignment {
        let pattern = |text: &&str| RepositoryPattern::parse(text).unwrap();
        RoleAssignment {
            id: Guid::parse("00000000-0000-0000-0000-000000000001").unwrap(),
            identity: "somebody".into(),
            principal_id: Guid::parse("00000000-0000-0000-0000-000000000002").unwrap(),
            grants,
            everywhere: false,
            repositories: repositories.map(|patterns| patterns.iter().map(pattern).collect()),
            networks: None,
            pull_only: false,
            origin: Origin::new("policy.yaml", 4, 7),
        }
    }

    fn repository(name: &str) -> RepositoryName {
        RepositoryName::parse(name).unwrap()
    }

    fn names(actions: ActionSet) -> String {
        let letters = actions.iter().map(|action| match action {
            Action::ContentRead => "pull",
            Action::ContentWrite => "push",
            Action::ContentDelete => "delete",
            Action::MetadataRead => "list",
            Action::MetadataWrite => "change",
        });
        letters.collect::<Vec<_>>().join(" ")
    }

    /// The table of B.5; S1-37 … S1-40. `AcrPush` does not delete, `AcrDelete` does not pull, `AcrImageSigner` has no rights
    /// on data.
    #[test]
    fn every_role_gives_what_acrs_table_says() {
        let table = [
            ("Owner", "pull push delete list change", true),
            ("Contributor", "pull push delete list change", true),
            ("Reader", "pull list", true),
            ("AcrPull", "pull list", true),
            ("AcrPush", "pull push list", true),
            ("AcrDelete", "delete", false),
            ("AcrImageSigner", "", false),
            ("Container Registry Repository Reader", "pull list", false),
            ("Container Registry Repository Writer", "pull push list change", false),
            ("Container Registry Repository Contributor", "pull push delete list change", false),
            ("Container Registry Repository Catalog Lister", "", true),
        ];
        assert_eq!(table.len(), Role::ALL.len());
        for ((name, actions, catalog), role) in table.into_iter().zip(Role::ALL) {
            assert_eq!((role.name(), &*names(role.actions()), role.lists_catalog()), (name, actions, catalog));
            let without_condition = assignment(Grants::Role(role), None);
            assert_eq!(names(without_condition.actions(&repository("any/thing"))), actions, "{name}");
            assert_eq!(without_condition.lists_catalog(), catalog, "{name}");
            assert_eq!(without_condition.grants_anything(), catalog || !actions.is_empty(), "{name}");
        }
    }

    /// S2-29, S4-16.
    #[test]
    fn the_case_of_a_name_does_not_matter() {
        for name in ["acrpull", "ACRPull", "AcrPull", "ACRPULL"] {
            assert_eq!(Role::parse(name), Some(Role::AcrPull), "{name}");
        }
        assert_eq!(Role::parse("container registry repository READER"), Some(Role::RepositoryReader));
        for name in ["", "Acr Pull", "AcrPul", "AcrPull ", "RepositoryReader", "Container  Registry Repository Reader"]
        {
            assert_eq!(Role::parse(name), None, "{name}");
        }
    }

    /// B.5, D7: a condition never matches beyond a segment, and leaves of the catalogue what it lets be read.
    #[test]
    fn a_condition_covers_whole_segments_and_leaves_that_much_of_the_catalogue() {
        let held = assignment(Grants::Role(Role::AcrPush), Some(&["backend/*", "library/base"]));
        for name in ["backend/api", "backend/team/api", "library/base"] {
            assert_eq!(names(held.actions(&repository(name))), "pull push list", "{name}");
        }
        for name in ["backend", "backend-infra", "backend-infra/api", "my/backend/api", "library/base/x", "library"] {
            assert!(held.actions(&repository(name)).is_empty(), "{name}");
        }
        assert!(held.lists_catalog() && !held.lists_whole_catalog());
        assert!(!assignment(Grants::Role(Role::Owner), Some(&["*"])).lists_whole_catalog());
        assert!(!assignment(Grants::Role(Role::Owner), Some(&[])).lists_catalog());
        for role in [Role::RepositoryReader, Role::RepositoryCatalogLister] {
            assert!(!assignment(Grants::Role(role), Some(&["backend/*"])).lists_catalog(), "{role}");
        }
    }

    /// S1-8, S1-9.
    #[test]
    fn a_cluster_pulls_whatever_its_role_is() {
        for role in Role::ALL {
            let held = RoleAssignment { pull_only: true, ..assignment(Grants::Role(role), None) };
            let pulls = role.actions().contains(Action::ContentRead);
            assert_eq!(names(held.actions(&repository("a/b"))), if pulls { "pull" } else { "" }, "{role}");
            assert!(!held.lists_catalog(), "{role}");
            assert_eq!(held.grants_anything(), pulls, "{role}");
        }
    }

    /// Lifts S3-7.
    #[test]
    fn a_scope_map_gives_what_it_gives_a_token_within_the_condition() {
        let rule = |pattern: &str, action: Action| ScopeRule {
            pattern: RepositoryPattern::parse(pattern).unwrap(),
            actions: action.into(),
            origin: Origin::built_in(),
        };
        let rules = vec![rule("*", Action::ContentRead), rule("team/*", Action::ContentWrite)];
        let map = Arc::new(ScopeMap::new("team-a", "", Origin::built_in(), rules));
        let everywhere = assignment(Grants::ScopeMap(Arc::clone(&map)), None);
        assert_eq!(names(everywhere.actions(&repository("team/app"))), "pull push");
        assert_eq!(names(everywhere.actions(&repository("other"))), "pull");
        assert!(!everywhere.lists_catalog());
        assert!(everywhere.grants_anything());
        let confined = assignment(Grants::ScopeMap(map), Some(&["team/app"]));
        assert_eq!(names(confined.actions(&repository("team/app"))), "pull push");
        assert_eq!(names(confined.actions(&repository("team/other"))), "");
        assert_eq!(confined.to_string(), "scope map team-a of identity somebody (policy.yaml:4:7)");
    }

    proptest! {
        /// Threat class E: neither a condition nor a kind of identity ever adds a right.
        #[test]
        fn what_confines_never_adds(
            role in proptest::sample::select(Role::ALL.to_vec()),
            condition in proptest::collection::vec("[ab]{1,2}(/[ab]{1,2}){0,2}(/\\*)?", 1..4),
            pull_only in any::<bool>(),
            name in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            let condition: Vec<&str> = condition.iter().map(String::as_str).collect();
            let held = RoleAssignment { pull_only, ..assignment(Grants::Role(role), Some(&condition)) };
            prop_assert!(role.actions().is_superset(held.actions(&repository(&name))));
            prop_assert!(role.lists_catalog() || !held.lists_catalog());
            prop_assert!(!held.lists_whole_catalog());
        }
    }
}
