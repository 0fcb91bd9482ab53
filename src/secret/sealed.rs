//! Secrets that must be read again, such as generated admin passwords: encrypted with a key that is not where they are.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{HashKey, Secret};

/// AES-256-GCM's nonce, in front of each encrypted text.
const NONCE_BYTES: usize = 12;

/// An encrypted secret as text. It may be written anywhere; only [`EncryptionKey::open`] makes a secret of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

impl Sealed {
    /// As a value in a query, where it needs no escapes.
    pub fn to_url(&self) -> String {
        self.0.replace('+', "-").replace('/', "_")
    }

    /// What [`Self::to_url`] has written; other texts open nothing, so that each has one spelling.
    pub fn from_url(text: &str) -> Option<Self> {
        (!text.contains(['+', '/'])).then(|| Self(text.replace('-', "+").replace('_', "/")))
    }
}

/// Why a secret cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    #[error("it was not encrypted with this encryption key, or for another place")]
    NotOurs,
    #[error("the system gives no random numbers or no memory")]
    System,
}

/// The key that seals what the store must give back: AES-256-GCM with random nonces.
#[derive(Clone)]
pub struct EncryptionKey([u8; 32]);

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(…)")
    }
}

impl EncryptionKey {
    /// The key for one purpose and place, which whoever has `key` can make again.
    pub fn derive(key: &HashKey, domain: &str, parts: &[&[u8]]) -> Self {
        Self(*key.digest(domain, parts).as_bytes())
    }

    /// The key that an operator's secret stands for. The secret must have the entropy of a key: it is not stretched.
    pub fn of_secret(secret: &Secret) -> Self {
        let digest = HashKey::from_bytes([0; 32]).digest("encryption key", &[secret.expose().as_bytes()]);
        Self(*digest.as_bytes())
    }

    /// Seals `secret` for the place that `context` names; it can be opened for the same place only.
    ///
    /// # Errors
    /// [`SealError::System`].
    pub fn seal(&self, context: &[&str], secret: &Secret) -> Result<Sealed, SealError> {
        let mut text = secret.expose().as_bytes().to_vec();
        let nonce = self.key()?.seal_in_place_append_tag(aad(context), &mut text).map_err(|_| SealError::System)?;
        let bytes = [nonce.as_ref().as_slice(), &text].concat();
        Ok(Sealed(STANDARD_NO_PAD.encode(bytes)))
    }

    /// The secret that was sealed for the place that `context` names.
    ///
    /// # Errors
    /// [`SealError::NotOurs`] for any other key, place or text.
    pub fn open(&self, context: &[&str], sealed: &Sealed) -> Result<Secret, SealError> {
        let bytes = STANDARD_NO_PAD.decode(&sealed.0).map_err(|_| SealError::NotOurs)?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::NotOurs)?;
        let mut text = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key()?.open_in_place(nonce, aad(context), &mut text).map_err(|_| SealError::NotOurs)?;
        let text = std::str::from_utf8(opened).map_err(|_| SealError::NotOurs)?;
        Ok(Secret::new(text))
    }

    fn key(&self) -> Result<RandomizedNonceKey, SealError> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0).map_err(|_| SealError::System)
    }
}

/// The place, length-framed, so that no two places share a text.
fn aad(context: &[&str]) -> Aad<Vec<u8>> {
    let mut framed = Vec::new();
    for part in context {
        framed.extend_from_slice(&(part.len() as u64).to_be_bytes());
        framed.extend_from_slice(part.as_bytes());
    }
    Aad::from(framed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> EncryptionKey {
        EncryptionKey::of_secret(&Secret::new(text))
    }

    #[test]
    fn opens_for_its_own_key_and_place_only() {
        let sealed = key("one").seal(&["admin", "myregistry"], &Secret::new("hunter2")).unwrap();
        assert_eq!(key("one").open(&["admin", "myregistry"], &sealed).unwrap().expose(), "hunter2");
        let refused = |opened: Result<Secret, SealError>| opened.err() == Some(SealError::NotOurs);
        assert!(refused(key("two").open(&["admin", "myregistry"], &sealed)));
        assert!(refused(key("one").open(&["adminm", "yregistry"], &sealed)));
        assert!(refused(key("one").open(&["admin", "myregistry"], &Sealed("AAAA".to_owned()))));
        assert!(refused(key("one").open(&["admin", "myregistry"], &Sealed("!".to_owned()))));
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let seal = || key("one").seal(&["a"], &Secret::new("hunter2")).unwrap();
        assert_ne!(seal(), seal());
        assert!(!format!("{:?}", seal()).contains(&seal().0));
    }
}
