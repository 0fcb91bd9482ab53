//! Who says who somebody is: identity providers, and what one of them said about a caller.
//!
//! Data only: fetching keys and verifying signatures is `auth`'s. What an [`Assertion`] means here is decided by the
//! claim rules of the identities.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::origin::Origin;

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
    /// Where a file declares it.
    pub origin: Origin,
}

/// The same provider, wherever it is declared: whoever keeps its keys may go on keeping them.
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
