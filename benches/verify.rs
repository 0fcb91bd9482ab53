//! How long it takes to find out who the caller is: by an access token that was seen before and by one that was not, by
//! a password that was checked before and by one that needs no hashing.

#![expect(clippy::unwrap_used, reason = "a measurement may stop")]

#[path = "support/published.rs"]
mod published;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use divan::{Bencher, black_box};
use seawall::auth::keys::{KeyMaterial, Keyring, SigningAlgorithm};
use seawall::auth::{Authenticator, SignIn};
use seawall::clock::{Clock, SystemClock, Timestamp};
use seawall::oci::Scope;
use seawall::policy::Registry;
use seawall::policy::credential::Verifier;
use seawall::secret::{HashKey, Secret};
use seawall::telemetry::metrics::Metrics;
use tokio::runtime::{Builder, Runtime};

use self::published::published;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PASSWORD: &str = "0123456789abcdef0123456789abcdef";

fn main() {
    divan::main();
}

struct Desk {
    authenticator: Authenticator,
    registry: Arc<Registry>,
    now: Timestamp,
    runtime: Runtime,
}

impl Desk {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let (now, hash_key) = (SystemClock.now(), HashKey::from_bytes([7; 32]));
        let slow = bcrypt::hash(PASSWORD, 5).unwrap();
        let quick = Verifier::of_secret(&hash_key, &Secret::new(PASSWORD)).hash_text();
        let file = format!(
            "myregistry:
  loginServer: registry.example.com
  upstream: {{ url: http://127.0.0.1:5000 }}
  scopeMaps: {{ samples: {{ repositories: {{ \"samples/*\": [content/read] }} }} }}
  tokens:
    slow: {{ scopeMap: samples, passwords: [{{ name: password1, hash: {slow} }}] }}
    quick: {{ scopeMap: samples, passwords: [{{ name: password1, hash: \"{quick}\" }}] }}
"
        );
        let (_, current) = published(file, &hash_key);
        let registry = Arc::clone(current.load().unwrap().registry_named("myregistry").unwrap());
        let keys = Keyring::new(&[KeyMaterial::generate(algorithm, now).unwrap()], hash_key).unwrap();
        let authenticator = Authenticator::new(Arc::new(keys), "seawall", Arc::new(Metrics::new().unwrap()));
        Self { authenticator, registry, now, runtime: Builder::new_multi_thread().worker_threads(1).build().unwrap() }
    }

    fn log_in(&self, user: &str) -> SignIn {
        let password = Secret::new(PASSWORD);
        let log_in = self.authenticator.by_password(&self.registry, user, &password, self.now, &mut None);
        self.runtime.block_on(log_in).unwrap()
    }

    fn access_token(&self, sign_in: &SignIn) -> Secret {
        let granted = [Scope::new("repository", "samples/team-a/frontend", ["pull"])];
        let issue = self.authenticator.issue(&self.registry, sign_in, &granted, self.now);
        self.runtime.block_on(issue).unwrap().token
    }

    fn verify(&self, token: &Secret) -> SignIn {
        self.authenticator.by_access_token(&self.registry, black_box(token), self.now, 0).unwrap()
    }
}

fn access_token_seen_before(bencher: Bencher, algorithm: SigningAlgorithm) {
    let desk = Desk::new(algorithm);
    let token = desk.access_token(&desk.log_in("quick"));
    desk.verify(&token);
    bencher.bench_local(|| desk.verify(&token));
}

fn new_access_token(bencher: Bencher, algorithm: SigningAlgorithm) {
    let desk = Desk::new(algorithm);
    let sign_in = desk.log_in("quick");
    bencher.with_inputs(|| desk.access_token(&sign_in)).bench_local_refs(|token| desk.verify(token));
}

#[divan::bench]
fn access_token_seen_before_es256(bencher: Bencher) {
    access_token_seen_before(bencher, SigningAlgorithm::Es256);
}

#[divan::bench(sample_count = 50, sample_size = 20)]
fn new_access_token_es256(bencher: Bencher) {
    new_access_token(bencher, SigningAlgorithm::Es256);
}

#[divan::bench(sample_count = 20, sample_size = 10)]
fn new_access_token_rs256(bencher: Bencher) {
    new_access_token(bencher, SigningAlgorithm::Rs256);
}

/// Nothing is waited for: one look at the future ends it.
fn password(bencher: Bencher, user: &str) {
    let desk = Desk::new(SigningAlgorithm::Es256);
    desk.log_in(user);
    let presented = Secret::new(PASSWORD);
    bencher.bench_local(|| {
        let mut recognised = None;
        let authenticator = &desk.authenticator;
        let log_in = authenticator.by_password(&desk.registry, user, black_box(&presented), desk.now, &mut recognised);
        match pin!(log_in).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(sign_in)) => sign_in,
            Poll::Ready(Err(_)) | Poll::Pending => unreachable!("the password is right, and was checked before"),
        }
    });
}

#[divan::bench]
fn password_hashed_before(bencher: Bencher) {
    password(bencher, "slow");
}

#[divan::bench]
fn password_without_hashing(bencher: Bencher) {
    password(bencher, "quick");
}
