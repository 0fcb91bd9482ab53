//! Connections that end when they should not: what is tried again, what is not, and that nothing is left behind.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::caller::{Caller, digest};
use crate::harness::fake::{Fake, Then, answer, read_head};
use crate::harness::image::MANIFEST;
use crate::harness::ports;
use crate::harness::registry::Distribution;
use crate::harness::seawall::Seawall;
use crate::harness::stopwatch::Stopwatch;
use crate::harness::wait_until;
use crate::harness::wall::{MINE, Setup, World};

const START: &str = "/v2/mine/app/blobs/uploads/";

/// An upstream that is not there is told at once, in our words.
#[test]
fn an_upstream_that_is_down_is_answered_with_502_at_once() {
    let nobody = ports::free();
    let seawall = Setup::new(&format!("http://{nobody}")).start();
    let mine = Caller::of(&seawall, MINE);
    for (method, path) in [("GET", "/v2/"), ("GET", "/v2/mine/app/manifests/v1"), ("POST", START)] {
        let began = Stopwatch::start();
        let failed = mine.send(method, path, &[], b"").expect(502);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(failed.json()["errors"][0]["code"], "UNAVAILABLE", "{method} {path}");
        let all = format!("{:?}{}", failed.headers, failed.text());
        assert!(!all.contains(&nobody.port().to_string()), "{all}");
    }
}

/// An upstream that answers the first request of each connection and hangs up on the second: what a registry does that
/// closes an idle connection in the moment in which it is used.
fn forgetful() -> Fake {
    let on_this_connection = AtomicUsize::new(0);
    let current = AtomicUsize::new(usize::MAX);
    Fake::answering(move |request, stream| {
        if current.swap(request.connection, Ordering::AcqRel) != request.connection {
            on_this_connection.store(0, Ordering::Release);
        }
        if on_this_connection.fetch_add(1, Ordering::AcqRel) > 0 {
            return Then::Close;
        }
        let _ = stream.write_all(answer("200 OK", "Content-Type: application/json\r\n", "{}").as_bytes());
        Then::KeepOpen
    })
}

/// What changes nothing is sent again on a new connection.
#[test]
fn a_read_is_tried_again_when_a_kept_connection_was_closed() {
    for method in ["GET", "HEAD"] {
        let fake = forgetful();
        let seawall = Setup::new(&fake.url()).one_thread().start();
        let mine = Caller::of(&seawall, MINE);
        mine.get("/v2/mine/app/manifests/v1").expect(200);
        mine.send(method, "/v2/mine/app/manifests/v2", &[], b"").expect(200);
        let line = |tag: &str| format!("{method} /v2/mine/app/manifests/{tag} HTTP/1.1");
        assert_eq!(fake.lines()[1..], [line("v2"), line("v2")]);
        let connections: Vec<usize> = fake.seen().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 0, 1], "the second request met the first one's connection");
    }
}

/// What changes something is not: it may have been done already (`PUT` counts as idempotent to pingora, not to us).
#[test]
fn a_write_is_never_sent_twice() {
    let put = format!("{START}s?digest={}", digest(b"content"));
    for (method, path, body) in [
        ("POST", START, &b"content"[..]),
        ("PUT", "/v2/mine/app/manifests/v1", b"{}"),
        ("DELETE", &format!("/v2/mine/app/manifests/{}", digest(b"{}")), b""),
    ] {
        let fake = forgetful();
        let seawall = Setup::new(&fake.url()).one_thread().start();
        let mine = Caller::of(&seawall, MINE);
        // Over a connection that pingora keeps, as a write's is: reads without a body go over others.
        mine.send("GET", "/v2/mine/app/manifests/v1", &[], b"{}").expect(200);
        mine.send(method, path, &[("Content-Type", MANIFEST)], body).expect(502);
        let seen = fake.of_clients();
        assert_eq!(seen.len(), 2, "{method}: {:?}", fake.lines());
        assert_eq!(seen[1].connection, 0, "{method}: it met the first one's connection");
    }
    // A session's PATCH and PUT, whose location only an upstream can make.
    for (method, suffix) in [("PATCH", ""), ("PUT", put.split_once('?').unwrap().1)] {
        let fake = Fake::answering(|request, stream| {
            if request.line.starts_with("POST") {
                let location = "Location: /v2/mine/app/blobs/uploads/s?_state=x\r\n";
                let _ = stream.write_all(answer("202 Accepted", location, "").as_bytes());
                return Then::KeepOpen;
            }
            Then::Close
        });
        let seawall = Setup::new(&fake.url()).one_thread().start();
        let mine = Caller::of(&seawall, MINE);
        let session = mine.begin("mine/app");
        let path = if suffix.is_empty() { session } else { format!("{session}&{suffix}") };
        mine.send(method, &path, &[], b"content").expect(502);
        assert_eq!(fake.seen().len(), 2, "{method}: {:?}", fake.lines());
        assert_eq!(fake.seen()[1].connection, 0, "{method}");
    }
}

