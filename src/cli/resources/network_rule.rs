//! `seawall network-rule add|list|remove`.

use std::net::IpAddr;

use clap::{ArgGroup, Args, Subcommand};
use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::Operation;
use super::arguments::{Common, NamedRegistry};
use super::failure::Failure;
use super::registry::RuleAction;
use super::session::Session;
use super::{columns, flat, trusted_service};
use crate::cli::format::Outcome;

/// Which addresses may reach a registry, and which may not.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Add a network rule.
    Add(Add),
    /// Print the network rules.
    List(List),
    /// Remove a network rule.
    Remove(Remove),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("from").required(true).args(["ip_address", "source_network", "listener"]))]
pub(in crate::cli) struct Add {
    #[command(flatten)]
    registry: NamedRegistry,
    /// An IPv4 or IPv6 address, or a range in CIDR notation.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "subnet")]
    ip_address: Option<String>,
    #[command(flatten)]
    network: VirtualNetwork,
    /// Beyond ACR: whether these addresses may, or may not. Virtual networks may.
    #[arg(long, value_enum, ignore_case = true, default_value = "Allow", conflicts_with_all = ["source_network", "listener"])]
    action: RuleAction,
    /// Beyond ACR: a name for logs and explanations.
    #[arg(long, value_name = "NAME")]
    rule_name: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// A virtual network: its subnet in Azure's words, and by what it is told here.
#[derive(Debug, Args)]
struct VirtualNetwork {
    /// The id of a subnet, or its name with --vnet-name. It is shown, and decides nothing.
    #[arg(long, value_name = "ID|NAME")]
    subnet: Option<String>,
    /// The name of the virtual network of the subnet.
    #[arg(long, value_name = "NAME", requires = "subnet")]
    vnet_name: Option<String>,
    /// Beyond ACR: the virtual network is whoever comes from this address or range.
    #[arg(long, value_name = "ADDRESS")]
    source_network: Option<String>,
    /// Beyond ACR: the virtual network is whoever comes in on the public listener of this name.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    registry: NamedRegistry,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("from").required(true).args(["ip_address", "subnet", "source_network", "listener"]))]
pub(in crate::cli) struct Remove {
    #[command(flatten)]
    registry: NamedRegistry,
    /// The address or range of the rule.
    #[arg(long, value_name = "ADDRESS")]
    ip_address: Option<String>,
    #[command(flatten)]
    network: VirtualNetwork,
    #[command(flatten)]
    common: Common,
}

/// The two lists of a registry's network rule set.
#[derive(Debug, Clone, Copy)]
enum Rules {
    Addresses,
    VirtualNetworks,
}

impl Rules {
    /// ARM's name of it.
    const fn key(self) -> &'static str {
        match self {
            Self::Addresses => "ipRules",
            Self::VirtualNetworks => "virtualNetworkRules",
        }
    }
}

impl VirtualNetwork {
    /// What the rule matches; `None` where nothing was given.
    fn matched(&self) -> Option<Value> {
        let network = self.source_network.as_ref().map(|network| json!({ "sourceNetwork": network }));
        network.or_else(|| self.listener.as_ref().map(|name| json!({ "listener": name })))
    }

    /// The id of the subnet, as `az` makes it.
    fn id(&self, session: &Session) -> Result<Option<String>, Failure> {
        match (&self.subnet, &self.vnet_name) {
            (None, _) => Ok(None),
            (Some(id), None) if id.starts_with('/') => Ok(Some(id.clone())),
            (Some(subnet), Some(network)) if !subnet.starts_with('/') => Ok(Some(session.subnet(network, subnet))),
            (Some(_), _) => Err(Failure::usage("Usage error: [--subnet ID | --subnet NAME --vnet-name NAME]")),
        }
    }
}

impl Operation for Add {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let mut rule = Map::new();
        rule.insert("action".to_owned(), self.action.word().into());
        if let Some(name) = &self.rule_name {
            rule.insert("name".to_owned(), name.as_str().into());
        }
        let which = match (&self.ip_address, self.network.matched()) {
            (Some(addresses), _) => {
                rule.insert("value".to_owned(), addresses.as_str().into());
                Rules::Addresses
            }
            (None, matches) => {
                rule.insert("match".to_owned(), matches.unwrap_or_default());
                if let Some(id) = self.network.id(session)? {
                    rule.insert("id".to_owned(), id.into());
                }
                Rules::VirtualNetworks
            }
        };
        let rule = Value::from(rule);
        let registry = change(session, &self.registry.name, which, |rules| {
            // Two rules for the same sources: the later is what is wanted.
            rules.retain(|other| !same_sources(other, &rule));
            rules.push(rule.clone());
            Ok(())
        })
        .await?;
        if matches!(which, Rules::VirtualNetworks) {
            trusted_service::warn_if_idle(session, &registry);
        }
        Ok(shown(registry))
    }
}

