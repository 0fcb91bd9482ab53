//! Rate limits: how many requests of each category a registry and an identity have in a minute (requirements B.9).

use std::time::Duration;

use thiserror::Error;

use crate::oci::Method;
use crate::policy::operation::OperationClass;
use crate::policy::tier::Tier;

/// What the limits are per.
pub const PERIOD: Duration = Duration::from_mins(1);

/// What a request is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    Read,
    Write,
    Delete,
    /// Counts as reading, too.
    ListReferrers,
    /// Access and refresh tokens that are issued. Of a registry only.
    Login,
}

impl Category {
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Delete, Self::ListReferrers, Self::Login];

    /// What a request is counted as: by its method, but listing referrers twice.
    pub const fn of(method: Method, class: OperationClass) -> &'static [Self] {
        match (method, class) {
            (_, OperationClass::Referrers) => &[Self::ListReferrers, Self::Read],
            (Method::Get | Method::Head, _) => &[Self::Read],
            (Method::Put | Method::Post | Method::Patch, _) => &[Self::Write],
            (Method::Delete, _) => &[Self::Delete],
        }
    }

    /// The word of the configuration, of metrics and of the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::ListReferrers => "listReferrers",
            Self::Login => "login",
        }
    }

    /// Its place among [`Self::ALL`].
    pub const fn position(self) -> usize {
        self as usize
    }
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateScope {
    Registry,
    /// One identity at one registry; whoever is anonymous is one, whoever uses the admin account is one (S1-48).
    Identity,
}

impl RateScope {
    /// The word of the configuration, of metrics and of the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Identity => "identity",
        }
    }
}

/// The limits of one registry, in requests a minute. Nothing is limited unless set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    pub(super) registry: [Option<u32>; Category::ALL.len()],
    pub(super) identity: [Option<u32>; Category::ALL.len()],
}

impl RateLimits {
    /// The limits that ACR has for a tier.
    pub const fn of(tier: Tier) -> Self {
        match tier {
            Tier::Basic | Tier::Standard => Self {
                registry: [Some(10_000), Some(2_000), Some(1_000), Some(500), Some(10_000)],
                identity: [Some(5_000), Some(1_000), Some(500), Some(250), None],
            },
            Tier::Premium => Self {
                registry: [Some(20_000), Some(4_000), Some(4_000), Some(2_000), Some(20_000)],
                identity: [Some(10_000), Some(2_000), Some(2_000), Some(1_000), None],
            },
        }
    }

    /// Requests a minute, where that is limited.
    pub fn limit(&self, scope: RateScope, category: Category) -> Option<u32> {
        let limits = match scope {
            RateScope::Registry => &self.registry,
            RateScope::Identity => &self.identity,
        };
        limits.get(category.position()).copied().flatten()
    }

    /// Whether nothing is limited at all.
    pub fn are_off(&self) -> bool {
        *self == Self::default()
    }
}

/// A rate limit is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{limit} requests a minute: `rateLimits.{}.{}` is used up for {retry_after} s", .scope.name(), .category.name())]
pub struct Exhausted {
    pub scope: RateScope,
    pub category: Category,
    /// Requests a minute.
    pub limit: u32,
    /// Seconds until the period ends; never zero.
    pub retry_after: u64,
}

impl Exhausted {
    /// With `left` of the period.
    pub fn new((scope, category): (RateScope, Category), limit: u32, left: Duration) -> Self {
        Self { scope, category, limit, retry_after: super::spent::retry_after(left) }
    }
}
