//! From a credential to a caller: what was presented, joined with what the policy knows.

use std::sync::Arc;

use super::CacheOutcome;
use super::access_token::{Access, AccessClaims, AccessTokens, scopes};
use super::asserted::{SignIn, subject_id};
use super::keys::Keyring;
use super::limits::{Logins, Rates};
use super::password::{Attempt, PasswordLimits, Passwords};
use super::provider::{PresentedSecret, ProviderFailure, Providers, Rejection, SecretFailure};
use super::refresh_token::{RefreshClaims, RefreshTokens};
use super::signed_token::{MintError, Minted, TokenRejection};
use super::upstream_token::{UpstreamClaims, UpstreamTokens};
use crate::clock::Timestamp;
use crate::oci::Scope;
use crate::policy::credential::{CredentialId, PrincipalId, Verifier};
use crate::policy::identity::{Assertion, Identity};
use crate::policy::limits::{Locked, LoginLimits};
use crate::policy::principal::{NotAccepted, Password};
use crate::policy::upstream_credential::MintedAccess;
use crate::policy::{self, Caller, Denial, Granted, Identities, Principal, Registry};
use crate::secret::{HashKey, Secret};
use crate::telemetry::Cache;
use crate::telemetry::metrics::Metrics;

/// Why there is no caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A decision.
    Denied(Denial),
    /// Not decided: too many passwords are being checked.
    Busy,
    /// Not decided: the identity provider does not answer, for this reason.
    Unavailable(String),
    /// Not even tried: too many logins have failed.
    Locked(Locked),
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<ProviderFailure> for Failure {
    fn from(failure: ProviderFailure) -> Self {
        match failure {
            ProviderFailure::Rejected(rejection) => Denial::IdentityTokenInvalid(rejection.code()).into(),
            unavailable @ ProviderFailure::Unavailable { .. } => Self::Unavailable(unavailable.to_string()),
        }
    }
}

impl From<SecretFailure> for Failure {
    fn from(failure: SecretFailure) -> Self {
        match failure {
            SecretFailure::Wrong => Denial::CredentialInvalid.into(),
            SecretFailure::Busy => Self::Busy,
            SecretFailure::Provider(failure) => failure.into(),
        }
    }
}

/// An access token that was presented as a password, and what it was issued for.
#[derive(Debug)]
pub struct OwnToken {
    pub minted: Minted,
    pub scopes: Vec<Scope>,
}

/// Checks credentials and issues access tokens: one per process.
pub struct Authenticator {
    keys: Arc<Keyring>,
    passwords: Passwords,
    access_tokens: AccessTokens,
    refresh_tokens: RefreshTokens,
    providers: Providers,
    upstream_tokens: UpstreamTokens,
    rates: Rates,
    logins: Logins,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticator")
    }
}

impl Authenticator {
    /// `issuer` is the `iss` of every token that is issued or accepted.
    pub fn new(keys: Arc<Keyring>, issuer: &str, metrics: Arc<Metrics>) -> Self {
        Self {
            passwords: Passwords::new(keys.hash_key().clone(), PasswordLimits::default()),
            access_tokens: AccessTokens::new(Arc::clone(&keys), issuer),
            refresh_tokens: RefreshTokens::new(Arc::clone(&keys), issuer),
            providers: Providers::new(keys.hash_key().clone(), Arc::clone(&metrics)),
            upstream_tokens: UpstreamTokens::new(Arc::clone(&keys), issuer),
            rates: Rates::new(Arc::clone(&metrics)),
            logins: Logins::new(LoginLimits::OFF, Arc::clone(&metrics)),
            keys,
            metrics,
        }
    }

    /// The same with limits on failed logins, of which there are none otherwise.
    #[must_use]
    pub fn with_login_limits(self, limits: LoginLimits) -> Self {
        Self { logins: Logins::new(limits, Arc::clone(&self.metrics)), ..self }
    }

    /// What has been used up of the registries' rate limits.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// The failed logins. Whoever takes a login passes it through [`Logins::guard`].
    pub fn logins(&self) -> &Logins {
        &self.logins
    }

