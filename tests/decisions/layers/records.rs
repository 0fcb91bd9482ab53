//! Records as the store has them, with ids that follow from their names.

use seawall::policy::credential::{CredentialId, PrincipalId, Verifier};
use seawall::policy::document::TokenStatus;
use seawall::policy::stored::{StoredPassword, StoredScopeMap, StoredToken};
use seawall::secret::Secret;

use crate::policy::{hash_key, now};

pub(crate) fn principal_id(name: &str) -> PrincipalId {
    PrincipalId::derive(&hash_key(), "test", &[name.as_bytes()])
}

pub(crate) fn credential_id(secret: &str) -> CredentialId {
    CredentialId::derive(&hash_key(), "test", &[secret.as_bytes()])
}

pub(crate) fn scope_map(actions: &[&str]) -> StoredScopeMap {
    let actions = actions.iter().map(ToString::to_string).collect();
    StoredScopeMap { description: String::new(), actions, creation_date: now() }
}

/// A token with one password, whose secret is the token's name.
pub(crate) fn token(name: &str, scope_maps: &[&str]) -> StoredToken {
    StoredToken {
        id: principal_id(name),
        scope_map: scope_maps[0].to_owned(),
        additional_scope_maps: scope_maps[1..].iter().map(ToString::to_string).collect(),
        status: TokenStatus::Enabled,
        passwords: vec![password("password1", name)],
        creation_date: now(),
    }
}

pub(crate) fn password(name: &str, secret: &str) -> StoredPassword {
    StoredPassword {
        name: name.to_owned(),
        id: credential_id(secret),
        hash: Verifier::of_secret(&hash_key(), &Secret::new(secret)).hash_text(),
        creation_time: now(),
        expiry: None,
        sealed: None,
        replaced: None,
    }
}
