//! Times are for silence, never for a transfer's length (field 3.1): what moves may take as long as it likes, what does
//! not move ends.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::thread::{self, sleep};
use std::time::Duration;

use crate::harness::caller::{Caller, digest};
use crate::harness::fake::{Fake, Then, read_head};
use crate::harness::raw;
use crate::harness::secure::{Http2, push, whole};
use crate::harness::stopwatch::Stopwatch;
use crate::harness::wait_until;
use crate::harness::wall::{MINE, Setup};

const START: &str = "/v2/mine/app/blobs/uploads/";
const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nLocation: /v2/mine/app/blobs/uploads/s\r\nContent-Length: 0\r\n\r\n";

/// The pace of a transfer that is slow but never stops: the tests' timeouts are some times as long.
const PACE: Duration = Duration::from_millis(250);
/// Four seconds of it.
const PIECES: usize = 16;

fn blob() -> String {
    format!("/v2/mine/app/blobs/{}", digest(b"x"))
}

/// Field 3.1, orca#187: an inactivity timeout that caps the whole upload is the mistake not to make.
#[test]
fn an_upload_that_trickles_for_longer_than_every_timeout_goes_through() {
    let fake = Fake::answering(|_, stream| {
        let _ = stream.write_all(ACCEPTED.as_bytes());
        Then::KeepOpen
    });
    let timeouts = "read: 1s, write: 1s, uploadAnswer: 1s, idle: 1s";
    let seawall =
        Setup::new(&fake.url()).timeouts(timeouts).limits("stallTimeout: 1s, headTimeout: 1s, idleTimeout: 1s").start();
    let mine = Caller::of(&seawall, MINE);
    for chunked in [false, true] {
        let mut stream = TcpStream::connect(mine.address).unwrap();
        let framing =
            if chunked { "Transfer-Encoding: chunked\r\n".to_owned() } else { format!("Content-Length: {PIECES}\r\n") };
        stream.write_all(mine.head("POST", START, &framing).as_bytes()).unwrap();
        for _ in 0..PIECES {
            sleep(PACE);
            stream.write_all(if chunked { b"1\r\nx\r\n" } else { b"x" }).unwrap();
        }
        if chunked {
            stream.write_all(b"0\r\n\r\n").unwrap();
        }
        let exchange = raw::read(&mut stream);
        assert_eq!(exchange.statuses(), [202], "{framing}: {exchange:?}");
        assert_eq!(fake.seen().pop().unwrap().body.len(), PIECES);
    }
}

/// The same downwards.
#[test]
fn a_download_that_trickles_for_longer_than_every_timeout_goes_through() {
    let fake = Fake::raw(|_, mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {PIECES}\r\n\r\n").as_bytes());
        for _ in 0..PIECES {
            sleep(PACE);
            let _ = stream.write_all(b"x");
        }
    });
    let seawall = Setup::new(&fake.url())
        .timeouts("read: 1s, write: 1s, uploadAnswer: 1s, idle: 1s")
        .limits("stallTimeout: 1s, headTimeout: 1s, idleTimeout: 1s")
        .start();
    let got = Caller::of(&seawall, MINE).get(&blob()).expect(200);
    assert_eq!(got.body.len(), PIECES);
}

