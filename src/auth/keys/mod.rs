//! The keys of an installation: those that sign access and refresh tokens, and the one that digests secrets.
//!
//! They lie in one directory and are made at the first start. What lies there and cannot be used stops the start: a
//! silently replaced key would end every session, and a key that others can read is worth nothing (threat class S).

mod files;
mod signing_key;
#[cfg(test)]
mod tests;

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::secret::HashKey;

use files::{KeyDirectory, Visibility};

pub use files::KeysError;
pub(super) use signing_key::SigningKey;

const HASH_KEY_FILE: &str = "hash.key";

/// How tokens are signed. Both are understood by Distribution 2.8 and 3.x.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits: what ACR uses (S1-28).
    #[default]
    Rs256,
    /// ECDSA on P-256 with SHA-256: shorter tokens, cheaper to sign, dearer to verify.
    Es256,
}

impl SigningAlgorithm {
    const ALL: [Self; 2] = [Self::Rs256, Self::Es256];

    /// The `alg` of RFC 7518.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    const fn key_file(self) -> &'static str {
        match self {
            Self::Rs256 => "signing-rs256.key",
            Self::Es256 => "signing-es256.key",
        }
    }

    const fn certificate_file(self) -> &'static str {
        match self {
            Self::Rs256 => "signing-rs256.crt",
            Self::Es256 => "signing-es256.crt",
        }
    }
}

/// The key that signs, every key that still verifies, and the hash key.
#[derive(Debug)]
pub struct SigningKeys {
    active: SigningKey,
    /// The key of the other algorithm, when the directory holds one: tokens signed before a change stay good.
    older: Option<SigningKey>,
    hash_key: HashKey,
}

impl SigningKeys {
    /// Reads the keys in `directory`, and makes those that are missing. `now` dates a new certificate.
    ///
    /// It reads and writes files and may generate an RSA key: call it at the start, not on a request thread.
    ///
    /// # Errors
    /// When anything there is unreadable, malformed, open to others than its owner, or does not belong together.
    pub fn open_or_create(directory: &Path, algorithm: SigningAlgorithm, now: Timestamp) -> Result<Self, KeysError> {
        let directory = KeyDirectory::open_or_create(directory)?;
        let hash_key = open_or_create_hash_key(&directory)?;
        let active = SigningKey::open_or_create(&directory, algorithm, now)?;
        let mut older = None;
        for other in SigningAlgorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            if directory.read(other.key_file(), Visibility::Secret)?.is_some() {
                older = Some(SigningKey::open_or_create(&directory, other, now)?);
            }
        }
        Ok(Self { active, older, hash_key })
    }

    /// The key under which this installation digests its secrets.
    pub fn hash_key(&self) -> &HashKey {
        &self.hash_key
    }

    /// The public keys as a JWK set (RFC 7517), the active one first.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.all().map(SigningKey::jwk).collect::<Vec<_>>() })
    }

    /// The certificates of all keys, the active one's first, in PEM: what Distribution wants as `rootcertbundle`.
    pub fn certificate_pem(&self) -> String {
        self.all().map(SigningKey::certificate_pem).collect()
    }

    pub(super) fn active(&self) -> &SigningKey {
        &self.active
    }

    /// The key with this RFC 7638 thumbprint.
    pub(super) fn by_id(&self, kid: &str) -> Option<&SigningKey> {
        self.all().find(|key| key.id() == kid)
    }

    fn all(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.active).chain(&self.older)
    }
}

fn open_or_create_hash_key(directory: &KeyDirectory) -> Result<HashKey, KeysError> {
    let text = directory.read_or_create(HASH_KEY_FILE, Visibility::Secret, || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(STANDARD.encode(bytes) + "\n")
    })?;
    let bytes = STANDARD.decode(text.trim_end()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(HashKey::from_bytes).ok_or_else(|| KeysError::Invalid {
        path: directory.path_of(HASH_KEY_FILE),
        reason: "it is not the base64 text of 32 bytes".to_owned(),
    })
}
