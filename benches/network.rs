//! How long a network decision takes with 10, 1,000 and 100,000 rules. 100,000 may cost at most 100 ns more than 10.
//!
//! Every sample decides about 65,536 random addresses, so that the rules are not all in the nearest cache, and each
//! address depends on the decision before it, so that the processor cannot overlap decisions: the time of a sample
//! divided by 65,536 is the latency of one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement may stop")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use seawall::policy::document::{IpRuleDocument, NetworkAction, PublicNetworkAccess};
use seawall::policy::network::{IpRules, NetworkRules, Source, SourceAddress};
use seawall::policy::origin::{At, Origin};
use seawall::policy::problem::Problems;

const RULES: [usize; 3] = [10, 1_000, 100_000];
const ADDRESSES: usize = 65_536;

fn main() {
    divan::main();
}

/// xorshift64*: repeatable addresses without a dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn bits(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

impl Family {
    /// A rule's network as (address, prefix length): /16 to /32, or inside 2000::/3 /32 to /128, mostly /48 and /64.
    fn network(self, random: &mut Random) -> (u128, u32) {
        match self {
            Self::V4 => (random.bits() >> 96, [16, 22, 24, 24, 24, 28, 32, 32][index(random, 8)]),
            Self::V6 => (global(random.bits()), [32, 40, 48, 48, 56, 64, 64, 128][index(random, 8)]),
        }
    }

    fn width(self) -> u32 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    fn ip(self, bits: u128) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from(u32::try_from(bits).unwrap()).into(),
            Self::V6 => Ipv6Addr::from(bits).into(),
        }
    }

    fn host_bits(self, length: u32) -> u128 {
        u128::MAX.checked_shr(128 - self.width() + length).unwrap_or(0)
    }
}

fn global(bits: u128) -> u128 {
    bits >> 3 | 1 << 125
}

fn index(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.next() >> 33).unwrap() % length
}

fn rules(family: Family, networks: &[(u128, u32)]) -> NetworkRules {
    let ip_rules = networks.iter().enumerate().map(|(line, (bits, length))| IpRuleDocument {
        value: At::new(
            format!("{}/{length}", family.ip(bits & !family.host_bits(*length))),
            Origin::new("bench", u32::try_from(line).unwrap(), 1),
        ),
        action: if line % 7 == 0 { NetworkAction::Deny } else { NetworkAction::Allow },
        name: None,
    });
    let compiled = IpRules::compile(&ip_rules.collect::<Vec<_>>(), &mut Problems::new()).unwrap();
    NetworkRules::new(PublicNetworkAccess::Enabled, NetworkAction::Deny, Some(Arc::new(compiled)))
}

fn decide(bencher: Bencher, family: Family, count: usize, hit: bool) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let networks: Vec<_> = (0..count).map(|_| family.network(&mut random)).collect();
    let rules = rules(family, &networks);
    let addresses: Vec<_> = (0..ADDRESSES)
        .map(|_| {
            let (bits, length) = if hit { networks[index(&mut random, count)] } else { family.network(&mut random) };
            let host = family.host_bits(length);
            SourceAddress::new(family.ip(bits & !host | random.bits() & host))
        })
        .collect();
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
