//! The compiled network rules of one registry and the order in which they decide.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ipnet::IpNet;

use super::{
    Admitted, EndpointMark, Network, NetworkTable, Place, PrivateEndpoints, Reason, Refused, Shadow, Shadowed, Source,
    VirtualNetworkRule, VirtualNetworks, parse_network,
};
use crate::policy::document::{ConnectionStatus, EndpointProtocol, IpRuleDocument, NetworkAction, PublicNetworkAccess};
use crate::policy::origin::Origin;
use crate::policy::problem::{Problem, Problems};
use crate::policy::stored::StoredIpRule;

/// What a rule or the default action does with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

impl From<NetworkAction> for Effect {
    fn from(action: NetworkAction) -> Self {
        match action {
            NetworkAction::Allow => Self::Allow,
            NetworkAction::Deny => Self::Deny,
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        })
    }
}

/// One IP rule as compiled: its network in canonical form, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpRule {
    pub network: IpNet,
    pub effect: Effect,
    pub name: Option<String>,
    pub origin: Origin,
}

impl fmt::Display for IpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ip rule ")?;
        if let Some(name) = &self.name {
            write!(f, "`{name}` ")?;
        }
        write!(f, "({} {}) at {}", self.effect, self.network, self.origin)
    }
}

/// The rule that decided; it stays readable when the rules it came from have been replaced.
///
/// One shared allocation and a position, because a pointer of its own for each of many rules would be one more cache
/// miss in every decision.
#[derive(Clone)]
pub struct MatchedRule {
    rules: Arc<[IpRule]>,
    position: usize,
}

impl Deref for MatchedRule {
    type Target = IpRule;

    #[expect(clippy::indexing_slicing, reason = "made by `admit` only, with a position of these rules")]
    fn deref(&self) -> &IpRule {
        &self.rules[self.position]
    }
}

impl PartialEq for MatchedRule {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for MatchedRule {}

impl fmt::Debug for MatchedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// IP rules as compiled. Every registry of every snapshot in which they are the same shares them.
#[derive(Debug)]
pub struct IpRules {
    /// One rule for each network that any rule names.
    rules: Arc<[IpRule]>,
    table: NetworkTable<Hit>,
}

/// What the table says about a network: the effect at hand, the rest only if somebody asks for the reason.
#[derive(Debug, Clone, Copy)]
struct Hit {
    effect: Effect,
    position: u32,
}

impl IpRules {
    /// Compiles what a file says; `None` when anything in it is a problem (never a set with fewer rules).
    pub fn compile(documents: &[IpRuleDocument], problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        let rules = documents.iter().filter_map(|one| compile_rule(one).map_err(|error| problems.push(error)).ok());
        let rules: Vec<_> = rules.collect();
        (problems.len() == before).then(|| Self::new(rules))
    }

    /// Compiles what the API has set.
    ///
    /// # Errors
    /// A sentence, when any rule of them cannot be read.
    pub fn of_stored(rules: &[StoredIpRule]) -> Result<Self, String> {
        let rule = |stored: &StoredIpRule| {
            Ok(IpRule {
                network: parse_network(&stored.value).map_err(|invalid| invalid.to_string())?,
                effect: stored.action.into(),
                name: stored.name.clone(),
                origin: Origin::store(),
            })
        };
        rules.iter().map(rule).collect::<Result<Vec<_>, String>>().map(Self::new)
    }

    fn new(written: impl IntoIterator<Item = IpRule>) -> Self {
        let mut rules = BTreeMap::new();
        written.into_iter().for_each(|rule| insert(&mut rules, rule));
        let table =
            (0..).zip(&rules).map(|(position, (network, rule))| (*network, Hit { effect: rule.effect, position }));
        Self { table: NetworkTable::new(&table.collect()), rules: rules.into_values().collect() }
    }

