//! What the claims of a token must say before it proves anything (threat class H).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::keys::KeySet;
use super::rejection::Rejection;
use super::token::UnverifiedToken;
use crate::policy::identity::{Assertion, IdentityProvider};

/// SPIFFE ids are the longest subjects there are.
const MAX_SUBJECT_BYTES: usize = 2048;

/// When a token is good, as its claims say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    expires_at: Timestamp,
    /// The later of `nbf` and `iat`.
    begins_at: Option<Timestamp>,
}

impl Times {
    fn read(claims: &Map<String, Value>) -> Result<Self, Rejection> {
        let expires_at = claims.get("exp").and_then(numeric_date).ok_or(Rejection::Malformed)?;
        let mut begins_at = None;
        for value in ["nbf", "iat"].iter().filter_map(|name| claims.get(*name)) {
            begins_at = begins_at.max(Some(numeric_date(value).ok_or(Rejection::Malformed)?));
        }
        Ok(Self { expires_at, begins_at })
    }

    /// Looked at on every use, remembered or not.
    pub(super) fn check(self, provider: &IdentityProvider, now: Timestamp) -> Result<(), Rejection> {
        let skew = SignedDuration::try_from(provider.clock_skew).unwrap_or(SignedDuration::ZERO);
        if self.expires_at.duration_until(now) >= skew {
            return Err(Rejection::Expired);
        }
        if self.begins_at.is_some_and(|begins_at| now.duration_until(begins_at) > skew) {
            return Err(Rejection::NotYetValid);
        }
        Ok(())
    }
}

/// Seconds since 1970, perhaps with a fraction (RFC 7519 section 2), up to the year 9999; nothing is clamped.
fn numeric_date(value: &Value) -> Option<Timestamp> {
    match (value.as_i64(), value.as_f64()) {
        (Some(seconds), _) => Timestamp::from_second(seconds).ok(),
        (None, Some(seconds)) => Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok(),
        (None, None) => None,
    }
}

/// What `token` asserts, were it signed by `provider`, and when it is good. The caller has looked at its issuer.
pub(super) fn claimed(
    token: &UnverifiedToken<'_>,
    provider: &IdentityProvider,
    now: Timestamp,
) -> Result<(Assertion, Times), Rejection> {
    if !provider.algorithms.contains(&token.algorithm) {
        return Err(Rejection::Algorithm);
    }
    let times = Times::read(&token.claims)?;
    if !is_for(provider, token.claims.get("aud")) {
        return Err(Rejection::Audience);
    }
    times.check(provider, now)?;
    let subject = claim(&token.claims, &provider.subject_claim).and_then(Value::as_str).unwrap_or_default();
    if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
        return Err(Rejection::Subject);
    }
    let assertion = Assertion {
        provider: Arc::clone(&provider.name),
        issuer: Arc::clone(&provider.issuer),
        subject: subject.to_owned(),
        claims: token.claims.clone(),
    };
    Ok((assertion, times))
}

/// The thumbprint of the key of `keys` that signed `token`.
pub(super) fn signer(token: &UnverifiedToken<'_>, keys: &KeySet) -> Result<Arc<str>, Rejection> {
    let meant = keys.meant(token.key_name.as_deref(), token.algorithm)?;
    let signer = meant.into_iter().find(|key| key.verifies(token.algorithm, token.message, token.signature));
    signer.map(|key| Arc::clone(key.thumbprint())).ok_or(Rejection::Signature)
}

/// `aud` is a text or a list of texts (RFC 7519 section 4.1.3); one of them must be ours, letter for letter.
fn is_for(provider: &IdentityProvider, audience: Option<&Value>) -> bool {
    let is_ours = |audience: &Value| {
        audience.as_str().is_some_and(|audience| provider.audiences.iter().any(|ours| **ours == *audience))
    };
    match audience {
        Some(Value::Array(audiences)) => audiences.iter().all(Value::is_string) && audiences.iter().any(is_ours),
        Some(audience) => is_ours(audience),
        None => false,
    }
}

/// A claim by its name, or by a JSON pointer (RFC 6901).
pub(super) fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let mut steps = path.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(&steps.next()?)?;
    steps.try_fold(first, |value, step| match value {
        Value::Object(members) => members.get(&step),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}
