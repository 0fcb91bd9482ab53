//! Scope maps: read, created, changed, deleted.

use std::collections::HashSet;
use std::sync::Arc;

use http::StatusCode;

use super::call::{Answer, Call, key};
use super::error::{ApiError, ErrorDetail};
use super::limits::{self, Countable};
use super::lists::{self, Item};
use super::models::{Ids, List, Moment, SUCCEEDED, ScopeMapProperties, ScopeMapResource, ScopeMapUpdate};
use super::networks;
use super::role_assignments::with_scope_map;
use super::write::{self, Change, Changed, modify, read};
use crate::policy::names::{self, SYSTEM_PREFIX};
use crate::policy::principal::Token;
use crate::policy::stored::{StoredNetworks, StoredScopeMap};
use crate::policy::{Registry, ScopeAction, ScopeMap};
use crate::store::{Kind, Revision};

const TYPE: &str = "Microsoft.ContainerRegistry/registries/scopeMaps";
/// ACR's limit (B.2-2), in characters.
const LONGEST_DESCRIPTION: usize = 256;
/// How many tokens and identities are named when a scope map cannot be deleted because of them.
const NAMED_USERS: usize = 5;

pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let registry = call.registry()?;
    let ids = call.ids(&registry);
    let declared = registry.declared_scope_maps().map(|map| (&*map.name, &**map));
    let (items, next_link) = lists::page::<ScopeMap, StoredScopeMap>(call, &registry, declared).await?;
    let value = items.into_iter().map(|item| match item {
        Item::Declared(map) => declared_resource(ids, map),
        Item::Stored { name, contents } => stored_resource(ids, &name, contents),
    });
    Answer::ok(&List { value: value.collect(), next_link })
}

pub(super) async fn get(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, call.parameter("scopeMapName"));
    if let Some(map) = registry.declared_scope_map(name) {
        return Answer::ok(&declared_resource(call.ids(&registry), map));
    }
    let (map, revision) = find(call, &registry, name).await?.ok_or_else(|| not_found(&registry, name))?;
    Ok(Answer::ok(&stored_resource(call.ids(&registry), name, map))?.at(Some(revision)))
}

/// Creates a scope map, or replaces the one of this name.
pub(super) async fn put(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, call.parameter("scopeMapName"));
    refuse_declared(&registry, name)?;
    names::check_scope_map(name)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "InvalidResourceName", error))?;
    let sent = call.json::<ScopeMapUpdate>()?.properties;
    let description = checked_description(sent.description)?.unwrap_or_default();
    let actions = sent.actions.map(|actions| checked_actions(call, &actions)).transpose()?;
    let sent_networks = networks::Sent::read(sent.networks)?;
    let actions = actions.ok_or_else(|| ApiError::invalid("properties.actions", "a scope map needs `actions`"))?;
    let place = key(&registry, Kind::ScopeMap, name);
    limits::check_one_more(call, &registry, Countable::ScopeMaps, &place).await?;
    let assigned = with_scope_map(call, &registry, name).await?;
    let change = |before: Option<StoredScopeMap>| {
        if before.is_none() {
            refuse_other_case(registry.scope_maps().map(|map| &*map.name), name)?;
            // One of this name was deleted by force: those tokens would get permissions that nobody gave them.
            refuse_used(&registry, name, &assigned, |users| {
                format!(
                    "{users} lost scope map '{name}' when it was deleted; give them another one or delete them first"
                )
            })?;
        }
        let (creation_date, mut networks) = before
            .map_or_else(|| (call.now, StoredNetworks::default()), |before| (before.creation_date, before.networks));
        sent_networks.apply_to(&mut networks);
        let (description, actions) = (description.clone(), actions.clone());
        Ok(Change::Put(StoredScopeMap { description, actions, networks, creation_date }))
    };
    answer(call, &registry, modify(call, place, change).await?)
}

