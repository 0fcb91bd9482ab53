//! Principals: who a caller turned out to be, and what they may do.

use std::sync::Arc;

use super::action::{Action, ActionSet};
use super::conditions::{NetworkCondition, OutOfNetworks};
use super::credential::{CredentialId, PrincipalId, Verifier};
use super::document::TokenStatus;
use super::identity::{Guid, Identity};
use super::network::Place;
use super::origin::Origin;
use super::properties::Repositories;
use super::role::{Grants, RoleAssignment};
use super::scope_map::ScopeMap;
use super::trusted::TrustedInstance;
use crate::clock::Timestamp;
use crate::oci::RepositoryName;

/// One password of a token, of a service principal or of the admin account.
#[derive(Debug, Clone)]
pub struct Password {
    /// `password1`, `password2`, a name of its own (D11) or, for the admin account, `password`. While a password that was
    /// replaced is still accepted, two have one name.
    pub name: Arc<str>,
    /// Changes with the secret, so that rotating it ends whatever it obtained.
    pub id: CredentialId,
    pub verifier: Verifier,
    /// Refused from this moment on.
    pub expiry: Option<Timestamp>,
}

impl Password {
    /// Whether the password still counts at `now` (S3-10, S3-56).
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.expiry.is_none_or(|expiry| now < expiry)
    }
}

/// ACR's token: a named non-human identity.
///
/// It knows its scope maps by their names only, so that a scope map may change under tens of thousands of tokens without
/// touching them.
#[derive(Debug, Clone)]
pub struct Token {
    pub name: Arc<str>,
    pub id: PrincipalId,
    pub status: TokenStatus,
    /// Its one scope map, as in ACR (S3-19), then further ones (D8).
    pub scope_maps: Box<[Arc<str>]>,
    pub passwords: Box<[Password]>,
    /// From where it is accepted.
    pub networks: Option<Arc<NetworkCondition>>,
    pub origin: Origin,
}

/// A token together with its scope maps as they are in one snapshot. A name that means none there is left out.
#[derive(Debug, Clone)]
pub struct ResolvedToken {
    pub token: Arc<Token>,
    pub scope_maps: Arc<[Arc<ScopeMap>]>,
}

/// The admin account: one user, named like the registry, with full rights on data (S1-42 … S1-53, E-16).
#[derive(Debug, Clone)]
pub struct Admin {
    /// The registry's name.
    pub name: Arc<str>,
    pub id: PrincipalId,
    pub enabled: bool,
    pub passwords: Vec<Password>,
    pub origin: Origin,
}

/// A caller who is one identity or several, with what is assigned to them on one registry. Only the policy makes one.
#[derive(Debug, Clone)]
pub struct ResolvedIdentity {
    pub id: PrincipalId,
    /// Of an asserted subject the provider's name for it, of a service principal its own.
    pub name: Arc<str>,
    /// The names of all that it is: a person, and the groups that he is in. At least one.
    pub identities: Arc<[Arc<str>]>,
    pub assignments: Arc<[Arc<RoleAssignment>]>,
    /// The trusted services that it is and that may do something without a role.
    permits: Vec<Arc<TrustedInstance>>,
    /// Of those of `identities` that have one.
    confined: Vec<Confined>,
    proof: Proof,
}

/// An identity, by its name, that counts from some networks only.
#[derive(Debug, Clone)]
pub(super) struct Confined {
    pub(super) identity: Arc<str>,
    principal_id: Guid,
    pub(super) networks: Arc<NetworkCondition>,
}

impl Confined {
    /// Of these identities those that are.
    fn all<'a>(identities: impl IntoIterator<Item = &'a Arc<Identity>>) -> Vec<Self> {
        let confined = |one: &Arc<Identity>| {
            let networks = Arc::clone(one.networks.as_ref()?);
            Some(Self { identity: Arc::clone(&one.name), principal_id: one.principal_id.clone(), networks })
        };
        identities.into_iter().filter_map(confined).collect()
    }
}

/// Whom a provider vouched for, in its own words: a name that a subject may choose does not tell two apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name of the provider.
    pub provider: Arc<str>,
    pub subject: Arc<str>,
}

