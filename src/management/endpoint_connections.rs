//! Private endpoint connections: read, approved, rejected, created, deleted.
//!
//! Whoever approves one lets a private network in, so what it is about is fixed when it is made: another endpoint needs another
//! connection.

use std::collections::BTreeMap;

use http::StatusCode;

use super::call::{Answer, Call, key};
use super::error::ApiError;
use super::lists;
use super::models::{
    EndpointConnectionProperties, EndpointConnectionResource, EndpointConnectionUpdate,
    EndpointConnectionUpdateProperties, Ids, LinkState, List, Moment, SUCCEEDED, Word,
};
use super::scope_maps::{deleted, refuse_other_case};
use super::write::{self, Change, modify, read};
use crate::policy::document::ConnectionStatus;
use crate::policy::network::{EndpointMatch, PrivateEndpointConnection};
use crate::policy::stored::{ActionsRequired, StoredEndpointMatch, StoredPrivateEndpointConnection};
use crate::policy::{Registry, check_private_endpoint_connection};
use crate::store::Kind;

const TYPE: &str = "Microsoft.ContainerRegistry/registries/privateEndpointConnections";
/// How many a registry has at most, those of files too (requirements B.4).
const MOST: usize = 200;

pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let registry = call.registry()?;
    let all = all(call, &registry).await?;
    let (value, next_link) = lists::slice(call, all);
    Answer::ok(&List { value, next_link })
}

/// All that count, by name: a file's hide what the store has of the same name, or about the same endpoint.
pub(super) async fn all(
    call: &Call,
    registry: &Registry,
) -> Result<BTreeMap<String, EndpointConnectionResource>, ApiError> {
    let (ids, declared) = (call.ids(registry), registry.declared_endpoints());
    let mut all: BTreeMap<_, _> =
        declared.connections().iter().map(|one| (one.name.to_string(), declared_resource(ids, one))).collect();
    for (name, stored) in lists::all::<StoredPrivateEndpointConnection>(call, &registry.name).await? {
        if declared_like(registry, &name, &stored.matches).is_none() {
            all.insert(name.clone(), stored_resource(ids, &name, stored));
        }
    }
    Ok(all)
}

pub(super) async fn get(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, name(call));
    if let Some(connection) = registry.declared_endpoints().named(name) {
        return Answer::ok(&declared_resource(call.ids(&registry), connection));
    }
    let found = read(call, &key(&registry, Kind::PrivateEndpointConnection, name)).await?;
    let (connection, revision) = found.ok_or_else(|| not_found(&registry, name))?;
    Ok(Answer::ok(&stored_resource(call.ids(&registry), name, connection))?.at(Some(revision)))
}

/// Gives a connection another state, or creates one.
pub(super) async fn put(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, name(call));
    refuse_declared(&registry, name)?;
    let sent = call.json::<EndpointConnectionUpdate>()?.properties;
    let others = lists::all::<StoredPrivateEndpointConnection>(call, &registry.name).await?;
    let change = |before: Option<StoredPrivateEndpointConnection>| {
        let new = before.is_none();
        let connection = changed(call, before, &sent)?;
        check_private_endpoint_connection(name, &connection).map_err(|error| ApiError::invalid("properties", error))?;
        if let Some(declared) = declared_like(&registry, name, &connection.matches) {
            let what = format!("private endpoint connection '{}', which is about this endpoint,", declared.name);
            return Err(ApiError::declared(&what, &declared.origin));
        }
        if new {
            refuse_more(&registry, name, &connection.matches, &others)?;
        }
        Ok(Change::Put(connection))
    };
    let changed = modify(call, key(&registry, Kind::PrivateEndpointConnection, name), change).await?;
    let contents = changed.contents.ok_or_else(|| not_found(&registry, name))?;
    let status = if changed.existed { StatusCode::OK } else { StatusCode::CREATED };
    let answer = Answer::json(status, &stored_resource(call.ids(&registry), name, contents))?;
    Ok(answer.at(changed.revision).written(changed.revision).changed(changed.names))
}

/// Deletes a connection: its endpoint is as one that was never seen.
pub(super) async fn delete(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, name(call));
    refuse_declared(&registry, name)?;
    let place = key(&registry, Kind::PrivateEndpointConnection, name);
    let changed = write::delete::<StoredPrivateEndpointConnection>(call, place, |_| Ok(())).await?;
    deleted(call, &changed).await
}

fn name(call: &Call) -> &str {
    call.parameter("privateEndpointConnectionName")
}

