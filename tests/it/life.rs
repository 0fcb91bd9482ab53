//! The life of the process: drains, signals, slow clients, and starts that must not succeed (threat
//! classes S and T).

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use seawall::clock::{Clock, SystemClock};

use crate::harness::http;
use crate::harness::image::digest;
use crate::harness::keys::{FORMER_FILES, leave_keys};
use crate::harness::nearby::{probe, registry, worker};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Session;
use crate::harness::wait_until;

/// More than all buffers between a registry and a client that does not read.
const LARGE: usize = 48 * 1024 * 1024;

fn document(place: &Place, upstream: &Registry, process: &str) -> String {
    let url = format!("url: \"{}\"", upstream.url());
    place.document(&format!(
        "{process}\nregistries:\n{}",
        registry(place, "myregistry", &place.login_server(), &url, &[])
    ))
}

fn start(upstream: &Registry, process: &str) -> Seawall {
    let place = Place::new();
    let document = document(&place, upstream, process);
    place.start(&document)
}

/// A blob that takes its time.
fn large() -> Vec<u8> {
    (0..LARGE).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

/// The target of an upload's last request.
fn begin_upload(seawall: &Seawall, bytes: &[u8]) -> String {
    let session = Session::new(seawall.address(), worker());
    let started = session.send("POST", "/v2/team/app/blobs/uploads/", &[], b"").expect(202);
    let location = started.expect_header("Location");
    format!("{location}{}digest={}", if location.contains('?') { '&' } else { '?' }, digest(bytes))
}

fn push(seawall: &Seawall, bytes: &[u8]) {
    let target = begin_upload(seawall, bytes);
    let session = Session::new(seawall.address(), worker());
    session.send("PUT", &target, &[("Content-Type", "application/octet-stream")], bytes).expect(201);
}

/// The head of a request with this body, sent on a new connection.
fn open(address: SocketAddr, method: &str, target: &str, length: Option<usize>) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
    let authorization = worker().basic();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/octet-stream\r\n{length}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Reads an answer's head.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

/// A download that has begun and that nobody reads on.
fn begin_download(seawall: &Seawall, bytes: &[u8]) -> TcpStream {
    let mut stream = open(seawall.address(), "GET", &format!("/v2/team/app/blobs/{}", digest(bytes)), None);
    assert!(head(&mut stream).starts_with("HTTP/1.1 200 "));
    stream
}

fn wait_until_refused(address: SocketAddr) {
    wait_until("new connections are refused", || {
        TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
}

fn wait_for_end(seawall: &mut Seawall) -> Option<i32> {
    let mut ended = None;
    wait_until("seawall ends", || {
        ended = seawall.process().ended();
        ended.is_some()
    });
    ended.unwrap().code()
}

/// The records of the transfers of this blob.
fn transfers(seawall: &Seawall, method: &str, bytes: &[u8]) -> Vec<serde_json::Value> {
    let of_it = |record: &serde_json::Value| record["method"] == method && record["reference"] == digest(bytes);
    seawall.audit().into_iter().filter(of_it).collect()
}

/// SIGTERM in the middle of a download and an upload: both finish, and both are in the audit log.
#[test]
fn a_drain_finishes_transfers_refuses_newcomers_and_ends_long_before_the_grace() {
    let upstream = Registry::start(Distribution::V2);
    let mut seawall = start(&upstream, "shutdown: { grace: 5m }");
    let down = large();
    push(&seawall, &down);
    let up: Vec<u8> = down.iter().rev().copied().collect();
    let target = begin_upload(&seawall, &up);
    let mut upload = open(seawall.address(), "PUT", &target, Some(up.len()));
    upload.write_all(&up[..LARGE / 2]).unwrap();
    let mut download = begin_download(&seawall, &down);
    let mut idle = http::Connection::open(seawall.address()).unwrap();
    assert_eq!(probe(&seawall, "/readyz").unwrap().status, 200);

    seawall.process().signal("TERM");
    wait_until_refused(seawall.address());
    let ready = probe(&seawall, "/readyz").unwrap();
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("draining")));
    assert_eq!(probe(&seawall, "/healthz").unwrap().status, 200);
    idle.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(idle.answer("GET").is_none(), "an idle connection is closed");
    seawall.process().expect_running();

    upload.write_all(&up[LARGE / 2..]).unwrap();
    assert!(head(&mut upload).starts_with("HTTP/1.1 201 "));
    let mut downloaded = vec![0; LARGE];
    download.read_exact(&mut downloaded).unwrap();
    assert_eq!(digest(&downloaded), digest(&down));
    drop((upload, download));

    let ending = SystemClock.ticks();
    assert_eq!(wait_for_end(&mut seawall), Some(0));
    assert!(SystemClock.ticks() < ending + Duration::from_secs(20), "it waited for the grace period");
    let records = [transfers(&seawall, "GET", &down), transfers(&seawall, "PUT", &up)].map(|mut records| {
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    });
    assert_eq!((&records[0]["status"], &records[0]["responseBytes"]), (&200.into(), &LARGE.into()));
    assert_eq!((&records[1]["status"], &records[1]["requestBytes"]), (&201.into(), &LARGE.into()));
    assert!(seawall.process().log().contains("Drained"), "{}", seawall.process().log());
}

/// However it ends, what was cut is in the audit log.
#[test]
fn the_end_of_the_grace_a_second_sigterm_and_sigint_cut_what_runs() {
    let upstream = Registry::start(Distribution::V2);
    let bytes = large();
    for (grace, signals, told) in
        [("1s", &["TERM"][..], "GraceOver"), ("5m", &["TERM", "TERM"], "AtOnce"), ("5m", &["INT"], "AtOnce")]
    {
        let mut seawall = start(&upstream, &format!("shutdown: {{ grace: {grace} }}"));
        push(&seawall, &bytes);
        let mut download = begin_download(&seawall, &bytes);
        for (at, signal) in signals.iter().enumerate() {
            if at > 0 {
                wait_until_refused(seawall.address());
                seawall.process().expect_running();
            }
            seawall.process().signal(signal);
        }
        let ending = SystemClock.ticks();
        assert_eq!(wait_for_end(&mut seawall), Some(0), "{signals:?}");
        assert!(SystemClock.ticks() < ending + Duration::from_secs(15), "{signals:?}");
        let mut rest = Vec::new();
        let _ = download.read_to_end(&mut rest);
        assert!(rest.len() < LARGE, "{signals:?}: nothing was cut");
        assert!(seawall.process().log().contains(told), "{signals:?}: {}", seawall.process().log());
        let records = transfers(&seawall, "GET", &bytes);
        assert_eq!(records.len(), 1, "{signals:?}: {records:?}");
        let record = &records[0];
        assert_eq!((&record["reason"], &record["status"]), (&"cut_off".into(), &200.into()), "{record}");
        assert_eq!(record["principal"]["name"], "worker");
        let sent = record["responseBytes"].as_u64().unwrap();
        assert!(sent >= 1 && sent < LARGE as u64, "{signals:?}: {sent}");
    }
}

/// Threat class T: a head that never ends.
#[test]
fn a_slow_head_is_cut_and_counted() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream, "limits: { headTimeout: 1s }");
    let mut slow = TcpStream::connect(seawall.address()).unwrap();
    let began = SystemClock.ticks();
    let mut sent = 0;
    slow.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n").unwrap();
    while slow.write_all(b"X-Slow: 1\r\n").is_ok() {
        sent += 1;
        assert!(SystemClock.ticks() < began + Duration::from_secs(20), "still open after {sent} lines");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(SystemClock.ticks() >= began + Duration::from_secs(1));
    wait_until("it is counted", || seawall.metric("seawall_connections_refused_total{reason=\"late_head\"}") >= 1.0);
    let session = Session::new(seawall.address(), worker());
    session.get("/v2/").expect(200);
}

