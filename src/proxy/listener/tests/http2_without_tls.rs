//! HTTP/2 that the client begins at once, as proxies do that know that they may (RFC 9113 3.3).

use std::io::{Read, Write};

use tokio::net::TcpStream as AsyncTcpStream;

use super::tls_listener::told;
use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

async fn begin(running: &Running) -> h2::client::SendRequest<bytes::Bytes> {
    let socket = AsyncTcpStream::connect(running.address).await.unwrap();
    let (requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    requests
}

#[tokio::test]
async fn a_client_may_begin_with_http2() {
    let running = Running::start(SourceMode::Peer, |listener| {
        listener.h2c = true;
        listener.head_timeout = Duration::from_millis(300);
    });
    let requests = begin(&running).await;
    for _ in 0..2 {
        assert_eq!(told(&requests, "/who", None).await.unwrap(), "public 127.0.0.1 none none");
        assert_eq!(told(&requests, "/plain", None).await.unwrap(), "plain");
        assert_eq!(told(&requests, "/kept/1", None).await.unwrap(), "kept of /kept/1");
        assert_eq!(told(&requests, "/body", Some("a body")).await.unwrap(), "a body");
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    assert_eq!(running.refused(), []);
    let silent = begin(&running).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    told(&silent, "/who", None).await.unwrap_err();
    assert_eq!(running.refused(), [Refusal::LateHead]);
}

#[test]
fn its_beginning_may_come_in_pieces() {
    let running = Running::start(SourceMode::Peer, |listener| listener.h2c = true);
    let mut client = running.connect();
    for piece in [&PREFACE[..1], &PREFACE[1..16], &PREFACE[16..], SETTINGS] {
        client.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    let mut frame = [0; 9];
    client.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "settings: {frame:?}");
    // What begins like it is something else.
    let mut client = running.connect();
    client.write_all(b"P").unwrap();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(ask(&mut client, "OST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc"), "abc");
    assert_eq!(running.refused(), []);
}

/// Neither behind another request, where somebody in front of us may have read something else, nor over TLS, where protocols are agreed on,
/// nor where nobody has said so.
#[test]
fn it_is_nothing_anywhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]);
    let running = Running::start(SourceMode::Peer, |listener| listener.h2c = true);
    let unasked = Running::start(SourceMode::Peer, |_| {});
    let encrypted = Running::start(SourceMode::Peer, |listener| (listener.h2c, listener.tls) = (true, Some(tls)));
    let mut later = running.connect();
    assert!(ask(&mut later, WHO).starts_with("public"));
    let (over_tls, _) = encrypted.connect_tls("a.test", b"");
    for mut client in [Box::new(later) as Box<dyn Stream>, Box::new(over_tls), Box::new(unasked.connect())] {
        client.write_all(&[PREFACE, SETTINGS].concat()).unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    }
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}
