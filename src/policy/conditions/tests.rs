//! What an entry may be, and what a condition that the store has holds.

use std::net::IpAddr;

use super::*;
use crate::policy::network::SourceAddress;

fn stored(allow: &[&str], deny: &[&str]) -> Result<Option<NetworkCondition>, String> {
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    NetworkCondition::of_stored(&StoredNetworks { allow: texts(allow), deny: texts(deny) })
}

fn place(address: &str, class: NetworkClass) -> Place {
    Place { address: SourceAddress::new(address.parse::<IpAddr>().unwrap()), class }
}

fn said(allow: &[&str], deny: &[&str], place: &Place) -> String {
    let condition = stored(allow, deny).unwrap().unwrap();
    condition.check(place).map_or_else(|out| out.to_string(), |()| "counts".to_owned())
}

#[test]
fn an_entry_has_one_spelling() {
    for (text, shown) in [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("any private endpoint", "any private endpoint"),
        ("private endpoint build", "private endpoint build"),
        ("virtual network office 2", "virtual network office 2"),
    ] {
        assert_eq!(Means::parse(text).unwrap().to_string(), shown);
    }
    for text in
        ["", "private endpoint ", "private endpoint", "Any private endpoint", "virtual network", "192.0.2.1/24", "a"]
    {
        assert!(check_entry(text).is_err(), "{text}");
    }
    let error = check_entry("192.0.2.1/24").unwrap_err();
    assert!(error.contains("192.0.2.0/24") && error.contains("`private endpoint NAME`"), "{error}");
}

#[test]
fn deny_wins_and_what_an_allow_list_does_not_hold_is_out() {
    let public = |address| place(address, NetworkClass::Public);
    let (allow, deny) = (["10.0.0.0/8", "2001:db8::/32"], ["10.1.0.0/16"]);
    assert_eq!(said(&allow, &deny, &public("10.2.0.1")), "counts");
    assert_eq!(said(&allow, &deny, &public("2001:db8::1")), "counts");
    let denied = "may not come from 10.1.0.1: its networks deny 10.1.0.0/16 (store)";
    assert_eq!(said(&allow, &deny, &public("10.1.0.1")), denied);
    let unlisted = "may not come from 192.0.2.1: no network that it is allowed holds it (store)";
    assert_eq!(said(&allow, &deny, &public("192.0.2.1")), unlisted);
    assert_eq!(said(&[], &deny, &public("192.0.2.1")), "counts");
    // Whatever is longer or shorter.
    assert_eq!(said(&["10.1.0.1"], &deny, &public("10.1.0.1")), denied);
}

/// As everywhere else: a `deny` in another case would hold nobody.
#[test]
fn names_of_networks_have_no_case() {
    let lab = place("10.0.0.1", NetworkClass::PrivateEndpoint("lab".into()));
    let office = place("172.16.0.1", NetworkClass::VirtualNetwork("office".into()));
    assert!(said(&[], &["private endpoint LAB"], &lab).contains("its networks deny"));
    assert!(said(&[], &["virtual network Office"], &office).contains("its networks deny"));
    assert_eq!(said(&[], &["private endpoint rack"], &lab), "counts");
}

#[test]
fn addresses_say_nothing_about_private_endpoints() {
    let build = || NetworkClass::PrivateEndpoint("build".into());
    let behind = |address| place(address, build());
    let unlisted =
        "may not come from 10.0.0.5 over private endpoint build: no network that it is allowed holds it (store)";
    assert_eq!(said(&["10.0.0.0/8", "private endpoint other"], &[], &behind("10.0.0.5")), unlisted);
    assert_eq!(said(&[], &["0.0.0.0/0", "private endpoint other"], &behind("10.0.0.5")), "counts");
    for allowed in ["private endpoint build", "any private endpoint"] {
        assert_eq!(said(&[allowed], &[], &behind("10.0.0.5")), "counts");
        assert!(said(&[], &[allowed], &behind("10.0.0.5")).contains("its networks deny"), "{allowed}");
        assert!(said(&[allowed], &[], &place("10.0.0.5", NetworkClass::Public)).contains("no network"), "{allowed}");
    }
    // A rule of the same name is another thing.
    assert!(said(&["virtual network build"], &[], &behind("10.0.0.5")).contains("no network"));
}

#[test]
fn a_virtual_network_has_a_name_and_addresses() {
    let office = || place("10.0.0.5", NetworkClass::VirtualNetwork("office".into()));
    assert_eq!(said(&["virtual network office"], &[], &office()), "counts");
    assert_eq!(said(&["10.0.0.0/8"], &[], &office()), "counts");
    assert!(said(&["virtual network other", "private endpoint office"], &[], &office()).contains("no network"));
    assert!(said(&[], &["virtual network office"], &office()).contains("deny virtual network office"));
}

#[test]
fn no_lists_are_no_condition_and_one_bad_entry_is_nowhere() {
    assert!(stored(&[], &[]).unwrap().is_none());
    assert!(stored(&["10.0.0.0/8"], &["nonsense"]).is_err());
    let nowhere = NetworkCondition::unreadable();
    let out = nowhere.check(&place("10.0.0.5", NetworkClass::Public)).unwrap_err();
    assert_eq!(out.to_string(), "may not come from 10.0.0.5: what the store has as its networks cannot be read");
}
