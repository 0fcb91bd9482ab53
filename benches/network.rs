//! How long a network decision takes with 10, 1,000 and 100,000 rules. 100,000 may cost at most 100 ns more than 10.
//!
//! Every sample decides about 65,536 random addresses, so that the rules are not all in the nearest cache, and each
//! address depends on the decision before it, so that the processor cannot overlap decisions: the time of a sample
//! divided by 65,536 is the latency of one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement may stop")]

#[path = "support/networks.rs"]
mod networks;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use seawall::policy::network::Source;

use self::networks::{Family, Random, address, rules};

const RULES: [usize; 3] = [10, 1_000, 100_000];
const ADDRESSES: usize = 65_536;

fn main() {
    divan::main();
}

fn decide(bencher: Bencher, family: Family, count: usize, hit: bool) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let networks: Vec<_> = (0..count).map(|_| family.network(&mut random)).collect();
    let rules = rules(family, &networks);
    let addresses: Vec<_> = (0..ADDRESSES).map(|_| address(family, &networks, hit, &mut random)).collect();
    bencher.counter(ItemsCount::new(ADDRESSES)).bench_local(|| {
        let mut admitted = false;
        for place in 0..ADDRESSES {
            admitted = black_box(rules.admit(Source::public(addresses[place ^ usize::from(admitted)]))).is_ok();
        }
        admitted
    });
}

#[divan::bench(args = RULES)]
fn v4_hit(bencher: Bencher, count: usize) {
    decide(bencher, Family::V4, count, true);
}

#[divan::bench(args = RULES)]
fn v4_miss(bencher: Bencher, count: usize) {
    decide(bencher, Family::V4, count, false);
}

#[divan::bench(args = RULES)]
fn v6_hit(bencher: Bencher, count: usize) {
    decide(bencher, Family::V6, count, true);
}

#[divan::bench(args = RULES)]
fn v6_miss(bencher: Bencher, count: usize) {
    decide(bencher, Family::V6, count, false);
}
