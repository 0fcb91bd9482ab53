//! What an operator writes in the root file: the process configuration as described, before it is resolved.
//!
//! These types are the single source of the YAML's shape: the reader, the JSON Schema and `config/reference.yaml` all
//! follow them. The policy's keys are [`crate::policy::document`]'s.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::json;

use crate::auth::keys::SigningAlgorithm;
use crate::policy::document::{
    IdentityDocuments, IdentityProviderDocuments, InstallationAssignmentDocuments, RegistryDocuments, SecretDocument,
};
use crate::policy::origin::At;
use crate::policy::tier::Tier;
use crate::policy::trusted::TrustedServiceDocuments;
use crate::proxy::source::{EndpointKind, ForwardedHeader};
use crate::telemetry::log::{LogFormat, LogLevel};

/// The file that starts seawall. A change under `registries`, `identities`, `roleAssignments`, `trustedServices` and
/// `identityProviders` is applied while it runs; everything else needs a restart.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// The version of this file's format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: At<u16>,
    /// Files, or directories whose `*.yaml` files, hold further `registries`, `identities`, `roleAssignments`,
    /// `trustedServices` and `identityProviders`. Relative to this file.
    #[serde(default)]
    pub include: Vec<At<String>>,
    /// The addresses that registry clients connect to.
    #[schemars(length(min = 1))]
    pub listeners: At<Vec<ListenerDocument>>,
    #[serde(default)]
    pub metrics: MetricsDocument,
    #[serde(default)]
    pub signing: SigningDocument,
    #[serde(default)]
    pub audit: AuditDocument,
    #[serde(default)]
    pub log: LogDocument,
    #[serde(default)]
    pub shutdown: ShutdownDocument,
    #[serde(default)]
    pub limits: LimitsDocument,
    #[serde(default)]
    pub login_limits: LoginLimitsDocument,
    /// Where this process is: clients are sent to the data endpoint of this region. Default: to the first of each registry.
    #[serde(default)]
    pub region: Option<At<String>>,
    /// Threads that serve requests. Default: one for each processor.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<At<u16>>,
    #[serde(default)]
    pub management: ManagementDocument,
    #[serde(default)]
    pub metadata: MetadataDocument,
    /// Where seawall keeps what the management API changes. Default `sqlite:/var/lib/seawall/seawall.db`.
    #[serde(default)]
    pub store: Option<At<StoreDocument>>,
    /// The secret under which the store keeps what it must give back, such as generated admin passwords; at least 32
    /// characters. Default: a file that the first start makes in `signing.directory`. Required with PostgreSQL.
    #[serde(default)]
    pub encryption_key: Option<At<SecretDocument>>,
    /// Whose word is taken about who somebody is: `OpenID` Connect providers and Kubernetes clusters, by name.
    #[serde(default)]
    pub identity_providers: IdentityProviderDocuments,
    /// People, groups and machines, by name: whom registries can assign roles to.
    #[serde(default)]
    pub identities: IdentityDocuments,
    /// What identities may do on all registries, and with the whole installation.
    #[serde(default)]
    pub role_assignments: InstallationAssignmentDocuments,
    /// Further services that registries can trust, by name, besides `scanner`, `import`, `tasks` and `machineLearning`.
    #[serde(default)]
    pub trusted_services: TrustedServiceDocuments,
    /// The registries, by name.
    #[serde(default)]
    pub registries: RegistryDocuments,
}

/// One address that registry clients connect to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerDocument {
    /// A name for logs.
    pub name: At<String>,
    /// IP address and port, such as `0.0.0.0:8443` or `[::]:8443`.
    pub address: At<String>,
    /// Speaks TLS, with HTTP/2 and HTTP/1.1. Without it the listener speaks plain HTTP/1.1.
    #[serde(default)]
    pub tls: Option<At<TlsDocument>>,
    /// Without TLS: also HTTP/2, where a client begins with it, as a proxy of yours may. Default `false`.
    #[serde(default)]
    pub h2c: Option<At<bool>>,
    #[serde(default)]
    pub source: Option<At<SourceDocument>>,
    /// Over what connections come in here. Default `public`.
    #[serde(default)]
    pub network: ListenerNetwork,
}