/// What becomes of a connection. A description is about one status, so none outlives it.
fn changed(
    call: &Call,
    before: Option<StoredPrivateEndpointConnection>,
    sent: &EndpointConnectionUpdateProperties,
) -> Result<StoredPrivateEndpointConnection, ApiError> {
    let mut connection = match (before, &sent.matches) {
        (Some(before), Some(matches)) if !same(&before.matches, matches) => {
            let message = "a connection stays about the endpoint that it was made for; delete it and make another one";
            return Err(ApiError::invalid("properties.match", message));
        }
        (Some(before), _) => before,
        (None, Some(matches)) => StoredPrivateEndpointConnection {
            matches: matches.clone(),
            status: ConnectionStatus::Pending,
            description: String::new(),
            actions_required: None,
            creation_date: call.now,
        },
        (None, None) => return Err(ApiError::invalid("properties.match", "a new connection needs `match`")),
    };
    if let Some(LinkState { status, description, actions_required }) = &sent.private_link_service_connection_state {
        connection.status = status.map_or(connection.status, |word| word.0);
        connection.description = description.clone().unwrap_or_default();
        connection.actions_required = actions_required.map(|word| word.0);
    }
    Ok(connection)
}

/// However a network is written.
fn same(one: &StoredEndpointMatch, other: &StoredEndpointMatch) -> bool {
    one == other || EndpointMatch::of_stored(one).is_ok_and(|one| EndpointMatch::of_stored(other) == Ok(one))
}

/// Whether a new connection may be about this endpoint: no other one is, and there is room.
fn refuse_more(
    registry: &Registry,
    name: &str,
    matches: &StoredEndpointMatch,
    others: &[(String, StoredPrivateEndpointConnection)],
) -> Result<(), ApiError> {
    refuse_other_case(others.iter().map(|(other, _)| other.as_str()), name)?;
    if let Some((other, _)) = others.iter().find(|(_, other)| same(&other.matches, matches)) {
        let message = format!("private endpoint connection '{other}' is about this endpoint");
        return Err(ApiError::conflict("AlreadyExists", message).at("properties.match"));
    }
    if registry.declared_endpoints().connections().len() + others.len() >= MOST {
        let message = format!("a registry has at most {MOST} private endpoint connections");
        return Err(ApiError::conflict("QuotaExceeded", message));
    }
    Ok(())
}

/// The file's connection of this name, or about this endpoint.
fn declared_like<'a>(
    registry: &'a Registry,
    name: &str,
    matches: &StoredEndpointMatch,
) -> Option<&'a PrivateEndpointConnection> {
    let declared = registry.declared_endpoints();
    let about = || declared.matching(&EndpointMatch::of_stored(matches).ok()?);
    declared.named(name).or_else(about).map(|one| &**one)
}

fn refuse_declared(registry: &Registry, name: &str) -> Result<(), ApiError> {
    registry.declared_endpoints().named(name).map_or(Ok(()), |one| {
        Err(ApiError::declared(&format!("private endpoint connection '{}'", one.name), &one.origin))
    })
}

fn declared_resource(ids: Ids<'_>, connection: &PrivateEndpointConnection) -> EndpointConnectionResource {
    let PrivateEndpointConnection { name, matches, status, description, origin } = connection;
    let mut resource = resource(ids, name, matches.stored(), state(*status, description.clone(), None));
    resource.properties.declared_in = Some(origin.to_string());
    resource
}

fn stored_resource(ids: Ids<'_>, name: &str, stored: StoredPrivateEndpointConnection) -> EndpointConnectionResource {
    let StoredPrivateEndpointConnection { matches, status, description, actions_required, creation_date } = stored;
    let mut resource = resource(ids, name, matches, state(status, description, actions_required));
    resource.properties.creation_date = Some(Moment(creation_date));
    resource
}

fn state(status: ConnectionStatus, description: String, actions_required: Option<ActionsRequired>) -> LinkState {
    LinkState {
        status: Some(Word(status)),
        description: Some(description),
        actions_required: Some(Word(actions_required.unwrap_or_default())),
    }
}

fn resource(ids: Ids<'_>, name: &str, matches: StoredEndpointMatch, state: LinkState) -> EndpointConnectionResource {
    let properties = EndpointConnectionProperties {
        private_link_service_connection_state: state,
        provisioning_state: SUCCEEDED,
        matches,
        creation_date: None,
        declared_in: None,
    };
    EndpointConnectionResource { id: ids.endpoint_connection(name), name: name.to_owned(), kind: TYPE, properties }
}

fn not_found(registry: &Registry, name: &str) -> ApiError {
    ApiError::not_found(&format!("registries/{}/privateEndpointConnections/{name}", registry.name))
}
