//! Network conditions of tokens, scope maps and identities: checked, kept and shown.

use super::error::ApiError;
use super::models::{Networks, NetworksUpdate};
use crate::policy::conditions::{NetworkCondition, check_entry};
use crate::policy::stored::StoredNetworks;

/// The most entries of one list: a condition is in memory with each of tens of thousands of tokens.
const MOST: usize = 1000;

/// What a request says of a condition, its entries checked by the same function as those in files.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(NetworksUpdate);

impl Sent {
    /// Reads it; nothing is said where it is absent.
    ///
    /// # Errors
    /// 400, naming the entry.
    pub(super) fn read(sent: Option<NetworksUpdate>) -> Result<Self, ApiError> {
        let sent = sent.unwrap_or_default();
        for (name, list) in [("allow", &sent.allow), ("deny", &sent.deny)] {
            let list = list.as_deref().unwrap_or_default();
            if list.len() > MOST {
                let message = format!("at most {MOST} entries; larger sets of addresses belong into network rules");
                return Err(ApiError::invalid(&format!("properties.networks.{name}"), message));
            }
            for (position, entry) in list.iter().enumerate() {
                let target = format!("properties.networks.{name}[{position}]");
                check_entry(entry).map_err(|error| ApiError::invalid(&target, error))?;
            }
        }
        Ok(Self(sent))
    }

    /// Changes the lists that were sent. The others stay: to leave them out would widen.
    pub(super) fn apply_to(&self, networks: &mut StoredNetworks) {
        for (sent, kept) in [(&self.0.allow, &mut networks.allow), (&self.0.deny, &mut networks.deny)] {
            if let Some(list) = sent {
                kept.clone_from(list);
            }
        }
    }
}

/// A condition of the store.
pub(super) fn shown(networks: StoredNetworks) -> Option<Networks> {
    let is_empty = networks.is_empty();
    let StoredNetworks { allow, deny } = networks;
    (!is_empty).then_some(Networks { allow, deny })
}

/// A condition of a file.
pub(super) fn declared(networks: Option<&NetworkCondition>) -> Option<Networks> {
    networks.and_then(|condition| shown(condition.written()))
}
