use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::policy::document::{IpRuleDocument, NetworkAction, PublicNetworkAccess};
use crate::policy::origin::{At, Origin};
use crate::policy::problem::Problems;
use crate::policy::stored::StoredIpRule;
use NetworkAction::{Allow, Deny};

fn rule(value: &str, action: NetworkAction, line: u32) -> IpRuleDocument {
    IpRuleDocument { value: At::new(value.to_owned(), Origin::new("policy.yaml", line, 11)), action, name: None }
}

fn documents(rules: &[(&str, NetworkAction)]) -> Vec<IpRuleDocument> {
    (1..).zip(rules).map(|(line, (value, action))| rule(value, *action, line)).collect()
}

fn rules_of(default_action: NetworkAction, documents: &[IpRuleDocument]) -> NetworkRules {
    let mut problems = Problems::new();
    let rules = IpRules::compile(documents, &mut problems).unwrap();
    assert!(problems.is_empty());
    NetworkRules::new(PublicNetworkAccess::Enabled, default_action, Some(Arc::new(rules)))
}

fn compiled(default_action: NetworkAction, written: &[(&str, NetworkAction)]) -> NetworkRules {
    rules_of(default_action, &documents(written))
}

fn source(text: &str) -> SourceAddress {
    SourceAddress::new(text.parse().unwrap())
}

/// Whether the address is admitted, and the reason as printed.
fn decision(rules: &NetworkRules, address: &str) -> (bool, String) {
    match rules.admit(Source::public(source(address))) {
        Ok(admitted) => (true, admitted.reason().to_string()),
        Err(refused) => (false, refused.reason().to_string()),
    }
}

#[track_caller]
fn assert_table(default_action: NetworkAction, written: &[(&str, NetworkAction)], expected: &[(&str, bool)]) {
    let rules = compiled(default_action, written);
    for (address, admitted) in expected {
        assert_eq!(decision(&rules, address).0, *admitted, "{address}: {}", decision(&rules, address).1);
    }
}

#[test]
fn longest_prefix_decides_whatever_the_order() {
    let expected = [
        ("203.0.113.1", true),
        ("203.0.113.66", false),
        ("203.0.114.1", false),
        ("2001:db8:10::1", true),
        ("2001:db8:10:1::1", false),
        ("2001:db8:11::1", false),
    ];
    let mut written = [
        ("203.0.113.0/24", Allow),
        ("203.0.113.66", Deny),
        ("2001:db8:10::/48", Allow),
        ("2001:db8:10:1::/64", Deny),
        ("203.0.0.0/16", Deny),
    ];
    assert_table(Deny, &written, &expected);
    written.reverse();
    assert_table(Deny, &written, &expected);
}

#[test]
fn deny_wins_at_equal_length_whatever_the_order() {
    for written in [[("10.0.0.0/8", Allow), ("10.0.0.0/8", Deny)], [("10.0.0.0/8", Deny), ("10.0.0.0/8", Allow)]] {
        assert_table(Allow, &written, &[("10.1.2.3", false), ("11.1.2.3", true)]);
    }
}

#[test]
fn default_action_decides_without_a_matching_rule() {
    assert_eq!(
        decision(&compiled(Deny, &[]), "192.0.2.1"),
        (false, "no ip rule matches and defaultAction is Deny".to_owned())
    );
    assert_eq!(
        decision(&compiled(Allow, &[]), "::1"),
        (true, "no ip rule matches and defaultAction is Allow".to_owned())
    );
}

#[test]
fn disabled_public_access_refuses_even_what_a_rule_allows() {
    let written = IpRules::compile(&documents(&[("0.0.0.0/0", Allow), ("::/0", Allow)]), &mut Problems::new());
    let rules = NetworkRules::new(PublicNetworkAccess::Disabled, Allow, written.map(Arc::new));
    for address in ["127.0.0.1", "::1", "203.0.113.1"] {
        assert_eq!(decision(&rules, address), (false, "publicNetworkAccess is Disabled".to_owned()));
    }
}

