//! The network's part of an explanation: what [`NetworkRules::admit`] says, beside the rules that it had to choose from.
//!
//! [`NetworkRules::admit`]: crate::policy::network::NetworkRules::admit

use std::sync::Arc;

use super::missing;
use super::question::{Question, Via};
use super::step::{Notes, Stage, Step, StepEffect};
use crate::policy::network::{
    Effect, EndpointMark, EndpointMatch, IpRule, Network, Reason, Refused, Source, SourceAddress, VirtualNetworkMatch,
};
use crate::policy::origin::Origin;
use crate::policy::principal::Principal;
use crate::policy::properties::Setting;
use crate::policy::registry::Registry;
use crate::policy::trusted::{Admission, Distrust, TrustedInstance};

/// Whether the network rules admit whoever asks, as far as that does not depend on who it is; what was considered goes into
/// `notes`.
///
/// # Errors
/// A sentence, when the registry has no such private endpoint connection or virtual network rule.
pub(super) fn admit(
    registry: &Registry,
    question: &Question,
    notes: &mut impl Notes,
) -> Result<Result<Admission, Refused>, String> {
    let (network, listener) = network_of(registry, &question.via)?;
    let source = Source::public(question.source).on(&listener).behind(&network);
    let decision = registry.admit(source);
    notes.note(|| considered(registry, source, &decision));
    Ok(decision)
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

/// Says which of the conditions of a trusted service `principal` meets, and whether he passes as one.
pub(super) fn enter(
    registry: &Registry,
    admission: Result<Admission, Refused>,
    principal: &Principal,
    notes: &mut impl Notes,
) -> Result<(), Refused> {
    let admission = admission?;
    let resolved = admission.resolve(registry, principal).map(|_| ());
    if matches!(admission, Admission::Confined(_)) {
        let trust = registry.trust(principal, admission.place());
        if trust.is_ok() {
            notes.overrule();
        }
        notes.note(|| [trusted(registry, trust)]);
    }
    resolved
}

fn trusted(registry: &Registry, trust: Result<&Arc<TrustedInstance>, Distrust>) -> Step {
    match trust {
        Ok(instance) => {
            let rule = format!("trusted service {}", instance.service.name);
            let says = "passes the rules for public networks";
            Step::new(Stage::Network, rule, &instance.origin, StepEffect::Allows, says)
        }
        Err(distrust) => distrusted(registry, &distrust, StepEffect::Denies),
    }
}

/// Why nobody passes as a trusted service, at the property that says so.
pub(super) fn distrusted(registry: &Registry, distrust: &Distrust, effect: StepEffect) -> Step {
    let set = registry.properties();
    let (rule, place) = match distrust {
        Distrust::SwitchedOff => ("networkRuleBypassOptions", place(&set.network_rule_bypass_options)),
        Distrust::NotForTasks => {
            ("networkRuleBypassAllowedForTasks", place(&set.network_rule_bypass_allowed_for_tasks))
        }
        Distrust::NotExported => ("exportPolicy", place(&set.export_policy)),
        Distrust::VirtualNetworks => ("virtualNetworkRules", registry.origin.clone()),
        Distrust::Nobody
        | Distrust::Unvouched
        | Distrust::Stranger
        | Distrust::OutOfNetworks(_)
        | Distrust::WrongKind(_)
        | Distrust::Unproven(_) => ("trustedServices", place(&set.trusted_services)),
    };
    Step::new(Stage::Network, rule, &place, effect, distrust.to_string())
}

/// Everything that there was to choose from.
fn considered(registry: &Registry, source: Source<'_>, decision: &Result<Admission, Refused>) -> Vec<Step> {
    let mut steps = Vec::new();
    let reason = decision.as_ref().map_or_else(Refused::reason, Admission::reason);
    let admitted = matches!(decision, Ok(Admission::Admitted(_)));
    let verdict = if admitted { StepEffect::Allows } else { StepEffect::Denies };
    let effect = |decided: bool| if decided { verdict } else { StepEffect::Nothing };
    let (mut access, mut only_v4, mut unreadable, mut default) = (false, false, false, false);
    let (mut matched, mut virtual_network) = (None, None);
    match reason {
        Reason::PublicAccessDisabled => access = true,
        Reason::OnlyV4 => only_v4 = true,
        Reason::RulesUnreadable => unreadable = true,
        Reason::Rule(rule) => matched = Some(&**rule),
        Reason::VirtualNetwork(rule) => virtual_network = Some(rule),
        Reason::DefaultAction(_) => default = true,
        // Not before it is known who asks.
        Reason::TrustedService(_) => {}
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
    if only_v4 {
        let says = "IPv4: no public IPv6 address is admitted, whatever the rules say";
        steps.push(Step::new(Stage::Network, "endpointProtocol", &place(&set.endpoint_protocol), verdict, says));
    }
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
    if let Some(distrust) = decision.as_ref().err().and_then(Refused::distrust) {
        steps.push(distrusted(registry, distrust, StepEffect::Nothing));
    }
    steps.extend(registry.network.shadowed(source, admitted).map(|shadowed| {
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
