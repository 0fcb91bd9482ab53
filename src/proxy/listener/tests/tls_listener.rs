//! Certificates by name, replaced under open connections; HTTP/2 by ALPN.

use std::io::Read;

use tokio::net::TcpStream as AsyncTcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::clock::Timestamp;
use crate::crypto;

#[test]
fn the_certificate_is_chosen_by_name_and_replaced_while_connections_are_open() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (
        write_certificate(directory.path(), "a", &["a.test"]),
        write_certificate(directory.path(), "b", &["*.b.test"]),
    );
    let tls = certificates(vec![a, b]);
    let running = Running::start(SourceMode::Peer, |listener| listener.tls = Some(Arc::clone(&tls)));

    let (mut open, first) = running.connect_tls("a.test", b"");
    assert_eq!(ask(&mut open, WHO), "public 127.0.0.1 none a.test");
    let (_, second) = running.connect_tls("x.b.test", b"");
    assert_ne!(first, second);
    // No name is sent for an address.
    let (mut nameless, shown) = running.connect_tls("127.0.0.1", b"");
    assert_eq!(shown, first);
    assert_eq!(ask(&mut nameless, WHO), "public 127.0.0.1 none none");

    write_certificate(directory.path(), "a", &["a.test"]);
    tls.reload(Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(ask(&mut open, WHO), "public 127.0.0.1 none a.test");
    let (mut renewed, shown) = running.connect_tls("a.test", b"");
    assert_ne!(shown, first);
    assert_eq!(ask(&mut renewed, WHO), "public 127.0.0.1 none a.test");
    assert_eq!(running.connect_tls("x.b.test", b"").1, second);
}

#[test]
fn http_1_1_clients_are_served_on_tls() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let running = Running::start(SourceMode::Peer, |listener| listener.tls = Some(tls));
    let (mut client, _) = running.connect_tls("A.TEST", b"");
    for _ in 0..3 {
        assert_eq!(ask(&mut client, WHO), "public 127.0.0.1 none a.test");
    }
}

/// Decision 39: workers share the memory of sessions.
#[test]
fn a_client_resumes_its_session_with_any_worker() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let running = Running::with_threads(4, SourceMode::Peer, |listener| listener.tls = Some(tls));
    let config = Arc::new(client_config(&[]));
    let connect = || {
        let session = rustls::ClientConnection::new(Arc::clone(&config), "a.test".try_into().unwrap()).unwrap();
        let mut client = rustls::StreamOwned::new(session, running.connect());
        assert_eq!(ask(&mut client, WHO), "public 127.0.0.1 none a.test");
        client
    };
    let first = connect();
    assert_eq!(first.conn.handshake_kind(), Some(rustls::HandshakeKind::Full));
    // Open all at once, so that more than one worker has one.
    let later: Vec<_> = (0..12).map(|_| connect()).collect();
    assert!(later.iter().all(|client| client.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)));
}

/// Of both versions; sent in two pieces as well as in one.
#[test]
fn a_client_gets_the_cheapest_suite_or_the_one_that_it_needs() {
    use rustls::crypto::aws_lc_rs::cipher_suite as suite;
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let running = Running::start(SourceMode::Peer, |listener| listener.tls = Some(tls));
    let got = |suites: &[rustls::SupportedCipherSuite], is_split: bool| {
        let provider = rustls::crypto::CryptoProvider { cipher_suites: suites.to_vec(), ..crypto::provider() };
        let config = client_config_of(provider, &[]);
        let session = rustls::ClientConnection::new(Arc::new(config), "a.test".try_into().unwrap()).unwrap();
        let mut client = rustls::StreamOwned::new(session, running.connect());
        if is_split {
            let mut hello = Vec::new();
            client.conn.write_tls(&mut hello).unwrap();
            let (first, rest) = hello.split_at(60);
            client.sock.write_all(first).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            client.sock.write_all(rest).unwrap();
        }
        assert_eq!(ask(&mut client, WHO), "public 127.0.0.1 none a.test");
        client.conn.negotiated_cipher_suite().unwrap().suite()
    };
    let newer =
        [suite::TLS13_AES_256_GCM_SHA384, suite::TLS13_AES_128_GCM_SHA256, suite::TLS13_CHACHA20_POLY1305_SHA256];
    let older = [
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    for ([large, small, chacha], is_split) in [(newer, false), (newer, true), (older, false), (older, true)] {
        assert_eq!(got(&[large, chacha, small], is_split), small.suite());
        assert_eq!(got(&[chacha, large, small], is_split), chacha.suite());
        assert_eq!(got(&[large], is_split), large.suite());
    }
}

/// What is no first message of TLS ends the connection, and takes no memory until it does.
#[test]
fn what_is_no_hello_ends_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let running = Running::start(SourceMode::Peer, |listener| listener.tls = Some(tls));
    // A first message of 65,535 bytes, in records: with their heads it is longer than any that is taken.
    let endless = |length: u8| {
        let mut record = vec![22, 3, 1, 0x40, 0];
        record.extend([1, 0, length, 255]);
        record.resize(5 + 0x4000, 0);
        record
    };
    let unending = [endless(255), [vec![22, 3, 1, 0x40, 0], vec![0; 0x4000]].concat().repeat(200)].concat();
    for (name, sent) in [
        ("plain HTTP", b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec()),
        ("noise", vec![0x5a; 3000]),
        ("nothing but a record's head", vec![22, 3, 1, 0, 0]),
        ("a message without an end", unending),
    ] {
        let mut client = running.connect();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // It is closed while we write.
        let _ = client.write_all(&sent);
        let mut answer = Vec::new();
        let is_closed = match client.read_to_end(&mut answer) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(is_closed && answer.len() < 100, "{name}: {answer:?}");
    }
    wait_until(|| running.in_flight.connections() == 0);
    assert_eq!(ask(&mut running.connect_tls("a.test", b"").0, WHO), "public 127.0.0.1 none a.test");
}

