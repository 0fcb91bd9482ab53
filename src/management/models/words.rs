//! Small words of the API: fixed lists, moments and durations.

use std::fmt;

use jiff::tz::Offset;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::clock::Timestamp;
use crate::policy::document::{
    ConnectionStatus, EndpointProtocol, ExportStatus, NetworkAction, NetworkRuleBypassOptions, PublicNetworkAccess,
    TokenStatus,
};
use crate::policy::identity::IdentityKind;
use crate::policy::stored::ActionsRequired;

/// A type that has a word for each of its values.
pub(in crate::management) trait Words: Copy + 'static {
    /// Each value with its word, as ARM spells it.
    const ALL: &'static [(&'static str, Self)];
}

impl Words for TokenStatus {
    const ALL: &'static [(&'static str, Self)] = &[("enabled", Self::Enabled), ("disabled", Self::Disabled)];
}

impl Words for PublicNetworkAccess {
    const ALL: &'static [(&'static str, Self)] = &[("Enabled", Self::Enabled), ("Disabled", Self::Disabled)];
}

impl Words for NetworkRuleBypassOptions {
    const ALL: &'static [(&'static str, Self)] = &[("AzureServices", Self::AzureServices), ("None", Self::None)];
}

impl Words for EndpointProtocol {
    const ALL: &'static [(&'static str, Self)] = &[("IPv4", Self::IPv4), ("IPv4AndIPv6", Self::IPv4AndIPv6)];
}

impl Words for ExportStatus {
    const ALL: &'static [(&'static str, Self)] = &[("enabled", Self::Enabled), ("disabled", Self::Disabled)];
}

impl Words for NetworkAction {
    const ALL: &'static [(&'static str, Self)] = &[("Allow", Self::Allow), ("Deny", Self::Deny)];
}

impl Words for ConnectionStatus {
    const ALL: &'static [(&'static str, Self)] = &[
        ("Approved", Self::Approved),
        ("Pending", Self::Pending),
        ("Rejected", Self::Rejected),
        ("Disconnected", Self::Disconnected),
    ];
}

impl Words for ActionsRequired {
    const ALL: &'static [(&'static str, Self)] = &[("None", Self::None), ("Recreate", Self::Recreate)];
}

impl Words for IdentityKind {
    const ALL: &'static [(&'static str, Self)] = &[
        ("User", Self::User),
        ("Group", Self::Group),
        ("SystemAssigned", Self::SystemAssigned),
        ("UserAssigned", Self::UserAssigned),
        ("ServicePrincipal", Self::ServicePrincipal),
        ("KubernetesCluster", Self::KubernetesCluster),
    ];
}

/// A value that is written as one of the words of its type. Case does not matter when it is read, as in ARM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::management) struct Word<T>(pub(in crate::management) T);

// Without parameters, because the derived schemas look for a schema of each parameter.
pub(in crate::management) type StatusWord = Word<TokenStatus>;
pub(in crate::management) type AccessWord = Word<PublicNetworkAccess>;
pub(in crate::management) type BypassWord = Word<NetworkRuleBypassOptions>;
pub(in crate::management) type ProtocolWord = Word<EndpointProtocol>;
pub(in crate::management) type ExportWord = Word<ExportStatus>;
pub(in crate::management) type KindWord = Word<IdentityKind>;
pub(in crate::management) type ActionWord = Word<NetworkAction>;
pub(in crate::management) type LinkStatusWord = Word<ConnectionStatus>;
pub(in crate::management) type ActionsWord = Word<ActionsRequired>;

impl<T: Words + PartialEq> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        T::ALL.iter().find(|(_, value)| *value == self.0).map(|(word, _)| *word).serialize(serializer)
    }
}

impl<'de, T: Words> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOf<T>(std::marker::PhantomData<T>);
        impl<T: Words> Visitor<'_> for OneOf<T> {
            type Value = Word<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let words: Vec<_> = T::ALL.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                f.write_str(&words.join(" or "))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Word<T>, E> {
                let found = T::ALL.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
                found
                    .map(|(_, value)| Word(*value))
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(OneOf(std::marker::PhantomData))
    }
}

