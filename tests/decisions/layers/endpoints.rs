//! Private endpoint connections and virtual network rules of both layers.

use std::net::IpAddr;

use seawall::policy::document::ConnectionStatus;
use seawall::policy::network::{EndpointMark, Network, Source};
use seawall::policy::problem::Problems;
use seawall::policy::stored::{
    StoredEndpointMatch, StoredPrivateEndpointConnection, StoredRegistry, StoredVirtualNetworkMatch,
    StoredVirtualNetworkRule,
};

use super::House;
use crate::policy::now;

const DECLARED: &str = "  privateEndpointConnections:
  - { name: office, match: { linkId: 1 }, status: Rejected }
  - { name: lab, match: { listener: lab }, status: Approved }
";

impl House {
    fn connection(mut self, name: &str, matches: StoredEndpointMatch, status: ConnectionStatus) -> Self {
        let set = StoredPrivateEndpointConnection {
            matches,
            status,
            description: String::new(),
            actions_required: None,
            creation_date: now(),
        };
        self.stored.set_private_endpoint_connection("myregistry", name, Some(&set), &mut self.told);
        self
    }

    fn admits(&self, mark: EndpointMark, address: &str) -> bool {
        let network = Network::PrivateEndpoint(mark);
        let address: IpAddr = address.parse().unwrap();
        self.one().network.admit(Source::public(address).behind(&network)).is_ok()
    }

    fn admits_link(&self, id: u32) -> bool {
        self.admits(EndpointMark::LinkId(id), "10.0.0.4")
    }
}

#[test]
fn a_file_s_connection_hides_the_store_s_of_its_name_or_match() {
    let approved = ConnectionStatus::Approved;
    let house = House::new(DECLARED)
        .connection("Office", StoredEndpointMatch::LinkId(2), approved)
        .connection("other", StoredEndpointMatch::LinkId(1), approved)
        .connection("more", StoredEndpointMatch::LinkId(3), approved)
        .connection("waits", StoredEndpointMatch::Listener("lab".to_owned()), ConnectionStatus::Pending);
    assert!(!house.admits_link(1), "the file says Rejected");
    assert!(!house.admits_link(2), "its name is the file's");
    assert!(house.admits_link(3));
    assert!(house.admits(EndpointMark::Listener("lab".into()), "10.0.0.4"));
    let warnings = house.warnings();
    assert_eq!(warnings.matches("private endpoint connection `office` is in the store too").count(), 2, "{warnings}");
    assert!(warnings.contains("`office` is in the store too, as `other`"), "{warnings}");
    assert!(!warnings.contains("lab"), "what waited is no conflict: {warnings}");
}

/// Whoever may approve by the API opens nothing that a file closes, by no longer network either.
#[test]
fn what_a_file_refuses_stays_refused() {
    let declared = "  privateEndpointConnections:
  - { name: lab, match: { listener: lab }, status: Rejected }
  - { name: rack, match: { sourceNetwork: 10.8.0.0/16 }, status: Approved }
";
    let network = |text: &str| StoredEndpointMatch::SourceNetwork(text.to_owned());
    let lab = || EndpointMark::Listener("lab".into());
    let house = House::new(declared).connection("all", network("10.0.0.0/8"), ConnectionStatus::Approved).connection(
        "one",
        network("10.8.1.0/24"),
        ConnectionStatus::Rejected,
    );
    assert!(!house.admits(lab(), "10.7.0.1"));
    assert!(house.admits(lab(), "10.8.0.1"), "the file's own, longer one");
    assert!(!house.admits(lab(), "10.8.1.1"), "to close more is the API's to say");
}

/// Two replicas can make them at the same moment.
#[test]
fn of_two_stored_ones_with_one_match_the_one_that_refuses_counts() {
    for (first, second) in [("a", "b"), ("b", "a")] {
        let house = House::new("")
            .connection(first, StoredEndpointMatch::LinkId(1), ConnectionStatus::Approved)
            .connection(second, StoredEndpointMatch::LinkId(1), ConnectionStatus::Rejected);
        assert!(!house.admits_link(1), "{first} is approved");
    }
}