    fn matched(&self, position: u32) -> MatchedRule {
        MatchedRule { rules: Arc::clone(&self.rules), position: position as usize }
    }
}

/// No rules.
impl Default for IpRules {
    fn default() -> Self {
        Self::new([])
    }
}

/// The network rules of one registry, immutable and cheap to clone.
#[derive(Debug, Clone)]
pub struct NetworkRules {
    public: PublicNetworkAccess,
    /// Whether public IPv6 addresses are refused.
    only_v4: bool,
    default: Effect,
    rules: Option<Arc<IpRules>>,
    endpoints: Arc<PrivateEndpoints>,
    /// `None` where there are none, so that most decisions touch none of their memory.
    virtual_networks: Option<Arc<VirtualNetworks>>,
    shadow: Option<Arc<Tried>>,
}

/// The rules as they would be.
#[derive(Debug)]
struct Tried {
    rules: NetworkRules,
    origin: Origin,
}

impl NetworkRules {
    /// Without `rules`, because they cannot be read, nobody is admitted.
    pub fn new(public: PublicNetworkAccess, default: NetworkAction, rules: Option<Arc<IpRules>>) -> Self {
        let (default, endpoints) = (default.into(), Arc::default());
        Self { public, only_v4: false, default, rules, endpoints, virtual_networks: None, shadow: None }
    }

    /// The same rules for public addresses of this protocol.
    #[must_use]
    pub fn with_protocol(self, protocol: EndpointProtocol) -> Self {
        Self { only_v4: protocol == EndpointProtocol::IPv4, ..self }
    }

    /// The same rules with these private endpoints.
    #[must_use]
    pub fn with_endpoints(self, endpoints: Arc<PrivateEndpoints>) -> Self {
        Self { endpoints, ..self }
    }

    /// The same rules with these virtual networks.
    #[must_use]
    pub fn with_virtual_networks(self, virtual_networks: Arc<VirtualNetworks>) -> Self {
        let virtual_networks = Some(virtual_networks).filter(|some| !some.rules().is_empty());
        Self { virtual_networks, ..self }
    }

    /// The same rules, beside which `shadow` is tried.
    #[must_use]
    pub fn with_shadow(self, shadow: &Shadow) -> Self {
        // Where the rules in force cannot be read there is nothing to try others in place of.
        let rules = self.rules.as_ref().map(|in_force| Arc::clone(shadow.ip_rules.as_ref().unwrap_or(in_force)));
        let rules = Self {
            public: shadow.public.unwrap_or(self.public),
            default: shadow.default.map_or(self.default, Effect::from),
            rules,
            shadow: None,
            ..self.clone()
        };
        Self { shadow: Some(Arc::new(Tried { rules, origin: shadow.origin.clone() })), ..self }
    }

    /// What would be decided about `source` by the rules that are tried, where it is something else than whether it is
    /// `admitted`.
    #[inline]
    pub fn shadowed(&self, source: Source<'_>, admitted: bool) -> Option<Shadowed> {
        let tried = self.shadow.as_ref()?;
        let (would, reason) = match (tried.rules.admit(source), admitted) {
            (Ok(decided), false) => (Effect::Allow, decided.reason),
            (Err(refused), true) => (Effect::Deny, refused.reason),
            (Ok(_), true) | (Err(_), false) => return None,
        };
        Some(Shadowed { would, reason, origin: tried.origin.clone() })
    }

    /// Decides about `source`. A private endpoint is admitted if and only if its connection is approved. Of other sources:
    /// the protocol and public access first, then the longest prefix of the IP rules, the virtual networks, the default action.
    #[inline]
    pub fn admit(&self, source: Source<'_>) -> Result<Admitted, Refused> {
        let (effect, reason) = match source.network {
            Network::Public => self.decide_public(source),
            Network::PrivateEndpoint(mark) => self.decide_endpoint(source, mark),
        };
        let place = Place::of(source, &reason);
        match effect {
            Effect::Allow => Ok(Admitted { reason, place }),
            Effect::Deny => Err(Refused { reason, place, distrust: None }),
        }
    }

