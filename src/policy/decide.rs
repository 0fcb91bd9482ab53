//! The decision: may this caller do this operation now? One function, one answer with its reason.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::action::{Action, ActionSet};
use super::conditions::OutOfNetworks;
use super::credential::{CredentialId, PrincipalId};
use super::explain::{Notes, Step, Unnoted};
use super::network::{Admitted, Place};
use super::operation::{Need, Operation};
use super::origin::Origin;
use super::principal::{NotAccepted, Principal, Right};
use super::registry::Registry;
use super::role::RoleAssignment;
use super::scope_map::ScopeMap;
use super::trusted::TrustedInstance;
use crate::clock::Timestamp;
use crate::oci::{RepositoryName, Scope};

/// A principal together with how it proved itself and how much of its rights it brought along.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    /// The password that was presented, or by which the access token was obtained; `None` for anonymous, and for those
    /// whom an identity provider vouches for.
    pub credential: Option<CredentialId>,
    pub granted: Granted,
}

/// How much of the principal's rights a credential carries.
#[derive(Debug, Clone)]
pub enum Granted {
    /// A password: all of them.
    Everything,
    /// An access token: those it was issued for, and never more than the principal has now (E-8).
    Access(Arc<AccessList>),
}

/// What an access token was issued for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessList {
    pub catalog: bool,
    pub repositories: Vec<(RepositoryName, ActionSet)>,
}

impl Caller {
    /// Nobody in particular, at `registry`; [`authorize`] accepts it where anonymous pull is on.
    pub fn anonymous(registry: &Registry) -> Self {
        Self { principal: registry.anonymous(), credential: None, granted: Granted::Everything }
    }
}

impl AccessList {
    /// Reads the `access` claim: what is not of our grammar grants nothing.
    pub fn from_scopes(scopes: &[Scope]) -> Self {
        let mut list = Self::default();
        for scope in scopes {
            match (scope.kind.as_str(), RepositoryName::parse(&scope.name)) {
                ("repository", Ok(name)) => {
                    let actions = ActionSet::from_scope_names(scope.actions.iter().map(String::as_str));
                    list.repositories.push((name, actions));
                }
                ("registry", _) if scope.name == "catalog" => {
                    list.catalog |= scope.actions.iter().any(|action| action == "*");
                }
                _ => {}
            }
        }
        list
    }

    /// What it gives on `repository`.
    pub fn actions(&self, repository: &RepositoryName) -> ActionSet {
        let of_repository = self.repositories.iter().filter(|(name, _)| name == repository);
        of_repository.fold(ActionSet::EMPTY, |set, (_, actions)| set.union(*actions))
    }
}

/// Proof that a request may go on. Only [`authorize`] makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    principal: Option<PrincipalId>,
    rule: PermitRule,
}

impl Permit {
    /// Whom the permit is for; `None` for anonymous.
    pub const fn principal(&self) -> Option<PrincipalId> {
        self.principal
    }

    /// The rule that allowed it.
    pub const fn rule(&self) -> &PermitRule {
        &self.rule
    }
}

/// What allowed a request. `Display` is the sentence in the audit log.
#[derive(Debug, Clone)]
pub enum PermitRule {
    LoggedIn,
    Admin(Origin),
    AnonymousPull(Origin),
    ScopeMap {
        map: Arc<ScopeMap>,
        repository: RepositoryName,
        usable: ActionSet,
    },
    Role(Arc<RoleAssignment>),
    /// The permit of a trusted service.
    Trusted(Arc<TrustedInstance>),
}

impl fmt::Display for PermitRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedIn => f.write_str("any accepted credential may ask for the API version"),
            Self::Admin(origin) => write!(f, "the admin account may do everything ({origin})"),
            Self::AnonymousPull(origin) => write!(f, "anonymous pull is enabled ({origin})"),
            Self::ScopeMap { map, repository, usable } => match map.deciding_rule(repository, *usable) {
                // By hand, here and in the origin: nearly every record has it, and `write!` takes three times as long.
                Some(rule) => {
                    for text in ["scope map ", &*map.name, " ("] {
                        f.write_str(text)?;
                    }
                    rule.origin.fmt(f)?;
                    f.write_str(")")
                }
                None => write!(f, "scope map {}", map.name),
            },
            Self::Role(assignment) => assignment.fmt(f),
            Self::Trusted(instance) => instance.fmt(f),
        }
    }
}