/// Longer than what is read at once, as one with a session or keys of two kinds.
#[test]
fn a_long_hello_is_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let running = Running::start(SourceMode::Peer, |listener| listener.tls = Some(tls));
    let names: Vec<_> = (0..500).map(|number| format!("protocol-{number:04}")).chain(["http/1.1".to_owned()]).collect();
    let config = client_config(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let session = rustls::ClientConnection::new(Arc::new(config), "a.test".try_into().unwrap()).unwrap();
    let mut client = rustls::StreamOwned::new(session, running.connect());
    assert_eq!(ask(&mut client, WHO), "public 127.0.0.1 none a.test");
}

async fn http2(running: &Running) -> h2::client::SendRequest<bytes::Bytes> {
    let connector = TlsConnector::from(Arc::new(client_config(&["h2", "http/1.1"])));
    let socket = AsyncTcpStream::connect(running.address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("a.test").unwrap(), socket).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// What comes back from `path`, asked for with this body or with none.
pub(super) async fn told(
    requests: &h2::client::SendRequest<bytes::Bytes>,
    path: &str,
    body: Option<&'static str>,
) -> Result<String, h2::Error> {
    let method = if body.is_some() { http::Method::POST } else { http::Method::GET };
    let request = http::Request::builder().method(method).uri(format!("https://a.test{path}")).body(()).unwrap();
    let (response, mut sent) = requests.clone().ready().await?.send_request(request, body.is_none())?;
    if let Some(body) = body {
        sent.send_data(body.into(), true)?;
    }
    let body = response.await?.into_body().data().await.unwrap()?;
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

async fn who(requests: &h2::client::SendRequest<bytes::Bytes>) -> Result<String, h2::Error> {
    told(requests, "/who", None).await
}

/// Many are served at once: what is left of one is nobody else's.
#[tokio::test]
async fn http2_requests_are_answered_without_pingora_or_left_to_it_each_with_what_is_known_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let running = Running::start(SourceMode::Peer, |listener| listener.tls = Some(tls));
    let requests = http2(&running).await;
    let paths: Vec<_> = (0..50).map(|number| format!("/kept/{number}")).collect();
    let asked = paths.iter().map(|path| {
        let (requests, path) = (requests.clone(), path.clone());
        tokio::spawn(async move { told(&requests, &path, None).await })
    });
    let asked: Vec<_> = asked.collect();
    for (path, asked) in paths.iter().zip(asked) {
        assert_eq!(asked.await.unwrap().unwrap(), format!("kept of {path}"));
    }
    assert_eq!(told(&requests, "/plain", None).await.unwrap(), "plain");
    assert_eq!(told(&requests, "/kept", Some("a body")).await.unwrap(), "nothing");
    assert_eq!(told(&requests, "/plain", None).await.unwrap(), "plain");
    wait_until(|| running.in_flight.requests() == 0);
}

#[tokio::test]
async fn every_http2_request_knows_its_connection_and_only_the_first_has_a_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let running = Running::start(SourceMode::Peer, |listener| {
        listener.tls = Some(tls);
        listener.head_timeout = Duration::from_millis(300);
    });
    let requests = http2(&running).await;
    assert_eq!(who(&requests).await.unwrap(), "public 127.0.0.1 none a.test");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(who(&requests).await.unwrap(), "public 127.0.0.1 none a.test");
    assert_eq!(running.refused(), []);

    let silent = http2(&running).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    who(&silent).await.unwrap_err();
    assert_eq!(running.refused().first(), Some(&Refusal::LateHead));
}
