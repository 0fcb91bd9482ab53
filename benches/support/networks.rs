//! Network rules for measurements, and addresses that they match or do not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use seawall::policy::document::{IpRuleDocument, NetworkAction, PublicNetworkAccess};
use seawall::policy::network::{IpRules, NetworkRules, SourceAddress};
use seawall::policy::origin::{At, Origin};
use seawall::policy::problem::Problems;

/// xorshift64*: repeatable addresses without a dependency.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn bits(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// A rule's network as (address, prefix length): /16 to /32, or inside 2000::/3 /32 to /128, mostly /48 and /64.
    pub(crate) fn network(self, random: &mut Random) -> (u128, u32) {
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

    pub(crate) fn ip(self, bits: u128) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from(u32::try_from(bits).unwrap()).into(),
            Self::V6 => Ipv6Addr::from(bits).into(),
        }
    }

    pub(crate) fn host_bits(self, length: u32) -> u128 {
        u128::MAX.checked_shr(128 - self.width() + length).unwrap_or(0)
    }
}

fn global(bits: u128) -> u128 {
    bits >> 3 | 1 << 125
}

pub(crate) fn index(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.next() >> 33).unwrap() % length
}

pub(crate) fn rules(family: Family, networks: &[(u128, u32)]) -> NetworkRules {
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

/// An address in one of `networks`, or one of a network like them.
pub(crate) fn address(family: Family, networks: &[(u128, u32)], hit: bool, random: &mut Random) -> SourceAddress {
    let (bits, length) = if hit { networks[index(random, networks.len())] } else { family.network(random) };
    let host = family.host_bits(length);
    SourceAddress::new(family.ip(bits & !host | random.bits() & host))
}