/// How somebody proved to be an identity.
#[derive(Debug, Clone)]
enum Proof {
    /// By what a provider said of a subject, which the rules in force were asked about a moment ago.
    Assertion(Subject),
    /// By a secret of this service principal, which has to count still.
    Secret(Arc<Identity>),
}

impl ResolvedIdentity {
    pub(super) fn asserted(
        id: PrincipalId,
        name: Arc<str>,
        identities: &[&Arc<Identity>],
        assignments: Arc<[Arc<RoleAssignment>]>,
        subject: Subject,
    ) -> Self {
        let confined = Confined::all(identities.iter().copied());
        let identities = identities.iter().map(|one| Arc::clone(&one.name)).collect();
        let proof = Proof::Assertion(subject);
        Self { id, name, identities, assignments, permits: Vec::new(), confined, proof }
    }

    /// The same as these trusted services.
    pub(super) fn with_permits(self, permits: Vec<Arc<TrustedInstance>>) -> Self {
        Self { permits, ..self }
    }

    /// Whom a provider vouched for; `None` for a service principal by its secret.
    pub const fn subject(&self) -> Option<&Subject> {
        match &self.proof {
            Proof::Assertion(subject) => Some(subject),
            Proof::Secret(_) => None,
        }
    }

    pub(super) fn service_principal(identity: &Arc<Identity>, assignments: Arc<[Arc<RoleAssignment>]>) -> Self {
        let name = Arc::clone(&identity.name);
        let proof = Proof::Secret(Arc::clone(identity));
        let confined = Confined::all([identity]);
        let identities = [Arc::clone(&name)].into();
        Self { id: identity.id, identities, name, assignments, permits: Vec::new(), confined, proof }
    }

    /// Whether it may do anything at all on the registry.
    pub fn may_anything(&self) -> bool {
        self.assignments.iter().any(|assignment| assignment.grants_anything()) || !self.permits.is_empty()
    }

    /// Whether any of its identities that count at `place` may do anything there.
    pub(super) fn has_role_at(&self, place: &Place) -> bool {
        let counts = |held: &RoleAssignment| self.counts_as(&held.identity, place).is_ok();
        self.assignments.iter().any(|held| held.grants_anything() && counts(held))
            || self.permits.iter().any(|one| self.permitted_at(one, place).is_ok())
    }

    /// Whether it counts as the identity of this name at `place`.
    pub(super) fn counts_as(&self, identity: &str, place: &Place) -> Result<(), OutOfNetworks> {
        self.networks_of(identity).map_or(Ok(()), |networks| networks.check(place))
    }

    /// Whether its identity that is trusted as `instance` counts at `place`.
    fn permitted_at(&self, instance: &TrustedInstance, place: &Place) -> Result<(), OutOfNetworks> {
        let confined = self.confined.iter().find(|one| one.principal_id == instance.principal_id);
        confined.map_or(Ok(()), |one| one.networks.check(place))
    }

    /// The condition of the identity of this name.
    fn networks_of(&self, identity: &str) -> Option<&NetworkCondition> {
        self.confined.iter().find(|one| *one.identity == *identity).map(|one| &*one.networks)
    }

    /// Whether a provider vouched for it, so that it has no password.
    pub(super) const fn is_asserted(&self) -> bool {
        matches!(self.proof, Proof::Assertion(_))
    }
}

/// Somebody who may be allowed something.
#[derive(Debug, Clone)]
pub enum Principal {
    /// Nobody in particular, where anonymous pull is on: from these repositories, or from all.
    Anonymous(Option<Repositories>),
    Admin(Arc<Admin>),
    Token(ResolvedToken),
    /// A person or a machine with roles, vouched for by an identity provider; or a service principal.
    Identity(ResolvedIdentity),
}

/// Why a principal, though known, is not accepted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAccepted {
    /// The admin account is switched off (S1-43).
    AdminDisabled,
    /// The token's status is `disabled` (S3-93).
    TokenDisabled,
    /// The service principal's status is `disabled`.
    IdentityDisabled,
    /// The password is gone: deleted or rotated.
    PasswordReplaced,
    /// The password's expiry has passed (S3-10).
    PasswordExpired,
}

