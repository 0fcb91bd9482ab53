//! The counters of failed logins. A login is refused before any of its work is done.
//!
//! Attempts that run at the same time are counted when they end; how many passwords are checked at a time is bounded, and by
//! so much the limits may be exceeded.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::COUNTERS;
use crate::auth::Failure;
use crate::auth::provider::Rejection;
use crate::policy::Denial;
use crate::policy::limits::{Failures, Locked, LoginLimits, LoginScope};
use crate::policy::network::SourceAddress;
use crate::telemetry::metrics::Metrics;

/// How long a source is remembered from which somebody has logged in.
const KNOWN_FOR: Duration = Duration::from_hours(24);

/// Who tries to log in from where.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub source: SourceAddress,
    /// Of the registry whose principals are meant; none at the management API.
    pub registry: Option<&'a str>,
    /// The user name; none where a token is presented, whose owner is not known before it is verified.
    pub user: Option<&'a str>,
    /// In ticks of the clock.
    pub now: Duration,
}

/// The failed logins of all sources and principals.
pub struct Logins {
    limits: LoginLimits,
    /// By a keyed hash of who or what is counted: a claimed name takes no more room than another.
    failures: [Cache<u64, Failures>; LoginScope::ALL.len()],
    /// From where whom we know has logged in of late: neither the failures of others there nor those elsewhere lock him out.
    known: Cache<u64, ()>,
    hasher: RandomState,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logins").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Logins {
    /// No login has failed yet.
    pub fn new(limits: LoginLimits, metrics: Arc<Metrics>) -> Self {
        let kept = limits.within.max(limits.lockout).saturating_add(Duration::from_mins(1));
        // moka panics at a thousand years.
        let kept = kept.min(Duration::from_hours(24 * 365));
        Self {
            limits,
            failures: LoginScope::ALL.map(|_| Cache::builder().max_capacity(COUNTERS).time_to_idle(kept).build()),
            known: Cache::builder().max_capacity(COUNTERS).time_to_idle(KNOWN_FOR).build(),
            hasher: RandomState::new(),
            metrics,
        }
    }

    /// Does `attempt`, unless too many have failed; counts it when it fails.
    ///
    /// # Errors
    /// [`Failure::Locked`], or what `attempt` says.
    pub async fn guard<T>(
        &self,
        claim: Claim<'_>,
        attempt: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.check(claim).map_err(Failure::Locked)?;
        let result = attempt.await;
        match &result {
            Ok(_) => self.succeeded(claim),
            Err(Failure::Denied(denial)) if is_a_guess(denial, claim) => self.failed(claim),
            Err(_) => {}
        }
        result
    }

    /// Whether `claim` may be tried.
    ///
    /// # Errors
    /// The lock that it meets.
    pub fn check(&self, claim: Claim<'_>) -> Result<(), Locked> {
        let Some((scope, limit, left)) = self.lock(claim) else { return Ok(()) };
        // Locks are rare: the second look-up costs whoever guesses.
        if scope != LoginScope::PrincipalFromSource && self.is_known(claim) {
            return match self.locked(LoginScope::PrincipalFromSource, claim) {
                Some((limit, left)) => self.refuse(LoginScope::PrincipalFromSource, claim, limit, left),
                None => Ok(()),
            };
        }
        self.refuse(scope, claim, limit, left)
    }

    /// Counts a login that failed.
    pub fn failed(&self, claim: Claim<'_>) {
        for scope in LoginScope::ALL {
            let (Some(limit), Some(key), Some(failures)) =
                (self.limits.limit(scope), self.key(scope, claim), self.failures.get(scope as usize))
            else {
                continue;
            };
            failures.entry(key).and_upsert_with(|before| {
                let before = before.map(moka::Entry::into_value).unwrap_or_default();
                before.failed(limit, &self.limits, claim.now)
            });
        }
    }

    fn succeeded(&self, claim: Claim<'_>) {
        if let Some(key) = self.key(LoginScope::PrincipalFromSource, claim)
            && self.limits != (LoginLimits { per_source: 0, per_principal: 0, ..self.limits })
            && !self.is_known(claim)
        {
            self.known.insert(key, ());
        }
    }

    fn is_known(&self, claim: Claim<'_>) -> bool {
        let key = self.key(LoginScope::PrincipalFromSource, claim);
        // `get` keeps it for longer, where `contains_key` does not.
        key.is_some_and(|key| self.known.get(&key).is_some())
    }

    fn lock(&self, claim: Claim<'_>) -> Option<(LoginScope, u32, Duration)> {
        LoginScope::ALL
            .into_iter()
            .find_map(|scope| self.locked(scope, claim).map(|(limit, left)| (scope, limit, left)))
    }

    fn locked(&self, scope: LoginScope, claim: Claim<'_>) -> Option<(u32, Duration)> {
        let limit = self.limits.limit(scope)?;
        let failures = self.failures.get(scope as usize)?;
        let left = failures.get(&self.key(scope, claim)?)?.locked_for(claim.now)?;
        Some((limit, left))
    }

    fn refuse(&self, scope: LoginScope, claim: Claim<'_>, limit: u32, left: Duration) -> Result<(), Locked> {
        self.metrics.rate_limited(claim.registry, "login", scope.name());
        Err(Locked::new(scope, limit, left))
    }

    fn key(&self, scope: LoginScope, claim: Claim<'_>) -> Option<u64> {
        let source = prefix(claim.source);
        Some(match scope {
            LoginScope::Source => self.hasher.hash_one(source),
            LoginScope::PrincipalFromSource => self.hasher.hash_one((source, claim.registry, claim.user?)),
            LoginScope::Principal => self.hasher.hash_one((claim.registry, claim.user?)),
        })
    }
}

/// Whether what was denied may have been a guess. With a password everything is: the answer must not tell a right one
/// that does not count any more. A token is one that we or its provider did not sign, or that is nobody's.
fn is_a_guess(denial: &Denial, claim: Claim<'_>) -> bool {
    if claim.user.is_some() {
        return true;
    }
    match denial {
        Denial::IdentityTokenInvalid(code) => *code != Rejection::Expired.code(),
        Denial::AccessTokenInvalid | Denial::RefreshTokenInvalid | Denial::IdentityUnknown => true,
        _ => false,
    }
}

/// An IPv4 address, or the /64 of an IPv6 one, of which one host may have every address.
fn prefix(source: SourceAddress) -> IpAddr {
    match source.ip() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}
