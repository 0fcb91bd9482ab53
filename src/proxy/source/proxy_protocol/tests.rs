use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const REQUEST: &[u8] = b"GET /v2/ HTTP/1.1\r\n\r\n";

/// A version 2 header made by hand, so that it does not share a mistake with the parser.
fn v2(version_command: u8, family_protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([version_command, family_protocol]);
    header.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    header.extend(payload);
    header
}

fn addresses(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    [octets(source), octets(destination), ports].concat()
}

fn tlv_bytes(tlv: &Tlv) -> Vec<u8> {
    let length = u16::try_from(tlv.value.len()).unwrap().to_be_bytes();
    [&[tlv.kind], length.as_slice(), &tlv.value].concat()
}

/// Reads as an adapter does, at most `chunk` bytes at a time; the header and what is left of the stream.
fn read(stream: &[u8], chunk: usize) -> Result<(Header, &[u8]), ProxyHeaderError> {
    let (mut taken, mut turns) = (0, 0);
    while let Progress::Read(count) = progress(&stream[..taken])? {
        assert!(count > 0, "a reader would wait for nothing");
        if taken == stream.len() {
            return Err(ProxyHeaderError::Length);
        }
        taken = stream.len().min(taken + count.min(chunk));
        turns += 1;
        assert!(turns <= V2_MAX);
    }
    Ok((parse(&stream[..taken])?, &stream[taken..]))
}

fn proxied(source: &str, destination: &str) -> Header {
    Header::Proxied { source: source.parse().unwrap(), destination: destination.parse().unwrap(), tlvs: Vec::new() }
}

#[test]
fn version_1_names_both_ends() {
    let cases = [
        ("PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n", proxied("203.0.113.9:56324", "192.0.2.1:443")),
        ("PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n", proxied("[2001:db8::9]:56324", "[2001:db8::1]:443")),
        ("PROXY UNKNOWN\r\n", Header::Local),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Header::Local),
    ];
    for (line, expected) in cases {
        for chunk in [1, 7, 200] {
            let stream = [line.as_bytes(), REQUEST].concat();
            assert_eq!(read(&stream, chunk), Ok((expected.clone(), REQUEST)), "{line}");
        }
    }
}

#[test]
fn version_2_names_both_ends_and_carries_its_tlvs() {
    let tlvs = vec![Tlv { kind: 0xEE, value: vec![1, 1, 2, 3, 4] }, Tlv { kind: 0x04, value: vec![] }];
    let (source, destination) = ("203.0.113.9:56324".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
    let mut payload = addresses(source, destination);
    payload.extend(tlvs.iter().flat_map(tlv_bytes));
    let stream = [&v2(0x21, 0x11, &payload), REQUEST].concat();
    assert_eq!(read(&stream, 1), Ok((Header::Proxied { source, destination, tlvs }, REQUEST)));
}

#[test]
fn a_balancers_own_connection_keeps_the_socket_address() {
    let four = addresses("203.0.113.9:1".parse().unwrap(), "192.0.2.1:2".parse().unwrap());
    for header in [
        v2(0x20, 0x00, &[]),
        v2(0x20, 0x11, &four),
        v2(0x20, 0x11, &[]),
        v2(0x20, 0x77, &[1]),
        v2(0x21, 0x00, &[]),
        v2(0x21, 0x00, &[9; 40]),
    ] {
        assert_eq!(parse(&header), Ok(Header::Local), "{header:02x?}");
    }
}

#[test]
fn only_tcp_over_ip_is_passed_on() {
    let payload = [0; 216];
    for family_protocol in [0x31, 0x32, 0x12, 0x22, 0x10, 0x20, 0x01, 0x02, 0x30] {
        let parsed = parse(&v2(0x21, family_protocol, &payload));
        assert_eq!(parsed, Err(ProxyHeaderError::NotTcp), "{family_protocol:#04x}");
    }
}

#[test]
fn malformed_version_2_is_refused() {
    let four = addresses("203.0.113.9:1".parse().unwrap(), "192.0.2.1:2".parse().unwrap());
    let cut_tlv = [four.as_slice(), &[0xEE, 0, 9, 1]].concat();
    let two_bytes_left = [four.as_slice(), &[0xEE, 0]].concat();
    for header in [
        v2(0x11, 0x11, &four),
        v2(0x22, 0x11, &four),
        v2(0x21, 0x41, &four),
        v2(0x21, 0x13, &four),
        v2(0x21, 0x11, &four[..11]),
        v2(0x21, 0x21, &four),
        v2(0x21, 0x11, &cut_tlv),
        v2(0x21, 0x11, &two_bytes_left),
    ] {
        assert!(matches!(parse(&header), Err(ProxyHeaderError::Version2(_))), "{header:02x?}");
    }
}

#[test]
fn malformed_version_1_is_refused() {
    for line in [
        "PROXY TCP4 203.0.113.9 192.0.2.1 56324\r\n",
        "PROXY TCP4 203.0.113.9 192.0.2.1 56324 443 x\r\n",
        "PROXY TCP4 203.0.113.9 192.0.2.1 56324 65536\r\n",
        "PROXY TCP4 203.0.113.9 192.0.2.1 056324 443\r\n",
        "PROXY TCP4 2001:db8::9 192.0.2.1 56324 443\r\n",
        "PROXY TCP6 203.0.113.9 192.0.2.1 56324 443\r\n",
        "PROXY TCP6 fe80::9%eth0 fe80::1 56324 443\r\n",
        "PROXY TCP4  203.0.113.9 192.0.2.1 56324 443\r\n",
        "PROXY UDP4 203.0.113.9 192.0.2.1 56324 443\r\n",
        "PROXY unknown\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXYUNKNOWNXX\r\n",
        "PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\rX",
    ] {
        assert!(matches!(parse(line.as_bytes()), Err(ProxyHeaderError::Version1(_))), "{line}");
    }
    assert!(matches!(parse(b"PROXY UNKNOWN \xff\r\n"), Err(ProxyHeaderError::Version1(_))));
}

#[test]
fn connection_without_a_header_is_refused_at_its_first_bytes() {
    for stream in [REQUEST, b"\x16\x03\x01\x02\x00\x01\x00", b"PROXZ", b"\r\n\r\n\0\r\nQUIX", b"proxy UNKNOWN\r\n"] {
        assert_eq!(read(stream, 1), Err(ProxyHeaderError::Absent), "{stream:?}");
    }
}

#[test]
fn lengths_are_capped_before_anything_more_is_read() {
    let mut claim = v2(0x21, 0x11, &[]);
    claim[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    assert_eq!(progress(&claim), Err(ProxyHeaderError::TooLong(V2_MAX)));
    claim[14..16].copy_from_slice(&4080_u16.to_be_bytes());
    assert_eq!(progress(&claim), Ok(Progress::Read(4080)));

    let endless = format!("PROXY UNKNOWN {}", "x".repeat(500));
    assert_eq!(read(endless.as_bytes(), 1), Err(ProxyHeaderError::TooLong(V1_MAX)));
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MAX - 16));
    assert_eq!(read(longest.as_bytes(), 200), Ok((Header::Local, b"".as_slice())));
}

