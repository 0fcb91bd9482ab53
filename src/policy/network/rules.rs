//! The compiled network rules of one registry and the decision they make, with its reason.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ipnet::IpNet;

use super::{NetworkTable, SourceAddress, parse_network};
use crate::policy::document::{IpRuleDocument, NetworkAction, NetworkRuleSetDocument, PublicNetworkAccess};
use crate::policy::origin::Origin;
use crate::policy::problem::{Problem, Problems};

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

/// What decided. `Display` is the line that the audit log prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Public network access is switched off for this registry, so its IP rules do not count (S2-10).
    PublicAccessDisabled,
    /// This rule has the longest prefix that holds the address.
    Rule(MatchedRule),
    /// No rule holds the address.
    DefaultAction(Effect),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublicAccessDisabled => f.write_str("publicNetworkAccess is Disabled"),
            Self::Rule(rule) => rule.fmt(f),
            Self::DefaultAction(effect) => write!(f, "no ip rule matches and defaultAction is {effect}"),
        }
    }
}

/// Proof that the network rules let an address in; only [`NetworkRules::admit`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Admitted {
    reason: Reason,
}

impl Admitted {
    /// What let it in.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// The answer to an address that the network rules keep out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Refused {
    reason: Reason,
}

impl Refused {
    /// What kept it out.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// The network rules of one registry, immutable.
#[derive(Debug, Clone)]
pub struct NetworkRules {
    public: PublicNetworkAccess,
    default: Effect,
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

impl NetworkRules {
    /// Compiles what was written; `None` when anything in it is a problem (never a set with fewer rules).
    pub fn compile(public: PublicNetworkAccess, set: &NetworkRuleSetDocument, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        let mut rules = BTreeMap::new();
        for document in &set.ip_rules {
            match compile_rule(document) {
                Ok(rule) => insert(&mut rules, rule),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.len() > before {
            return None;
        }
        let table =
            (0..).zip(&rules).map(|(position, (network, rule))| (*network, Hit { effect: rule.effect, position }));
        Some(Self {
            public,
            default: set.default_action.into(),
            table: NetworkTable::new(&table.collect()),
            rules: rules.into_values().collect(),
        })
    }

    /// Decides about `source`: public access first, then the longest prefix, then the default action.
    pub fn admit(&self, source: SourceAddress) -> Result<Admitted, Refused> {
        let (effect, reason) = match (self.public, self.table.longest_match(source)) {
            (PublicNetworkAccess::Disabled, _) => (Effect::Deny, Reason::PublicAccessDisabled),
            (PublicNetworkAccess::Enabled, Some(found)) => (found.effect, Reason::Rule(self.matched(found.position))),
            (PublicNetworkAccess::Enabled, None) => (self.default, Reason::DefaultAction(self.default)),
        };
        match effect {
            Effect::Allow => Ok(Admitted { reason }),
            Effect::Deny => Err(Refused { reason }),
        }
    }

    /// The rules that count, one for each network.
    pub fn ip_rules(&self) -> &[IpRule] {
        &self.rules
    }

    fn matched(&self, position: u32) -> MatchedRule {
        MatchedRule { rules: Arc::clone(&self.rules), position: position as usize }
    }
}

fn compile_rule(document: &IpRuleDocument) -> Result<IpRule, Problem> {
    let network = parse_network(&document.value)
        .map_err(|invalid| Problem::new(&document.value.origin, invalid.to_string()).hint(invalid.hint()))?;
    if let Some(name) = document.name.as_ref().filter(|name| name.is_empty() || name.chars().any(char::is_control)) {
        return Err(Problem::new(&name.origin, "the name of an ip rule is empty or has control characters")
            .hint("write a short name on one line, or leave `name` out"));
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