/// What a listener knows of the network in front of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ListenerNetwork {
    /// The public rules of a registry apply.
    #[default]
    Public,
    /// Every connection is one of a private endpoint: the one that `source.privateEndpoint` tells, else the listener's own.
    /// Only registries with an approved connection for it admit it.
    Private,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsDocument {
    /// At least one; chosen by the name that the client asks for, the first where none fits. Read again when they change.
    #[schemars(length(min = 1))]
    pub certificates: Vec<CertificateDocument>,
    /// Certificates of clients are asked for, and count as credentials. For listeners only. Default: nobody is asked.
    #[serde(default)]
    pub client_certificates: Option<At<ClientCertificatesDocument>>,
}

/// Whose certificates count. Read again when the files change; what open connections showed is then verified anew.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificatesDocument {
    /// PEM files with the authorities that sign them; the system's do not count. At least one, relative to this file.
    #[schemars(length(min = 1))]
    pub authorities: Vec<At<String>>,
    /// PEM files with lists of revoked certificates. If there are any, one that has not ended must speak of every
    /// certificate up to the authority.
    #[serde(default)]
    pub revocation_lists: Vec<At<String>>,
    /// Whether a handshake without a certificate is refused. Default `false`.
    #[serde(default)]
    pub required: bool,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateDocument {
    /// PEM file with the certificate and its chain. Relative to this file.
    pub certificate: At<String>,
    /// PEM file with the private key. Relative to this file.
    pub key: At<String>,
}

/// Where the address of the caller comes from, to which the network rules apply. Default: the connection itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceDocument {
    pub mode: At<SourceMode>,
    /// With `forwarded`: the header to believe, and no other. Default `X-Forwarded-For`.
    #[serde(default)]
    pub header: Option<At<ForwardedHeader>>,
    /// With `proxyProtocol` and `forwarded`, required: addresses and CIDR ranges of the proxies in front of seawall.
    /// Nobody else's word about the caller's address is taken.
    #[serde(default)]
    pub trusted: Option<At<Vec<At<String>>>>,
    /// With `proxyProtocol`: whose private endpoints the balancers tell of, in an extension of version 2. Default: what they
    /// say about endpoints is not read.
    #[serde(default)]
    pub private_endpoint: Option<At<EndpointKind>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SourceMode {
    /// The other end of the connection.
    Peer,
    /// The PROXY protocol header, version 1 or 2, with which the connection starts.
    ProxyProtocol,
    /// A header of the request.
    Forwarded,
}

/// Metrics and health. Never on an address that registry clients reach.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricsDocument {
    /// IP address and port for `/metrics`, `/healthz` and `/readyz`. Default `127.0.0.1:9464`.
    #[serde(default)]
    pub address: Option<At<String>>,
}

/// The keys that sign access tokens.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningDocument {
    /// Where `encryption.key` is, unless `encryptionKey` is given, and the certificates of the signing keys are written.
    /// Made at the first start; each replica has its own. Default `/var/lib/seawall/keys`.
    #[serde(default)]
    pub directory: Option<At<String>>,
    #[serde(default)]
    pub algorithm: SigningAlgorithm,
    /// The `iss` claim. Default `seawall`.
    #[serde(default)]
    pub issuer: Option<At<String>>,
}

/// The record of who did what from where, one JSON line for each request.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditDocument {
    /// `stdout`, or `file:` and a path. Default `stdout`.
    #[serde(default)]
    pub output: Option<At<String>>,
}

