//! What seawall presents to upstreams, remembered for as long as it is good.
//!
//! A token is obtained once however many requests wait for it, is replaced before it ends, and is dropped when the
//! upstream refuses it. That none could be had is remembered too, for seconds, so that a wrong password does not become a
//! storm of logins. What is remembered is bound to all settings of the upstream and its credential: a reload that
//! changes one of them starts anew.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use moka::Expiry;
use moka::future::Cache;
use tokio::task::spawn_blocking;

use super::exchange::{self, Exchange, ExchangeError, used_for};
use super::scopes::{scopes, text};
use crate::oci::asked::{Asked, Bearer, asked};
use crate::oci::{Method, Route, Scope};
use crate::policy::Registry;
use crate::policy::address::UpstreamTarget;
use crate::policy::upstream_credential::{Account, MintedAccess, TokenService, UpstreamCredential};
use crate::secret::{KeyedDigest, Secret};

/// Tokens that are remembered: one for each repository and kind of request. Some KiB each.
const TOKENS: u64 = 10_000;
/// Upstreams whose challenge and client are remembered.
const UPSTREAMS: u64 = 1_000;
/// How long an upstream's word counts where its tokens come from, or that it wants none.
const CHALLENGE_LIFE: Duration = Duration::from_mins(10);
const NOT_ASKED_LIFE: Duration = Duration::from_mins(1);
/// How long nobody asks again after a password was refused, and after anything else that failed.
/// In bytes; with the number of tokens it bounds the memory that they take.
const LONGEST_TOKEN: usize = 16 * 1024;
/// In the place of scopes: what is known of the account itself. No scope is written so.
const ACCOUNT: &str = "the account";
const REJECTED_LIFE: Duration = Duration::from_secs(5);
const FAILED_LIFE: Duration = Duration::from_secs(1);
/// How often the log says the same of one registry.
const TOLD_FOR: Duration = Duration::from_secs(30);

/// Signs access tokens for upstreams that verify them: `auth` does, and is wired in from above.
#[async_trait]
pub trait Mint: Send + Sync {
    /// A token for `scopes`, and how long it is good.
    ///
    /// # Errors
    /// Why there is none.
    async fn mint(&self, access: &MintedAccess, scopes: &[Scope]) -> Result<(Secret, Duration), NotMinted>;
}

/// Why no token was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotMinted {
    /// Too many signatures are waiting.
    Busy,
    Failed(String),
}

/// Why a request cannot go up. The log has the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCredential {
    /// The user name and password are refused.
    Unauthorized,
    /// There is no access token: its service is away, or may not be trusted with the password.
    NoToken,
    Busy,
}

/// What goes up with one request.
#[derive(Debug, Clone, Default)]
pub struct Presented {
    authorization: Option<HeaderValue>,
    held: Option<Held>,
}

/// A token, or the knowledge that none is wanted, by what it is remembered.
#[derive(Debug, Clone)]
struct Held {
    key: Key,
    outcome: Outcome,
}

impl Presented {
    /// The value of `Authorization`. Its `Debug` shows nothing.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whether another try may have another token.
    pub const fn is_renewable(&self) -> bool {
        self.held.is_some()
    }
}

/// The upstream with all settings of its credential, and the scopes.
type Key = (KeyedDigest, Arc<str>);

#[derive(Debug, Clone)]
enum Outcome {
    Token(Arc<Token>),
    NotAsked,
    Failed(NoCredential),
}

#[derive(Debug)]
struct Token {
    authorization: HeaderValue,
    life: Duration,
}

impl Token {
    fn new(token: &Secret, life: Duration) -> Option<Self> {
        Some(Self { authorization: sensitive(&format!("Bearer {}", token.expose()))?, life })
    }
}

/// How long each outcome counts.
struct Lives;

impl Expiry<Key, Outcome> for Lives {
    fn expire_after_create(&self, _: &Key, outcome: &Outcome, _: Instant) -> Option<Duration> {
        Some(match outcome {
            Outcome::Token(token) => token.life,
            Outcome::NotAsked => NOT_ASKED_LIFE,
            Outcome::Failed(NoCredential::Unauthorized) => REJECTED_LIFE,
            Outcome::Failed(NoCredential::NoToken | NoCredential::Busy) => FAILED_LIFE,
        })
    }
}