/// A correct answer that says no. `Display` is the sentence an operator reads; clients get fixed texts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Denial {
    #[error("no credential was presented")]
    CredentialRequired,
    #[error("the credential is malformed")]
    CredentialMalformed,
    #[error("no principal has this user name and password")]
    CredentialInvalid,
    #[error("the access token is not valid here")]
    AccessTokenInvalid,
    #[error("the access token has expired")]
    AccessTokenExpired,
    #[error("the refresh token is not valid here, or has expired")]
    RefreshTokenInvalid,
    /// With the reason's code.
    #[error("the token of the identity provider is not accepted: {0}")]
    IdentityTokenInvalid(&'static str),
    #[error("no identity is declared for the subject that the identity provider names")]
    IdentityUnknown,
    #[error("the principal that this access or refresh token was issued to does not exist any more")]
    PrincipalGone,
    #[error("the principal is not accepted: {}", not_accepted(*.0))]
    NotAccepted(NotAccepted),
    /// Whatever the network rules say.
    #[error("the principal {0}")]
    NetworkNotAllowed(Box<OutOfNetworks>),
    #[error("no role on this registry is assigned to the identity")]
    NoRole,
    #[error("anonymous pull is not enabled")]
    AnonymousNotAllowed,
    #[error("the principal may not {} on repository {repository}", names(*.wanted))]
    ActionNotGranted { repository: RepositoryName, wanted: ActionSet },
    #[error("the access token was not issued for {} on repository {repository}", names(*.wanted))]
    ScopeNotGranted { repository: RepositoryName, wanted: ActionSet },
    #[error("the catalog is not available to this principal")]
    CatalogNotGranted,
}

impl Denial {
    /// A short stable word for metrics and the audit log.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CredentialRequired => "credential_required",
            Self::CredentialMalformed => "credential_malformed",
            Self::CredentialInvalid => "credential_invalid",
            Self::AccessTokenInvalid => "access_token_invalid",
            Self::AccessTokenExpired => "access_token_expired",
            Self::RefreshTokenInvalid => "refresh_token_invalid",
            Self::IdentityTokenInvalid(_) => "identity_token_invalid",
            Self::IdentityUnknown => "identity_unknown",
            Self::PrincipalGone => "principal_gone",
            Self::NotAccepted(NotAccepted::AdminDisabled) => "admin_disabled",
            Self::NotAccepted(NotAccepted::TokenDisabled) => "token_disabled",
            Self::NotAccepted(NotAccepted::IdentityDisabled) => "identity_disabled",
            Self::NotAccepted(NotAccepted::PasswordReplaced) => "password_replaced",
            Self::NotAccepted(NotAccepted::PasswordExpired) => "password_expired",
            Self::NetworkNotAllowed(_) => "network_not_allowed",
            Self::NoRole => "no_role",
            Self::AnonymousNotAllowed => "anonymous_not_allowed",
            Self::ActionNotGranted { .. } => "action_not_granted",
            Self::ScopeNotGranted { .. } => "scope_not_granted",
            Self::CatalogNotGranted => "catalog_not_granted",
        }
    }
}

const fn not_accepted(reason: NotAccepted) -> &'static str {
    match reason {
        NotAccepted::AdminDisabled => "the admin account is disabled",
        NotAccepted::TokenDisabled => "the token is disabled",
        NotAccepted::IdentityDisabled => "the service principal is disabled",
        NotAccepted::PasswordReplaced => "the password was replaced or deleted",
        NotAccepted::PasswordExpired => "the password has expired",
    }
}

fn names(actions: ActionSet) -> String {
    actions.iter().map(Action::name).collect::<Vec<_>>().join(" or ")
}

/// Decides whether `caller`, whom the network rules admitted, may do `operation` in `registry` at `now`.
///
/// The principal is judged as it is in this snapshot, whatever its access token says: what was taken away since the
/// token was issued is refused here (S3-71, S3-93, S3-95, E-8).
pub fn authorize(
    registry: &Registry,
    caller: &Caller,
    operation: &Operation,
    admitted: &Admitted,
    now: Timestamp,
) -> Result<Permit, Denial> {
    decide(registry, caller, operation, (admitted.place(), now), &mut Unnoted)
}

