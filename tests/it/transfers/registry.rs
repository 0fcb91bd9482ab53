//! The protocol's ways to push and pull, through seawall to real registries.

use crate::harness::caller::{Caller, digest, with_query};
use crate::harness::fake::{Fake, answer};
use crate::harness::http::{Connection, Response};
use crate::harness::image::MANIFEST;
use crate::harness::registry::Distribution;
use crate::harness::wait_until;
use crate::harness::wall::{MINE, Setup, World};

const BYTES: (&str, &str) = ("Content-Type", "application/octet-stream");

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|number| u8::try_from(number % 251).unwrap()).collect()
}

fn expect_stored(caller: &Caller, stored: &Response, content: &[u8], what: &str) {
    assert_eq!(stored.status, 201, "{what}: {stored:?}");
    let digest = digest(content);
    assert_eq!(stored.expect_header("Docker-Content-Digest"), digest, "{what}");
    assert_eq!(stored.expect_header("Location"), format!("/v2/mine/app/blobs/{digest}"), "{what}");
    assert!(caller.get(&format!("/v2/mine/app/blobs/{digest}")).expect(200).body == content, "{what}: other bytes");
}

/// OCI "Pushing a blob monolithically": one POST where the registry knows it, else a session.
#[test]
fn a_blob_is_pushed_by_one_post_where_the_registry_takes_it() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let content = content(100_000);
        let path = format!("/v2/mine/app/blobs/uploads/?digest={}", digest(&content));
        let answered = mine.send("POST", &path, &[BYTES], &content);
        // Distribution answers with a session instead, as the specification allows.
        let session = answered.expect(202).expect_header("Location").to_owned();
        let last = with_query(&session, &format!("digest={}", digest(&content)));
        expect_stored(&mine, &mine.send("PUT", &last, &[BYTES], &content), &content, &format!("{version:?}"));
    }
    let content = content(1000);
    let fake = Fake::always(answer("201 Created", "Location: http://inner/x\r\n", ""));
    let seawall = Setup::new(&fake.url()).start();
    let path = format!("/v2/mine/app/blobs/uploads/?digest={}", digest(&content));
    let stored = Caller::of(&seawall, MINE).send("POST", &path, &[BYTES], &content).expect(201);
    assert_eq!(stored.expect_header("Location"), format!("/v2/mine/app/blobs/{}", digest(&content)));
    assert_eq!(fake.seen().remove(0).body, content);
}

/// OCI "Pushing a blob in chunks": POST, PATCH, PATCH, PUT, with Content-Range.
#[test]
fn a_blob_is_pushed_in_chunks_that_say_where_they_belong() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let content = content(300_000);
        let mut session = mine.begin("mine/app");
        for (start, end) in [(0, 100_000), (100_000, 250_000)] {
            let range = format!("{start}-{}", end - 1);
            let headers = [BYTES, ("Content-Range", &range)];
            let patched = mine.send("PATCH", &session, &headers, &content[start..end]).expect(202);
            assert_eq!(patched.expect_header("Range"), format!("0-{}", end - 1), "{version:?}");
            patched.expect_header("Location").clone_into(&mut session);
        }
        if version == Distribution::V3 {
            // A chunk that does not follow on the last one is refused, and the session goes on. 2.8 takes it as it comes.
            let out_of_order = [BYTES, ("Content-Range", "10-19")];
            let refused = mine.send("PATCH", &session, &out_of_order, &content[10..20]).expect(416);
            assert_eq!(refused.json()["errors"][0]["code"], "RANGE_INVALID");
        }
        let last = with_query(&session, &format!("digest={}", digest(&content)));
        let stored = mine.send("PUT", &last, &[BYTES], &content[250_000..]);
        expect_stored(&mine, &stored, &content, &format!("{version:?}"));
    }
}

/// Docker sends layers without a length, in chunked transfer coding.
#[test]
fn a_blob_is_pushed_in_a_body_of_unknown_length() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let content = content(200_000);
        let session = mine.begin("mine/app");
        let mut connection = Connection::open(mine.address).unwrap();
        connection.send(mine.head("PATCH", &session, "Transfer-Encoding: chunked\r\n").as_bytes());
        for piece in content.chunks(7_777) {
            connection.send(format!("{:x}\r\n", piece.len()).as_bytes());
            connection.send(piece);
            connection.send(b"\r\n");
        }
        connection.send(b"0\r\n\r\n");
        let patched = connection.answer("PATCH").unwrap().expect(202);
        let last = with_query(patched.expect_header("Location"), &format!("digest={}", digest(&content)));
        // On the same connection, in both coding and none.
        connection.send(mine.head("PUT", &last, "Content-Length: 0\r\n").as_bytes());
        let stored = connection.answer("PUT").unwrap();
        expect_stored(&mine, &stored, &content, &format!("{version:?}"));
    }
}

/// A body that is not what its digest says is not stored.
#[test]
fn a_blob_with_another_digest_is_refused() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let last = with_query(&mine.begin("mine/app"), &format!("digest={}", digest(b"other")));
        let refused = mine.send("PUT", &last, &[BYTES], b"content").expect(400);
        assert_eq!(refused.json()["errors"][0]["code"], "DIGEST_INVALID", "{version:?}");
        assert_eq!(mine.has_blob("mine/app", &digest(b"content")), 404, "{version:?}");
    }
}

