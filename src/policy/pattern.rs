//! Repository patterns: an exact name, `prefix/*`, or `*` (S3-37 … S3-51).
//!
//! A wildcard covers whole path segments only, so `sample/*` never covers `sample` or `samples/x`.

use std::fmt;

use thiserror::Error;

use crate::oci::RepositoryName;

/// Which repositories a rule of a scope map is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RepositoryPattern {
    /// `*`: every repository (S3-48).
    All,
    /// `prefix/*`: everything below `prefix`, not `prefix` itself (S3-44). Holds `prefix/`.
    Below(Box<str>),
    /// One repository.
    Exact(RepositoryName),
}

/// Why a text is not a repository pattern. The message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    #[error("a wildcard pattern has a single `*`")]
    SeveralWildcards,
    #[error("the wildcard must be the last segment: write `prefix/*`, or `*` for every repository")]
    WildcardNotLast,
    #[error("a repository name does not begin with `/`, so this rule could never match")]
    LeadingSlash,
    #[error(
        "not a repository name: lower-case letters, digits and `.`, `_`, `-` between them, in segments separated by `/`"
    )]
    Name,
}

impl RepositoryPattern {
    /// Reads a pattern. As in `az acr`, upper-case letters are folded: no repository name has them on the wire.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Ok(Self::All);
        }
        if text.starts_with('/') {
            return Err(PatternError::LeadingSlash);
        }
        let Some((before, after)) = text.split_once('*') else {
            return RepositoryName::parse(&text).map(Self::Exact).map_err(|_| PatternError::Name);
        };
        if after.contains('*') {
            return Err(PatternError::SeveralWildcards);
        }
        match before.strip_suffix('/') {
            Some(prefix) if after.is_empty() => {
                RepositoryName::parse(prefix).map_err(|_| PatternError::Name)?;
                Ok(Self::Below(before.into()))
            }
            _ => Err(PatternError::WildcardNotLast),
        }
    }

    /// Whether `repository` is covered; it need not exist (S3-50).
    pub fn covers(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::All => true,
            Self::Below(prefix) => repository.as_str().starts_with(&**prefix),
            Self::Exact(name) => name == repository,
        }
    }

    /// Whether it covers everything that `other`, which is another one, covers.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            _ if self == other => false,
            (Self::All, _) => true,
            (Self::Below(prefix), Self::Below(inner)) => inner.starts_with(&**prefix),
            (Self::Below(_), Self::Exact(name)) => self.covers(name),
            (Self::Below(_), Self::All) | (Self::Exact(_), _) => false,
        }
    }
}

/// What [`RepositoryPattern::parse`] reads.
impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Exact(name) => f.write_str(name.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_stand_alone_at_the_end() {
        // S3-44 … S3-48
        for good in ["*", "sample/*", "sample/teamA/*", "sample/teamA/projectB"] {
            assert!(RepositoryPattern::parse(good).is_ok(), "{good}");
        }
        let bad = [
            ("sample/*/teamA", PatternError::WildcardNotLast),             // S3-45
            ("sample/teamA*", PatternError::WildcardNotLast),              // S3-46
            ("sample/teamA/*/projectB/*", PatternError::SeveralWildcards), // S3-47
            ("/sample/*", PatternError::LeadingSlash),
            ("**", PatternError::SeveralWildcards),
            ("/*", PatternError::LeadingSlash),
            ("sam ple", PatternError::Name),
            ("sample//*", PatternError::Name),
            ("", PatternError::Name),
        ];
        for (text, error) in bad {
            assert_eq!(RepositoryPattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_wildcard_covers_whole_segments_below_its_prefix() {
        let covers = |pattern: &str, name: &str| {
            RepositoryPattern::parse(pattern).unwrap().covers(&RepositoryName::parse(name).unwrap())
        };
        assert!(covers("sample/*", "sample/x"));
        assert!(covers("sample/*", "sample/teamc/teamcimage"));
        assert!(!covers("sample/*", "sample"));
        assert!(!covers("sample/*", "samples/x"));
        assert!(!covers("sample/*", "other/sample/x"));
        assert!(covers("*", "anything/at/all"));
        assert!(covers("sample", "sample"));
        assert!(!covers("sample", "sample/x"));
    }

    proptest! {
        #[test]
        fn what_is_below_a_prefix_is_covered_and_nothing_else(
            prefix in "[a-z0-9]{1,4}(/[a-z0-9]{1,4}){0,2}",
            other in "[a-z0-9]{1,4}(/[a-z0-9]{1,4}){0,4}",
        ) {
            let pattern = RepositoryPattern::parse(&format!("{prefix}/*")).unwrap();
            let segments: Vec<&str> = prefix.split('/').collect();
            let below = other.split('/').take(segments.len()).eq(segments.iter().copied())
                && other.split('/').count() > segments.len();
            prop_assert_eq!(pattern.covers(&RepositoryName::parse(&other).unwrap()), below);
            prop_assert_eq!(RepositoryPattern::parse(&pattern.to_string()), Ok(pattern));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = RepositoryPattern::parse(&text);
        }
    }
}
