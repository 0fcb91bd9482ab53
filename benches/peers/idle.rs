//! Memory: of a process that has just started, and of each connection that is kept open and idle.

use std::any::Any;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::http::Connection;
use crate::harness::tls::{Authority, handshake};
use crate::peers::{Nginx, Peer, haproxy, haproxy_tls};
use crate::report::{Part, Table, Verdict};
use crate::rounds::in_turns;
use crate::settings::Settings;
use crate::spread::{Spread, grouped};
use crate::upstream::Upstream;
use crate::usage::memory;
use crate::walls::{Registry, Wall, host};

pub(crate) const NAME: &str = "idle";

const CONNECTIONS: u16 = 2_000;
const NAMES: [&str; 6] = ["nginx", "HAProxy", "seawall", "nginx, TLS", "HAProxy, TLS", "seawall, TLS"];
/// Until what was asked of the system for a while is given back, or not.
const SETTLE: Duration = Duration::from_millis(500);

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A server that was just started, and how to ask it; what it needs to go on ends with it.
struct Server {
    id: u32,
    address: SocketAddr,
    headers: String,
    /// Of the process before anybody asked it, in units of 1,024 bytes.
    fresh: f64,
    _running: Box<dyn Any>,
}

impl Server {
    fn start(at: usize, upstream: SocketAddr, files: &[PathBuf; 2]) -> Self {
        let fresh = |id: u32| {
            sleep(SETTLE);
            memory(id)
        };
        let peer = |peer: Peer| Self {
            fresh: fresh(peer.id()),
            id: peer.id(),
            address: peer.address,
            headers: "Host: bench.test\r\n".to_owned(),
            _running: Box::new(peer),
        };
        match at {
            0 => peer(Nginx::proxy(upstream).start()),
            1 => peer(haproxy(upstream, "")),
            3 => peer(Nginx::proxy(upstream).tls(files).start()),
            4 => peer(haproxy_tls(upstream, files)),
            _ => {
                let mut wall = Wall::encrypted(&[Registry::keeping("quiet", upstream)], files);
                let fresh = fresh(wall.id());
                let headers = format!("Host: {}\r\nAuthorization: Bearer {}\r\n", host("quiet"), wall.puller("quiet"));
                let address = if at == 2 { wall.seawall.address() } else { wall.tls() };
                Self { id: wall.id(), address, headers, fresh, _running: Box::new(wall) }
            }
        }
    }

    /// A connection on which one request was answered.
    fn open(&self, trusting: Option<&Authority>) -> Connection<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let stream: Box<dyn Stream> = match trusting {
            Some(authority) => {
                let client = authority.client(&["http/1.1"], rustls::ALL_VERSIONS);
                Box::new(handshake(stream, client, "127.0.0.1").unwrap())
            }
            None => Box::new(stream),
        };
        let mut connection = Connection::over(stream);
        connection.send(format!("GET {} HTTP/1.1\r\n{}\r\n", Upstream::by_tag(), self.headers).as_bytes());
        connection.answer("GET").unwrap().expect(200);
        connection
    }
}

pub(crate) fn run(settings: &Settings) -> Part {
    let upstream = Upstream::start();
    let directory = TempDir::new().unwrap();
    let authority = Authority::new();
    let files = authority.issue(directory.path(), "server", &["127.0.0.1"]);
    let mut rows: Vec<(Spread, Spread)> = vec![Default::default(); NAMES.len()];
    in_turns(settings, NAME, &NAMES, 6, |at| {
        let server = Server::start(at, upstream.peer.address, &files);
        let trusting = NAMES[at].ends_with("TLS").then_some(&authority);
        // What comes with the first request is not what each connection takes.
        drop(server.open(trusting));
        sleep(SETTLE);
        let before = memory(server.id);
        let open: Vec<_> = (0..CONNECTIONS).map(|_| server.open(trusting)).collect();
        sleep(SETTLE);
        let each = (memory(server.id) - before) / f64::from(CONNECTIONS);
        drop(open);
        // From units of 1,024 bytes to MB and kB.
        rows[at].0.push(server.fresh * 1.024 / 1_000.0);
        rows[at].1.push(each * 1.024);
        format!("{} kB, {each:.1} KiB for each connection", grouped(server.fresh, 0))
    });
    let cells =
        NAMES.iter().zip(&rows).map(|(name, (fresh, each))| vec![(*name).to_owned(), fresh.text(1), each.text(1)]);
    Part {
        title: "Memory",
        text: format!(
            "Resident memory of a process that has just started, and what each of {} kept connections adds on which one \
             manifest was fetched. nginx is a master and two workers: what they share is counted three times in \
             the first figure, and what nginx needs for 8,192 connections is in it from the start.",
            grouped(f64::from(CONNECTIONS), 0)
        ),
        tables: vec![Table::new(&["target", "started, MB", "each idle connection, kB"], cells.collect())],
        verdicts: vec![
            Verdict::figure("idle keep-alive connection", &rows[2].1, "kB", 32.0, 16.0),
            Verdict::figure("idle keep-alive connection over TLS", &rows[5].1, "kB", 32.0, 16.0),
            Verdict::figure("idle process", &rows[2].0, "MB", 28.0, 28.0),
        ],
        charts: Vec::new(),
    }
}
