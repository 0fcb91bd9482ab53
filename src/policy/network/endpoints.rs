//! The private endpoints of one registry: which connections are known, and which of them may carry traffic.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::{EndpointMark, NetworkTable, Source};
use crate::policy::document::ConnectionStatus;
use crate::policy::origin::Origin;

/// The longest name of a connection, as in ARM.
const NAME_MAX: usize = 80;

/// One private endpoint connection as compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateEndpointConnection {
    pub name: Arc<str>,
    pub matches: EndpointMatch,
    pub status: ConnectionStatus,
    pub description: String,
    pub origin: Origin,
}

impl PrivateEndpointConnection {
    /// What to add to a registry's `privateEndpointConnections` to approve the endpoint with this mark, in YAML.
    pub fn approval(mark: &EndpointMark) -> String {
        let name = match mark {
            EndpointMark::VpcEndpointId(id) => id.to_string(),
            EndpointMark::LinkId(id) => format!("link-{id}"),
            EndpointMark::PscConnectionId(id) => format!("psc-{id}"),
            EndpointMark::Listener(name) => format!("listener-{name}"),
        };
        let allowed = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let name: String = name.chars().map(allowed).take(NAME_MAX).collect();
        format!("{{ name: \"{name}\", match: {}, status: Approved }}", mark.yaml())
    }
}

impl fmt::Display for PrivateEndpointConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, matches, status, origin, .. } = self;
        write!(f, "private endpoint connection `{name}` ({status}, {matches}) at {origin}")
    }
}

/// Which endpoint a connection is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointMatch {
    Mark(EndpointMark),
    /// Sources of this network, on listeners that are not public, where no load balancer says which endpoint it is.
    SourceNetwork(IpNet),
}

impl fmt::Display for EndpointMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark(mark) => mark.fmt(f),
            Self::SourceNetwork(network) => write!(f, "sourceNetwork {network}"),
        }
    }
}

/// The connections of one registry, found by what they match.
#[derive(Debug)]
pub struct PrivateEndpoints {
    connections: Box<[Arc<PrivateEndpointConnection>]>,
    marks: HashMap<EndpointMark, usize>,
    networks: NetworkTable<usize>,
}

impl PrivateEndpoints {
    /// Of two connections with one match the first counts; a file with two is a problem.
    pub fn new(connections: impl IntoIterator<Item = PrivateEndpointConnection>) -> Self {
        let connections: Box<[_]> = connections.into_iter().map(Arc::new).collect();
        let (mut marks, mut networks) = (HashMap::new(), BTreeMap::new());
        for (position, connection) in connections.iter().enumerate() {
            match &connection.matches {
                EndpointMatch::Mark(mark) => {
                    marks.entry(mark.clone()).or_insert(position);
                }
                EndpointMatch::SourceNetwork(network) => {
                    networks.entry(*network).or_insert(position);
                }
            }
        }
        Self { connections, marks, networks: NetworkTable::new(&networks) }
    }

    /// All of them, as they were written.
    pub fn connections(&self) -> &[Arc<PrivateEndpointConnection>] {
        &self.connections
    }

    /// The connection by which `source` comes, whose endpoint has this mark.
    ///
    /// Where only the listener says that an endpoint is private, the longest network that holds the source's address comes
    /// first. Where a load balancer says which endpoint it is, addresses say nothing: private networks of different
    /// owners use the same ones.
    pub(super) fn of(&self, source: Source<'_>, mark: &EndpointMark) -> Option<&Arc<PrivateEndpointConnection>> {
        let by_network = match mark {
            EndpointMark::Listener(_) => self.networks.longest_match(source.address),
            EndpointMark::VpcEndpointId(_) | EndpointMark::LinkId(_) | EndpointMark::PscConnectionId(_) => None,
        };
        let position = by_network.or_else(|| self.marks.get(mark).copied())?;
        self.connections.get(position)
    }
}

/// None.
impl Default for PrivateEndpoints {
    fn default() -> Self {
        Self::new([])
    }
}