#[test]
fn reason_names_the_rule_and_its_place_on_one_line() {
    let mut written = documents(&[("203.0.113.0/24", Allow), ("203.0.113.66", Deny)]);
    written[1].name = Some(At::new("leaked-laptop".to_owned(), Origin::new("policy.yaml", 2, 30)));
    let rules = rules_of(Deny, &written);
    assert_eq!(
        decision(&rules, "203.0.113.66"),
        (false, "ip rule `leaked-laptop` (Deny 203.0.113.66/32) at policy.yaml:2:11".to_owned())
    );
    assert_eq!(
        decision(&rules, "203.0.113.7"),
        (true, "ip rule (Allow 203.0.113.0/24) at policy.yaml:1:11".to_owned())
    );
}

#[test]
fn of_two_rules_alike_the_first_is_named() {
    let rules = compiled(Deny, &[("10.0.0.0/8", Allow), ("::ffff:10.0.0.0/104", Allow)]);
    assert_eq!(rules.ip_rules().len(), 1);
    assert_eq!(decision(&rules, "10.0.0.1").1, "ip rule (Allow 10.0.0.0/8) at policy.yaml:1:11");
}

#[test]
fn mapped_address_cannot_step_around_an_ipv4_rule() {
    assert_table(
        Allow,
        &[("10.0.0.0/8", Deny)],
        &[("::ffff:10.0.0.1", false), ("::ffff:a00:1", false), ("10.0.0.1", false), ("::ffff:11.0.0.1", true)],
    );
    assert_eq!(source("::ffff:10.0.0.1").to_string(), "10.0.0.1");
}

#[test]
fn mapped_rule_holds_ipv4_addresses() {
    assert_table(
        Allow,
        &[("::ffff:10.0.0.0/104", Deny), ("::ffff:192.0.2.1", Deny)],
        &[("10.255.0.1", false), ("::ffff:10.0.0.1", false), ("192.0.2.1", false), ("192.0.2.2", true)],
    );
    assert_table(Allow, &[("::ffff:0:0/96", Deny)], &[("1.2.3.4", false), ("::1", true)]);
}

#[test]
fn other_embeddings_of_ipv4_are_not_that_ipv4_address() {
    let addresses = ["64:ff9b::10.0.0.1", "::10.0.0.1", "2002:a00:1::", "::ffff:0:10.0.0.1"];
    let rules = compiled(Deny, &[("10.0.0.0/8", Allow)]);
    for address in addresses {
        assert!(!decision(&rules, address).0, "{address}");
    }
}

#[test]
fn each_family_has_its_own_everything() {
    assert_table(Allow, &[("::/0", Deny)], &[("::1", false), ("1.2.3.4", true), ("::ffff:1.2.3.4", true)]);
    assert_table(Allow, &[("0.0.0.0/0", Deny)], &[("::1", true), ("1.2.3.4", false), ("::ffff:1.2.3.4", false)]);
}

#[test]
fn every_bad_network_is_a_problem_at_its_place_with_a_hint() {
    let cases = [
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("2001:db8::1/64", "2001:db8::/64"),
        ("::ffff:10.0.0.1/104", "10.0.0.0/8"),
        ("fe80::1%eth0", "percent"),
        ("fe80::%2/64", "percent"),
        ("10.0.0.0/33", "0 to 32"),
        ("::/129", "0 to 128"),
        ("10.0.0.0/08", "0 to 32"),
        ("10.0.0.0/+8", "0 to 32"),
        ("10.0.0.0/", "0 to 32"),
        ("10.0.0.0/8/8", "0 to 32"),
        ("10.0.0.0/255.0.0.0", "0 to 32"),
        ("010.0.0.1", "203.0.113.0/24"),
        ("10.0.0", "203.0.113.0/24"),
        ("10.0.0.1-10.0.0.9", "203.0.113.0/24"),
        ("office.example.com", "203.0.113.0/24"),
        (" 10.0.0.1", "203.0.113.0/24"),
        ("", "203.0.113.0/24"),
        ("*", "203.0.113.0/24"),
    ];
    for (text, hint) in cases {
        let mut problems = Problems::new();
        assert!(IpRules::compile(&documents(&[("192.0.2.0/24", Allow), (text, Allow)]), &mut problems).is_none());
        let problem = problems.iter().next().unwrap();
        assert_eq!(problem.origin.to_string(), "policy.yaml:2:11", "{text}");
        assert!(problem.hint.as_ref().unwrap().contains(hint), "{text}: {problem}");
        assert!(check_rule(text).unwrap_err().contains(hint), "{text}");
    }
}

