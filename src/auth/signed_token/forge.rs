//! For tests: keys, and tokens that nobody in his right mind would make.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

pub(in crate::auth) const ISSUER: &str = "Azure Container Registry";
pub(in crate::auth) const AUDIENCE: &str = "registry.example.com:8443";

pub(in crate::auth) fn now() -> Timestamp {
    "2026-11-21T12:00:00.75Z".parse().expect("a time")
}

/// New keys; the directory is gone, the keys stay in memory.
pub(in crate::auth) fn keys(algorithm: SigningAlgorithm) -> Arc<SigningKeys> {
    let directory = TempDir::new().expect("a directory");
    Arc::new(SigningKeys::open_or_create(directory.path(), algorithm, now()).expect("keys"))
}

/// Keys of both algorithms, the one named signing.
pub(in crate::auth) fn both_keys(active: SigningAlgorithm) -> Arc<SigningKeys> {
    let directory = TempDir::new().expect("a directory");
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
        SigningKeys::open_or_create(directory.path(), algorithm, now()).expect("keys");
    }
    Arc::new(SigningKeys::open_or_create(directory.path(), active, now()).expect("keys"))
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
pub(in crate::auth) fn signed(keys: &SigningKeys, header: &Value, payload: &Value) -> Secret {
    let message = unsigned(header, payload);
    Secret::new(format!("{message}.{}", keys.active().signature(&message)))
}
