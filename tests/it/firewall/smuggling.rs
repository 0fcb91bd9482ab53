//! Requests whose end is a matter of opinion (threats class U): whatever becomes of them, the upstream sees no request that
//! was not decided on, and the next client is served.

use crate::harness::caller::Caller;
use crate::harness::fake::{Fake, answer};
use crate::harness::raw::{self, Exchange};
use crate::harness::seawall::Seawall;
use crate::harness::wall::{MINE, Setup};

/// What an attacker wants the upstream to see.
const INNER: &str = "GET /v2/secret/app/manifests/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

struct Stage {
    fake: Fake,
    seawall: Seawall,
    attacker: Caller,
}

impl Stage {
    fn set() -> Self {
        let fake = Fake::always(answer("200 OK", "Content-Type: application/json\r\n", "{}"));
        // One thread: the next request goes to the same pool of upstream connections.
        let seawall = Setup::new(&fake.url()).one_thread().start();
        let attacker = Caller::of(&seawall, MINE);
        Self { fake, seawall, attacker }
    }

    /// Sends `bytes` and checks that nothing was smuggled and that the next client is served.
    fn attack(&self, what: &str, bytes: &[u8]) -> Exchange {
        let exchange = raw::exchange(self.attacker.address, bytes);
        let next = Caller::of(&self.seawall, MINE).get("/v2/mine/next/manifests/v1");
        assert_eq!((next.status, next.text().as_str()), (200, "{}"), "{what}: the next client is served");
        let seen = self.fake.seen();
        for request in &seen {
            assert!(!request.line.contains("smuggled"), "{what}: {request:?}");
            let known = request.line.ends_with(" HTTP/1.1") && request.line.contains(" /v2/mine/");
            assert!(known, "{what}: {request:?}");
        }
        exchange
    }

    /// As `attack`, for what is no request at all: it is refused, the connection ends, and nothing goes up.
    fn expect_refused(&self, what: &str, bytes: &[u8]) {
        let before = self.fake.seen().len();
        let exchange = self.attack(what, bytes);
        let statuses = exchange.statuses();
        assert!(statuses.iter().all(|status| (400..=499).contains(status)), "{what}: {exchange:?}");
        assert!(statuses.len() <= 1, "{what}: one answer at most: {exchange:?}");
        assert!(exchange.closed, "{what}: the connection goes on behind a request without a clear end: {exchange:?}");
        assert_eq!(self.fake.seen().len(), before + 1, "{what}: only the next client's request goes up");
    }

    fn head(&self, method: &str, headers: &str) -> String {
        let path = match method {
            "POST" => "/v2/mine/app/blobs/uploads/",
            _ => "/v2/mine/app/manifests/v1",
        };
        self.attacker.head(method, path, headers)
    }
}

/// Class U: two lengths, two framings, and framings that others read differently.
#[test]
fn a_body_of_unclear_length_is_refused() {
    let stage = Stage::set();
    let length = INNER.len();
    let chunked = format!("0\r\n\r\n{INNER}");
    for (what, headers, body) in [
        ("two lengths", format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), INNER),
        ("the same length twice", format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), INNER),
        ("a list of lengths", format!("Content-Length: {length}, {length}\r\n"), INNER),
        ("a signed length", "Content-Length: +0\r\n".to_owned(), INNER),
        ("a negative length", "Content-Length: -1\r\n".to_owned(), INNER),
        ("a length in hexadecimal", "Content-Length: 0x10\r\n".to_owned(), INNER),
        ("an empty length", "Content-Length: \r\n".to_owned(), INNER),
        ("a length over 64 bits", "Content-Length: 18446744073709551617\r\n".to_owned(), INNER),
        ("an unknown coding", "Transfer-Encoding: xchunked\r\n".to_owned(), &chunked),
        ("chunked, but not at last", "Transfer-Encoding: chunked, identity\r\n".to_owned(), &chunked),
        ("two codings", "Transfer-Encoding: gzip, chunked\r\n".to_owned(), &chunked),
        ("two lines of codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(), &chunked),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned(), &chunked),
        ("a coding with a control character", "Transfer-Encoding: \x0bchunked\r\n".to_owned(), &chunked),
        ("a coding in quotes", "Transfer-Encoding: \"chunked\"\r\n".to_owned(), &chunked),
        ("space before the colon of a length", format!("Content-Length : {length}\r\n"), INNER),
        ("space before the colon of a coding", "Transfer-Encoding : chunked\r\n".to_owned(), &chunked),
        ("a folded coding", "Transfer-Encoding:\r\n chunked\r\n".to_owned(), &chunked),
        ("a folded header", "X-A: b\r\n c: d\r\n".to_owned(), INNER),
        ("a header without a colon", "X-A\r\n".to_owned(), INNER),
        ("a header without a name", ": x\r\n".to_owned(), INNER),
        ("a zero byte in a header", "X-A: a\0b\r\n".to_owned(), INNER),
        ("a zero byte in a name", "X\0A: b\r\n".to_owned(), INNER),
        ("a lone carriage return in a header", "X-A: a\rX-B: b\r\n".to_owned(), INNER),
    ] {
        let head = stage.head("POST", &headers);
        stage.expect_refused(what, format!("{head}{body}").as_bytes());
    }
}

