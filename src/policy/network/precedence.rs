//! The order in which the kinds of network rules decide, as one table; and what holds whatever the rules are.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::policy::document::{
    ConnectionStatus, IpRuleDocument, NetworkAction,
    PublicNetworkAccess::{self, Disabled, Enabled},
};
use crate::policy::origin::{At, Origin};
use crate::policy::problem::Problems;
use ConnectionStatus::{Approved, Disconnected, Pending, Rejected};
use NetworkAction::{Allow, Deny};

fn place(line: u32) -> Origin {
    Origin::new("policy.yaml", line, 5)
}

fn connection(name: &str, status: ConnectionStatus, matches: EndpointMatch) -> PrivateEndpointConnection {
    PrivateEndpointConnection { name: name.into(), matches, status, description: String::new(), origin: place(1) }
}

fn rule(name: &str, matches: VirtualNetworkMatch) -> VirtualNetworkRule {
    VirtualNetworkRule { name: name.into(), id: None, matches, origin: place(2) }
}

fn vpc(id: &str) -> EndpointMark {
    EndpointMark::vpc_endpoint(id).unwrap()
}

fn listener(name: &str) -> EndpointMark {
    EndpointMark::Listener(name.into())
}

fn sources(network: &str) -> EndpointMatch {
    EndpointMatch::SourceNetwork(parse_network(network).unwrap())
}

fn endpoints() -> Arc<PrivateEndpoints> {
    let marked = |name: &str, status, mark| connection(name, status, EndpointMatch::Mark(mark));
    Arc::new(PrivateEndpoints::new([
        marked("build", Approved, vpc("vpce-build")),
        marked("pending", Pending, vpc("vpce-pending")),
        marked("rejected", Rejected, EndpointMark::LinkId(7)),
        marked("gone", Disconnected, EndpointMark::PscConnectionId(7)),
        marked("lab", Approved, listener("lab")),
        marked("closed", Rejected, listener("closed")),
        connection("rack", Approved, sources("10.9.0.0/16")),
        connection("broken-host", Rejected, sources("10.9.9.9")),
    ]))
}

fn virtual_networks() -> Arc<VirtualNetworks> {
    let network = VirtualNetworkMatch::SourceNetwork(parse_network("10.1.0.0/16").unwrap());
    Arc::new(VirtualNetworks::new([
        rule("build-net", network),
        rule("inner", VirtualNetworkMatch::Listener("inner".into())),
    ]))
}

/// Deny 10.1.0.66 and 10.9.0.0/16, allow 203.0.113.0/24.
fn rules(public: PublicNetworkAccess, default_action: NetworkAction) -> NetworkRules {
    let written = [("203.0.113.0/24", Allow), ("10.1.0.66", Deny), ("10.9.0.0/16", Deny)];
    let written = written.map(|(value, action)| IpRuleDocument {
        value: At::new(value.to_owned(), place(3)),
        action,
        name: None,
    });
    let ip_rules = IpRules::compile(&written, &mut Problems::new()).unwrap();
    NetworkRules::new(public, default_action, Some(Arc::new(ip_rules)))
        .with_endpoints(endpoints())
        .with_virtual_networks(virtual_networks())
}

/// Whether a source is admitted, its class, and the reason as printed.
fn decision(rules: &NetworkRules, source: Source<'_>) -> (bool, String, String) {
    let decision = rules.admit(source);
    let reason = decision.as_ref().map_or_else(Refused::reason, Admitted::reason);
    (decision.is_ok(), NetworkClass::of(source, reason).to_string(), reason.to_string())
}