pub(super) async fn update(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, call.parameter("scopeMapName"));
    refuse_declared(&registry, name)?;
    let sent = call.json::<ScopeMapUpdate>()?.properties;
    let description = checked_description(sent.description)?;
    let actions = sent.actions.map(|actions| checked_actions(call, &actions)).transpose()?;
    let sent_networks = networks::Sent::read(sent.networks)?;
    let change = |before: Option<StoredScopeMap>| {
        let mut before = before.ok_or_else(|| not_found(&registry, name))?;
        sent_networks.apply_to(&mut before.networks);
        Ok(Change::Put(StoredScopeMap {
            networks: before.networks,
            description: description.clone().unwrap_or(before.description),
            actions: actions.clone().unwrap_or(before.actions),
            creation_date: before.creation_date,
        }))
    };
    answer(call, &registry, modify(call, key(&registry, Kind::ScopeMap, name), change).await?)
}

/// Deletes a scope map, unless tokens or identities use it (D34). Another replica may give it to one at the same moment:
/// that one has no permissions by it then.
pub(super) async fn delete(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, call.parameter("scopeMapName"));
    refuse_declared(&registry, name)?;
    let forced = call.query("force").is_some_and(|force| force.eq_ignore_ascii_case("true"));
    let assigned = with_scope_map(call, &registry, name).await?;
    let may = |before: Option<&StoredScopeMap>| {
        if before.is_none() || forced {
            return Ok(());
        }
        refuse_used(&registry, name, &assigned, |users| {
            format!(
                "scope map '{name}' is used by {users}; give those another scope map or delete them first, or force it"
            )
        })
    };
    let changed = write::delete(call, key(&registry, Kind::ScopeMap, name), may).await?;
    deleted(call, &changed).await
}

/// The answer to a deletion: 204 when there was nothing to delete, as in ARM.
///
/// That too is answered only when the policy holds what the store has: somebody else may have deleted it just now.
pub(super) async fn deleted<T>(call: &Call, changed: &Changed<T>) -> Result<Answer, ApiError> {
    if !changed.existed {
        // Writing nothing tells where the store is.
        let now = call.parts.store.write(&[], call.now).await?;
        return Ok(Answer::empty(StatusCode::NO_CONTENT).written(Some(now)));
    }
    Ok(Answer::empty(StatusCode::OK).written(changed.revision).changed(["deleted"]))
}

/// Whether tokens may be given the scope map `name`.
pub(super) async fn exists(call: &Call, registry: &Registry, name: &str) -> Result<bool, ApiError> {
    Ok(registry.declared_scope_map(name).is_some() || find(call, registry, name).await?.is_some())
}

async fn find(call: &Call, registry: &Registry, name: &str) -> Result<Option<(StoredScopeMap, Revision)>, ApiError> {
    read(call, &key(registry, Kind::ScopeMap, name)).await
}

fn answer(call: &Call, registry: &Registry, changed: Changed<StoredScopeMap>) -> Result<Answer, ApiError> {
    let name = call.parameter("scopeMapName");
    let contents = changed.contents.ok_or_else(|| not_found(registry, name))?;
    let status = if changed.existed { StatusCode::OK } else { StatusCode::CREATED };
    let answer = Answer::json(status, &stored_resource(call.ids(registry), name, contents))?;
    Ok(answer.at(changed.revision).written(changed.revision).changed(changed.names))
}

fn refuse_declared(registry: &Registry, name: &str) -> Result<(), ApiError> {
    match registry.declared_scope_map(name) {
        Some(map) if !map.system_defined => Err(ApiError::declared(&format!("scope map '{name}'"), &map.origin)),
        None if !name.starts_with(SYSTEM_PREFIX) => Ok(()),
        Some(_) | None => Err(ApiError::conflict(
            "SystemDefined",
            format!("scope map '{name}' cannot be changed: those that begin with '{SYSTEM_PREFIX}' are system-defined"),
        )),
    }
}

