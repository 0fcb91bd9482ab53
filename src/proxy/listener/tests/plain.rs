//! Requests that are answered without pingora, and those that are left to it.

use std::io::{Read, Write};

use super::*;

fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n{more}\r\n")
}

#[test]
fn a_connection_serves_requests_of_both_kinds_in_any_order() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    for _ in 0..2 {
        assert_eq!(ask(&mut client, &get("/plain/3", "")), "xxx");
        assert!(ask(&mut client, WHO).starts_with("public 127.0.0.1"));
        assert_eq!(ask(&mut client, &get("/plain/0", "Connection: keep-alive\r\n")), "");
        // Larger than any buffer on the way.
        assert_eq!(ask(&mut client, &get("/plain/5000000", "")).len(), 5_000_000);
    }
    client.write_all(get("/plain/3", "").replace("GET", "HEAD").as_bytes()).unwrap();
    let head = read_until(&mut client, "\r\n\r\n");
    assert!(head.contains("\r\nContent-Length: 3\r\n") && head.contains("\r\nConnection: keep-alive\r\n"), "{head}");
    assert!(head.contains("\r\nDate: "), "{head}");
    assert_eq!(ask(&mut client, &get("/plain/1", "")), "x");
    assert_eq!(running.refused(), []);
}

#[test]
fn a_head_in_pieces_is_served() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    let request = get("/who", "");
    let (first, rest) = request.split_at(20);
    client.write_all(first.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(ask(&mut client, rest).starts_with("public"));
}

#[test]
fn a_connection_ends_where_the_client_or_the_answer_wants_it() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    assert_eq!(ask(&mut client, &get("/plain/3", "Connection: close\r\n")), "xxx");
    assert!(is_closed(&mut client));
    let mut client = running.connect();
    client.write_all(get("/endless", "").as_bytes()).unwrap();
    let mut read = String::new();
    client.read_to_string(&mut read).unwrap();
    assert!(read.contains("\r\nConnection: close\r\n") && read.ends_with("\r\n\r\nendless"), "{read}");
    wait_until(|| running.in_flight.connections() == 0);
}

/// What is left to pingora comes with what was known of it; nothing is left for another request.
#[test]
fn what_is_handed_over_belongs_to_one_request() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    let with_body = "POST /kept HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(ask(&mut client, &get("/kept", "")), "kept of GET");
    assert_eq!(ask(&mut client, with_body), "nothing");
    assert_eq!(ask(&mut client, &get("/kept", "")), "kept of GET");
    assert_eq!(ask(&mut client, &get("/kept", "Expect: nothing\r\n")), "nothing");
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    client.write_all(get("/plain/50000000", "").as_bytes()).unwrap();
    wait_until(|| running.in_flight.connections() == 1);
    wait_until(|| running.in_flight.connections() == 0 && running.in_flight.requests() == 0);
    let mut read = Vec::new();
    let _ = client.read_to_end(&mut read);
    assert!(read.starts_with(b"HTTP/1.1 200 OK\r\n") && read.len() < 50_000_000);
}

/// What it may not do is take nothing at all: the time that a gate allows is for that.
#[test]
fn a_client_that_takes_its_time_is_served() {
    const LENGTH: usize = 30_000_000;
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    client.write_all(get(&format!("/plain/{LENGTH}"), "").as_bytes()).unwrap();
    read_until(&mut client, "\r\n\r\n");
    let (mut room, mut read) = (vec![0; 1_000_000], 0);
    while read < LENGTH {
        let piece = room.len().min(LENGTH - read);
        client.read_exact(&mut room[..piece]).unwrap();
        read += piece;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ask(&mut client, &get("/plain/3", "")), "xxx");
}
