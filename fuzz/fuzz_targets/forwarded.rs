//! `X-Forwarded-For` and `Forwarded`: a byte that chooses header and peer, then one line of input for each header line.

#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use seawall::policy::network::{SourceAddress, parse_network};
use seawall::proxy::source::{ForwardedHeader, TrustedProxies, source_address};

static TRUSTED: LazyLock<TrustedProxies> = LazyLock::new(|| {
    ["10.0.0.0/8", "fd00::/8"].into_iter().map(|text| parse_network(text).expect("a network")).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, text)) = bytes.split_first() else { return };
    let header = if choice & 1 == 0 { ForwardedHeader::XForwardedFor } else { ForwardedHeader::Forwarded };
    let peer: IpAddr = if choice & 2 == 0 { [10, 0, 0, 1].into() } else { [203, 0, 113, 9].into() };
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let source = source_address(peer, header, lines.iter().copied(), &TRUSTED);

    if !TRUSTED.contains(peer) {
        assert_eq!(source, SourceAddress::new(peer), "a stranger chose its own address");
    }
    if !TRUSTED.contains(source.ip()) {
        // What stands left of it was written by whoever it is.
        let forged: &[u8] = if choice & 1 == 0 { b"198.51.100.1, \"" } else { b"for=198.51.100.1;by=\"" };
        let more = std::iter::once(forged).chain(lines.iter().copied());
        assert_eq!(source_address(peer, header, more.collect::<Vec<_>>().into_iter(), &TRUSTED), source);
    }
});