/// A kept connection that the upstream closed in peace is not used at all.
#[test]
fn a_write_survives_a_connection_that_was_closed_while_idle() {
    let fake = Fake::answering(|_, stream| {
        let location = "Location: /v2/mine/app/blobs/uploads/s\r\n";
        let _ = stream.write_all(answer("202 Accepted", location, "").as_bytes());
        // Says nothing of it beforehand.
        Then::Close
    });
    let seawall = Setup::new(&fake.url()).one_thread().start();
    let mine = Caller::of(&seawall, MINE);
    for _ in 0..5 {
        mine.send("POST", START, &[], b"content").expect(202);
        // The end of the connection has to travel: an upstream that closes within that time is the race of above.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(fake.seen().len(), 5);
}

/// Kept connections are kept: one for many requests, one after another.
#[test]
fn requests_share_connections_to_the_upstream() {
    let fake = Fake::always(answer("200 OK", "Content-Type: application/json\r\n", "{}"));
    let seawall = Setup::new(&fake.url()).one_thread().start();
    let mine = Caller::of(&seawall, MINE);
    for _ in 0..20 {
        mine.get("/v2/mine/app/manifests/v1").expect(200);
    }
    assert!(fake.seen().iter().all(|request| request.connection == 0), "{:?}", fake.seen().last());
}

/// What is not plain is pingora's: it asks again on a connection of its own, and for a while at once.
#[test]
fn an_answer_that_is_not_plain_is_asked_for_once_more() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    for (what, text) in [("chunked", CHUNKED), ("HTTP/1.0", old)] {
        let fake = Fake::always(text.to_owned());
        let seawall = Setup::new(&fake.url()).one_thread().start();
        let mine = Caller::of(&seawall, MINE);
        for asked in [2, 3, 4] {
            assert_eq!(mine.get("/v2/mine/app/manifests/v1").expect(200).body, b"{}", "{what}");
            assert_eq!(fake.seen().len(), asked, "{what}: {:?}", fake.lines());
        }
        assert_eq!(seawall.audit().len(), 3, "{what}: one record for each request");
    }
}

/// What an upstream sends beyond its answer is nobody's answer (threat class U).
#[test]
fn an_answer_that_nobody_asked_for_is_given_to_nobody() {
    let forged = answer("200 OK", "", "forged");
    for together in [true, false] {
        let forged = forged.clone();
        let fake = Fake::answering(move |_, stream| {
            let own = answer("200 OK", "", "{}");
            let _ = stream.write_all(if together { format!("{own}{forged}") } else { own }.as_bytes());
            if !together {
                std::thread::sleep(Duration::from_millis(50));
                let _ = stream.write_all(forged.as_bytes());
            }
            Then::KeepOpen
        });
        let seawall = Setup::new(&fake.url()).one_thread().start();
        let mine = Caller::of(&seawall, MINE);
        for number in 0..3 {
            assert_eq!(mine.get("/v2/mine/app/manifests/v1").expect(200).body, b"{}");
            std::thread::sleep(Duration::from_millis(150));
            assert_eq!(fake.seen()[number].connection, number, "each on a connection of its own");
        }
    }
}