/// An upstream that accepts and says nothing.
#[test]
fn a_silent_upstream_is_answered_with_504() {
    let fake = Fake::raw(|_, mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let seawall = Setup::new(&fake.url()).timeouts("read: 1s, write: 1s, uploadAnswer: 2s").start();
    let mine = Caller::of(&seawall, MINE);
    for (method, path, body, at_least, at_most) in [
        ("GET", blob(), &b""[..], 900, 1900),
        ("HEAD", blob(), b"", 900, 1900),
        ("DELETE", blob(), b"", 900, 1900),
        // After the last byte an upload may take its time to be stored.
        ("POST", START.to_owned(), b"content", 1900, 4000),
        ("PUT", "/v2/mine/app/manifests/v1".to_owned(), b"{}", 1900, 4000),
    ] {
        let began = Stopwatch::start();
        let failed = mine.send(method, &path, &[], body).expect(504);
        let took = began.elapsed().as_millis();
        assert!((at_least..at_most).contains(&took), "{method} {path}: {took} ms");
        if method != "HEAD" {
            assert_eq!(failed.json()["errors"][0]["code"], "UNAVAILABLE", "{method}");
        }
    }
}

/// An upstream that stops reading in the middle of an upload.
#[test]
fn an_upstream_that_stops_reading_is_answered_with_504() {
    let fake = Fake::raw(|_, stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        // Held, and not read.
        sleep(Duration::from_secs(15));
    });
    let seawall = Setup::new(&fake.url()).timeouts("read: 1s, write: 1s, uploadAnswer: 1m").start();
    let mine = Caller::of(&seawall, MINE);
    let mut stream = TcpStream::connect(mine.address).unwrap();
    let length = 512 * 1024 * 1024;
    stream.write_all(mine.head("POST", START, &format!("Content-Length: {length}\r\n")).as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        let piece = vec![b'x'; 1024 * 1024];
        (0..512).take_while(|_| writer.write_all(&piece).is_ok()).count()
    });
    let began = Stopwatch::start();
    let exchange = raw::read(&mut stream);
    assert_eq!(exchange.statuses(), [504], "{exchange:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(stream);
    assert!(sending.join().unwrap() < 512);
}

/// An upstream that stops in the middle of a download: the client must not take what it has for the whole.
#[test]
fn a_download_whose_upstream_stalls_or_breaks_off_is_cut_and_not_completed() {
    for stalls in [true, false] {
        for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
            let fake = Fake::raw(move |_, mut stream| {
                read_head(&mut BufReader::new(stream.try_clone().unwrap()));
                let piece = if framing.starts_with('C') { "0123456789" } else { "a\r\n0123456789\r\n" };
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{piece}").as_bytes());
                if stalls {
                    let _ = stream.read(&mut [0]);
                }
            });
            let seawall = Setup::new(&fake.url()).timeouts("read: 1s").start();
            let mine = Caller::of(&seawall, MINE);
            let mut stream = TcpStream::connect(mine.address).unwrap();
            stream.write_all(mine.head("GET", &blob(), "").as_bytes()).unwrap();
            let mut all = Vec::new();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let ended = stream.read_to_end(&mut all);
            let what = format!("stalls: {stalls}, {framing}: {}", String::from_utf8_lossy(&all));
            assert!(
                ended.is_ok() || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset),
                "{what}"
            );
            assert!(!what.contains("\r\n0\r\n\r\n"), "{what}: it looks complete");
            assert!(!what.contains("errors"), "{what}: an error in the middle of content");
        }
    }
}

/// An upstream that takes long to store what it was sent.
#[test]
fn an_upload_may_wait_for_its_answer_longer_than_other_requests() {
    let fake = Fake::answering(|_, stream| {
        sleep(Duration::from_millis(2500));
        let _ = stream.write_all(ACCEPTED.as_bytes());
        Then::KeepOpen
    });
    let seawall =
        Setup::new(&fake.url()).timeouts("read: 1s, write: 1s, uploadAnswer: 20s").limits("stallTimeout: 1s").start();
    Caller::of(&seawall, MINE).send("POST", START, &[], b"content").expect(202);
}

