//! Principals: who a caller turned out to be, and what they may do.

use std::sync::Arc;

use super::action::{Action, ActionSet};
use super::credential::{CredentialId, PrincipalId, Verifier};
use super::document::TokenStatus;
use super::origin::Origin;
use super::scope_map::ScopeMap;
use crate::clock::Timestamp;
use crate::oci::RepositoryName;

/// One password of a token or of the admin account.
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
    pub origin: Origin,
}

/// A token together with its scope maps as they are in one snapshot. A name that means none there is left out.
#[derive(Debug, Clone)]
pub struct ResolvedToken {
    pub token: Arc<Token>,
    pub scope_maps: Arc<[Arc<ScopeMap>]>,
}

impl ResolvedToken {
    /// The union of what the scope maps allow (S3-42, D8).
    pub fn actions(&self, repository: &RepositoryName) -> ActionSet {
        self.scope_maps.iter().fold(ActionSet::EMPTY, |set, map| set.union(map.actions(repository)))
    }
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

/// Somebody who may be allowed something.
#[derive(Debug, Clone)]
pub enum Principal {
    /// Nobody in particular, where anonymous pull is on.
    Anonymous,
    Admin(Arc<Admin>),
    Token(ResolvedToken),
}

/// Why a principal, though known, is not accepted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAccepted {
    /// The admin account is switched off (S1-43).
    AdminDisabled,
    /// The token's status is `disabled` (S3-93).
    TokenDisabled,
    /// The password is gone: deleted or rotated.
    PasswordReplaced,
    /// The password's expiry has passed (S3-10).
    PasswordExpired,
}

impl Principal {
    /// The kind, for the audit log.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Admin(_) => "admin",
            Self::Token(_) => "token",
        }
    }

    /// The user name; empty for anonymous (wire contract 1.2).
    pub fn name(&self) -> &str {
        match self {
            Self::Anonymous => "",
            Self::Admin(admin) => &admin.name,
            Self::Token(held) => &held.token.name,
        }
    }

    /// The immutable id; `None` for anonymous.
    pub fn id(&self) -> Option<PrincipalId> {
        match self {
            Self::Anonymous => None,
            Self::Admin(admin) => Some(admin.id),
            Self::Token(held) => Some(held.token.id),
        }
    }

    /// The passwords by which this principal may prove itself.
    pub fn passwords(&self) -> &[Password] {
        match self {
            Self::Anonymous => &[],
            Self::Admin(admin) => &admin.passwords,
            Self::Token(held) => &held.token.passwords,
        }
    }

    /// Whether the principal is accepted now by its password `id`: enabled, and the password still there and valid.
    pub fn accepts(&self, id: CredentialId, now: Timestamp) -> Result<&Password, NotAccepted> {
        match self {
            Self::Admin(admin) if !admin.enabled => return Err(NotAccepted::AdminDisabled),
            Self::Token(held) if held.token.status == TokenStatus::Disabled => return Err(NotAccepted::TokenDisabled),
            Self::Anonymous | Self::Admin(_) | Self::Token(_) => {}
        }
        let password = self.passwords().iter().find(|password| password.id == id);
        let password = password.ok_or(NotAccepted::PasswordReplaced)?;
        if password.is_valid_at(now) { Ok(password) } else { Err(NotAccepted::PasswordExpired) }
    }

    /// What the principal may do with `repository`.
    pub fn actions(&self, repository: &RepositoryName) -> ActionSet {
        match self {
            Self::Anonymous => ActionSet::from(Action::ContentRead).with(Action::MetadataRead),
            Self::Admin(_) => ActionSet::ALL,
            Self::Token(held) => held.actions(repository),
        }
    }

    /// Whether the principal may list all repositories: never a token, whatever its scope map says (S3-17).
    pub const fn may_list_catalog(&self) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Anonymous | Self::Token(_) => false,
        }
    }
}
