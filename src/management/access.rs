//! Who may manage: whoever holds the owner's credential, may open the Unix socket, or has a role that manages.
//!
//! People and machines prove who they are as at a registry: by a token of an identity provider, service principals by client
//! id and secret. What they may do is asked of the policy in force at each request.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

use super::call::Call;
use super::endpoints::Target;
use super::error::ApiError;
use super::rights::Needed;
use super::{Connection, Parts, Settings};
use crate::auth::Failure;
use crate::auth::limits::Claim;
use crate::clock::Timestamp;
use crate::oci::authorization::{Credential, credential};
use crate::policy::identity::Assertion;
use crate::policy::manage::{ManagementAction, Manager};
use crate::policy::network::SourceAddress;
use crate::policy::{Denial, PolicySnapshot};
use crate::secret::Secret;

/// Who sent a request that may go on.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// Proved by the owner's credential.
    Owner,
    /// Admitted by the mode of the socket; the system's user, where the listener knows it.
    LocalUser(Option<u32>),
    /// Vouched for by a provider, or proved by a secret: may do what its roles say.
    Manager(Arc<Known>),
}

/// A person or a machine with roles.
#[derive(Debug)]
pub(super) struct Known {
    manager: Manager,
    /// The subject, or the client id.
    id: String,
    /// As the audit log has it: identities, and who vouches for them.
    shown: String,
}

/// Who sent a request with these headers over `connection`.
///
/// On TCP a credential is always asked for, loopback included: other users of the machine reach that too.
///
/// # Errors
/// 401 for whoever cannot be told, 429 after too many failed logins, 503 when it cannot be decided.
pub(super) async fn authenticate(
    parts: &Parts,
    connection: Connection,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    let peer = match connection {
        Connection::Unix { uid } => return Ok(Caller::LocalUser(uid)),
        Connection::Tcp(peer) => peer,
    };
    let claim = |user| Claim { source: SourceAddress::new(peer.ip()), registry: None, user, now: parts.clock.ticks() };
    // Several credentials are none: nobody can tell which one was meant.
    match credential(headers.get_all(AUTHORIZATION).iter().map(http::HeaderValue::as_bytes)) {
        Ok(Some(Credential::Bearer(token))) if parts.owner.is(&token) => Ok(Caller::Owner),
        Ok(Some(Credential::Bearer(token))) => by_provider_token(parts, &token, claim(None), now).await,
        Ok(Some(Credential::Basic { user, password })) => {
            by_secret(parts, &user, &password, claim(Some(&user)), now).await
        }
        Ok(None) | Err(_) => Err(unauthenticated(UNKNOWN)),
    }
}

async fn by_provider_token(
    parts: &Parts,
    token: &Secret,
    claim: Claim<'_>,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    let snapshot = parts.current.load().ok_or_else(ApiError::starting)?;
    let identities = snapshot.identities();
    let logins = parts.authenticator.logins();
    if identities.providers().is_empty() {
        logins.check(claim).map_err(|locked| failed(Failure::Locked(locked)))?;
        logins.failed(claim);
        return Err(unauthenticated(UNKNOWN));
    }
    let assertion = logins.guard(claim, parts.authenticator.assertion(identities, token, now)).await.map_err(failed)?;
    asserted(&snapshot, &assertion, claim.source)
}

/// Whom a provider vouches for.
fn asserted(snapshot: &PolicySnapshot, assertion: &Assertion, source: SourceAddress) -> Result<Caller, ApiError> {
    let manager = snapshot.manager_asserted(assertion).ok_or_else(|| {
        unauthenticated("the identity provider vouches for somebody who is none of the identities, or is disabled")
    })?;
    let (provider, id) = (&assertion.provider, assertion.subject.clone());
    let shown = format!("identity {} ({provider}: {id})", names(&manager));
    Ok(Caller::Manager(Arc::new(Known { manager: manager.at(source), id, shown })))
}

async fn by_secret(
    parts: &Parts,
    user: &str,
    password: &Secret,
    claim: Claim<'_>,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    let snapshot = parts.current.load().ok_or_else(ApiError::starting)?;
    let named = snapshot.manager_named(user);
    let identity = named.as_ref().map(|(_, identity)| identity.as_ref());
    let logins = parts.authenticator.logins();
    if let Some(identity) = identity.filter(|identity| identity.verified_by.is_some()) {
        let attempt = async {
            let said = parts.authenticator.assertion_by_secret(snapshot.identities(), identity, password, now).await?;
            located(snapshot.manager_asserted(&said), claim.source).map(|_| said)
        };
        return asserted(&snapshot, &logins.guard(claim, attempt).await.map_err(unverified)?, claim.source);
    }
    let manager = named.as_ref().map(|(manager, _)| manager.clone());
    let attempt = async {
        parts.authenticator.by_secret(snapshot.identities(), identity, user, password, now).await?;
        located(manager, claim.source)
    };
    let manager = logins.guard(claim, attempt).await.map_err(failed)?;
    let identity = identity.ok_or_else(|| unauthenticated(UNKNOWN))?;
    let id = identity.client_id.as_ref().map_or_else(String::new, ToString::to_string);
    let shown = format!("service principal {} ({id})", names(&manager));
    Ok(Caller::Manager(Arc::new(Known { manager, id, shown })))
}