    /// The keys of identity providers, which a server keeps fresh.
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// The key under which secrets and upload locations are digested.
    pub fn hash_key(&self) -> &HashKey {
        self.keys.hash_key()
    }

    /// The published signing keys (RFC 7517).
    pub fn jwks(&self, now: Timestamp) -> String {
        self.keys.jwks(now).to_string()
    }

    /// Who logs in with this user name and password (S3-60, S1-53).
    ///
    /// A password that is right but does not count any more is told apart for the operator only after it was found right; then
    /// `recognised` is who has it, whatever becomes of the login. Whose secret is verified by a provider signs in by what that
    /// provider says.
    pub async fn by_password(
        &self,
        registry: &Registry,
        user: &str,
        password: &Secret,
        now: Timestamp,
        recognised: &mut Option<Caller>,
    ) -> Result<SignIn, Failure> {
        let principal = registry.principal_named(user).filter(|_| !user.is_empty());
        if let Some(identity) = principal.as_ref().and_then(Principal::verified_elsewhere) {
            // A question over the network: not a part of every login's memory.
            let asked = Box::pin(self.assertion_by_secret(registry.identities(), identity, password, now));
            let assertion = asked.await;
            if matches!(assertion, Err(Failure::Denied(Denial::NotAccepted(_)))) {
                *recognised = principal.map(|principal| in_full(principal, None));
            }
            return self.by_assertion(registry, assertion?, now, recognised);
        }
        let known: &[Password] = principal.as_ref().map_or(&[], Principal::passwords);
        let credential = self.credential(known, user, password, registry.decoy()).await?;
        let principal = principal.ok_or(Denial::CredentialInvalid)?;
        let caller = recognised.insert(in_full(principal, Some(credential)));
        policy::accepted(&caller.principal, Some(credential), now)?;
        Ok(caller.clone().into())
    }

    /// The one of `known` that `password` is; the work takes as long for a `user` whom nobody knows.
    async fn credential(
        &self,
        known: &[Password],
        user: &str,
        password: &Secret,
        decoy: Option<&Verifier>,
    ) -> Result<CredentialId, Failure> {
        let candidates: Vec<_> = known.iter().map(|password| (password.id, &password.verifier)).collect();
        let attempt = Attempt { user, password, candidates: &candidates, decoy };
        let verdict = self.passwords.verify(attempt).await.map_err(|_| Failure::Busy)?;
        if let Some(outcome) = verdict.cache {
            self.metrics.cache_looked_up(Cache::Password, outcome == CacheOutcome::Hit);
        }
        verdict.credential.ok_or_else(|| Denial::CredentialInvalid.into())
    }

    /// Who holds this access token, and what it was issued for; `grace` seconds after its end too.
    ///
    /// The principal is the one of `registry` as it is now: an access token of a principal that is gone is refused.
    pub fn by_access_token(
        &self,
        registry: &Registry,
        presented: &Secret,
        now: Timestamp,
        grace: i64,
    ) -> Result<SignIn, Failure> {
        let audience = registry.login_server.as_str();
        let verified = match self.access_tokens.verify(presented, audience, now) {
            Ok((verified, outcome)) => {
                self.metrics.cache_looked_up(Cache::AccessToken, outcome == CacheOutcome::Hit);
                verified
            }
            Err(TokenRejection::Expired { since, claims }) if now.as_second() < since.as_second() + grace => claims,
            Err(TokenRejection::Expired { .. }) => return Err(Denial::AccessTokenExpired.into()),
            Err(TokenRejection::Invalid(_)) => return Err(Denial::AccessTokenInvalid.into()),
        };
        let principal =
            self.principal(registry, verified.principal, verified.credential, verified.identity.as_deref())?;
        let granted = Granted::Access(Arc::clone(&verified.granted));
        let caller = Caller { principal, credential: verified.credential, granted };
        Ok(SignIn { caller, assertion: verified.identity.clone() })
    }