impl Principal {
    /// The kind, for the audit log.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous(_) => "anonymous",
            Self::Admin(_) => "admin",
            Self::Token(_) => "token",
            Self::Identity(held) if held.is_asserted() => "identity",
            Self::Identity(_) => "servicePrincipal",
        }
    }

    /// The user name; of an identity how it is called; empty for anonymous (wire contract 1.2).
    pub fn name(&self) -> &str {
        match self {
            Self::Anonymous(_) => "",
            Self::Admin(admin) => &admin.name,
            Self::Token(held) => &held.token.name,
            Self::Identity(held) => &held.name,
        }
    }

    /// The immutable id; `None` for anonymous.
    pub fn id(&self) -> Option<PrincipalId> {
        match self {
            Self::Anonymous(_) => None,
            Self::Admin(admin) => Some(admin.id),
            Self::Token(held) => Some(held.token.id),
            Self::Identity(held) => Some(held.id),
        }
    }

    /// The service principal that it is, if its secret is verified at a provider: nothing is known here by which it could
    /// prove itself.
    pub fn verified_elsewhere(&self) -> Option<&Arc<Identity>> {
        match self {
            Self::Identity(ResolvedIdentity { proof: Proof::Secret(identity), .. }) => {
                Some(identity).filter(|identity| identity.verified_by.is_some())
            }
            Self::Anonymous(_) | Self::Admin(_) | Self::Token(_) | Self::Identity(_) => None,
        }
    }

    /// The passwords by which this principal may prove itself.
    pub fn passwords(&self) -> &[Password] {
        match self {
            Self::Anonymous(_) | Self::Identity(ResolvedIdentity { proof: Proof::Assertion(_), .. }) => &[],
            Self::Admin(admin) => &admin.passwords,
            Self::Token(held) => &held.token.passwords,
            Self::Identity(ResolvedIdentity { proof: Proof::Secret(identity), .. }) => &identity.secrets,
        }
    }

    /// Whether the principal is accepted now by its password `id`: enabled, and the password still there and valid.
    pub fn accepts(&self, id: CredentialId, now: Timestamp) -> Result<&Password, NotAccepted> {
        match self {
            Self::Admin(admin) if !admin.enabled => return Err(NotAccepted::AdminDisabled),
            Self::Token(held) if held.token.status == TokenStatus::Disabled => return Err(NotAccepted::TokenDisabled),
            Self::Identity(ResolvedIdentity { proof: Proof::Secret(identity), .. }) if !identity.is_enabled() => {
                return Err(NotAccepted::IdentityDisabled);
            }
            Self::Anonymous(_) | Self::Admin(_) | Self::Token(_) | Self::Identity(_) => {}
        }
        let password = self.passwords().iter().find(|password| password.id == id);
        let password = password.ok_or(NotAccepted::PasswordReplaced)?;
        if password.is_valid_at(now) { Ok(password) } else { Err(NotAccepted::PasswordExpired) }
    }

    /// The network conditions of what it is, each with its name.
    pub(super) fn conditions(&self) -> impl Iterator<Item = (&Arc<str>, &NetworkCondition)> {
        let (of_token, confined): (_, &[_]) = match self {
            Self::Token(held) => (held.token.networks.as_deref().map(|networks| (&held.token.name, networks)), &[]),
            Self::Identity(held) => (None, &held.confined),
            Self::Anonymous(_) | Self::Admin(_) => (None, &[]),
        };
        of_token.into_iter().chain(confined.iter().map(|one| (&one.identity, &*one.networks)))
    }

    /// Whether it counts at `place`. Of several identities those that do not are as if it were not one of them.
    ///
    /// # Errors
    /// Why not; of several identities the first one's reason.
    pub(super) fn counts_at(&self, place: &Place) -> Result<(), OutOfNetworks> {
        let is_free = matches!(self, Self::Identity(held) if held.confined.len() < held.identities.len());
        let mut first = Ok(());
        for (_, networks) in self.conditions().filter(|_| !is_free) {
            match networks.check(place) {
                Ok(()) => return Ok(()),
                Err(out) => first = first.and(Err(out)),
            }
        }
        first
    }

    /// Whether it has anything by `right` at `place`: the right's own conditions, and that of the identity that has it.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn has_at(&self, right: Right<'_>, place: &Place) -> Result<(), OutOfNetworks> {
        match (self, right) {
            (Self::Identity(held), Right::Role(assignment)) => held.counts_as(&assignment.identity, place)?,
            (Self::Identity(held), Right::Trusted(instance)) => held.permitted_at(instance, place)?,
            _ => {}
        }
        right.conditions().try_for_each(|networks| networks.check(place))
    }

    /// Everything from which the principal has what it may do, in the order in which it is asked.
    pub fn rights(&self) -> impl Iterator<Item = Right<'_>> {
        type Rights<'a> =
            (Option<Right<'a>>, &'a [Arc<ScopeMap>], &'a [Arc<RoleAssignment>], &'a [Arc<TrustedInstance>]);
        let (whole, maps, roles, trusted): Rights<'_> = match self {
            Self::Anonymous(confined) => (Some(Right::Anonymous(confined.as_ref())), &[], &[], &[]),
            Self::Admin(admin) => (Some(Right::Admin(admin)), &[], &[], &[]),
            Self::Token(held) => (None, &held.scope_maps, &[], &[]),
            Self::Identity(held) => (None, &[], &held.assignments, &held.permits),
        };
        let named = maps.iter().map(Right::ScopeMap).chain(roles.iter().map(Right::Role));
        whole.into_iter().chain(named).chain(trusted.iter().map(Right::Trusted))
    }

    /// What the principal may do with `repository`: the union of its rights (S3-42, D8).
    pub fn actions(&self, repository: &RepositoryName) -> ActionSet {
        self.rights().fold(ActionSet::EMPTY, |set, right| set.union(right.actions(repository)))
    }

    /// Whether the principal may ask for a list of repositories.
    pub fn may_list_catalog(&self) -> bool {
        self.rights().any(Right::lists_catalog)
    }
}

