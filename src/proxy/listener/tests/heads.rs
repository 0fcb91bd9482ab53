//! The deadline for request heads (slow loris), and what it leaves alone.

use std::io::Read;

use super::*;

const TIMEOUT: Duration = Duration::from_millis(300);

fn impatient() -> Running {
    Running::start(SourceMode::Peer, |listener| listener.head_timeout = TIMEOUT)
}

/// Sends `text` one byte every 50 ms; true when the server closed before it was over.
fn drips(client: &mut TcpStream, text: &str) -> bool {
    client.set_nodelay(true).unwrap();
    text.bytes().any(|byte| {
        thread::sleep(Duration::from_millis(50));
        client.write_all(&[byte]).is_err()
    }) || is_closed(client)
}

#[test]
fn a_client_that_drips_its_first_head_is_cut() {
    let running = impatient();
    assert!(drips(&mut running.connect(), WHO));
    assert_eq!(running.refused(), [Refusal::LateHead]);
    wait_until(|| running.in_flight.connections() == 0);
}

#[test]
fn a_client_that_says_nothing_is_cut() {
    let running = impatient();
    assert!(is_closed(&mut running.connect()));
    assert_eq!(running.refused(), [Refusal::LateHead]);
}

#[test]
fn a_client_that_drips_a_later_head_is_cut() {
    let running = impatient();
    let mut client = running.connect();
    ask(&mut client, WHO);
    assert!(drips(&mut client, WHO));
    assert_eq!(running.refused(), [Refusal::LateHead]);
}

/// Threat class T: pingora itself would take a mebibyte, and parse it anew with every piece.
#[test]
fn a_head_over_its_limit_is_cut_and_one_below_it_is_served() {
    let long = |bytes: usize| WHO.replacen("\r\n", &format!("\r\nX-Long: {}\r\n", "x".repeat(bytes)), 1);
    let running = Running::start(SourceMode::Peer, |_| {});
    ask(&mut running.connect(), &long(60 * 1024));
    assert_eq!(running.refused(), []);
    let mut client = running.connect();
    let _ = client.write_all(long(128 * 1024).as_bytes());
    assert!(is_closed(&mut client));
    assert_eq!(running.refused(), [Refusal::LargeHead]);
}

#[test]
fn what_is_not_http_is_told_once_and_a_good_head_is_not() {
    for (bytes, told) in [
        ("GET /who HTTP/1.1\r\nno colon\r\n\r\n", true),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", true),
        (WHO, false),
    ] {
        let running = Running::start(SourceMode::Peer, |_| {});
        let mut client = running.connect();
        client.write_all(bytes.as_bytes()).unwrap();
        let answer = read_until(&mut client, "\r\n\r\n");
        assert_eq!(answer.starts_with("HTTP/1.1 4"), told, "{answer}");
        let expected: &[Refusal] = if told { &[Refusal::MalformedHead] } else { &[] };
        assert_eq!(running.refused(), expected, "{bytes}");
        if told {
            continue;
        }
        // On a kept connection too.
        client.write_all(b"GET /who HTTP/1.1\r\nno colon\r\n\r\n").unwrap();
        wait_until(|| running.refused() == [Refusal::MalformedHead]);
    }
}

#[test]
fn an_idle_connection_may_wait_longer_than_the_deadline() {
    let running = impatient();
    let mut client = running.connect();
    for _ in 0..2 {
        ask(&mut client, WHO);
        thread::sleep(TIMEOUT * 2);
    }
    ask(&mut client, WHO);
    assert_eq!(running.refused(), []);
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    ask(&mut client, WHO);
    client.set_read_timeout(Some(IDLE * 3)).unwrap();
    assert!(is_closed(&mut client));
    assert_eq!(running.refused(), []);
}

#[test]
fn a_body_may_take_longer_than_the_deadline() {
    let running = impatient();
    let mut client = running.connect();
    client.set_nodelay(true).unwrap();
    for _ in 0..2 {
        client.write_all(b"POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n").unwrap();
        for byte in b"0123456789" {
            thread::sleep(Duration::from_millis(60));
            client.write_all(&[*byte]).unwrap();
        }
        assert_eq!(read_response(&mut client), "0123456789");
    }
    assert_eq!(running.refused(), []);
}

#[test]
fn a_response_may_take_longer_than_the_deadline() {
    let running = impatient();
    let mut client = running.connect();
    client.write_all(SLOW.as_bytes()).unwrap();
    assert!(read_until(&mut client, "begin\r\n").starts_with("HTTP/1.1 200"));
    assert_eq!(running.in_flight.requests(), 1);
    // Nothing is released, so whatever arrives now is the server giving up.
    client.set_read_timeout(Some(TIMEOUT * 2)).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(running.refused(), []);
}

/// A connection that is closed on what the client still sends is reset, and its answer lost.
#[test]
fn a_refused_client_may_send_its_body_before_it_reads_the_answer() {
    let running = Running::start(SourceMode::Peer, |_| {});
    let mut client = running.connect();
    client.write_all(b"POST /refused HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n").unwrap();
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(20));
        client.write_all(&[b'x'; 10_000]).unwrap();
    }
    assert_eq!(read_response(&mut client), "refused");
    assert!(is_closed(&mut client));
    // One that never stops is cut.
    let mut client = running.connect();
    client.write_all(b"POST /refused HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n").unwrap();
    let piece = vec![b'x'; 100_000];
    assert!((0..1_000).any(|_| client.write_all(&piece).is_err()));
    wait_until(|| running.in_flight.connections() == 0);
}
