//! Query strings and form bodies, read by one strict rule.
//!
//! Go, which runs most upstreams, treats `;` differently from release to release, and parsers disagree on which of two
//! equal keys wins. Both are errors here, so that nobody behind us can read another value than we did (threats 4.1).

use std::borrow::Cow;

use super::error::{ErrorCode, RouteError};
use super::percent::{self, PercentError, Plus};

/// The most pairs that a query or a form may hold.
pub const MAX_PAIRS: usize = 100;

/// The keys that the protocol gives one value.
const SINGLE: [&str; 9] =
    ["artifactType", "digest", "digest-algorithm", "from", "last", "mount", "n", "orderby", "_state"];

/// The pairs of a query, or of an `application/x-www-form-urlencoded` body, in their order.
///
/// Keys and values are decoded exactly once, `+` being a space. At most [`MAX_PAIRS`]; the caller bounds the length.
/// A raw `;`, a broken escape, text that is not UTF-8, and control characters are errors.
pub fn pairs(raw: &str) -> Result<Vec<(String, String)>, RouteError> {
    if raw.contains(';') {
        return Err(refused("a query separates its parameters with `&`, never with `;`"));
    }
    let mut pairs = Vec::new();
    for item in raw.split('&').filter(|item| !item.is_empty()) {
        if pairs.len() == MAX_PAIRS {
            return Err(refused("a query has too many parameters"));
        }
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        pairs.push((decode(key)?, decode(value)?));
    }
    Ok(pairs)
}

/// The query of a registry route: no key of the protocol has two values.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(raw: &str) -> Result<Self, RouteError> {
        let pairs = pairs(raw)?;
        for key in SINGLE {
            if pairs.iter().filter(|(name, _)| name == key).count() > 1 {
                return Err(refused("a query gives two values to a parameter that has one"));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a key of [`SINGLE`]. An empty value counts as none, as in Distribution.
    pub(super) fn one(&self, key: &'static str) -> Option<&str> {
        debug_assert!(SINGLE.contains(&key), "only these are known to be single");
        self.all(key).next().filter(|value| !value.is_empty())
    }

    /// Every value of `key`.
    pub(super) fn all(&self, key: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

fn decode(raw: &str) -> Result<String, RouteError> {
    percent::decode(raw, Plus::Space).map(Cow::into_owned).map_err(|error| {
        refused(match error {
            PercentError::Escape => "a query has a broken percent escape",
            PercentError::Utf8 => "a query does not decode to UTF-8",
            PercentError::Control => "a query holds a control character",
        })
    })
}

const fn refused(reason: &'static str) -> RouteError {
    RouteError::malformed(ErrorCode::Unsupported, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn keys_and_values_are_decoded_once() {
        for (raw, expected) in [
            ("", &[][..]),
            ("&&", &[]),
            ("a", &[("a", "")]),
            ("a=", &[("a", "")]),
            ("=a", &[("", "a")]),
            ("a=b=c", &[("a", "b=c")]),
            ("f%72om=secret%2Fapp", &[("from", "secret/app")]),
            ("a=%2526", &[("a", "%26")]),
            ("a+b=c+d%2B", &[("a b", "c d+")]),
            ("scope=x&scope=y", &[("scope", "x"), ("scope", "y")]),
            ("a=%3B%26", &[("a", ";&")]),
        ] {
            assert_eq!(pairs(raw), Ok(owned(expected)), "{raw}");
        }
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        for raw in ["a;b", "mount=x;from=y", ";", "a=%", "%zz=1", "a=%ff", "a=%00", "a=b\n", "a=%0d%0ab"] {
            assert_eq!(pairs(raw).map_err(|error| (error.status(), error.code())), Err((400, ErrorCode::Unsupported)));
        }
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        assert!(pairs(&"a&".repeat(MAX_PAIRS)).is_ok());
        assert!(pairs(&"a&".repeat(MAX_PAIRS + 1)).is_err());
    }

    #[test]
    fn a_repeated_key_is_refused_however_it_is_spelled() {
        for key in SINGLE {
            for raw in [format!("{key}=a&{key}=b"), format!("{key}&{key}=a"), format!("{key}=a&{key}=a")] {
                assert!(Query::parse(&raw).is_err(), "{raw}");
            }
        }
        assert!(Query::parse("from=a&fro%6d=b").is_err());
        assert!(Query::parse("tag=a&tag=b&ns=c&ns=d").is_ok());
    }
}
