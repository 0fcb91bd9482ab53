//! Private listeners, source networks behind them, and virtual network rules.

use super::world::World;

/// S2-7, S2-8, S2-9, S2-11: all kinds of rules in one registry, each for its own sources.
#[test]
fn rules_of_several_kinds_combine() {
    let world = World::start(&[
        "networkRuleSet: { defaultAction: Deny, \
         ipRules: [ { value: 127.0.1.0/24 }, { value: 127.0.2.66, action: Deny, name: leaked } ], \
         virtualNetworkRules: [ { name: build-net, match: { sourceNetwork: 127.0.2.0/24 }, \
         id: /subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n }, \
         { name: inner, match: { listener: vnet } } ] }",
        "privateEndpointConnections: [ \
         { name: lab, match: { listener: lab }, status: Approved }, \
         { name: rack-7, match: { sourceNetwork: 127.0.7.0/24 }, status: Approved }, \
         { name: rack-7-broken, match: { sourceNetwork: 127.0.7.7 }, status: Rejected, description: for repair } ]",
    ]);
    for (listener, peer, expected) in [
        ("public", "127.0.1.1", (200, "public")),
        ("public", "127.0.2.1", (200, "virtual network build-net")),
        ("public", "127.0.2.66", (403, "public")),
        ("public", "127.0.3.1", (403, "public")),
        // Behind a private listener only; on a public one it is an address like any other.
        ("public", "127.0.7.1", (403, "public")),
        ("vnet", "127.0.3.1", (200, "virtual network inner")),
        ("vnet", "127.0.2.66", (403, "public")),
        ("lab", "127.0.3.1", (200, "private endpoint lab")),
        // The IP rules say nothing about private endpoints, neither good nor bad.
        ("lab", "127.0.2.66", (200, "private endpoint lab")),
        ("rack", "127.0.1.1", (403, "unknown private endpoint (listener `rack`)")),
        ("rack", "127.0.2.1", (403, "unknown private endpoint (listener `rack`)")),
        ("rack", "127.0.7.1", (200, "private endpoint rack-7")),
        ("rack", "127.0.7.7", (403, "private endpoint rack-7-broken")),
        ("lab", "127.0.7.7", (403, "private endpoint rack-7-broken")),
    ] {
        let answer = world.log_in(listener, peer, b"").unwrap();
        let (status, network) = world.seen(&answer);
        assert_eq!((status, network.as_str()), expected, "{listener} {peer}");
        let record = world.record(&answer);
        assert_eq!(record["sourceAddress"], peer);
        if status == 403 {
            let text = answer.text();
            assert!(text.contains(&format!("client with IP \\u0027{peer}\\u0027")), "{text}");
        }
    }
    let refused = world.log_in("rack", "127.0.7.7", b"").unwrap();
    let rule = world.record(&refused)["rule"].as_str().unwrap().to_owned();
    assert!(rule.contains("`rack-7-broken` (Rejected, sourceNetwork 127.0.7.7/32) at"), "{rule}");
}

/// S2-10, B.3-9: without public access virtual networks are cut off too, and approved endpoints are not.
#[test]
fn without_public_access_private_endpoints_alone_remain() {
    let rules = [
        "publicNetworkAccess: Enabled",
        "networkRuleSet: { ipRules: [ { value: 127.0.0.0/8 } ], \
         virtualNetworkRules: [ { name: inner, match: { listener: vnet } } ] }",
        "privateEndpointConnections: [ { name: lab, match: { listener: lab }, status: Approved } ]",
    ];
    let world = World::start(&rules);
    let statuses =
        || ["public", "vnet", "lab", "rack"].map(|listener| world.log_in(listener, "127.0.0.1", b"").unwrap().status);
    assert_eq!(statuses(), [200, 200, 200, 403]);
    world.edit(&["publicNetworkAccess: Disabled", rules[1], rules[2]]);
    assert_eq!(statuses(), [403, 403, 200, 403]);
    let answer = world.log_in("vnet", "127.0.0.1", b"").unwrap();
    let rule = world.record(&answer)["rule"].as_str().unwrap().to_owned();
    assert!(rule.contains("publicNetworkAccess is Disabled"), "{rule}");
}
