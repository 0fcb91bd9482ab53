//! Uploads that end early: refused before or in the middle of their body, and the client always hears why (R5).

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use crate::harness::caller::{Caller, digest, with_query};
use crate::harness::fake::{Fake, answer};
use crate::harness::http::Connection;
use crate::harness::image::MANIFEST;
use crate::harness::registry::Distribution;
use crate::harness::wall::{MINE, READER, Setup, World};

const MIB: usize = 1024 * 1024;
const START: &str = "/v2/mine/app/blobs/uploads/";

/// A client that waits for `100 Continue` gets it from the registry, once the upload is permitted.
#[test]
fn a_permitted_upload_is_told_to_continue() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let last = with_query(&mine.begin("mine/app"), &format!("digest={}", digest(b"content")));
        let mut connection = Connection::open(mine.address).unwrap();
        connection.send(mine.head("PUT", &last, "Content-Length: 7\r\nExpect: 100-continue\r\n").as_bytes());
        let interim = connection.answer("HEAD").unwrap().expect(100);
        assert!(interim.headers.is_empty(), "{version:?}: {interim:?}");
        connection.send(b"content");
        connection.answer("PUT").unwrap().expect(201);
        assert_eq!(mine.has_blob("mine/app", &digest(b"content")), 200, "{version:?}");
    }
}

/// So does one who asks for an access token (.NET's clients wait with every form).
#[test]
fn a_form_for_the_token_endpoint_is_told_to_continue() {
    let fake = Fake::always(answer("200 OK", "", ""));
    let seawall = Setup::new(&fake.url()).start();
    let account = crate::harness::wall::account(MINE);
    let form = format!(
        "grant_type=password&service={}&username={}&password={}",
        seawall.address(),
        account.user,
        account.password
    );
    let anonymous = Caller::anonymous(seawall.address());
    let headers = format!(
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nExpect: 100-continue\r\n",
        form.len()
    );
    let mut connection = Connection::open(anonymous.address).unwrap();
    connection.send(anonymous.head("POST", "/oauth2/token", &headers).as_bytes());
    connection.answer("HEAD").expect("it is told to continue").expect(100);
    connection.send(form.as_bytes());
    connection.answer("POST").unwrap().expect(200);
}

/// A denied one gets its 401 instead, and is not asked for its body.
#[test]
fn a_denied_upload_is_refused_without_asking_for_its_body() {
    let fake = Fake::always(answer("202 Accepted", "", ""));
    let seawall = Setup::new(&fake.url()).start();
    for caller in [Caller::anonymous(seawall.address()), Caller::of(&seawall, READER)] {
        let mut connection = Connection::open(caller.address).unwrap();
        let headers = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", 100 * MIB);
        connection.send(caller.head("POST", START, &headers).as_bytes());
        let refused = connection.answer("POST").unwrap().expect(401);
        assert!(refused.header("WWW-Authenticate").is_some());
        assert!(connection.answer("POST").is_none(), "the connection ends: its body may or may not come");
    }
    assert_eq!(fake.seen().len(), 0);
}

/// R5: SDKs send the whole body first. Up to 8 MiB it is read, and the connection lives on.
#[test]
fn a_denied_upload_that_is_sent_at_once_hears_its_401_and_keeps_its_connection() {
    let fake = Fake::always(answer("404 Not Found", "", ""));
    let seawall = Setup::new(&fake.url()).start();
    let (anonymous, mine) = (Caller::anonymous(seawall.address()), Caller::of(&seawall, MINE));
    let body = vec![b'x'; 6 * MIB];
    let mut connection = Connection::open(anonymous.address).unwrap();
    for _ in 0..2 {
        let head = anonymous.head("POST", START, &format!("Content-Length: {}\r\n", body.len()));
        connection.send(head.as_bytes());
        connection.send(&body);
        let refused = connection.answer("POST").expect("the 401 arrives").expect(401);
        assert_eq!(refused.header("Connection").unwrap_or("keep-alive"), "keep-alive");
    }
    // In chunks as well, and then with a credential.
    connection.send(anonymous.head("PATCH", &format!("{START}s"), "Transfer-Encoding: chunked\r\n").as_bytes());
    connection.send(format!("{:x}\r\n", body.len()).as_bytes());
    connection.send(&body);
    connection.send(b"\r\n0\r\n\r\n");
    connection.answer("PATCH").expect("the 401 arrives").expect(401);
    assert_eq!(fake.seen().len(), 0);
    connection.send(mine.head("POST", START, "Content-Length: 3\r\n").as_bytes());
    connection.send(b"abc");
    connection.answer("POST").unwrap().expect(404);
    assert_eq!(fake.seen().remove(0).body, b"abc");
}

