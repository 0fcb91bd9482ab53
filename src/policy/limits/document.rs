//! What an operator writes under `rateLimits` of a registry, and what it means.

use schemars::JsonSchema;
use serde::Deserialize;

use super::rate::{Category, RateLimits};
use super::spent::MOST;
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::policy::tier::Tier;

/// Requests a minute, each from 1 to 10000000. Without limit unless set.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitsDocument {
    /// The limits of this tier of ACR, where no other is set. Default: none.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// Of all requests to the registry together.
    #[serde(default)]
    pub registry: RegistryRatesDocument,
    /// Of each identity. Whoever is anonymous is one, whoever uses the admin account is one.
    #[serde(default)]
    pub identity: IdentityRatesDocument,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryRatesDocument {
    /// `GET` and `HEAD`.
    #[serde(default)]
    pub read: Option<At<u32>>,
    /// `PUT`, `POST` and `PATCH`.
    #[serde(default)]
    pub write: Option<At<u32>>,
    #[serde(default)]
    pub delete: Option<At<u32>>,
    /// Lists of referrers, which count as `read`, too.
    #[serde(default)]
    pub list_referrers: Option<At<u32>>,
    /// Tokens that are issued at `/oauth2/token` and `/oauth2/exchange`.
    #[serde(default)]
    pub login: Option<At<u32>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityRatesDocument {
    /// `GET` and `HEAD`.
    #[serde(default)]
    pub read: Option<At<u32>>,
    /// `PUT`, `POST` and `PATCH`.
    #[serde(default)]
    pub write: Option<At<u32>>,
    #[serde(default)]
    pub delete: Option<At<u32>>,
    /// Lists of referrers, which count as `read`, too.
    #[serde(default)]
    pub list_referrers: Option<At<u32>>,
}

/// The limits of a registry whose `rateLimits` is `document`.
pub(in crate::policy) fn compile(document: &RateLimitsDocument, problems: &mut Problems) -> RateLimits {
    let RateLimitsDocument { tier, registry, identity } = document;
    let mut limits = tier.map(RateLimits::of).unwrap_or_default();
    let registry = [&registry.read, &registry.write, &registry.delete, &registry.list_referrers, &registry.login];
    let identity = [&identity.read, &identity.write, &identity.delete, &identity.list_referrers, &None];
    for (limits, written) in [(&mut limits.registry, registry), (&mut limits.identity, identity)] {
        for ((limit, written), category) in limits.iter_mut().zip(written).zip(Category::ALL) {
            *limit = written.as_ref().map_or(*limit, |written| Some(checked(written, category, problems)));
        }
    }
    limits
}

fn checked(written: &At<u32>, category: Category, problems: &mut Problems) -> u32 {
    if !(1..=MOST).contains(&written.value) {
        let what = format!("`{}` must be from 1 to {MOST} requests a minute", category.name());
        problems.push(Problem::new(&written.origin, what).hint("leave it out for no limit"));
    }
    written.value
}
