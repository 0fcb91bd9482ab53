//! The network's part of an explanation: what [`NetworkRules::admit`] says, beside the rules that it had to choose from.
//!
//! [`NetworkRules::admit`]: crate::policy::network::NetworkRules::admit

use super::step::{Stage, Step, StepEffect};
use crate::policy::network::{Effect, IpRule, Reason, Source, SourceAddress};
use crate::policy::origin::Origin;
use crate::policy::properties::Setting;
use crate::policy::registry::Registry;

/// Whether the network rules admit `source`, and the sentence that says why; what was considered goes into `steps`.
pub(super) fn admit(registry: &Registry, source: SourceAddress, steps: &mut Vec<Step>) -> Result<(), String> {
    // Of what comes over a private endpoint, or on one listener, nobody asks here yet: see `Recorded::question`.
    let admitted = registry.network.admit(Source::public(source));
    let reason = match &admitted {
        Ok(admitted) => admitted.reason(),
        Err(refused) => refused.reason(),
    };
    let verdict = if admitted.is_ok() { StepEffect::Allows } else { StepEffect::Denies };
    let effect = |decided: bool| if decided { verdict } else { StepEffect::Nothing };
    let (mut access, mut unreadable, mut default, mut matched, mut virtual_network) = (false, false, false, None, None);
    match reason {
        Reason::PublicAccessDisabled => access = true,
        Reason::RulesUnreadable => unreadable = true,
        Reason::Rule(rule) => matched = Some(&**rule),
        Reason::VirtualNetwork(rule) => virtual_network = Some(rule),
        Reason::DefaultAction(_) => default = true,
        Reason::PrivateEndpoint(_) | Reason::UnknownEndpoint(_) => {
            let title = "privateEndpointConnections";
            steps.push(Step::new(Stage::Network, title, &registry.origin, verdict, reason.to_string()));
        }
    }
    let set = registry.properties();
    let says = if access { "Disabled: no public address is admitted, whatever the rules say" } else { "Enabled" };
    let public = &set.public_network_access;
    steps.push(Step::new(Stage::Network, "publicNetworkAccess", &place(public), effect(access), says));
    if unreadable {
        steps.push(Step::new(Stage::Network, "ipRules", &place(&set.ip_rules), verdict, reason.to_string()));
    }
    for rule in candidates(registry, source) {
        let decides = matched == Some(rule);
        let says = match (decides, rule.effect) {
            (true, Effect::Allow) => "Allow: the longest prefix that holds the address",
            (true, Effect::Deny) => "Deny: the longest prefix that holds the address",
            (false, _) if matched.is_some() => "holds the address, but a longer prefix does too",
            (false, _) => "holds the address, but does not count",
        };
        steps.push(Step::new(Stage::Network, title(rule), &rule.origin, effect(decides), says));
    }
    for rule in registry.network.virtual_networks() {
        let decides = virtual_network == Some(rule);
        let says = if decides { "Allow: it holds the source" } else { "does not hold the source, or is not asked" };
        let title = format!("virtual network rule `{}`", rule.name);
        steps.push(Step::new(Stage::Network, title, &rule.origin, effect(decides), says));
    }
    let says = format!(
        "{}: {}",
        word(set.default_action.value.into()),
        if default { reason.to_string() } else { "not asked".to_owned() }
    );
    steps.push(Step::new(Stage::Network, "defaultAction", &place(&set.default_action), effect(default), says));
    match admitted {
        Ok(_) => Ok(()),
        Err(refused) => Err(refused.reason().to_string()),
    }
}

/// Where a property is declared.
fn place<T>(setting: &Setting<T>) -> Origin {
    setting.declared.clone().unwrap_or_else(|| Origin::new("store or default", 0, 0))
}

/// The rules that hold the address, the longest prefix first.
fn candidates(registry: &Registry, source: SourceAddress) -> Vec<&IpRule> {
    let mut found: Vec<_> =
        registry.network.ip_rules().iter().filter(|rule| rule.network.contains(&source.ip())).collect();
    found.sort_by_key(|rule| std::cmp::Reverse(rule.network.prefix_len()));
    found
}

fn title(rule: &IpRule) -> String {
    let name = rule.name.as_ref().map_or_else(String::new, |name| format!("`{name}` "));
    format!("ip rule {name}{}", rule.network)
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    }
}