/// The same, with everything that is considered left in `notes`.
pub(super) fn decide(
    registry: &Registry,
    caller: &Caller,
    operation: &Operation,
    (place, now): (&Place, Timestamp),
    notes: &mut impl Notes,
) -> Result<Permit, Denial> {
    notes.note(|| Step::conditions(registry, &caller.principal, place));
    let accepted = still_accepted(registry, caller, now).and_then(|()| located(&caller.principal, place));
    notes.note(|| Step::accepted(registry, &caller.principal, &accepted));
    accepted?;
    let mut rule = PermitRule::LoggedIn;
    for need in operation.needs.iter().rev() {
        rule = satisfy(registry, caller, need, place, notes)?;
    }
    Ok(Permit { principal: caller.principal.id(), rule })
}

fn still_accepted(registry: &Registry, caller: &Caller, now: Timestamp) -> Result<(), Denial> {
    match &caller.principal {
        Principal::Anonymous(_) if registry.anonymous_pull() => Ok(()),
        Principal::Anonymous(_) => Err(Denial::AnonymousNotAllowed),
        known @ (Principal::Admin(_) | Principal::Token(_) | Principal::Identity(_)) => {
            accepted(known, caller.credential, now)
        }
    }
}

/// Whether `principal`, who is not anonymous, may log in at `now` by the password `credential`; `None` is accepted only
/// of those whom an identity provider vouches for, and only as [`Registry::asserted`] has just made them.
///
/// # Errors
/// Also for an identity that has no role on the registry (S2-32): it has nothing to log in for.
pub fn accepted(principal: &Principal, credential: Option<CredentialId>, now: Timestamp) -> Result<(), Denial> {
    match (principal, credential) {
        (Principal::Identity(held), None) if held.is_asserted() => {}
        (_, Some(credential)) => {
            principal.accepts(credential, now).map_err(Denial::NotAccepted)?;
        }
        (_, None) => return Err(Denial::NotAccepted(NotAccepted::PasswordReplaced)),
    }
    match principal {
        Principal::Identity(held) if !held.may_anything() => Err(Denial::NoRole),
        Principal::Anonymous(_) | Principal::Admin(_) | Principal::Token(_) | Principal::Identity(_) => Ok(()),
    }
}

/// Whether `principal`, who is accepted otherwise, may log in at `place`.
///
/// # Errors
/// When his network conditions say no, or what he has a role by does not count there.
pub fn located(principal: &Principal, place: &Place) -> Result<(), Denial> {
    principal.counts_at(place).map_err(|out| Denial::NetworkNotAllowed(Box::new(out)))?;
    match principal {
        Principal::Identity(held) if !held.has_role_at(place) => Err(Denial::NoRole),
        Principal::Anonymous(_) | Principal::Admin(_) | Principal::Token(_) | Principal::Identity(_) => Ok(()),
    }
}

fn satisfy(
    registry: &Registry,
    caller: &Caller,
    need: &Need,
    place: &Place,
    notes: &mut impl Notes,
) -> Result<PermitRule, Denial> {
    match need {
        Need::LoggedIn => Ok(PermitRule::LoggedIn),
        Need::Catalog => {
            let granted = match &caller.granted {
                Granted::Everything => true,
                Granted::Access(list) => {
                    notes.note(|| Step::issued_for_catalog(list.catalog));
                    list.catalog
                }
            };
            for right in caller.principal.rights() {
                if let Err(out) = caller.principal.has_at(right, place) {
                    notes.note(|| Step::out_of_networks(registry, right, &out));
                    continue;
                }
                let lists = right.lists_catalog();
                notes.note(|| Step::catalog(registry, right, lists));
                if granted && lists {
                    return Ok(rule(registry, right, None));
                }
            }
            Err(Denial::CatalogNotGranted)
        }
        Need::Repository { name, any_of, .. } => {
            let (mut held, mut first) = (ActionSet::EMPTY, None);
            for right in caller.principal.rights() {
                if let Err(out) = caller.principal.has_at(right, place) {
                    notes.note(|| Step::out_of_networks(registry, right, &out));
                    continue;
                }
                let gives = right.actions(name);
                notes.note(|| Step::repository(registry, right, name, gives, *any_of));
                if gives.intersects(*any_of) {
                    held = held.union(gives.intersection(*any_of));
                    first.get_or_insert((right, gives));
                }
            }
            if held.is_empty() {
                return Err(Denial::ActionNotGranted { repository: name.clone(), wanted: *any_of });
            }
            let usable = match &caller.granted {
                Granted::Everything => held,
                Granted::Access(list) => {
                    let issued = list.actions(name);
                    notes.note(|| Step::issued(name, issued, *any_of));
                    held.intersection(issued)
                }
            };
            let gives = |right: &Right<'_>| {
                right.actions(name).intersects(usable) && caller.principal.has_at(*right, place).is_ok()
            };
            // Nearly always the first that gives any of them: then nothing is looked up again.
            let first = first.filter(|(_, gives)| gives.intersects(usable)).map(|(right, _)| right);
            match first.or_else(|| caller.principal.rights().find(gives)) {
                Some(right) => Ok(rule(registry, right, Some((name, usable)))),
                None => Err(Denial::ScopeNotGranted { repository: name.clone(), wanted: *any_of }),
            }
        }
    }
}

