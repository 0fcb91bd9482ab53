//! Refresh tokens: what a client got for an identity, and exchanges for access tokens.
//!
//! Clients of ACR look into them, so their payload is written to be read as standard base64, too (rule R6). They are
//! presented rarely: nothing is remembered.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;

use super::keys::Keyring;
use super::signed_token::{
    Kind, MintError, Minted, Payload, SignedTokens, Standing, Subject, TokenRejection, Validity, check_size,
};
use crate::policy::credential::{CredentialId, PrincipalId};
use crate::policy::identity::Assertion;
use crate::secret::Secret;

/// 3 hours and 15 minutes, as in ACR (requirements B.1).
pub const REFRESH_TOKEN_SECONDS: u32 = 11_700;

/// What a refresh token is to say.
#[derive(Debug, Clone)]
pub struct RefreshClaims {
    /// The principal's name.
    pub subject: String,
    /// The login server.
    pub audience: String,
    pub principal: PrincipalId,
    /// The credential that obtained it, where the principal has several.
    pub credential: Option<CredentialId>,
    /// What an identity provider said, kept so that it can be mapped anew whenever the token is used.
    pub identity: Option<Arc<Assertion>>,
}

/// What a verified refresh token says.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedRefresh {
    /// `jti`, for the audit record.
    pub id: String,
    pub subject: String,
    pub principal: PrincipalId,
    pub credential: Option<CredentialId>,
    pub identity: Option<Arc<Assertion>>,
    pub validity: Validity,
}

/// Makes and verifies refresh tokens: one per process.
#[derive(Debug)]
pub struct RefreshTokens {
    tokens: SignedTokens,
}

impl RefreshTokens {
    /// `issuer` is written into every token, and no other is accepted.
    pub fn new(keys: Arc<Keyring>, issuer: impl Into<String>) -> Self {
        Self { tokens: SignedTokens::new(keys, issuer.into(), Kind::RefreshToken, REFRESH_TOKEN_SECONDS) }
    }

    /// A token that says `claims`, good from `now` for [`REFRESH_TOKEN_SECONDS`].
    ///
    /// # Errors
    /// See [`MintError`].
    pub async fn mint(&self, claims: RefreshClaims, now: Timestamp) -> Result<Minted, MintError> {
        let subject = Subject {
            name: claims.subject,
            audience: claims.audience,
            principal: claims.principal,
            credential: claims.credential,
            access: None,
            identity: claims.identity,
        };
        self.tokens.mint(subject, now).await
    }

    /// What `presented` says, if it is ours, for the login server `audience`, and good at `now`.
    ///
    /// # Errors
    /// An expired token is told apart from an invalid one.
    pub fn verify(
        &self,
        presented: &Secret,
        audience: &str,
        now: Timestamp,
    ) -> Result<Arc<VerifiedRefresh>, TokenRejection<VerifiedRefresh>> {
        check_size(presented.expose())?;
        let (payload, _) = self.tokens.open(presented.expose(), now)?;
        let claims = Arc::new(VerifiedRefresh::from(payload));
        match claims.validity.check(audience, now)? {
            Standing::Good => Ok(claims),
            Standing::Expired => Err(TokenRejection::Expired { since: claims.validity.expires_at, claims }),
        }
    }
}

impl From<Payload> for VerifiedRefresh {
    fn from(payload: Payload) -> Self {
        let validity = payload.validity();
        Self {
            id: payload.jti,
            subject: payload.sub,
            principal: payload.pid,
            credential: payload.cid,
            identity: payload.identity.map(|said| Arc::new(said.into())),
            validity,
        }
    }
}
