//! A provider's public keys: what of a JWK set (RFC 7517) is of use, and which key a token means.
//!
//! A key is bound to what it may verify: by its kind, by its curve, and by the `alg` that the set gives it. What a token
//! says of its algorithm can only agree with that.

use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::json;
use super::rejection::Rejection;
use crate::policy::identity::ProviderAlgorithm;

const ALGORITHMS: [ProviderAlgorithm; 9] = [
    ProviderAlgorithm::Rs256,
    ProviderAlgorithm::Rs384,
    ProviderAlgorithm::Rs512,
    ProviderAlgorithm::Ps256,
    ProviderAlgorithm::Ps384,
    ProviderAlgorithm::Ps512,
    ProviderAlgorithm::Es256,
    ProviderAlgorithm::Es384,
    ProviderAlgorithm::EdDsa,
];

/// The algorithm of this name, letter for letter: neither `none` nor any that a public key could forge is among them.
pub(super) fn algorithm(name: &str) -> Option<ProviderAlgorithm> {
    ALGORITHMS.into_iter().find(|algorithm| algorithm.name() == name)
}

/// What kind of key it is, and so which algorithms it can be used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// One usable public key.
pub(super) struct ProviderKey {
    /// The `kid`.
    name: Option<String>,
    /// The RFC 7638 thumbprint: the same key, whatever it is called.
    thumbprint: Arc<str>,
    kind: Kind,
    /// The only algorithm that it is for, where the set says so.
    only: Option<ProviderAlgorithm>,
    verifying: DecodingKey,
}

impl std::fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderKey").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl ProviderKey {
    /// Reads one member of a set. `None` for what is not a public key to verify signatures with by a known algorithm: a
    /// provider may publish such keys for others (RFC 7517 section 5).
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let for_signatures = jwk.get("use").is_none_or(|usage| usage == "sig");
        let verifies = jwk.get("key_ops").is_none_or(|operations| {
            operations.as_array().is_some_and(|all| all.iter().any(|operation| operation == "verify"))
        });
        if !for_signatures || !verifies {
            return None;
        }
        let name = jwk.get("kid").map(|name| name.as_str().map(str::to_owned).ok_or(())).transpose().ok()?;
        let only = jwk.get("alg").map(|name| name.as_str().and_then(algorithm).ok_or(())).transpose().ok()?;
        let parameters: AlgorithmParameters = serde_json::from_value(Value::Object(jwk.clone())).ok()?;
        let kind = kind(&parameters)?;
        if only.is_some_and(|only| !kind.fits(only)) {
            return None;
        }
        let jwk = Jwk { common: CommonParameters::default(), algorithm: parameters };
        let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256).ok()?.into();
        Some(Self { name, thumbprint, kind, only, verifying: DecodingKey::from_jwk(&jwk).ok()? })
    }

    pub(super) fn thumbprint(&self) -> &Arc<str> {
        &self.thumbprint
    }

    /// Whether it may be used with `algorithm`.
    fn is_for(&self, algorithm: ProviderAlgorithm) -> bool {
        self.kind.fits(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether this key made `signature` (base64url) over `message`.
    pub(super) fn verifies(&self, algorithm: ProviderAlgorithm, message: &str, signature: &str) -> bool {
        self.is_for(algorithm)
            && jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.verifying, jws_algorithm(algorithm))
                .unwrap_or(false)
    }
}

impl Kind {
    const fn fits(self, algorithm: ProviderAlgorithm) -> bool {
        match algorithm {
            ProviderAlgorithm::Rs256
            | ProviderAlgorithm::Rs384
            | ProviderAlgorithm::Rs512
            | ProviderAlgorithm::Ps256
            | ProviderAlgorithm::Ps384
            | ProviderAlgorithm::Ps512 => matches!(self, Self::Rsa),
            ProviderAlgorithm::Es256 => matches!(self, Self::P256),
            ProviderAlgorithm::Es384 => matches!(self, Self::P384),
            ProviderAlgorithm::EdDsa => matches!(self, Self::Ed25519),
        }
    }
}

/// A symmetric key is of no kind here: whoever can read it could sign.
fn kind(parameters: &AlgorithmParameters) -> Option<Kind> {
    match parameters {
        AlgorithmParameters::RSA(_) => Some(Kind::Rsa),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some(Kind::P256),
            EllipticCurve::P384 => Some(Kind::P384),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(key) => (key.curve == EllipticCurve::Ed25519).then_some(Kind::Ed25519),
        _ => None,
    }
}

const fn jws_algorithm(algorithm: ProviderAlgorithm) -> Algorithm {
    match algorithm {
        ProviderAlgorithm::Rs256 => Algorithm::RS256,
        ProviderAlgorithm::Rs384 => Algorithm::RS384,
        ProviderAlgorithm::Rs512 => Algorithm::RS512,
        ProviderAlgorithm::Ps256 => Algorithm::PS256,
        ProviderAlgorithm::Ps384 => Algorithm::PS384,
        ProviderAlgorithm::Ps512 => Algorithm::PS512,
        ProviderAlgorithm::Es256 => Algorithm::ES256,
        ProviderAlgorithm::Es384 => Algorithm::ES384,
        ProviderAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// The usable keys of a provider; at least one.
#[derive(Debug)]
pub(super) struct KeySet(Vec<ProviderKey>);

impl KeySet {
    /// Reads a JWK set. One without a usable key is an error and not an empty set: it would end every sign-in, and is
    /// rather a provider's mishap than its will.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let set = json::object(text).ok_or("the JWK set is not a JSON object, or names a member twice")?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("the JWK set has no `keys`")?;
        let keys: Vec<_> = keys.iter().filter_map(Value::as_object).filter_map(ProviderKey::read).collect();
        if keys.is_empty() {
            return Err("the JWK set has no key that can verify signatures by an algorithm known here".to_owned());
        }
        Ok(Self(keys))
    }

    /// The keys that a token means by its `kid` and its algorithm: one, but that names in a set need not be unique.
    ///
    /// A token without `kid` means the only key, where there is only one.
    pub(super) fn meant(
        &self,
        name: Option<&str>,
        algorithm: ProviderAlgorithm,
    ) -> Result<Vec<&ProviderKey>, Rejection> {
        let named: Vec<_> = match (name, self.0.as_slice()) {
            (None, [only]) => vec![only],
            (None, _) => return Err(Rejection::KeyNotNamed),
            (Some(name), keys) => keys.iter().filter(|key| key.name.as_deref() == Some(name)).collect(),
        };
        if named.is_empty() {
            return Err(Rejection::UnknownKey);
        }
        let fitting: Vec<_> = named.into_iter().filter(|key| key.is_for(algorithm)).collect();
        if fitting.is_empty() { Err(Rejection::Algorithm) } else { Ok(fitting) }
    }

    /// Whether the key with this thumbprint is still published.
    pub(super) fn has(&self, thumbprint: &str) -> bool {
        self.0.iter().any(|key| *key.thumbprint == *thumbprint)
    }
}
