//! The listeners of a document: unique names and addresses, certificates, and where the source address comes from.

use std::collections::HashMap;
use std::net::SocketAddr;

use ipnet::IpNet;

use super::document::{
    CertificateDocument, ClientCertificatesDocument, ListenerDocument, SourceDocument, SourceMode, TlsDocument,
};
use super::resolve::{address, named, path};
use super::settings::{CertificateFiles, ClientCertificates, Listener, Source, Tls};
use crate::policy::network::parse_network;
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};

/// Resolves all listeners. `others` are addresses that neither they nor each other may have, by the sections that hold
/// them.
pub(super) fn listeners(
    documents: &At<Vec<ListenerDocument>>,
    others: &[(&'static str, At<SocketAddr>)],
    problems: &mut Problems,
) -> Vec<Listener> {
    if documents.value.is_empty() {
        let problem = Problem::new(&documents.origin, "there is no listener");
        problems.push(problem.hint("such as { name: public, address: 0.0.0.0:8443 }"));
    }
    let mut taken = Taken::default();
    // Defaults first, so that the problem of one that is taken is where somebody wrote something.
    let (defaults, written): (Vec<_>, Vec<_>) = others.iter().partition(|(_, address)| address.origin.line == 0);
    for (section, address) in defaults.into_iter().chain(written) {
        taken.address(section, address.value, &address.origin, problems);
    }
    documents.iter().filter_map(|document| listener(document, &mut taken, problems)).collect()
}

/// The names and addresses of the listeners so far, and where they were written.
#[derive(Default)]
struct Taken {
    names: HashMap<String, Origin>,
    /// With the sections that hold them.
    addresses: HashMap<SocketAddr, (&'static str, Origin)>,
}

impl Taken {
    fn name(&mut self, name: &At<String>, problems: &mut Problems) {
        if let Some(first) = self.names.get(&name.value) {
            let problem = Problem::new(&name.origin, format!("two listeners are named {:?}", name.value));
            problems.push(problem.hint(format!("the other one is at {first}")));
        }
        self.names.entry(name.value.clone()).or_insert_with(|| name.origin.clone());
    }

    /// Port 0 is any free port, so it is never taken.
    fn address(&mut self, section: &'static str, address: SocketAddr, origin: &Origin, problems: &mut Problems) {
        let first = self.addresses.get(&address);
        if let Some((section, first)) = first.filter(|_| address.port() != 0) {
            let problem = Problem::new(origin, format!("address {address} is used twice"));
            problems.push(problem.hint(match first.line {
                0 => format!("it is the default of {section}.address"),
                _ => format!("the other use is at {first}"),
            }));
        }
        self.addresses.entry(address).or_insert_with(|| (section, origin.clone()));
    }
}

fn listener(document: &ListenerDocument, taken: &mut Taken, problems: &mut Problems) -> Option<Listener> {
    let name = named(&document.name, problems);
    taken.name(&document.name, problems);
    let address = address(&document.address, problems);
    if let Some(address) = address {
        taken.address("listeners", address, &document.address.origin, problems);
    }
    let tls = document.tls.as_ref().map(|document| tls(document, problems));
    let h2c = document.h2c.as_ref().filter(|h2c| h2c.value);
    if let Some(h2c) = h2c.filter(|_| tls.is_some()) {
        let problem = Problem::new(&h2c.origin, "h2c is HTTP/2 without TLS, and this listener has TLS");
        problems.push(problem.hint("remove h2c: with TLS, HTTP/2 is offered"));
    }
    let source = document.source.as_ref().map_or(Some(Source::Peer), |document| source(document, problems));
    Some(Listener { name, address: address?, tls, h2c: h2c.is_some(), source: source?, network: document.network })
}

pub(super) fn tls(document: &At<TlsDocument>, problems: &mut Problems) -> Tls {
    if document.certificates.is_empty() {
        let problem = Problem::new(&document.origin, "TLS without a certificate");
        problems.push(problem.hint("add one to certificates, or remove tls to speak plain HTTP"));
    }
    Tls {
        certificates: document.certificates.iter().map(|document| certificate(document, problems)).collect(),
        clients: document.client_certificates.as_ref().map(|document| clients(document, problems)),
    }
}

fn clients(document: &At<ClientCertificatesDocument>, problems: &mut Problems) -> ClientCertificates {
    if document.authorities.is_empty() {
        let problem = Problem::new(&document.origin, "nobody signs the certificates of clients");
        problems.push(problem.hint("add the PEM file of an authority to authorities, or remove clientCertificates"));
    }
    let mut place = |written: &At<String>| At::new(path(written, problems), written.origin.clone());
    ClientCertificates {
        authorities: document.authorities.iter().map(&mut place).collect(),
        revocation_lists: document.revocation_lists.iter().map(place).collect(),
        required: document.required,
    }
}

fn certificate(document: &CertificateDocument, problems: &mut Problems) -> CertificateFiles {
    let mut place = |written: &At<String>| At::new(path(written, problems), written.origin.clone());
    CertificateFiles { certificate: place(&document.certificate), key: place(&document.key) }
}

fn source(document: &At<SourceDocument>, problems: &mut Problems) -> Option<Source> {
    let SourceDocument { mode, header, trusted, private_endpoint } = &document.value;
    // At the mode, so that nothing follows from a mode that was refused.
    let mut refuse = |key, modes| {
        let problem = Problem::new(&mode.origin, format!("this mode takes no {key}"));
        problems.push(problem.hint(format!("remove {key}, or write mode: {modes}")));
    };
    if header.is_some() && mode.value != SourceMode::Forwarded {
        refuse("header", "forwarded");
    }
    if trusted.is_some() && mode.value == SourceMode::Peer {
        refuse("trusted", "proxyProtocol or mode: forwarded");
    }
    if private_endpoint.is_some() && mode.value != SourceMode::ProxyProtocol {
        refuse("privateEndpoint", "proxyProtocol");
    }
    let trusted = trusted.as_ref().ok_or(&document.origin);
    match mode.value {
        SourceMode::Peer => Some(Source::Peer),
        SourceMode::ProxyProtocol => {
            let private_endpoint = private_endpoint.as_ref().map(|kind| kind.value);
            Some(Source::ProxyProtocol { trusted: networks(trusted, problems)?, private_endpoint })
        }
        SourceMode::Forwarded => {
            let header = header.as_ref().map(|header| header.value).unwrap_or_default();
            Some(Source::Forwarded { header, trusted: networks(trusted, problems)? })
        }
    }
}

/// The trusted proxies, or the place that should name them. Without any, either nobody or everybody would be believed:
/// neither is what was meant.
fn networks(trusted: Result<&At<Vec<At<String>>>, &Origin>, problems: &mut Problems) -> Option<Vec<IpNet>> {
    let origin = trusted.map_or_else(|origin| origin, |trusted| &trusted.origin);
    let trusted = trusted.map(|trusted| trusted.as_slice()).unwrap_or_default();
    if trusted.is_empty() {
        let problem = Problem::new(origin, "this mode needs trusted proxies");
        problems.push(problem.hint("name them with trusted, such as trusted: [10.0.0.0/8]"));
        return None;
    }
    let networks = trusted.iter().filter_map(|text| match network(text) {
        Ok(network) => Some(network),
        Err(problem) => {
            problems.push(problem);
            None
        }
    });
    Some(networks.collect())
}

/// A network, read as those of the network rules are.
fn network(written: &At<String>) -> Result<IpNet, Problem> {
    parse_network(written).map_err(|error| Problem::new(&written.origin, error.to_string()).hint(error.hint()))
}
