//! The owner's credential: what is kept of it, and whether something is it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::secret::{HashKey, KeyedDigest, Secret};

/// What is kept of the owner's credential: its digest, replaced when the credential is. Clones share it.
#[derive(Debug, Clone)]
pub struct OwnerCredential {
    hash_key: HashKey,
    digest: Arc<ArcSwap<KeyedDigest>>,
}

impl OwnerCredential {
    /// Accepts `credential` and no other.
    pub fn new(hash_key: HashKey, credential: &Secret) -> Self {
        let digest = digest(&hash_key, credential.expose());
        Self { hash_key, digest: Arc::new(ArcSwap::from_pointee(digest)) }
    }

    /// Accepts `credential` from now on, and the former one no longer.
    pub fn replace(&self, credential: &Secret) {
        self.digest.store(Arc::new(digest(&self.hash_key, credential.expose())));
    }

    /// Whether it is the credential in force.
    pub(super) fn is(&self, presented: &Secret) -> bool {
        // Digests are compared in constant time, and reveal nothing of what they are made of.
        digest(&self.hash_key, presented.expose()) == **self.digest.load()
    }
}

fn digest(key: &HashKey, credential: &str) -> KeyedDigest {
    key.digest("management credential", &[credential.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_credential_in_force_is_the_owners() {
        let owner = OwnerCredential::new(HashKey::from_bytes([1; 32]), &Secret::new("right"));
        let is = |presented: &str| owner.is(&Secret::new(presented));
        assert!(is("right"));
        assert!(!is("wrong") && !is("") && !is("righ") && !is("right "));
        owner.clone().replace(&Secret::new("new"));
        assert!(is("new") && !is("right"));
    }
}
