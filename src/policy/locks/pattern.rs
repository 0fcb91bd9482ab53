//! Tag patterns: a tag, with `*` for any run of characters.

use std::fmt;

use thiserror::Error;

use crate::oci::Tag;
use crate::policy::claims::ClaimPattern;

/// The longest tag, in characters.
const LONGEST: usize = 128;

/// Which tags a rule is about. Upper and lower case differ, as in tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct TagPattern(ClaimPattern);

/// Why a text is not a tag pattern: no tag could be like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(in crate::policy) enum TagPatternError {
    #[error("it is empty")]
    Empty,
    #[error("a tag has letters, digits, `_`, `.` and `-` only, and `*` stands for any run of them")]
    Character,
    #[error("a tag does not begin with `.` or `-`, so this rule could never match")]
    Beginning,
    #[error("a tag has at most 128 characters, so this rule could never match")]
    TooLong,
}

impl TagPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When no tag at all is like it.
    pub(in crate::policy) fn parse(text: &str) -> Result<Self, TagPatternError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !text.bytes().all(|byte| is_word(byte) || byte == b'*') {
            return Err(TagPatternError::Character);
        }
        if text.starts_with(['.', '-']) {
            return Err(TagPatternError::Beginning);
        }
        if text.bytes().filter(|byte| *byte != b'*').count() > LONGEST {
            return Err(TagPatternError::TooLong);
        }
        ClaimPattern::parse(text).map(Self).ok_or(TagPatternError::Empty)
    }

    pub(super) fn covers(&self, tag: &Tag) -> bool {
        self.0.matches(tag.as_str())
    }

    /// The only tag that it covers, if there is only one.
    pub(super) fn exact(&self) -> Option<Tag> {
        self.0.exact().and_then(|text| Tag::parse(text).ok())
    }

    /// Whether it covers everything that `other` covers: it does so when it takes the `*` of `other` for characters like
    /// any, which only its own `*` is like.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.0.matches(&other.0.to_string())
    }
}

/// What [`TagPattern::parse`] reads.
impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