/// Over 8 MiB the answer comes and the connection ends; nobody reads a denied gigabyte.
#[test]
fn a_denied_upload_over_the_limit_is_cut() {
    let fake = Fake::always(answer("202 Accepted", "", ""));
    let seawall = Setup::new(&fake.url()).start();
    let caller = Caller::anonymous(seawall.address());
    let mut stream = TcpStream::connect(caller.address).unwrap();
    stream.write_all(caller.head("POST", START, &format!("Content-Length: {}\r\n", 2048 * MIB)).as_bytes()).unwrap();
    let piece = vec![b'x'; MIB];
    // The kernel's buffers on both sides take some of it as well.
    let sent = (0..2048).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!(sent < 64, "{sent} MiB were taken");
    let record = || seawall.audit().pop();
    crate::harness::wait_until("the refusal is in the audit log", || record().is_some());
    assert_eq!(record().unwrap()["status"], 401);
    assert!(record().unwrap()["requestBytes"].as_u64().unwrap() <= 9 * MIB as u64);
}

/// R16, B.9: a manifest has at most 4 MiB, declared or counted.
#[test]
fn a_manifest_over_4_mib_is_refused_and_not_stored() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        // Valid JSON and a valid manifest, padded: without the limit it would be stored.
        let small = mine.push_image("mine/app", "small", "image");
        let mut large = small.clone();
        large.resize(4 * MIB + 1, b' ');
        let path = "/v2/mine/app/manifests/large";

        let refused = mine.put_manifest(path, &large).expect(413);
        assert_eq!(refused.json()["errors"][0]["code"], "MANIFEST_INVALID", "{version:?}");

        let mut connection = Connection::open(mine.address).unwrap();
        let headers = format!("Content-Type: {MANIFEST}\r\nTransfer-Encoding: chunked\r\n");
        connection.send(mine.head("PUT", path, &headers).as_bytes());
        for piece in large.chunks(MIB) {
            connection.send(format!("{:x}\r\n", piece.len()).as_bytes());
            connection.send(piece);
            connection.send(b"\r\n");
        }
        connection.send(b"0\r\n\r\n");
        let refused = connection.answer("PUT").expect("the 413 arrives").expect(413);
        assert_eq!(refused.json()["errors"][0]["code"], "MANIFEST_INVALID", "{version:?}");
        assert_eq!(mine.has_manifest("mine/app", "large"), 404, "{version:?}");
        assert_eq!(mine.has_manifest("mine/app", &digest(&large)), 404, "{version:?}");

        large.truncate(4 * MIB);
        // Distribution's own limit is as large.
        mine.put_manifest(path, &large).expect(201);
        let got = mine.send("GET", path, &[("Accept", MANIFEST)], b"").expect(200);
        assert_eq!(digest(&got.body), digest(&large), "{version:?}");
    }
}

/// An upstream that answers before it has read everything: the client gets the answer.
#[test]
fn an_early_answer_of_the_upstream_reaches_the_client() {
    let fake = Fake::raw(|_, mut stream| {
        let mut head = std::io::BufReader::new(stream.try_clone().unwrap());
        crate::harness::fake::read_head(&mut head);
        let _ = stream.write_all(answer("413 Request Entity Too Large", "Connection: close\r\n", "no").as_bytes());
        // Closed only when the peer is done, so that the answer is not lost in a reset.
        let _ = std::io::copy(&mut head, &mut std::io::sink());
    });
    let seawall = Setup::new(&fake.url()).start();
    let mine = Caller::of(&seawall, MINE);
    let mut stream = TcpStream::connect(mine.address).unwrap();
    stream.write_all(mine.head("POST", START, &format!("Content-Length: {}\r\n", 32 * MIB)).as_bytes()).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        let piece = vec![b'x'; MIB];
        (0..32).take_while(|_| sender.write_all(&piece).is_ok()).count()
    });
    let exchange = crate::harness::raw::read(&mut stream);
    assert_eq!(exchange.statuses(), [413], "{exchange:?}");
    drop(stream);
    sending.join().unwrap();
}

/// A client that says less than it announced has not uploaded anything.
#[test]
fn an_upload_that_breaks_off_is_not_completed() {
    let world = World::start(Distribution::V2);
    let mine = world.caller(MINE);
    let last = with_query(&mine.begin("mine/app"), &format!("digest={}", digest(b"con")));
    let mut stream = TcpStream::connect(mine.address).unwrap();
    stream.write_all(mine.head("PUT", &last, "Content-Length: 7\r\n").as_bytes()).unwrap();
    stream.write_all(b"con").unwrap();
    drop(stream);
    crate::harness::wait_until("the upload is over", || {
        world.seawall.audit().iter().any(|record| record["method"] == "PUT")
    });
    assert_eq!(mine.has_blob("mine/app", &digest(b"con")), 404);
    // And nothing of the broken request was taken for the next one on the upstream's connection.
    assert_eq!(mine.push_blob("mine/app", b"content"), digest(b"content"));
}
