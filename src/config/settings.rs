//! The process configuration as the parts of seawall use it: resolved types, defaults filled in, nothing contradictory.
//!
//! It is comparable, so that a reload can say that a part changed which needs a restart. Positions do not count.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::document::ListenerNetwork;
use crate::auth::keys::SigningAlgorithm;
use crate::metadata;
use crate::policy::limits::LoginLimits;
use crate::policy::origin::At;
use crate::policy::tier::Tier;
use crate::proxy::source::{EndpointKind, ForwardedHeader};
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
    pub login_limits: LoginLimits,
    /// Where this process is, to choose among a registry's data endpoints.
    pub region: Option<String>,
    /// Threads that serve requests; `None` is one for each processor.
    pub threads: Option<NonZeroUsize>,
    pub store: StoreSettings,
    pub encryption_key: EncryptionKeySource,
    pub management: ManagementSettings,
    pub metadata: metadata::Settings,
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
            ("loginLimits", self.login_limits == other.login_limits),
            ("region", self.region == other.region),
            ("threads", self.threads == other.threads),
            ("store", self.store == other.store),
            ("encryptionKey", self.encryption_key == other.encryption_key),
            ("management", self.management == other.management),
            ("metadata", self.metadata == other.metadata),
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
    /// Whether a client may begin with HTTP/2 without TLS.
    pub h2c: bool,
    pub source: Source,
    pub network: ListenerNetwork,
}

/// TLS with HTTP/2 and HTTP/1.1.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// At least one; the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// `None`: clients are not asked for certificates.
    pub clients: Option<ClientCertificates>,
}

/// Whose certificates clients may show, with the places that name them.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientCertificates {
    /// At least one.
    pub authorities: Vec<At<PathBuf>>,
    pub revocation_lists: Vec<At<PathBuf>>,
    /// Whether there must be a certificate.
    pub required: bool,
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
    ProxyProtocol {
        trusted: Vec<IpNet>,
        /// Whose private endpoints they tell of.
        private_endpoint: Option<EndpointKind>,
    },
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

/// Where durable records are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreSettings {
    pub location: StoreLocation,
    /// How long a policy may be in force that the store has not confirmed; never zero. `None` is forever.
    pub maximum_age: Option<Duration>,
}

/// A database, and what only its kind needs.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreLocation {
    /// For one seawall: a file.
    Sqlite(PathBuf),
    /// For any number of replicas.
    Postgres {
        /// `postgres://user@host:port/database`, perhaps with `sslmode` and `host` behind a `?`. No password is in it.
        url: String,
        password: Option<SecretSource>,
        /// PEM, the certificate authorities to trust instead of the system's.
        ca: Option<At<PathBuf>>,
    },
}

/// Where an operator keeps a secret.
#[derive(Debug, Clone, PartialEq)]
pub enum SecretSource {
    /// A file, as it was written: relative to the file that names it.
    File(At<String>),
    /// An environment variable.
    Environment(At<String>),
}

/// Where the key comes from that seals what the store must give back.
#[derive(Debug, Clone, PartialEq)]
pub enum EncryptionKeySource {
    /// The operator gives it; replicas have the same one.
    Given(SecretSource),
    /// The first start makes it, in this file. With SQLite only.
    Made(PathBuf),
}

/// The management API.
#[derive(Debug, Clone, PartialEq)]
pub struct ManagementSettings {
    pub address: ManagementAddress,
    /// Where each start writes the owner's credential, mode 0600.
    pub credential_file: PathBuf,
    /// The name of the subscription in answers.
    pub subscription: String,
    /// The name of the resource group in answers.
    pub resource_group: String,
    /// Whose limits are enforced; `None`: nobody's.
    pub enforced_tier: Option<Tier>,
}

/// Where the management API listens. Without TLS it is reached from this machine only.
#[derive(Debug, Clone, PartialEq)]
pub enum ManagementAddress {
    /// None of the listeners' addresses, nor the metrics'. Without `tls` it is a loopback address.
    Tcp { address: SocketAddr, tls: Option<Tls> },
    /// A socket whose mode says who may talk to it.
    Unix(PathBuf),
    /// Nowhere: only files change the policy.
    None,
}
