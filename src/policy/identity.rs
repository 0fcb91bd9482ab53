//! Who says who somebody is, and whom we know: identity providers, what one of them said about a caller, identities.
//!
//! Data only: fetching keys and verifying signatures is `auth`'s. What an [`Assertion`] means here is decided by the
//! claim rules of the identities.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::claims::ClaimRule;
use super::conditions::NetworkCondition;
use super::credential::PrincipalId;
use super::document::TokenStatus;
use super::origin::Origin;
use super::principal::Password;

/// The provider by whose name the installation itself vouches for managed identities, and the issuer of what it says. No
/// file declares one of this name, and as an issuer is a URL, no provider has this one.
pub const OWN_PROVIDER: &str = "seawall";
/// The provider by whose name a client's certificate speaks, and the issuer of what it says. No file declares one of this
/// name either; which certificates are believed is a listener's to say.
pub const CERTIFICATE_PROVIDER: &str = "certificate";
/// The claims that it makes.
pub const CERTIFICATE_CLAIMS: [&str; 6] = ["uri", "dns", "subject", "issuer", "serial", "sha256"];
/// The claim with the identity's [`PrincipalId`] in what the installation says.
const OWN_CLAIM: &str = "identity";

/// An `OpenID` Connect issuer, or anything else that signs JWTs and publishes its keys.
#[derive(Debug, Clone)]
pub struct IdentityProvider {
    pub name: Arc<str>,
    /// Exactly the `iss` claim of its tokens; https, or http on a loopback address. No two providers have the same.
    pub issuer: Arc<str>,
    /// At least one; a token is for us when it has one of them.
    pub audiences: Box<[Box<str>]>,
    /// At least one; what is not in this list is not verified at all.
    pub algorithms: Box<[ProviderAlgorithm]>,
    pub keys: ProviderKeys,
    /// A PEM file with the certificate authorities to trust for it, instead of the system's.
    pub ca: Option<PathBuf>,
    /// By how much its clock may differ from ours; at most five minutes.
    pub clock_skew: Duration,
    /// The claim that names the subject.
    pub subject_claim: Box<str>,
    /// The claim that names the subject in the audit log.
    pub name_claim: Option<Box<str>>,
    /// How people sign in there; machines only, without.
    pub sign_in: Option<SignIn>,
    /// What it is asked for when it verifies a service principal's secret.
    pub client_credentials: TokenRequest,
    /// Where a file declares it.
    pub origin: Origin,
}

/// The same provider, wherever it is declared and whatever it is asked for at a sign-in: whoever keeps its keys may go on keeping
/// them.
impl PartialEq for IdentityProvider {
    fn eq(&self, other: &Self) -> bool {
        let parts = |one: &Self| (one.name.clone(), one.issuer.clone(), one.clock_skew);
        parts(self) == parts(other)
            && (&self.audiences, &self.algorithms) == (&other.audiences, &other.algorithms)
            && (&self.keys, &self.ca) == (&other.keys, &other.ca)
            && (&self.subject_claim, &self.name_claim) == (&other.subject_claim, &other.name_claim)
    }
}

impl Eq for IdentityProvider {}

/// What a program must know that signs somebody in at a provider. No secret: everybody may have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// Of a public client, to which the provider gives device authorizations (RFC 8628).
    pub client_id: Box<str>,
    /// What it asks for.
    pub scopes: Box<[Box<str>]>,
    /// Sent as `audience`, which some providers want.
    pub audience: Option<Box<str>>,
    /// Sent as `resource` (RFC 8707).
    pub resource: Option<Box<str>>,
}

/// What the provider that verifies a service principal's secret is asked for: a token that is good here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRequest {
    pub scopes: Box<[Box<str>]>,
    /// Sent as `audience`.
    pub audience: Option<Box<str>>,
    /// Sent as `resource` (RFC 8707).
    pub resource: Option<Box<str>>,
}