/// Class U: CVE-2026-2835.
#[test]
fn http_1_0_with_a_coding_is_refused() {
    let stage = Stage::set();
    let head = stage.head("POST", "Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0");
    stage.expect_refused("HTTP/1.0 with a coding", format!("{head}0\r\n\r\n{INNER}").as_bytes());
    let head = stage.head("POST", "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n");
    let head = head.replace("HTTP/1.1", "HTTP/1.0");
    stage.expect_refused("HTTP/1.0, kept alive", format!("{head}0\r\n\r\n{INNER}").as_bytes());
}

/// Class U: a length beside a coding. RFC 9112 6.3 lets the coding win, if the connection then ends.
#[test]
fn a_length_beside_a_coding_goes_up_as_the_coding_and_the_connection_ends() {
    let stage = Stage::set();
    let length = INNER.len() + 5;
    for headers in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        "Content-Length: 4\r\nTransfer-Encoding: Chunked\r\n".to_owned(),
    ] {
        let head = stage.head("POST", &headers);
        let exchange = stage.attack(&headers, format!("{head}0\r\n\r\n{INNER}").as_bytes());
        assert!(exchange.closed, "{headers}: {exchange:?}");
        assert_eq!(exchange.statuses().len(), 1, "{headers}: {exchange:?}");
        let seen = stage.fake.seen();
        let upload = seen.iter().rev().find(|request| request.line.starts_with("POST"));
        if let Some(upload) = upload {
            assert!(upload.header("Content-Length").is_none() && upload.body.is_empty(), "{headers}: {upload:?}");
        }
    }
}

/// Class U: chunks that end in the wrong place.
#[test]
fn malformed_chunks_end_the_connection() {
    let stage = Stage::set();
    for (what, body) in [
        ("a size that is no number", format!("z\r\n\r\n{INNER}")),
        ("a negative size", format!("-1\r\n\r\n{INNER}")),
        ("a size over 64 bits", format!("10000000000000000\r\n\r\n{INNER}")),
        ("a chunk that is longer than it says", format!("1\r\nabc\r\n0\r\n\r\n{INNER}")),
        ("a size with a prefix", format!("0x5\r\nabcde\r\n0\r\n\r\n{INNER}")),
    ] {
        let head = stage.head("POST", "Transfer-Encoding: chunked\r\n");
        let exchange = stage.attack(what, format!("{head}{body}").as_bytes());
        assert!(exchange.closed, "{what}: {exchange:?}");
    }
    // Extensions and trailers are dropped, not passed on.
    let head = stage.head("POST", "Transfer-Encoding: chunked\r\n");
    let body = "3;name=\"v\"\r\nabc\r\n0\r\nX-Forwarded-Host: evil.example\r\n\r\n";
    let exchange = stage.attack("extensions and trailers", format!("{head}{body}").as_bytes());
    let seen = stage.fake.seen();
    if let Some(upload) = seen.iter().rev().find(|request| request.line.starts_with("POST") && !request.body.is_empty())
    {
        assert_eq!(upload.body, b"abc", "{exchange:?}");
    }
}

