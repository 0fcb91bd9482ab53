//! The process configuration as the parts of seawall use it: resolved types, defaults filled in, nothing contradictory.
//!
//! It is comparable, so that a reload can say that a part changed which needs a restart. Positions do not count.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::auth::keys::SigningAlgorithm;
use crate::policy::origin::At;
use crate::proxy::source::ForwardedHeader;
use crate::telemetry::audit::AuditSink;
use crate::telemetry::log::{LogFormat, LogLevel};

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// At least one; names and addresses are unique.
    pub listeners: Vec<Listener>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; none of the listeners' addresses.
    pub metrics: SocketAddr,
    pub signing: Signing,
    pub audit: AuditSink,
    pub log: Log,
    /// How long running transfers may go on after SIGTERM.
    pub shutdown_grace: Duration,
    pub limits: Limits,
    /// Threads that serve requests; `None` is one for each processor.
    pub threads: Option<NonZeroUsize>,
}

impl Config {
    /// The keys of the file whose values differ.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let keys = [
            ("listeners", self.listeners == other.listeners),
            ("metrics", self.metrics == other.metrics),
            ("signing", self.signing == other.signing),
            ("audit", self.audit == other.audit),
            ("log", self.log == other.log),
            ("shutdown", self.shutdown_grace == other.shutdown_grace),
            ("limits", self.limits == other.limits),
            ("threads", self.threads == other.threads),
        ];
        keys.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
    }
}

/// One address that registry clients connect to.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    pub name: String,
    pub address: SocketAddr,
    /// `None` speaks plain HTTP/1.1.
    pub tls: Option<Tls>,
    pub source: Source,
}

/// TLS with HTTP/2 and HTTP/1.1.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// At least one; the first is the default.
    pub certificates: Vec<CertificateFiles>,
}

/// A certificate chain and its key, both PEM, with the places that name them.
#[derive(Debug, Clone, PartialEq)]
pub struct CertificateFiles {
    pub certificate: At<PathBuf>,
    pub key: At<PathBuf>,
}

/// Where the source address comes from. Believing a proxy without saying which one cannot be expressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The peer address is the source address.
    Peer,
    /// The PROXY protocol header of a connection from one of `trusted`.
    ProxyProtocol { trusted: Vec<IpNet> },
    /// `header` of a request, as far as it was written by `trusted`.
    Forwarded { header: ForwardedHeader, trusted: Vec<IpNet> },
}

/// The keys that sign access tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    pub directory: PathBuf,
    pub algorithm: SigningAlgorithm,
    /// The `iss` claim.
    pub issuer: String,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

/// What a client may keep open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the start of a connection until the first request's head is complete; never zero.
    pub head_timeout: Duration,
    /// Without a request on an open connection; never zero.
    pub idle_timeout: Duration,
    /// In the middle of a transfer, without the client sending or taking a byte; never zero.
    pub stall_timeout: Duration,
}