/// S2-7 … S2-11, B.3-6, B.3-9, B.4-3, D20, D21: design, section 4.
#[test]
fn the_kinds_of_rules_decide_in_their_order() {
    let endpoint = |mark: &EndpointMark| Network::PrivateEndpoint(mark.clone());
    let (public, build, pending) = (Network::Public, endpoint(&vpc("vpce-build")), endpoint(&vpc("vpce-pending")));
    let (rejected, gone) = (endpoint(&EndpointMark::LinkId(7)), endpoint(&EndpointMark::PscConnectionId(7)));
    let (lab, closed, unknown) = (endpoint(&listener("lab")), endpoint(&listener("closed")), endpoint(&vpc("vpce-x")));
    let (number, other) = (endpoint(&EndpointMark::LinkId(8)), endpoint(&listener("other")));
    let disabled = "publicNetworkAccess is Disabled";
    // The address, the listener, the network; what it is called where it is admitted or not; the reason in both cases.
    let same: [(&str, &str, &Network, bool, &str, &str); 13] = [
        // An approved endpoint is admitted whatever its address is, one of a Deny rule too.
        ("203.0.113.1", "b", &build, true, "private endpoint build", "`build` (Approved, vpcEndpointId `vpce-build`)"),
        ("10.1.0.66", "b", &build, true, "private endpoint build", "`build` (Approved"),
        // Any other status and any unknown endpoint is refused, even from an address that is allowed.
        ("203.0.113.1", "b", &pending, false, "private endpoint pending", "`pending` (Pending"),
        ("203.0.113.1", "b", &rejected, false, "private endpoint rejected", "`rejected` (Rejected, linkId 7)"),
        ("203.0.113.1", "b", &gone, false, "private endpoint gone", "`gone` (Disconnected, pscConnectionId 7)"),
        (
            "203.0.113.1",
            "b",
            &unknown,
            false,
            "unknown private endpoint (vpcEndpointId `vpce-x`)",
            "no private endpoint",
        ),
        ("203.0.113.1", "b", &number, false, "unknown private endpoint (linkId 8)", "connection matches linkId 8"),
        // Listeners; on them the longest source network comes first.
        ("203.0.113.1", "lab", &lab, true, "private endpoint lab", "`lab` (Approved, listener `lab`)"),
        ("203.0.113.1", "closed", &closed, false, "private endpoint closed", "`closed` (Rejected"),
        ("10.9.0.1", "closed", &closed, true, "private endpoint rack", "`rack` (Approved, sourceNetwork 10.9.0.0/16)"),
        ("10.9.9.9", "lab", &lab, false, "private endpoint broken-host", "sourceNetwork 10.9.9.9/32)"),
        ("10.1.0.1", "inner", &other, false, "unknown private endpoint (listener `other`)", "listener `other`"),
        // Behind an endpoint that a balancer names, the address is anybody's.
        ("10.9.0.1", "b", &unknown, false, "unknown private endpoint (vpcEndpointId `vpce-x`)", "no private endpoint"),
    ];
    for (access, default_action) in [(Enabled, Allow), (Enabled, Deny), (Disabled, Allow), (Disabled, Deny)] {
        let rules = rules(access, default_action);
        for (address, on, network, admitted, class, reason) in same {
            let source = Source::public(address.parse::<IpAddr>().unwrap()).on(on).behind(network);
            let found = decision(&rules, source);
            assert_eq!((found.0, found.1.as_str()), (admitted, class), "{address} on {on}");
            assert!(found.2.contains(reason), "{} has no {reason}", found.2);
        }
        let allows = default_action == Allow;
        let by_default = format!("no ip rule matches and defaultAction is {default_action:?}");
        // The longest prefix; then virtual networks; then the default action.
        for (address, on, admitted, class, reason) in [
            ("203.0.113.1", "public", true, "public", "ip rule (Allow 203.0.113.0/24) at policy.yaml:3:5"),
            (
                "10.1.0.1",
                "public",
                true,
                "virtual network build-net",
                "`build-net` (Allow sourceNetwork 10.1.0.0/16) at",
            ),
            ("10.1.0.66", "public", false, "public", "ip rule (Deny 10.1.0.66/32)"),
            ("10.1.0.66", "inner", false, "public", "ip rule (Deny 10.1.0.66/32)"),
            ("198.51.100.1", "inner", true, "virtual network inner", "`inner` (Allow listener `inner`)"),
            ("198.51.100.1", "public", allows, "public", by_default.as_str()),
            // `rack` is for private listeners; `lab` is a name that says nothing on a public one.
            ("10.9.0.1", "lab", false, "public", "ip rule (Deny 10.9.0.0/16)"),
        ] {
            let source = Source::public(address.parse::<IpAddr>().unwrap()).on(on).behind(&public);
            let found = decision(&rules, source);
            let expected = if access == Enabled { (admitted, class) } else { (false, "public") };
            assert_eq!((found.0, found.1.as_str()), expected, "{address} on {on} with {access:?}");
            let reason = if access == Enabled { reason } else { disabled };
            assert!(found.2.contains(reason), "{} has no {reason}", found.2);
        }
    }
}

/// What cannot be read may be a restriction of anything.
#[test]
fn unreadable_rules_keep_endpoints_out_too() {
    for access in [Enabled, Disabled] {
        let rules = NetworkRules::new(access, Allow, None).with_endpoints(endpoints());
        let network = Network::PrivateEndpoint(vpc("vpce-build"));
        let source = Source::public(IpAddr::from([10, 0, 0, 1])).behind(&network);
        let (admitted, _, reason) = decision(&rules, source);
        assert_eq!((admitted, reason.as_str()), (false, "what the store has as network rules cannot be read"));
    }
}