impl<T: Words> PartialSchema for Word<T> {
    fn schema() -> RefOr<Schema> {
        let words = T::ALL.iter().map(|(word, _)| *word);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
    }
}

impl<T: Words> ToSchema for Word<T> {}

/// A moment as ARM writes it: RFC 3339 with microseconds and `+00:00` (S3-32).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::management) struct Moment(pub(in crate::management) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0.display_with_offset(Offset::UTC)))
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        date_time()
    }
}

impl ToSchema for Moment {}

/// The end of a password's life. `az` sends and shows the last moment of the year 9999 for "never" (B.2-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::management) struct Expiry(pub(in crate::management) Option<Timestamp>);

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The last moments of that year, in any offset, are more than `Timestamp` holds.
        if text.starts_with("9999-12-3") {
            return Ok(Self(None));
        }
        let example = "a moment such as \"2026-12-31T12:59:59Z\"";
        let wrong = || D::Error::invalid_value(serde::de::Unexpected::Str(&text), &example);
        let moment: Timestamp = text.parse().map_err(|_| wrong())?;
        // As precise as it is shown: what a client reads it may send back.
        let moment = Timestamp::from_microsecond(moment.as_microsecond()).map_err(|_| wrong())?;
        Ok(Self(Some(moment)))
    }
}

impl PartialSchema for Expiry {
    fn schema() -> RefOr<Schema> {
        date_time()
    }
}

impl ToSchema for Expiry {}

/// A duration in ISO 8601 (`PT10M`) or as people write it (`10m`); a day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::management) struct Length(pub(in crate::management) SignedDuration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = text.parse::<Span>();
        let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
        let example = "a duration such as \"PT10M\" or \"10m\"";
        length.map(Self).map_err(|_| D::Error::invalid_value(serde::de::Unexpected::Str(&text), &example))
    }
}

impl PartialSchema for Length {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Duration)))
            .into()
    }
}

impl ToSchema for Length {}

fn date_time() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{from_str, to_string};

    use super::*;

    #[test]
    fn a_moment_has_microseconds_and_an_offset() {
        let moment = Moment(Timestamp::from_microsecond(1_700_000_000_000_500).unwrap());
        assert_eq!(to_string(&moment).unwrap(), r#""2023-11-14T22:13:20.000500+00:00""#);
    }

    #[test]
    fn the_end_of_time_is_never() {
        let expiry = |text: &str| from_str::<Expiry>(&format!("\"{text}\"")).map(|expiry| expiry.0);
        assert_eq!(expiry("9999-12-31T23:59:59.999999+00:00").unwrap(), None);
        assert_eq!(expiry("2026-01-01T01:00:00+01:00").unwrap(), Some("2026-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(
            expiry("2026-01-01T00:00:00.123456789Z").unwrap(),
            Some("2026-01-01T00:00:00.123456Z".parse().unwrap())
        );
        for text in ["", "tomorrow", "2026-13-01T00:00:00Z", "2026-01-01"] {
            assert!(expiry(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_length_is_written_in_two_ways() {
        let seconds = |text: &str| from_str::<Length>(&format!("\"{text}\"")).map(|length| length.0.as_secs());
        for (text, expected) in [("PT10M", 600), ("10m", 600), ("P1D", 86_400), ("1h 30m", 5_400)] {
            assert_eq!(seconds(text).unwrap(), expected, "{text}");
        }
        for text in ["", "ten", "10", "P1Y"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_read_in_any_case_and_written_in_theirs() {
        let word: Word<TokenStatus> = from_str("\"Disabled\"").unwrap();
        assert_eq!(to_string(&word).unwrap(), "\"disabled\"");
        let error = from_str::<Word<TokenStatus>>("\"off\"").unwrap_err().to_string();
        assert!(error.contains(r#"expected "enabled" or "disabled""#), "{error}");
        assert!(from_str::<Word<NetworkAction>>("true").is_err());
    }
}
