//! The answers themselves: equal to those of the upstream, and where they are not given out at all.

use std::io::Write;
use std::net::TcpStream;

use super::{
    World, blob_path, count, expect_kept, expect_upstream, manifest, manifest_path, number, start, start_with,
};
use crate::harness::caller::{Caller, digest};
use crate::harness::fake::{Fake, Then, answer};
use crate::harness::http::Response;
use crate::harness::image::MANIFEST;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::secure::Http2;
use crate::harness::wall::{MINE, READER, Setup, account};

/// The headers that every answer has of its own.
const OWN: [&str; 3] = ["date", "age", "x-ms-correlation-request-id"];

fn comparable(answer: &Response) -> Vec<(String, String)> {
    let headers = answer.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !OWN.contains(&name.as_str())).collect();
    headers.sort();
    headers
}

fn expect_same(first: &Response, second: &Response) {
    assert_eq!(comparable(first), comparable(second));
    assert!(second.header("Age").unwrap().parse::<u64>().unwrap() < 60, "{second:?}");
    assert_eq!(first.header("Age"), None);
}

#[test]
fn what_was_read_is_given_out_again_as_it_came() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution, "{}");
        let (mine, reader) = (world.caller(MINE), world.caller(READER));
        let pushed = mine.push_image("mine/app", "v1", "an image");
        let blob = mine.push_blob("mine/app", b"a layer");
        let cases =
            [(manifest_path("mine/app", &digest(&pushed)), &pushed[..]), (blob_path("mine/app", &blob), b"a layer")];
        for (path, body) in cases {
            let accept = [("Accept", MANIFEST)];
            let head = mine.send("HEAD", &path, &accept, b"").expect(200);
            expect_upstream(&world.seawall, &head, 200);
            let first = mine.send("GET", &path, &accept, b"").expect(200);
            expect_upstream(&world.seawall, &first, 200);
            let second = reader.send("GET", &path, &accept, b"").expect(200);
            expect_kept(&world.seawall, &second);
            assert!(first.body == body && second.body == body);
            expect_same(&first, &second);
            let kept_head = reader.send("HEAD", &path, &accept, b"").expect(200);
            expect_kept(&world.seawall, &kept_head);
            expect_same(&head, &kept_head);
        }
        assert_eq!((world.hits(), count(&world.seawall, "miss")), (4, 4));
        let bytes = world.seawall.metric("seawall_content_cache_bytes{place=\"memory\",registry=\"myregistry\"}");
        assert!((500.0..5_000.0).contains(&bytes), "{bytes}");
    }
}

/// A part, a condition, and whoever does not name the media type: what they get, the upstream decides.
#[test]
fn special_requests_go_to_the_upstream() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution, "{}");
        let mine = world.caller(MINE);
        let pushed = mine.push_image("mine/app", "v1", "an image");
        let (path, named) = (manifest_path("mine/app", &digest(&pushed)), ("Accept", MANIFEST));
        let blob = blob_path("mine/app", &mine.push_blob("mine/app", b"0123456789"));
        mine.send("GET", &path, &[named], b"").expect(200);
        mine.send("GET", &blob, &[], b"").expect(200);
        let tag = mine.send("GET", &path, &[named], b"").expect_header("ETag").to_owned();
        let part = mine.send("GET", &blob, &[("Range", "bytes=2-4")], b"").expect(206);
        assert_eq!(part.body, b"234");
        let unchanged = mine.send("GET", &path, &[named, ("If-None-Match", &tag)], b"").expect(304);
        let fresh = mine.send("GET", &path, &[named, ("Cache-Control", "no-cache")], b"").expect(200);
        for (answer, status) in [(&part, 206), (&unchanged, 304), (&fresh, 200)] {
            expect_upstream(&world.seawall, answer, status);
        }
        // Distribution 2 does not give an OCI manifest to a client that does not name its type, 3 does.
        for accept in ["", "*/*", "application/vnd.docker.distribution.manifest.v2+json", "application/*;q=0.5"] {
            let answer = mine.send("GET", &path, &[("Accept", accept)], b"");
            let direct = world.direct().send("GET", &path, &[("Accept", accept)], b"");
            expect_upstream(&world.seawall, &answer, direct.status);
        }
        expect_kept(&world.seawall, &mine.send("GET", &path, &[("Accept", "text/plain"), named], b""));
        assert_eq!(count(&world.seawall, "bypass"), 7);
    }
}

