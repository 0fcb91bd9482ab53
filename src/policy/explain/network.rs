//! The network's part of an explanation: what [`NetworkRules::admit`] says, beside the rules that it had to choose from.
//!
//! [`NetworkRules::admit`]: crate::policy::network::NetworkRules::admit

use std::sync::Arc;

use super::missing;
use super::question::{Question, Via};
use super::step::{Notes, Stage, Step, StepEffect};
use crate::policy::network::{
    Admitted, Effect, EndpointMark, EndpointMatch, IpRule, Network, Reason, Refused, Source, SourceAddress,
    VirtualNetworkMatch,
};
use crate::policy::origin::Origin;
use crate::policy::properties::Setting;
use crate::policy::registry::Registry;

/// Whether the network rules admit whoever asks, and if not the sentence that says why; what was considered goes into `notes`.
///
/// # Errors
/// A sentence, when the registry has no such private endpoint connection or virtual network rule.
pub(super) fn admit(
    registry: &Registry,
    question: &Question,
    notes: &mut impl Notes,
) -> Result<Result<(), String>, String> {
    let (network, listener) = network_of(registry, &question.via)?;
    let source = Source::public(question.source).on(&listener).behind(&network);
    let decision = registry.network.admit(source);
    notes.note(|| considered(registry, source, &decision));
    Ok(decision.map(|_| ()).map_err(|refused| refused.reason().to_string()))
}

/// The network, and the listener's name, of whoever comes that way.
fn network_of(registry: &Registry, via: &Via) -> Result<(Network, Arc<str>), String> {
    let nowhere = || Arc::from("");
    match via {
        Via::Public => Ok((Network::Public, nowhere())),
        Via::Listener(name) => Ok((Network::Public, name.as_str().into())),
        Via::UnknownEndpoint(mark) => Ok((Network::PrivateEndpoint(mark.clone()), nowhere())),
        Via::PrivateEndpoint(name) => {
            let all = registry.network.endpoints().connections();
            let known = all.iter().map(|one| &*one.name);
            let found = all.iter().find(|one| *one.name == **name);
            let mark = match &found.ok_or_else(|| missing("private endpoint connection", name, known))?.matches {
                EndpointMatch::Mark(mark) => mark.clone(),
                EndpointMatch::SourceNetwork(_) => EndpointMark::Listener(nowhere()),
            };
            Ok((Network::PrivateEndpoint(mark), nowhere()))
        }
        Via::VirtualNetwork(name) => {
            let all = registry.network.virtual_networks();
            let known = all.iter().map(|one| &*one.name);
            let found = all.iter().find(|one| *one.name == **name);
            match &found.ok_or_else(|| missing("virtual network rule", name, known))?.matches {
                VirtualNetworkMatch::Listener(listener) => Ok((Network::Public, Arc::clone(listener))),
                VirtualNetworkMatch::SourceNetwork(_) => Ok((Network::Public, nowhere())),
            }
        }
    }
}

/// Everything that there was to choose from.
fn considered(registry: &Registry, source: Source<'_>, decision: &Result<Admitted, Refused>) -> Vec<Step> {
    let mut steps = Vec::new();
    let reason = decision.as_ref().map_or_else(Refused::reason, Admitted::reason);
    let verdict = if decision.is_ok() { StepEffect::Allows } else { StepEffect::Denies };
    let effect = |decided: bool| if decided { verdict } else { StepEffect::Nothing };
    let (mut access, mut unreadable, mut default, mut matched, mut virtual_network) = (false, false, false, None, None);
    match reason {
        Reason::PublicAccessDisabled => access = true,
        Reason::RulesUnreadable => unreadable = true,
        Reason::Rule(rule) => matched = Some(&**rule),
        Reason::VirtualNetwork(rule) => virtual_network = Some(rule),
        Reason::DefaultAction(_) => default = true,
        // Its address never meets the public rules.
        Reason::PrivateEndpoint(connection) => {
            let title = format!("private endpoint connection `{}`", connection.name);
            return vec![Step::new(Stage::Network, title, &connection.origin, verdict, connection.status.to_string())];
        }
        Reason::UnknownEndpoint(_) => {
            let title = "privateEndpointConnections";
            return vec![Step::new(Stage::Network, title, &registry.origin, verdict, reason.to_string())];
        }
    }
    let set = registry.properties();
    let says = if access { "Disabled: no public address is admitted, whatever the rules say" } else { "Enabled" };
    let public = &set.public_network_access;
    steps.push(Step::new(Stage::Network, "publicNetworkAccess", &place(public), effect(access), says));
    if unreadable {
        steps.push(Step::new(Stage::Network, "ipRules", &place(&set.ip_rules), verdict, reason.to_string()));
    }
    for rule in candidates(registry, source.address) {
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
    steps.extend(registry.network.shadowed(source, decision).map(|shadowed| {
        let says = format!("would {}: {}", word(shadowed.would), shadowed.reason);
        Step::new(Stage::Network, "shadow", &shadowed.origin, StepEffect::Nothing, says)
    }));
    steps
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
