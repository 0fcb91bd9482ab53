//! People and machines that a provider vouches for: who they are at a registry, and what our tokens keep of it.
//!
//! No principal of theirs is kept anywhere. What the provider said is, in the tokens themselves, and is mapped anew by the
//! policy whenever one is used (threat class I): an identity that is changed or removed counts with the next request.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Failure;
use crate::policy::credential::PrincipalId;
use crate::policy::identity::Assertion;
use crate::policy::network::Place;
use crate::policy::{self, Caller};
use crate::secret::HashKey;

/// The longest JSON text of what a token keeps of an assertion.
pub(super) const MAX_IDENTITY_BYTES: usize = 4 * 1024;

/// Who signs in, and what a provider said, which goes into the tokens that are issued.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub caller: Caller,
    /// `None` for whoever has a password of ours.
    pub assertion: Option<Arc<Assertion>>,
}

impl SignIn {
    /// The same, if he may come from `place`.
    ///
    /// # Errors
    /// A denial. To be asked before a login counts as one that succeeded: it must not tell that a password was right.
    pub fn located(self, place: &Place) -> Result<Self, Failure> {
        policy::located(&self.caller.principal, place)?;
        Ok(self)
    }
}

impl From<Caller> for SignIn {
    fn from(caller: Caller) -> Self {
        Self { caller, assertion: None }
    }
}

/// The id of an asserted subject: the same at every use, whatever identities it maps to.
pub(super) fn subject_id(hash_key: &HashKey, assertion: &Assertion) -> PrincipalId {
    PrincipalId::derive(
        hash_key,
        "subject",
        &[assertion.provider.as_bytes(), assertion.issuer.as_bytes(), assertion.subject.as_bytes()],
    )
}

/// An assertion as the claim `identity` of our tokens has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IdentityClaim {
    provider: Arc<str>,
    issuer: Arc<str>,
    subject: String,
    claims: Map<String, Value>,
}

impl From<&Assertion> for IdentityClaim {
    fn from(said: &Assertion) -> Self {
        let Assertion { provider, issuer, subject, claims } = said.clone();
        Self { provider, issuer, subject, claims }
    }
}

impl From<IdentityClaim> for Assertion {
    fn from(said: IdentityClaim) -> Self {
        let IdentityClaim { provider, issuer, subject, claims } = said;
        Self { provider, issuer, subject, claims }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_one_subject_of_one_provider() {
        let key = HashKey::from_bytes([1; 32]);
        let of = |provider: &str, subject: &str| {
            let (issuer, claims) = ("https://issuer".into(), Map::new());
            subject_id(&key, &Assertion { provider: provider.into(), issuer, subject: subject.into(), claims })
        };
        assert_eq!(of("corp", "alice"), of("corp", "alice"));
        assert_ne!(of("corp", "alice"), of("corp", "bob"));
        assert_ne!(of("corp", "alice"), of("other", "alice"));
        assert_ne!(of("corp", "alice"), of("corpa", "lice"));
    }
}
