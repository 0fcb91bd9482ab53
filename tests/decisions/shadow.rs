//! Rules that are tried: they say what they would decide if they were in force, and decide nothing.

use std::net::IpAddr;

use seawall::policy::network::{Admitted, Effect, Network, Refused, Source};
use seawall::policy::{PolicySnapshot, Registry};

use super::policy::compiled;

/// One registry with these properties.
fn with(properties: &str) -> PolicySnapshot {
    let text = format!(
        "myregistry:\n  {{ loginServer: one.example.com, upstream: {{ url: http://127.0.0.1:5000 }}, {properties} }}\n"
    );
    let (policy, problems) = compiled(&text);
    policy.unwrap_or_else(|| panic!("{problems}{text}"))
}

fn registry(policy: &PolicySnapshot) -> &Registry {
    policy.registry_named("myregistry").unwrap()
}

const RULES: [&str; 3] =
    ["", "ipRules: [{ value: 10.0.0.0/8 }]", "ipRules: [{ value: 10.0.0.0/8, action: Deny }, { value: 10.1.0.0/16 }]"];
const NETWORKS: &str = "virtualNetworkRules: [{ name: lab, match: { sourceNetwork: 10.9.0.0/16 } }]";

/// `key: value`, or nothing.
fn property(key: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{key}: {value}, ") }
}

/// Every combination of what is in force and what is tried, left out or not.
#[test]
fn shadow_rules_say_what_they_would_decide_if_they_were_in_force() {
    for access in ["Enabled", "Disabled"] {
        for default in ["Allow", "Deny"] {
            for rules in RULES {
                for tried_access in ["", "Enabled", "Disabled"] {
                    for tried_default in ["", "Allow", "Deny"] {
                        for tried_rules in RULES {
                            compare([access, default, rules], [tried_access, tried_default, tried_rules]);
                        }
                    }
                }
            }
        }
    }
}

fn compare([access, default, rules]: [&str; 3], [tried_access, tried_default, tried_rules]: [&str; 3]) {
    let set = |access: &str, default: &str, rules: &str, shadow: &str| {
        format!(
            "publicNetworkAccess: {access}, networkRuleSet: {{ defaultAction: {default}, {shadow}{NETWORKS}, {rules} }}"
        )
    };
    let shadow = format!(
        "shadow: {{ {}{}{tried_rules} }}, ",
        property("publicNetworkAccess", tried_access),
        property("defaultAction", tried_default)
    );
    let pick = |tried: &str, real: &str| if tried.is_empty() { real.to_owned() } else { tried.to_owned() };
    let beside = with(&set(access, default, rules, &shadow));
    let plain = with(&set(access, default, rules, ""));
    let would = with(&set(&pick(tried_access, access), &pick(tried_default, default), &pick(tried_rules, rules), ""));
    for address in ["10.1.0.1", "10.2.0.1", "10.9.0.1", "192.0.2.1", "2001:db8::1"] {
        let source = Source::public(address.parse::<IpAddr>().unwrap());
        let decide = |policy: &PolicySnapshot| registry(policy).network.admit(source);
        let (decision, other) = (decide(&beside), decide(&would));
        assert_eq!(decision.is_ok(), decide(&plain).is_ok(), "it decides: {shadow}");
        assert_eq!(registry(&plain).network.shadowed(source, decide(&plain).is_ok()), None);
        let shadowed = registry(&beside).network.shadowed(source, decision.is_ok());
        let expected =
            (decision.is_ok() != other.is_ok()).then_some(if other.is_ok() { Effect::Allow } else { Effect::Deny });
        assert_eq!(shadowed.as_ref().map(|one| one.would), expected, "{address}: {shadow}");
        if let Some(shadowed) = shadowed {
            let kind = |text: String| text.split(" at ").next().map(str::to_owned);
            let reason = other.as_ref().map_or_else(Refused::reason, Admitted::reason);
            assert_eq!(kind(shadowed.reason.to_string()), kind(reason.to_string()));
            assert!(shadowed.to_string().contains("; tried at policy.yaml:"), "{shadowed}");
        }
    }
}

/// What is tried is about public sources: endpoints are decided by their connections.
#[test]
fn shadow_rules_say_nothing_about_private_endpoints() {
    let policy = with(
        "privateEndpointConnections: [{ name: lab, match: { listener: lab }, status: Approved }], networkRuleSet: { shadow: { \
         publicNetworkAccess: Disabled } }",
    );
    let network = Network::PrivateEndpoint(seawall::policy::network::EndpointMark::Listener("lab".into()));
    let source = Source::public(IpAddr::from([10, 0, 0, 1])).behind(&network);
    let rules = &registry(&policy).network;
    assert_eq!(rules.shadowed(source, rules.admit(source).is_ok()), None);
}

#[test]
fn what_is_tried_is_checked_like_what_is_in_force() {
    let problems = |shadow: &str| {
        compiled(&format!(
            "myregistry:\n  loginServer: one.example.com\n  upstream: {{ url: http://127.0.0.1:5000 }}\n  networkRuleSet:\n    \
             shadow: {shadow}\n"
        ))
    };
    let (policy, nothing) = problems("{}");
    assert!(policy.is_some() && nothing.contains("policy.yaml:5:13: warning: `shadow` tries nothing"), "{nothing}");
    let (policy, rule) = problems("{ ipRules: [{ value: 10.0.0.1/8 }] }");
    assert!(policy.is_none() && rule.contains("policy.yaml:5:34"), "{rule}");
    let (_, unknown) = problems("{ virtualNetworkRules: [] }");
    assert!(unknown.contains("virtualNetworkRules"), "{unknown}");
}
