//! Repository names, in the grammar of Distribution's references.
//!
//! The grammar is the one every upstream shares, without the optional host part that Distribution's own routes accept:
//! a name with upper case or a port would be one repository here and another behind us.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest repository name, in bytes (OCI distribution spec, "Pulling manifests").
pub const MAX_NAME: usize = 255;

/// A repository name: path components of `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` joined by `/`, at most 255 bytes.
///
/// Never empty, never with a leading, trailing or doubled slash, never with `.` or `..` as a component. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Arc<str>);

/// Why a text is not a [`RepositoryName`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum NameError {
    /// Longer than 255 bytes.
    #[error("a repository name has at most 255 characters")]
    TooLong,
    /// Not in the grammar; the empty text is one of these.
    #[error("a repository name is made of lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`")]
    Malformed,
}

impl RepositoryName {
    /// The repository name `text`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        if text.split('/').all(is_component) { Ok(Self(text.into())) } else { Err(NameError::Malformed) }
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` is one path component: runs of letters and digits with exactly one separator between two runs.
fn is_component(text: &str) -> bool {
    let mut rest = text.as_bytes();
    loop {
        let run = leading(rest, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let (letters, after) = rest.split_at(run);
        if letters.is_empty() {
            return false;
        }
        if after.is_empty() {
            return true;
        }
        let separator = match after {
            [b'_', b'_', ..] => 2,
            [b'.' | b'_', ..] => 1,
            _ => leading(after, |byte| byte == b'-'),
        };
        if separator == 0 {
            return false;
        }
        (_, rest) = after.split_at(separator);
    }
}

fn leading(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| belongs(**byte)).count()
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_distribution_accepts() {
        let longest = "a".repeat(255);
        for name in ["a", "0", "a/b", "library/hello-world", "a.b", "a_b", "a__b", "a---b", "a-b.c_d__e/f9", &longest] {
            assert_eq!(RepositoryName::parse(name).map(|name| name.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn refuses_what_distribution_refuses() {
        for name in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/./b",
            "a/../b",
            "A",
            "aB",
            "a..b",
            "a___b",
            "a._b",
            "a-_b",
            "a.-b",
            "-a",
            "a-",
            "_a",
            "a_",
            ".a",
            "a.",
            "a:b",
            "a@b",
            "a%2fb",
            "a\\b",
            "a b",
            "a\0",
            "é",
            "_catalog",
            "host:5000/a",
        ] {
            assert_eq!(RepositoryName::parse(name), Err(NameError::Malformed), "{name}");
        }
        assert_eq!(RepositoryName::parse(&"a".repeat(256)), Err(NameError::TooLong));
    }
}