#[test]
fn bytes_beyond_or_short_of_the_header_are_refused() {
    let header = v2(0x20, 0x00, &[]);
    assert_eq!(parse(&header[..15]), Err(ProxyHeaderError::Length));
    assert_eq!(parse(&[header.as_slice(), b"G"].concat()), Err(ProxyHeaderError::Length));
    assert_eq!(parse(b"PROXY UNKNOWN\r\nG"), Err(ProxyHeaderError::Length));
    assert_eq!(parse(b""), Err(ProxyHeaderError::Length));
}

fn ends() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let socket = |address: IpAddr, port: u16| SocketAddr::new(address, port);
    prop_oneof![
        any::<(u32, u16, u32, u16)>().prop_map(move |(s, sp, d, dp)| (
            socket(Ipv4Addr::from(s).into(), sp),
            socket(Ipv4Addr::from(d).into(), dp)
        )),
        any::<(u128, u16, u128, u16)>().prop_map(move |(s, sp, d, dp)| (
            socket(Ipv6Addr::from(s).into(), sp),
            socket(Ipv6Addr::from(d).into(), dp)
        )),
    ]
}

fn tlv() -> impl Strategy<Value = Tlv> {
    (any::<u8>(), prop::collection::vec(any::<u8>(), 0..50)).prop_map(|(kind, value)| Tlv { kind, value })
}

proptest! {
    #[test]
    fn version_1_round_trips_and_leaves_the_rest((source, destination) in ends(), chunk in 1..120_usize) {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let line =
            format!("PROXY {family} {} {} {} {}\r\n", source.ip(), destination.ip(), source.port(), destination.port());
        let stream = [line.as_bytes(), REQUEST].concat();
        prop_assert_eq!(read(&stream, chunk), Ok((Header::Proxied { source, destination, tlvs: vec![] }, REQUEST)));
    }

    #[test]
    fn version_2_round_trips_and_leaves_the_rest(
        (source, destination) in ends(),
        tlvs in prop::collection::vec(tlv(), 0..8),
        chunk in 1..600_usize,
    ) {
        let mut payload = addresses(source, destination);
        payload.extend(tlvs.iter().flat_map(tlv_bytes));
        let stream = [&v2(0x21, if source.is_ipv4() { 0x11 } else { 0x21 }, &payload), REQUEST].concat();
        prop_assert_eq!(read(&stream, chunk), Ok((Header::Proxied { source, destination, tlvs }, REQUEST)));
    }

    #[test]
    fn any_bytes_are_a_header_or_an_error(
        start in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x20"]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
        chunk in 1..50_usize,
    ) {
        let stream = [start, &rest].concat();
        let _ = parse(&stream);
        if let Ok((_, left)) = read(&stream, chunk) {
            prop_assert!(parse(&stream[..stream.len() - left.len()]).is_ok());
        }
    }
}
