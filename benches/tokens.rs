//! What 50,000 tokens and 50,000 scope maps cost, the largest with 500 rules: the first build of the policy, one change,
//! memory, and how long a request that decides meanwhile may have to wait.
//!
//! Everything goes the way it goes in the server: changes as the store gives them, through the provider, into the policy
//! in force. A request is imitated by a thread that in a loop loads the policy, finds a principal by its id and decides.
//! Its pauses are compared with those of the same loop while nothing changes: what the machine itself does is in both.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement may stop, and prints what it measured"
)]

#[path = "support/published.rs"]
mod published;

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall::clock::{Clock, SystemClock, Timestamp};
use seawall::current::Current;
use seawall::oci::{Endpoint, parse};
use seawall::policy::credential::{CredentialId, PrincipalId, Verifier};
use seawall::policy::document::TokenStatus;
use seawall::policy::network::Source;
use seawall::policy::stored::{StoredNetworks, StoredPassword, StoredScopeMap, StoredToken};
use seawall::policy::{Caller, Granted, Operation, authorize};
use seawall::provider::PolicyProvider;
use seawall::secret::{HashKey, Secret};
use seawall::store::{
    self, Change, Changes, Expected, Kind, Object, ObjectKey, Position, Revision, Settings, Store, StoreUrl, Write,
};

use self::published::published;

const TOKENS: u64 = 50_000;
const SCOPE_MAPS: u64 = 50_000;
const LARGEST: usize = 500;
/// Single changes of each kind.
const CHANGES: u64 = 2_000;
/// How long the reader runs while nothing changes.
const QUIET: Duration = Duration::from_secs(3);

const FILE: &str = "myregistry:
  loginServer: registry.example.com
  upstream: { url: http://127.0.0.1:5000 }
";

fn main() {
    let house = House::new();
    let before = resident();
    let clock = SystemClock;

    let everything = house.everything();
    // The records themselves are the store's; what is measured as memory is what stays when they are gone.
    let begun = clock.ticks();
    house.provider.apply(&everything);
    let first = clock.ticks().saturating_sub(begun);
    let records = resident();
    drop(everything);
    println!("{TOKENS} tokens with 2 passwords, {SCOPE_MAPS} scope maps, the largest with {LARGEST} rules\n");
    line("first build", &[("time", first)]);
    println!(
        "  {:<34} {} MiB, of which {} MiB before and at most {} MiB while building",
        "resident memory",
        mebibytes(resident()),
        mebibytes(before),
        mebibytes(records),
    );

    house.with_reader(|| std::thread::sleep(QUIET)).print("a decision, nothing changes");
    let mut revision = 1;
    for (name, kind) in CHANGED {
        let mut times = Rounds::new();
        let rounds = house.with_reader(|| {
            for number in 0..CHANGES {
                revision += 1;
                let changes = house.one(kind, number, revision);
                let begun = clock.ticks();
                house.provider.apply(&changes);
                times.note(clock.ticks().saturating_sub(begun));
            }
        });
        times.print(name);
        rounds.print("  a decision meanwhile");
    }
    println!("  {:<34} {} MiB", "resident memory after the changes", mebibytes(resident()));
    line("all of it read from SQLite", &[("time", read_from_sqlite(&house.everything().changes, clock))]);
}

/// What a start adds to the first build: reading everything from the store.
fn read_from_sqlite(everything: &[Change], clock: SystemClock) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::at(StoreUrl::Sqlite(folder.path().join("seawall.db")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = store::open(&settings).await.unwrap();
        let write = |change: &Change| Write {
            key: change.key.clone(),
            object: change.object.clone(),
            expected: Expected::Absent,
        };
        for batch in everything.chunks(1000) {
            store.write(&batch.iter().map(write).collect::<Vec<_>>(), Timestamp::UNIX_EPOCH).await.unwrap();
        }
        let begun = clock.ticks();
        let read = store.changes(None).await.unwrap();
        assert_eq!(read.changes.len(), everything.len());
        clock.ticks().saturating_sub(begun)
    })
}

const CHANGED: [(&str, What); 4] = [
    ("one change: a token's status", What::Status),
    ("one change: a scope map", What::ScopeMap),
    ("one change: 500 rules", What::Largest),
    ("one change: a token is deleted", What::Delete),
];

#[derive(Clone, Copy)]
enum What {
    Status,
    ScopeMap,
    Largest,
    Delete,
}

struct House {
    current: Arc<Current>,
    provider: PolicyProvider,
    hash_key: HashKey,
}

impl House {
    fn new() -> Self {
        let hash_key = HashKey::from_bytes([7; 32]);
        let (provider, current) = published(FILE, &hash_key);
        Self { current, provider, hash_key }
    }

    fn everything(&self) -> Changes {
        let maps = (0..SCOPE_MAPS).map(|number| scope_map(number, if number == 0 { LARGEST } else { 2 }));
        let tokens = (0..TOKENS).map(|number| self.token(number, TokenStatus::Enabled));
        changes(1, true, maps.chain(tokens).collect())
    }

    fn one(&self, kind: What, number: u64, revision: u64) -> Changes {
        let change = match kind {
            What::Status => self.token(number, TokenStatus::Disabled),
            What::ScopeMap => scope_map(number + 1, 3),
            What::Largest => scope_map(0, LARGEST),
            What::Delete => Change { object: None, ..self.token(number, TokenStatus::Enabled) },
        };
        changes(revision, false, vec![change])
    }

