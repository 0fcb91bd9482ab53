//! People and machines that a provider vouches for: who they are at a registry, and what our tokens keep of it.
//!
//! No principal of theirs is kept anywhere. What the provider said is, in the tokens themselves, and is mapped anew by the
//! policy whenever one is used (threat class I): an identity that is changed or removed counts with the next request.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::policy::credential::PrincipalId;
use crate::policy::identity::Assertion;
use crate::policy::{Caller, Principal, Registry};
use crate::secret::HashKey;

/// The longest JSON text of what a token keeps of an assertion.
pub(super) const MAX_IDENTITY_BYTES: usize = 4 * 1024;

/// The policy's part of a sign-in.
pub trait Mapping: Send + Sync {
    /// Who the subject of `assertion` is at `registry`, by its policy as it is now; `None` when no identity matches, or when
    /// the provider is not declared any more under this name with this issuer.
    fn asserted(&self, registry: &Registry, assertion: &Assertion, id: PrincipalId) -> Option<Principal>;

    /// What of the claims the policy looks at, for `registry` or for the audit log: tokens are sent with every request, and
    /// have room for 4 KiB of it.
    fn kept(&self, registry: &Registry, assertion: &Assertion) -> Map<String, Value>;
}

/// Where there are no identities: nobody is anyone.
#[derive(Debug, Clone, Copy)]
pub struct Unmapped;

impl Mapping for Unmapped {
    fn asserted(&self, _: &Registry, _: &Assertion, _: PrincipalId) -> Option<Principal> {
        None
    }

    fn kept(&self, _: &Registry, _: &Assertion) -> Map<String, Value> {
        Map::new()
    }
}

/// Who signs in, and what a provider said, which goes into the tokens that are issued.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub caller: Caller,
    /// `None` for whoever has a password of ours.
    pub assertion: Option<Arc<Assertion>>,
}

impl From<Caller> for SignIn {
    fn from(caller: Caller) -> Self {
        Self { caller, assertion: None }
    }
}

/// The id of an asserted subject: the same at every use, whatever identities it maps to.
pub(super) fn subject_id(hash_key: &HashKey, assertion: &Assertion) -> PrincipalId {
    PrincipalId::derive(hash_key, "subject", &[assertion.provider.as_bytes(), assertion.subject.as_bytes()])
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
