//! What 50,000 tokens and 50,000 scope maps cost, the largest with 500 rules: the first build of the policy, one change,
//! memory, and how long a request that decides meanwhile may have to wait.
//!
//! Everything goes the way it goes in the server: changes as the store gives them, through the provider, into the policy
//! in force. A request is imitated by a thread that in a loop loads the policy, finds a principal by its id and decides.
//! Its pauses are compared with those of the same loop while nothing changes: what the machine itself does is in both.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement may stop, and prints what it measured")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall::clock::{Clock, SystemClock, Timestamp};
use seawall::current::Current;
use seawall::oci::{Endpoint, parse};
use seawall::policy::credential::{CredentialId, PrincipalId, Verifier};
use seawall::policy::document::{RegistryDocuments, TokenStatus};
use seawall::policy::problem::Problems;
use seawall::policy::stored::{StoredPassword, StoredScopeMap, StoredToken};
use seawall::policy::{Caller, Granted, Operation, authorize};
use seawall::provider::{Described, PolicyProvider, reader, yaml};
use seawall::secret::{HashKey, Secret};
use seawall::store::{Change, Changes, Kind, Object, ObjectKey, Position, Revision};

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

    let mut revision = 1;
    let mut quiet = Vec::new();
    house.with_reader(&mut quiet, || std::thread::sleep(QUIET));
    reader("reader, nothing changes", &quiet);
    for (name, kind) in [
        ("token status", What::Status),
        ("scope map", What::ScopeMap),
        ("scope map of 500 rules", What::Largest),
        ("token deleted", What::Delete),
    ] {
        let (mut pauses, mut times) = (Vec::new(), Vec::new());
        house.with_reader(&mut pauses, || {
            for number in 0..CHANGES {
                revision += 1;
                let changes = house.one(kind, number, revision);
                let begun = clock.ticks();
                house.provider.apply(&changes);
                times.push(clock.ticks().saturating_sub(begun));
            }
        });
        times.sort_unstable();
        line(
            &format!("one change: {name}"),
            &[("median", at(&times, 0.5)), ("p99", at(&times, 0.99)), ("worst", at(&times, 1.0))],
        );
        reader("  reader meanwhile", &pauses);
    }
    println!("  {:<34} {} MiB", "resident memory after the changes", mebibytes(resident()));
}

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
        let (current, hash_key) = (Arc::new(Current::new()), HashKey::from_bytes([7; 32]));
        let read = || {
            let mut problems = Problems::new();
            let tree = yaml::parse("policy.yaml", FILE, &mut problems).unwrap();
            let draft = reader::draft::<RegistryDocuments>(tree, &mut problems).unwrap();
            Ok(Described { registries: draft.whole().unwrap(), files: Vec::new() })
        };
        let clock = Arc::new(SystemClock);
        let provider = PolicyProvider::new(Box::new(read), hash_key.clone(), Arc::clone(&current), clock);
        provider.reload().unwrap();
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
            creation_date: Timestamp::UNIX_EPOCH,
        };
        change(Kind::Token, name, Object::Token(token))
    }

    fn id(&self, number: u64) -> PrincipalId {
        PrincipalId::derive(&self.hash_key, "bench", &[&number.to_be_bytes()])
    }

    /// Runs `work` while another thread decides in a loop; `rounds` gets how long each round of that took.
    fn with_reader(&self, rounds: &mut Vec<Duration>, work: impl FnOnce()) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.decide_until(&over, rounds));
            work();
            over.store(true, Ordering::Relaxed);
        });
    }

    fn decide_until(&self, over: &AtomicBool, rounds: &mut Vec<Duration>) {
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
            let principal = registry.principal(*id).unwrap();
            let credential = principal.passwords().first().map(|password| password.id);
            let caller = Caller { principal, credential, granted: Granted::Everything };
            authorize(registry, &caller, &operation, Timestamp::UNIX_EPOCH).unwrap();
            drop(policy);
            let now = SystemClock.ticks();
            rounds.push(now.saturating_sub(last));
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
    let map = StoredScopeMap { description: String::new(), actions, creation_date: Timestamp::UNIX_EPOCH };
    change(Kind::ScopeMap, map_name(number), Object::ScopeMap(map))
}

fn change(kind: Kind, name: String, object: Object) -> Change {
    let key = ObjectKey { registry: "myregistry".to_owned(), kind, name };
    Change { key, object: Some(object), revision: Revision(1), written_at: Timestamp::UNIX_EPOCH }
}

fn changes(revision: u64, everything: bool, changes: Vec<Change>) -> Changes {
    let position = Position { generation: "bench".to_owned(), revision: Revision(revision) };
    Changes { position, everything, changes }
}

fn reader(name: &str, rounds: &[Duration]) {
    let mut rounds = rounds.to_vec();
    rounds.sort_unstable();
    line(name, &[("median", at(&rounds, 0.5)), ("p99.99", at(&rounds, 0.9999)), ("worst pause", at(&rounds, 1.0))]);
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank among thousands"
)]
fn at(sorted: &[Duration], share: f64) -> Duration {
    let rank = ((sorted.len() as f64 - 1.0) * share) as usize;
    sorted.get(rank).copied().unwrap_or_default()
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