/// R10: 206 with Content-Range and Content-Length.
#[test]
fn a_range_of_a_blob_is_answered_as_a_range() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let content = content(100_000);
        let path = format!("/v2/mine/app/blobs/{}", mine.push_blob("mine/app", &content));
        for (range, start, end) in [
            ("bytes=0-4194303", 0, 100_000),
            ("bytes=10-19", 10, 20),
            ("bytes=99990-", 99_990, 100_000),
            ("bytes=-10", 99_990, 100_000),
            ("bytes=0-0", 0, 1),
        ] {
            let got = mine.send("GET", &path, &[("Range", range)], b"").expect(206);
            assert!(got.body == content[start..end], "{version:?} {range}: other bytes");
            let expected = format!("bytes {start}-{}/100000", end - 1);
            assert_eq!(got.expect_header("Content-Range"), expected, "{version:?} {range}");
            assert_eq!(got.expect_header("Content-Length"), (end - start).to_string(), "{version:?} {range}");
        }
        let refused = mine.send("GET", &path, &[("Range", "bytes=100000-")], b"").expect(416);
        assert_eq!(refused.json()["errors"][0]["code"], "RANGE_INVALID", "{version:?}");
        assert_eq!(refused.expect_header("Content-Range"), "bytes */100000", "{version:?}");
        wait_until("the answer is in the audit log, and was permitted", || {
            let told = world.seawall.audit().pop();
            told.is_some_and(|record| record["status"] == 416 && record["decision"] == "permit")
        });
    }
}

/// HEAD says how much there is, and sends none of it.
#[test]
fn a_head_has_a_length_and_no_body() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let blob = mine.push_blob("mine/app", &content(5000));
        let manifest = mine.push_image("mine/app", "v1", "image");
        for (path, length, digest) in [
            (format!("/v2/mine/app/blobs/{blob}"), 5000, blob.clone()),
            ("/v2/mine/app/manifests/v1".to_owned(), manifest.len(), digest(&manifest)),
        ] {
            // Two on one connection: a body would be taken for the second answer.
            let mut connection = Connection::open(mine.address).unwrap();
            for _ in 0..2 {
                connection.send(mine.head("HEAD", &path, &format!("Accept: {MANIFEST}\r\n")).as_bytes());
                let head = connection.answer("HEAD").unwrap().expect(200);
                assert_eq!(head.expect_header("Content-Length"), length.to_string(), "{version:?} {path}");
                assert_eq!(head.expect_header("Docker-Content-Digest"), digest, "{version:?} {path}");
            }
            connection.send(mine.head("HEAD", "/v2/mine/app/manifests/none", "").as_bytes());
            connection.answer("HEAD").unwrap().expect(404);
            connection.send(mine.head("GET", &path, &format!("Accept: {MANIFEST}\r\n")).as_bytes());
            assert_eq!(connection.answer("GET").unwrap().expect(200).body.len(), length);
        }
    }
}

/// R16: a manifest has its length, its digest and its own type, and exactly its own bytes.
#[test]
fn a_manifest_comes_with_length_digest_and_type() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let manifest = mine.push_image("mine/app", "v1", "image");
        for reference in ["v1", &digest(&manifest)] {
            let path = format!("/v2/mine/app/manifests/{reference}");
            let headers = [("Accept", "application/json"), ("Accept", MANIFEST), ("Accept-Encoding", "gzip")];
            let got = mine.send("GET", &path, &headers, b"").expect(200);
            assert_eq!(got.body, manifest, "{version:?}");
            assert_eq!(got.expect_header("Content-Length"), manifest.len().to_string(), "{version:?}");
            assert_eq!(got.expect_header("Docker-Content-Digest"), digest(&manifest), "{version:?}");
            assert_eq!(got.expect_header("Content-Type"), MANIFEST, "{version:?}");
            assert_eq!(got.header("Content-Encoding"), None, "{version:?}");
        }
    }
}

/// What a client has already is not sent again.
#[test]
fn what_is_known_by_its_etag_is_not_sent_again() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let blob = mine.push_blob("mine/app", &content(5000));
        mine.push_image("mine/app", "v1", "image");
        for path in [format!("/v2/mine/app/blobs/{blob}"), "/v2/mine/app/manifests/v1".to_owned()] {
            let first = mine.send("GET", &path, &[("Accept", MANIFEST)], b"").expect(200);
            let etag = first.expect_header("ETag").to_owned();
            let mut connection = Connection::open(mine.address).unwrap();
            let headers = format!("Accept: {MANIFEST}\r\nIf-None-Match: {etag}\r\n");
            connection.send(mine.head("GET", &path, &headers).as_bytes());
            let again = connection.answer("GET").unwrap().expect(304);
            assert_eq!(again.header("Content-Length").unwrap_or("0"), "0", "{version:?} {path}");
            connection.send(mine.head("GET", &path, &format!("Accept: {MANIFEST}\r\n")).as_bytes());
            assert_eq!(
                connection.answer("GET").unwrap().expect(200).body,
                first.body,
                "{version:?}: the connection goes on"
            );
        }
    }
}

/// The audit log tells what went through, of either direction.
#[test]
fn a_transfer_is_told_with_its_bytes() {
    let world = World::start(Distribution::V2);
    let mine = world.caller(MINE);
    let content = content(70_000);
    let blob = mine.push_blob("mine/app", &content);
    mine.get(&format!("/v2/mine/app/blobs/{blob}")).expect(200);
    let told = |operation: &str, bytes: &str| {
        let audit = world.seawall.audit();
        let of = audit.iter().filter(|record| record["operation"] == operation);
        of.map(|record| record[bytes].as_u64().unwrap()).max()
    };
    wait_until("both are in the audit log", || told("blob_read", "responseBytes").is_some());
    assert_eq!(told("upload", "requestBytes"), Some(70_000));
    assert_eq!(told("blob_read", "responseBytes"), Some(70_000));
}
