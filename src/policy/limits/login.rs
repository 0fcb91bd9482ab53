//! Limits on failed logins. Logins that succeed are never counted.

use std::time::Duration;

use thiserror::Error;

use super::spent::{Spent, retry_after};

/// How many times more a principal may fail from everywhere than from one source. So many sources it takes to lock
/// somebody out elsewhere, and not where he has logged in of late.
const FROM_EVERYWHERE: u32 = 100;

/// After how many failures within which time logins are refused, and for how long. 0 is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginLimits {
    /// Failures from one source, whoever is claimed.
    pub per_source: u32,
    /// Failures of one claimed principal from one source.
    pub per_principal: u32,
    pub within: Duration,
    pub lockout: Duration,
}

impl LoginLimits {
    /// Nothing is limited.
    pub const OFF: Self = Self { per_source: 0, per_principal: 0, ..Self::DEFAULT };
    /// Generous to people and their broken scripts, hopeless for guessing.
    pub const DEFAULT: Self =
        Self { per_source: 30, per_principal: 10, within: Duration::from_mins(1), lockout: Duration::from_mins(5) };

    /// The failures that `scope` may have; `None`: without limit.
    pub const fn limit(&self, scope: LoginScope) -> Option<u32> {
        let limit = match scope {
            LoginScope::Source => self.per_source,
            LoginScope::PrincipalFromSource => self.per_principal,
            LoginScope::Principal => self.per_principal.saturating_mul(FROM_EVERYWHERE),
        };
        if limit == 0 { None } else { Some(limit) }
    }
}

/// Whose failures are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginScope {
    Source,
    PrincipalFromSource,
    Principal,
}

impl LoginScope {
    pub const ALL: [Self; 3] = [Self::Source, Self::PrincipalFromSource, Self::Principal];

    /// The word of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::PrincipalFromSource => "principal_from_source",
            Self::Principal => "principal",
        }
    }

    const fn described(self) -> &'static str {
        match self {
            Self::Source => "from this source (`loginLimits.perSource`)",
            Self::PrincipalFromSource => "of this user from this source (`loginLimits.perPrincipal`)",
            Self::Principal => "of this user from everywhere (100 times `loginLimits.perPrincipal`)",
        }
    }
}

/// The failures of one scope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    spent: Spent,
    locked_until: Duration,
}

impl Failures {
    /// For how long from `now` logins are refused, if they are.
    pub fn locked_for(&self, now: Duration) -> Option<Duration> {
        self.locked_until.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// One failure more at `now`; the one that reaches `limit` locks.
    #[must_use]
    pub fn failed(self, limit: u32, limits: &LoginLimits, now: Duration) -> Self {
        if self.locked_for(now).is_some() {
            // It had begun before.
            return self;
        }
        match self.spent.spend(limit, limits.within, now) {
            Ok(spent) if spent.count() < u64::from(limit) => Self { spent, ..self },
            Ok(_) | Err(_) => Self { spent: Spent::default(), locked_until: now.saturating_add(limits.lockout) },
        }
    }
}

/// So many logins have failed that no more are tried for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{limit} failed logins {}: none is tried for {retry_after} s", .scope.described())]
pub struct Locked {
    pub scope: LoginScope,
    /// Failures.
    pub limit: u32,
    /// Seconds until the lock ends; never zero.
    pub retry_after: u64,
}

impl Locked {
    /// For a time of `left`.
    pub fn new(scope: LoginScope, limit: u32, left: Duration) -> Self {
        Self { scope, limit, retry_after: retry_after(left) }
    }
}
