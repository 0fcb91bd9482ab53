//! One stream of a blob of 1 GiB: what a byte costs.

use tempfile::TempDir;

use crate::harness::tls::Authority;
use crate::load::{Ask, download};
use crate::peers::{Nginx, Peer, haproxy};
use crate::picture::Chart;
use crate::report::{Part, Table, Verdict};
use crate::rounds::in_turns;
use crate::settings::Settings;
use crate::spread::Spread;
use crate::upstream::Upstream;
use crate::usage::cpu;
use crate::walls::{Registry, Wall};

pub(crate) const NAME: &str = "blob";

const GIB: u32 = 1 << 30;
const NGINX: &str = "nginx";
const NGINX_TLS: &str = "nginx, TLS";
const SEAWALL: &str = "seawall";
const SEAWALL_TLS: &str = "seawall, TLS";

struct Target {
    name: &'static str,
    ask: Ask,
    proxy: Option<u32>,
}

#[derive(Default)]
struct Row {
    rate: Spread,
    cpu: Spread,
    upstream: Spread,
}

pub(crate) fn run(settings: &Settings) -> Part {
    let upstream = Upstream::with_blob(GIB.into());
    let address = upstream.peer.address;
    let directory = TempDir::new().unwrap();
    let files = Authority::new().issue(directory.path(), "server", &["127.0.0.1"]);
    let (plain, large, encrypted) = (
        Nginx::proxy(address).start(),
        Nginx::proxy(address).large_buffers().start(),
        Nginx::proxy(address).tls(&files).start(),
    );
    let balancer = haproxy(address, "");
    let mut wall = Wall::encrypted(&[Registry::plain("plain", address)], &files);
    let blob = upstream.blob();
    let at = |peer: &Peer, scheme: &str| Ask::new(format!("{scheme}://{}{blob}", peer.address));
    let (token, seawall) = (wall.puller("plain"), wall.id());
    let target = |name, ask, proxy| Target { name, ask, proxy };
    let targets = [
        target("the upstream itself (sendfile)", at(&upstream.peer, "http"), None),
        target(NGINX, at(&plain, "http"), Some(plain.id())),
        target("nginx with buffers of 1 MiB", at(&large, "http"), Some(large.id())),
        target("HAProxy", at(&balancer, "http"), Some(balancer.id())),
        target(SEAWALL, wall.ask("plain", &blob).bearer(&token), Some(seawall)),
        target(NGINX_TLS, at(&encrypted, "https"), Some(encrypted.id())),
        target(SEAWALL_TLS, wall.ask_encrypted("plain", &blob).bearer(&token), Some(seawall)),
    ];
    part(&targets, &measure(settings, &targets, upstream.peer.id()))
}

fn measure(settings: &Settings, targets: &[Target], upstream: u32) -> Vec<Row> {
    let names: Vec<&str> = targets.iter().map(|target| target.name).collect();
    let mut rows: Vec<Row> = targets.iter().map(|_| Row::default()).collect();
    // Once for all: the file comes into memory.
    download(&targets[0].ask, GIB.into());
    in_turns(settings, NAME, &names, 2, |at| {
        let Target { ask, proxy, .. } = &targets[at];
        let proxy: Vec<u32> = proxy.iter().copied().collect();
        let before = (cpu(&proxy), cpu(&[upstream]));
        let rate = f64::from(GIB) / 1e9 / download(ask, GIB.into());
        let (own, theirs) = (cpu(&proxy) - before.0, cpu(&[upstream]) - before.1);
        rows[at].rate.push(rate);
        rows[at].cpu.push(own);
        rows[at].upstream.push(theirs);
        format!("{rate:.2} GB/s  CPU {own:.2} s")
    });
    rows
}

fn part(targets: &[Target], rows: &[Row]) -> Part {
    let cpu = |name: &str| &rows[targets.iter().position(|target| target.name == name).unwrap()].cpu;
    let mut chart = Chart::new("blob-cpu", "CPU seconds for a GiB", 2);
    let mut cells = Vec::new();
    for (Target { name, proxy, .. }, row) in targets.iter().zip(rows) {
        let own = if proxy.is_some() { row.cpu.text(2) } else { "–".to_owned() };
        cells.push(vec![(*name).to_owned(), row.rate.text(2), own, row.upstream.text(2)]);
        if proxy.is_some() {
            chart = chart.bar(name, &row.cpu);
        }
    }
    Part {
        title: "A blob of 1 GiB",
        text: "`GET` by curl over one connection, HTTP/1.1; with TLS the same ECDSA P-256 certificate everywhere. The upstream \
               sends from the page cache."
            .to_owned(),
        tables: vec![Table::new(&["target", "GB/s", "CPU s per GiB", "upstream CPU s per GiB"], cells)],
        verdicts: vec![
            Verdict::at_most("blob: CPU ÷ nginx", cpu(SEAWALL), cpu(NGINX), 1.1, 0.9),
            Verdict::at_most("blob over TLS: CPU ÷ nginx over TLS", cpu(SEAWALL_TLS), cpu(NGINX_TLS), 0.85, 0.7),
        ],
        charts: vec![chart],
    }
}
