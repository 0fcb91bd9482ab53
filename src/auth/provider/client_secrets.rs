//! What is known of secrets that a provider verifies: the right ones for some minutes, the wrong ones for some seconds.
//!
//! Whoever guesses decides how many secrets there are, so not how often the provider is asked: equal guesses are asked
//! about once, and of one client only a few at a time (threat classes S and T). Neither a secret nor a token is kept.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moka::future::Cache;
use reqwest::Url;
use thiserror::Error;

use super::client_credentials::{self, Undecided};
use super::source::apart;
use super::{ProviderFailure, Providers, Rejection, Remembered};
use crate::auth::CacheOutcome;
use crate::policy::identity::{Assertion, IdentityProvider};
use crate::secret::{HashKey, KeyedDigest, Secret};
use crate::telemetry;

/// For how long the provider is not asked again about a right secret: so late is noticed what it takes away.
const RIGHT_FOR: SignedDuration = SignedDuration::from_mins(5);
/// For how long it is not asked again about a secret that it refused.
const WRONG_FOR: SignedDuration = SignedDuration::from_secs(10);
/// For how long it is not asked again after it did not decide.
const UNDECIDED_FOR: SignedDuration = SignedDuration::from_secs(2);
const REMEMBERED_BYTES: u64 = 16 * 1024 * 1024;
const REMEMBERED_FAILURES: u64 = 10_000;
/// For how long the discovery document is not read again for the token endpoint.
const ENDPOINT_FOR: Duration = Duration::from_mins(30);
const ENDPOINTS: u64 = 100;
/// Questions under way: about one client, and about all.
const QUESTIONS_OF_ONE: usize = 4;
const QUESTIONS: usize = 64;
/// Longer ones are not sent to a provider.
const MAX_SECRET_BYTES: usize = 4 * 1024;

/// Why a secret proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretFailure {
    /// The provider refuses it.
    #[error("the provider does not accept the client's secret")]
    Wrong,
    /// Not decided: it is being asked too much already.
    #[error("the provider is being asked about too many secrets")]
    Busy,
    /// It gave a token that does not count, or did not decide.
    #[error(transparent)]
    Provider(#[from] ProviderFailure),
}

impl SecretFailure {
    /// For how long the same secret is answered with it.
    const fn counts_for(&self) -> SignedDuration {
        match self {
            Self::Wrong | Self::Provider(ProviderFailure::Rejected(_)) => WRONG_FOR,
            Self::Provider(ProviderFailure::Unavailable { .. }) => UNDECIDED_FOR,
            Self::Busy => SignedDuration::ZERO,
        }
    }
}

/// One client of one provider, and what it presents.
#[derive(Debug, Clone, Copy)]
pub struct PresentedSecret<'a> {
    pub provider: &'a Arc<IdentityProvider>,
    pub client_id: &'a str,
    pub secret: &'a Secret,
}

/// A right secret: what the provider said then, and when.
#[derive(Debug, Clone)]
struct Right {
    at: Timestamp,
    token: Remembered,
}

/// Who issues, and the certificate authorities of its server.
type Issuer = (Arc<str>, Option<PathBuf>);

/// One per process; its caches are made when somebody first logs in with such a secret.
#[derive(Debug)]
pub(super) struct ClientSecrets {
    /// Apart from `failures`, so that guesses cannot push right ones out.
    right: LazyLock<Cache<KeyedDigest, Right>>,
    failures: LazyLock<Cache<KeyedDigest, (Timestamp, SecretFailure)>>,
    /// Where tokens are.
    endpoints: LazyLock<Cache<Issuer, Url>>,
    questions: Questions,
}

impl ClientSecrets {
    pub(super) fn new() -> Self {
        Self {
            right: LazyLock::new(|| {
                let cache = Cache::builder().max_capacity(REMEMBERED_BYTES).time_to_live(RIGHT_FOR.unsigned_abs());
                cache.weigher(|_, right: &Right| right.token.size).build()
            }),
            failures: LazyLock::new(|| {
                Cache::builder().max_capacity(REMEMBERED_FAILURES).time_to_live(WRONG_FOR.unsigned_abs()).build()
            }),
            endpoints: LazyLock::new(|| Cache::builder().max_capacity(ENDPOINTS).time_to_live(ENDPOINT_FOR).build()),
            questions: Questions::default(),
        }
    }

    async fn failure(&self, key: &KeyedDigest, now: Timestamp) -> Option<SecretFailure> {
        let (at, failure) = self.failures.get(key).await?;
        (apart(at, now) < failure.counts_for()).then_some(failure)
    }

    /// The provider's token for who presents this.
    async fn ask(&self, presented: PresentedSecret<'_>) -> Result<Secret, Undecided> {
        let PresentedSecret { provider, client_id, secret } = presented;
        let place = (Arc::clone(&provider.issuer), provider.ca.clone());
        let endpoint = match self.endpoints.get(&place).await {
            Some(endpoint) => endpoint,
            None => client_credentials::endpoint(provider).await?,
        };
        let answer = client_credentials::ask(provider, endpoint.clone(), client_id, secret).await;
        match &answer {
            // It may be elsewhere by now.
            Err(Undecided::Unavailable(_)) => self.endpoints.invalidate(&place).await,
            Ok(_) | Err(Undecided::Wrong) => self.endpoints.insert(place, endpoint).await,
        }
        answer
    }
}

