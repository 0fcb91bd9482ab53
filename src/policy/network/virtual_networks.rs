//! The virtual networks whose sources a registry admits besides those of its IP rules (service endpoints, S2-6, B.4-10).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::{NetworkTable, Source, parse_network};
use crate::policy::names;
use crate::policy::origin::Origin;
use crate::policy::stored::{StoredVirtualNetworkMatch, StoredVirtualNetworkRule};

/// ACR's limit (requirements B.9).
pub const MOST_VIRTUAL_NETWORKS: usize = 100;

/// One virtual network rule as compiled. It allows; there are no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualNetworkRule {
    pub name: Arc<str>,
    /// ARM's id of the subnet, for whoever asks; it decides nothing.
    pub id: Option<String>,
    pub matches: VirtualNetworkMatch,
    pub origin: Origin,
}

impl VirtualNetworkRule {
    fn of_stored(stored: &StoredVirtualNetworkRule) -> Result<Self, String> {
        names::check_virtual_network_rule(&stored.name)?;
        if let Some(id) = stored.id.as_deref().filter(|id| !is_subnet(id)) {
            return Err(format!("`{}` is not the id of a subnet; {SUBNET_HINT}", names::shortened(id)));
        }
        Ok(Self {
            name: stored.name.as_str().into(),
            id: stored.id.clone(),
            matches: VirtualNetworkMatch::of_stored(&stored.matches)?,
            origin: Origin::store(),
        })
    }

    /// As the store and the API have it.
    pub fn stored(&self) -> StoredVirtualNetworkRule {
        let matches = match &self.matches {
            VirtualNetworkMatch::SourceNetwork(network) => {
                StoredVirtualNetworkMatch::SourceNetwork(network.to_string())
            }
            VirtualNetworkMatch::Listener(name) => StoredVirtualNetworkMatch::Listener(name.to_string()),
        };
        StoredVirtualNetworkRule { name: self.name.to_string(), id: self.id.clone(), matches }
    }
}

impl fmt::Display for VirtualNetworkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "virtual network rule `{}` (Allow {}) at {}", self.name, self.matches, self.origin)
    }
}

/// Who comes from a virtual network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VirtualNetworkMatch {
    SourceNetwork(IpNet),
    /// Whoever comes in on the listener of this name.
    Listener(Arc<str>),
}

impl VirtualNetworkMatch {
    fn of_stored(stored: &StoredVirtualNetworkMatch) -> Result<Self, String> {
        match stored {
            StoredVirtualNetworkMatch::SourceNetwork(text) => {
                parse_network(text).map(Self::SourceNetwork).map_err(|invalid| format!("{invalid}; {}", invalid.hint()))
            }
            StoredVirtualNetworkMatch::Listener(name) => names::listener(name).map(Self::Listener),
        }
    }
}

/// What the id of a subnet is like.
pub const SUBNET_HINT: &str = "such as /subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/N, or leave it out";

/// Whether this is ARM's id of a subnet, in ARM's spelling or any other case.
pub fn is_subnet(id: &str) -> bool {
    let lower = id.to_ascii_lowercase();
    let legible = id.len() <= 1024 && !id.contains(|c: char| c.is_control() || c.is_whitespace());
    legible && lower.starts_with("/subscriptions/") && lower.contains("/subnets/")
}

impl fmt::Display for VirtualNetworkMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceNetwork(network) => write!(f, "sourceNetwork {network}"),
            Self::Listener(name) => write!(f, "listener `{name}`"),
        }
    }
}

/// The virtual network rules of one registry, found by what they match.
#[derive(Debug)]
pub struct VirtualNetworks {
    rules: Box<[Arc<VirtualNetworkRule>]>,
    networks: NetworkTable<usize>,
    listeners: HashMap<Arc<str>, usize>,
}

impl VirtualNetworks {
    /// Of two rules with one match the first is named.
    pub fn new(rules: impl IntoIterator<Item = VirtualNetworkRule>) -> Self {
        let rules: Box<[_]> = rules.into_iter().map(Arc::new).collect();
        let (mut networks, mut listeners) = (BTreeMap::new(), HashMap::new());
        for (position, rule) in rules.iter().enumerate() {
            match &rule.matches {
                VirtualNetworkMatch::SourceNetwork(network) => {
                    networks.entry(*network).or_insert(position);
                }
                VirtualNetworkMatch::Listener(name) => {
                    listeners.entry(Arc::clone(name)).or_insert(position);
                }
            }
        }
        Self { rules, networks: NetworkTable::new(&networks), listeners }
    }

    /// Compiles what the API has set.
    ///
    /// # Errors
    /// A sentence, when any rule of them cannot be read, or is there twice.
    pub fn of_stored(stored: &[StoredVirtualNetworkRule]) -> Result<Self, String> {
        if stored.len() > MOST_VIRTUAL_NETWORKS {
            return Err(format!("a registry has at most {MOST_VIRTUAL_NETWORKS} virtual network rules"));
        }
        let rules: Vec<_> = stored.iter().map(VirtualNetworkRule::of_stored).collect::<Result<_, _>>()?;
        let (mut names, mut matches) = (HashSet::new(), HashMap::new());
        for rule in &rules {
            if !names.insert(rule.name.to_ascii_lowercase()) {
                let two = format!("two virtual network rules are named `{}`; case does not count", rule.name);
                return Err(format!("{two}, and `--rule-name` gives one another name"));
            }
            if let Some(other) = matches.insert(&rule.matches, &rule.name) {
                return Err(format!("virtual network rules `{other}` and `{}` match the same", rule.name));
            }
        }
        Ok(Self::new(rules))
    }

    /// All of them, as they were written.
    pub fn rules(&self) -> &[Arc<VirtualNetworkRule>] {
        &self.rules
    }

    /// The rule that admits `source`: the longest network that holds its address, else its listener's.
    pub(super) fn of(&self, source: Source<'_>) -> Option<&Arc<VirtualNetworkRule>> {
        let position = self.networks.longest_match(source.address);
        let position = position.or_else(|| self.listeners.get(source.listener).copied())?;
        self.rules.get(position)
    }
}

/// None.
impl Default for VirtualNetworks {
    fn default() -> Self {
        Self::new([])
    }
}
