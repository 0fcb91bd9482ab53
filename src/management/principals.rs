//! What identities and service principals have in common: one kind of record, of the whole installation.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use uuid::Uuid;

use super::call::{Answer, Call};
use super::error::ApiError;
use super::lists;
use super::models::MatchRule;
use super::networks;
use super::scope_maps::{deleted, refuse_other_case};
use super::tokens::random_id;
use super::write::{self, Change, read};
use crate::policy::claims::{ClaimName, ClaimPattern};
use crate::policy::credential::PrincipalId;
use crate::policy::document::TokenStatus;
use crate::policy::identity::{Guid, Identity, IdentityKind};
use crate::policy::names;
use crate::policy::origin::Origin;
use crate::policy::stored::{StoredClaimRule, StoredIdentity, StoredNetworks, StoredRoleAssignment};
use crate::policy::{self, PolicySnapshot};
use crate::store::{Expected, Kind, ObjectKey, Revision, Write};

/// Of all kinds together: lists are read whole.
const MOST: u64 = 10_000;
/// Of one identity.
const MOST_RULES: usize = 100;

/// The record of the identity `name`.
pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey { registry: String::new(), kind: Kind::Identity, name: name.to_owned() }
}

/// The identity `name` of the store, if it is of a kind that `admits`.
pub(super) async fn find(
    call: &Call,
    name: &str,
    admits: fn(IdentityKind) -> bool,
) -> Result<Option<(StoredIdentity, Revision)>, ApiError> {
    Ok(read::<StoredIdentity>(call, &key(name)).await?.filter(|(identity, _)| admits(identity.kind)))
}

/// The identity that a file declares under this name.
pub(super) fn declared<'a>(snapshot: &'a PolicySnapshot, name: &str) -> Option<&'a Arc<Identity>> {
    snapshot.identities().named(name).filter(|identity| is_declared(&identity.origin))
}

/// Whether a file says it.
pub(super) const fn is_declared(origin: &Origin) -> bool {
    origin.line > 0
}

/// One item of a list.
pub(super) enum Item<'a> {
    Declared(&'a Identity),
    Stored(String, Box<StoredIdentity>),
}

/// The page that `call` asks for of all identities of the kinds that `admits`. What a file declares hides what the store
/// keeps under the same name.
pub(super) async fn page<'a>(
    call: &Call,
    snapshot: &'a PolicySnapshot,
    admits: fn(IdentityKind) -> bool,
) -> Result<(Vec<Item<'a>>, Option<String>), ApiError> {
    let mut items = BTreeMap::new();
    for (name, identity) in lists::all::<StoredIdentity>(call, "").await? {
        if admits(identity.kind) {
            items.insert(name.clone(), Item::Stored(name, Box::new(identity)));
        }
    }
    for identity in snapshot.identities().iter().filter(|identity| is_declared(&identity.origin)) {
        items.remove(&*identity.name);
        if admits(identity.kind) {
            items.insert(identity.name.to_string(), Item::Declared(identity));
        }
    }
    Ok(lists::slice(call, items))
}

/// Whether the name is one, no file has it, and there is room.
///
/// # Errors
/// 400 for the name, 409 for the rest.
pub(super) async fn check_new(call: &Call, snapshot: &PolicySnapshot, name: &str) -> Result<(), ApiError> {
    names::check_identity(name)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "InvalidResourceName", error))?;
    refuse_declared(snapshot, name)?;
    let store = &call.parts.store;
    if store.count("", Kind::Identity).await? >= MOST && find(call, name, |_| true).await?.is_none() {
        return Err(ApiError::conflict("QuotaExceeded", format!("there are at most {MOST} identities")));
    }
    Ok(())
}

/// The file alone changes what it declares.
pub(super) fn refuse_declared(snapshot: &PolicySnapshot, name: &str) -> Result<(), ApiError> {
    match declared(snapshot, name) {
        Some(identity) => Err(ApiError::declared(&format!("identity '{name}'"), &identity.origin)),
        None => Ok(()),
    }
}

/// The identity that a request creates, or `before`, which must be of the same kind.
pub(super) fn made(
    call: &Call,
    snapshot: &PolicySnapshot,
    name: &str,
    before: Option<StoredIdentity>,
    kind: Option<IdentityKind>,
) -> Result<StoredIdentity, ApiError> {
    let Some(before) = before else {
        refuse_other_case(snapshot.identities().iter().map(|identity| &*identity.name), name)?;
        return new(call, kind.unwrap_or(IdentityKind::UserAssigned));
    };
    // What it may do is bounded by what it is.
    if kind.is_some_and(|kind| kind != before.kind) {
        let message = format!("'{name}' is there already, as {:?}; what an identity is cannot be changed", before.kind);
        return Err(ApiError::conflict("AlreadyExists", message));
    }
    Ok(before)
}

fn new(call: &Call, kind: IdentityKind) -> Result<StoredIdentity, ApiError> {
    Ok(StoredIdentity {
        id: random_id()?,
        kind,
        principal_id: random_guid()?,
        client_id: random_guid()?,
        tenant_id: None,
        matches: Vec::new(),
        secrets: Vec::new(),
        verified_by: None,
        status: TokenStatus::Enabled,
        networks: StoredNetworks::default(),
        tags: BTreeMap::new(),
        creation_date: call.now,
    })
}

fn random_guid() -> Result<Guid, ApiError> {
    Guid::parse(&Uuid::new_v4().to_string()).ok_or_else(|| ApiError::internal(&"a random GUID is none"))
}

/// What a request says of an identity of any kind, checked.
pub(super) struct Described {
    pub(super) matches: Option<Vec<StoredClaimRule>>,
    pub(super) status: Option<TokenStatus>,
    pub(super) networks: networks::Sent,
    pub(super) tags: Option<BTreeMap<String, String>>,
}

