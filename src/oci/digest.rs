//! Content digests: the address of a blob or a manifest.
//!
//! Only the two algorithms that the OCI image spec registers are known, so that a digest has one spelling.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// A digest: `sha256:` and 64, or `sha512:` and 128, lower-case hexadecimal digits. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Arc<str>);

/// A text is not a [`Digest`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a digest is `sha256:` or `sha512:` and the hash in lower-case hexadecimal digits")]
pub struct DigestError;

impl Digest {
    /// The digest `text`.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hash) = text.split_once(':').ok_or(DigestError)?;
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return Err(DigestError),
        };
        let is_hash = hash.len() == length && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hash { Ok(Self(text.into())) } else { Err(DigestError) }
    }

    /// The SHA-256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        let text = hash.iter().fold(String::from("sha256:"), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self(text.into())
    }

    /// The digest as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` names an algorithm that [`Digest`] knows.
pub(super) fn is_algorithm(text: &str) -> bool {
    matches!(text, "sha256" | "sha512")
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.as_str().to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_two_registered_algorithms() {
        for text in [format!("sha256:{}", "0a".repeat(32)), format!("sha512:{}", "9f".repeat(64))] {
            assert_eq!(Digest::parse(&text).map(|digest| digest.to_string()), Ok(text));
        }
    }

    #[test]
    fn is_that_of_a_content() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::sha256(b"").as_str(), empty);
        assert_eq!(Digest::parse(empty), Ok(Digest::sha256(b"")));
    }

    #[test]
    fn refuses_every_other_spelling() {
        let hash = "0a".repeat(32);
        for text in [
            String::new(),
            hash.clone(),
            "sha256".to_owned(),
            "sha256:".to_owned(),
            format!("SHA256:{hash}"),
            format!("sha256:{}", hash.to_uppercase()),
            format!("sha256:{}", &hash[1..]),
            format!("sha256:{hash}0"),
            format!("sha512:{hash}"),
            format!("sha384:{}", "0a".repeat(48)),
            format!("md5:{}", "0a".repeat(16)),
            format!("sha256+b64:{hash}"),
            format!("sha256:{}g", &hash[1..]),
            format!("sha256::{hash}"),
            format!(" sha256:{hash}"),
        ] {
            assert_eq!(Digest::parse(&text), Err(DigestError), "{text}");
        }
    }
}