/// The manager at this address. From where none of his identities counts, a right secret is told from a wrong one by nothing.
fn located(manager: Option<Manager>, source: SourceAddress) -> Result<Manager, Failure> {
    let manager = manager.map(|manager| manager.at(source)).filter(Manager::counts_somewhere);
    manager.ok_or(Failure::Denied(Denial::CredentialInvalid))
}

fn names(manager: &Manager) -> String {
    manager.identities.iter().map(|identity| &*identity.name).collect::<Vec<_>>().join(", ")
}

const UNKNOWN: &str = "send `Authorization: Bearer` with the management credential, which the server keeps in the file that \
                       `management.credentialFile` names, or with a token of an identity provider; or log in as a \
                       service principal, with client id and secret";

fn failed(failure: Failure) -> ApiError {
    match failure {
        Failure::Denied(Denial::CredentialInvalid) => unauthenticated("client id or secret are not right"),
        Failure::Denied(Denial::IdentityTokenInvalid(code)) => {
            unauthenticated(&format!("this is neither the management credential nor a provider's token ({code})"))
        }
        Failure::Denied(denial) => unauthenticated(&format!("the credential is not accepted ({})", denial.code())),
        Failure::Busy => ApiError::unavailable("too many passwords are being checked; try again later", None),
        Failure::Locked(locked) => {
            let message = format!("too many logins have failed; try again in {} s", locked.retry_after);
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
            ApiError { retry_after: u32::try_from(locked.retry_after).ok(), ..error }
        }
        Failure::Unavailable(reason) => {
            ApiError::unavailable("the identity provider does not answer; try again later", Some(reason))
        }
    }
}

/// As [`failed`], where the token is not the caller's but what the provider gave for its secret.
fn unverified(failure: Failure) -> ApiError {
    match failure {
        Failure::Denied(Denial::IdentityTokenInvalid(code)) => unauthenticated(&format!(
            "the identity provider that verifies the secret gave a token that is not accepted ({code})"
        )),
        other => failed(other),
    }
}

fn unauthenticated(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message)
}

impl Caller {
    /// Whether this caller may do `action` on `registry`, or, where none is named, on all.
    pub(super) fn may(&self, snapshot: &PolicySnapshot, registry: Option<&str>, action: ManagementAction) -> bool {
        match self {
            Self::Owner | Self::LocalUser(_) => true,
            Self::Manager(known) => snapshot.may_manage(&known.manager, registry, action).is_some(),
        }
    }

    /// Lets this caller do what `target` says, or does not.
    ///
    /// # Errors
    /// 403 in ARM's words, whether there is the registry or not.
    pub(super) fn authorize(&self, parts: &Parts, target: &Target) -> Result<(), ApiError> {
        let Self::Manager(known) = self else { return Ok(()) };
        let registry = Some(target.parameter("registryName")).filter(|name| !name.is_empty());
        let (registry, action) = match target.operation.needs() {
            Needed::Nothing => return Ok(()),
            // Without a name in the path nobody but an owner of everything gets here.
            Needed::Registry(action) | Needed::Scope(action) => (registry, action),
            Needed::Installation(action) => (None, action),
        };
        let snapshot = parts.current.load().ok_or_else(ApiError::starting)?;
        if self.may(snapshot.as_ref(), registry, action) {
            return Ok(());
        }
        Err(known.forbidden(&target.operation.action(), &scope(&parts.settings, registry)))
    }
}

impl Known {
    fn forbidden(&self, action: &str, scope: &str) -> ApiError {
        let Self { manager: Manager { name, .. }, id, .. } = self;
        let message = format!(
            "The client '{name}' with object id '{id}' does not have authorization to perform action '{action}' over \
             scope '{scope}' or the scope is invalid. An owner can assign a role."
        );
        ApiError::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message)
    }
}

/// The id of a scope: of a registry, or of all.
pub(super) fn scope(settings: &Settings, registry: Option<&str>) -> String {
    let Settings { subscription, .. } = settings;
    registry.map_or_else(
        || format!("/subscriptions/{subscription}"),
        |registry| super::models::Ids { settings, registry }.registry(),
    )
}

impl Call {
    /// Whether the caller may do `action` on `registry`, or, where none is named, on all.
    pub(super) fn may(&self, registry: Option<&str>, action: ManagementAction) -> Result<bool, ApiError> {
        Ok(self.caller.may(self.snapshot()?.as_ref(), registry, action))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::LocalUser(Some(uid)) => write!(f, "uid {uid}"),
            Self::LocalUser(None) => f.write_str("local user"),
            Self::Manager(known) => f.write_str(&known.shown),
        }
    }
}