/// The credentials for all upstreams: one per process. An empty cache has 36 kB, so none is made before there is something to keep.
pub struct Credentials {
    minter: Arc<dyn Mint>,
    tokens: LazyLock<Cache<Key, Outcome>>,
    challenges: LazyLock<Cache<KeyedDigest, Option<Bearer>>>,
    clients: LazyLock<moka::sync::Cache<KeyedDigest, reqwest::Client>>,
    told: LazyLock<moka::sync::Cache<(Arc<str>, String), ()>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// None obtained yet.
    pub fn new(minter: Arc<dyn Mint>) -> Self {
        Self {
            minter,
            tokens: LazyLock::new(|| Cache::builder().max_capacity(TOKENS).expire_after(Lives).build()),
            challenges: LazyLock::new(|| Cache::builder().max_capacity(UPSTREAMS).time_to_live(CHALLENGE_LIFE).build()),
            clients: LazyLock::new(|| {
                moka::sync::Cache::builder().max_capacity(UPSTREAMS).time_to_idle(CHALLENGE_LIFE).build()
            }),
            told: LazyLock::new(|| moka::sync::Cache::builder().max_capacity(UPSTREAMS).time_to_live(TOLD_FOR).build()),
        }
    }

    /// What to present to the upstream of `registry` for this request.
    ///
    /// # Errors
    /// When there is nothing to present that the upstream could accept.
    pub async fn present(&self, registry: &Registry, method: Method, route: &Route) -> Result<Presented, NoCredential> {
        match &registry.upstream.credential {
            UpstreamCredential::None => Ok(Presented::default()),
            UpstreamCredential::Basic(account) => Ok(Presented { authorization: basic(account), held: None }),
            UpstreamCredential::Token(service) => {
                self.held(registry, service.identity, scopes(method, route), |scopes| {
                    self.fetch(registry, service, scopes)
                })
                .await
            }
            UpstreamCredential::Minted(access) => {
                self.held(registry, access.identity, scopes(method, route), |scopes| {
                    self.sign(registry, access, scopes)
                })
                .await
            }
        }
    }

    /// The token for `scopes`; `obtain` gets one where none is remembered, once for all who wait.
    async fn held<F: Future<Output = Outcome>>(
        &self,
        registry: &Registry,
        identity: KeyedDigest,
        scopes: Vec<Scope>,
        obtain: impl FnOnce(Vec<Scope>) -> F,
    ) -> Result<Presented, NoCredential> {
        let key: Key = (identity, text(&scopes).into());
        let outcome = match self.tokens.get(&key).await {
            Some(outcome) => outcome,
            None => self.tokens.get_with(key.clone(), Box::pin(obtain(scopes))).await,
        };
        let authorization = match &outcome {
            Outcome::Token(token) => Some(token.authorization.clone()),
            Outcome::NotAsked => None,
            Outcome::Failed(failure) => {
                tracing::debug!(registry = &*registry.name, ?failure, "there is no credential for the upstream");
                return Err(*failure);
            }
        };
        Ok(Presented { authorization, held: Some(Held { key, outcome }) })
    }

    async fn sign(&self, registry: &Registry, access: &MintedAccess, scopes: Vec<Scope>) -> Outcome {
        match self.minter.mint(access, &scopes).await {
            Ok((token, life)) => self.kept(registry, &token, used_for(life)),
            Err(NotMinted::Busy) => Outcome::Failed(NoCredential::Busy),
            Err(NotMinted::Failed(error)) => {
                self.tell(registry, &format!("no access token could be signed for the upstream: {error}"));
                Outcome::Failed(NoCredential::NoToken)
            }
        }
    }

    async fn fetch(&self, registry: &Registry, service: &TokenService, scopes: Vec<Scope>) -> Outcome {
        // A wrong password is wrong for all scopes: whoever asks for many must not have it tried for each.
        let account: Key = (service.identity, ACCOUNT.into());
        if let Some(failed) = self.tokens.get(&account).await {
            return failed;
        }
        match self.exchange(&registry.upstream, service, &scopes).await {
            Ok(None) => Outcome::NotAsked,
            Ok(Some(fetched)) => self.kept(registry, &fetched.token, fetched.life),
            Err(error) => {
                // The upstream may have moved its token service.
                self.challenges.invalidate(&service.identity).await;
                self.tell(registry, &format!("no access token could be obtained for the upstream: {error}"));
                if let ExchangeError::Rejected { status: 401, .. } = error {
                    self.tokens.insert(account, Outcome::Failed(NoCredential::Unauthorized)).await;
                }
                Outcome::Failed(match error {
                    ExchangeError::Rejected { .. } => NoCredential::Unauthorized,
                    _ => NoCredential::NoToken,
                })
            }
        }
    }

