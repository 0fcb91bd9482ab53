//! Things that must never be printed, the key that turns them into digests, and the key that seals them.

mod sealed;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

pub use sealed::{EncryptionKey, SealError, Sealed};

/// A text that no log, error or `Debug` may show.
///
/// There is no `Display` and no `PartialEq`: it leaves only through [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Without a final line break, as editors leave it.
    #[must_use]
    pub fn without_line_break(self) -> Self {
        let text = self.expose();
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.len() == self.0.len() { self } else { Self::new(text) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// 32 bytes made by [`HashKey::digest`]; compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct KeyedDigest([u8; 32]);

impl KeyedDigest {
    /// A digest that was written down earlier.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for writing them down.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for KeyedDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for KeyedDigest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedDigest(…)")
    }
}

/// The key under which secrets are digested (HMAC-SHA-256).
///
/// Replicas that share it compute the same digests, and so the same credential ids.
#[derive(Clone)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// A key made of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of `parts` for the purpose `domain`.
    ///
    /// Every part is framed by its length, so that no two lists of parts share an input (threat class R).
    pub fn digest(&self, domain: &str, parts: &[&[u8]]) -> KeyedDigest {
        // HMAC pads a short key with zeros to the block size; doing it here leaves no error case.
        let mut block = [0_u8; 64];
        block.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        KeyedDigest(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }

    #[test]
    fn parts_cannot_be_moved_across_their_border() {
        let key = HashKey::from_bytes([7; 32]);
        assert_ne!(key.digest("d", &[b"ab", b"c"]), key.digest("d", &[b"a", b"bc"]));
        assert_ne!(key.digest("d", &[b"a"]), key.digest("e", &[b"a"]));
    }
}
