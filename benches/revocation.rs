//! How long after a revocation is acknowledged at one replica another one still accepts what was revoked.
//!
//! Two seawalls share a PostgreSQL. The other replica runs at half of its saturation, found just before, while tokens are
//! disabled, deleted, rotated, lose a permission, and the admin account is switched off at the first. A client of the
//! other replica asks all the time; the delay is from the acknowledgement until the start of its first refused request, and
//! 0 when that began before. After the first refusal nothing may be accepted again. `ROUNDS` of each way, 40 unless set.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a measurement may stop, and prints"
)]

#[path = "../tests/it/harness/mod.rs"]
#[expect(
    dead_code,
    clippy::print_stderr,
    reason = "the integration tests use the rest of it, where all of this is allowed"
)]
mod harness;
#[expect(dead_code, clippy::expect_used, reason = "the tests use more of it")]
#[path = "../tests/support/replicas.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use harness::http::Connection;
use harness::manager::Manager;
use harness::registry::{Distribution, Registry};
use harness::seawall::Seawall;
use harness::session::{Account, Session};
use harness::stopwatch::Stopwatch;
use harness::wait_until;
use serde_json::{Value, json};

const CLIENTS: usize = 16;
const WAYS: [&str; 5] = ["disable", "delete", "rotate", "scope map", "admin off"];

/// A client that asks for one manifest of a repository again and again.
struct Asker {
    connection: Connection,
    request: Vec<u8>,
}

impl Asker {
    fn new(address: SocketAddr, host: &str, access_token: &str) -> Self {
        let head = format!(
            "GET /v2/samples/app/manifests/none HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {access_token}\r\n\r\n"
        );
        Self { connection: Connection::open(address).unwrap(), request: head.into_bytes() }
    }

    /// Whether the request was permitted: the manifest is not there, which only a permitted reader learns.
    fn permitted(&mut self) -> bool {
        self.connection.send(&self.request);
        match self.connection.answer("GET").unwrap().status {
            404 => true,
            401 => false,
            other => panic!("unexpected status {other}"),
        }
    }
}

/// Load at the other replica until it is dropped; `pause` between the requests of one client.
struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr, host: &str, access_token: &str, every: Duration) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..CLIENTS).map(|_| {
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            let mut asker = Asker::new(address, host, access_token);
            thread::spawn(move || {
                let watch = Stopwatch::start();
                let mut sent = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    assert!(asker.permitted());
                    count.fetch_add(1, Ordering::Relaxed);
                    sent += 1;
                    thread::sleep((every * sent).saturating_sub(watch.elapsed()));
                }
            })
        });
        Self { clients: clients.collect(), stop, count }
    }

    /// Requests in a second, over `seconds`.
    fn rate(&self, seconds: u64) -> u64 {
        let before = self.count.load(Ordering::Relaxed);
        thread::sleep(Duration::from_secs(seconds));
        (self.count.load(Ordering::Relaxed) - before) / seconds
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.drain(..).for_each(|client| client.join().unwrap());
    }
}

struct World {
    one: Seawall,
    other: Seawall,
    host: String,
    manager: Manager,
}

impl World {
    fn create(&self, name: &str) -> Account {
        let map = format!("{name}-scope-map");
        let actions = ["repositories/samples/app/content/read"];
        self.manager.done("PUT", &format!("/scopeMaps/{map}"), &json!({"properties": {"actions": actions}}));
        let id = |kind: &str, name: &str| {
            format!(
                "/subscriptions/any/resourceGroups/any/providers/Microsoft.ContainerRegistry/registries/myregistry/{kind}/{name}"
            )
        };
        let token = json!({"properties": {"scopeMapId": id("scopeMaps", &map), "status": "enabled"}});
        self.manager.done("PUT", &format!("/tokens/{name}"), &token);
        let made = self.manager.done(
            "POST",
            "/generateCredentials",
            &json!({"tokenId": id("tokens", name), "name": "password1"}),
        );
        Account::new(name, made["passwords"][0]["value"].as_str().unwrap())
    }

    fn admin(&self) -> Account {
        self.manager.done("PATCH", "", &json!({"properties": {"adminUserEnabled": true}}));
        let shown = self.manager.done("POST", "/listCredentials", &Value::Null);
        Account::new("myregistry", shown["passwords"][0]["value"].as_str().unwrap())
    }

