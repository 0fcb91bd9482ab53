//! For which names a connection is: the name of the handshake, the Host of each request (threat class O: GO-2026-4530,
//! CVE-2026-32305, CVE-2026-53622, CVE-2022-23632).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use super::scanner;
use super::world::{Client, HOST, OTHER, World};
use crate::harness::sources::record_of;

/// The status of a request for `host` on each connection; `None`: no answer.
fn ask(world: &World, name: &str, hosts: &[&str]) -> Option<u16> {
    let mut client = world.connect_as(world.optional, Some(&scanner(&world.authority)), name)?;
    let headers: Vec<_> = hosts.iter().map(|&host| ("Host", host)).collect();
    client.ask("GET", "/v2/", &headers).map(|answer| answer.status)
}

#[test]
fn a_host_that_is_not_the_name_of_the_handshake_is_misdirected() {
    let world = World::start();
    let by_address = world.optional.to_string();
    let rows: &[(&str, &[&str], Option<u16>)] = &[
        (HOST, &[HOST], Some(200)),
        ("REGISTRY.test", &["Registry.Test"], Some(200)),
        (OTHER, &[OTHER], Some(200)),
        // Of two registries that have both a right to be here, one.
        (HOST, &[OTHER], Some(421)),
        (OTHER, &[HOST], Some(421)),
        // No certificate of the server's names it, but the wildcard does.
        ("x.wild.test", &[HOST], Some(421)),
        ("x.wild.test", &["x.wild.test"], Some(421)),
        (HOST, &["x.registry.test"], Some(421)),
        // Two lines of Host are no request (RFC 9112 3.2).
        (HOST, &[HOST, OTHER], Some(400)),
        (HOST, &[HOST, HOST], Some(400)),
        (HOST, &[&by_address], Some(421)),
        // An address sends no name (RFC 6066 3).
        ("127.0.0.1", &[HOST], Some(421)),
        ("127.0.0.1", &[OTHER], Some(421)),
        ("127.0.0.1", &[&by_address], Some(200)),
    ];
    for (name, hosts, expected) in rows {
        assert_eq!(ask(&world, name, hosts), *expected, "{hosts:?} on a connection for {name}");
    }
    for host in ["registry.test, other.test", "registry.test@other.test", "other.test#registry.test", ""] {
        assert!(matches!(ask(&world, HOST, &[host]), Some(400 | 421)), "{host:?}");
    }
    // Without a certificate too, and on every request of a connection.
    let mut client = world.connect(world.optional, None).unwrap();
    for (host, expected) in [(HOST, 401), (HOST, 401), (OTHER, 421)] {
        let answer = client.ask("GET", "/v2/", &[("Host", host)]).unwrap();
        assert_eq!(answer.status, expected, "{host}");
        if expected == 421 {
            assert_eq!(record_of(&world.seawall, &answer)["reason"], "misdirected");
        }
    }
    // A line that names the host in its target.
    let mut client = world.connect(world.optional, None).unwrap();
    client.0.send(format!("GET http://{OTHER}/v2/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes());
    let answer = client.0.answer("GET").unwrap();
    assert!(matches!(answer.status, 400 | 421), "{answer:?}");
}

/// HTTP/2 clients reuse a connection for every name in the server's certificate.
#[tokio::test]
async fn a_reused_http2_connection_is_for_one_name() {
    let world = World::start();
    let config = world.client(Some(&scanner(&world.authority)), &["h2"]);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let socket = tokio::net::TcpStream::connect(world.optional).await.unwrap();
    let stream = connector.connect(HOST.try_into().unwrap(), socket).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (host, expected) in [(HOST, 200), (OTHER, 421), ("registry.test:8443", 421), (HOST, 200)] {
        let request = http::Request::get(format!("https://{host}/v2/")).body(()).unwrap();
        let answer = requests.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(answer.status(), expected, "{host}");
    }
    // A Host beside the authority that is another one.
    let request = http::Request::get(format!("https://{HOST}/v2/")).header("host", OTHER).body(()).unwrap();
    let answer = requests.send_request(request, true).unwrap().0.await.unwrap();
    assert!(answer.status() == 421 || answer.status() == 400, "{answer:?}");
}

/// A hello in many pieces is one hello, with its name.
#[test]
fn a_hello_in_pieces_names_the_same_host() {
    for (host, expected) in [(HOST, 200), (OTHER, 421)] {
        let world = World::start();
        let config = world.client(Some(&scanner(&world.authority)), &["http/1.1"]);
        let mut client = ClientConnection::new(Arc::new(config), HOST.try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        let mut socket = TcpStream::connect(world.optional).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        send_in_pieces(&mut socket, &hello);
        let mut stream = StreamOwned::new(client, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        let answer = Client::over(stream).ask("GET", "/v2/", &[("Host", host)]).unwrap();
        assert_eq!(answer.status, expected, "{host}");
    }
}

/// One record of TLS as several, of a few bytes each (RFC 8446 5.1), each in a packet of its own.
fn send_in_pieces(socket: &mut TcpStream, record: &[u8]) {
    let (head, body) = record.split_at(5);
    for piece in body.chunks(37) {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        socket.write_all(&[&head[..3], &length, piece].concat()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A name that is none: a pattern, or an address. No such connection gets an answer from a registry.
#[test]
fn a_hello_with_a_name_that_is_none_is_refused() {
    let world = World::start();
    for name in ["*.registry.test", "*egistry.test", "registry test!"] {
        assert_eq!(name.len().max(HOST.len()), name.len(), "a name as long or longer");
        let placeholder = format!("{}.test", "x".repeat(name.len() - 5));
        let config = world.client(Some(&scanner(&world.authority)), &["http/1.1"]);
        let mut client = ClientConnection::new(Arc::new(config), placeholder.clone().try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        let at = hello.windows(name.len()).position(|bytes| bytes == placeholder.as_bytes()).unwrap();
        hello[at..at + name.len()].copy_from_slice(name.as_bytes());
        let mut socket = TcpStream::connect(world.optional).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(&hello).unwrap();
        let mut answer = [0; 7];
        socket.read_exact(&mut answer).unwrap();
        // 21: an alert, and a fatal one (2).
        assert_eq!((answer[0], answer[5]), (21, 2), "{name}: {answer:?}");
    }
}
