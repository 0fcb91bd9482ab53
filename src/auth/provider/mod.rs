//! Tokens of OpenID Connect providers: who somebody is, as someone else says it whom the operator trusts.
//!
//! A provider is chosen by the exact `iss` of the token, and from then on only its own declaration counts: its algorithms,
//! its audiences, its keys. A key or certificate that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) is never used
//! (threat class G). What a verified assertion means here is not known here: see [`crate::policy::identity`].

mod client_credentials;
mod client_secrets;
mod fetch;
mod json;
mod keys;
mod rejection;
mod source;
#[cfg(test)]
mod tests;
mod token;
mod verify;

use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use thiserror::Error;

use super::CacheOutcome;
use super::signed_token::MAX_TOKEN_BYTES;
use crate::policy::identity::{Assertion, IdentityProvider};
use crate::secret::{HashKey, KeyedDigest, Secret};
use crate::telemetry;
use crate::telemetry::metrics::Metrics;
use client_secrets::ClientSecrets;
use source::Source;
use token::UnverifiedToken;
use verify::Times;

pub use client_secrets::{PresentedSecret, SecretFailure};
pub use rejection::Rejection;

/// For how long a verified token is not verified again. Its times, its provider and its key are looked at on every use.
const REMEMBERED_FOR: Duration = Duration::from_mins(5);
/// How much may be remembered, counted in bytes of tokens.
const REMEMBERED_BYTES: u64 = 16 * 1024 * 1024;
/// Providers that a reload removed, whose keys may wait for [`Providers::keep_fresh`] to be dropped.
const FORMER_SOURCES: usize = 8;

/// Why there is no assertion.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderFailure {
    /// The token proves nothing.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Not decided: the provider's keys were never obtained, or it does not say whether a secret is right, for this reason.
    #[error("the identity provider `{provider}` cannot be asked: {cause}")]
    Unavailable { provider: Arc<str>, cause: String },
}

/// A verified token, by whose key, and how long its text was: claims take memory in proportion.
#[derive(Debug, Clone)]
struct Remembered {
    assertion: Arc<Assertion>,
    times: Times,
    provider: Arc<IdentityProvider>,
    /// The thumbprint of the key that signed it.
    key: Arc<str>,
    size: u32,
}

/// Verifies the tokens of all providers and keeps their keys: one per process.
#[derive(Debug)]
pub struct Providers {
    sources: RwLock<Vec<Arc<Source>>>,
    hash_key: HashKey,
    /// By a keyed digest of the whole token, so that neither a token nor something to guess at lies in memory.
    verified: LazyLock<Cache<KeyedDigest, Remembered>>,
    secrets: ClientSecrets,
    metrics: Arc<Metrics>,
}

/// Not made where there is no provider.
fn verified() -> Cache<KeyedDigest, Remembered> {
    Cache::builder()
        .max_capacity(REMEMBERED_BYTES)
        .weigher(|_, remembered: &Remembered| remembered.size)
        .time_to_live(REMEMBERED_FOR)
        .build()
}

impl Providers {
    /// No keys yet: they are fetched when first needed, or by [`Self::keep_fresh`].
    pub fn new(hash_key: HashKey, metrics: Arc<Metrics>) -> Self {
        Self {
            sources: RwLock::default(),
            hash_key,
            verified: LazyLock::new(verified),
            secrets: ClientSecrets::new(),
            metrics,
        }
    }

    /// What the provider of `token`, one of `providers`, says about its subject.
    ///
    /// # Errors
    /// [`ProviderFailure::Unavailable`] when it cannot be decided; that is never a permission.
    pub async fn verify(
        &self,
        providers: &[Arc<IdentityProvider>],
        token: &Secret,
        now: Timestamp,
    ) -> Result<Arc<Assertion>, ProviderFailure> {
        self.established(providers, token, now).await.map(|established| established.assertion)
    }

    /// The same with all that has to be looked at when it is used again.
    async fn established(
        &self,
        providers: &[Arc<IdentityProvider>],
        token: &Secret,
        now: Timestamp,
    ) -> Result<Remembered, ProviderFailure> {
        let token = token.expose();
        if token.len() > MAX_TOKEN_BYTES {
            return Err(self.refused(None, Rejection::TooLarge));
        }
        let digest = self.hash_key.digest("verified-identity-token", &[token.as_bytes()]);
        if let Some(remembered) = self.remembered(&digest, providers, now).await {
            self.count_look_up(CacheOutcome::Hit);
            return match remembered.times.check(&remembered.provider, now) {
                Ok(()) => Ok(remembered),
                Err(rejection) => Err(self.refused(Some(&remembered.provider), rejection)),
            };
        }
        self.count_look_up(CacheOutcome::Miss);
        let parsed = UnverifiedToken::parse(token).map_err(|rejection| self.refused(None, rejection))?;
        let Some(provider) = providers.iter().find(|one| parsed.issuer() == Some(&*one.issuer)) else {
            return Err(self.refused(None, Rejection::UnknownIssuer));
        };
        let (assertion, times, key) = self.verify_for(provider, providers, &parsed, now).await?;
        let size = u32::try_from(token.len()).unwrap_or(u32::MAX);
        let remembered =
            Remembered { assertion: Arc::new(assertion), times, provider: Arc::clone(provider), key, size };
        self.verified.insert(digest, remembered.clone());
        Ok(remembered)
    }

