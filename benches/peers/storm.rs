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
use crate::report::{Part, Table};
use crate::rounds::in_turns;
use crate::settings::Settings;
use crate::spread::{Spread, grouped};
use crate::upstream::REPOSITORY;
use crate::usage::{cpu, memory, threads};
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

/// One client on one connection; panics when it does not get what it should.
struct Puller {
    connection: Connection,
    host: String,
}

impl Puller {
    fn get(&mut self, path: &str, authorization: &str) -> Response {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {MANIFEST}\r\n{authorization}\r\n", self.host);
        self.connection.send(head.as_bytes());
        self.connection.answer("GET").unwrap_or_else(|| panic!("no answer to {path}"))
    }

    fn log_in(&mut self, account: &Account) -> String {
        let challenged = self.get("/v2/", "").expect(401);
        let challenge = challenged.expect_header("WWW-Authenticate");
        let (realm, service) = (parameter(challenge, "realm"), parameter(challenge, "service"));
        let path = &realm[realm.find("/oauth2").unwrap()..];
        let path = format!("{path}?service={service}&scope=repository:{REPOSITORY}:pull");
        let token = self.get(&path, &format!("Authorization: {}\r\n", account.basic())).expect(200).json();
        format!("Authorization: Bearer {}\r\n", token["access_token"].as_str().unwrap())
    }

    fn pull(&mut self, account: Option<&Account>, image: &Image) {
        let authorization = account.map(|account| self.log_in(account)).unwrap_or_default();
        let manifest = self.get(&format!("/v2/{REPOSITORY}/manifests/v1"), &authorization).expect(200);
        assert!(manifest.body == image.manifest, "another manifest");
        self.get(&format!("/v2/{REPOSITORY}/blobs/{}", image.config), &authorization).expect(200);
    }
}

/// Milliseconds from the start to the last byte, of each client.
fn storm(address: SocketAddr, name: &str, who: impl Fn(usize) -> Option<Account>, image: &Arc<Image>) -> Vec<f64> {
    let start = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|at| {
            let (start, image, account, host) = (Arc::clone(&start), Arc::clone(image), who(at), name.to_owned());
            let work = move || {
                start.wait();
                let watch = Stopwatch::start();
                let connection = Connection::open(address).unwrap();
                Puller { connection, host }.pull(account.as_ref(), &image);
                watch.elapsed().as_secs_f64() * 1e3
            };
            thread::Builder::new().stack_size(512 * 1024).spawn(work).unwrap()
        })
        .collect();
    let mut times: Vec<f64> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Calls `work` and says how many threads and how much memory, in MB, a process had at most meanwhile.
fn watched<T>(process: u32, work: impl FnOnce() -> T) -> (T, f64, f64) {
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let watcher = thread::spawn(move || {
        let (mut most_threads, mut most_memory) = (0.0, 0.0);
        while !seen.load(Ordering::Relaxed) {
            most_threads = f64::max(most_threads, threads(&[process]));
            most_memory = f64::max(most_memory, memory(&[process]) * 1.024 / 1e3);
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
        let Self { p50, p99, last, cpu, before, threads, memory } = self;
        let figures = [(p50, 0), (p99, 0), (last, 0), (cpu, 2), (before, 0), (threads, 0), (memory, 0)];
        let texts = figures.iter().map(|(figure, decimals)| figure.text(*decimals));
        std::iter::once(name.to_owned()).chain(texts).collect()
    }
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
        let (before, used) = (threads(&[process]), cpu(&[process]));
        let (times, most, memory) = watched(process, || storm(address, &host(REGISTRY), |one| client(at, one), &image));
        let row = &mut rows[at];
        row.p50.push(times[CLIENTS / 2]);
        row.p99.push(times[CLIENTS * 99 / 100]);
        row.last.push(times[CLIENTS - 1]);
        row.cpu.push(cpu(&[process]) - used);
        row.before.push(before);
        row.threads.push(most);
        row.memory.push(memory);
        format!("p50 {} ms  p99 {} ms", grouped(times[CLIENTS / 2], 0), grouped(times[CLIENTS * 99 / 100], 0))
    });
    Part {
        title: "1,200 clients at once",
        text: "Each opens a connection, is challenged, gets an access token, and fetches a manifest and the image's configuration \
               from a real Distribution; seawall has just started. The whole of it is timed. One client that failed would end the \
               run. The clients run on the same cores."
            .to_owned(),
        tables: vec![Table::new(
            &["target", "p50 ms", "p99 ms", "last ms", "CPU s", "threads before", "threads at most", "memory at most, MB"],
            NAMES.iter().zip(&rows).map(|(name, row)| row.cells(name)).collect(),
        )],
        ..Part::default()
    }
}
