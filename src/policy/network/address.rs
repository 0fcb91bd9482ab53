//! Addresses and networks in the one form in which they are compared.
//!
//! An IPv4 address has two spellings on a dual-stack socket: itself and `::ffff:a.b.c.d`. A rule written in one and an
//! address seen in the other must still meet (threat class N), so both are brought to IPv4 when they are made. Other
//! embeddings (NAT64, 6to4, IPv4-compatible) are other machines' addresses and stay IPv6.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;
use thiserror::Error;

/// The bits of `::ffff:0:0/96`, in front of the IPv4 address in an IPv4-mapped one.
const MAPPED_PREFIX: u8 = 96;

/// Who we believe is calling: never IPv4-mapped, so that comparing and printing have one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SourceAddress(IpAddr);

impl SourceAddress {
    /// The canonical form of `address`.
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address, never IPv4-mapped.
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

impl From<IpAddr> for SourceAddress {
    fn from(address: IpAddr) -> Self {
        Self::new(address)
    }
}

impl fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidNetwork {
    #[error("not an IP address or CIDR range: `{0}`")]
    Syntax(String),
    #[error("a zone id belongs to one machine and cannot be matched: `{0}`")]
    Zone(String),
    #[error("not a prefix length of this address: `{0}`")]
    PrefixLength(String),
    /// Almost always a slip in the address or in the length, so it is not silently widened.
    #[error("the address has bits set outside its prefix: `{written}`")]
    HostBits { written: String, address: IpAddr, network: IpNet },
}

impl InvalidNetwork {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Syntax(_) => "write an IPv4 or IPv6 address or CIDR range, such as 203.0.113.0/24".to_owned(),
            Self::Zone(_) => "write the address without the part from the percent sign on".to_owned(),
            Self::PrefixLength(_) => "write 0 to 32 after an IPv4 address, 0 to 128 after an IPv6 address".to_owned(),
            Self::HostBits { address, network, .. } => {
                format!("write {network} for the whole network, or {address} for the one address")
            }
        }
    }
}

/// Reads an address (a network of one) or a CIDR range; IPv4-mapped networks come back as IPv4.
///
/// Stricter than the parsers it stands on: no zone ids, no signs or leading zeros in the length, no host bits.
pub fn parse_network(text: &str) -> Result<IpNet, InvalidNetwork> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    if address.contains('%') {
        return Err(InvalidNetwork::Zone(text.to_owned()));
    }
    let address: IpAddr = address.parse().map_err(|_| InvalidNetwork::Syntax(text.to_owned()))?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => full,
        Some(digits) => prefix_length(digits, full).ok_or_else(|| InvalidNetwork::PrefixLength(text.to_owned()))?,
    };
    let bad_length = |_| InvalidNetwork::PrefixLength(text.to_owned());
    let network = canonical(IpNet::new(address, length).map_err(bad_length)?);
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(InvalidNetwork::HostBits { written: text.to_owned(), address: network.addr(), network: network.trunc() })
    }
}

fn prefix_length(digits: &str, full: u8) -> Option<u8> {
    let plain = digits == "0" || digits.starts_with(|first: char| ('1'..='9').contains(&first));
    digits.parse().ok().filter(|length| plain && *length <= full)
}

/// The IPv4 network that an IPv4-mapped one means; any other network unchanged.
///
/// A shorter prefix that merely contains `::ffff:0:0/96` (`::/0`, say) stays IPv6 and matches no IPv4 address.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let Some(mapped) = v6.addr().to_ipv4_mapped() else { return network };
    let Some(length) = v6.prefix_len().checked_sub(MAPPED_PREFIX) else { return network };
    Ipv4Net::new(mapped, length).map_or(network, IpNet::V4)
}
