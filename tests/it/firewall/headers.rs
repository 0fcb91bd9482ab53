//! Exactly these bytes go up (threats classes L and P): a list of headers, everything else stays here.

use crate::harness::caller::{Caller, digest};
use crate::harness::fake::{Fake, answer};
use crate::harness::raw;
use crate::harness::registry::Distribution;
use crate::harness::wall::{MINE, Setup, World};

/// What clients and proxies in between have used to say who is calling, or for whom.
const SPOOFED: &[(&str, &str)] = &[
    ("Forwarded", "for=10.0.0.1;host=evil.example;proto=https"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "443"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Forwarded-Uri", "/v2/secret/app/manifests/v1"),
    ("x_forwarded_host", "evil.example"),
    ("X_Forwarded_Proto", "https"),
    ("X-Forwarded_Host", "evil.example"),
    ("X-Real-IP", "10.0.0.1"),
    ("True-Client-IP", "10.0.0.1"),
    ("X-Original-URL", "/v2/secret/app/manifests/v1"),
    ("X-Rewrite-URL", "/v2/secret/app/manifests/v1"),
    ("X-Original-Host", "evil.example"),
    ("X-Host", "evil.example"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Method-Override", "DELETE"),
    ("X-Remote-User", "admin"),
    ("Remote-User", "admin"),
    ("X-Auth-Request-User", "admin"),
    ("X-Registry-Auth", "e30="),
    ("Proxy-Authorization", "Basic YTpi"),
    ("Cookie", "session=1"),
    ("Origin", "https://evil.example"),
    ("Referer", "https://evil.example"),
    ("Via", "1.1 evil.example"),
    ("Connection", "keep-alive"),
    ("Keep-Alive", "timeout=5"),
    ("Trailer", "X-Late"),
    ("X-Meta-Source-Client", "cloud/service"),
    ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("Accept-Encoding", "gzip"),
];

/// Threats 4.1: `Forwarded` and its like; class L, class P.
#[test]
fn only_listed_headers_go_up_with_the_upstreams_own_host_and_no_credential() {
    let fake = Fake::always(answer("200 OK", "Content-Type: application/json\r\n", "{}"));
    let seawall = Setup::new(&fake.url()).start();
    let wanted = [
        ("Accept", "application/vnd.oci.image.manifest.v1+json"),
        ("Accept", "application/vnd.oci.image.index.v1+json"),
        ("If-None-Match", "\"sha256:1\""),
        ("Range", "bytes=0-1"),
        ("User-Agent", "a-client/1.0"),
    ];
    let sent = [SPOOFED, &wanted].concat();
    Caller::of(&seawall, MINE).send("GET", "/v2/mine/%61pp/manifests/v1?ns=evil.example&x", &sent, b"").expect(200);

    let seen = fake.seen().remove(0);
    assert_eq!(seen.line, "GET /v2/mine/app/manifests/v1 HTTP/1.1");
    let mut headers: Vec<(String, String)> =
        seen.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    headers.sort();
    let mut expected: Vec<(String, String)> =
        wanted.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
    expected.push(("host".to_owned(), fake.address().to_string()));
    expected.sort();
    assert_eq!(headers, expected);
    assert!(seen.body.is_empty());
}

/// The same for requests with a body: its type is ours to say, and so is its framing.
#[test]
fn an_upload_goes_up_as_bytes_and_a_manifest_as_its_own_media_type() {
    let fake = Fake::always(answer("404 Not Found", "", ""));
    let seawall = Setup::new(&fake.url()).start();
    let mine = Caller::of(&seawall, MINE);
    let spoofed = |content_type: &'static str| {
        let rest = SPOOFED.iter().copied().filter(|(name, _)| *name != "Trailer");
        let mut all: Vec<(&str, &str)> = rest.collect();
        all.push(("Content-Type", content_type));
        all.push(("Content-Encoding", "gzip"));
        all.push(("Content-MD5", "x"));
        all
    };
    let blob = format!("/v2/mine/app/blobs/uploads/?digest={}", digest(b"content"));
    mine.send("POST", &blob, &spoofed("application/x-www-form-urlencoded"), b"content");
    mine.send("PUT", "/v2/mine/app/manifests/v1", &spoofed("application/vnd.oci.image.manifest.v1+json"), b"{}");
    mine.send("PUT", "/v2/mine/app/manifests/v1", &spoofed("application/x-www-form-urlencoded"), b"{}");
    mine.send("PUT", "/v2/mine/app/manifests/v1", &spoofed("multipart/form-data; boundary=x"), b"{}");
    let manifest = format!("/v2/mine/app/manifests/{}", digest(b"{}"));
    mine.send("DELETE", &manifest, &spoofed("application/x-www-form-urlencoded"), b"from=x");
    let mount = format!("/v2/mine/app/blobs/uploads/?mount={}&from=mine/other", digest(b"content"));
    mine.send("POST", &mount, &spoofed("application/x-www-form-urlencoded"), b"from=secret/app");

    let host = ("Host", fake.address().to_string());
    let expected = [
        vec![("Content-Type", "application/octet-stream".to_owned()), ("Content-Length", "7".to_owned())],
        vec![
            ("Content-Type", "application/vnd.oci.image.manifest.v1+json".to_owned()),
            ("Content-Length", "2".to_owned()),
        ],
        vec![("Content-Type", "application/octet-stream".to_owned()), ("Content-Length", "2".to_owned())],
        vec![("Content-Type", "application/octet-stream".to_owned()), ("Content-Length", "2".to_owned())],
        vec![("Content-Length", "0".to_owned())],
        vec![("Content-Length", "0".to_owned())],
    ];
    let seen = fake.seen();
    assert_eq!(seen.len(), expected.len());
    for (seen, mut expected) in seen.iter().zip(expected) {
        expected.push(host.clone());
        expected.sort();
        let mut headers: Vec<(&str, String)> =
            seen.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        headers.sort();
        assert_eq!(headers, expected, "{}", seen.line);
    }
    let bodies: Vec<&[u8]> = seen.iter().map(|seen| seen.body.as_slice()).collect();
    assert_eq!(bodies, [&b"content"[..], b"{}", b"{}", b"{}", b"", b""]);
}

/// A body where none belongs stays here, and the connection on which it came goes on behind it.
#[test]
fn a_body_where_none_belongs_is_read_and_dropped() {
    let fake = Fake::always(answer("200 OK", "Content-Type: application/json\r\n", "{}"));
    let seawall = Setup::new(&fake.url()).start();
    let mine = Caller::of(&seawall, MINE);
    let inner = "GET /v2/mine/smuggled/manifests/v1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", inner.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunks = format!("{:x}\r\n{inner}\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len(), inner.len());
    for (headers, body) in [(length.as_str(), inner), (chunked, &chunks)] {
        let head = mine.head("GET", "/v2/mine/app/manifests/v1", headers);
        let exchange = raw::exchange(mine.address, format!("{head}{body}").as_bytes());
        assert_eq!(exchange.statuses(), [200], "{headers}: {exchange:?}");
    }
    mine.get("/v2/mine/app/manifests/v2").expect(200);
    let line = |tag: &str| format!("GET /v2/mine/app/manifests/{tag} HTTP/1.1");
    assert_eq!(fake.lines(), [line("v1"), line("v1"), line("v2")]);
    for seen in fake.seen() {
        assert!(seen.header("Transfer-Encoding").is_none(), "{seen:?}");
        assert!(seen.body.is_empty(), "{seen:?}");
    }
}

/// Threats 4.1: `Forwarded` takes a Location over to a host of the attacker's choice; field 3.2.
#[test]
fn no_header_of_a_client_changes_a_location() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let path = "/v2/mine/app/blobs/uploads/";
        let forwarded = [("Forwarded", "host=evil.example;proto=https"), ("X-Forwarded-Host", "other.example")];
        let attacked = world.direct().send("POST", path, &forwarded, b"").expect(202);
        let location = attacked.expect_header("Location");
        assert!(location.starts_with("https://evil.example/"), "{version:?}, the registry itself: {location}");

        let mine = world.caller(MINE);
        for spoofed in SPOOFED {
            let begun = mine.send("POST", path, &[*spoofed], b"").expect(202);
            let location = begun.expect_header("Location").to_owned();
            assert!(location.starts_with("/v2/mine/app/blobs/uploads/"), "{version:?} {spoofed:?}: {location}");
        }
        let all = SPOOFED.iter().filter(|(name, _)| !matches!(*name, "Connection" | "Trailer"));
        let all: Vec<(&str, &str)> = all.copied().collect();
        let begun = mine.send("POST", path, &all, b"").expect(202);
        assert!(!format!("{:?}", begun.headers).contains("evil"), "{version:?}: {begun:?}");
    }
}
