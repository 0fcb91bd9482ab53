use proptest::prelude::*;

use super::ForwardedHeader::{Forwarded, XForwardedFor};
use super::*;

const PEER: &str = "10.0.0.1";

fn trusted() -> TrustedProxies {
    ["10.0.0.0/8", "2001:db8:ff::/48"].iter().map(|network| network.parse::<ipnet::IpNet>().unwrap()).collect()
}

fn source(peer: &str, header: ForwardedHeader, lines: &[&str]) -> String {
    let lines = lines.iter().map(|line| line.as_bytes());
    source_address(peer.parse().unwrap(), header, lines, &trusted()).to_string()
}

#[track_caller]
fn assert_table(header: ForwardedHeader, table: &[(&[&str], &str)]) {
    for (lines, expected) in table {
        assert_eq!(source(PEER, header, lines), *expected, "{lines:?}");
    }
}

#[test]
fn ignores_header_from_untrusted_peer() {
    for (header, line) in [(XForwardedFor, "192.0.2.1"), (Forwarded, "for=192.0.2.1"), (XForwardedFor, "10.0.0.1")] {
        assert_eq!(source("203.0.113.9", header, &[line]), "203.0.113.9");
        assert_eq!(source("::ffff:203.0.113.9", header, &[line]), "203.0.113.9");
    }
}

#[test]
fn nobody_trusted_means_nobody_believed() {
    let lines = [b"192.0.2.1".as_slice()];
    let believed =
        source_address(PEER.parse().unwrap(), XForwardedFor, lines.into_iter(), &TrustedProxies::from_iter([]));
    assert_eq!(believed.to_string(), PEER);
}

#[test]
fn spoofed_leftmost_hop_is_not_believed() {
    assert_table(
        XForwardedFor,
        &[
            (&["192.0.2.66, 203.0.113.9"], "203.0.113.9"),
            (&["10.0.0.7, 203.0.113.9"], "203.0.113.9"),
            (&["192.0.2.66, 203.0.113.9, 10.0.0.3"], "203.0.113.9"),
            (&["192.0.2.66,10.0.0.4,203.0.113.9,10.0.0.3,10.0.0.2"], "203.0.113.9"),
        ],
    );
    assert_table(Forwarded, &[(&["for=192.0.2.66, for=203.0.113.9;proto=https, for=10.0.0.3"], "203.0.113.9")]);
}

#[test]
fn all_lines_count_and_the_last_one_is_the_nearest() {
    assert_table(
        XForwardedFor,
        &[
            (&["192.0.2.66", "203.0.113.9"], "203.0.113.9"),
            (&["192.0.2.66, 203.0.113.9", "10.0.0.3", "10.0.0.2"], "203.0.113.9"),
            (&["203.0.113.9", ""], PEER),
            (&["", "203.0.113.9"], "203.0.113.9"),
        ],
    );
    assert_table(Forwarded, &[(&["for=192.0.2.66", "for=203.0.113.9", "for=10.0.0.3"], "203.0.113.9")]);
}

#[test]
fn without_a_header_the_peer_is_the_source() {
    assert_table(XForwardedFor, &[(&[], PEER)]);
    assert_table(Forwarded, &[(&[], PEER)]);
}

#[test]
fn leftmost_hop_is_the_source_when_all_are_trusted() {
    assert_table(XForwardedFor, &[(&["10.9.9.9, 10.0.0.3", "10.0.0.2"], "10.9.9.9")]);
    assert_table(Forwarded, &[(&["for=10.9.9.9", "for=\"[2001:db8:ff::2]\""], "10.9.9.9")]);
}

