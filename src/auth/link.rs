//! Links to data endpoints: who may fetch one blob for a while without showing a credential again (requirements B.4-9).
//!
//! A link says who was permitted, not that he is: whoever follows one is decided about anew. It is sealed under a key of its
//! own, made of the replicas' common key and of everything that it is bound to, so that at any other place there is nothing that
//! opens it, and no two links that could share a nonce have the same key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::asserted::{IdentityClaim, SignIn};
use super::authenticator::{Authenticator, Failure};
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName};
use crate::policy::action::{Action, ActionSet};
use crate::policy::credential::{CredentialId, PrincipalId};
use crate::policy::identity::Assertion;
use crate::policy::{AccessList, Caller, Granted, Registry};
use crate::secret::{EncryptionKey, HashKey, SealError, Sealed, Secret};

/// How long a link may be followed. ACR's last 20 to 30 minutes (requirements B.4-9).
pub const LINK_SECONDS: i64 = 20 * 60;
/// No link of ours is longer: an assertion has at most 4 KiB as JSON.
const MAX_LINK_BYTES: usize = 8 * 1024;

/// The only place where a link is of use.
#[derive(Debug, Clone, Copy)]
pub struct LinkPlace<'a> {
    pub registry: &'a Registry,
    /// The data endpoint's.
    pub host: &'a str,
    pub repository: &'a RepositoryName,
    pub digest: &'a Digest,
}

/// Why a link is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkFailure {
    /// It was not made by us for this place, or was changed.
    Invalid,
    Expired,
    /// Whom it was made for is not there any more.
    Caller(Failure),
}

/// Who was permitted, as a link says it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bearer {
    #[serde(rename = "p")]
    principal: PrincipalId,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    credential: Option<CredentialId>,
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityClaim>,
    /// What the access token was issued for on the repository; `None`: it was a password, or its like.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    access: Option<Vec<String>>,
}

impl Authenticator {
    /// A link by which whoever signed in so may fetch the blob at `place` until [`LINK_SECONDS`] after `now`: a value for a
    /// query.
    ///
    /// # Errors
    /// [`SealError::System`].
    pub fn link(&self, place: LinkPlace<'_>, sign_in: &SignIn, now: Timestamp) -> Result<String, SealError> {
        let SignIn { caller, assertion } = sign_in;
        let access = match &caller.granted {
            Granted::Everything => None,
            Granted::Access(list) => {
                Some(list.actions(place.repository).iter().map(|action| action.name().to_owned()).collect())
            }
        };
        let bearer = Bearer {
            principal: caller.principal.id().unwrap_or_else(|| self.nobody(place.registry)),
            credential: caller.credential,
            identity: assertion.as_deref().map(IdentityClaim::from),
            access,
        };
        let text = serde_json::to_string(&bearer).map_err(|_| SealError::System)?;
        let end = now.as_second() + LINK_SECONDS;
        let sealed = place.key(self.hash_key(), end).seal(&[], &Secret::new(text))?;
        Ok(format!("{end}.{}", sealed.to_url()))
    }

    /// Whom `link` was made for, as he is at the registry now. Whether he still may is to be decided.
    ///
    /// # Errors
    /// See [`LinkFailure`].
    pub fn by_link(&self, place: LinkPlace<'_>, link: &str, now: Timestamp) -> Result<Caller, LinkFailure> {
        let (bearer, end) = place.open(self.hash_key(), link).ok_or(LinkFailure::Invalid)?;
        if now.as_second() >= end {
            return Err(LinkFailure::Expired);
        }
        let Bearer { principal, credential, identity, access } = bearer;
        let assertion = identity.map(Assertion::from);
        let principal = self.principal(place.registry, principal, credential, assertion.as_ref());
        let principal = principal.map_err(LinkFailure::Caller)?;
        let granted = match access {
            None => Granted::Everything,
            Some(names) => {
                let actions = names.iter().filter_map(|name| Action::parse(name));
                let actions = actions.fold(ActionSet::EMPTY, ActionSet::with);
                let repositories = vec![(place.repository.clone(), actions)];
                Granted::Access(Arc::new(AccessList { catalog: false, repositories }))
            }
        };
        Ok(Caller { principal, credential, granted })
    }
}

impl LinkPlace<'_> {
    fn open(&self, key: &HashKey, link: &str) -> Option<(Bearer, i64)> {
        let (end, sealed) = link.split_once('.').filter(|_| link.len() <= MAX_LINK_BYTES)?;
        // As it was written, and not in another spelling of the same number.
        let end = end.parse::<i64>().ok().filter(|number| number.to_string() == end)?;
        let text = self.key(key, end).open(&[], &Sealed::from_url(sealed)?).ok()?;
        Some((serde_json::from_str(text.expose()).ok()?, end))
    }

    fn key(&self, key: &HashKey, end: i64) -> EncryptionKey {
        let parts = [&self.registry.name, self.host, self.repository.as_str(), self.digest.as_str()];
        let [registry, host, repository, digest] = parts.map(str::as_bytes);
        EncryptionKey::derive(key, "data endpoint link", &[registry, host, repository, digest, &end.to_be_bytes()])
    }
}