/// Where a provider's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderKeys {
    /// Where the document at `issuer/.well-known/openid-configuration` says.
    Discovery,
    /// A JWK set at this URL; https, or http on a loopback address.
    Url(Box<str>),
    /// A JWK set in this file.
    File(PathBuf),
}

/// How a provider may sign. Nothing that a public key could forge is among them, nor `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
pub enum ProviderAlgorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "RS512")]
    Rs512,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "PS384")]
    Ps384,
    #[serde(rename = "PS512")]
    Ps512,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl ProviderAlgorithm {
    /// What providers sign with unless something else is said.
    pub const DEFAULT: [Self; 2] = [Self::Rs256, Self::Es256];

    /// The name in a token's `alg` (RFC 7518 3.1, RFC 8037 3.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// What a provider said about somebody, verified by `auth`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// The provider's name.
    pub provider: Arc<str>,
    pub issuer: Arc<str>,
    pub subject: String,
    pub claims: Map<String, Value>,
}

impl Assertion {
    /// Whether it claims to be the installation's own word, which no provider may speak.
    pub fn is_own(&self) -> bool {
        *self.provider == *OWN_PROVIDER || *self.issuer == *OWN_PROVIDER
    }

    /// Whether it claims to be what a client's certificate says, which no provider may say either.
    pub fn is_by_certificate(&self) -> bool {
        *self.provider == *CERTIFICATE_PROVIDER || *self.issuer == *CERTIFICATE_PROVIDER
    }
}

/// Somebody to whom roles are assigned: a person, a group, or a machine.
#[derive(Debug, Clone)]
pub struct Identity {
    pub name: Arc<str>,
    /// By which what a service principal's secrets obtained names it.
    pub id: PrincipalId,
    pub kind: IdentityKind,
    /// A service principal's user name, or the id of a managed identity by which clients ask for it.
    pub client_id: Option<Guid>,
    /// ARM's id of the identity, which role assignments of the store name. Where a file gives none it follows from `id`.
    pub principal_id: Guid,
    /// The tenant that it belongs to; shown, and of no consequence.
    pub tenant_id: Option<Guid>,
    /// Any one of them makes a caller this identity.
    pub rules: Box<[ClaimRule]>,
    /// Of a service principal only; at most two.
    pub secrets: Box<[Password]>,
    /// The name of the provider at which a service principal's secret is verified, which has none here then.
    pub verified_by: Option<Arc<str>>,
    pub status: TokenStatus,
    /// From where anybody is it.
    pub networks: Option<Arc<NetworkCondition>>,
    pub origin: Origin,
}

impl Identity {
    pub fn is_enabled(&self) -> bool {
        self.status == TokenStatus::Enabled
    }

    /// What the installation itself says of whoever acts as this identity. `None` for all but managed ones: the others are
    /// vouched for by somebody else, or have secrets.
    ///
    /// It holds for this identity only, not for one that is made again under its name, and only while it is enabled.
    pub fn own_assertion(&self) -> Option<Assertion> {
        self.kind.is_managed().then(|| Assertion {
            provider: OWN_PROVIDER.into(),
            issuer: OWN_PROVIDER.into(),
            subject: self.principal_id.as_str().to_owned(),
            claims: Map::from_iter([(OWN_CLAIM.to_owned(), self.id.to_string().into())]),
        })
    }

    /// Whether one of its rules holds, whatever its status.
    pub fn is_meant_by(&self, assertion: &Assertion) -> bool {
        self.rules.iter().any(|rule| rule.matches(assertion))
    }
}

/// What an identity stands for (requirements B.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum IdentityKind {
    /// A person.
    #[default]
    User,
    /// Everybody of whom a provider says so: what it is given, all its members have.
    Group,
    /// A machine or service, whose identity ends with it.
    SystemAssigned,
    /// An identity of its own that machines or services use.
    UserAssigned,
    /// An application, which may also log in with its client id and a secret.
    ServicePrincipal,
    /// A cluster that pulls; whatever its role, it does nothing else (S1-8, S1-9).
    KubernetesCluster,
}