/// One thing from which a principal has what it may do.
#[derive(Debug, Clone, Copy)]
pub enum Right<'a> {
    /// That anybody may pull: from these repositories, or from all.
    Anonymous(Option<&'a Repositories>),
    Admin(&'a Admin),
    ScopeMap(&'a Arc<ScopeMap>),
    Role(&'a Arc<RoleAssignment>),
    /// A service that needs no role.
    Trusted(&'a Arc<TrustedInstance>),
}

impl<'a> Right<'a> {
    /// The conditions that all must hold for it to give anything.
    fn conditions(self) -> impl Iterator<Item = &'a NetworkCondition> {
        let (own, of_map) = match self {
            Self::Anonymous(_) | Self::Admin(_) | Self::Trusted(_) => (None, None),
            Self::ScopeMap(map) => (None, map.networks.as_deref()),
            Self::Role(held) => match &held.grants {
                Grants::Role(_) => (held.networks.as_deref(), None),
                Grants::ScopeMap(map) => (held.networks.as_deref(), map.networks.as_deref()),
            },
        };
        own.into_iter().chain(of_map)
    }

    /// What it allows on `repository`.
    pub fn actions(self, repository: &RepositoryName) -> ActionSet {
        match self {
            Self::Anonymous(Some(some)) if !some.iter().any(|pattern| pattern.covers(repository)) => ActionSet::EMPTY,
            Self::Anonymous(_) => ActionSet::from(Action::ContentRead).with(Action::MetadataRead),
            Self::Admin(_) => ActionSet::ALL,
            Self::ScopeMap(map) => map.actions(repository),
            Self::Role(assignment) => assignment.actions(repository),
            Self::Trusted(instance) => instance.service.permit,
        }
    }

    /// Whether it lets its principal ask for a list of repositories: never a scope map, whatever is in it (S3-17).
    pub fn lists_catalog(self) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Role(assignment) => assignment.lists_catalog(),
            Self::Anonymous(_) | Self::ScopeMap(_) | Self::Trusted(_) => false,
        }
    }

    /// Whether it shows the names of all repositories.
    pub fn lists_whole_catalog(self) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Role(assignment) => assignment.lists_whole_catalog(),
            Self::Anonymous(_) | Self::ScopeMap(_) | Self::Trusted(_) => false,
        }
    }
}
