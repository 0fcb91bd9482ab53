//! Blobs stream: as much memory as a few buffers, however large they are and however slow one side is.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::harness::caller::{Caller, hex, with_query};
use crate::harness::fake::{Fake, read_head};
use crate::harness::registry::Distribution;
use crate::harness::seawall::Seawall;
use crate::harness::stopwatch::Stopwatch;
use crate::harness::wait_until;
use crate::harness::wall::{MINE, Setup, World};

const MIB: usize = 1024 * 1024;
const SIZE: usize = 200 * MIB;
/// Above idle.
const MEMORY: usize = 64 * MIB;

/// Piece `number` of a blob that does not repeat itself.
fn piece(number: usize) -> Vec<u8> {
    let mut piece: Vec<u8> = (0..MIB).map(|at| u8::try_from((at * 31 + number * 17) % 256).unwrap()).collect();
    piece[..8].copy_from_slice(&number.to_be_bytes());
    piece
}

/// The largest resident size of a process so far, from `/proc`.
fn peak(seawall: &mut Seawall) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", seawall.process().id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Field 3.1: large pushes die behind proxies.
#[test]
fn a_blob_of_200_mib_goes_up_and_down_unchanged_in_bounded_memory() {
    let mut world = World::start(Distribution::V2);
    let mine = world.caller(MINE);
    mine.push_blob("mine/app", b"warm");
    let idle = peak(&mut world.seawall);

    let mut hash = Sha256::new();
    let session = mine.begin("mine/app");
    let mut stream = TcpStream::connect(mine.address).unwrap();
    stream.write_all(mine.head("PATCH", &session, &format!("Content-Length: {SIZE}\r\n")).as_bytes()).unwrap();
    for number in 0..SIZE / MIB {
        let piece = piece(number);
        hash.update(&piece);
        stream.write_all(&piece).unwrap();
    }
    let digest = format!("sha256:{}", hex(&hash.finalize()));
    let mut reader = BufReader::new(stream);
    let patched = read_head(&mut reader).unwrap();
    assert!(patched.line.contains(" 202 "), "{patched:?}");
    let last = with_query(patched.header("Location").unwrap(), &format!("digest={digest}"));
    mine.send("PUT", &last, &[], b"").expect(201);

    let mut stream = TcpStream::connect(mine.address).unwrap();
    stream.write_all(mine.head("GET", &format!("/v2/mine/app/blobs/{digest}"), "").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader).unwrap();
    assert!(head.line.contains(" 200 "), "{head:?}");
    assert_eq!(head.header("Content-Length"), Some(SIZE.to_string().as_str()));
    let mut hash = Sha256::new();
    let mut left = SIZE;
    let mut buffer = vec![0; MIB];
    while left > 0 {
        let read = reader.read(&mut buffer).unwrap();
        assert!(read > 0, "{left} bytes are missing");
        hash.update(&buffer[..read]);
        left -= read;
    }
    assert_eq!(format!("sha256:{}", hex(&hash.finalize())), digest);
    let used = peak(&mut world.seawall) - idle;
    assert!(used < MEMORY, "{} MiB above idle", used / MIB);
}

/// Waits until a counter has not moved for a second; what it then shows.
fn settled(counter: &AtomicUsize) -> usize {
    let mut last = (counter.load(Ordering::Acquire), Stopwatch::start());
    wait_until("it has stopped", || {
        let now = counter.load(Ordering::Acquire);
        if now != last.0 {
            last = (now, Stopwatch::start());
        }
        now > 0 && last.1.elapsed() > Duration::from_secs(1)
    });
    last.0
}

/// How much may be under way between two ends that do not read: the kernel's socket buffers, and a few of ours.
const UNDER_WAY: usize = 48 * MIB;

/// Back-pressure downwards: the upstream is read only as fast as the client reads.
#[test]
fn a_client_that_does_not_read_stops_the_upstream_and_may_go_on_later() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let fake = Fake::raw(move |_, mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes());
        for number in 0..SIZE / MIB {
            if stream.write_all(&piece(number)).is_err() {
                return;
            }
            counted.fetch_add(MIB, Ordering::AcqRel);
        }
    });
    // The client pauses for longer than an upstream may be silent: that is not the upstream's fault.
    let mut seawall = Setup::new(&fake.url()).timeouts("read: 500ms, write: 500ms").start();
    let mine = Caller::of(&seawall, MINE);
    let idle = peak(&mut seawall);
    let mut stream = TcpStream::connect(mine.address).unwrap();
    let blob = crate::harness::caller::digest(b"x");
    stream.write_all(mine.head("GET", &format!("/v2/mine/app/blobs/{blob}"), "").as_bytes()).unwrap();
    let before = settled(&sent);
    assert!(before < UNDER_WAY, "{} MiB were sent to nobody", before / MIB);
    assert!((seawall.metric("seawall_open_transfers") - 1.0).abs() < f64::EPSILON);
    let mut reader = BufReader::new(stream);
    read_head(&mut reader).unwrap();
    let read = std::io::copy(&mut reader.by_ref().take(SIZE as u64), &mut std::io::sink()).unwrap();
    assert_eq!(read, SIZE as u64, "the rest comes once it is read");
    assert!(peak(&mut seawall) - idle < MEMORY);
}

/// Back-pressure upwards: the client is read only as fast as the upstream reads.
#[test]
fn an_upstream_that_does_not_read_stops_the_client_and_may_go_on_later() {
    let go_on = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&go_on);
    let fake = Fake::raw(move |_, mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        read_head(&mut reader);
        wait_until("the upstream may read", || told.load(Ordering::Acquire));
        let read = std::io::copy(&mut reader.take(SIZE as u64), &mut std::io::sink()).unwrap();
        let session = "/v2/mine/app/blobs/uploads/s";
        let answer =
            format!("HTTP/1.1 202 Accepted\r\nLocation: {session}\r\nRange: 0-{read}\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
    });
    let mut seawall = Setup::new(&fake.url()).limits("stallTimeout: 30s").start();
    let mine = Caller::of(&seawall, MINE);
    let idle = peak(&mut seawall);
    let mut stream = TcpStream::connect(mine.address).unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let head = mine.head("POST", "/v2/mine/app/blobs/uploads/", &format!("Content-Length: {SIZE}\r\n"));
    stream.write_all(head.as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        for number in 0..SIZE / MIB {
            writer.write_all(&piece(number)).unwrap();
            counted.fetch_add(MIB, Ordering::AcqRel);
        }
    });
    let before = settled(&sent);
    assert!(before < UNDER_WAY, "{} MiB were taken that nobody reads", before / MIB);
    go_on.store(true, Ordering::Release);
    sending.join().unwrap();
    let answered = read_head(&mut BufReader::new(stream)).unwrap();
    assert!(answered.line.contains(" 202 "), "{answered:?}");
    assert_eq!(answered.header("Range"), Some(format!("0-{SIZE}").as_str()), "all of it went up");
    assert!(peak(&mut seawall) - idle < MEMORY);
}