    #[inline]
    fn decide_public(&self, source: Source<'_>) -> (Effect, Reason) {
        // What a trusted service does not pass comes first: public access that is off would hide it.
        match (self.public, &self.rules) {
            (_, None) => (Effect::Deny, Reason::RulesUnreadable),
            (_, Some(_)) if self.only_v4 && source.address.ip().is_ipv6() => (Effect::Deny, Reason::OnlyV4),
            (PublicNetworkAccess::Disabled, Some(_)) => (Effect::Deny, Reason::PublicAccessDisabled),
            (PublicNetworkAccess::Enabled, Some(rules)) => match rules.table.longest_match(source.address) {
                Some(found) => (found.effect, Reason::Rule(rules.matched(found.position))),
                None => self.decide_unlisted(source),
            },
        }
    }

    /// No IP rule holds the address.
    #[inline]
    fn decide_unlisted(&self, source: Source<'_>) -> (Effect, Reason) {
        match self.virtual_networks.as_ref().and_then(|some| some.of(source)) {
            Some(rule) => (Effect::Allow, Reason::VirtualNetwork(Arc::clone(rule))),
            None => (self.default, Reason::DefaultAction(self.default)),
        }
    }

    /// The address never meets the rules for public sources: it is one of somebody's private network.
    ///
    /// Out of line, so that the common case stays as short as it is without endpoints (`benches/network.rs`).
    #[cold]
    fn decide_endpoint(&self, source: Source<'_>, mark: &EndpointMark) -> (Effect, Reason) {
        match self.endpoints.of(source, mark) {
            None => (Effect::Deny, Reason::UnknownEndpoint(mark.clone())),
            // What cannot be read may say something about endpoints too.
            Some(_) if self.rules.is_none() || self.endpoints.may_hide(mark) => (Effect::Deny, Reason::RulesUnreadable),
            Some(connection) => {
                let effect = match connection.status {
                    ConnectionStatus::Approved => Effect::Allow,
                    ConnectionStatus::Pending | ConnectionStatus::Rejected | ConnectionStatus::Disconnected => {
                        Effect::Deny
                    }
                };
                (effect, Reason::PrivateEndpoint(Arc::clone(connection)))
            }
        }
    }

    /// The private endpoints.
    pub fn endpoints(&self) -> &PrivateEndpoints {
        &self.endpoints
    }

    /// The rules for virtual networks.
    pub fn virtual_networks(&self) -> &[Arc<VirtualNetworkRule>] {
        self.virtual_networks.as_ref().map_or(&[], |some| some.rules())
    }

    /// The rules that count, one for each network.
    pub fn ip_rules(&self) -> &[IpRule] {
        self.rules.as_ref().map_or(&[], |rules| &rules.rules)
    }
}

/// Whether `value` may stand in an IP rule.
///
/// # Errors
/// A sentence that says what to write instead.
pub fn check_rule(value: &str) -> Result<(), String> {
    parse_network(value).map(|_| ()).map_err(|invalid| format!("{invalid}; {}", invalid.hint()))
}

/// Whether `name` may be the name of an IP rule: it stands in the audit log.
///
/// # Errors
/// A phrase.
pub fn check_rule_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("the name of an ip rule is empty or has control characters");
    }
    Ok(())
}

fn compile_rule(document: &IpRuleDocument) -> Result<IpRule, Problem> {
    let network = parse_network(&document.value)
        .map_err(|invalid| Problem::new(&document.value.origin, invalid.to_string()).hint(invalid.hint()))?;
    if let Some(name) = &document.name {
        let hint = "write a short name on one line, or leave `name` out";
        check_rule_name(name).map_err(|error| Problem::new(&name.origin, error).hint(hint))?;
    }
    Ok(IpRule {
        network,
        effect: document.action.into(),
        name: document.name.as_ref().map(|name| name.value.clone()),
        origin: document.value.origin.clone(),
    })
}

/// Of two rules for one network Deny wins; of two alike the first, so that the reason names where it was first said.
fn insert(rules: &mut BTreeMap<IpNet, IpRule>, rule: IpRule) {
    match rules.entry(rule.network) {
        Entry::Vacant(entry) => {
            entry.insert(rule);
        }
        Entry::Occupied(mut entry) if entry.get().effect == Effect::Allow && rule.effect == Effect::Deny => {
            entry.insert(rule);
        }
        Entry::Occupied(_) => {}
    }
}
