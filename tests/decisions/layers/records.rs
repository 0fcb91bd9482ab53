//! Records as the store has them, with ids that follow from their names.

use seawall::policy::credential::{CredentialId, PrincipalId, Verifier};
use seawall::policy::document::TokenStatus;
use seawall::policy::identity::{Guid, IdentityKind};
use seawall::policy::stored::{
    StoredClaimRule, StoredGrants, StoredIdentity, StoredNetworks, StoredPassword, StoredRoleAssignment,
    StoredScopeMap, StoredToken,
};
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
    StoredScopeMap { description: String::new(), actions, networks: StoredNetworks::default(), creation_date: now() }
}

/// A token with one password, whose secret is the token's name.
pub(crate) fn token(name: &str, scope_maps: &[&str]) -> StoredToken {
    StoredToken {
        id: principal_id(name),
        scope_map: scope_maps[0].to_owned(),
        additional_scope_maps: scope_maps[1..].iter().map(ToString::to_string).collect(),
        status: TokenStatus::Enabled,
        passwords: vec![password("password1", name)],
        networks: StoredNetworks::default(),
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

/// An id that follows from a word.
pub(crate) fn guid(word: &str) -> Guid {
    principal_id(word).into()
}

/// An identity of which provider `corp` says `sub: NAME`; a service principal's secret is its name. Its principal id is
/// `guid("NAME")`, its client id `guid("client of NAME")`.
pub(crate) fn identity(name: &str, kind: IdentityKind) -> StoredIdentity {
    let rule = StoredClaimRule { provider: "corp".to_owned(), claims: [("sub".to_owned(), name.to_owned())].into() };
    let has_secret = kind == IdentityKind::ServicePrincipal;
    StoredIdentity {
        id: principal_id(name),
        kind,
        principal_id: guid(name),
        client_id: guid(&format!("client of {name}")),
        tenant_id: None,
        matches: vec![rule],
        secrets: if has_secret { vec![password("password1", name)] } else { Vec::new() },
        verified_by: None,
        status: TokenStatus::Enabled,
        tags: std::collections::BTreeMap::new(),
        networks: StoredNetworks::default(),
        creation_date: now(),
    }
}

/// A role for the identity whose principal id is `guid(identity)`.
pub(crate) fn role(identity: &str, role: &str) -> StoredRoleAssignment {
    StoredRoleAssignment {
        principal_id: guid(identity),
        grants: StoredGrants::Role(role.to_owned()),
        repositories: None,
        description: None,
        created_by: "owner".to_owned(),
        creation_date: now(),
    }
}