/// A client must see that a manifest is not whole.
#[test]
fn a_manifest_that_breaks_off_ends_the_clients_connection() {
    let fake = Fake::answering(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        Then::Close
    });
    let seawall = Setup::new(&fake.url()).one_thread().start();
    let mine = Caller::of(&seawall, MINE);
    let mut stream = TcpStream::connect(mine.address).unwrap();
    stream.write_all(mine.head("GET", "/v2/mine/app/manifests/v1", "").as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.starts_with("HTTP/1.1 200 ") && all.ends_with("\r\n\r\nhalf"), "{all}");
    wait_until("the record says so", || {
        seawall.audit().first().is_some_and(|record| record["reason"] == "upstream_broken")
    });
}

/// As long as nothing of the answer has left, there is one to give.
#[test]
fn an_upstream_that_breaks_off_behind_its_head_is_told_of() {
    let fake = Fake::answering(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        // An end, and no reset, with which the system would throw the head away.
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        Then::Close
    });
    let seawall = Setup::new(&fake.url()).one_thread().start();
    let mine = Caller::of(&seawall, MINE);
    mine.get("/v2/mine/app/manifests/v1").expect(502);
    wait_until("the record says so", || {
        seawall.audit().first().is_some_and(|record| record["reason"] == "upstream_broken" && record["status"] == 502)
    });
}

/// A client that leaves in the middle takes everything with it.
#[test]
fn a_client_that_leaves_leaves_nothing_behind() {
    let fake = Fake::raw(|_, mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Some(request) = read_head(&mut reader) else { return };
        if request.line.starts_with("GET") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
            let piece = vec![b'x'; 1024 * 1024];
            while stream.write_all(&piece).is_ok() {}
        }
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    let seawall = Setup::new(&fake.url()).start();
    let mine = Caller::of(&seawall, MINE);
    let blob = format!("/v2/mine/app/blobs/{}", digest(b"x"));
    let open = || (seawall.metric("seawall_requests_in_flight"), seawall.metric("seawall_open_transfers"));
    let is = |wanted: f64| {
        let (requests, transfers) = open();
        (requests - wanted).abs() < 0.5 && (transfers - wanted).abs() < 0.5
    };
    assert!(is(0.0), "{:?}", open());
    for _ in 0..3 {
        let mut clients = Vec::new();
        for number in 0..8 {
            let mut stream = TcpStream::connect(mine.address).unwrap();
            if number % 2 == 0 {
                stream.write_all(mine.head("GET", &blob, "").as_bytes()).unwrap();
                stream.read_exact(&mut [0; 1000]).unwrap();
            } else {
                stream.write_all(mine.head("POST", START, "Content-Length: 1000000\r\n").as_bytes()).unwrap();
                stream.write_all(b"the beginning").unwrap();
            }
            clients.push(stream);
        }
        wait_until("all are open", || is(8.0));
        drop(clients);
        wait_until("all are gone", || is(0.0));
    }
    wait_until("each is in the audit log", || seawall.audit().len() == 24);
}

/// An upstream that reads requests of clients and does not answer them.
pub(super) struct Silent {
    pub(super) fake: Fake,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicUsize>,
}

