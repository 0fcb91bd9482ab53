//! Rounds: every target once a round, forward and backward in turn, so that what changes with time changes all alike.

use std::fs::OpenOptions;
use std::path::PathBuf;

use crate::load::{Ask, Outcome, probe, wrk};
use crate::settings::Settings;
use crate::spread::{Spread, grouped};
use crate::usage::cpu;

pub(crate) const CONNECTIONS: u32 = 64;

/// A request to a server, and whose work it is.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) ask: Ask,
    /// What the proxy consists of; nothing where there is none.
    proxy: Vec<u32>,
    upstream: Vec<u32>,
    /// Emptied before each measurement.
    log: Option<PathBuf>,
    connections: u32,
    least_seconds: u32,
}

impl Target {
    pub(crate) fn new(name: &str, ask: Ask, proxy: &[u32], upstream: u32) -> Self {
        let (proxy, upstream) = (proxy.to_vec(), vec![upstream]);
        Self { name: name.to_owned(), ask, proxy, upstream, log: None, connections: CONNECTIONS, least_seconds: 1 }
    }

    pub(crate) fn log(mut self, file: PathBuf) -> Self {
        self.log = Some(file);
        self
    }

    /// For one so slow that many connections would all be answered after the end.
    pub(crate) fn slow(mut self, connections: u32, seconds: u32) -> Self {
        (self.connections, self.least_seconds) = (connections, seconds);
        self
    }

    fn measure(&self, seconds: u32) -> (Outcome, f64, f64) {
        if let Some(log) = &self.log {
            // It is written to its end, wherever that is.
            OpenOptions::new().write(true).open(log).unwrap().set_len(0).unwrap();
        }
        let length = probe(&self.ask);
        let seconds = seconds.max(self.least_seconds);
        wrk(&self.ask, self.connections, self.least_seconds, length);
        let before = (cpu(&self.proxy), cpu(&self.upstream));
        let outcome = wrk(&self.ask, self.connections, seconds, length);
        let (proxy, upstream) = (cpu(&self.proxy) - before.0, cpu(&self.upstream) - before.1);
        probe(&self.ask);
        let each = outcome.requests / 10_000.0;
        (outcome, proxy / each, upstream / each)
    }
}

/// What was measured of a target; processor time in seconds for 10,000 requests, the rest in milliseconds.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) rate: Spread,
    pub(crate) cpu: Spread,
    pub(crate) upstream: Spread,
    pub(crate) p50: Spread,
    pub(crate) p99: Spread,
}

impl Row {
    pub(crate) const HEAD: [&str; 6] =
        ["target", "requests/s", "p50 ms", "p99 ms", "CPU s per 10,000", "upstream CPU s per 10,000"];

    pub(crate) fn cells(&self) -> Vec<String> {
        let Self { name, rate, cpu, upstream, p50, p99 } = self;
        let cpu = if cpu.most() > 0.0 { cpu.text(3) } else { "–".to_owned() };
        vec![name.clone(), rate.text(0), p50.text(2), p99.text(2), cpu, upstream.text(3)]
    }
}

/// What was measured, found by name.
pub(crate) struct Rows(pub(crate) Vec<Row>);

impl Rows {
    pub(crate) fn get(&self, name: &str) -> &Row {
        self.0.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}"))
    }

    pub(crate) fn cells(&self) -> Vec<Vec<String>> {
        self.0.iter().map(Row::cells).collect()
    }
}

/// Calls `work` once for each of `count` things in each round, with the thing's number; says how far it is.
pub(crate) fn in_turns(
    settings: &Settings,
    part: &str,
    names: &[&str],
    seconds: u32,
    mut work: impl FnMut(usize) -> String,
) {
    let count = u32::try_from(names.len()).unwrap();
    let mut left = settings.rounds * count;
    for round in 0..settings.rounds {
        let mut order: Vec<usize> = (0..names.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let said = work(at);
            left -= 1;
            println!(
                "{part} {}/{}  {:<52} {said}  [about {} s left of {part}]",
                round + 1,
                settings.rounds,
                names[at],
                left * seconds
            );
        }
    }
}

/// Measures all targets in all rounds.
pub(crate) fn measure(settings: &Settings, part: &str, targets: &[Target]) -> Rows {
    let mut rows: Vec<Row> = targets.iter().map(|target| Row { name: target.name.clone(), ..Row::default() }).collect();
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    in_turns(settings, part, &names, settings.seconds + 1, |at| {
        let (outcome, proxy, upstream) = targets[at].measure(settings.seconds);
        let row = &mut rows[at];
        row.rate.push(outcome.rate);
        row.cpu.push(proxy);
        row.upstream.push(upstream);
        row.p50.push(outcome.p50);
        row.p99.push(outcome.p99);
        format!("{:>9}/s  CPU {proxy:.3}  p99 {:.2} ms", grouped(outcome.rate, 0), outcome.p99)
    });
    Rows(rows)
}
