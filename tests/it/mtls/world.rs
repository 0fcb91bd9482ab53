//! A seawall with two registries and three listeners: a plain one, one that takes certificates, and one that requires them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use rustls::ClientConfig;

use super::certificates::{ClientAuthority, Identity};
use crate::harness::fake::{Fake, answer};
use crate::harness::http::{Connection, Response};
use crate::harness::nearby::{listener, registry, with_listeners};
use crate::harness::ports;
use crate::harness::seawall::{Place, Seawall};
use crate::harness::sources::message;
use crate::harness::tls::{Authority, Encrypted, handshake, listener_tls};

pub(super) const HOST: &str = "registry.test";
pub(super) const OTHER: &str = "other.test";
pub(super) const REFUSED: &str = "seawall_connections_refused_total{reason=\"client_certificate\"}";

pub(super) struct World {
    pub(super) seawall: Seawall,
    pub(super) upstream: Fake,
    /// Of the server's certificate.
    pub(super) server: Authority,
    pub(super) server_ca: PathBuf,
    /// Of clients' certificates.
    pub(super) authority: ClientAuthority,
    pub(super) optional: SocketAddr,
    pub(super) required: SocketAddr,
}

impl World {
    /// Without lists of revoked certificates.
    pub(super) fn start() -> Self {
        Self::with(|_| None)
    }

    /// With the list that the authority makes.
    pub(super) fn with(list: impl FnOnce(&ClientAuthority) -> Option<String>) -> Self {
        let upstream =
            Fake::always(answer("200 OK", "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n", "{}"));
        let (server, authority) = (Authority::new(), ClientAuthority::new("corp"));
        let place = Place::new();
        let files = server.issue(place.path(), "server", &[HOST, OTHER, "*.wild.test", "127.0.0.1"]);
        let server_ca = place.path().join("server-ca.pem");
        fs::write(&server_ca, server.pem()).unwrap();
        fs::write(authorities(place.path()), authority.pem()).unwrap();
        let list = list(&authority);
        if let Some(list) = &list {
            fs::write(lists(place.path()), list).unwrap();
        }
        let (optional, required) = (ports::free(), ports::free());
        let tls = |more: &str| clients(&listener_tls(&[&files]), place.path(), list.is_some(), more);
        let listeners = [
            listener("public", place.public(), ""),
            listener("optional", optional, &tls("")),
            listener("required", required, &tls(", required: true")),
        ];
        let document = with_listeners(&document(&place, &upstream, optional), &listeners.join(", "));
        let seawall = place.start(&document);
        Self { seawall, upstream, server, server_ca, authority, optional, required }
    }

    /// The settings of a client that shows this, or nothing.
    pub(super) fn client(&self, identity: Option<&Identity>, protocols: &[&str]) -> ClientConfig {
        let mut config = self.server.client(protocols, rustls::ALL_VERSIONS);
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = identity.shown();
        }
        config
    }

    /// A connection for `registry.test`; `None` when the handshake fails before the client thinks that it is done.
    pub(super) fn connect(&self, to: SocketAddr, identity: Option<&Identity>) -> Option<Client> {
        self.connect_as(to, identity, HOST)
    }

    pub(super) fn connect_as(&self, to: SocketAddr, identity: Option<&Identity>, name: &str) -> Option<Client> {
        let config = self.client(identity, &["http/1.1"]);
        handshake(TcpStream::connect(to).unwrap(), config, name).ok().map(Client::over)
    }

    /// The status of a first request; `None` when there is no answer.
    pub(super) fn attempt(&self, to: SocketAddr, identity: Option<&Identity>) -> Option<u16> {
        let mut client = self.connect(to, identity)?;
        client.ask("GET", "/v2/", &[("Host", HOST)]).map(|answer| answer.status)
    }

    /// Replaces the authorities' file.
    pub(super) fn trust(&self, pem: &str) {
        fs::write(authorities(self.seawall.place().path()), pem).unwrap();
    }

    /// Replaces the list of revoked certificates.
    pub(super) fn publish(&self, list: &str) {
        fs::write(lists(self.seawall.place().path()), list).unwrap();
    }
}

fn authorities(directory: &Path) -> PathBuf {
    directory.join("clients-ca.pem")
}

fn lists(directory: &Path) -> PathBuf {
    directory.join("clients-crl.pem")
}

/// The `tls` of a listener that takes certificates of clients.
fn clients(tls: &str, directory: &Path, with_lists: bool, more: &str) -> String {
    let list = lists(directory).display().to_string();
    let lists = if with_lists { format!(", revocationLists: [\"{list}\"]") } else { String::new() };
    let clients =
        format!("clientCertificates: {{authorities: [\"{}\"]{lists}{more}}}", authorities(directory).display());
    format!("{}, {clients}}}", tls.strip_suffix('}').unwrap())
}

fn document(place: &Place, upstream: &Fake, by_address: SocketAddr) -> String {
    let url = format!("url: \"{}\"", upstream.url());
    let roles = "roleAssignments: [{identity: scanner, role: AcrPull}, {identity: builder, role: AcrPull}]";
    let registries = [("myregistry", HOST), ("otherregistry", OTHER), ("byaddress", &by_address.to_string())]
        .map(|(name, host)| registry(place, name, host, &url, &[roles]))
        .concat();
    let identities = "identities:\n  \
        scanner: {type: SystemAssigned, matches: [{provider: certificate, claims: {uri: \"spiffe://corp.example/ns/prod/sa/scanner\"}}]}\n  \
        builder: {type: UserAssigned, matches: [{provider: certificate, claims: {dns: builder.corp.example, issuer: \"CN=corp\"}}]}\n";
    place.document(&format!("{identities}registries:\n{registries}"))
}

/// A connection over TLS, asked by hand.
pub(super) struct Client(pub(super) Connection<Encrypted>);

impl Client {
    pub(super) fn over(stream: Encrypted) -> Self {
        Self(Connection::over(stream))
    }

    /// A request for `registry.test` that has to be answered.
    pub(super) fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.send("GET", target, headers)
    }

    pub(super) fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        self.ask(method, target, &[&[("Host", HOST)], headers].concat()).expect("an answer")
    }

    /// A request with exactly these headers; `None` when there is no answer.
    pub(super) fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Option<Response> {
        self.0.send(&message(method, target, headers, b""));
        self.0.answer(method)
    }
}