#[test]
fn all_problems_are_collected() {
    let mut problems = Problems::new();
    let mut written = documents(&[("x", Allow), ("192.0.2.0/24", Allow), ("10.0.0.1/8", Allow), ("::1", Allow)]);
    written[3].name = Some(At::new("two\nlines".to_owned(), Origin::new("policy.yaml", 4, 40)));
    assert!(IpRules::compile(&written, &mut problems).is_none());
    let places: Vec<_> = problems.iter().map(|problem| problem.origin.to_string()).collect();
    assert_eq!(places, ["policy.yaml:1:11", "policy.yaml:3:11", "policy.yaml:4:40"]);
}

/// What the API has set was checked; if it cannot be read all the same, leaving a rule out could let somebody in.
#[test]
fn rules_of_the_store_that_cannot_be_read_admit_nobody() {
    let stored = |value: &str, action| StoredIpRule { value: value.to_owned(), action, name: None };
    let good = [stored("203.0.113.0/24", Allow), stored("203.0.113.66", Deny)];
    let rules = |rules: &[StoredIpRule]| IpRules::of_stored(rules).map(Arc::new);
    let readable = NetworkRules::new(PublicNetworkAccess::Enabled, Deny, rules(&good).ok());
    assert_eq!(decision(&readable, "203.0.113.7"), (true, "ip rule (Allow 203.0.113.0/24) at store".to_owned()));
    let bad = [good[0].clone(), stored("203.0.113.300", Deny)];
    let unreadable = NetworkRules::new(PublicNetworkAccess::Enabled, Allow, rules(&bad).ok());
    assert_eq!(
        decision(&unreadable, "203.0.113.7"),
        (false, "what the store has as network rules cannot be read".to_owned())
    );
}

/// The structure behind the promise that many rules cost no more than few: at most two ranges for a network, however
/// deep they nest, and (`steps`) one cache line a level, eight-fold. Time itself is measured by `benches/network.rs`.
#[test]
fn nesting_adds_at_most_two_ranges_a_network() {
    let nested = |bits: u8, address: IpAddr| {
        (0..=bits).map(move |length| (IpNet::new(address, length).unwrap().trunc(), length))
    };
    let inside = nested(32, Ipv4Addr::new(85, 85, 85, 85).into()).chain(nested(128, Ipv6Addr::LOCALHOST.into()));
    assert_eq!(NetworkTable::new(&inside.collect()).ranges(), (33, 129));
    let at_the_edge = nested(32, Ipv4Addr::BROADCAST.into()).chain(nested(128, Ipv6Addr::UNSPECIFIED.into()));
    assert_eq!(NetworkTable::new(&at_the_edge.collect()).ranges(), (33, 129));
    let apart = (1..=100).map(|n| (IpNet::new(Ipv4Addr::new(10, n, 0, 0).into(), 24).unwrap(), n));
    assert_eq!(NetworkTable::new(&apart.collect()).ranges(), (2 * 100 + 1, 1));
}

