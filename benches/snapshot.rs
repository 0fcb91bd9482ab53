//! How long a file takes from its text to a policy in force: with 100, 1,000 and 10,000 tokens, as many scope maps, and as
//! many network rules. What single changes of the store cost beside 50,000 tokens is in `tokens`.

#![expect(clippy::unwrap_used, reason = "a measurement may stop")]

#[path = "support/published.rs"]
mod published;

use std::fmt::Write as _;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use seawall::policy::credential::Verifier;
use seawall::policy::problem::Problems;
use seawall::provider::yaml;
use seawall::secret::{HashKey, Secret};

use self::published::published;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKENS: [usize; 3] = [100, 1_000, 10_000];

fn main() {
    divan::main();
}

fn file(tokens: usize, hash_key: &HashKey) -> String {
    let (mut rules, mut maps, mut users) = (String::new(), String::new(), String::new());
    for number in 0..tokens {
        let (high, low) = (number / 256, number % 256);
        writeln!(rules, "      - {{ value: 10.{high}.{low}.0/24 }}").unwrap();
        writeln!(maps, "    map-{number}: {{ repositories: {{ team-{number}/*: [content/read] }} }}").unwrap();
        let hash = Verifier::of_secret(hash_key, &Secret::new(format!("password {number}"))).hash_text();
        let password = format!("{{ name: password1, hash: \"{hash}\" }}");
        writeln!(users, "    token-{number:05}: {{ scopeMap: map-{number}, passwords: [{password}] }}").unwrap();
    }
    let head = "myregistry:\n  loginServer: registry.example.com\n  upstream: { url: http://127.0.0.1:5000 }\n";
    format!(
        "{head}  networkRuleSet:\n    defaultAction: Deny\n    ipRules:\n{rules}  scopeMaps:\n{maps}  tokens:\n{users}"
    )
}

/// Reading the text alone.
#[divan::bench(args = TOKENS)]
fn read_yaml(bencher: Bencher, tokens: usize) {
    let file = file(tokens, &HashKey::from_bytes([7; 32]));
    let read = || yaml::parse("policy.yaml", black_box(&file), &mut Problems::new());
    bencher.counter(ItemsCount::new(tokens)).bench_local(read);
}

/// All of it: read, checked, compiled, put into force, the one before let go.
#[divan::bench(args = TOKENS)]
fn reload(bencher: Bencher, tokens: usize) {
    let hash_key = HashKey::from_bytes([7; 32]);
    let (provider, _current) = published(file(tokens, &hash_key), &hash_key);
    bencher.counter(ItemsCount::new(tokens)).bench_local(|| provider.reload().is_ok());
}