#[test]
fn malformed_hop_stops_the_walk_at_the_proxy_that_vouched() {
    let malformed = [
        "unknown",
        "_hidden",
        "client.example.com",
        "",
        " ",
        "fe80::1%eth0",
        "[fe80::1%eth0]",
        "203.0.113.9:",
        "203.0.113.9:99999",
        "203.0.113.9:+80",
        "203.0.113.9:000080",
        "203.0.113.9:_http",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]80",
        "[203.0.113.9]",
        "203.0.113.9 192.0.2.1",
        "203.0.113.9;192.0.2.1",
        "\u{a0}203.0.113.9",
        "\"203.0.113.9\"",
        "0x7f.1",
        "203.0.113.09",
        "203.0.113.9/32",
    ];
    for hop in malformed {
        assert_eq!(source(PEER, XForwardedFor, &[&format!("192.0.2.1, {hop}")]), PEER, "{hop}");
        assert_eq!(source(PEER, XForwardedFor, &[&format!("192.0.2.1, {hop}, 10.0.0.3")]), "10.0.0.3", "{hop}");
    }
    let not_text = source_address(PEER.parse().unwrap(), XForwardedFor, [b"\xff".as_slice()].into_iter(), &trusted());
    assert_eq!(not_text.to_string(), PEER);
}

#[test]
fn what_stands_left_of_the_source_is_not_even_read() {
    assert_table(
        XForwardedFor,
        &[(&["%%%, unknown,,\", 203.0.113.9, 10.0.0.3"], "203.0.113.9"), (&["\"", "203.0.113.9"], "203.0.113.9")],
    );
    assert_table(Forwarded, &[(&["for=_x;;;\", garbage, for=203.0.113.9"], "203.0.113.9")]);
}

#[test]
fn unbalanced_quote_cannot_swallow_what_the_proxy_appended() {
    assert_table(
        Forwarded,
        &[
            (&["for=\"192.0.2.66, for=203.0.113.9"], "203.0.113.9"),
            (&["for=\"192.0.2.66", "for=203.0.113.9"], "203.0.113.9"),
            (&["for=\"192.0.2.66\\, for=\"203.0.113.9:80\""], "203.0.113.9"),
            (&["for=192.0.2.66;x=\"\\\\, for=203.0.113.9;by=\"[2001:db8::9]\""], "203.0.113.9"),
        ],
    );
}

#[test]
fn quoted_separators_are_text() {
    assert_table(
        Forwarded,
        &[
            (&["for=203.0.113.9;host=\"a,for=192.0.2.66\""], "203.0.113.9"),
            (&["host=\"a;for=192.0.2.66;b\";for=203.0.113.9"], "203.0.113.9"),
            (&["for=203.0.113.9;host=\"\\\",for=192.0.2.66,\\\"\""], "203.0.113.9"),
            (&["host=\"a;for=192.0.2.66;b\""], PEER),
        ],
    );
}

