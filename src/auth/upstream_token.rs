//! Access tokens that an upstream verifies: Distribution with our certificates (`auth: { token: { rootcertbundle } }`).
//!
//! They are of a kind of their own, which seawall itself accepts nowhere: whoever reads one at the upstream can do there
//! what it says until it ends, and nothing here.

use std::sync::Arc;

use jiff::Timestamp;

use super::access_token::Access;
use super::keys::Keyring;
use super::signed_token::{Kind, MintError, Minted, SignedTokens, Subject};
use crate::policy::credential::PrincipalId;

/// Five minutes: an upstream looks at a token when a request begins, and it is not revoked.
pub const UPSTREAM_TOKEN_SECONDS: u32 = 5 * 60;

/// What a token for an upstream is to say.
#[derive(Debug, Clone)]
pub struct UpstreamClaims {
    /// `iss`; the one of this installation unless set.
    pub issuer: Option<Arc<str>>,
    /// `aud`: the upstream's `service`.
    pub audience: String,
    /// `sub`: the user name in the upstream's log.
    pub subject: String,
    pub access: Vec<Access>,
}

/// Makes tokens for upstreams: one per process.
#[derive(Debug)]
pub struct UpstreamTokens {
    tokens: SignedTokens,
    /// Stands where other tokens have their principal.
    nobody: PrincipalId,
}

impl UpstreamTokens {
    /// `issuer` is written into every token that does not say otherwise.
    pub fn new(keys: Arc<Keyring>, issuer: impl Into<String>) -> Self {
        let nobody = PrincipalId::derive(keys.hash_key(), "upstream", &[]);
        Self { tokens: SignedTokens::new(keys, issuer.into(), Kind::ForUpstream, UPSTREAM_TOKEN_SECONDS), nobody }
    }

    /// A token that says `claims`, good from `now` for [`UPSTREAM_TOKEN_SECONDS`].
    ///
    /// # Errors
    /// See [`MintError`].
    pub async fn mint(&self, claims: UpstreamClaims, now: Timestamp) -> Result<Minted, MintError> {
        let subject = Subject {
            name: claims.subject,
            audience: claims.audience,
            principal: self.nobody,
            credential: None,
            access: Some(claims.access),
            identity: None,
        };
        self.tokens.mint_as(claims.issuer.as_deref(), subject, now).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::access_token::AccessTokens;
    use super::super::keys::{KeyMaterial, SigningAlgorithm};
    use super::super::signed_token::{InvalidToken, TokenRejection};
    use super::*;
    use crate::secret::HashKey;

    #[tokio::test]
    async fn a_token_for_an_upstream_is_worth_nothing_here() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let key = KeyMaterial::generate(SigningAlgorithm::Es256, now).unwrap();
        let keys = Arc::new(Keyring::new(&[key], HashKey::from_bytes([1; 32])).unwrap());
        let tokens = UpstreamTokens::new(Arc::clone(&keys), "seawall");
        // Even where the upstream's service is called like a login server.
        let access = Access { kind: "registry".into(), name: "catalog".into(), actions: vec!["*".into()] };
        let claims = UpstreamClaims {
            issuer: None,
            audience: "registry.example.com".into(),
            subject: "seawall".into(),
            access: vec![access],
        };
        let minted = tokens.mint(claims, now).await.unwrap();
        assert_eq!(minted.expires_in, UPSTREAM_TOKEN_SECONDS);
        let refused =
            AccessTokens::new(keys, "seawall").verify(&minted.token, "registry.example.com", now).unwrap_err();
        assert_eq!(refused, TokenRejection::Invalid(InvalidToken::Kind));
    }
}