impl Operation for Remove {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let (which, id) = match &self.ip_address {
            Some(_) => (Rules::Addresses, None),
            None => (Rules::VirtualNetworks, self.network.id(session)?),
        };
        let wanted = match (&self.ip_address, self.network.matched()) {
            (Some(addresses), _) => json!({ "value": addresses }),
            (None, matches) => json!({ "match": matches }),
        };
        let registry = change(session, &self.registry.name, which, |rules| {
            let before = rules.len();
            rules.retain(|rule| !same_sources(rule, &wanted) && !has_id(rule, id.as_deref()));
            if rules.len() == before {
                return Err(Failure::new(format!("There is no network rule for '{}'.", self.described())));
            }
            Ok(())
        })
        .await?;
        Ok(shown(registry))
    }
}

impl Remove {
    fn described(&self) -> &str {
        let VirtualNetwork { subnet, source_network, listener, .. } = &self.network;
        let given = [&self.ip_address, subnet, source_network, listener];
        given.into_iter().flatten().next().map_or("", String::as_str)
    }
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let registry = flat::registry(session.get(&session.registry(&self.registry.name)).await?);
        let rules = registry.get("networkRuleSet");
        let list = |name: &str| rules.and_then(|rules| rules.get(name)).cloned().unwrap_or_else(|| json!([]));
        let lists = json!({ "ipRules": list("ipRules"), "virtualNetworkRules": list("virtualNetworkRules") });
        Ok(Outcome::table(lists, columns::network_rules))
    }
}

/// Changes one of the registry's lists as `edit` does, and leaves the other and the default action as they are.
async fn change(
    session: &Session,
    registry: &str,
    which: Rules,
    edit: impl Fn(&mut Vec<Value>) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    let body = |current: &Value| {
        let set = current.pointer("/properties/networkRuleSet");
        let action = set.and_then(|set| set.get("defaultAction")).cloned().unwrap_or_else(|| "Allow".into());
        let rules = set.and_then(|set| set.get(which.key())).and_then(Value::as_array);
        let mut rules = rules.cloned().unwrap_or_default();
        edit(&mut rules)?;
        Ok(json!({ "properties": { "networkRuleSet": { "defaultAction": action, which.key(): rules } } }))
    };
    session.modify(&session.registry(registry), body).await
}

fn shown(registry: Value) -> Outcome {
    Outcome::table(flat::registry(registry), columns::registries)
}

/// Whether both rules are for exactly the same addresses, however they are written, or the same listener.
fn same_sources(rule: &Value, other: &Value) -> bool {
    let addresses = |rule: &Value| {
        let value = rule.get("value").or_else(|| rule.pointer("/match/sourceNetwork"));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let listener = |rule: &Value| rule.pointer("/match/listener").cloned();
    match (addresses(rule), addresses(other)) {
        (Some(one), Some(other)) => covers(&one, &other),
        (None, None) => listener(rule).is_some() && listener(rule) == listener(other),
        _ => false,
    }
}

fn has_id(rule: &Value, id: Option<&str>) -> bool {
    let known = rule.get("id").and_then(Value::as_str);
    id.is_some_and(|id| known.is_some_and(|known| known.eq_ignore_ascii_case(id)))
}

fn covers(value: &str, addresses: &str) -> bool {
    match (network(value), network(addresses)) {
        (Some(one), Some(other)) => one == other,
        _ => value == addresses,
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.map(|network| network.trunc())
}