    fn kept(&self, registry: &Registry, token: &Secret, life: Duration) -> Outcome {
        if token.expose().len() <= LONGEST_TOKEN
            && let Some(token) = Token::new(token, life)
        {
            return Outcome::Token(Arc::new(token));
        }
        self.tell(registry, "the token service of the upstream issued a token that no header can hold");
        Outcome::Failed(NoCredential::NoToken)
    }

    async fn exchange(
        &self,
        target: &UpstreamTarget,
        service: &TokenService,
        scopes: &[Scope],
    ) -> Result<Option<exchange::Fetched>, ExchangeError> {
        let identity = service.identity;
        let http = self.client(target, service).await?;
        let exchange = Exchange { http: &http, target, service };
        let asked = self.challenges.try_get_with(identity, exchange.ask()).await;
        match asked.map_err(|error| ExchangeError::clone(&error))? {
            None => Ok(None),
            Some(bearer) => exchange.fetch(&bearer, scopes).await.map(Some),
        }
    }

    /// The client for `service`. Making one reads every certificate authority of the machine: not on a request's thread.
    async fn client(&self, target: &UpstreamTarget, service: &TokenService) -> Result<reqwest::Client, ExchangeError> {
        if let Some(client) = self.clients.get(&service.identity) {
            return Ok(client);
        }
        let (clients, target, service) = (self.clients.clone(), target.clone(), service.clone());
        let work = move || clients.try_get_with(service.identity, || exchange::client(&target, &service));
        let made = spawn_blocking(work).await.map_err(|_| ExchangeError::Client("the process is ending".to_owned()))?;
        made.map_err(|error| ExchangeError::clone(&error))
    }

    /// The upstream answered 401 to what was presented, with these challenges: it is not presented again. When it has
    /// refused a token that was obtained for this request `again`, no other is obtained for a while: each takes a login.
    pub async fn refused(&self, registry: &Registry, presented: &Presented, challenges: Vec<HeaderValue>, again: bool) {
        let Some(Held { key, outcome }) = &presented.held else { return };
        if let UpstreamCredential::Token(service) = &registry.upstream.credential {
            match asked(challenges.iter().map(HeaderValue::as_bytes)) {
                Asked::Bearer(bearer) => self.challenges.insert(service.identity, Some(bearer)).await,
                Asked::Basic | Asked::Unknown => self.challenges.invalidate(&service.identity).await,
            }
        }
        // Others may have been refused the same token, and have got the next one meanwhile.
        let still = match (self.tokens.get(key).await, outcome) {
            (Some(Outcome::Token(now)), Outcome::Token(then)) => Arc::ptr_eq(&now, then),
            (Some(Outcome::NotAsked), Outcome::NotAsked) => true,
            _ => false,
        };
        match (still, again) {
            (true, true) => self.tokens.insert(key.clone(), Outcome::Failed(NoCredential::Unauthorized)).await,
            (true, false) => self.tokens.invalidate(key).await,
            (false, _) => {}
        }
    }

    /// Says in the log that the upstream of `registry` does not accept us, and what may help.
    pub fn tell_unauthorized(&self, registry: &Registry) {
        self.tell(
            registry,
            match &registry.upstream.credential {
                UpstreamCredential::None => "the upstream wants a credential: set `upstream.credential`",
                UpstreamCredential::Basic(_) => {
                    "the upstream does not accept the user name and password of `upstream.credential`"
                }
                UpstreamCredential::Token(_) => {
                    "the upstream does not accept the tokens of its token service: may the account of \
                     `upstream.credential` do what clients ask for?"
                }
                UpstreamCredential::Minted(_) => {
                    "the upstream does not accept the tokens that seawall signs: has it the certificates of all signing \
                     keys, and the same service and issuer?"
                }
            },
        );
    }

    fn tell(&self, registry: &Registry, what: &str) {
        if self.told.entry((Arc::clone(&registry.name), what.to_owned())).or_insert(()).is_fresh() {
            let upstream = registry.upstream.host_header();
            tracing::error!(registry = &*registry.name, upstream, "{what}");
        }
    }
}

/// RFC 7617, in UTF-8.
fn basic(account: &Account) -> Option<HeaderValue> {
    let pair = format!("{}:{}", account.username, account.password.expose());
    sensitive(&format!("Basic {}", STANDARD.encode(pair)))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