    /// Who holds this refresh token. Whom a provider vouched for is mapped anew.
    pub fn by_refresh_token(&self, registry: &Registry, presented: &Secret, now: Timestamp) -> Result<SignIn, Failure> {
        let verified = self.refresh_tokens.verify(presented, registry.login_server.as_str(), now);
        let verified = verified.map_err(|_| Denial::RefreshTokenInvalid)?;
        let assertion = verified.identity.clone();
        let principal = self.principal(registry, verified.principal, verified.credential, assertion.as_deref())?;
        let caller = accepted(principal, verified.credential, Granted::Everything, now)?;
        Ok(SignIn { caller, assertion })
    }

    /// Who presents this token of one of the identity providers.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when the provider's keys were never obtained; that is never a permission.
    pub async fn by_provider_token(
        &self,
        registry: &Registry,
        presented: &Secret,
        now: Timestamp,
    ) -> Result<SignIn, Failure> {
        let assertion = self.assertion(registry.identities(), presented, now).await?;
        self.by_assertion(registry, assertion, now, &mut None)
    }

    /// What the provider of a token says of its subject, as far as identities look at it.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when the provider's keys were never obtained; that is never a permission.
    pub async fn assertion(
        &self,
        identities: &Identities,
        presented: &Secret,
        now: Timestamp,
    ) -> Result<Assertion, Failure> {
        let verified = self.providers.verify(identities.providers(), presented, now).await;
        usable(identities, &*verified?)
    }

