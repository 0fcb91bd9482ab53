//! A seawall behind balancers of three clouds, with listeners of its own that are private.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use crate::harness::http::{Connection, Response};
use crate::harness::nearby::{listener, registry, with_listeners, worker};
use crate::harness::ports;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::sources::{connect, message, record_of};
use crate::harness::tls::{Authority, listener_tls};

pub(super) const HOST: &str = "registry.test";

/// TLVs of the balancers of the clouds.
pub(super) fn aws(id: &str) -> Vec<u8> {
    tlv(0xEA, &[&[1], id.as_bytes()].concat())
}

pub(super) fn azure(id: u32) -> Vec<u8> {
    tlv(0xEE, &[&[1][..], &id.to_le_bytes()].concat())
}

pub(super) fn google(id: u64) -> Vec<u8> {
    tlv(0xE0, &id.to_be_bytes())
}

pub(super) fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], length.as_slice(), value].concat()
}

/// A header of version 2 that passes on a connection from `source`, with these TLVs behind the addresses.
pub(super) fn version_2(source: &str, tlvs: &[Vec<u8>]) -> Vec<u8> {
    let IpAddr::V4(source) = source.parse().unwrap() else { panic!("an IPv4 address") };
    let addresses = [&source.octets()[..], &[192, 0, 2, 1, 0x30, 0x39, 0x01, 0xbb]].concat();
    let rest = [addresses, tlvs.concat()].concat();
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11".as_slice(), &length, &rest].concat()
}

/// Listeners: `public`, one for each cloud, `vnet`, `deaf` (which believes no mark), all of them public; `lab`, `rack` and
/// `private-azure` (which is TLS), all of them private. 127.0.0.1 is the balancer.
pub(super) struct World {
    pub(super) seawall: Seawall,
    upstream: Registry,
    pub(super) authority: Authority,
    listeners: Vec<(&'static str, SocketAddr)>,
    /// What stands between the brackets of `listeners`.
    written: String,
}

impl World {
    /// With these lines of the registry, each `key: value`.
    pub(super) fn start(rules: &[&str]) -> Self {
        Self::at(Place::new(), rules)
    }

    /// The same at a place that says where its store is.
    pub(super) fn at(place: Place, rules: &[&str]) -> Self {
        let upstream = Registry::start(Distribution::V2);
        let authority = Authority::new();
        let files = authority.issue(place.path(), "server", &[HOST]);
        let balanced = |kind: &str| {
            let believed = if kind.is_empty() { String::new() } else { format!(", privateEndpoint: {kind}") };
            format!("source: {{mode: proxyProtocol, trusted: [127.0.0.1]{believed}}}")
        };
        let names = [
            ("aws", balanced("aws")),
            ("azure", balanced("azure")),
            ("google", balanced("google")),
            ("deaf", balanced("")),
            ("vnet", String::new()),
            ("lab", "network: private".to_owned()),
            ("rack", "network: private".to_owned()),
            ("private-azure", format!("network: private, {}, {}", balanced("azure"), listener_tls(&[&files]))),
        ];
        let mut listeners = vec![("public", place.public())];
        let mut written = vec![listener("public", place.public(), "")];
        for (name, more) in names {
            let address = ports::free();
            listeners.push((name, address));
            written.push(listener(name, address, &more));
        }
        let written = written.join(", ");
        let document = document(&place, &upstream, &written, rules);
        Self { seawall: place.start(&document), upstream, authority, listeners, written }
    }

    /// Puts other rules into force.
    pub(super) fn edit(&self, rules: &[&str]) {
        self.seawall.edit(&document(self.seawall.place(), &self.upstream, &self.written, rules));
    }

    pub(super) fn listener(&self, name: &str) -> SocketAddr {
        self.listeners.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// A log-in from `peer` on a listener, after these first bytes; `None` when the connection was closed without an answer.
    pub(super) fn log_in(&self, listener: &str, peer: &str, first: &[u8]) -> Option<Response> {
        let mut connection = Connection::over(connect(peer, self.listener(listener)));
        connection.send(&[first, &log_in()].concat());
        connection.answer("GET")
    }

    /// The status of the answer, and what the audit log calls the network.
    pub(super) fn named(&self, answer: &Response) -> (u16, String) {
        (answer.status, self.record(answer)["network"].as_str().unwrap_or("nothing").to_owned())
    }

    /// The same, with an endpoint that is Pending because it was seen as unknown as it was before, which is a matter of a second.
    pub(super) fn seen(&self, answer: &Response) -> (u16, String) {
        let rule = self.record(answer)["rule"].as_str().unwrap_or_default().to_owned();
        let mark = rule.strip_suffix(") at store").and_then(|rule| rule.split_once("(Pending, "));
        match mark {
            Some((_, mark)) => (answer.status, format!("unknown private endpoint ({mark})")),
            None => self.named(answer),
        }
    }

    pub(super) fn record(&self, answer: &Response) -> Value {
        record_of(&self.seawall, answer)
    }

    /// What the log of the process has said so far.
    pub(super) fn log(&mut self) -> String {
        self.seawall.process().log()
    }
}

pub(super) fn log_in() -> Vec<u8> {
    message("GET", "/v2/", &[("Host", HOST), ("Authorization", &worker().basic())], b"")
}

fn document(place: &Place, upstream: &Registry, listeners: &str, rules: &[&str]) -> String {
    let url = format!("url: \"{}\"", upstream.url());
    let document = place.document(&format!("registries:\n{}", registry(place, "myregistry", HOST, &url, rules)));
    with_listeners(&document, listeners)
}
