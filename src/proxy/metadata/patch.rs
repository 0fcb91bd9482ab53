//! The body of a `PATCH`: which attributes to change, and for how long to unlock.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::metadata::AttributesChange;
use crate::policy::quantity::duration;

/// Largest body, in bytes.
pub(crate) const LIMIT: usize = 64 * 1024;

/// Any of them may be left out or `null`. What is not known here is somebody else's, such as ACR's `teleportEnabled`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    delete_enabled: Option<bool>,
    write_enabled: Option<bool>,
    read_enabled: Option<bool>,
    list_enabled: Option<bool>,
    /// `null` ends it, nothing leaves it as it is.
    #[serde(default, deserialize_with = "said")]
    unlock: Option<Said>,
}

/// What was said of the unlock, if only `null`.
#[derive(Debug)]
struct Said(Option<Unlock>);

#[derive(Debug, Deserialize)]
struct Unlock {
    #[serde(rename = "for")]
    length: String,
    reason: String,
}

fn said<'de, D: Deserializer<'de>>(body: D) -> Result<Option<Said>, D::Error> {
    Option::deserialize(body).map(|unlock| Some(Said(unlock)))
}

/// The change that `body` asks for.
///
/// # Errors
/// A phrase about what is wrong with it.
pub(super) fn read(body: &[u8]) -> Result<AttributesChange, &'static str> {
    const SHAPE: &str = "the body is no JSON object of attributes, which are true or false";
    let Body { delete_enabled, write_enabled, read_enabled, list_enabled, unlock } =
        serde_json::from_slice(body).map_err(|_| SHAPE)?;
    let unlock = unlock.map(|Said(unlock)| unlock.map(length).transpose()).transpose()?;
    Ok(AttributesChange { delete_enabled, write_enabled, read_enabled, list_enabled, unlock })
}

fn length(unlock: Unlock) -> Result<(Duration, String), &'static str> {
    let length = duration(&unlock.length).map_err(|_| "an unlock is `for` a time such as `30m`")?;
    if unlock.reason.trim().is_empty() {
        return Err("an unlock has a reason");
    }
    Ok((length, unlock.reason))
}

/// What the audit log says that was changed.
pub(super) fn told(change: &AttributesChange) -> String {
    let attributes = [
        ("deleteEnabled", change.delete_enabled),
        ("writeEnabled", change.write_enabled),
        ("readEnabled", change.read_enabled),
        ("listEnabled", change.list_enabled),
    ];
    let set = attributes.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value?)));
    let unlock = change.unlock.as_ref().map(|unlock| match unlock {
        Some((length, reason)) => format!("unlocked for {} s: {reason}", length.as_secs()),
        None => "locked again".to_owned(),
    });
    set.chain(unlock).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_four_may_be_changed() {
        let change = read(br#"{"writeEnabled": false, "listEnabled": null, "teleportEnabled": 1}"#).unwrap();
        assert_eq!(change, AttributesChange { write_enabled: Some(false), ..AttributesChange::default() });
        assert_eq!(told(&change), "writeEnabled: false");
        assert_eq!(read(b"{}"), Ok(AttributesChange::default()));
    }

    #[test]
    fn an_unlock_has_a_time_and_a_reason_and_null_ends_it() {
        let change = read(br#"{"unlock": {"for": "30m", "reason": "a fix"}}"#).unwrap();
        assert_eq!(change.unlock, Some(Some((Duration::from_mins(30), "a fix".to_owned()))));
        assert_eq!(told(&change), "unlocked for 1800 s: a fix");
        assert_eq!(read(br#"{"unlock": null}"#).unwrap().unlock, Some(None));
        for body in [r#"{"unlock":{"for":"soon","reason":"a"}}"#, r#"{"unlock":{"for":"1m","reason":" "}}"#] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn whatever_is_something_else_is_refused() {
        for body in ["", "[]", "null", "x", r#"{"writeEnabled":"false"}"#, r#"{"readEnabled":0}"#, r#"{"unlock":"1m"}"#]
        {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
        assert!(read(br#"{"writeEnabled":true,"writeEnabled":false}"#).is_err());
    }
}
