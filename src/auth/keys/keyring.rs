//! The keys in force, replaced while requests are served.

use std::cmp::Reverse;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::signing_key::SigningKey;
use super::{KeyMaterial, KeysError};
use crate::secret::HashKey;

/// The signing keys of this moment, and the hash key, which stays: one per process.
///
/// Whoever remembers that a signature was right asks the keyring before he believes it again: a key that was
/// revoked or has retired makes everything that it signed worthless at once.
#[derive(Debug)]
pub struct Keyring {
    /// The one that became active last stands first.
    signing: ArcSwap<Vec<Arc<SigningKey>>>,
    hash_key: HashKey,
}

impl Keyring {
    /// A ring of these keys.
    ///
    /// # Errors
    /// [`KeysError::Unusable`] when one of them is, [`KeysError::NoSigningKey`] when there is none.
    pub fn new(signing: &[KeyMaterial], hash_key: HashKey) -> Result<Self, KeysError> {
        let signing: Vec<_> = signing.iter().map(SigningKey::new).collect::<Result<_, _>>()?;
        if signing.is_empty() {
            return Err(KeysError::NoSigningKey);
        }
        Ok(Self { signing: ArcSwap::from_pointee(sorted(signing)), hash_key })
    }

    /// Puts these keys into force and no others, from the next request on. Those that cannot be used are left out and
    /// named: one damaged key must not keep a revoked one in force. When none can be used everything stays as it is, which
    /// [`KeysError::NoSigningKey`] tells: without a key nobody could log in any more.
    pub fn replace(&self, signing: &[KeyMaterial]) -> Vec<KeysError> {
        let mut refused = Vec::new();
        let keep = |key: Result<SigningKey, KeysError>| key.map_err(|error| refused.push(error)).ok();
        let signing: Vec<_> = signing.iter().map(SigningKey::new).filter_map(keep).collect();
        if signing.is_empty() {
            refused.push(KeysError::NoSigningKey);
        } else {
            self.signing.store(Arc::new(sorted(signing)));
        }
        refused
    }

    /// The key under which this installation digests its secrets.
    pub fn hash_key(&self) -> &HashKey {
        &self.hash_key
    }

    /// The public keys that count at `now` as a JWK set (RFC 7517), the newest first. A key that does not sign yet is
    /// among them, so that verifiers know it in time.
    pub fn jwks(&self, now: Timestamp) -> Value {
        let signing = self.signing.load();
        json!({ "keys": counting(&signing, now).map(|key| key.jwk()).collect::<Vec<_>>() })
    }

    /// The certificates of the keys that count at `now`, the newest first, in PEM: what Distribution wants as
    /// `rootcertbundle`.
    pub fn certificate_pem(&self, now: Timestamp) -> String {
        counting(&self.signing.load(), now).map(|key| key.certificate_pem()).collect()
    }

    /// The key that signs at `now`: of those that are active the newest. When none is, because this machine's clock is
    /// behind that of the machine which made them, the one whose turn comes first.
    pub(in crate::auth) fn signing(&self, now: Timestamp) -> Option<Arc<SigningKey>> {
        let signing = self.signing.load();
        let active = counting(&signing, now).find(|key| key.active_from <= now);
        active.or_else(|| counting(&signing, now).last()).cloned()
    }

    /// The key with this RFC 7638 thumbprint, if what it signed may be accepted at `now`.
    pub(in crate::auth) fn verifying(&self, kid: &str, now: Timestamp) -> Option<Arc<SigningKey>> {
        counting(&self.signing.load(), now).find(|key| **key.id() == *kid).cloned()
    }

    /// Whether there is such a key. It copies nothing: remembered tokens ask it on every use.
    pub(in crate::auth) fn knows(&self, kid: &str, now: Timestamp) -> bool {
        counting(&self.signing.load(), now).any(|key| **key.id() == *kid)
    }
}

fn counting(signing: &[Arc<SigningKey>], now: Timestamp) -> impl Iterator<Item = &Arc<SigningKey>> {
    signing.iter().filter(move |key| key.counts_at(now))
}

/// By id where the times agree, so that all replicas sign with the same key.
fn sorted(signing: Vec<SigningKey>) -> Vec<Arc<SigningKey>> {
    let mut signing: Vec<_> = signing.into_iter().map(Arc::new).collect();
    signing.sort_by_key(|key| (Reverse(key.active_from), Arc::clone(key.id())));
    signing
}
