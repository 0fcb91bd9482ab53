//! Content digests: the address of a blob or a manifest.
//!
//! Only the two algorithms that the OCI image spec registers are known, so that a digest has one spelling.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};
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
        // To the end in any case, so that many bytes are looked at in one step.
        let is_hash = hash.len() == length && hash.bytes().fold(true, |clean, byte| clean & is_digit(byte));
        if is_hash { Ok(Self(text.into())) } else { Err(DigestError) }
    }

    /// The SHA-256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self(hexadecimal("sha256:", &Sha256::digest(bytes)).into())
    }

    /// Whether bytes have this digest, to be found out piece by piece.
    pub fn verification(&self) -> Verification {
        let hash =
            if self.0.starts_with("sha512:") { Hash::Sha512(Box::default()) } else { Hash::Sha256(Sha256::default()) };
        Verification { wanted: self.clone(), hash }
    }

    /// The digest as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a byte is a lower-case hexadecimal digit.
const fn is_digit(byte: u8) -> bool {
    (byte.wrapping_sub(b'0') < 10) | (byte.wrapping_sub(b'a') < 6)
}

/// Bytes on their way, to be compared with a digest at their end.
#[derive(Clone)]
pub struct Verification {
    wanted: Digest,
    hash: Hash,
}

#[derive(Clone)]
enum Hash {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Verification {
    /// The next bytes.
    pub fn take(&mut self, piece: &[u8]) {
        match &mut self.hash {
            Hash::Sha256(hash) => hash.update(piece),
            Hash::Sha512(hash) => hash.update(piece),
        }
    }

    /// Whether all of them together have the digest.
    pub fn holds(self) -> bool {
        let found = match self.hash {
            Hash::Sha256(hash) => hexadecimal("sha256:", &hash.finalize()),
            Hash::Sha512(hash) => hexadecimal("sha512:", &hash.finalize()),
        };
        found == self.wanted.as_str()
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verification").field(&self.wanted).finish()
    }
}

fn hexadecimal(algorithm: &str, hash: &[u8]) -> String {
    let mut text = String::with_capacity(algorithm.len() + 2 * hash.len());
    text.push_str(algorithm);
    for digit in hash.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
    }
    text
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
    fn a_digit_is_lower_case_hexadecimal() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_digit(byte), matches!(byte, b'0'..=b'9' | b'a'..=b'f'), "{byte}");
        }
    }

    #[test]
    fn is_that_of_a_content() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::sha256(b"").as_str(), empty);
        assert_eq!(Digest::parse(empty), Ok(Digest::sha256(b"")));
    }

    #[test]
    fn bytes_are_compared_piece_by_piece() {
        let sha512 = format!(
            "sha512:{}",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836\
             ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
        for digest in [Digest::sha256(b"abc"), Digest::parse(&sha512).unwrap()] {
            let verified = |pieces: &[&[u8]]| {
                let mut verification = digest.verification();
                for piece in pieces {
                    verification.take(piece);
                }
                verification.holds()
            };
            assert!(verified(&[b"abc"]) && verified(&[b"a", b"", b"bc"]), "{digest}");
            assert!(!verified(&[]) && !verified(&[b"ab"]) && !verified(&[b"abcd"]), "{digest}");
        }
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
