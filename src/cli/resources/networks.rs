//! `--allow-network` and `--deny-network`: from where something counts.

use clap::Args;
use serde_json::{Map, Value};

/// Beyond ACR: a condition on the source of requests.
#[derive(Debug, Args)]
pub(super) struct Networks {
    /// From where it counts, and from nowhere else: addresses, CIDR ranges, 'private endpoint NAME', 'any private endpoint'
    /// or 'virtual network NAME'. They replace those there are; the flag alone removes all.
    #[arg(long, value_name = "NETWORK", num_args = 0..)]
    allow_network: Option<Vec<String>>,
    /// From where it does not count, whatever is allowed. They replace those there are; the flag alone removes all.
    #[arg(long, value_name = "NETWORK", num_args = 0..)]
    deny_network: Option<Vec<String>>,
}

impl Networks {
    /// Whether nothing was given.
    pub(super) const fn is_empty(&self) -> bool {
        self.allow_network.is_none() && self.deny_network.is_none()
    }

    /// Puts what was given among the properties of a request.
    pub(super) fn add_to(&self, properties: &mut Map<String, Value>) {
        let mut networks = Map::new();
        for (name, given) in [("allow", &self.allow_network), ("deny", &self.deny_network)] {
            if let Some(list) = given {
                // As with tags, '' stands for nothing.
                let list = list.iter().filter(|text| !text.is_empty()).cloned();
                networks.insert(name.to_owned(), list.collect());
            }
        }
        if !networks.is_empty() {
            properties.insert("networks".to_owned(), networks.into());
        }
    }
}