    /// An access token of the other replica, once that knows the account.
    fn access_token(&self, account: &Account) -> String {
        let session = Session::named(self.other.address(), &self.host, account.clone());
        let scopes = ["repository:samples/app:pull"];
        wait_until("the other replica knows the account", || session.log_in(&scopes).status == 200);
        session.access_token(&scopes)
    }

    fn revoke(&self, way: &str, name: &str) {
        let token = format!("/tokens/{name}");
        match way {
            "disable" => self.manager.done("PATCH", &token, &json!({"properties": {"status": "disabled"}})),
            "delete" => self.manager.done("DELETE", &token, &Value::Null),
            "rotate" => {
                let id = format!(
                    "/subscriptions/a/resourceGroups/a/providers/Microsoft.ContainerRegistry/registries/myregistry{token}"
                );
                self.manager.done("POST", "/generateCredentials", &json!({"tokenId": id, "name": "password1"}))
            }
            "scope map" => {
                let actions = json!({"properties": {"actions": ["repositories/samples/else/content/read"]}});
                self.manager.done("PATCH", &format!("/scopeMaps/{name}-scope-map"), &actions)
            }
            _ => self.manager.done("PATCH", "", &json!({"properties": {"adminUserEnabled": false}})),
        };
    }

    /// One revocation: how long after its acknowledgement the first refused request began.
    fn round(&self, way: &str, number: usize) -> Duration {
        let name = format!("token-{}-{number}", way.replace(' ', "-"));
        let account = if way == "admin off" { self.admin() } else { self.create(&name) };
        let access_token = self.access_token(&account);
        let watch = Arc::new(Stopwatch::start());
        let since = Arc::clone(&watch);
        let mut asker = Asker::new(self.other.address(), &self.host, &access_token);
        let client = thread::spawn(move || {
            loop {
                let began = since.elapsed();
                if !asker.permitted() {
                    // It stays refused.
                    assert!((0..20).all(|_| !asker.permitted()));
                    return began;
                }
                thread::sleep(Duration::from_micros(200));
            }
        });
        thread::sleep(Duration::from_millis(30));
        self.revoke(way, &name);
        let acknowledged = watch.elapsed();
        client.join().unwrap().saturating_sub(acknowledged)
    }
}

/// The value below which this share of the sorted values is.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).map_or(0.0, |delay| delay.as_secs_f64() * 1000.0)
}

fn row(what: &str, delays: &mut [Duration]) {
    delays.sort_unstable();
    let [median, most] = [50, 99].map(|percent| percentile(delays, percent));
    println!("{what:<12} {:>6} {median:>9.2} {most:>9.2} {:>9.2}", delays.len(), percentile(delays, 100));
}

fn main() {
    let rounds: usize = std::env::var("ROUNDS").map_or(40, |text| text.parse().unwrap());
    let upstream = Registry::start(Distribution::V2);
    let database = support::Postgres::start();
    let one = support::replica(&upstream, &database);
    let host = one.place().login_server();
    let other = support::replica_named(&upstream, &database, &host);
    let world = World { manager: Manager::of(&one), one, other, host };
    let access_token = world.access_token(&world.create("token-of-the-load"));

    let address = world.other.address();
    let saturation = Load::start(address, &world.host, &access_token, Duration::ZERO).rate(5);
    let every = Duration::from_secs(2 * CLIENTS as u64) / u32::try_from(saturation.max(1)).unwrap();
    let load = Load::start(address, &world.host, &access_token, every);
    println!("the other replica: {saturation} requests/s at most, {} requests/s during the measurement", load.rate(3));
    println!("delay in ms    count    median       p99       max");
    let mut all = Vec::new();
    for way in WAYS {
        let mut delays: Vec<Duration> = (0..rounds).map(|number| world.round(way, number)).collect();
        row(way, &mut delays);
        all.extend(delays);
    }
    row("all", &mut all);
    drop(load);
    let metrics = harness::http::get(world.other.place().metrics(), "/metrics").unwrap().text();
    println!("as the other replica's metric says, written there → in force here:");
    metrics
        .lines()
        .filter(|line| line.starts_with("seawall_policy_delay_seconds"))
        .for_each(|line| println!("  {line}"));
    drop(world.one);
}