/// An upstream whose answer has other bytes than it should have, or fewer.
#[test]
fn what_the_upstream_corrupts_is_not_kept() {
    for body in ["other bytes", "too few"] {
        let wanted = digest(b"the right bytes");
        let named = wanted.clone();
        let fake = Fake::answering(move |seen, stream: &mut TcpStream| {
            let headers = format!("Content-Type: application/octet-stream\r\nDocker-Content-Digest: {named}\r\n");
            let text = answer("200 OK", &headers, body);
            let text = if body == "too few" { text.replace("Content-Length: 7", "Content-Length: 9") } else { text };
            let _ = stream.write_all(text.as_bytes());
            if seen.line.contains("/blobs/") && body == "too few" { Then::Close } else { Then::KeepOpen }
        });
        let seawall = start(&fake.url(), "{}");
        let (mine, path) = (Caller::of(&seawall, MINE), blob_path("mine/app", &wanted));
        for _ in 0..3 {
            let head = mine.head("GET", &path, "Connection: close\r\n");
            let mut connection = crate::harness::http::Connection::open(mine.address).unwrap();
            connection.send(head.as_bytes());
            connection.answer("GET");
        }
        assert_eq!(fake.of_clients().len(), 3, "{body}");
        let rejected = number(&seawall, "seawall_content_cache_rejected_total{registry=\"myregistry\"}");
        assert_eq!(rejected, if body == "too few" { 0 } else { 3 });
    }
}

#[test]
fn large_blobs_and_those_of_a_registry_without_a_cache_are_not_kept() {
    let world = World::start(Distribution::V2, "{largestBlob: 1KiB}");
    let mine = world.caller(MINE);
    for (length, kept) in [(1024, true), (1025, false)] {
        let path = blob_path("mine/app", &mine.push_blob("mine/app", &vec![b'x'; length]));
        mine.get(&path).expect(200);
        let again = mine.get(&path).expect(200);
        if kept { expect_kept(&world.seawall, &again) } else { expect_upstream(&world.seawall, &again, 200) }
    }
    let world = World::start(Distribution::V2, "off");
    let mine = world.caller(MINE);
    let path = blob_path("mine/app", &mine.push_blob("mine/app", b"a layer"));
    for _ in 0..2 {
        expect_upstream(&world.seawall, &mine.get(&path), 200);
    }
}

/// Several pieces, and over HTTP/2.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_many_pieces_is_given_out_over_http_2() {
    let registry = Registry::start(Distribution::V2);
    let seawall = start_with(&Setup::new(&registry.url()).tls(), "{}");
    let content: Vec<u8> = (0..250_000_u32).flat_map(u32::to_be_bytes).collect();
    let blob = Caller::anonymous(registry.address()).push_blob("mine/app", &content);
    let mut client = Http2::connect(seawall.address()).await;
    let (authorization, path) = (account(MINE).basic(), blob_path("mine/app", &blob));
    for is_kept in [false, true] {
        let got = client.send("GET", &path, &[("authorization", &authorization)], b"").await;
        assert_eq!(got.status(), 200);
        assert!(*got.body() == content, "other bytes");
        assert_eq!(got.headers().contains_key("age"), is_kept);
        assert_eq!(got.headers()["docker-content-digest"], blob.as_str());
    }
    let head = client.send("HEAD", &path, &[("authorization", &authorization)], b"").await;
    assert_eq!((head.headers()["content-length"].to_str().unwrap(), head.body().len()), ("1000000", 0));
    assert_eq!(count(&seawall, "hit"), 2);
}

/// The connection goes on after a kept answer.
#[test]
fn a_connection_carries_kept_answers_and_others() {
    let world = World::start(Distribution::V2, "{}");
    let mine = world.caller(MINE);
    let pushed = mine.push_image("mine/app", "v1", "an image");
    manifest(&mine, "mine/app", "v1").expect(200);
    let mut connection = crate::harness::http::Connection::open(mine.address).unwrap();
    for reference in [digest(&pushed), "v1".to_owned(), digest(&pushed), digest(&pushed)] {
        for method in ["GET", "HEAD"] {
            let path = manifest_path("mine/app", &reference);
            connection.send(mine.head(method, &path, &format!("Accept: {MANIFEST}\r\n")).as_bytes());
            let answer = connection.answer(method).unwrap().expect(200);
            assert_eq!(answer.body, if method == "GET" { pushed.clone() } else { Vec::new() });
        }
    }
    assert_eq!(world.hits(), 6);
}
