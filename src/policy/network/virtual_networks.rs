//! The virtual networks whose sources a registry admits besides those of its IP rules (service endpoints, S2-6, B.4-10).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::{NetworkTable, Source};
use crate::policy::origin::Origin;

/// One virtual network rule as compiled. It allows; there are no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualNetworkRule {
    pub name: Arc<str>,
    /// ARM's id of the subnet, for whoever asks; it decides nothing.
    pub id: Option<String>,
    pub matches: VirtualNetworkMatch,
    pub origin: Origin,
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