impl Providers {
    /// What a provider, one of `providers`, says of the client that presents its secret: the provider itself verifies it.
    ///
    /// # Errors
    /// [`SecretFailure::Busy`] and [`ProviderFailure::Unavailable`] when it cannot be decided; that is never a permission.
    pub async fn verify_secret(
        &self,
        providers: &[Arc<IdentityProvider>],
        presented: PresentedSecret<'_>,
        now: Timestamp,
    ) -> Result<Arc<Assertion>, SecretFailure> {
        let size = presented.secret.expose().len();
        if size == 0 || size > MAX_SECRET_BYTES {
            return Err(self.wrong(presented));
        }
        let key = key(&self.hash_key, presented);
        if let Some(right) = self.secrets.right.get(&key).await {
            if self.counts_still(&right, providers, now).await {
                self.count_secret(CacheOutcome::Hit);
                return Ok(right.token.assertion);
            }
            self.secrets.right.invalidate(&key).await;
        }
        if let Some(failure) = self.secrets.failure(&key, now).await {
            self.count_secret(CacheOutcome::Hit);
            return Err(failure);
        }
        self.count_secret(CacheOutcome::Miss);
        // Whoever presents the same meanwhile waits for this answer.
        let asked = self.secrets.right.try_get_with(key, self.asked(key, providers, presented, now)).await;
        asked.map(|right| right.token.assertion).map_err(|failure| SecretFailure::clone(&failure))
    }

    /// Asks the provider, and remembers what it refuses.
    async fn asked(
        &self,
        key: KeyedDigest,
        providers: &[Arc<IdentityProvider>],
        presented: PresentedSecret<'_>,
        now: Timestamp,
    ) -> Result<Right, SecretFailure> {
        // The one that was waited for may have failed.
        if let Some(failure) = self.secrets.failure(&key, now).await {
            return Err(failure);
        }
        let _turn = self.secrets.questions.turn(presented.client_id).ok_or(SecretFailure::Busy)?;
        let proved = self.proved(providers, presented, now).await;
        if let Err(failure) = &proved {
            self.secrets.failures.insert(key, (now, failure.clone())).await;
        }
        Ok(Right { at: now, token: proved? })
    }

    async fn proved(
        &self,
        providers: &[Arc<IdentityProvider>],
        presented: PresentedSecret<'_>,
        now: Timestamp,
    ) -> Result<Remembered, SecretFailure> {
        let provider = presented.provider;
        let token = match self.secrets.ask(presented).await {
            Ok(token) => token,
            Err(Undecided::Wrong) => return Err(self.wrong(presented)),
            Err(Undecided::Unavailable(cause)) => return Err(self.unavailable(provider, cause).into()),
        };
        let token = self.established(providers, &token, now).await?;
        // It speaks for itself only.
        if token.provider.name != provider.name {
            return Err(self.refused(Some(provider), Rejection::UnknownIssuer).into());
        }
        Ok(token)
    }

    async fn counts_still(&self, right: &Right, providers: &[Arc<IdentityProvider>], now: Timestamp) -> bool {
        let Remembered { provider, times, .. } = &right.token;
        apart(right.at, now) < RIGHT_FOR
            && times.check(provider, now).is_ok()
            && self.is_in_force(&right.token, providers, now).await
    }

    fn wrong(&self, presented: PresentedSecret<'_>) -> SecretFailure {
        self.metrics.identity_token_refused(Some(&presented.provider.name), "client_secret");
        SecretFailure::Wrong
    }

    fn count_secret(&self, outcome: CacheOutcome) {
        self.metrics.cache_looked_up(telemetry::Cache::Password, outcome == CacheOutcome::Hit);
    }
}

/// By which a secret is remembered: of one client of one provider.
fn key(hash_key: &HashKey, presented: PresentedSecret<'_>) -> KeyedDigest {
    let PresentedSecret { provider, client_id, secret } = presented;
    let parts = [&*provider.name, &*provider.issuer, client_id, secret.expose()];
    hash_key.digest("client-secret", &parts.map(str::as_bytes))
}

/// The questions under way, by client id.
#[derive(Debug, Default)]
struct Questions(Arc<Mutex<HashMap<Box<str>, usize>>>);

/// Ends when it is dropped.
struct Turn {
    client_id: Box<str>,
    questions: Arc<Mutex<HashMap<Box<str>, usize>>>,
}

impl Questions {
    /// `None` when there are as many as there may be.
    fn turn(&self, client_id: &str) -> Option<Turn> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = running.get(client_id).copied().unwrap_or_default();
        if own >= QUESTIONS_OF_ONE || running.values().sum::<usize>() >= QUESTIONS {
            return None;
        }
        running.insert(client_id.into(), own + 1);
        Some(Turn { client_id: client_id.into(), questions: Arc::clone(&self.0) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = running.get_mut(&self.client_id) {
            *own -= 1;
            if *own == 0 {
                running.remove(&self.client_id);
            }
        }
    }
}
