//! What a manifest is asked for by: a tag, which moves, or a digest, which does not.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::digest::{Digest, DigestError};

/// A tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

/// A tag or a digest; never ambiguous, for a tag holds no colon.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reference {
    Tag(Tag),
    Digest(Digest),
}

/// A text is not a [`Tag`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a tag has at most 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two")]
pub struct TagError;

/// Why a text is not a [`Reference`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ReferenceError {
    /// It has no colon, so a tag was meant.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// It has a colon, so a digest was meant.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Tag {
    /// The tag `text`.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_tag = text.len() <= 128
            && text.bytes().next().is_some_and(is_word)
            && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'));
        if is_tag { Ok(Self(text.into())) } else { Err(TagError) }
    }

    /// The tag as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Reference {
    /// The tag or digest `text`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') { Ok(Self::Digest(Digest::parse(text)?)) } else { Ok(Self::Tag(Tag::parse(text)?)) }
    }

    /// The tag, if it is one.
    pub const fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }

    /// The reference as it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tag(tag) => tag.as_str(),
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_every_tag_of_the_grammar() {
        let longest = "a".repeat(128);
        for tag in ["a", "_", "0", "v1.0-rc.1", "Latest", "a..b", "list", "uploads", &longest] {
            assert_eq!(Reference::parse(tag).map(|tag| tag.to_string()), Ok(tag.to_owned()));
        }
    }

    #[test]
    fn refuses_what_is_neither_tag_nor_digest() {
        let too_long = "a".repeat(129);
        for tag in ["", ".", "..", ".a", "-a", "a/b", "a%31", "a b", "a+b", "é", "a\0", "a@b", &too_long] {
            assert_eq!(Reference::parse(tag), Err(ReferenceError::Tag(TagError)), "{tag}");
        }
        for digest in [":", "a:b", "sha256:", "sha256:0"] {
            assert_eq!(Reference::parse(digest), Err(ReferenceError::Digest(DigestError)), "{digest}");
        }
    }
}
