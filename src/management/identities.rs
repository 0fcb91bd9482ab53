//! Identities of every kind but service principals, in the shape of `Microsoft.ManagedIdentity` (S4-12).

use std::collections::BTreeMap;

use http::StatusCode;

use super::call::{Answer, Call};
use super::error::ApiError;
use super::models::{IdentityProperties, IdentityResource, IdentityUpdate, List, Moment, Word};
use super::networks;
use super::principals::{
    Described, Item, check_new, checked_rules, declared, declared_rules, find, key, made, not_found, page,
    refuse_declared, shown_rules, tenant,
};
use super::write::{Changed, modify};
use super::{Settings, principals};
use crate::policy::identity::{Guid, Identity, IdentityKind};
use crate::policy::stored::StoredIdentity;

const TYPE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";

/// Those that are shown here.
const fn is_shown(kind: IdentityKind) -> bool {
    !matches!(kind, IdentityKind::ServicePrincipal)
}

pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let snapshot = call.snapshot()?;
    let (items, next_link) = page(call, &snapshot, is_shown).await?;
    let value = items.into_iter().map(|item| match item {
        Item::Declared(identity) => declared_resource(call, identity),
        Item::Stored(name, identity) => stored_resource(call, &name, *identity),
    });
    Answer::ok(&List { value: value.collect(), next_link })
}

pub(super) async fn get(call: &Call) -> Result<Answer, ApiError> {
    let (snapshot, name) = (call.snapshot()?, call.parameter("identityName"));
    if let Some(identity) = declared(&snapshot, name) {
        return if is_shown(identity.kind) {
            Answer::ok(&declared_resource(call, identity))
        } else {
            Err(not_found(name))
        };
    }
    let (identity, revision) = find(call, name, is_shown).await?.ok_or_else(|| not_found(name))?;
    Ok(Answer::ok(&stored_resource(call, name, identity))?.at(Some(revision)))
}

/// Creates an identity, or changes what the request names of the one of this name: its ids stay, and what is assigned to it.
pub(super) async fn put(call: &Call) -> Result<Answer, ApiError> {
    let (snapshot, name) = (call.snapshot()?, call.parameter("identityName"));
    check_new(call, &snapshot, name).await?;
    let sent = Sent::read(call)?;
    let change = |before: Option<StoredIdentity>| {
        let before = before.map(shown).transpose()?;
        sent.described.change(name, made(call, &snapshot, name, before, sent.kind)?)
    };
    answer(call, modify(call, key(name), change).await?)
}

pub(super) async fn update(call: &Call) -> Result<Answer, ApiError> {
    let (snapshot, name) = (call.snapshot()?, call.parameter("identityName"));
    refuse_declared(&snapshot, name)?;
    let sent = Sent::read(call)?;
    let change = |before: Option<StoredIdentity>| {
        let before = shown(before.ok_or_else(|| not_found(name))?)?;
        sent.described.change(name, made(call, &snapshot, name, Some(before), sent.kind)?)
    };
    answer(call, modify(call, key(name), change).await?)
}

pub(super) async fn delete(call: &Call) -> Result<Answer, ApiError> {
    principals::delete(call, is_shown).await
}

/// A service principal has the same names, and is not changed here.
fn shown(identity: StoredIdentity) -> Result<StoredIdentity, ApiError> {
    if is_shown(identity.kind) {
        return Ok(identity);
    }
    Err(ApiError::conflict("AlreadyExists", "a service principal of this name is there"))
}

/// What a request says, checked.
struct Sent {
    kind: Option<IdentityKind>,
    described: Described,
}

impl Sent {
    fn read(call: &Call) -> Result<Self, ApiError> {
        let IdentityUpdate { properties, tags } = call.json()?;
        let kind = properties.identity_type.map(|word| word.0);
        if kind == Some(IdentityKind::ServicePrincipal) {
            let message = "service principals are made at `/seawall/v1/servicePrincipals`, with `seawall service-principal create`";
            return Err(ApiError::invalid("properties.identityType", message));
        }
        let snapshot = call.snapshot()?;
        let networks = networks::Sent::read(properties.networks)?;
        let matches = properties.matches.map(|rules| checked_rules(&snapshot, rules)).transpose()?;
        Ok(Self {
            kind,
            described: Described { matches, status: properties.status.map(|word| word.0), networks, tags },
        })
    }
}

fn answer(call: &Call, changed: Changed<StoredIdentity>) -> Result<Answer, ApiError> {
    let name = call.parameter("identityName");
    let contents = changed.contents.ok_or_else(|| not_found(name))?;
    let status = if changed.existed { StatusCode::OK } else { StatusCode::CREATED };
    let answer = Answer::json(status, &stored_resource(call, name, contents))?;
    Ok(answer.at(changed.revision).written(changed.revision).changed(changed.names))
}

fn declared_resource(call: &Call, identity: &Identity) -> IdentityResource {
    let properties = IdentityProperties {
        tenant_id: tenant(call, identity.tenant_id.as_ref()),
        principal_id: identity.principal_id.to_string(),
        client_id: identity.client_id.as_ref().map(Guid::to_string),
        identity_type: Word(identity.kind),
        matches: declared_rules(identity),
        status: Word(identity.status),
        creation_date: None,
        networks: networks::declared(identity.networks.as_deref()),
        declared_in: Some(identity.origin.to_string()),
    };
    resource(call, &identity.name, BTreeMap::new(), properties)
}

fn stored_resource(call: &Call, name: &str, identity: StoredIdentity) -> IdentityResource {
    let properties = IdentityProperties {
        tenant_id: tenant(call, identity.tenant_id.as_ref()),
        principal_id: identity.principal_id.to_string(),
        client_id: Some(identity.client_id.to_string()),
        identity_type: Word(identity.kind),
        matches: shown_rules(identity.matches),
        status: Word(identity.status),
        creation_date: Some(Moment(identity.creation_date)),
        networks: networks::shown(identity.networks),
        declared_in: None,
    };
    resource(call, name, identity.tags, properties)
}

fn resource(
    call: &Call,
    name: &str,
    tags: BTreeMap<String, String>,
    properties: IdentityProperties,
) -> IdentityResource {
    let Settings { subscription, resource_group, .. } = &call.parts.settings;
    IdentityResource {
        id: format!("/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/{TYPE}/{name}"),
        name: name.to_owned(),
        location: "local",
        tags,
        kind: TYPE,
        properties,
    }
}
