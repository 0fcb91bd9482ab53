//! Access tokens for peers that verify a signature themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::KeyPair;
use seawall::auth::access_token::{Access, AccessClaims, AccessTokens};
use seawall::auth::keys::{KeyMaterial, Keyring, SigningAlgorithm};
use seawall::clock::{Clock, SystemClock};
use seawall::policy::credential::PrincipalId;
use seawall::secret::HashKey;

pub(crate) const ISSUER: &str = "bench";
pub(crate) const SERVICE: &str = "registry.bench.test";

/// An ES256 key, and tokens that it has signed.
pub(crate) struct Minter {
    key: KeyMaterial,
}

impl Minter {
    pub(crate) fn new() -> Self {
        Self { key: KeyMaterial::generate(SigningAlgorithm::Es256, SystemClock.now()).unwrap() }
    }

    /// Writes the public key; returns the file.
    pub(crate) fn public_key(&self, directory: &Path) -> PathBuf {
        let file = directory.join("public.pem");
        let pair = KeyPair::from_pem(self.key.private_key_pem.expose()).unwrap();
        fs::write(&file, pair.public_key_pem()).unwrap();
        file
    }

    /// Writes the certificate; returns the file.
    pub(crate) fn certificate(&self, directory: &Path) -> PathBuf {
        let file = directory.join("root.crt");
        fs::write(&file, &self.key.certificate_pem).unwrap();
        file
    }

    /// A token with these actions on a repository.
    pub(crate) fn token(&self, repository: &str, actions: &[&str]) -> String {
        let keys = Arc::new(Keyring::new(std::slice::from_ref(&self.key), HashKey::from_bytes([1; 32])).unwrap());
        let claims = AccessClaims {
            subject: "bench".to_owned(),
            audience: SERVICE.to_owned(),
            principal: "00112233445566778899aabbccddeeff".parse::<PrincipalId>().unwrap(),
            credential: None,
            access: vec![Access {
                kind: "repository".to_owned(),
                name: repository.to_owned(),
                actions: actions.iter().map(|&action| action.to_owned()).collect(),
            }],
            identity: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tokens = AccessTokens::new(keys, ISSUER);
        runtime.block_on(tokens.mint(claims, SystemClock.now())).unwrap().token.expose().to_owned()
    }
}
