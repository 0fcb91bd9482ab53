//! 1,200 clients at once, none of whom seawall knows yet: each is challenged, logs in, and pulls a manifest and a blob.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use seawall::auth::password::hash_password;
use seawall::secret::Secret;

use crate::harness::caller::Caller;
use crate::harness::http::{Connection, Response};
use crate::harness::image::MANIFEST;
use crate::harness::seawall::Place;
use crate::harness::session::{Account, parameter};
use crate::harness::stopwatch::Stopwatch;
use crate::registry::Distribution;
use crate::report::{Part, Table, Verdict};
use crate::rounds::in_turns;
use crate::settings::Settings;
use crate::spread::{Spread, grouped};
use crate::upstream::REPOSITORY;
use crate::usage::{cpu, memory_and_threads};
use crate::walls::{Registry, Wall, host};

pub(crate) const NAME: &str = "storm";

const CLIENTS: usize = 1_200;
/// Tokens with two slow hashes each, which the clients share.
const SLOW: usize = 30;
const REGISTRY: &str = "storm";
const NAMES: [&str; 3] = [
    "Distribution, open, nobody logs in",
    "seawall, 1,200 tokens with generated passwords",
    "seawall, 60 argon2id passwords of 30 tokens",
];

/// A token's name and one of its passwords.
fn account(token: usize, password: usize) -> Account {
    Account::new(&format!("node-{token:04}"), &format!("password-{password}-of-node-{token:04}-which-is-long-enough"))
}

fn token(at: usize, passwords: &str) -> String {
    format!("      node-{at:04}: {{scopeMap: nodes, passwords: [{passwords}]}}\n")
}

const HEAD: &str = "    scopeMaps: {nodes: {repositories: {bench/*: [content/read]}}}\n    tokens:\n";

/// Passwords as the API makes them are kept as keyed digests; so are those of files.
fn generated(place: &Place) -> String {
    let tokens = (0..CLIENTS).map(|at| {
        let Account { user, password } = account(at, 1);
        token(at, &format!("{{name: password1, file: \"{}\"}}", place.secret(&user, &password).display()))
    });
    HEAD.to_owned() + &tokens.collect::<String>()
}

fn hashed() -> String {
    let tokens = (0..SLOW).map(|at| {
        let passwords = [1, 2].map(|number| {
            let hash = hash_password(&Secret::new(account(at, number).password)).unwrap();
            format!("{{name: password{number}, hash: \"{hash}\"}}")
        });
        token(at, &passwords.join(", "))
    });
    HEAD.to_owned() + &tokens.collect::<String>()
}

/// Who a client is in each storm.
fn client(storm: usize, at: usize) -> Option<Account> {
    match storm {
        0 => None,
        1 => Some(account(at, 1)),
        _ => Some(account(at % SLOW, 1 + at / SLOW % 2)),
    }
}

/// What a client pulls.
struct Image {
    manifest: Vec<u8>,
    config: String,
}

/// One client on one connection.
struct Puller {
    connection: Connection,
    host: String,
}

impl Puller {
    /// Says why when it does not get what it should.
    fn get(&mut self, path: &str, authorization: &str, status: u16) -> Result<Response, String> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {MANIFEST}\r\n{authorization}\r\n", self.host);
        self.connection.send(head.as_bytes());
        let what = path.split(['?', ':']).next().unwrap_or(path);
        let answer = self.connection.answer("GET").ok_or_else(|| format!("{what}: no answer"))?;
        if answer.status == status { Ok(answer) } else { Err(format!("{what}: {} {}", answer.status, answer.text())) }
    }

    fn log_in(&mut self, account: &Account) -> Result<String, String> {
        let challenged = self.get("/v2/", "", 401)?;
        let challenge = challenged.expect_header("WWW-Authenticate");
        let (realm, service) = (parameter(challenge, "realm"), parameter(challenge, "service"));
        let path = &realm[realm.find("/oauth2").unwrap()..];
        let path = format!("{path}?service={service}&scope=repository:{REPOSITORY}:pull");
        let token = self.get(&path, &format!("Authorization: {}\r\n", account.basic()), 200)?.json();
        Ok(format!("Authorization: Bearer {}\r\n", token["access_token"].as_str().unwrap()))
    }

    fn pull(&mut self, account: Option<&Account>, image: &Image) -> Result<(), String> {
        let authorization = account.map(|account| self.log_in(account)).transpose()?.unwrap_or_default();
        let manifest = self.get(&format!("/v2/{REPOSITORY}/manifests/v1"), &authorization, 200)?;
        if manifest.body != image.manifest {
            return Err("another manifest".to_owned());
        }
        self.get(&format!("/v2/{REPOSITORY}/blobs/{}", image.config), &authorization, 200)?;
        Ok(())
    }
}

/// What became of the clients.
struct Storm {
    /// Milliseconds from the start to the last byte, sorted, of those that succeeded.
    times: Vec<f64>,
    /// Why the others did not.
    failures: Vec<String>,
}

impl Storm {
    fn at(&self, percent: usize) -> f64 {
        self.times.get((self.times.len() * percent / 100).min(self.times.len() - 1)).copied().unwrap()
    }
}

