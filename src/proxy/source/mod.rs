//! Who is calling: the source address, from the socket, a forwarded header or a PROXY protocol header.
//!
//! Pure parsing, apart from the listeners that read the bytes, because every byte here is chosen by a stranger: what a
//! header says counts only when a trusted proxy vouches for it (threat classes L and N).

mod forwarded;
mod proxy_protocol;

pub use forwarded::{ForwardedHeader, source_address};
pub use proxy_protocol::{Header, Progress, ProxyHeaderError, Tlv, parse, progress};

use std::net::IpAddr;

use ipnet::IpNet;

use crate::policy::network::{NetworkTable, SourceAddress, parse_network};
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};

/// The networks whose word about the source we believe. Empty: nobody's.
#[derive(Debug, Clone)]
pub struct TrustedProxies(NetworkTable<()>);

impl TrustedProxies {
    /// Reads addresses and CIDR ranges as written in the file; `None` when any of them is a problem.
    pub fn compile(written: &[At<String>], problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        let mut networks = Vec::new();
        for text in written {
            match parse_network(text) {
                Ok(network) => networks.push(network),
                Err(invalid) => problems.push(Problem::new(&text.origin, invalid.to_string()).hint(invalid.hint())),
            }
        }
        (problems.len() == before).then(|| networks.into_iter().collect())
    }

    /// Whether `address` (IPv4-mapped or not) is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.longest_match(SourceAddress::new(address)).is_some()
    }
}

impl Default for TrustedProxies {
    fn default() -> Self {
        Self::from_iter([])
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
    use crate::policy::origin::Origin;

    fn compile(written: &[&str]) -> (Option<TrustedProxies>, usize) {
        let mut problems = Problems::new();
        let written: Vec<_> =
            written.iter().map(|text| At::new((*text).to_owned(), Origin::new("seawall.yaml", 7, 1))).collect();
        (TrustedProxies::compile(&written, &mut problems), problems.len())
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        assert!(!TrustedProxies::default().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn contains_both_spellings_of_an_ipv4_address() {
        for written in ["10.0.0.0/8", "::ffff:10.0.0.0/104"] {
            let trusted = compile(&[written, "2001:db8::1"]).0.unwrap();
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

    #[test]
    fn one_bad_network_leaves_no_set_at_all() {
        let (trusted, problems) = compile(&["10.0.0.0/8", "10.0.0.1/8", "proxy.example.com"]);
        assert!(trusted.is_none());
        assert_eq!(problems, 2);
    }
}