impl IdentityKind {
    /// Whether the installation vouches for it: it is neither a person nor anybody's account elsewhere.
    pub const fn is_managed(self) -> bool {
        match self {
            Self::SystemAssigned | Self::UserAssigned => true,
            Self::User | Self::Group | Self::ServicePrincipal | Self::KubernetesCluster => false,
        }
    }
}

/// An id as ARM writes it: lower-case hexadecimal digits in groups of 8, 4, 4, 4 and 12.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Guid(Arc<str>);

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a GUID, or the one of zeros")]
pub struct NotAnId;

impl TryFrom<String> for Guid {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        Self::parse(&text).ok_or(NotAnId)
    }
}

impl From<PrincipalId> for Guid {
    /// The same digits in groups.
    fn from(id: PrincipalId) -> Self {
        let digits = id.to_string();
        let mut groups = String::with_capacity(36);
        for (place, digit) in digits.chars().enumerate() {
            if matches!(place, 8 | 12 | 16 | 20) {
                groups.push('-');
            }
            groups.push(digit);
        }
        Self(groups.into())
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Guid> for String {
    fn from(id: Guid) -> Self {
        id.as_str().to_owned()
    }
}

impl Guid {
    /// Reads an id; upper-case digits are folded. Not the one of zeros, which is the user name of everybody who logs in
    /// with a refresh token.
    pub fn parse(text: &str) -> Option<Self> {
        let groups = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
        let digits = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        let zeros = text.bytes().all(|byte| matches!(byte, b'-' | b'0'));
        (groups && digits && !zeros).then(|| Self(text.to_ascii_lowercase().into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = Guid::parse("6F9619FF-8B86-D011-B42D-00C04FC964FF").unwrap();
        assert_eq!(id.as_str(), "6f9619ff-8b86-d011-b42d-00c04fc964ff");
        for text in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "6f9619ff8b86d011b42d00c04fc964ff",
            "{6f9619ff-8b86-d011-b42d-00c04fc964ff}",
            "6f9619ff-8b86-d011-b42d-00c04fc964fg",
            "6f9619ff-8b86-d011-b42d-00c04fc964ff ",
            "6f9619ff-8b86-d011-b42d0-0c04fc964ff",
        ] {
            assert_eq!(Guid::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_provider_that_moved_in_its_file_is_the_same() {
        let provider = IdentityProvider {
            name: "corp".into(),
            issuer: "https://corp.example".into(),
            audiences: ["seawall".into()].into(),
            algorithms: ProviderAlgorithm::DEFAULT.into(),
            keys: ProviderKeys::Discovery,
            ca: None,
            clock_skew: Duration::from_mins(1),
            subject_claim: "sub".into(),
            name_claim: None,
            sign_in: None,
            client_credentials: TokenRequest::default(),
            origin: Origin::new("policy.yaml", 1, 1),
        };
        assert_eq!(provider, IdentityProvider { origin: Origin::new("policy.yaml", 9, 1), ..provider.clone() });
        for other in [
            IdentityProvider { issuer: "https://other.example".into(), ..provider.clone() },
            IdentityProvider { audiences: ["other".into()].into(), ..provider.clone() },
            IdentityProvider { algorithms: [ProviderAlgorithm::Es256].into(), ..provider.clone() },
            IdentityProvider { keys: ProviderKeys::File("keys.json".into()), ..provider.clone() },
            IdentityProvider { ca: Some("ca.pem".into()), ..provider.clone() },
            IdentityProvider { clock_skew: Duration::ZERO, ..provider.clone() },
            IdentityProvider { subject_claim: "oid".into(), ..provider.clone() },
            IdentityProvider { name_claim: Some("email".into()), ..provider.clone() },
        ] {
            assert_ne!(provider, other);
        }
    }
}