#[test]
fn a_mark_is_written_so_that_yaml_reads_the_same_text() {
    for (mark, approval) in [
        (vpc("0123"), r#"{ name: "0123", match: { vpcEndpointId: "0123" }, status: Approved }"#),
        (
            EndpointMark::LinkId(u32::MAX),
            r#"{ name: "link-4294967295", match: { linkId: 4294967295 }, status: Approved }"#,
        ),
        (EndpointMark::PscConnectionId(9), r#"{ name: "psc-9", match: { pscConnectionId: 9 }, status: Approved }"#),
        (listener("a\"b: {é"), r#"{ name: "listener-a-b----", match: { listener: "a\"b: {é" }, status: Approved }"#),
    ] {
        assert_eq!(PrivateEndpointConnection::approval(&mark), approval);
        assert_eq!(EndpointMark::parse(&mark.to_string()), Some(mark));
    }
}

/// Marks from a few, so that random connections meet random sources.
fn mark() -> impl Strategy<Value = EndpointMark> {
    prop_oneof![
        select(vec!["vpce-a", "vpce-b", "vpce-c"]).prop_map(vpc),
        (0..3_u32).prop_map(EndpointMark::LinkId),
        (0..3_u64).prop_map(EndpointMark::PscConnectionId),
        select(vec!["one", "two", "three"]).prop_map(listener),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..4_u8).prop_map(|last| IpAddr::from([10, 0, 0, last])),
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into())
    ]
}

fn network() -> impl Strategy<Value = String> {
    (address(), 0..=32_u8).prop_map(|(address, length)| ipnet::IpNet::new(address, length).unwrap().trunc().to_string())
}

fn some_connections() -> impl Strategy<Value = Vec<PrivateEndpointConnection>> {
    let matches = prop_oneof![mark().prop_map(EndpointMatch::Mark), network().prop_map(|text| sources(&text))];
    let status = select(vec![Approved, Pending, Rejected, Disconnected]);
    prop::collection::vec((matches, status).prop_map(|(matches, status)| connection("c", status, matches)), 0..8)
}

fn some_rules() -> impl Strategy<Value = NetworkRules> {
    let ip_rule = (network(), select(vec![Allow, Deny])).prop_map(|(value, action)| IpRuleDocument {
        value: At::new(value, place(1)),
        action,
        name: None,
    });
    let matches = prop_oneof![
        network().prop_map(|text| VirtualNetworkMatch::SourceNetwork(parse_network(&text).unwrap())),
        select(vec!["one", "two"]).prop_map(|name| VirtualNetworkMatch::Listener(name.into())),
    ];
    let virtual_network = matches.prop_map(|matches| rule("v", matches));
    (
        select(vec![Enabled, Disabled]),
        select(vec![Allow, Deny]),
        prop::collection::vec(ip_rule, 0..5),
        prop::collection::vec(virtual_network, 0..4),
    )
        .prop_map(|(access, default_action, ip_rules, virtual_networks)| {
            let ip_rules = IpRules::compile(&ip_rules, &mut Problems::new()).map(Arc::new);
            NetworkRules::new(access, default_action, ip_rules)
                .with_virtual_networks(Arc::new(VirtualNetworks::new(virtual_networks)))
        })
}

proptest! {
    /// B.4-3: whatever else is written, an endpoint is admitted if and only if the connection that it is has the status
    /// Approved; found here by looking at them all.
    #[test]
    fn an_endpoint_that_is_not_approved_is_never_admitted(
        rules in some_rules(),
        connections in some_connections(),
        address in address(),
        mark in mark(),
    ) {
        let rules = rules.with_endpoints(Arc::new(PrivateEndpoints::new(connections.clone())));
        let network = Network::PrivateEndpoint(mark.clone());
        let admitted = rules.admit(Source::public(address).on("one").behind(&network)).is_ok();
        let by_network = connections.iter().rev().filter(|_| matches!(mark, EndpointMark::Listener(_))).filter_map(|one| {
            let EndpointMatch::SourceNetwork(network) = one.matches else { return None };
            network.contains(&address).then(|| (network.prefix_len(), one.status))
        });
        let by_mark = connections.iter().find(|one| one.matches == EndpointMatch::Mark(mark.clone()));
        let expected = by_network.max_by_key(|(length, _)| *length).map(|(_, status)| status);
        let expected = expected.or_else(|| by_mark.map(|one| one.status));
        prop_assert_eq!(admitted, expected == Some(Approved));
    }

    /// B.3-6, D20: what is written about private endpoints changes nothing for anybody else.
    #[test]
    fn endpoints_say_nothing_about_public_sources(
        rules in some_rules(),
        connections in some_connections(),
        address in address(),
        on in select(vec!["one", "two", "three"]),
    ) {
        let without = rules.clone();
        let with = rules.with_endpoints(Arc::new(PrivateEndpoints::new(connections)));
        let source = Source::public(address).on(on);
        prop_assert_eq!(with.admit(source), without.admit(source));
    }
}
