//! What limits cost a request: a decision without them, beside the same with limits off and with those of a tier, and what
//! guards a login. One run, so that the numbers can be divided by one another.

#![expect(clippy::unwrap_used, reason = "a measurement may stop")]

#[path = "support/published.rs"]
mod published;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use seawall::auth::limits::{Claim, Logins, Rates};
use seawall::clock::{Clock, SystemClock};
use seawall::oci::{Endpoint, parse};
use seawall::policy::limits::{Category, LoginLimits};
use seawall::policy::network::{Admitted, Source, SourceAddress};
use seawall::policy::{Caller, Operation, Registry, authorize};
use seawall::secret::HashKey;
use seawall::telemetry::metrics::Metrics;

use self::published::published;

const FILE: &str = "myregistry:
  loginServer: registry.example.com
  upstream: { url: http://127.0.0.1:5000 }
  rateLimits: RATES
  anonymousPullEnabled: true
";
/// So high that nothing is refused, in all that a read is counted in.
const HIGH: &str = "{ registry: { read: 10000000 }, identity: { read: 10000000 } }";

fn main() {
    divan::main();
}

struct Desk {
    registry: Arc<Registry>,
    caller: Caller,
    operation: Operation,
    admitted: Admitted,
    rates: Rates,
    clock: SystemClock,
}

impl Desk {
    fn new(rates: &str) -> Self {
        let text = FILE.replace("RATES", rates);
        let (_, current) = published(text, &HashKey::from_bytes([7; 32]));
        let registry = Arc::clone(current.load().unwrap().registry_named("myregistry").unwrap());
        let parsed = parse("GET", "/v2/samples/app/manifests/v1").unwrap();
        let Endpoint::Registry(route) = parsed.endpoint else { unreachable!("it is for a registry") };
        let desk = Self {
            caller: Caller::anonymous(&registry),
            operation: Operation::of(parsed.method, &route),
            admitted: registry.network.admit(Source::public(IpAddr::from([192, 0, 2, 1]))).unwrap(),
            registry,
            rates: Rates::new(Arc::new(Metrics::new().unwrap())),
            clock: SystemClock,
        };
        assert!(desk.decide_within_limits(), "what is refused costs less");
        desk
    }

    fn decide(&self) -> bool {
        let now = self.clock.now();
        authorize(black_box(&self.registry), black_box(&self.caller), &self.operation, &self.admitted, now).is_ok()
    }

    fn decide_within_limits(&self) -> bool {
        let ticks = self.clock.ticks();
        self.decide()
            && self.rates.spend(&self.registry, &self.caller.principal, black_box(&[Category::Read]), ticks).is_ok()
    }
}

#[divan::bench]
fn a_decision_as_it_was(bencher: Bencher<'_, '_>) {
    let desk = Desk::new("{}");
    bencher.bench_local(|| desk.decide());
}

#[divan::bench]
fn a_decision_with_limits_off(bencher: Bencher<'_, '_>) {
    let desk = Desk::new("{}");
    bencher.bench_local(|| desk.decide_within_limits());
}

#[divan::bench]
fn a_decision_with_limits(bencher: Bencher<'_, '_>) {
    let desk = Desk::new(HIGH);
    bencher.bench_local(|| desk.decide_within_limits());
}

/// What a login costs besides its work.
#[divan::bench]
fn a_login_that_is_let_through(bencher: Bencher<'_, '_>) {
    let logins = Logins::new(LoginLimits::DEFAULT, Arc::new(Metrics::new().unwrap()));
    let source = SourceAddress::new([203, 0, 113, 9].into());
    let claim = Claim { source, registry: Some("myregistry"), user: Some("alice"), now: Duration::from_secs(1) };
    bencher.bench_local(|| logins.check(black_box(claim)).is_ok());
}