/// A client that stops sending is cut, and what it began at the upstream ends with it.
#[test]
fn a_client_that_stops_sending_is_cut() {
    let fake = Fake::answering(|_, _| Then::Close);
    let seawall = Setup::new(&fake.url()).limits("stallTimeout: 1s").start();
    let mine = Caller::of(&seawall, MINE);
    for (method, path) in [("POST", START), ("PUT", "/v2/mine/app/manifests/v1")] {
        let mut stream = TcpStream::connect(mine.address).unwrap();
        stream.write_all(mine.head(method, path, "Content-Length: 10\r\n").as_bytes()).unwrap();
        stream.write_all(b"12345").unwrap();
        let began = Stopwatch::start();
        let exchange = raw::read(&mut stream);
        assert!(
            exchange.closed && began.elapsed() < Duration::from_secs(5),
            "{method}: {:?} {exchange:?}",
            began.elapsed()
        );
        assert!(!exchange.statuses().contains(&202), "{method}: {exchange:?}");
    }
    // Also one that was refused, or asks for an access token.
    let anonymous = Caller::anonymous(mine.address);
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n";
    for head in [anonymous.head("POST", START, "Content-Length: 10\r\n"), anonymous.head("POST", "/oauth2/token", form)]
    {
        let mut stream = TcpStream::connect(mine.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let began = Stopwatch::start();
        let exchange = raw::read(&mut stream);
        assert!(exchange.closed && began.elapsed() < Duration::from_secs(8), "{:?} {exchange:?}", began.elapsed());
        assert!(matches!(exchange.statuses()[..], [400 | 401]), "{exchange:?}");
    }
    wait_until("nothing is open", || seawall.metric("seawall_requests_in_flight") < 0.5);
    assert!(seawall.metric("seawall_open_transfers") < 0.5);
}

/// A client that stops reading is cut, after the time it has.
#[test]
fn a_client_that_stops_reading_is_cut() {
    let fake = Fake::raw(|_, mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        let piece = vec![b'x'; 1024 * 1024];
        while stream.write_all(&piece).is_ok() {}
    });
    let seawall = Setup::new(&fake.url()).limits("stallTimeout: 1s").start();
    let mine = Caller::of(&seawall, MINE);
    let mut stream = TcpStream::connect(mine.address).unwrap();
    stream.write_all(mine.head("GET", &blob(), "").as_bytes()).unwrap();
    wait_until("the transfer is open", || seawall.metric("seawall_open_transfers") > 0.5);
    let began = Stopwatch::start();
    wait_until("the transfer is cut", || seawall.metric("seawall_open_transfers") < 0.5);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

/// The same over HTTP/2, where it is the window that stays shut.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_2_that_stops_reading_is_cut() {
    let fake = Fake::raw(|_, mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        let piece = vec![b'x'; 1024 * 1024];
        while stream.write_all(&piece).is_ok() {}
    });
    let seawall = Setup::new(&fake.url()).tls().limits("stallTimeout: 1s").start();
    let authorization = Caller::of(&seawall, MINE).authorization.unwrap();
    let mut client = Http2::connect(seawall.address()).await;
    let (answered, _stream) = client.begin("GET", &blob(), &[("authorization", &authorization)], true).await;
    let answered = answered.await.unwrap();
    let began = Stopwatch::start();
    tokio::task::spawn_blocking(move || {
        wait_until("the transfer is cut", || seawall.metric("seawall_open_transfers") < 0.5);
    })
    .await
    .unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    drop(answered);
}

/// pingora keeps no time over the body of an HTTP/2 request: ours must do.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_2_that_stops_sending_is_cut() {
    let fake = Fake::answering(|_, _| Then::Close);
    let seawall = Setup::new(&fake.url()).tls().timeouts("uploadAnswer: 1s").limits("stallTimeout: 1s").start();
    let mine = Caller::of(&seawall, MINE);
    let authorization = mine.authorization.clone().unwrap();
    let mut client = Http2::connect(mine.address).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (path, headers, expected) in
        [(START, vec![("authorization", authorization.as_str())], 504), ("/oauth2/token", vec![form], 400)]
    {
        let (answered, mut stream) = client.begin("POST", path, &headers, false).await;
        push(&mut stream, b"grant_type=", false).await;
        let began = Stopwatch::start();
        let answered = whole(answered).await;
        assert_eq!(answered.status(), expected, "{path}");
        assert!(began.elapsed() < Duration::from_secs(5), "{path}: {:?}", began.elapsed());
    }
}