/// The rule that is in force by `right`, which gives the `usable` actions or the catalogue.
fn rule(registry: &Registry, right: Right<'_>, on: Option<(&RepositoryName, ActionSet)>) -> PermitRule {
    match (right, on) {
        (Right::ScopeMap(map), Some((repository, usable))) => {
            PermitRule::ScopeMap { map: Arc::clone(map), repository: repository.clone(), usable }
        }
        // No scope map lists the catalogue.
        (Right::ScopeMap(_), None) => PermitRule::LoggedIn,
        (Right::Role(assignment), _) => PermitRule::Role(Arc::clone(assignment)),
        (Right::Trusted(instance), _) => PermitRule::Trusted(Arc::clone(instance)),
        (Right::Admin(admin), _) => PermitRule::Admin(admin.origin.clone()),
        (Right::Anonymous(_), _) => PermitRule::AnonymousPull(anonymous_origin(registry)),
    }
}

/// What says that anybody may pull.
pub(super) fn anonymous_origin(registry: &Registry) -> Origin {
    let set = registry.properties();
    match set.anonymous_pull_repositories.value {
        Some(_) => set.anonymous_pull_repositories.origin(),
        None => set.anonymous_pull_enabled.origin(),
    }
}

/// Whether the name of `repository` is for `principal`, who may ask for a list of repositories, where he comes from: he may
/// read something in it, or has a right that shows all names (D7).
pub fn may_list(principal: &Principal, repository: &RepositoryName, admitted: &Admitted) -> bool {
    let shows = |right: Right<'_>| right.lists_whole_catalog() || right.actions(repository).shows();
    principal.rights().any(|right| shows(right) && principal.has_at(right, admitted.place()).is_ok())
}

/// What of the scopes that a client asks for the principal may have where he comes from: the intersection, never an error
/// (wire 1.2).
///
/// `*` on a repository stands for all that the principal may do there. Azure's client asks for `delete` to take a tag away,
/// for which `metadata_write` is enough: who has only that gets it (E-7).
pub fn grant(principal: &Principal, asked: &[Scope], admitted: &Admitted) -> Vec<Scope> {
    asked.iter().filter_map(|scope| grant_one(principal, scope, admitted.place())).collect()
}

fn grant_one(principal: &Principal, asked: &Scope, place: &Place) -> Option<Scope> {
    let mut rights = principal.rights().filter(|right| principal.has_at(*right, place).is_ok());
    let asks = |action: &str| asked.actions.iter().any(|asked| asked == action);
    let actions: Vec<String> = match asked.kind.as_str() {
        "repository" => {
            let name = RepositoryName::parse(&asked.name).ok()?;
            let held = rights.fold(ActionSet::EMPTY, |set, right| set.union(right.actions(&name)));
            let every = asks("*");
            let untags = asks(Action::ContentDelete.scope_name()) && !held.contains(Action::ContentDelete);
            let given =
                |action: &Action| every || asks(action.scope_name()) || (untags && *action == Action::MetadataWrite);
            held.iter().filter(given).map(|action| action.scope_name().to_owned()).collect()
        }
        "registry" if asked.name == "catalog" && asks("*") && rights.any(Right::lists_catalog) => vec!["*".to_owned()],
        _ => Vec::new(),
    };
    (!actions.is_empty()).then(|| Scope::new(&asked.kind, &asked.name, actions))
}