/// Class U: CVE-2026-2833. An upgrade is not ours to grant, and what follows it is no tunnel.
#[test]
fn an_upgrade_is_ignored_and_what_follows_is_not_passed_on() {
    let stage = Stage::set();
    for headers in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: Upgrade\r\nUpgrade: foo\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: websocket\r\n",
    ] {
        for method in ["GET", "POST"] {
            let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
            let head = stage.head(method, &format!("{headers}{length}"));
            let exchange = stage.attack(headers, format!("{head}{INNER}").as_bytes());
            assert!(!exchange.statuses().contains(&101), "{headers}: {exchange:?}");
            for request in stage.fake.seen() {
                for name in ["Upgrade", "HTTP2-Settings", "Sec-WebSocket-Key"] {
                    assert_eq!(request.header(name), None, "{headers}: {request:?}");
                }
            }
        }
    }
    // The HTTP/2 preface on a plain listener is no request of HTTP/1.
    let exchange = stage.attack("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(exchange.closed, "{exchange:?}");
}

/// Class L (CVE-2024-45410): a client cannot name headers of ours to be removed.
#[test]
fn the_connection_header_removes_nothing_that_decides() {
    let stage = Stage::set();
    for nominated in ["authorization", "Authorization, host", "host", "content-length", "x-forwarded-for, te"] {
        let head = stage.head("GET", &format!("Connection: {nominated}\r\n"));
        let exchange = stage.attack(nominated, head.as_bytes());
        let statuses = exchange.statuses();
        assert!(matches!(statuses[..], [200 | 400]), "{nominated}: {exchange:?}");
    }
    for seen in stage.fake.seen() {
        assert_eq!(seen.header("Host"), Some(stage.fake.address().to_string().as_str()), "{seen:?}");
        assert!(seen.header("Connection").is_none_or(|value| value.eq_ignore_ascii_case("keep-alive")), "{seen:?}");
    }
}

/// Line ends: a bare LF is accepted as a line end (RFC 9112 2.2), and means the same to us as to the upstream, which gets a
/// request of our own making.
#[test]
fn bare_line_feeds_change_nothing() {
    let stage = Stage::set();
    let head = stage.head("GET", "X-A: b\r\n").replace("\r\n", "\n");
    let exchange = stage.attack("bare line feeds", head.as_bytes());
    assert!(matches!(exchange.statuses()[..], [200 | 400]), "{exchange:?}");
    let head = stage.head("POST", "Content-Length: 0\r\nX-A: b\n\nGET /v2/secret/app/manifests/smuggled HTTP/1.1\n");
    let exchange = stage.attack("a bare empty line", head.as_bytes());
    assert!(exchange.statuses().len() <= 1, "{exchange:?}");
}

/// The target and the Host: one authority, which is a registry's, or nothing.
#[test]
fn a_request_without_one_clear_host_reaches_no_registry() {
    let stage = Stage::set();
    let address = stage.attacker.address.to_string();
    let host = format!("Host: {address}\r\n");
    let good = stage.head("GET", "");
    let path = "/v2/mine/app/manifests/v1";
    for (what, request) in [
        ("no Host", good.replace(&host, "")),
        ("HTTP/1.0 without a Host", good.replace(&host, "").replace("HTTP/1.1", "HTTP/1.0")),
        ("an empty Host", good.replace(&host, "Host:\r\n")),
        ("two Hosts", good.replace(&host, &format!("{host}Host: evil.example\r\n"))),
        ("the same Host twice", good.replace(&host, &format!("{host}{host}"))),
        ("another Host", good.replace(&host, "Host: evil.example\r\n")),
        ("a Host with another port", good.replace(&host, "Host: 127.0.0.1:1\r\n")),
        ("a Host with a user", good.replace(&host, &format!("Host: a@{address}\r\n"))),
        ("a Host with a path", good.replace(&host, &format!("Host: {address}/x\r\n"))),
        ("a Host with a space", good.replace(&host, &format!("Host: {address} x\r\n"))),
        ("an absolute target that disagrees with Host", good.replace(path, &format!("http://evil.example{path}"))),
    ] {
        let before = stage.fake.seen().len();
        let exchange = stage.attack(what, request.as_bytes());
        assert!(matches!(exchange.statuses()[..], [] | [400 | 421]), "{what}: {exchange:?}");
        assert_eq!(stage.fake.seen().len(), before + 1, "{what}: it went up");
    }
    let absolute = good.replace(path, &format!("http://{address}{path}"));
    let exchange = stage.attack("an absolute target that agrees with Host", absolute.as_bytes());
    assert!(matches!(exchange.statuses()[..], [200 | 400]), "{exchange:?}");
}

