//! Access tokens: what a client got from the token endpoint and presents as Bearer with every request.
//!
//! A token states what was granted; what it is worth is decided anew with every request, by the current policy. So its
//! verified signature can be remembered for its whole life, while its times, its audience and whether its key still counts
//! are looked at on every use.

mod recent;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;

use self::recent::Recent;
use super::CacheOutcome;
use super::keys::Keyring;
use super::signed_token::{
    InvalidToken, Kind, MintError, Minted, Payload, SignedTokens, Standing, Subject, TokenRejection, Validity,
    check_size,
};
use crate::oci::Scope;
use crate::policy::AccessList;
use crate::policy::credential::{CredentialId, PrincipalId};
use crate::policy::identity::Assertion;
use crate::secret::{HashKey, KeyedDigest, Secret};

pub use super::signed_token::Access;

/// 75 minutes, as in ACR (requirements B.1).
pub const ACCESS_TOKEN_SECONDS: u32 = 75 * 60;
/// How much may be remembered, counted in bytes of tokens: tens of thousands of ordinary ones.
const REMEMBERED_BYTES: u64 = 32 * 1024 * 1024;

/// What an access token is to say.
#[derive(Debug, Clone)]
pub struct AccessClaims {
    /// The principal's name; empty for the anonymous one.
    pub subject: String,
    /// The login server.
    pub audience: String,
    pub principal: PrincipalId,
    /// The credential that obtained it; none for the anonymous principal.
    pub credential: Option<CredentialId>,
    /// What was granted; may be empty.
    pub access: Vec<Access>,
    /// What an identity provider said, kept so that it can be mapped anew whenever the token is used.
    pub identity: Option<Arc<Assertion>>,
}

/// What a verified access token says.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedAccess {
    /// `jti`, for the audit record.
    pub id: String,
    pub subject: String,
    pub principal: PrincipalId,
    pub credential: Option<CredentialId>,
    pub access: Vec<Access>,
    /// What `access` grants, read once.
    pub granted: Arc<AccessList>,
    pub identity: Option<Arc<Assertion>>,
    pub validity: Validity,
    /// The id of the key that signed it.
    pub key: Arc<str>,
}

/// A verified token, and how long its text was: claims take memory in proportion.
#[derive(Debug, Clone)]
struct Remembered {
    claims: Arc<VerifiedAccess>,
    size: u32,
}

/// Makes and verifies access tokens: one per process.
#[derive(Debug)]
pub struct AccessTokens {
    tokens: SignedTokens,
    hash_key: HashKey,
    /// By a keyed digest of the whole token: as many as are remembered, neither they nor something to guess at lie in memory.
    verified: Cache<KeyedDigest, Remembered>,
    recent: Recent,
}

impl AccessTokens {
    /// `issuer` is written into every token, and no other is accepted.
    pub fn new(keys: Arc<Keyring>, issuer: impl Into<String>) -> Self {
        let verified = Cache::builder()
            .max_capacity(REMEMBERED_BYTES)
            .weigher(|_, remembered: &Remembered| remembered.size)
            .time_to_live(Duration::from_secs(ACCESS_TOKEN_SECONDS.into()))
            .build();
        let hash_key = keys.hash_key().clone();
        Self {
            tokens: SignedTokens::new(keys, issuer.into(), Kind::AccessToken, ACCESS_TOKEN_SECONDS),
            hash_key,
            verified,
            recent: Recent::new(),
        }
    }

    /// A token that says `claims`, good from `now` for [`ACCESS_TOKEN_SECONDS`].
    ///
    /// # Errors
    /// See [`MintError`].
    pub async fn mint(&self, claims: AccessClaims, now: Timestamp) -> Result<Minted, MintError> {
        let subject = Subject {
            name: claims.subject,
            audience: claims.audience,
            principal: claims.principal,
            credential: claims.credential,
            access: Some(claims.access),
            identity: claims.identity,
        };
        self.tokens.mint(subject, now).await
    }

    /// What `presented` says, if it is ours, for the login server `audience`, and good at `now`.
    ///
    /// The subject was who the token says when it was made. Whether it still exists, is enabled and may do anything is
    /// not known here.
    ///
    /// # Errors
    /// An expired token is told apart from an invalid one, with its claims.
    pub fn verify(
        &self,
        presented: &Secret,
        audience: &str,
        now: Timestamp,
    ) -> Result<(Arc<VerifiedAccess>, CacheOutcome), TokenRejection<VerifiedAccess>> {
        let token = presented.expose();
        check_size(token)?;
        let (claims, outcome) = match self.recent.find(token) {
            Some(claims) => (claims, CacheOutcome::Hit),
            None => self.look_up(presented, now)?,
        };
        if !self.tokens.knows(&claims.key, now) {
            self.recent.forget(token);
            return Err(InvalidToken::UnknownKey.into());
        }
        match claims.validity.check(audience, now)? {
            Standing::Good => Ok((claims, outcome)),
            Standing::Expired => {
                self.recent.forget(token);
                Err(TokenRejection::Expired { since: claims.validity.expires_at, claims })
            }
        }
    }

    /// What a token says that this thread has not seen lately: as it is remembered, or read and then remembered.
    fn look_up(&self, presented: &Secret, now: Timestamp) -> Result<(Arc<VerifiedAccess>, CacheOutcome), InvalidToken> {
        let token = presented.expose();
        let digest = self.hash_key.digest("verified-access-token", &[token.as_bytes()]);
        if let Some(Remembered { claims, .. }) = self.verified.get(&digest) {
            self.recent.keep(presented, &claims);
            return Ok((claims, CacheOutcome::Hit));
        }
        let (payload, key) = self.tokens.open(token, now)?;
        let claims = Arc::new(VerifiedAccess::of(payload, key)?);
        let size = u32::try_from(token.len()).unwrap_or(u32::MAX);
        self.verified.insert(digest, Remembered { claims: Arc::clone(&claims), size });
        Ok((claims, CacheOutcome::Miss))
    }
}

/// What an `access` claim says, in the grammar of scopes.
pub(super) fn scopes(access: &[Access]) -> Vec<Scope> {
    access.iter().map(|access| Scope::new(&access.kind, &access.name, &access.actions)).collect()
}

impl VerifiedAccess {
    fn of(payload: Payload, key: Arc<str>) -> Result<Self, InvalidToken> {
        let validity = payload.validity();
        let access = payload.access.ok_or(InvalidToken::Malformed)?;
        let granted = Arc::new(AccessList::from_scopes(&scopes(&access)));
        Ok(Self {
            id: payload.jti,
            subject: payload.sub,
            principal: payload.pid,
            credential: payload.cid,
            access,
            granted,
            identity: payload.identity.map(|said| Arc::new(said.into())),
            validity,
            key,
        })
    }
}
