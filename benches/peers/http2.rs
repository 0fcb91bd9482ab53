//! HTTP/2 beside HTTP/1.1, with TLS and without.

use tempfile::TempDir;

use crate::harness::tls::Authority;
use crate::load::{Ask, Protocol, h2load, probe};
use crate::peers::Nginx;
use crate::report::{Part, Table, Verdict};
use crate::rounds::in_turns;
use crate::settings::Settings;
use crate::spread::{Spread, grouped};
use crate::upstream::Upstream;
use crate::usage::cpu;
use crate::walls::{Registry, Wall};

pub(crate) const NAME: &str = "http2";

const NAMES: [&str; 8] = [
    "nginx, HTTP/1.1",
    "nginx, HTTP/2",
    "seawall, HTTP/1.1",
    "seawall, HTTP/2",
    "seawall, by digest, content cache, HTTP/1.1",
    "seawall, by digest, content cache, HTTP/2",
    "seawall without TLS, HTTP/1.1",
    "seawall without TLS, HTTP/2",
];
const WARM_UP: u32 = 5_000;

pub(crate) fn run(settings: &Settings) -> Part {
    let upstream = Upstream::start();
    let address = upstream.peer.address;
    let directory = TempDir::new().unwrap();
    let files = Authority::new().issue(directory.path(), "server", &["127.0.0.1"]);
    let nginx = Nginx::proxy(address).tls(&files).start();
    let mut wall = Wall::encrypted(&[Registry::plain("plain", address), Registry::keeping("keeping", address)], &files);
    let asks = [
        Ask::new(format!("https://{}{}", nginx.address, Upstream::by_tag())),
        wall.ask_encrypted("plain", &Upstream::by_tag()).bearer(&wall.puller("plain")),
        wall.ask_encrypted("keeping", &upstream.by_digest()).bearer(&wall.puller("keeping")),
        wall.ask("plain", &Upstream::by_tag()).bearer(&wall.puller("plain")),
    ]
    .map(|ask| ask.header("Accept", crate::harness::image::MANIFEST).body(&upstream.manifest));
    let processes = [nginx.id(), wall.id(), wall.id(), wall.id()];
    let length = u64::try_from(upstream.manifest.len()).unwrap();
    let mut rows: Vec<(Spread, Spread)> = vec![Default::default(); NAMES.len()];
    in_turns(settings, NAME, &NAMES, settings.seconds + 1, |at| {
        let (ask, process) = (&asks[at / 2], processes[at / 2]);
        let protocol = if at % 2 == 0 { Protocol::Http1 } else { Protocol::Http2 };
        probe(ask);
        let count = (h2load(ask, protocol, WARM_UP, length) * f64::from(settings.seconds)).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and below a billion")]
        let requests = count as u32;
        let before = cpu(&[process]);
        let rate = h2load(ask, protocol, requests, length);
        let cost = (cpu(&[process]) - before) / (count / 10_000.0);
        rows[at].0.push(rate);
        rows[at].1.push(cost);
        format!("{:>9}/s  CPU {cost:.3}", grouped(rate, 0))
    });
    let cells =
        NAMES.iter().zip(&rows).map(|(name, (rate, cost))| vec![(*name).to_owned(), rate.text(0), cost.text(3)]);
    Part {
        title: "HTTP/2",
        text: "`GET` of the manifest by h2load with one thread and 64 requests at a time: 64 connections of HTTP/1.1, or 16 of \
               HTTP/2 with four streams each. The first request and the handshake of each connection are part of it. With TLS where \
               nothing else is said."
            .to_owned(),
        tables: vec![Table::new(&["target", "requests/s", "CPU s per 10,000"], cells.collect())],
        verdicts: vec![
            Verdict::at_most("HTTP/2 over TLS: CPU ÷ our own HTTP/1.1 over TLS", &rows[3].1, &rows[2].1, 1.3, 1.15),
            Verdict::at_most("HTTP/2 without TLS: CPU ÷ our own HTTP/1.1 without TLS", &rows[7].1, &rows[6].1, 1.3, 1.15),
        ],
        charts: Vec::new(),
    }
}