    fn token(&self, number: u64, status: TokenStatus) -> Change {
        let name = token_name(number);
        let password = |which: &str| StoredPassword {
            name: which.to_owned(),
            id: CredentialId::derive(&self.hash_key, which, &[name.as_bytes()]),
            hash: Verifier::of_secret(&self.hash_key, &Secret::new(format!("{name} {which}"))).hash_text(),
            creation_time: Timestamp::UNIX_EPOCH,
            expiry: None,
            sealed: None,
            replaced: None,
        };
        let token = StoredToken {
            id: self.id(number),
            scope_map: map_name(number),
            additional_scope_maps: Vec::new(),
            status,
            passwords: vec![password("password1"), password("password2")],
            networks: StoredNetworks::default(),
            creation_date: Timestamp::UNIX_EPOCH,
        };
        change(Kind::Token, name, Object::Token(token))
    }

    fn id(&self, number: u64) -> PrincipalId {
        PrincipalId::derive(&self.hash_key, "bench", &[&number.to_be_bytes()])
    }

    /// Runs `work` while another thread decides in a loop: how long each round of that took.
    fn with_reader(&self, work: impl FnOnce()) -> Rounds {
        let (over, mut rounds) = (AtomicBool::new(false), Rounds::new());
        std::thread::scope(|scope| {
            scope.spawn(|| self.decide_until(&over, &mut rounds));
            work();
            over.store(true, Ordering::Relaxed);
        });
        rounds
    }

    fn decide_until(&self, over: &AtomicBool, rounds: &mut Rounds) {
        let request = parse("GET", "/v2/team/app/manifests/v1").unwrap();
        let Endpoint::Registry(route) = request.endpoint else { return };
        let operation = Operation::of(request.method, &route);
        // Of tokens that no change deletes.
        let ids: Vec<_> = (CHANGES..TOKENS).step_by(97).map(|number| self.id(number)).collect();
        let mut last = SystemClock.ticks();
        for id in ids.iter().cycle() {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let policy = self.current.load().unwrap();
            let registry = policy.registry_for_host("registry.example.com").unwrap();
            let admitted = registry.network.admit(Source::public(IpAddr::from([192, 0, 2, 1]))).unwrap();
            let principal = registry.principal(*id).unwrap();
            let credential = principal.passwords().first().map(|password| password.id);
            let caller = Caller { principal, credential, granted: Granted::Everything };
            authorize(registry, &caller, &operation, &admitted, Timestamp::UNIX_EPOCH).unwrap();
            drop(policy);
            let now = SystemClock.ticks();
            rounds.note(now.saturating_sub(last));
            last = now;
        }
    }
}

fn token_name(number: u64) -> String {
    format!("token-{number:05}")
}

fn map_name(number: u64) -> String {
    format!("scope-map-{number:05}")
}

fn scope_map(number: u64, rules: usize) -> Change {
    let rule = |rule| match rule {
        0 => "repositories/team/*/content/read".to_owned(),
        _ => format!("repositories/team-{number}/project-{rule}/content/write"),
    };
    let actions = (0..rules).map(rule).collect();
    let map = StoredScopeMap {
        description: String::new(),
        actions,
        networks: StoredNetworks::default(),
        creation_date: Timestamp::UNIX_EPOCH,
    };
    change(Kind::ScopeMap, map_name(number), Object::ScopeMap(map))
}

fn change(kind: Kind, name: String, object: Object) -> Change {
    let key = ObjectKey { registry: "myregistry".to_owned(), kind, name };
    Change { key, object: Some(object), revision: Revision(1), written_at: Timestamp::UNIX_EPOCH }
}

fn changes(revision: u64, everything: bool, changes: Vec<Change>) -> Changes {
    let position = Position { generation: "bench".to_owned(), revision: Revision(revision), connection: 0 };
    Changes { position, everything, changes, unreadable: Vec::new() }
}

/// Durations, counted in steps of 100 ns: a list of them would grow, and its growing would be the longest pause.
struct Rounds {
    counts: Vec<u64>,
    total: u64,
    worst: Duration,
}

impl Rounds {
    const STEP: u64 = 100;

    fn new() -> Self {
        Self { counts: vec![0; 100_000], total: 0, worst: Duration::ZERO }
    }

    fn note(&mut self, round: Duration) {
        let step = u64::try_from(round.as_nanos()).unwrap() / Self::STEP;
        let last = self.counts.len() - 1;
        self.counts[usize::try_from(step).unwrap().min(last)] += 1;
        self.total += 1;
        self.worst = self.worst.max(round);
    }

    /// At most this many of a million take longer.
    fn all_but(&self, of_a_million: u64) -> Duration {
        let mut longer = self.total;
        for (step, count) in (1..).zip(&self.counts) {
            longer -= count;
            if longer * 1_000_000 <= self.total * of_a_million {
                return Duration::from_nanos(step * Self::STEP);
            }
        }
        self.worst
    }

    fn print(&self, name: &str) {
        let shares = [("median", 500_000), ("p99", 10_000), ("p99.99", 100)];
        let mut values: Vec<_> = shares.iter().map(|(name, share)| (*name, self.all_but(*share))).collect();
        values.push(("worst", self.worst));
        line(name, &values);
    }
}

fn line(name: &str, values: &[(&str, Duration)]) {
    let values: Vec<_> = values.iter().map(|(name, value)| format!("{name} {value:.1?}")).collect();
    println!("  {name:<34} {}", values.join(", "));
}

fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

/// This process' resident memory, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
}
