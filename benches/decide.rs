//! How long a whole decision takes: the network rules, then what the scope map gives. With 10, 1,000 and 100,000 network
//! rules and a scope map of 500, it may take 1 µs, and with 100,000 at most 100 ns more than with 10.
//!
//! As in `network`, every sample decides about many random requests, and each depends on the decision before it: the time
//! of a sample divided by [`REQUESTS`] is the latency of one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement may stop")]

#[path = "support/networks.rs"]
mod networks;
#[path = "support/published.rs"]
mod published;

use std::fmt::Write as _;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use seawall::clock::Timestamp;
use seawall::current::Current;
use seawall::oci::{Endpoint, Scope, parse};
use seawall::policy::network::{NetworkRules, Source, SourceAddress};
use seawall::policy::{AccessList, Caller, Granted, Operation, Principal, Registry, authorize};
use seawall::secret::HashKey;

use self::networks::{Family, Random, address, index, rules};
use self::published::published;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RULES: [usize; 3] = [10, 1_000, 100_000];
const REQUESTS: usize = 16_384;
/// Rules of the scope map, every tenth of them with a wildcard.
const SCOPE: usize = 500;
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

fn main() {
    divan::main();
}

fn pattern(rule: usize) -> String {
    if rule.is_multiple_of(10) { format!("team-{rule}/*") } else { format!("team-{rule}/app-{rule}") }
}

fn file() -> String {
    let mut file = "myregistry:
  loginServer: registry.example.com
  upstream: { url: http://127.0.0.1:5000 }
  scopeMaps:
    large:
      repositories:
"
    .to_owned();
    for rule in 0..SCOPE {
        writeln!(file, "        {}: [content/read, metadata/read]", pattern(rule)).unwrap();
    }
    writeln!(file, "  tokens: {{ ci: {{ scopeMap: large, passwords: [{{ name: password1, hash: {HASH} }}] }} }}")
        .unwrap();
    file
}

/// What a request brings that was parsed and whose access token was verified.
struct Request {
    source: SourceAddress,
    operation: Operation,
    access: Arc<AccessList>,
}

/// Who decides, and about what.
struct Desk {
    rules: NetworkRules,
    current: Arc<Current>,
    registry: Arc<Registry>,
    principal: Principal,
    requests: Vec<Request>,
}

#[derive(Clone, Copy)]
enum Outcome {
    Permit,
    /// The repository is in no rule, and the access token was not issued for it.
    Scope,
    Network,
}

impl Desk {
    fn new(count: usize, outcome: Outcome) -> Self {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let networks: Vec<_> = (0..count).map(|_| Family::V4.network(&mut random)).collect();
        let rules = rules(Family::V4, &networks);
        let (_, current) = published(file(), &HashKey::from_bytes([7; 32]));
        let registry = Arc::clone(current.load().unwrap().registry_named("myregistry").unwrap());
        let principal = registry.principal_named("ci").unwrap();
        let requests = (0..REQUESTS).map(|_| {
            let admitted = !matches!(outcome, Outcome::Network);
            let source = loop {
                let source = address(Family::V4, &networks, admitted, &mut random);
                if rules.admit(Source::public(source)).is_ok() == admitted {
                    break source;
                }
            };
            let rule = index(&mut random, SCOPE);
            let name = match outcome {
                Outcome::Permit | Outcome::Network => format!("team-{rule}/app-{rule}"),
                Outcome::Scope => format!("other-{rule}/app-{rule}"),
            };
            let parsed = parse("GET", &format!("/v2/{name}/manifests/v1")).unwrap();
            let Endpoint::Registry(route) = parsed.endpoint else { unreachable!("it is for a registry") };
            let access = AccessList::from_scopes(&[Scope::new("repository", &name, ["pull"])]);
            Request { source, operation: Operation::of(parsed.method, &route), access: Arc::new(access) }
        });
        let requests = requests.collect();
        Self { rules, registry, principal, requests, current }
    }

    fn caller(&self, request: &Request) -> Caller {
        let credential = self.principal.passwords().first().map(|password| password.id);
        Caller { principal: self.principal.clone(), credential, granted: Granted::Access(Arc::clone(&request.access)) }
    }

    /// Step 6 and step 8: the network rules, then the rights.
    fn decide(&self, request: &Request, caller: &Caller) -> bool {
        let Ok(admitted) = self.rules.admit(Source::public(request.source)) else { return false };
        authorize(&self.registry, caller, &request.operation, &admitted, Timestamp::UNIX_EPOCH).is_ok()
    }

    /// The same with what is looked up in the policy beforehand: the registry of the host, and who the caller is.
    fn look_up_and_decide(&self, request: &Request) -> bool {
        let policy = self.current.load().unwrap();
        let registry = policy.registry_for_host("registry.example.com").unwrap();
        let Ok(admitted) = self.rules.admit(Source::public(request.source)) else { return false };
        let principal = registry.principal(self.principal.id().unwrap()).unwrap();
        let caller = Caller { principal, ..self.caller(request) };
        authorize(registry, &caller, &request.operation, &admitted, Timestamp::UNIX_EPOCH).is_ok()
    }
}

fn measure(bencher: Bencher, count: usize, outcome: Outcome, decide: impl Fn(&Desk, &Request, &Caller) -> bool) {
    let desk = Desk::new(count, outcome);
    let callers: Vec<_> = desk.requests.iter().map(|request| desk.caller(request)).collect();
    let expected = matches!(outcome, Outcome::Permit);
    assert!(desk.requests.iter().zip(&callers).all(|(request, caller)| decide(&desk, request, caller) == expected));
    bencher.counter(ItemsCount::new(REQUESTS)).bench_local(|| {
        let mut permitted = false;
        for place in 0..REQUESTS {
            let place = place ^ usize::from(permitted);
            permitted = black_box(decide(&desk, &desk.requests[place], &callers[place]));
        }
        permitted
    });
}

#[divan::bench(args = RULES)]
fn permit(bencher: Bencher, count: usize) {
    measure(bencher, count, Outcome::Permit, Desk::decide);
}

#[divan::bench(args = RULES)]
fn denied_by_scope(bencher: Bencher, count: usize) {
    measure(bencher, count, Outcome::Scope, Desk::decide);
}

#[divan::bench(args = RULES)]
fn denied_by_network(bencher: Bencher, count: usize) {
    measure(bencher, count, Outcome::Network, Desk::decide);
}

#[divan::bench(args = RULES)]
fn permit_with_look_ups(bencher: Bencher, count: usize) {
    measure(bencher, count, Outcome::Permit, |desk, request, _| desk.look_up_and_decide(request));
}