#[test]
fn forwarded_hops_are_read_as_rfc_7239_writes_them() {
    assert_table(
        Forwarded,
        &[
            (&["for=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (&["For=\"[2001:DB8:CAFE::17]\""], "2001:db8:cafe::17"),
            (&["FOR=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),
            (&["proto=https; for=\"192.0.2.60:8080\" ;by=_secret"], "192.0.2.60"),
            (&["for=192.0.2.43,for=\"[2001:db8:ff::17]\""], "192.0.2.43"),
            (&["for=192.0.2.43;"], "192.0.2.43"),
            (&["for=[2001:db8::17]:80"], "2001:db8::17"),
            (&["for=\"::ffff:192.0.2.43\""], "192.0.2.43"),
        ],
    );
}

#[test]
fn forwarded_hop_without_exactly_one_for_is_malformed() {
    for element in [
        "for=192.0.2.1;for=192.0.2.1",
        "for=192.0.2.1;FOR=192.0.2.2",
        "by=192.0.2.1",
        "192.0.2.1",
        "for",
        "for=",
        "for=\"\"",
        "for=192.0.2.1;secret",
        "for=\"192.0.2.1",
        "for=192.0.2.1\"",
        "for=\"192.0.2\\.1\"",
        "for=unknown",
        "for=\"_gazonk\"",
        ";",
    ] {
        assert_eq!(source(PEER, Forwarded, &[element]), PEER, "{element}");
        assert_eq!(source(PEER, Forwarded, &[element, "for=10.0.0.3"]), "10.0.0.3", "{element}");
    }
}

#[test]
fn ports_are_dropped_and_mapped_addresses_unmapped() {
    assert_table(
        XForwardedFor,
        &[
            (&["203.0.113.9:1234"], "203.0.113.9"),
            (&["[2001:db8::1]:1234"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:203.0.113.9"], "203.0.113.9"),
            (&["[::ffff:203.0.113.9]:80"], "203.0.113.9"),
            (&["192.0.2.66, 203.0.113.9, ::ffff:10.0.0.3"], "203.0.113.9"),
            (&["\t203.0.113.9 \t"], "203.0.113.9"),
        ],
    );
    assert_eq!(source("::ffff:10.0.0.1", XForwardedFor, &["203.0.113.9"]), "203.0.113.9");
}

#[test]
fn too_many_hops_or_bytes_stop_the_walk() {
    let hops = |count| format!("203.0.113.9{}", ",10.0.0.3".repeat(count));
    assert_eq!(source(PEER, XForwardedFor, &[&hops(99)]), "203.0.113.9");
    assert_eq!(source(PEER, XForwardedFor, &[&hops(100)]), "10.0.0.3");
    let padded = |spaces| format!("203.0.113.9{},10.0.0.3", " ".repeat(spaces));
    assert_eq!(source(PEER, XForwardedFor, &[&padded(MAX_BYTES - 21)]), "203.0.113.9");
    assert_eq!(source(PEER, XForwardedFor, &[&padded(MAX_BYTES - 20)]), "10.0.0.3");
}

/// One way to write an address as a hop.
fn written(address: IpAddr, header: ForwardedHeader, style: u8) -> String {
    let node = match (address, style % 3) {
        (IpAddr::V4(v4), 0) => v4.to_string(),
        (IpAddr::V4(v4), 1) => format!("{v4}:{style}"),
        (IpAddr::V4(v4), _) => v4.to_ipv6_mapped().to_string(),
        (IpAddr::V6(v6), 0) => v6.to_string(),
        (IpAddr::V6(v6), 1) => format!("[{v6}]"),
        (IpAddr::V6(v6), _) => format!("[{v6}]:{style}"),
    };
    match header {
        XForwardedFor => node,
        Forwarded if style.is_multiple_of(2) => format!("for=\"{node}\""),
        Forwarded => format!("proto=https;For=\"{node}\";host=\"a,b;c\""),
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..4_u32).prop_map(|n| IpAddr::V4((0x0a00_0000 + n).into())),
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
    ]
}

proptest! {
    /// However the chain is written and cut into lines, and whatever a stranger put in front of it.
    #[test]
    fn agrees_with_a_walk_over_the_addresses(
        header in prop::sample::select(vec![XForwardedFor, Forwarded]),
        hops in prop::collection::vec((address(), any::<u8>(), any::<bool>()), 1..8),
        stranger in "[ -~]{0,30}",
    ) {
        let trusted = trusted();
        let mut lines = vec![stranger];
        for (address, style, own_line) in &hops {
            let hop = written(*address, header, *style);
            match lines.last_mut() {
                Some(line) if !own_line => { line.push_str(", "); line.push_str(&hop); }
                _ => lines.push(hop),
            }
        }
        let expected = hops.iter().rev().map(|(address, ..)| *address).find(|address| !trusted.contains(*address));
        // With only trusted hops the stranger's text would be read next; that case has its own tests.
        prop_assume!(expected.is_some());
        let lines = lines.iter().map(String::as_bytes);
        let found = source_address(PEER.parse().unwrap(), header, lines, &trusted);
        prop_assert_eq!(Some(found), expected.map(SourceAddress::new));
    }

    #[test]
    fn any_bytes_give_an_address(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..4)) {
        for header in [XForwardedFor, Forwarded] {
            let lines = lines.iter().map(Vec::as_slice);
            let _ = source_address(PEER.parse().unwrap(), header, lines, &trusted());
        }
    }
}