    /// What the provider that verifies the secret of `identity`, a service principal, says of it.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] and [`Failure::Busy`] when the provider does not say whether the secret is right; that is never
    /// a permission.
    pub async fn assertion_by_secret(
        &self,
        identities: &Identities,
        identity: &Identity,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<Assertion, Failure> {
        let provider = identity.verified_by.as_ref().and_then(|name| identities.provider_named(name));
        // No file declares it any more.
        let provider = provider.ok_or(Denial::IdentityTokenInvalid(Rejection::UnknownIssuer.code()))?;
        let client_id = identity.client_id.as_ref().ok_or(Denial::CredentialInvalid)?;
        let presented = PresentedSecret { provider, client_id: client_id.as_str(), secret };
        let said = self.providers.verify_secret(identities.providers(), presented, now).await?;
        let assertion = usable(identities, &said)?;
        if !identity.is_meant_by(&assertion) {
            return Err(Denial::IdentityUnknown.into());
        }
        if !identity.is_enabled() {
            return Err(Denial::NotAccepted(NotAccepted::IdentityDisabled).into());
        }
        Ok(assertion)
    }

    /// Who shows a certificate of which `said` is the word. Whoever asks has verified it, and knows that the caller has its key.
    ///
    /// It says nothing about the requests of others: no token is issued for it.
    ///
    /// # Errors
    /// [`Denial::IdentityUnknown`] when it is nobody's here.
    pub fn by_certificate(&self, registry: &Registry, said: &Assertion, now: Timestamp) -> Result<Caller, Failure> {
        if !said.is_by_certificate() {
            return Err(Denial::IdentityUnknown.into());
        }
        let principal = self.asserted(registry, said).ok_or(Denial::IdentityUnknown)?;
        accepted(principal, None, Granted::Everything, now)
    }

    /// Who it is at `registry` of whom `assertion` speaks. It must have been verified, or be our own word.
    fn by_assertion(
        &self,
        registry: &Registry,
        assertion: Assertion,
        now: Timestamp,
        recognised: &mut Option<Caller>,
    ) -> Result<SignIn, Failure> {
        let principal = self.asserted(registry, &assertion).ok_or(Denial::IdentityUnknown)?;
        let caller = recognised.insert(in_full(principal, None));
        policy::accepted(&caller.principal, None, now)?;
        Ok(SignIn { caller: caller.clone(), assertion: Some(Arc::new(assertion)) })
    }

    /// Whether `password` is a secret of `identity`, the service principal that `user` names, if there is one, and counts.
    ///
    /// One that is right but does not count any more is told apart only after it was found right.
    pub async fn by_secret(
        &self,
        identities: &Identities,
        identity: Option<&Identity>,
        user: &str,
        password: &Secret,
        now: Timestamp,
    ) -> Result<CredentialId, Failure> {
        let known = identity.map_or(&[][..], |identity| &identity.secrets);
        let credential = self.credential(known, user, password, identities.slow_verifier()).await?;
        match known.iter().find(|secret| secret.id == credential) {
            Some(secret) if secret.is_valid_at(now) => Ok(credential),
            Some(_) => Err(Denial::NotAccepted(NotAccepted::PasswordExpired).into()),
            None => Err(Denial::CredentialInvalid.into()),
        }
    }

    /// The managed `identity` at `registry`, as the installation itself vouches for it. Whoever asks for that was allowed to.
    ///
    /// # Errors
    /// [`Denial::IdentityUnknown`] for one that is not managed, is disabled, or is not the policy's; [`Denial::NoRole`].
    pub fn vouch_for(&self, registry: &Registry, identity: &Identity, now: Timestamp) -> Result<SignIn, Failure> {
        let assertion = identity.own_assertion().ok_or(Denial::IdentityUnknown)?;
        self.by_assertion(registry, assertion, now, &mut None)
    }

    /// Who presents this token, which is none of ours, as `failure` says: whom a provider vouches for, if it can be one of
    /// theirs at all.
    ///
    /// # Errors
    /// `failure`, when no provider has to do with the token; else those of [`Self::by_provider_token`].
    pub async fn or_by_provider_token(
        &self,
        failure: Failure,
        registry: &Registry,
        presented: &Secret,
        now: Timestamp,
    ) -> Result<SignIn, Failure> {
        if failure != Failure::Denied(Denial::AccessTokenInvalid) || !registry.has_identity_providers() {
            return Err(failure);
        }
        match self.by_provider_token(registry, presented, now).await {
            Err(Failure::Denied(Denial::IdentityTokenInvalid(code))) if is_of_no_provider(code) => Err(failure),
            decided => decided,
        }
    }

    /// Who presents an access token as a password, and that token again: it is the answer to its own login, so that it
    /// can neither be widened nor made to last (requirements B.1-7).
    pub fn by_access_token_as_password(
        &self,
        registry: &Registry,
        presented: &Secret,
        now: Timestamp,
    ) -> Result<(Caller, OwnToken), Failure> {
        let SignIn { caller, .. } = self.by_access_token(registry, presented, now, 0)?;
        let caller = accepted(caller.principal, caller.credential, caller.granted, now)?;
        let verified = self.access_tokens.verify(presented, registry.login_server.as_str(), now);
        let (verified, _) = verified.map_err(|_| Denial::AccessTokenInvalid)?;
        let remaining = verified.validity.expires_at.as_second().saturating_sub(now.as_second());
        // Clients add the two, so the time that remains counts from now.
        let expires_in = u32::try_from(remaining).unwrap_or(0);
        let minted = Minted { token: presented.clone(), issued_at: now, expires_in };
        Ok((caller, OwnToken { minted, scopes: scopes(&verified.access) }))
    }

    /// An access token for `granted`, for 75 minutes.
    ///
    /// # Errors
    /// See [`MintError`].
    pub async fn issue(
        &self,
        registry: &Registry,
        sign_in: &SignIn,
        granted: &[Scope],
        now: Timestamp,
    ) -> Result<Minted, MintError> {
        let SignIn { caller, assertion } = sign_in;
        let claims = AccessClaims {
            subject: caller.principal.name().to_owned(),
            audience: registry.login_server.to_string(),
            principal: caller.principal.id().unwrap_or_else(|| self.nobody(registry)),
            credential: caller.credential,
            access: access(granted),
            identity: assertion.clone(),
        };
        self.access_tokens.mint(claims, now).await
    }

    /// A refresh token for whoever signed in, for three hours and a quarter; `None` for the anonymous principal.
    ///
    /// # Errors
    /// See [`MintError`].
    pub async fn issue_refresh(
        &self,
        registry: &Registry,
        sign_in: &SignIn,
        now: Timestamp,
    ) -> Result<Option<Minted>, MintError> {
        let SignIn { caller, assertion } = sign_in;
        let Some(principal) = caller.principal.id() else {
            return Ok(None);
        };
        let claims = RefreshClaims {
            subject: caller.principal.name().to_owned(),
            audience: registry.login_server.to_string(),
            principal,
            credential: caller.credential,
            identity: assertion.clone(),
        };
        self.refresh_tokens.mint(claims, now).await.map(Some)
    }

    /// An access token by which an upstream lets us do `scopes`.
    ///
    /// # Errors
    /// See [`MintError`].
    pub async fn issue_for_upstream(
        &self,
        upstream: &MintedAccess,
        scopes: &[Scope],
        now: Timestamp,
    ) -> Result<Minted, MintError> {
        let claims = UpstreamClaims {
            issuer: upstream.issuer.clone(),
            audience: upstream.service.to_string(),
            subject: upstream.account.to_string(),
            access: access(scopes),
        };
        self.upstream_tokens.mint(claims, now).await
    }

    /// Who the subject of `assertion` is now, by the id that it has always had.
    fn asserted(&self, registry: &Registry, assertion: &Assertion) -> Option<Principal> {
        registry.asserted(assertion, subject_id(self.hash_key(), assertion))
    }

    /// The principal with this id, or whom `assertion` means, as it is now.
    pub(super) fn principal(
        &self,
        registry: &Registry,
        id: PrincipalId,
        credential: Option<CredentialId>,
        assertion: Option<&Assertion>,
    ) -> Result<Principal, Failure> {
        if let Some(assertion) = assertion {
            // The id must be the subject's, as it is in everything that we sign, and the sign-in had no password.
            let is_its = credential.is_none() && id == subject_id(self.hash_key(), assertion);
            let principal = is_its.then(|| self.asserted(registry, assertion)).flatten();
            return principal.ok_or(Failure::Denied(Denial::PrincipalGone));
        }
        if credential.is_none() && id == self.nobody(registry) {
            let anonymous = registry.anonymous_pull().then(|| registry.anonymous());
            return anonymous.ok_or(Failure::Denied(Denial::AnonymousNotAllowed));
        }
        registry.principal(id).ok_or(Failure::Denied(Denial::PrincipalGone))
    }

    /// The id that stands for the anonymous principal in access tokens.
    pub(super) fn nobody(&self, registry: &Registry) -> PrincipalId {
        PrincipalId::derive(self.hash_key(), "anonymous", &[registry.name.as_bytes()])
    }
}

/// What of an assertion identities look at: only that is kept and mapped, so that the tokens that follow map to the same.
fn usable(identities: &Identities, said: &Assertion) -> Result<Assertion, Failure> {
    if said.is_own() || said.is_by_certificate() {
        // No such provider can be declared. If it could, it would make anybody a managed identity, or a certificate's holder.
        return Err(Denial::IdentityTokenInvalid(Rejection::OwnToken.code()).into());
    }
    Ok(Assertion { claims: identities.claims_in_use(said), ..said.clone() })
}

/// Whether a token was refused before it was known which provider it is of.
fn is_of_no_provider(code: &str) -> bool {
    [Rejection::UnknownIssuer, Rejection::Malformed, Rejection::OwnToken].iter().any(|one| one.code() == code)
}

/// Whoever brought all his rights along.
const fn in_full(principal: Principal, credential: Option<CredentialId>) -> Caller {
    Caller { principal, credential, granted: Granted::Everything }
}

/// The caller, if the principal still accepts the password by which the token was obtained.
fn accepted(
    principal: Principal,
    credential: Option<CredentialId>,
    granted: Granted,
    now: Timestamp,
) -> Result<Caller, Failure> {
    if !matches!(principal, Principal::Anonymous(_)) {
        policy::accepted(&principal, credential, now)?;
    }
    Ok(Caller { principal, credential, granted })
}

fn access(scopes: &[Scope]) -> Vec<Access> {
    let access =
        |scope: &Scope| Access { kind: scope.kind.clone(), name: scope.name.clone(), actions: scope.actions.clone() };
    scopes.iter().map(access).collect()
}
