//! Who uses up what: rate limits of registries and identities, and failed logins of sources and principals.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use seawall::auth::Failure;
use seawall::auth::limits::{Claim, Logins, Rates};
use seawall::policy::limits::{Category, Exhausted, LoginLimits, LoginScope, RateScope};
use seawall::policy::network::SourceAddress;
use seawall::policy::{Denial, PolicySnapshot, Registry};
use seawall::telemetry::metrics::Metrics;

use crate::policy::{compiled, snapshot};

const LIMITED: &str = "
firstreg:
  loginServer: one.example.com
  upstream: { url: http://localhost:5000 }
  anonymousPullEnabled: true
  rateLimits: { registry: { read: 7, write: 2 }, identity: { read: 3, listReferrers: 2 } }
  tokens: { alice: { scopeMap: _repositories_pull }, bob: { scopeMap: _repositories_pull }, eve: { scopeMap: _repositories_pull } }
secondreg: { loginServer: two.example.com, upstream: { url: http://localhost:5001 }, rateLimits: { registry: { read: 7 } } }
";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new().unwrap())
}

struct Desk {
    rates: Rates,
    policy: PolicySnapshot,
}

impl Desk {
    fn new(document: &str) -> Self {
        Self { rates: Rates::new(metrics()), policy: snapshot(document) }
    }

    fn registry(&self, name: &str) -> &Registry {
        self.policy.registry_named(name).unwrap()
    }

    fn ask(&self, user: &str, categories: &[Category], now: u64) -> Result<(), Exhausted> {
        let registry = self.registry("firstreg");
        let principal = if user.is_empty() { registry.anonymous() } else { registry.principal_named(user).unwrap() };
        self.rates.spend(registry, &principal, categories, seconds(now))
    }

    fn read(&self, user: &str, now: u64) -> Result<(), Exhausted> {
        self.ask(user, &[Category::Read], now)
    }
}

#[track_caller]
fn assert_exhausted(result: Result<(), Exhausted>, scope: RateScope, category: Category, retry_after: u64) {
    let exhausted = result.unwrap_err();
    assert_eq!((exhausted.scope, exhausted.category, exhausted.retry_after), (scope, category, retry_after));
}

#[test]
fn an_identity_has_its_own_limit_and_all_share_the_registrys() {
    let desk = Desk::new(LIMITED);
    for _ in 0..3 {
        desk.read("alice", 10).unwrap();
    }
    // What is refused for the identity's limit takes nothing from the others.
    for now in 10..20 {
        assert_exhausted(desk.read("alice", now), RateScope::Identity, Category::Read, 70 - now);
    }
    for _ in 0..3 {
        desk.read("bob", 20).unwrap();
    }
    desk.read("eve", 20).unwrap();
    assert_exhausted(desk.read("eve", 30), RateScope::Registry, Category::Read, 40);
    // What is refused for the registry's limit is given back to the identity.
    desk.read("eve", 70).unwrap();
    desk.read("eve", 70).unwrap();
    assert_exhausted(desk.read("eve", 79), RateScope::Identity, Category::Read, 1);
    desk.read("alice", 70).unwrap();
}

/// Requirements B.9 and S1-48.
#[test]
fn whoever_is_anonymous_is_one_identity_and_so_is_the_admin_account_at_each_registry() {
    let desk = Desk::new(LIMITED);
    for user in ["", "firstreg"] {
        for _ in 0..3 {
            desk.read(user, 0).unwrap();
        }
        assert_exhausted(desk.read(user, 0), RateScope::Identity, Category::Read, 60);
    }
    let two = desk.registry("secondreg");
    desk.rates.spend(two, &two.anonymous(), &[Category::Read], seconds(0)).unwrap();
}

#[test]
fn categories_are_counted_apart_but_listing_referrers_counts_as_reading_too() {
    let desk = Desk::new(LIMITED);
    let referrers = [Category::ListReferrers, Category::Read];
    desk.ask("alice", &referrers, 0).unwrap();
    desk.ask("alice", &referrers, 0).unwrap();
    assert_exhausted(desk.ask("alice", &referrers, 0), RateScope::Identity, Category::ListReferrers, 60);
    desk.read("alice", 0).unwrap();
    assert_exhausted(desk.read("alice", 0), RateScope::Identity, Category::Read, 60);
    for _ in 0..2 {
        desk.ask("alice", &[Category::Write], 0).unwrap();
    }
    assert_exhausted(desk.ask("bob", &[Category::Write], 0), RateScope::Registry, Category::Write, 60);
    for _ in 0..100 {
        desk.ask("alice", &[Category::Delete], 0).unwrap();
        desk.ask("alice", &[Category::Login], 0).unwrap();
    }
}

#[test]
fn another_limit_holds_at_once_and_what_was_used_up_stays_so() {
    let mut desk = Desk::new(LIMITED);
    for _ in 0..3 {
        desk.read("alice", 0).unwrap();
    }
    desk.policy = snapshot(&LIMITED.replace("identity: { read: 3", "identity: { read: 4"));
    desk.read("alice", 1).unwrap();
    assert_exhausted(desk.read("alice", 1), RateScope::Identity, Category::Read, 59);
    desk.policy =
        snapshot(&LIMITED.replace(
            "  rateLimits: { registry: { read: 7, write: 2 }, identity: { read: 3, listReferrers: 2 } }\n",
            "",
        ));
    for _ in 0..100 {
        desk.read("alice", 1).unwrap();
    }
}

#[test]
fn many_threads_get_no_more_than_the_limit() {
    let document = LIMITED.replace("identity: { read: 3,", "identity: {").replace("read: 7", "read: 1000");
    let desk = Desk::new(&document);
    let count = || (0..1_000).filter(|_| desk.read("alice", 5).is_ok()).count();
    let passed: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 1_000);
}

#[test]
fn a_tier_is_short_for_its_limits_and_a_limit_of_zero_is_a_problem() {
    let document = |limits: &str| {
        format!(
            "firstreg: {{ loginServer: one.example.com, upstream: {{ url: http://localhost:5000 }}, rateLimits: {limits} }}\n"
        )
    };
    let policy = snapshot(&document("{ tier: Premium, registry: { delete: 5 } }"));
    let limits = policy.registry_named("firstreg").unwrap().rate_limits();
    let limit = |scope, category| limits.limit(scope, category);
    assert_eq!(limit(RateScope::Registry, Category::Delete), Some(5));
    assert_eq!(limit(RateScope::Identity, Category::ListReferrers), Some(1_000));
    assert_eq!(limit(RateScope::Registry, Category::Login), Some(20_000));
    for wrong in ["{ registry: { login: 0 } }", "{ identity: { read: 10000001 } }"] {
        let (policy, problems) = compiled(&document(wrong));
        assert!(policy.is_none() && problems.contains("must be from 1 to 10000000 requests a minute"), "{problems}");
    }
    let (_, problems) = compiled(&document("{ identity: { login: 5 } }"));
    assert!(problems.contains("login"), "{problems}");
}

struct Door(Logins);

impl Door {
    fn new(limits: LoginLimits) -> Self {
        Self(Logins::new(limits, metrics()))
    }

    /// Logs in; the password is right or not.
    async fn try_as(&self, user: Option<&str>, source: &str, right: bool, now: u64) -> Result<(), Failure> {
        let source = SourceAddress::new(source.parse().unwrap());
        let claim = Claim { source, registry: Some("one"), user, now: seconds(now) };
        let result = if right { Ok(()) } else { Err(Denial::CredentialInvalid.into()) };
        self.0.guard(claim, async { result }).await
    }
}

#[track_caller]
fn assert_locked(result: &Result<(), Failure>, scope: LoginScope, retry_after: u64) {
    let Err(Failure::Locked(locked)) = result else { panic!("{result:?}") };
    assert_eq!((locked.scope, locked.retry_after), (scope, retry_after));
}

const STRANGER: &str = "203.0.113.66";
const OFFICE: &str = "198.51.100.1";

#[tokio::test]
async fn guessing_ends_after_ten_and_the_right_password_is_not_told_then() {
    let door = Door::new(LoginLimits::DEFAULT);
    for _ in 0..10 {
        let denied = door.try_as(Some("alice"), STRANGER, false, 100).await;
        assert_eq!(denied, Err(Failure::Denied(Denial::CredentialInvalid)));
    }
    for now in 100..400 {
        assert_locked(
            &door.try_as(Some("alice"), STRANGER, true, now).await,
            LoginScope::PrincipalFromSource,
            400 - now,
        );
    }
    door.try_as(Some("alice"), OFFICE, true, 101).await.unwrap();
    door.try_as(Some("bob"), STRANGER, true, 101).await.unwrap();
    door.try_as(Some("alice"), STRANGER, true, 400).await.unwrap();
}

#[tokio::test]
async fn a_source_is_locked_after_thirty_whoever_it_claims_to_be_but_not_for_whom_it_has_let_in() {
    let door = Door::new(LoginLimits::DEFAULT);
    door.try_as(Some("regular"), OFFICE, true, 0).await.unwrap();
    for guess in 0..30 {
        let user = format!("user-{guess}");
        door.try_as(Some(&user), OFFICE, false, 1).await.unwrap_err();
    }
    assert_locked(&door.try_as(Some("visitor"), OFFICE, true, 1).await, LoginScope::Source, 300);
    assert_locked(&door.try_as(None, OFFICE, true, 1).await, LoginScope::Source, 300);
    door.try_as(Some("regular"), OFFICE, true, 1).await.unwrap();
    // Neither may he guess.
    for _ in 0..10 {
        assert_eq!(
            door.try_as(Some("regular"), OFFICE, false, 2).await,
            Err(Failure::Denied(Denial::CredentialInvalid))
        );
    }
    assert_locked(&door.try_as(Some("regular"), OFFICE, true, 2).await, LoginScope::PrincipalFromSource, 300);
}

#[tokio::test]
async fn successes_are_never_counted() {
    let door = Door::new(LoginLimits::DEFAULT);
    for _ in 0..10_000 {
        door.try_as(Some("ci"), OFFICE, true, 5).await.unwrap();
        door.try_as(None, OFFICE, true, 5).await.unwrap();
    }
}

/// Many sources lock a user out where nobody has seen him, for a while, and nowhere else.
#[tokio::test]
async fn strangers_from_everywhere_do_not_lock_out_whom_we_know() {
    let door = Door::new(LoginLimits::DEFAULT);
    door.try_as(Some("alice"), OFFICE, true, 0).await.unwrap();
    for source in 0..1_000 {
        let source = format!("10.0.{}.{}", source / 250, source % 250);
        door.try_as(Some("alice"), &source, false, 10).await.unwrap_err();
    }
    assert_locked(&door.try_as(Some("alice"), "192.0.2.1", true, 10).await, LoginScope::Principal, 300);
    door.try_as(Some("alice"), OFFICE, true, 10).await.unwrap();
    door.try_as(Some("bob"), "192.0.2.1", true, 10).await.unwrap();
}

#[tokio::test]
async fn one_64_is_one_source() {
    let door = Door::new(LoginLimits::DEFAULT);
    for host in 0..30 {
        let (user, source) = (format!("user-{host}"), format!("2001:db8:0:1::{host:x}"));
        door.try_as(Some(&user), &source, false, 0).await.unwrap_err();
    }
    assert_locked(&door.try_as(Some("alice"), "2001:db8:0:1:ffff::1", true, 0).await, LoginScope::Source, 300);
    door.try_as(Some("alice"), "2001:db8:0:2::1", true, 0).await.unwrap();
}

/// A token that has ended was no guess, an outage and work that piles up are nobody's fault.
#[tokio::test]
async fn only_what_may_be_a_guess_counts() {
    let door = Door::new(LoginLimits { per_source: 1, ..LoginLimits::DEFAULT });
    let claim =
        Claim { source: SourceAddress::new(OFFICE.parse().unwrap()), registry: None, user: None, now: seconds(1) };
    for failure in [
        Failure::Busy,
        Failure::Unavailable("gone".to_owned()),
        Denial::AccessTokenExpired.into(),
        Denial::IdentityTokenInvalid("expired").into(),
        Denial::CredentialRequired.into(),
    ] {
        let told = door.0.guard::<()>(claim, async { Err(failure.clone()) }).await;
        assert_eq!(told, Err(failure));
    }
    door.0.guard::<()>(claim, async { Err(Denial::RefreshTokenInvalid.into()) }).await.unwrap_err();
    assert!(matches!(door.0.guard(claim, async { Ok(()) }).await, Err(Failure::Locked(_))));
}

#[tokio::test]
async fn zero_is_without_limit() {
    let door = Door::new(LoginLimits::OFF);
    for _ in 0..5_000 {
        let denied = door.try_as(Some("alice"), STRANGER, false, 1).await;
        assert_eq!(denied, Err(Failure::Denied(Denial::CredentialInvalid)));
    }
}
