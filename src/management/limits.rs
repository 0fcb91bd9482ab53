//! The limits of ACR's tiers (requirements B.9): shown as such, enforced only when the operator asks for it.

use http::StatusCode;

use super::call::Call;
use super::error::ApiError;
use crate::policy::Registry;
use crate::policy::tier::Tier;
use crate::store::{Kind, ObjectKey};

/// What a tier limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Countable {
    IpRules,
    ScopeMaps,
    Tokens,
}

/// In every tier, for each scope map. Individual actions count (S3-23).
const MAX_ACTIONS: usize = 500;

impl Countable {
    pub(super) const ALL: [Self; 3] = [Self::IpRules, Self::ScopeMaps, Self::Tokens];

    /// The name in `listUsages`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::IpRules => "IPRules",
            Self::ScopeMaps => "ScopeMaps",
            Self::Tokens => "Tokens",
        }
    }

    /// How many `tier` allows.
    pub(super) const fn limit(self, tier: Tier) -> u64 {
        match (self, tier) {
            (Self::IpRules, Tier::Basic | Tier::Standard) => 0,
            (Self::IpRules, Tier::Premium) => 200,
            (Self::ScopeMaps | Self::Tokens, Tier::Basic) => 100,
            (Self::ScopeMaps | Self::Tokens, Tier::Standard) => 500,
            (Self::ScopeMaps | Self::Tokens, Tier::Premium) => 50_000,
        }
    }

    /// How many `registry` has. What files declare counts too, what is built in does not.
    pub(super) async fn count(self, call: &Call, registry: &Registry) -> Result<u64, ApiError> {
        let (declared, kind) = match self {
            Self::IpRules => return Ok(registry.properties().ip_rules.value.len() as u64),
            Self::ScopeMaps => {
                (registry.declared_scope_maps().filter(|map| !map.system_defined).count(), Kind::ScopeMap)
            }
            Self::Tokens => (registry.declared_tokens().count(), Kind::Token),
        };
        Ok(declared as u64 + call.parts.store.count(&registry.name, kind).await?)
    }
}

/// Whether `registry` may have one more, at `place`, unless it is there already.
pub(super) async fn check_one_more(
    call: &Call,
    registry: &Registry,
    what: Countable,
    place: &ObjectKey,
) -> Result<(), ApiError> {
    // Asked of the store only where it matters.
    if call.parts.settings.enforced_tier.is_none() || call.parts.store.get(place).await?.is_some() {
        return Ok(());
    }
    check(call, what, what.count(call, registry).await? + 1)
}

/// Whether a registry may have `count` of them.
pub(super) fn check(call: &Call, what: Countable, count: u64) -> Result<(), ApiError> {
    match call.parts.settings.enforced_tier {
        Some(tier) if count > what.limit(tier) => {
            Err(exceeded(format!("the tier {} allows {} {}", tier.name(), what.limit(tier), what.name())))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a scope map may have `count` actions.
pub(super) fn check_actions(call: &Call, count: usize) -> Result<(), ApiError> {
    match call.parts.settings.enforced_tier {
        Some(_) if count > MAX_ACTIONS => Err(exceeded(format!("a scope map has at most {MAX_ACTIONS} actions"))),
        Some(_) | None => Ok(()),
    }
}

fn exceeded(message: String) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "QuotaExceeded", message)
}