#[test]
fn what_cannot_be_read_admits_nobody_through_its_endpoint() {
    let network = |text: &str| StoredEndpointMatch::SourceNetwork(text.to_owned());
    let lab = || EndpointMark::Listener("lab".into());
    let mut house = House::new(DECLARED)
        .connection("link", StoredEndpointMatch::LinkId(2), ConnectionStatus::Approved)
        .connection("rack", network("10.7.0.0/16"), ConnectionStatus::Approved);
    assert!(house.admits_link(2) && house.admits(lab(), "10.7.0.1") && house.admits(lab(), "10.8.0.1"));
    let before = house.stored.clone();
    house.stored.lose_private_endpoint_connection("myregistry", "link", &before);
    assert!(!house.admits_link(2) && house.admits(lab(), "10.7.0.1"), "it was known what it is about");
    house.stored.lose_private_endpoint_connection("myregistry", "rack", &before);
    assert!(!house.admits(lab(), "10.7.0.1") && house.admits(lab(), "10.8.0.1"));
    // Of this one nothing was ever known: it may have refused any address behind a private listener.
    house.stored.lose_private_endpoint_connection("myregistry", "new", &before);
    assert!(!house.admits(lab(), "10.8.0.1"));
    house = house.connection("link", StoredEndpointMatch::LinkId(2), ConnectionStatus::Approved);
    assert!(house.admits_link(2), "a mark of a balancer is exact");
    house.stored.set_private_endpoint_connection("myregistry", "new", None, &mut Problems::new());
    assert!(house.admits(lab(), "10.8.0.1"));
    house = house.connection("bad", network("10.0.0.0/33"), ConnectionStatus::Rejected);
    assert!(!house.admits(lab(), "10.8.0.1"));
    assert!(house.warnings().contains("private endpoint connection `bad` of registry `myregistry`: "));
}

fn virtual_network(name: &str, matches: StoredVirtualNetworkMatch) -> StoredVirtualNetworkRule {
    StoredVirtualNetworkRule { name: name.to_owned(), id: None, matches }
}

fn closed_but_for(rules: Vec<StoredVirtualNetworkRule>) -> StoredRegistry {
    StoredRegistry {
        default_action: Some(seawall::policy::document::NetworkAction::Deny),
        virtual_network_rules: Some(rules),
        ..StoredRegistry::default()
    }
}

/// S2-6: whether there are any is asked of the rules in force, whoever has written them.
#[test]
fn virtual_network_rules_are_the_file_s_list_else_the_store_s() {
    let admits = |house: &House, listener: &str| {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        house.one().network.admit(Source::public(address).on(listener)).is_ok()
    };
    let listener = |name: &str| StoredVirtualNetworkMatch::Listener(name.to_owned());
    let stored = closed_but_for(vec![virtual_network("inner", listener("vnet"))]);
    let house = House::new("").registry(&stored);
    assert!(admits(&house, "vnet") && !admits(&house, "public") && house.one().has_virtual_network_rules());
    assert_eq!(house.warnings(), "");
    for (more, counts) in [("[]", false), ("[{ name: a, match: { listener: public } }]", true)] {
        let house = House::new(&format!("  networkRuleSet: {{ virtualNetworkRules: {more} }}\n")).registry(&stored);
        assert!(!admits(&house, "vnet"), "{more}");
        assert_eq!((admits(&house, "public"), house.one().has_virtual_network_rules()), (counts, counts), "{more}");
        assert!(house.warnings().contains("`virtualNetworkRules` has another value in the store"), "{more}");
    }
    let unreadable = closed_but_for(vec![
        virtual_network("inner", listener("vnet")),
        virtual_network("bad", StoredVirtualNetworkMatch::SourceNetwork("10.0.0.0/33".to_owned())),
    ]);
    let house = House::new("").registry(&unreadable);
    assert!(!admits(&house, "vnet"));
    assert!(house.warnings().contains(": nobody is admitted"), "{}", house.warnings());
}
