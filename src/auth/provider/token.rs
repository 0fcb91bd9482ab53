//! A token of an identity provider as text: its header and its claims, before and without anything being believed.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::json;
use super::keys;
use super::rejection::Rejection;
use crate::auth::signed_token::Kind;
use crate::policy::credential::PrincipalId;
use crate::policy::identity::ProviderAlgorithm;

/// What a header may say in `typ`, besides nothing (RFC 7519 section 5.1, SPIFFE's JWT-SVID; RFC 9068 for the access
/// tokens that `/oauth2/exchange` is for). Providers sign other things with the same keys: logout tokens, events, proofs.
const TYPES: [&str; 3] = ["JWT", "JOSE", "at+jwt"];

/// A JWS in the compact form (RFC 7515 section 7.1).
pub(super) struct UnverifiedToken<'a> {
    pub(super) algorithm: ProviderAlgorithm,
    pub(super) key_name: Option<String>,
    /// What is signed, and the signature in base64url.
    pub(super) message: &'a str,
    pub(super) signature: &'a str,
    pub(super) claims: Map<String, Value>,
}

impl<'a> UnverifiedToken<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Rejection> {
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(if text.split('.').count() == 5 { Rejection::Type } else { Rejection::Malformed });
        };
        let stated = Header::read(&json::encoded_object(header).ok_or(Rejection::Malformed)?)?;
        let claims = json::encoded_object(payload).ok_or(Rejection::Malformed)?;
        if is_own(&claims) {
            return Err(Rejection::OwnToken);
        }
        let message = text.get(..header.len() + 1 + payload.len()).ok_or(Rejection::Malformed)?;
        Ok(Self { algorithm: stated.algorithm, key_name: stated.key_name, message, signature, claims })
    }

    /// The `iss`, if it is a text.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }
}

struct Header {
    algorithm: ProviderAlgorithm,
    key_name: Option<String>,
}

impl Header {
    fn read(header: &Map<String, Value>) -> Result<Self, Rejection> {
        if header.contains_key("crit") {
            return Err(Rejection::CriticalExtension);
        }
        let is_text = |value: &Value| value.as_str().is_some_and(is_token_type);
        if ["cty", "enc", "zip"].iter().any(|name| header.contains_key(*name)) || !header.get("typ").is_none_or(is_text)
        {
            return Err(Rejection::Type);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Rejection::Malformed)?;
        let algorithm = keys::algorithm(algorithm).ok_or(Rejection::Algorithm)?;
        let key_name = match header.get("kid") {
            None => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => return Err(Rejection::Malformed),
        };
        Ok(Self { algorithm, key_name })
    }
}

fn is_token_type(text: &str) -> bool {
    let prefix = "application/";
    let text = match text.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => text.get(prefix.len()..).unwrap_or_default(),
        _ => text,
    };
    TYPES.iter().any(|known| known.eq_ignore_ascii_case(text))
}

/// Whether these are the claims of an access or refresh token of ours, or of another seawall. Its issuer is a word that
/// operators choose: should it ever be a provider's, and its keys be published, what a registry signed still proves
/// nobody's identity (threat class H).
fn is_own(claims: &Map<String, Value>) -> bool {
    let kind = claims.get("grant_type").is_some_and(|kind| Kind::deserialize(kind).is_ok());
    let principal = claims.get("pid").and_then(Value::as_str);
    kind && principal.is_some_and(|id| id.parse::<PrincipalId>().is_ok())
}
