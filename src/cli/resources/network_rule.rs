//! `seawall network-rule add|list|remove`.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::Operation;
use super::arguments::{Common, NamedRegistry};
use super::failure::Failure;
use super::registry::RuleAction;
use super::session::Session;
use super::{columns, flat};
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
pub(in crate::cli) struct Add {
    #[command(flatten)]
    registry: NamedRegistry,
    /// An IPv4 or IPv6 address, or a range in CIDR notation.
    #[arg(long, value_name = "ADDRESS")]
    ip_address: String,
    /// Beyond ACR: whether these addresses may, or may not.
    #[arg(long, value_enum, ignore_case = true, default_value = "Allow")]
    action: RuleAction,
    /// Beyond ACR: a name for logs and explanations.
    #[arg(long, value_name = "NAME")]
    rule_name: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    registry: NamedRegistry,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    #[command(flatten)]
    registry: NamedRegistry,
    /// The address or range of the rule.
    #[arg(long, value_name = "ADDRESS")]
    ip_address: String,
    #[command(flatten)]
    common: Common,
}

impl Operation for Add {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let mut rule = Map::new();
        rule.insert("action".to_owned(), self.action.word().into());
        rule.insert("value".to_owned(), self.ip_address.as_str().into());
        if let Some(name) = &self.rule_name {
            rule.insert("name".to_owned(), name.as_str().into());
        }
        change(session, &self.registry.name, |rules| {
            // Two rules for the same addresses: the later is what is wanted.
            rules.retain(|rule| !covers(rule, &self.ip_address));
            rules.push(rule.clone().into());
            Ok(())
        })
        .await
    }
}

impl Operation for Remove {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        change(session, &self.registry.name, |rules| {
            let before = rules.len();
            rules.retain(|rule| !covers(rule, &self.ip_address));
            if rules.len() == before {
                return Err(Failure::new(format!("There is no network rule for '{}'.", self.ip_address)));
            }
            Ok(())
        })
        .await
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

/// Changes the rules as `edit` does, and leaves the default action as it is.
async fn change(
    session: &Session,
    registry: &str,
    edit: impl Fn(&mut Vec<Value>) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let body = |current: &Value| {
        let set = current.pointer("/properties/networkRuleSet");
        let action = set.and_then(|set| set.get("defaultAction")).cloned().unwrap_or_else(|| "Allow".into());
        let rules = set.and_then(|set| set.get("ipRules")).and_then(Value::as_array);
        let mut rules = rules.cloned().unwrap_or_default();
        edit(&mut rules)?;
        Ok(json!({ "properties": { "networkRuleSet": { "defaultAction": action, "ipRules": rules } } }))
    };
    let registry = session.modify(&session.registry(registry), body).await?;
    Ok(Outcome::table(flat::registry(registry), columns::registries))
}

/// Whether the rule is for exactly these addresses, however they are written.
fn covers(rule: &Value, addresses: &str) -> bool {
    let Some(value) = rule.get("value").and_then(Value::as_str) else { return false };
    match (network(value), network(addresses)) {
        (Some(one), Some(other)) => one == other,
        _ => value == addresses,
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.map(|network| network.trunc())
}
