//! What access tokens and refresh tokens have in common: a JWT (RFC 7519) that we sign and that only we verify.
//!
//! Of the header only `alg`, `kid` and `crit` are looked at. The algorithm must be the one that belongs to the key
//! which `kid` names; a key or certificate that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) is never used
//! (threat class G). Whether the claims may be believed (class H) is decided here, once, for both.

mod ascii;
#[cfg(test)]
pub(in crate::auth) mod forge;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::asserted::{IdentityClaim, MAX_IDENTITY_BYTES};
use super::keys::{Keyring, SigningAlgorithm};
use super::off_thread::{OffThread, Overloaded};
use crate::policy::credential::{CredentialId, PrincipalId};
use crate::policy::identity::Assertion;
use crate::secret::Secret;

/// The longest token that is read, and so the longest that is made.
pub(super) const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// How far ahead the clock of a replica may be that made the token.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);
const VERSION: &str = "1.0";
/// Signatures that may wait for their turn before clients are told to come back: of RSA about four seconds of two processors,
/// which no client gives up, so that a whole fleet that logs in at once gets in.
const WAITING_SIGNATURES: usize = 8192;

/// Why a token is not one of ours, or not for this purpose. The client is told none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidToken {
    #[error("the token is larger than 16 KiB")]
    TooLarge,
    #[error("the token is malformed, or lacks a claim")]
    Malformed,
    #[error("the token is signed with a key that is not known here")]
    UnknownKey,
    #[error("the token names another algorithm than its key has")]
    Algorithm,
    #[error("the token demands an extension that is not known here")]
    CriticalExtension,
    #[error("the signature is wrong")]
    Signature,
    #[error("the token is of another kind: an access token in place of a refresh token, or the reverse")]
    Kind,
    #[error("the token is from another issuer")]
    Issuer,
    #[error("the token is for another registry")]
    Audience,
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// Why a token is refused.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum TokenRejection<C> {
    /// It was good until `since`. The claims are still ours: an upload under way may outlive its token.
    #[error("the token expired at {since}")]
    Expired { since: Timestamp, claims: Arc<C> },
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
}

/// Why no token could be made.
#[derive(Debug, Error)]
pub enum MintError {
    /// So many scopes that nobody, this process included, would read the token.
    #[error("the token would be larger than 16 KiB")]
    TooLarge,
    /// So many claims that every request would carry them.
    #[error("what the identity provider said is larger than 4 KiB")]
    IdentityTooLarge,
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    #[error("there is no key to sign it with")]
    NoKey,
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("the claims cannot be written: {0}")]
    Claims(#[from] serde_json::Error),
    #[error("the token cannot be signed: {0}")]
    Signing(String),
}

/// A new token.
#[derive(Debug, Clone)]
pub struct Minted {
    pub token: Secret,
    pub issued_at: Timestamp,
    /// Seconds from `issued_at` until it expires.
    pub expires_in: u32,
}

/// What a token is for; they are never accepted in place of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    AccessToken,
    RefreshToken,
    /// Verified by an upstream, never by us.
    ForUpstream,
}

/// What one scope of an access token allows: Distribution's `access` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `repository` or `registry`.
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub actions: Vec<String>,
}

/// The claims of both kinds, as they are written by Distribution and ACR. What is missing in a token makes it malformed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Payload {
    pub(super) jti: String,
    pub(super) sub: String,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub(super) nbf: Timestamp,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub(super) exp: Timestamp,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub(super) iat: Timestamp,
    pub(super) iss: String,
    /// One text: Distribution 2.8 cannot read a list.
    pub(super) aud: String,
    pub(super) version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) access: Option<Vec<Access>>,
    /// Always empty; clients of ACR find it there.
    #[serde(default)]
    pub(super) roles: [(); 0],
    pub(super) grant_type: Kind,
    pub(super) pid: PrincipalId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cid: Option<CredentialId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<IdentityClaim>,
}

/// Whom and what a token is about: what the two kinds do not share is `None` in the other.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) audience: String,
    pub(super) principal: PrincipalId,
    pub(super) credential: Option<CredentialId>,
    pub(super) access: Option<Vec<Access>>,
    /// What a provider said, kept so that it can be mapped anew whenever the token is used.
    pub(super) identity: Option<Arc<Assertion>>,
}

/// Signs and reads the tokens of one kind.
#[derive(Debug)]
pub(super) struct SignedTokens {
    keys: Arc<Keyring>,
    issuer: String,
    kind: Kind,
    life: u32,
    signing: OffThread,
}

impl SignedTokens {
    /// `life` is in seconds.
    pub(super) fn new(keys: Arc<Keyring>, issuer: String, kind: Kind, life: u32) -> Self {
        Self { keys, issuer, kind, life, signing: OffThread::new(OffThread::default_running(), WAITING_SIGNATURES) }
    }

