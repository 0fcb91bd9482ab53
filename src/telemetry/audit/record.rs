//! What one line of the audit log says.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::policy::network::{Effect, NetworkClass, Shadowed, SourceAddress};
use crate::telemetry::labels::{OperationClass, Outcome};

/// One request. What is unknown, because the request ended before, is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord<'a> {
    /// When the request began. RFC 3339, UTC, microseconds.
    #[serde(serialize_with = "micros")]
    pub time: Timestamp,
    /// The id that the client's answer carries too, as `X-Ms-Correlation-Request-Id`.
    pub request_id: Cow<'a, str>,
    /// The registry's configured name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<Cow<'a, str>>,
    /// The host, of a request to a data endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_endpoint: Option<Cow<'a, str>>,
    /// The listener's configured name.
    pub listener: Cow<'a, str>,
    /// The other end of the socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<SocketAddr>,
    /// Who we believe is calling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<SourceAddress>,
    /// `public`, `private endpoint NAME` or `virtual network NAME`; of an endpoint without a connection, its mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkClass>,
    /// What the network rules that are tried would have decided otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<PrincipalRecord>,
    /// The name of the password that was used, never the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Cow<'a, str>>,
    /// The SHA-256 fingerprint of the certificate that the client showed, whether or not it counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Cow<'a, str>>,
    pub operation: OperationClass,
    /// `OTHER` for a method that the protocol does not know.
    pub method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<Cow<'a, str>>,
    /// A tag or a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Cow<'a, str>>,
    /// What a change of attributes has changed, with the reason of an unlock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Cow<'a, str>>,
    pub decision: Outcome,
    /// The code of the reason, as in `seawall_decisions_total`.
    pub reason: &'static str,
    /// The rule that decided, with `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    /// The version of the policy that decided.
    pub policy_version: u64,
    /// The status sent to the client; 0 when the connection ended before.
    pub status: u16,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
    pub duration_ms: f64,
    /// Until the head of the upstream's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_ms: Option<f64>,
    /// `memory` or `disk`, of what seawall gave out itself instead of the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_from: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Bounded>,
    /// Of a denial, what its answer is found by: `seawall explain --denial ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial_id: Option<Cow<'a, str>>,
}

/// A decision that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShadowRecord {
    /// `allow` or `deny`.
    pub would: &'static str,
    /// The rule behind it, with `file:line:column`.
    pub rule: String,
}

impl ShadowRecord {
    /// Of these rules.
    pub fn new(shadowed: &Shadowed) -> Self {
        let would = match shadowed.would {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        Self { would, rule: shadowed.to_string() }
    }
}

/// Who the caller turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrincipalRecord {
    /// `anonymous`, `admin`, `token` and so on.
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The identity provider that vouched for the caller, and the subject in its words: the name may be the subject's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Bounded>,
    /// The identities that the provider's word made of the caller.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
}

impl PrincipalRecord {
    /// Somebody whom no provider vouched for.
    pub const fn new(kind: &'static str, name: Option<String>) -> Self {
        Self { kind, name, provider: None, subject: None, identities: Vec::new() }
    }
}

/// Text of a client's choosing, cut at 256 characters so that it cannot fill the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Bounded(String);

impl Bounded {
    const MAX_CHARACTERS: usize = 256;
    /// No character takes more bytes than four in UTF-8.
    const MAX_BYTES: usize = 4 * Self::MAX_CHARACTERS;

    /// The beginning of `bytes`; what is not UTF-8 is replaced.
    pub fn new(bytes: &[u8]) -> Self {
        if bytes.len() <= Self::MAX_CHARACTERS
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Self(text.to_owned());
        }
        let beginning = bytes.get(..Self::MAX_BYTES).unwrap_or(bytes);
        Self(String::from_utf8_lossy(beginning).chars().take(Self::MAX_CHARACTERS).collect())
    }

    /// The text that is left.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password whose expiry is near, or has passed: written once for each password and [`within`](Self::within).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename = "password_expiring", rename_all = "camelCase")]
pub struct PasswordExpiring {
    /// When it was noticed.
    #[serde(serialize_with = "micros")]
    pub time: Timestamp,
    /// The registry's configured name.
    pub registry: String,
    /// Whose password it is.
    pub principal: PrincipalRecord,
    /// The name of the password.
    pub credential: String,
    #[serde(serialize_with = "micros")]
    pub expiry: Timestamp,
    /// `30d`, `7d`, `1d`, or `ended`.
    pub within: &'static str,
}

pub(super) fn micros<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}
