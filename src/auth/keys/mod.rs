//! The keys of an installation: those that sign access and refresh tokens, and the one that digests secrets.
//!
//! All replicas share them. They are kept where the management API can change them; here they are made, checked and put
//! into force ([`Keyring`]). What is kept and cannot be used stops the start: a silently replaced key would end every
//! session, and a key that others can read is worth nothing (threat class S).

mod directory;
mod files;
mod keyring;
mod material;
mod random_key;
mod rotation;
mod signing_key;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

pub use directory::{FormerKeys, encryption_key, former_keys, make_encryption_key};
pub use files::{Visibility, make_directory, replace_file};
pub use keyring::Keyring;
pub use material::KeyMaterial;
pub use random_key::{parse_hash_key, random_key};
pub use rotation::{Irrevocable, Rotation, Term, revocation, rotation};

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

    /// The algorithm of this `alg`, letter for letter.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Why keys cannot be made, read or used.
#[derive(Debug, Error)]
pub enum KeysError {
    #[error("cannot {action} `{}`: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the key directory `{}` can be changed by others than its owner; run: chmod 700", path.display())]
    DirectoryOpen { path: PathBuf },
    #[error("the secret file `{}` can be read or changed by others than its owner; run: chmod 600", path.display())]
    FileOpen { path: PathBuf },
    #[error("the file `{}` is not usable: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error("the signing key `{id}` is not usable: {reason}")]
    Unusable { id: String, reason: String },
    #[error("there is no signing key")]
    NoSigningKey,
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("cannot make a {what}: {source}")]
    Generate { what: &'static str, source: rcgen::Error },
}

impl KeysError {
    fn unusable<E: Display>(id: &str) -> impl Fn(E) -> Self {
        move |reason| Self::Unusable { id: id.to_owned(), reason: reason.to_string() }
    }
}
