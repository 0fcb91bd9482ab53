//! Who is calling: the source address, from the socket, a forwarded header or a PROXY protocol header, and the private
//! endpoint that such a header names.
//!
//! Pure parsing, apart from the listeners that read the bytes, because every byte here is chosen by a stranger: what a
//! header says counts only when a trusted proxy vouches for it (threat classes L and N).

mod endpoint;
mod forwarded;
mod proxy_protocol;

pub use endpoint::{EndpointKind, UnclearEndpoint};
pub use forwarded::{ForwardedHeader, source_address};
pub use proxy_protocol::{Header, Progress, ProxyHeaderError, Tlv, parse, progress};

use std::net::IpAddr;

use ipnet::IpNet;

use crate::policy::network::{NetworkTable, SourceAddress};

/// The networks whose word about the source we believe. Empty: nobody's.
#[derive(Debug, Clone)]
pub struct TrustedProxies(NetworkTable<()>);

impl TrustedProxies {
    /// Whether `address` (IPv4-mapped or not) is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.longest_match(SourceAddress::new(address)).is_some()
    }
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(NetworkTable::new(&networks.into_iter().map(|network| (network, ())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::network::parse_network;

    fn trusted(written: &[&str]) -> TrustedProxies {
        written.iter().map(|text| parse_network(text).unwrap()).collect()
    }

    #[test]
    fn an_empty_set_trusts_nobody() {
        assert!(!trusted(&[]).contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn contains_both_spellings_of_an_ipv4_address() {
        for written in ["10.0.0.0/8", "::ffff:10.0.0.0/104"] {
            let trusted = trusted(&[written, "2001:db8::1"]);
            for (address, expected) in [
                ("10.1.1.1", true),
                ("::ffff:10.1.1.1", true),
                ("2001:db8::1", true),
                ("11.1.1.1", false),
                ("::", false),
            ] {
                assert_eq!(trusted.contains(address.parse().unwrap()), expected, "{written} {address}");
            }
        }
    }
}
