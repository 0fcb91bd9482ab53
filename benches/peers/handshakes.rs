//! A new TLS 1.3 connection for each request: what a handshake costs.

use tempfile::TempDir;

use crate::harness::tls::Authority;
use crate::load::{Ask, connections, probe};
use crate::peers::Nginx;
use crate::report::{Part, Table, Verdict};
use crate::rounds::in_turns;
use crate::settings::Settings;
use crate::spread::{Spread, grouped};
use crate::upstream::Upstream;
use crate::usage::cpu;
use crate::walls::{Registry, Wall};

pub(crate) const NAME: &str = "handshakes";

const NAMES: [&str; 2] = ["nginx", "seawall"];

pub(crate) fn run(settings: &Settings) -> Part {
    let upstream = Upstream::start();
    let address = upstream.peer.address;
    let directory = TempDir::new().unwrap();
    let files = Authority::new().issue(directory.path(), "server", &["127.0.0.1"]);
    let nginx = Nginx::proxy(address).tls(&files).start();
    let mut wall = Wall::encrypted(&[Registry::plain("plain", address)], &files);
    let tag = Upstream::by_tag();
    let asks = [
        Ask::new(format!("https://{}{tag}", nginx.address)),
        wall.ask_encrypted("plain", &tag).bearer(&wall.puller("plain")),
    ]
    .map(|ask| ask.body(&upstream.manifest));
    let processes = [nginx.id(), wall.id()];
    let length = u64::try_from(upstream.manifest.len()).unwrap();
    let mut rows: [(Spread, Spread); 2] = Default::default();
    in_turns(settings, NAME, &NAMES, settings.seconds + 1, |at| {
        probe(&asks[at]);
        let seconds = connections(&asks[at], 200, length);
        let count = (200.0 / seconds * f64::from(settings.seconds)).round();
        // Positive, and small: a connection takes more than ten microseconds.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
        let requests = count as u32;
        let before = cpu(&[processes[at]]);
        let seconds = connections(&asks[at], requests, length);
        let cost = (cpu(&[processes[at]]) - before) / (count / 10_000.0);
        let rate = count / seconds;
        rows[at].0.push(rate);
        rows[at].1.push(cost);
        format!("{:>7}/s  CPU {cost:.3}", grouped(rate, 0))
    });
    let cells =
        NAMES.iter().zip(&rows).map(|(name, (rate, cost))| vec![(*name).to_owned(), rate.text(0), cost.text(2)]);
    Part {
        title: "A new TLS 1.3 connection for each request",
        text: "`GET` of the manifest by curl, 16 connections at a time, each closed after its answer and none resumed: curl \
               offers no session. (wrk would: it resumes even with `Connection: close`.) The certificate is ECDSA P-256."
            .to_owned(),
        tables: vec![Table::new(&["target", "requests/s", "CPU s per 10,000"], cells.collect())],
        verdicts: vec![Verdict::at_most("new TLS 1.3 connection: CPU ÷ nginx", &rows[1].1, &rows[0].1, 0.7, 0.5)],
        charts: Vec::new(),
    }
}