/// Methods that the protocol does not have.
#[test]
fn a_method_that_the_protocol_does_not_have_is_refused() {
    let stage = Stage::set();
    let refused = |what: &str, request: String| {
        let before = stage.fake.seen().len();
        let exchange = stage.attack(what, request.as_bytes());
        let statuses = exchange.statuses();
        assert!(matches!(statuses[..], [] | [400 | 404 | 405]), "{what}: {exchange:?}");
        assert_eq!(stage.fake.seen().len(), before + 1, "{what}: it went up");
    };
    for method in ["CONNECT", "TRACE", "OPTIONS", "PROPFIND", "get", "GETX", "PURGE", "POST"] {
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        refused(method, stage.attacker.head(method, "/v2/mine/app/manifests/v1", length));
    }
    refused("an authority as target", stage.attacker.head("CONNECT", "evil.example:443", ""));
    refused("a star as target", stage.attacker.head("OPTIONS", "*", ""));
    refused("no method", stage.head("GET", "").replacen("GET ", "", 1));
    refused("a method of control characters", stage.head("G\x01T", ""));
    refused("another protocol", stage.head("GET", "").replacen("HTTP/1.1", "HTTP/3.0", 1));
    refused("two spaces and more", stage.head("GET", "").replacen(" HTTP/1.1", " x HTTP/1.1", 1));
    refused("a request before the request", format!("\0\0{}", stage.head("GET", "")));
}

/// Class T: heads have an end.
#[test]
fn a_head_that_is_too_large_is_refused() {
    let stage = Stage::set();
    let many = (0..300).map(|number| format!("X-{number}: x\r\n")).collect::<Vec<_>>().concat();
    stage.expect_refused("300 headers", stage.head("GET", &many).as_bytes());
    let long = format!("X-Long: {}\r\n", "x".repeat(1_100_000));
    stage.expect_refused("a header of more than 1 MB", stage.head("GET", &long).as_bytes());
    let path = format!("/v2/mine/{}/manifests/v1", "a".repeat(9000));
    let exchange = stage.attack("a long path", stage.attacker.head("GET", &path, "").as_bytes());
    assert!(matches!(exchange.statuses()[..], [400 | 414]), "{exchange:?}");
}

/// A second request on the same connection is decided on its own: the rights of the first do not carry over.
#[test]
fn each_request_of_a_connection_proves_itself() {
    let stage = Stage::set();
    let first = stage.head("GET", "");
    let second = first.replace("/v2/mine/app/manifests/v1", "/v2/secret/app/manifests/smuggled");
    let mut connection = crate::harness::http::Connection::open(stage.attacker.address).unwrap();
    connection.send(first.as_bytes());
    connection.answer("GET").unwrap().expect(200);
    connection.send(second.as_bytes());
    connection.answer("GET").unwrap().expect(401);
    let anonymous = Caller::anonymous(stage.attacker.address).head("GET", "/v2/mine/app/manifests/v1", "");
    connection.send(anonymous.as_bytes());
    connection.answer("GET").unwrap().expect(401);
    connection.send(first.as_bytes());
    connection.answer("GET").unwrap().expect(200);
    assert_eq!(stage.fake.seen().len(), 2);
    stage.attack("two requests in one packet", format!("{first}{second}").as_bytes());
}