/// What seawall says about itself, on standard error.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogDocument {
    #[serde(default)]
    pub level: LogLevel,
    #[serde(default)]
    pub format: LogFormat,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShutdownDocument {
    /// How long running transfers may go on after SIGTERM. Default 5m.
    #[serde(default)]
    pub grace: Option<At<String>>,
}

/// Limits on what a client may keep open. There is none on how long a transfer takes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsDocument {
    /// From the start of a connection until the first request's head is complete. Default 30s.
    #[serde(default)]
    pub head_timeout: Option<At<String>>,
    /// Without a request on an open connection. Default 60s.
    #[serde(default)]
    pub idle_timeout: Option<At<String>>,
    /// In the middle of a transfer, without the client sending or taking a byte. Default 60s.
    #[serde(default)]
    pub stall_timeout: Option<At<String>>,
}

/// Limits on failed logins: by passwords, and by tokens at `/oauth2` and at the management API. Logins that succeed are
/// never counted. Each process counts for itself.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginLimitsDocument {
    /// Failed logins from one address (IPv6: one /64), whoever is claimed. Default 30; 0 is without limit.
    #[serde(default)]
    pub per_source: Option<At<u32>>,
    /// Failed logins of one user from one address; from everywhere 100 times as many. Default 10; 0 is without limit.
    #[serde(default)]
    pub per_principal: Option<At<u32>>,
    /// The time in which they are counted. Default 1m.
    #[serde(default)]
    pub within: Option<At<String>>,
    /// How long logins are refused then. Default 5m.
    #[serde(default)]
    pub lockout: Option<At<String>>,
}

/// The database. A text alone is its `url`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename = "$seawall::text-is:url", rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "StoreDocument", transform = or_text)]
pub struct StoreDocument {
    /// `sqlite:` and a path relative to this file, for one seawall; `postgres://user@host:port/database`, without a
    /// password, for any number of replicas.
    pub url: At<String>,
    /// PostgreSQL's password.
    #[serde(default)]
    pub password: Option<At<SecretDocument>>,
    /// A PEM file with the certificate authorities to trust for PostgreSQL. Default: the system's.
    #[serde(default)]
    pub ca: Option<At<String>>,
    /// Refuses every request once the store has not confirmed the policy for so long. Default: never.
    #[serde(default)]
    pub maximum_age: Option<At<String>>,
}

/// In the schema: a text, or the object that it is short for.
fn or_text(schema: &mut Schema) {
    let object = std::mem::take(schema);
    schema.insert("anyOf".into(), json!([{ "type": "string" }, object]));
}

/// The management API, to which the `seawall` command talks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagementDocument {
    /// IP address and port; `unix:` and a path; or `none`. Default `127.0.0.1:8444`.
    #[serde(default)]
    pub address: Option<At<String>>,
    /// Required where the address is not a loopback address.
    #[serde(default)]
    pub tls: Option<At<TlsDocument>>,
    /// Where each start writes the owner's credential, for its own user to read. Default: `management.credential` beside
    /// the SQLite file, or in `signing.directory`.
    #[serde(default)]
    pub credential_file: Option<At<String>>,
    /// The name of the subscription in answers. Default `00000000-0000-0000-0000-000000000000`.
    #[serde(default)]
    pub subscription: Option<At<String>>,
    /// The name of the resource group in answers. Default `seawall`.
    #[serde(default)]
    pub resource_group: Option<At<String>>,
    /// Refuses what goes beyond the limits of this tier of ACR. Default: nothing is limited.
    #[serde(default)]
    pub enforced_tier: Option<Tier>,
}

/// What seawall knows of the contents of the registries behind it: how old it may be.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetadataDocument {
    /// What was observed no longer ago is not asked for again; `0s` asks for each answer. Default 1m.
    #[serde(default)]
    pub maximum_age: Option<At<String>>,
    /// How often everything is read anew in the background, to find what was changed behind seawall's back; at least 1m, or
    /// `never`. Default 15m.
    #[serde(default)]
    pub sweep_every: Option<At<String>>,
}
