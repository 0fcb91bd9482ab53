//! The private endpoints of one registry: which connections are known, and which of them may carry traffic.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::{EndpointMark, NetworkTable, Source, parse_network};
use crate::policy::document::ConnectionStatus;
use crate::policy::names;
use crate::policy::origin::Origin;
use crate::policy::stored::StoredEndpointMatch;

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
        format!("{{ name: \"{}\", match: {}, status: Approved }}", Self::name_for(mark), mark.yaml())
    }

    /// What the connection of an endpoint is called that nobody has named.
    pub fn name_for(mark: &EndpointMark) -> String {
        let name = match mark {
            EndpointMark::VpcEndpointId(id) => id.to_string(),
            EndpointMark::LinkId(id) => format!("link-{id}"),
            EndpointMark::PscConnectionId(id) => format!("psc-{id}"),
            EndpointMark::Listener(name) => format!("listener-{name}"),
        };
        let allowed = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let name: String = name.chars().map(allowed).take(NAME_MAX).collect();
        // A VPC endpoint's id may be marks alone, as far as AWS says.
        if names::check_endpoint_connection(&name).is_ok() { name } else { "vpce".to_owned() }
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

impl EndpointMatch {
    /// What the store has.
    ///
    /// # Errors
    /// A sentence, when it is not the id of any endpoint, no name of a listener, no network.
    pub fn of_stored(stored: &StoredEndpointMatch) -> Result<Self, String> {
        Ok(Self::Mark(match stored {
            StoredEndpointMatch::VpcEndpointId(id) => EndpointMark::vpc_endpoint(id).ok_or_else(|| {
                let id = names::shortened(id);
                format!("`{id}` is not the id of a VPC endpoint; it is such as vpce-0abc123def4567890")
            })?,
            StoredEndpointMatch::LinkId(id) => EndpointMark::LinkId(*id),
            StoredEndpointMatch::PscConnectionId(id) => EndpointMark::PscConnectionId(*id),
            StoredEndpointMatch::Listener(name) => EndpointMark::Listener(names::listener(name)?),
            StoredEndpointMatch::SourceNetwork(text) => {
                let network = parse_network(text).map_err(|invalid| format!("{invalid}; {}", invalid.hint()))?;
                return Ok(Self::SourceNetwork(network));
            }
        }))
    }

    /// As the store and the API have it.
    pub fn stored(&self) -> StoredEndpointMatch {
        match self {
            Self::Mark(EndpointMark::VpcEndpointId(id)) => StoredEndpointMatch::VpcEndpointId(id.to_string()),
            Self::Mark(EndpointMark::LinkId(id)) => StoredEndpointMatch::LinkId(*id),
            Self::Mark(EndpointMark::PscConnectionId(id)) => StoredEndpointMatch::PscConnectionId(*id),
            Self::Mark(EndpointMark::Listener(name)) => StoredEndpointMatch::Listener(name.to_string()),
            Self::SourceNetwork(network) => StoredEndpointMatch::SourceNetwork(network.to_string()),
        }
    }
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
    /// There are others of which nobody knows what they match.
    incomplete: bool,
    /// Those of the files: what they refuse stays refused, however long a network is that the API approves.
    declared: Option<Arc<Self>>,
}

impl PrivateEndpoints {
    /// Of two connections with one match the first counts; a file with two is a problem.
    pub fn new<C: Into<Arc<PrivateEndpointConnection>>>(connections: impl IntoIterator<Item = C>) -> Self {
        let connections: Box<[Arc<_>]> = connections.into_iter().map(Into::into).collect();
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
        Self { connections, marks, networks: NetworkTable::new(&networks), incomplete: false, declared: None }
    }

    /// The same, where `declared`, of which these are some, refuse nobody.
    #[must_use]
    pub fn after(self, declared: &Arc<Self>) -> Self {
        Self { declared: Some(Arc::clone(declared)), ..self }
    }

    /// The same, and if `incomplete` there are others that cannot be read.
    #[must_use]
    pub fn with_unreadable(self, incomplete: bool) -> Self {
        Self { incomplete, ..self }
    }

    /// Whether one that cannot be read may be about the endpoint with this mark though another one matches: a longer network
    /// comes first, and that is so on private listeners only.
    pub(super) fn may_hide(&self, mark: &EndpointMark) -> bool {
        self.incomplete && matches!(mark, EndpointMark::Listener(_))
    }

    /// The connection of this name, in any case.
    pub fn named(&self, name: &str) -> Option<&Arc<PrivateEndpointConnection>> {
        self.connections.iter().find(|one| one.name.eq_ignore_ascii_case(name))
    }

    /// The connection that is about exactly this.
    pub fn matching(&self, matches: &EndpointMatch) -> Option<&Arc<PrivateEndpointConnection>> {
        self.connections.iter().find(|one| one.matches == *matches)
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
        let declared = self.declared.as_ref().and_then(|declared| declared.of(source, mark));
        if declared.is_some_and(|found| found.status != ConnectionStatus::Approved) {
            return declared;
        }
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
        Self::new::<Arc<_>>([])
    }
}