/// `assigned`: the identities that have it by an assignment.
fn refuse_used(
    registry: &Registry,
    name: &str,
    assigned: &[String],
    message: impl FnOnce(String) -> String,
) -> Result<(), ApiError> {
    let has = |token: &&Arc<Token>| token.scope_maps.iter().any(|map| **map == *name);
    let tokens = registry.tokens().filter(has).map(|token| ("token", &*token.name));
    let identities = assigned.iter().map(|identity| ("identity", identity.as_str()));
    let mut users: Vec<_> = identities.chain(tokens).collect();
    if users.is_empty() {
        return Ok(());
    }
    users.sort_unstable();
    let named: Vec<_> = users.iter().take(NAMED_USERS).map(|(_, name)| format!("'{name}'")).collect();
    let more = match users.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = message(format!("{}{more}", named.join(", ")));
    let mut error = ApiError::conflict("ScopeMapInUse", message);
    let detail = |(kind, name): &(&str, &str)| ErrorDetail {
        code: "ScopeMapInUse",
        message: format!("{kind} '{name}' uses it"),
        target: Some((*name).to_owned()),
        ..ErrorDetail::default()
    };
    error.error.details = users.iter().take(NAMED_USERS).map(detail).collect();
    Err(error)
}

/// Whether no other name differs from `name` in case only: ARM takes the two for one, and so do people.
pub(super) fn refuse_other_case<'a>(mut names: impl Iterator<Item = &'a str>, name: &str) -> Result<(), ApiError> {
    let Some(other) = names.find(|other| other.eq_ignore_ascii_case(name) && *other != name) else { return Ok(()) };
    let message = format!("'{name}' differs from '{other}', which is there, in upper and lower case only");
    Err(ApiError::conflict("AlreadyExists", message))
}

fn checked_description(description: Option<String>) -> Result<Option<String>, ApiError> {
    match description {
        Some(text) if text.chars().count() > LONGEST_DESCRIPTION => Err(ApiError::invalid(
            "properties.description",
            format!("a description has at most {LONGEST_DESCRIPTION} characters"),
        )),
        description => Ok(description),
    }
}

/// The actions in their one form, each once, in the order in which they were sent.
fn checked_actions(call: &Call, actions: &[String]) -> Result<Vec<String>, ApiError> {
    let mut checked: Vec<String> = Vec::with_capacity(actions.len());
    let mut seen = HashSet::new();
    for (position, action) in actions.iter().enumerate() {
        let target = format!("properties.actions[{position}]");
        let action = ScopeAction::parse(action).map_err(|error| ApiError::invalid(&target, error))?.to_string();
        if seen.insert(action.clone()) {
            checked.push(action);
        }
    }
    limits::check_actions(call, checked.len())?;
    Ok(checked)
}

fn declared_resource(ids: Ids<'_>, map: &ScopeMap) -> ScopeMapResource {
    let properties = ScopeMapProperties {
        description: map.description.to_string(),
        kind: if map.system_defined { "SystemDefined" } else { "UserDefined" },
        creation_date: None,
        provisioning_state: SUCCEEDED,
        actions: map.scope_actions().map(|action| action.to_string()).collect(),
        networks: networks::declared(map.networks.as_deref()),
        declared_in: (!map.system_defined).then(|| map.origin.to_string()),
    };
    resource(ids, &map.name, properties)
}

fn stored_resource(ids: Ids<'_>, name: &str, map: StoredScopeMap) -> ScopeMapResource {
    let properties = ScopeMapProperties {
        description: map.description,
        kind: "UserDefined",
        creation_date: Some(Moment(map.creation_date)),
        provisioning_state: SUCCEEDED,
        actions: map.actions,
        networks: networks::shown(map.networks),
        declared_in: None,
    };
    resource(ids, name, properties)
}

fn resource(ids: Ids<'_>, name: &str, properties: ScopeMapProperties) -> ScopeMapResource {
    ScopeMapResource { id: ids.scope_map(name), name: name.to_owned(), kind: TYPE, properties }
}

fn not_found(registry: &Registry, name: &str) -> ApiError {
    ApiError::not_found(&format!("registries/{}/scopeMaps/{name}", registry.name))
}
