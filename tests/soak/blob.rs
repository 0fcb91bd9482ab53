//! A blob far larger than seawall's memory goes through it in both directions.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::session::{Account, Session};
use crate::size;

const MIB: u64 = 1 << 20;
const ALLOWED_ABOVE_IDLE: u64 = 64 * MIB;
const PASSWORD: &str = "the-password-of-a-soak-test";

#[test]
fn a_huge_blob_goes_up_and_down_in_bounded_memory() {
    let mebibytes = size("SOAK_MIB", 5 * 1024);
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let password = place.secret("uploader", PASSWORD);
    let document = place.document(&format!(
        "registries:\n  soaktest:\n    loginServer: \"{}\"\n    upstream: {{ url: \"{}\" }}\n    tokens:\n      \
         uploader: {{ scopeMap: _repositories_push, passwords: [ {{ name: password1, file: \"{}\" }} ] }}\n",
        place.login_server(),
        upstream.url(),
        password.display()
    ));
    let mut seawall = place.start(&document);
    let account = Account::new("uploader", PASSWORD);
    let session = Session::new(seawall.address(), account.clone());

    let piece: Vec<u8> = (0..MIB).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
    let mut hash = Sha256::new();
    for _ in 0..mebibytes {
        hash.update(&piece);
    }
    let digest = hex(&hash.finalize());
    let memory = Memory::watch(seawall.process().id());

    let started = session.send("POST", "/v2/soak/blob/blobs/uploads/", &[], b"").expect(202);
    let location = started.expect_header("Location");
    let path = format!("{location}{}digest=sha256:{digest}", if location.contains('?') { '&' } else { '?' });
    let length = format!("Content-Type: application/octet-stream\r\nContent-Length: {}\r\n", mebibytes * MIB);
    let mut upload = Transfer::open(seawall.address(), "PUT", &path, &account, &length);
    for _ in 0..mebibytes {
        upload.0.get_mut().write_all(&piece).unwrap();
    }
    assert_eq!(upload.head(), 201);
    println!("up: {mebibytes} MiB, at most {} MiB above idle", memory.above_idle() / MIB);

    let mut download =
        Transfer::open(seawall.address(), "GET", &format!("/v2/soak/blob/blobs/sha256:{digest}"), &account, "");
    assert_eq!(download.head(), 200);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; piece.len()];
    for _ in 0..mebibytes {
        download.0.read_exact(&mut buffer).unwrap();
        hash.update(&buffer);
    }
    assert_eq!(hex(&hash.finalize()), digest);
    println!("down: {mebibytes} MiB, at most {} MiB above idle", memory.above_idle() / MIB);
    assert!(memory.above_idle() < ALLOWED_ABOVE_IDLE, "{} MiB above idle", memory.above_idle() / MIB);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// One request whose body goes piece by piece.
struct Transfer(BufReader<TcpStream>);

impl Transfer {
    fn open(address: SocketAddr, method: &str, path: &str, account: &Account, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let authorization = account.basic();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\n{headers}\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    /// Reads up to the body; returns the status.
    fn head(&mut self) -> u16 {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the connection ended: {lines:?}");
            if line == "\r\n" {
                break;
            }
            lines.push(line);
        }
        lines[0].split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Watches how much memory a process holds.
struct Memory {
    idle: u64,
    peak: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Memory {
    fn watch(process: u32) -> Self {
        let idle = resident(process);
        let peak = Arc::new(AtomicU64::new(idle));
        let over = Arc::new(AtomicBool::new(false));
        let (peak_seen, end) = (Arc::clone(&peak), Arc::clone(&over));
        thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                peak_seen.fetch_max(resident(process), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self { idle, peak, over }
    }

    fn above_idle(&self) -> u64 {
        self.peak.load(Ordering::Relaxed) - self.idle
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Bytes that a process holds in memory; 0 once it has ended.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}