/// Nothing is served when anything that it needs is not there, and the reason is named.
#[test]
fn a_start_without_port_keys_or_audit_log_is_refused_with_the_reason() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let good = document(&place, &upstream, "");
    let path = place.path().display().to_string();
    for address in [place.public(), place.metrics()] {
        let taken = TcpListener::bind(address).unwrap();
        let (code, said) = place.start_in_vain(&good);
        assert_eq!(code, Some(1), "{said}");
        let listener = if address == place.public() { "listener `public`" } else { "for metrics" };
        assert!(
            said.contains("not started") && said.contains(listener) && said.contains(&address.to_string()),
            "{said}"
        );
        assert!(said.contains("in use"), "{said}");
        drop(taken);
    }
    fs::write(place.path().join("file"), "").unwrap();
    for (what, bad) in [
        ("keys", good.replace(&format!("{path}/keys"), &format!("{path}/file/keys"))),
        ("keys", good.replace(&format!("{path}/keys"), &format!("{path}/file"))),
        ("audit", good.replace(&format!("{path}/audit.jsonl"), &path)),
    ] {
        assert_ne!(bad, good);
        let (code, said) = place.start_in_vain(&bad);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("not started: "), "{what}: {said}");
        assert!(said.contains(&path), "{what}: {said}");
        assert!(!said.contains("seawall is ready"), "{what}: {said}");
    }
    // A key that is none, also one of the version before: threat class S, never a new key in its place.
    for broken in FORMER_FILES.iter().chain(&["encryption.key"]) {
        let place = Place::new();
        let document = document(&place, &upstream, "");
        leave_keys(&place.path().join("keys"));
        let file = place.path().join("keys").join(broken);
        fs::write(&file, "no key").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let (code, said) = place.start_in_vain(&document);
        assert_eq!(code, Some(1), "{broken:?}: {said}");
        assert!(said.contains(&file.display().to_string()), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "no key");
    }
}
