//! PROXY headers on plain and TLS listeners: believed from trusted balancers only, and never optional.

use ipnet::IpNet;

use super::*;
use crate::policy::network::{EndpointMark, Network};
use crate::proxy::listener::proxy_protocol::read_header;
use crate::proxy::source::EndpointKind;

const V1: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";

/// Version 2, TCP over IPv4, 203.0.113.7:56324, with one TLV (AWS's VPC endpoint id).
fn v2() -> Vec<u8> {
    v2_with(b"\xea\x00\x07\x01vpce-0")
}

/// The same with these TLVs.
fn v2_with(tlvs: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    let mut rest = vec![203, 0, 113, 7, 192, 0, 2, 1, 0xdc, 0x04, 0x01, 0xbb];
    rest.extend(tlvs);
    header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    header.extend(rest);
    header
}

fn from(trusted: &str) -> SourceMode {
    believing(trusted, None)
}

fn believing(trusted: &str, private_endpoint: Option<EndpointKind>) -> SourceMode {
    let trusted = [trusted.parse::<IpNet>().unwrap()].into_iter().collect();
    SourceMode::ProxyProtocol { trusted, private_endpoint }
}

#[test]
fn plain_listener_learns_the_source_from_either_version_and_keeps_it() {
    let running = Running::start(from("127.0.0.0/8"), |_| {});
    for (header, expected) in [
        (V1.to_vec(), "public 127.0.0.1 203.0.113.7:56324+0 none"),
        (v2(), "public 127.0.0.1 203.0.113.7:56324+1 none"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "public 127.0.0.1 local none"),
    ] {
        let mut client = running.connect();
        client.write_all(&header).unwrap();
        for _ in 0..3 {
            assert_eq!(ask(&mut client, WHO), expected);
        }
    }
    assert_eq!(running.refused(), []);
}

#[test]
fn a_header_in_pieces_or_together_with_the_request_is_read_exactly() {
    let running = Running::start(from("127.0.0.0/8"), |_| {});
    for header in [V1.to_vec(), v2()] {
        let mut pieces = running.connect();
        pieces.set_nodelay(true).unwrap();
        for piece in header.chunks(9) {
            pieces.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        assert!(ask(&mut pieces, WHO).contains("203.0.113.7:56324"));

        let mut together = running.connect();
        together.write_all(&[&header, WHO.as_bytes()].concat()).unwrap();
        assert!(read_response(&mut together).contains("203.0.113.7:56324"));
    }
}

#[test]
fn tls_listener_reads_the_header_before_the_handshake() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let running = Running::start(from("127.0.0.1/32"), |listener| listener.tls = Some(tls));
    for header in [V1.to_vec(), v2()] {
        let (mut client, _) = running.connect_tls("a.test", &header);
        for _ in 0..3 {
            let who = ask(&mut client, WHO);
            assert!(who.starts_with("public 127.0.0.1 203.0.113.7:56324+") && who.ends_with(" a.test"), "{who}");
        }
    }
    // A handshake without a header in front.
    let mut socket = running.connect();
    let name = ServerName::try_from("a.test").unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(client_config(&[])), name).unwrap();
    session.complete_io(&mut socket).unwrap_err();
    assert_eq!(running.refused(), [Refusal::MalformedProxyHeader]);
}

#[test]
fn a_peer_that_is_not_trusted_is_closed_before_it_says_anything() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    for tls in [None, Some(tls)] {
        let running = Running::start(from("10.0.0.0/8"), |listener| listener.tls = tls);
        assert!(is_closed(&mut running.connect()));
        assert_eq!(running.refused(), [Refusal::UntrustedPeer]);
        assert_eq!(running.in_flight.connections(), 0);
    }
}

#[test]
fn a_request_without_a_header_is_closed() {
    let running = Running::start(from("127.0.0.0/8"), |_| {});
    let mut client = running.connect();
    client.write_all(WHO.as_bytes()).unwrap();
    assert!(is_closed(&mut client));
    assert_eq!(running.refused(), [Refusal::MalformedProxyHeader]);
}

