use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

use super::*;

fn get(address: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{line} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn answers_machines_that_watch() {
    let state = Arc::new(Mutex::new(Readiness { status: Status::Starting, policy_version: None, reason: None }));
    let probes = Probes::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = probes.address();
    let shown = Arc::clone(&state);
    probes.start(|| "seawall_up 1\n".to_owned(), move || shown.lock().unwrap().clone()).unwrap();

    let metrics = get(address, "GET /metrics");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4") && metrics.ends_with("\r\n\r\nseawall_up 1\n"));
    for (line, status) in [
        ("GET /healthz", "200"),
        ("HEAD /healthz", "200"),
        ("POST /healthz", "405"),
        ("GET /", "404"),
        ("GET /v2/", "404"),
        ("GET /metrics/", "404"),
    ] {
        assert!(get(address, line).starts_with(&format!("HTTP/1.1 {status} ")), "{line}");
    }

    let lost = Some("the store does not answer");
    let degraded = r#"{"status":"degraded","policyVersion":7,"reason":"the store does not answer"}"#;
    for (status, version, reason, code, body) in [
        (Status::Starting, None, None, "503", r#"{"status":"starting"}"#),
        (Status::Ready, Some(7), None, "200", r#"{"status":"ready","policyVersion":7}"#),
        (Status::Degraded, Some(7), lost, "200", degraded),
        (Status::Draining, Some(8), None, "503", r#"{"status":"draining","policyVersion":8}"#),
    ] {
        *state.lock().unwrap() = Readiness { status, policy_version: version, reason };
        let answer = get(address, "GET /readyz");
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")) && answer.ends_with(body), "{answer}");
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_before_anything_starts() {
    let first = Probes::bind(([127, 0, 0, 1], 0).into()).unwrap();
    assert_eq!(Probes::bind(first.address()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}
