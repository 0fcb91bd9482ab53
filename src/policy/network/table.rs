//! Networks with something attached, found by the longest prefix that holds an address.
//!
//! Used for network rules and for trusted proxies. Networks nest or are apart, so that they cut the addresses of a
//! family into ranges that each have one innermost network. The ranges are worked out once; finding is then one
//! search, which no choice of rules can make slow: depth and overlap of the networks do not matter.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::SourceAddress;
use super::steps::Steps;

/// An immutable map from networks to values.
#[derive(Debug, Clone)]
pub struct NetworkTable<T> {
    v4: Steps<T>,
    v6: Steps<T>,
}

impl<T: Copy> NetworkTable<T> {
    /// A table of these networks.
    pub fn new(networks: &BTreeMap<IpNet, T>) -> Self {
        let family = |v4: bool| networks.iter().filter(move |(network, _)| network.addr().is_ipv4() == v4);
        Self { v4: ranges(family(true)), v6: ranges(family(false)) }
    }

    /// The value of the longest prefix that holds `address`.
    pub fn longest_match(&self, address: SourceAddress) -> Option<T> {
        let family = if address.ip().is_ipv4() { &self.v4 } else { &self.v6 };
        family.at(left_aligned(address.ip()))
    }

    /// The number of ranges that the networks cut the addresses into: at most two for each, and one.
    #[cfg(test)]
    pub(super) fn ranges(&self) -> (usize, usize) {
        (self.v4.len(), self.v6.len())
    }
}

/// The address as 128 bits that begin with its own, so that one kind of range serves both families.
fn left_aligned(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => address.into(),
    }
}

/// The first and the last left-aligned address of `network`.
fn span(network: IpNet) -> (u128, u128) {
    let first = left_aligned(network.network());
    (first, first | u128::MAX.checked_shr(network.prefix_len().into()).unwrap_or(0))
}

/// The ranges of one family's networks.
fn ranges<'a, T: Copy + 'a>(networks: impl Iterator<Item = (&'a IpNet, &'a T)>) -> Steps<T> {
    let mut spans: Vec<_> = networks.map(|(network, value)| (span(*network), *value)).collect();
    // An outer network before the inner ones that begin where it begins.
    spans.sort_unstable_by_key(|((first, last), _)| (*first, u128::MAX - last));
    let mut steps = BTreeMap::from([(0, None)]);
    // The networks around the current place, innermost last.
    let mut open: Vec<(u128, T)> = Vec::new();
    for ((first, last), value) in spans {
        close_before(Some(first), &mut open, &mut steps);
        steps.insert(first, Some(value));
        open.push((last, value));
    }
    close_before(None, &mut open, &mut steps);
    Steps::new(steps)
}

/// Ends the networks that end before `place` (all, without a place): behind each, the next outer one holds again.
fn close_before<T: Copy>(place: Option<u128>, open: &mut Vec<(u128, T)>, steps: &mut BTreeMap<u128, Option<T>>) {
    while let Some((last, _)) = open.pop_if(|(last, _)| place.is_none_or(|place| *last < place)) {
        if let Some(behind) = last.checked_add(1) {
            steps.insert(behind, open.last().map(|(_, outer)| *outer));
        }
    }
}
