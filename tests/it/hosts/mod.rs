//! Hosts in network namespaces, each with a real client: who of them a registry admits (S2, B.3, B.4).

mod trusted;
mod world;

use world::{ENDPOINT, World};

use crate::harness::hosts::at_a_site;

/// The office by its address, whoever is in the subnet as a virtual network.
const FIREWALL: &str = "networkRuleSet: { defaultAction: Deny, ipRules: [ { value: 203.0.113.0/24, name: office } ] }";

/// How skopeo words a 403 to its first request.
const REFUSED: &str = "invalid status code from registry 403 (Forbidden)";

fn endpoint(status: &str) -> String {
    format!(
        "privateEndpointConnections: [ {{ name: build-vpc, match: {{ vpcEndpointId: {ENDPOINT} }}, status: {status} }} ]"
    )
}

#[test]
fn a_public_host_is_admitted_by_its_address_and_others_are_told_theirs() {
    at_a_site(|| {
        let world = World::start(&[FIREWALL]);
        world.pull(&world.office).expect_success();
        // The subnet and the private network are nobody's yet.
        for host in [&world.stranger, &world.subnet, &world.vpc] {
            world.pull(host).expect_failure(REFUSED);
            let (status, text) = world.log_in(host);
            assert_eq!(status, 403);
            assert!(text.contains(&format!("client with IP \\u0027{}\\u0027 is not allowed", host.address)), "{text}");
        }
    });
}

/// Only an approved connection carries traffic, and the public rules say nothing about it (S2-8, S2-10, B.4-3).
#[test]
fn a_private_endpoint_is_admitted_by_what_the_balancer_says_while_it_is_approved() {
    at_a_site(|| {
        let approved = endpoint("Approved");
        let world = World::start(&[FIREWALL, &approved]);
        world.pull(&world.vpc).expect_success();
        world.edit(&["publicNetworkAccess: Disabled", &approved]);
        world.pull(&world.vpc).expect_success();
        world.pull(&world.office).expect_failure(REFUSED);
        for status in ["Pending", "Rejected", "Disconnected"] {
            world.edit(&["networkRuleSet: { defaultAction: Allow }", &endpoint(status)]);
            assert_eq!((status, world.log_in(&world.vpc).0, world.log_in(&world.stranger).0), (status, 403, 200));
        }
        world.edit(&["publicNetworkAccess: Disabled", &approved]);
        assert_eq!(world.log_in(&world.vpc).0, 200);
    });
}

/// A service endpoint (B.4-10): its subnet is admitted as such, and with public access it ends (B.3-9).
#[test]
fn a_virtual_network_is_admitted_while_public_access_is_on() {
    at_a_site(|| {
        let subnet = "virtualNetworkRules: [ { name: build, match: { sourceNetwork: 10.88.0.0/24 } } ]";
        let rules = format!("networkRuleSet: {{ defaultAction: Deny, {subnet} }}");
        let world = World::start(&[&rules]);
        world.pull(&world.subnet).expect_success();
        for host in [&world.office, &world.stranger, &world.vpc] {
            assert_eq!(world.log_in(host).0, 403, "{}", host.address);
        }
        world.edit(&["publicNetworkAccess: Disabled", &rules]);
        world.pull(&world.subnet).expect_failure(REFUSED);
    });
}