    /// Fetches keys that are missing or old, and forgets those of providers that are not among `providers` any more. A
    /// server calls it at its start, so that the first sign-in need not wait, and then every minute.
    pub async fn keep_fresh(&self, providers: &[Arc<IdentityProvider>], now: Timestamp) {
        self.forget_former(providers);
        let sources = providers.iter().map(|provider| self.source(provider, providers));
        // All begin before one is waited for.
        let attempts: Vec<_> =
            sources.filter(|source| source.is_due(now)).filter_map(|source| source.attempt(now)).collect();
        for attempt in attempts {
            source::end(attempt).await;
        }
    }

    /// The verified token with this digest, if it is in force.
    async fn remembered(
        &self,
        digest: &KeyedDigest,
        providers: &[Arc<IdentityProvider>],
        now: Timestamp,
    ) -> Option<Remembered> {
        let remembered = self.verified.get(digest)?;
        self.is_in_force(&remembered, providers, now).await.then_some(remembered)
    }

    /// Whether the provider that the token was verified for is still one of `providers`, with nothing changed, and still
    /// publishes the key.
    async fn is_in_force(&self, remembered: &Remembered, providers: &[Arc<IdentityProvider>], now: Timestamp) -> bool {
        let is_its =
            |one: &&Arc<IdentityProvider>| Arc::ptr_eq(one, &remembered.provider) || ***one == *remembered.provider;
        let Some(provider) = providers.iter().find(is_its) else { return false };
        let keys = self.source(provider, providers).keys(now).await;
        keys.is_ok_and(|keys| keys.has(&remembered.key))
    }

    /// The claims come before the keys: a token that is too old is no reason to ask the provider for new keys.
    async fn verify_for(
        &self,
        provider: &Arc<IdentityProvider>,
        providers: &[Arc<IdentityProvider>],
        token: &UnverifiedToken<'_>,
        now: Timestamp,
    ) -> Result<(Assertion, Times, Arc<str>), ProviderFailure> {
        let refused = |rejection| self.refused(Some(provider), rejection);
        let (assertion, times) = verify::claimed(token, provider, now).map_err(refused)?;
        let source = self.source(provider, providers);
        let unavailable = |cause| self.unavailable(provider, cause);
        let keys = source.keys(now).await.map_err(unavailable)?;
        let key = match verify::signer(token, &keys) {
            // A new key, perhaps under the name of the old one, or without any.
            Err(Rejection::UnknownKey | Rejection::Signature) => {
                source.refresh(now).await;
                verify::signer(token, &*source.keys(now).await.map_err(unavailable)?)
            }
            decided => decided,
        };
        Ok((assertion, times, key.map_err(refused)?))
    }

    fn refused(&self, provider: Option<&IdentityProvider>, rejection: Rejection) -> ProviderFailure {
        self.metrics.identity_token_refused(provider.map(|one| &*one.name), rejection.code());
        rejection.into()
    }

    fn unavailable(&self, provider: &IdentityProvider, cause: String) -> ProviderFailure {
        self.metrics.identity_token_refused(Some(&provider.name), "unavailable");
        ProviderFailure::Unavailable { provider: Arc::clone(&provider.name), cause }
    }

    fn count_look_up(&self, outcome: CacheOutcome) {
        self.metrics.cache_looked_up(telemetry::Cache::IdentityToken, outcome == CacheOutcome::Hit);
    }

    /// The keys of `provider`, which is one of `providers`.
    fn source(&self, provider: &Arc<IdentityProvider>, providers: &[Arc<IdentityProvider>]) -> Arc<Source> {
        let known = |sources: &[Arc<Source>]| sources.iter().find(|source| source.is_of(provider)).cloned();
        if let Some(source) = known(&self.sources.read().unwrap_or_else(PoisonError::into_inner)) {
            return source;
        }
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = known(&sources) {
            return source;
        }
        if sources.len() >= providers.len() + FORMER_SOURCES {
            sources.retain(|source| providers.iter().any(|one| source.is_of(one)));
        }
        let source = Arc::new(Source::new(Arc::clone(provider), Arc::clone(&self.metrics)));
        sources.push(Arc::clone(&source));
        source
    }

    fn forget_former(&self, providers: &[Arc<IdentityProvider>]) {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|source| {
            let stays = providers.iter().any(|one| source.is_of(one));
            if !stays && !providers.iter().any(|one| *one.name == *source.name()) {
                self.metrics.forget_identity_provider(source.name());
            }
            stays
        });
    }
}