#[test]
fn a_hundred_thousand_rules_are_each_found() {
    let mut written: Vec<_> = (0..100_000_u32)
        .map(|n| (Ipv4Addr::from(0x0a00_0000 + n * 256).to_string() + "/24", if n % 2 == 0 { Allow } else { Deny }))
        .collect();
    written.push(("10.0.0.0/8".to_owned(), Deny));
    written.push(("0.0.0.0/0".to_owned(), Allow));
    let written: Vec<_> = written.iter().map(|(value, action)| (value.as_str(), *action)).collect();
    let rules = compiled(Deny, &written);
    assert_eq!(rules.ip_rules().len(), 100_002);
    for n in (0..100_000_u32).step_by(97) {
        let address = Ipv4Addr::from(0x0a00_0000 + n * 256 + 7).to_string();
        let (admitted, reason) = decision(&rules, &address);
        assert_eq!(admitted, n % 2 == 0, "{address}");
        assert!(reason.ends_with(&format!("policy.yaml:{}:11", n + 1)), "{reason}");
    }
}

/// Addresses and networks from a few bits, so that random rules overlap and random addresses meet them.
fn clustered() -> impl Strategy<Value = IpAddr> {
    let few = prop::sample::select(vec![0_u32, 1, 0x0a00_0000, 0x0a00_0001, 0x0a01_0000, 0x0a01_02ff, u32::MAX]);
    prop_oneof![
        few.clone().prop_map(|bits| IpAddr::V4(bits.into())),
        few.clone().prop_map(|bits| IpAddr::V6(Ipv4Addr::from(bits).to_ipv6_mapped())),
        (few.clone(), few)
            .prop_map(|(high, low)| { IpAddr::V6(Ipv6Addr::from(u128::from(high) << 96 | u128::from(low))) }),
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
    ]
}

fn network() -> impl Strategy<Value = IpNet> {
    (clustered(), 0..=128_u8).prop_map(|(address, length)| {
        IpNet::new(address, if address.is_ipv4() { length % 33 } else { length }).unwrap().trunc()
    })
}

/// Whether `network` holds `address`, bit by bit, both as written; an IPv4 network stands for its mapped form.
fn holds(network: IpNet, address: IpAddr) -> Option<u32> {
    fn bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
            IpAddr::V6(v6) => u128::from(v6),
        }
    }
    let length = u32::from(network.prefix_len()) + if network.addr().is_ipv4() { 96 } else { 0 };
    let mapped = |bits: u128| bits >> 32 == 0xffff;
    let same_family = (mapped(bits(network.addr())) && length >= 96) == mapped(bits(address));
    let differ = bits(network.addr()) ^ bits(address);
    (same_family && (length == 0 || differ >> (128 - length) == 0)).then_some(length)
}

fn oracle(default_action: NetworkAction, rules: &[(IpNet, NetworkAction)], address: IpAddr) -> NetworkAction {
    let mut decided = (None, default_action);
    for (network, action) in rules {
        let Some(length) = holds(*network, address) else { continue };
        if decided.0 < Some(length) || (decided.0 == Some(length) && *action == Deny) {
            decided = (Some(length), *action);
        }
    }
    decided.1
}

proptest! {
    #[test]
    fn agrees_with_a_scan_over_all_rules(
        rules in prop::collection::vec((network(), prop::sample::select(vec![Allow, Deny])), 0..40),
        default_action in prop::sample::select(vec![Allow, Deny]),
        mut addresses in prop::collection::vec(clustered(), 1..40),
    ) {
        addresses.extend(rules.iter().map(|(network, _)| network.addr()));
        let written: Vec<_> = rules.iter().map(|(network, action)| (network.to_string(), *action)).collect();
        let written: Vec<_> = written.iter().map(|(value, action)| (value.as_str(), *action)).collect();
        let compiled = compiled(default_action, &written);
        for address in addresses {
            let expected = oracle(default_action, &rules, address) == Allow;
            prop_assert_eq!(compiled.admit(Source::public(address)).is_ok(), expected, "{}", address);
        }
    }

    #[test]
    fn any_text_is_a_network_or_an_error_with_a_hint(text in "[0-9a-f:./%]{0,24}|.{0,16}") {
        match parse_network(&text) {
            Ok(network) => prop_assert_eq!(network.trunc(), network),
            Err(invalid) => prop_assert!(!invalid.hint().is_empty()),
        }
    }
}