impl Described {
    /// The change that makes `identity` what is said of it. What is not named stays.
    ///
    /// # Errors
    /// 400 for what the policy would not understand, or would give no effect.
    pub(super) fn change(&self, name: &str, mut identity: StoredIdentity) -> Result<Change<StoredIdentity>, ApiError> {
        if let Some(matches) = &self.matches {
            identity.matches.clone_from(matches);
        }
        if let Some(status) = self.status {
            identity.status = status;
        }
        self.networks.apply_to(&mut identity.networks);
        if let Some(tags) = &self.tags {
            identity.tags.clone_from(tags);
        }
        policy::check_identity(name, &identity).map_err(|error| ApiError::invalid("properties", error))?;
        Ok(Change::Put(identity))
    }
}

/// Deletes the identity `name`, and what is assigned to it, at once.
pub(super) async fn delete(call: &Call, admits: fn(IdentityKind) -> bool) -> Result<Answer, ApiError> {
    let name = call.parameter("identityName");
    let snapshot = call.snapshot()?;
    refuse_declared(&snapshot, name)?;
    // One that nobody can read can only be deleted as it is; nobody has what is assigned to it.
    let found = read::<StoredIdentity>(call, &key(name)).await.unwrap_or_default();
    let principal_id = found.map(|(identity, _)| identity.principal_id);
    let assignments = match &principal_id {
        Some(id) => deletions(call, &snapshot, id).await?,
        None => Vec::new(),
    };
    let may = |before: Option<&StoredIdentity>| match before {
        Some(one) if !admits(one.kind) => Err(not_found(name)),
        // Another one has taken its place a moment ago.
        Some(one) if Some(&one.principal_id) != principal_id.as_ref() => Err(ApiError::precondition()),
        Some(_) | None => Ok(()),
    };
    deleted(call, &write::delete_with::<StoredIdentity>(call, key(name), &assignments, may).await?).await
}

/// What deletes all that is assigned to `principal_id`.
async fn deletions(call: &Call, snapshot: &PolicySnapshot, principal_id: &Guid) -> Result<Vec<Write>, ApiError> {
    let registries = snapshot.registries().iter().map(|registry| &*registry.name);
    let mut writes = Vec::new();
    for registry in std::iter::once("").chain(registries) {
        let all = lists::all::<StoredRoleAssignment>(call, registry).await?;
        let its = all.into_iter().filter(|(_, assignment)| assignment.principal_id == *principal_id);
        writes.extend(its.map(|(name, _)| Write {
            key: ObjectKey { registry: registry.to_owned(), kind: Kind::RoleAssignment, name },
            object: None,
            expected: Expected::Anything,
        }));
    }
    Ok(writes)
}

/// Rules as the store keeps them, checked by the same functions as those in files.
///
/// # Errors
/// 400, naming the rule.
pub(super) fn checked_rules(
    snapshot: &PolicySnapshot,
    rules: Vec<MatchRule>,
) -> Result<Vec<StoredClaimRule>, ApiError> {
    if rules.len() > MOST_RULES {
        return Err(ApiError::invalid("properties.matches", format!("an identity has at most {MOST_RULES} rules")));
    }
    let check = |(position, rule): (usize, MatchRule)| {
        let target = format!("properties.matches[{position}]");
        check_rule(snapshot, &rule).map_err(|message| ApiError::invalid(&target, message))?;
        Ok(StoredClaimRule { provider: rule.provider, claims: rule.claims })
    };
    rules.into_iter().enumerate().map(check).collect()
}

fn check_rule(snapshot: &PolicySnapshot, rule: &MatchRule) -> Result<(), String> {
    let MatchRule { provider, claims } = rule;
    if !snapshot.identities().is_provider(provider) {
        return Err(no_provider(provider));
    }
    if claims.is_empty() {
        return Err(format!("a rule without a claim would match everybody whom '{provider}' knows"));
    }
    for (name, text) in claims {
        ClaimName::of(provider, name).map_err(|error| format!("`{name}`: {error}"))?;
        ClaimPattern::parse(text).ok_or_else(|| format!("the text of claim `{name}` is empty"))?;
    }
    Ok(())
}

/// That nobody declares the provider of this name.
pub(super) fn no_provider(name: &str) -> String {
    format!("there is no identity provider '{name}'; files declare them under `identityProviders`")
}

/// Rules of the store, as they are shown.
pub(super) fn shown_rules(rules: Vec<StoredClaimRule>) -> Vec<MatchRule> {
    rules.into_iter().map(|StoredClaimRule { provider, claims }| MatchRule { provider, claims }).collect()
}

/// Rules of a file, as they are shown.
pub(super) fn declared_rules(identity: &Identity) -> Vec<MatchRule> {
    let rules = identity.rules.iter().map(|rule| MatchRule {
        provider: rule.provider.to_string(),
        claims: rule.claims.iter().map(|(name, pattern)| (name.to_string(), pattern.to_string())).collect(),
    });
    rules.collect()
}

/// The tenant of this installation, for clients that want one: it follows from the hash key, and is of no consequence.
pub(super) fn tenant(call: &Call, own: Option<&Guid>) -> String {
    let derived = || Guid::from(PrincipalId::derive(&call.parts.hash_key, "tenant", &[]));
    own.cloned().unwrap_or_else(derived).to_string()
}

/// What is answered for the identity `name` that there is not.
pub(super) fn not_found(name: &str) -> ApiError {
    ApiError::not_found_in("Microsoft.ManagedIdentity/userAssignedIdentities", name)
}
