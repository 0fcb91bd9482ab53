//! The tiers of ACR: shown to clients that ask for one, enforced where the operator says so (requirements B.9).

use schemars::JsonSchema;
use serde::Deserialize;

/// A tier, by ACR's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Tier {
    Basic,
    Standard,
    Premium,
}

impl Tier {
    pub const ALL: [Self; 3] = [Self::Basic, Self::Standard, Self::Premium];

    /// ARM's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::Standard => "Standard",
            Self::Premium => "Premium",
        }
    }

    /// The tier that ARM calls `name`; case does not matter.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name().eq_ignore_ascii_case(name))
    }
}