fn let_loose(address: SocketAddr, name: &str, who: impl Fn(usize) -> Option<Account>, image: &Arc<Image>) -> Storm {
    let start = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|at| {
            let (start, image, account, host) = (Arc::clone(&start), Arc::clone(image), who(at), name.to_owned());
            let work = move || {
                start.wait();
                let watch = Stopwatch::start();
                let connection = Connection::open(address).ok_or("cannot connect")?;
                Puller { connection, host }.pull(account.as_ref(), &image)?;
                Ok::<_, String>(watch.elapsed().as_secs_f64() * 1e3)
            };
            thread::Builder::new().stack_size(512 * 1024).spawn(work).unwrap()
        })
        .collect();
    let (mut times, mut failures) = (Vec::new(), Vec::new());
    for client in clients {
        match client.join().unwrap() {
            Ok(time) => times.push(time),
            Err(failure) => failures.push(failure),
        }
    }
    assert!(!times.is_empty(), "none succeeded: {:?}", failures.first());
    times.sort_by(f64::total_cmp);
    Storm { times, failures }
}

/// Calls `work` and says how many threads and how much memory, in MB, a process had at most meanwhile.
fn watched<T>(process: u32, work: impl FnOnce() -> T) -> (T, f64, f64) {
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let watcher = thread::spawn(move || {
        let (mut most_threads, mut most_memory) = (0.0, 0.0);
        while !seen.load(Ordering::Relaxed) {
            let (memory, threads) = memory_and_threads(process);
            most_threads = f64::max(most_threads, threads);
            most_memory = f64::max(most_memory, memory * 1.024 / 1e3);
            thread::sleep(Duration::from_millis(20));
        }
        (most_threads, most_memory)
    });
    let result = work();
    over.store(true, Ordering::Relaxed);
    let (threads, memory) = watcher.join().unwrap();
    (result, threads, memory)
}

#[derive(Default, Clone)]
struct Row {
    failed: Spread,
    p50: Spread,
    p99: Spread,
    last: Spread,
    cpu: Spread,
    before: Spread,
    threads: Spread,
    memory: Spread,
}

impl Row {
    fn cells(&self, name: &str) -> Vec<String> {
        let Self { failed, p50, p99, last, cpu, before, threads, memory } = self;
        let figures = [(failed, 0), (p50, 0), (p99, 0), (last, 0), (cpu, 2), (before, 0), (threads, 0), (memory, 0)];
        let texts = figures.iter().map(|(figure, decimals)| figure.text(*decimals));
        std::iter::once(name.to_owned()).chain(texts).collect()
    }
}

/// None may fail.
fn failed(name: &str, row: &Row) -> Verdict {
    let who = name.replace("seawall, ", "");
    Verdict::figure(&format!("clients at once, {who}"), &row.failed, "failed", 0.0, 0.0)
}

pub(crate) fn run(settings: &Settings) -> Part {
    let mut rows = vec![Row::default(); NAMES.len()];
    let hashed = hashed();
    in_turns(settings, NAME, &NAMES, 8, |at| {
        // Everything anew each time: nothing is in any cache.
        let registry = Distribution::open();
        let manifest = Caller::anonymous(registry.address).push_image(REPOSITORY, "v1", "of the storm");
        let json: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let config = json["config"]["digest"].as_str().unwrap().to_owned();
        let image = Arc::new(Image { manifest, config });
        let place = Place::new();
        let tokens = if at == 1 { generated(&place) } else { hashed.clone() };
        let mut wall = Wall::start_with(place, &[Registry::keeping(REGISTRY, registry.address).with(&tokens)], None);
        let (process, address) =
            if at == 0 { (registry.id(), registry.address) } else { (wall.id(), wall.seawall.address()) };
        let (before, used) = (memory_and_threads(process).1, cpu(&[process]));
        let (storm, most, memory) =
            watched(process, || let_loose(address, &host(REGISTRY), |one| client(at, one), &image));
        let row = &mut rows[at];
        row.failed.push(f64::from(u32::try_from(storm.failures.len()).unwrap()));
        row.p50.push(storm.at(50));
        row.p99.push(storm.at(99));
        row.last.push(storm.at(100));
        row.cpu.push(cpu(&[process]) - used);
        row.before.push(before);
        row.threads.push(most);
        row.memory.push(memory);
        let failed = storm.failures.first().map(|first| format!("  {} FAILED: {first}", storm.failures.len()));
        let (p50, p99) = (grouped(storm.at(50), 0), grouped(storm.at(99), 0));
        format!("p50 {p50} ms  p99 {p99} ms{}", failed.unwrap_or_default())
    });
    Part {
        title: "1,200 clients at once",
        text: "Each opens a connection, is challenged, gets an access token, and fetches a manifest and the image's configuration \
               from a real Distribution; seawall has just started. The whole of it is timed, for those that did not fail. \
               The clients run on the same cores."
            .to_owned(),
        tables: vec![Table::new(
            &["target", "failed", "p50 ms", "p99 ms", "last ms", "CPU s", "threads before", "threads at most", "memory at most, MB"],
            NAMES.iter().zip(&rows).map(|(name, row)| row.cells(name)).collect(),
        )],
        verdicts: [1, 2].map(|at| failed(NAMES[at], &rows[at])).into(),
        charts: Vec::new(),
    }
}