    pub(super) async fn mint(&self, subject: Subject, now: Timestamp) -> Result<Minted, MintError> {
        self.mint_as(None, subject, now).await
    }

    /// The same, with this `iss` in place of our own.
    pub(super) async fn mint_as(
        &self,
        issuer: Option<&str>,
        subject: Subject,
        now: Timestamp,
    ) -> Result<Minted, MintError> {
        let issued_at = whole_second(now);
        let identity = subject.identity.as_deref().map(IdentityClaim::from);
        if identity.is_some() && ascii::to_vec(&identity)?.len() > MAX_IDENTITY_BYTES {
            return Err(MintError::IdentityTooLarge);
        }
        let payload = ascii::to_vec(&Payload {
            jti: random_id()?,
            sub: subject.name,
            nbf: issued_at,
            exp: issued_at.saturating_add(SignedDuration::from_secs(self.life.into())).unwrap_or(Timestamp::MAX),
            iat: issued_at,
            iss: issuer.unwrap_or(&self.issuer).to_owned(),
            aud: subject.audience,
            version: VERSION.to_owned(),
            access: subject.access,
            roles: [],
            grant_type: self.kind,
            pid: subject.principal,
            cid: subject.credential,
            identity,
        })?;
        // Before signing: what is too large as it is need not be signed.
        if payload.len() > MAX_TOKEN_BYTES {
            return Err(MintError::TooLarge);
        }
        let token = self.sign(payload, now).await?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(MintError::TooLarge);
        }
        Ok(Minted { token: Secret::new(token), issued_at, expires_in: self.life })
    }

    async fn sign(&self, payload: Vec<u8>, now: Timestamp) -> Result<String, MintError> {
        let key = self.keys.signing(now).ok_or(MintError::NoKey)?;
        let signed = match key.algorithm() {
            SigningAlgorithm::Es256 => key.sign(&payload),
            SigningAlgorithm::Rs256 => self.signing.run(move || key.sign(&payload)).await?,
        };
        signed.map_err(|error| MintError::Signing(error.to_string()))
    }

    /// The claims of a token that we signed for this purpose, and the id of the key; its times and audience are not yet
    /// looked at.
    pub(super) fn open(&self, token: &str, now: Timestamp) -> Result<(Payload, Arc<str>), InvalidToken> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidToken::Malformed);
        };
        let stated: Header = decode(header)?;
        if stated.crit.is_some() {
            return Err(InvalidToken::CriticalExtension);
        }
        let key = self.keys.verifying(&stated.kid, now).ok_or(InvalidToken::UnknownKey)?;
        if stated.alg != key.algorithm().name() {
            return Err(InvalidToken::Algorithm);
        }
        let message = token.get(..header.len() + 1 + payload.len()).ok_or(InvalidToken::Malformed)?;
        if !key.verifies(message, signature) {
            return Err(InvalidToken::Signature);
        }
        let payload: Payload = decode(payload)?;
        if payload.grant_type != self.kind {
            return Err(InvalidToken::Kind);
        }
        if payload.iss != self.issuer {
            return Err(InvalidToken::Issuer);
        }
        Ok((payload, Arc::clone(key.id())))
    }

    /// Whether what the key `id` signed may still be accepted.
    pub(super) fn knows(&self, id: &str, now: Timestamp) -> bool {
        self.keys.knows(id, now)
    }
}

/// The part of a JOSE header that is looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

/// `crit` must be known even when it is null: then it is malformed, not absent.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(Some)
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, InvalidToken> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidToken::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| InvalidToken::Malformed)
}

/// Refuses what nobody needs before any work is spent on it.
pub(super) fn check_size(token: &str) -> Result<(), InvalidToken> {
    if token.len() > MAX_TOKEN_BYTES { Err(InvalidToken::TooLarge) } else { Ok(()) }
}

/// Where and when a token is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// The login server that it is for.
    pub audience: String,
    pub not_before: Timestamp,
    pub issued_at: Timestamp,
    /// It is refused from this moment on.
    pub expires_at: Timestamp,
}

/// How a token of ours stands at some moment.
pub(super) enum Standing {
    Good,
    Expired,
}

impl Validity {
    /// What depends on the request, and so is looked at on every use of a token, remembered or not.
    pub(super) fn check(&self, audience: &str, now: Timestamp) -> Result<Standing, InvalidToken> {
        if self.audience != audience {
            return Err(InvalidToken::Audience);
        }
        if now.duration_until(self.not_before.max(self.issued_at)) > CLOCK_SKEW {
            return Err(InvalidToken::NotYetValid);
        }
        Ok(if now < self.expires_at { Standing::Good } else { Standing::Expired })
    }
}

impl Payload {
    pub(super) fn validity(&self) -> Validity {
        Validity { audience: self.aud.clone(), not_before: self.nbf, issued_at: self.iat, expires_at: self.exp }
    }
}

fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// 128 random bits in hexadecimal.
fn random_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
