//! For tests: keys, and tokens that nobody in his right mind would make.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::*;
use crate::auth::keys::KeyMaterial;
use crate::secret::HashKey;

pub(in crate::auth) const ISSUER: &str = "Azure Container Registry";
pub(in crate::auth) const AUDIENCE: &str = "registry.example.com:8443";

pub(in crate::auth) fn now() -> Timestamp {
    "2026-11-21T12:00:00.75Z".parse().expect("a time")
}

/// A new key, made at `time` and signing from then on.
pub(in crate::auth) fn key(algorithm: SigningAlgorithm, time: Timestamp) -> KeyMaterial {
    KeyMaterial::generate(algorithm, time).expect("a key")
}

/// These keys and any hash key.
pub(in crate::auth) fn ring(signing: &[KeyMaterial]) -> Arc<Keyring> {
    Arc::new(Keyring::new(signing, HashKey::from_bytes([3; 32])).expect("keys"))
}

/// One new key.
pub(in crate::auth) fn keys(algorithm: SigningAlgorithm) -> Arc<Keyring> {
    ring(&[key(algorithm, now())])
}

/// An RSA key, which signs, and an EC key.
pub(in crate::auth) fn both_keys() -> Arc<Keyring> {
    let earlier = now() - SignedDuration::from_secs(1);
    ring(&[key(SigningAlgorithm::Rs256, now()), key(SigningAlgorithm::Es256, earlier)])
}

/// Header and payload of a token.
pub(in crate::auth) fn read(token: &str) -> (Value, Value) {
    let mut parts = token
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).unwrap_or_default());
    (parts.next().expect("a header"), parts.next().expect("a payload"))
}

/// The two first parts of a token.
pub(in crate::auth) fn unsigned(header: &Value, payload: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload.to_string()))
}

/// A token with any header and payload, truly signed by the active key.
pub(in crate::auth) fn signed(keys: &Keyring, header: &Value, payload: &Value) -> Secret {
    let message = unsigned(header, payload);
    let key = keys.signing(now()).expect("a key");
    Secret::new(format!("{message}.{}", key.signature(&message)))
}