#[test]
fn a_header_is_a_mere_request_where_the_protocol_is_not_configured() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    client.write_all(&[V1, WHO.as_bytes()].concat()).unwrap();
    assert!(read_until(&mut client, "\r\n").starts_with("HTTP/1.1 400"));
}

#[tokio::test(start_paused = true)]
async fn a_trusted_peer_that_says_nothing_is_given_three_seconds() {
    let SourceMode::ProxyProtocol { trusted, .. } = from("127.0.0.0/8") else { panic!("not the PROXY protocol") };
    let (mut server, _silent) = tokio::io::duplex(64);
    let started = tokio::time::Instant::now();
    let read = read_header(&mut server, "127.0.0.1:1".parse().unwrap(), &trusted).await;
    assert_eq!(read, Err(Refusal::LateProxyHeader));
    assert_eq!(started.elapsed().as_secs(), 3);
}

const AZURE: &[u8] = b"\xee\x00\x05\x01\x2a\x00\x00\x00";

/// Threat class N: a mark counts where the listener believes its kind, and for a whole connection.
#[test]
fn a_connection_comes_through_the_endpoint_that_a_believed_mark_names() {
    let private = Network::PrivateEndpoint(EndpointMark::Listener("public".into()));
    let (aws, azure) = (Some(EndpointKind::Aws), Some(EndpointKind::Azure));
    let (public, own, vpc) = ("none", "none by listener `public`", "none by vpcEndpointId `vpce-0`");
    for (kind, network, header, expected) in [
        (aws, Network::Public, v2(), vpc),
        (aws, private.clone(), v2(), vpc),
        (azure, Network::Public, v2_with(AZURE), "none by linkId 42"),
        // What it does not believe, it does not read.
        (None, Network::Public, v2(), public),
        (None, private.clone(), v2(), own),
        (azure, Network::Public, v2(), public),
        (azure, private.clone(), v2(), own),
        // Version 1 and the balancer's own connections say nothing of endpoints.
        (aws, Network::Public, V1.to_vec(), public),
        (aws, private.clone(), V1.to_vec(), own),
        (aws, private, b"PROXY UNKNOWN\r\n".to_vec(), own),
    ] {
        let running = Running::start(believing("127.0.0.0/8", kind), |listener| listener.network = network);
        let mut client = running.connect();
        client.write_all(&header).unwrap();
        for _ in 0..2 {
            let who = ask(&mut client, WHO);
            assert!(who.ends_with(expected), "{kind:?} {header:02x?}: {who}");
        }
    }
}

/// Malformed and repeated marks end the connection, with TLS and without: they never pass for none.
#[test]
fn a_mark_that_is_not_clear_ends_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let plain = Running::start(believing("127.0.0.0/8", Some(EndpointKind::Azure)), |_| {});
    let twice = [AZURE, AZURE].concat();
    let unclear: [&[u8]; 4] =
        [&twice, b"\xee\x00\x04\x01\x2a\x00\x00", b"\xee\x00\x00", b"\xee\x00\x05\x02\x2a\x00\x00\x00"];
    for tlvs in unclear {
        let mut client = plain.connect();
        client.write_all(&[&v2_with(tlvs), WHO.as_bytes()].concat()).unwrap();
        assert!(is_closed(&mut client), "{tlvs:02x?}");
    }
    assert_eq!(plain.refused(), [Refusal::MalformedProxyHeader; 4]);
    let encrypted =
        Running::start(believing("127.0.0.0/8", Some(EndpointKind::Azure)), |listener| listener.tls = Some(tls));
    let (mut client, _) = encrypted.connect_tls("a.test", &v2_with(AZURE));
    assert!(ask(&mut client, WHO).ends_with(" a.test by linkId 42"));
    let mut client = encrypted.connect();
    client.write_all(&v2_with(&twice)).unwrap();
    assert!(is_closed(&mut client), "before the handshake");
    assert_eq!(encrypted.refused(), [Refusal::MalformedProxyHeader]);
}