impl Silent {
    pub(super) fn start() -> Self {
        let (asked, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counters = [&asked, &over].map(Arc::clone);
        let fake = Fake::raw(move |_, stream| {
            let mut reader = BufReader::new(stream);
            let Some(request) = read_head(&mut reader) else { return };
            let is_clients = request.header("User-Agent") != Some("seawall");
            for counter in &counters {
                counter.fetch_add(is_clients.into(), Ordering::AcqRel);
                let _ = std::io::copy(&mut reader, &mut std::io::sink());
            }
        });
        Self { fake, asked, over }
    }

    /// Waits until so many were asked.
    pub(super) fn wait_for(&self, count: usize) {
        wait_until("it is asked", || self.asked.load(Ordering::Acquire) == count);
        assert_eq!(self.over.load(Ordering::Acquire), count - 1);
    }

    /// Waits until so many are over, and the last of so many records says why.
    pub(super) fn wait_for_end(&self, count: usize, seawall: &Seawall) {
        wait_until("it is over behind seawall", || self.over.load(Ordering::Acquire) == count);
        wait_until("it is over", || seawall.audit().len() == count);
        assert_eq!(seawall.audit()[count - 1]["reason"], "client_left");
    }
}

/// Nobody waits for an answer that nobody will read.
#[test]
fn a_client_that_leaves_before_its_answer_takes_its_request_along() {
    let silent = Silent::start();
    let seawall = Setup::new(&silent.fake.url()).start();
    let mine = Caller::of(&seawall, MINE);
    let blob = format!("/v2/mine/app/blobs/{}", digest(b"x"));
    for (number, (path, pieces)) in
        [("/v2/mine/app/manifests/v1", 1), (&blob, 1), (&blob, 2), (&blob, 3)].into_iter().enumerate()
    {
        let mut stream = TcpStream::connect(mine.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let head = mine.head("GET", path, &format!("X-Long: {}\r\n", "x".repeat(5_000)));
        for piece in head.as_bytes().chunks(head.len().div_ceil(pieces)) {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
        silent.wait_for(number + 1);
        drop(stream);
        silent.wait_for_end(number + 1, &seawall);
    }
}

/// A client that has sent the next request meanwhile is there.
#[test]
fn a_request_that_comes_before_the_answer_to_the_one_before_waits() {
    let fake = Fake::answering(|request, stream| {
        std::thread::sleep(Duration::from_millis(300));
        let tag = request.line.split(' ').nth(1).unwrap().rsplit('/').next().unwrap();
        let _ = stream.write_all(answer("200 OK", "Content-Type: application/json\r\n", tag).as_bytes());
        Then::KeepOpen
    });
    let seawall = Setup::new(&fake.url()).start();
    let mine = Caller::of(&seawall, MINE);
    let mut stream = TcpStream::connect(mine.address).unwrap();
    for tag in ["first", "second", "third"] {
        let more = if tag == "third" { "Connection: close\r\n" } else { "" };
        stream.write_all(mine.head("GET", &format!("/v2/mine/app/manifests/{tag}"), more).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let bodies: Vec<_> = all.split("\r\n\r\n").skip(1).map(|rest| rest.split("HTTP/1.1").next().unwrap()).collect();
    assert_eq!(bodies, ["first", "second", "third"], "{all}");
}

/// The same in front of a real registry, which must be none the worse for it.
#[test]
fn a_client_that_leaves_does_not_spoil_the_next_ones_connection() {
    for version in Distribution::at_hand() {
        let registry = crate::harness::registry::Registry::start(version);
        let seawall = Setup::new(&registry.url()).one_thread().start();
        let world = World { registry, seawall };
        let mine = world.caller(MINE);
        let large = vec![b'x'; 20 * 1024 * 1024];
        let blob = format!("/v2/mine/app/blobs/{}", mine.push_blob("mine/app", &large));
        for _ in 0..5 {
            let mut stream = TcpStream::connect(mine.address).unwrap();
            stream.write_all(mine.head("GET", &blob, "").as_bytes()).unwrap();
            stream.read_exact(&mut vec![0; 100_000]).unwrap();
            drop(stream);
            let session = mine.begin("mine/app");
            let mut stream = TcpStream::connect(mine.address).unwrap();
            stream.write_all(mine.head("PATCH", &session, "Transfer-Encoding: chunked\r\n").as_bytes()).unwrap();
            stream.write_all(b"5\r\nabcde\r\n").unwrap();
            drop(stream);
            assert_eq!(mine.push_blob("mine/app", b"content"), digest(b"content"), "{version:?}");
            assert_eq!(mine.has_manifest("mine/app", "none"), 404, "{version:?}");
        }
        wait_until("nothing is open", || world.seawall.metric("seawall_requests_in_flight") < 0.5);
        assert!(world.seawall.metric("seawall_open_transfers") < 0.5, "{version:?}");
    }
}
