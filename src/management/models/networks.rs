//! Network conditions as the API shows and takes them. ARM has none.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// From where it counts: IPv4 and IPv6 addresses and CIDR ranges, `private endpoint NAME`, `any private endpoint`,
/// `virtual network NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::management) struct Networks {
    /// From these only; from all when empty.
    pub(in crate::management) allow: Vec<String>,
    /// Not from these, whatever `allow` says.
    pub(in crate::management) deny: Vec<String>,
}

/// A list that is absent stays as it is; an empty one is none.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::management) struct NetworksUpdate {
    #[serde(default)]
    pub(in crate::management) allow: Option<Vec<String>>,
    #[serde(default)]
    pub(in crate::management) deny: Option<Vec<String>>,
}
