//! How much a registry has of what ACR counts.

use super::call::{Answer, Call, key};
use super::error::ApiError;
use super::limits::Countable;
use super::models::{Usage, UsageList};
use super::registries::tier_of;
use super::write::read;
use crate::policy::stored::StoredRegistry;
use crate::policy::tier::Tier;
use crate::store::Kind;

/// What is there, and what ACR's tier would allow; nothing is refused by it unless the operator enforces a tier.
pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let registry = call.registry()?;
    let stored = read::<StoredRegistry>(call, &key(&registry, Kind::Registry, "")).await?.map(|(stored, _)| stored);
    let tier: Tier = call.parts.settings.enforced_tier.unwrap_or_else(|| tier_of(stored.as_ref()));
    let mut value = Vec::new();
    for what in Countable::ALL {
        let current_value = what.count(call, &registry).await?;
        value.push(Usage { name: what.name(), limit: what.limit(tier), current_value, unit: "Count" });
    }
    Answer::ok(&UsageList { value })
}
