//! Role assignments: who may do what on a registry, or on all of them.
//!
//! They name the principal id of an identity: one that is made again under an old name has none of the old one's roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;

use super::access::scope;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::lists;
use super::models::{
    Ids, List, Moment, RoleAssignmentProperties, RoleAssignmentResource, RoleAssignmentUpdate,
    RoleAssignmentUpdateProperties,
};
use super::networks;
use super::repositories;
use super::role_definitions;
use super::scope_maps::{deleted, exists};
use super::write::{self, Change, Changed, modify, read};
use crate::policy::identity::{Guid, IdentityKind};
use crate::policy::role::{Grants, Role, RoleAssignment};
use crate::policy::stored::{StoredGrants, StoredRoleAssignment};
use crate::policy::{self, PolicySnapshot, Registry};
use crate::store::{Kind, ObjectKey};

const TYPE: &str = "Microsoft.Authorization/roleAssignments";
/// In one scope, as in a subscription of Azure: lists are read whole.
const MOST: usize = 4_000;
/// In characters, as in Azure.
const LONGEST_DESCRIPTION: usize = 1_024;

/// What assignments are about: one registry, or all.
#[derive(Debug, Clone)]
enum Place {
    All,
    Registry(Arc<Registry>),
}

impl Place {
    fn of(call: &Call) -> Result<Self, ApiError> {
        if call.parameter("registryName").is_empty() { Ok(Self::All) } else { call.registry().map(Self::Registry) }
    }

    /// As records name it.
    fn name(&self) -> &str {
        match self {
            Self::All => "",
            Self::Registry(registry) => &registry.name,
        }
    }

    fn scope(&self, call: &Call) -> String {
        scope(&call.parts.settings, Some(self.name()).filter(|name| !name.is_empty()))
    }

    fn key(&self, id: &Guid) -> ObjectKey {
        ObjectKey { registry: self.name().to_owned(), kind: Kind::RoleAssignment, name: id.to_string() }
    }

    /// What files assign here.
    fn declared(&self, snapshot: &PolicySnapshot) -> Vec<Arc<RoleAssignment>> {
        match self {
            Self::All => snapshot.declared_assignments().cloned().collect(),
            Self::Registry(registry) => registry.declared_assignments().cloned().collect(),
        }
    }

    fn not_found(&self, call: &Call, id: &str) -> ApiError {
        ApiError::not_found_in(&format!("{}/providers/{TYPE}", self.scope(call)), id)
    }
}

/// Those in the scope and above it; of all registries also those below, unless only the scope is asked for.
pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let filter = Filter::parse(call.query("$filter").unwrap_or_default())?;
    let snapshot = call.snapshot()?;
    let mut places = vec![Place::All];
    match Place::of(call)? {
        Place::All if filter.at_scope => {}
        Place::All => places.extend(snapshot.registries().iter().cloned().map(Place::Registry)),
        place @ Place::Registry(_) => places.push(place),
    }
    let mut items = BTreeMap::new();
    for place in &places {
        for resource in of_place(call, &snapshot, place).await? {
            if filter.principal.is_none_or(|wanted| resource.properties.principal_id.eq_ignore_ascii_case(wanted)) {
                items.insert(format!("{}/{}", place.name(), resource.name), resource);
            }
        }
    }
    let (value, next_link) = lists::slice(call, items);
    Answer::ok(&List { value, next_link })
}

async fn of_place(
    call: &Call,
    snapshot: &PolicySnapshot,
    place: &Place,
) -> Result<Vec<RoleAssignmentResource>, ApiError> {
    let stored = lists::all::<StoredRoleAssignment>(call, place.name()).await?;
    let stored = stored.into_iter().map(|(id, one)| stored_resource(call, snapshot, place, id, one));
    let declared = place.declared(snapshot);
    Ok(declared.iter().map(|one| declared_resource(call, place, one)).chain(stored).collect())
}

pub(super) async fn get(call: &Call) -> Result<Answer, ApiError> {
    let (place, id) = (Place::of(call)?, id(call)?);
    let snapshot = call.snapshot()?;
    if let Some(declared) = place.declared(&snapshot).iter().find(|one| one.id == id) {
        return Answer::ok(&declared_resource(call, &place, declared));
    }
    let found = read::<StoredRoleAssignment>(call, &place.key(&id)).await?;
    let (assignment, revision) = found.ok_or_else(|| place.not_found(call, id.as_str()))?;
    let resource = stored_resource(call, &snapshot, &place, id.to_string(), assignment);
    Ok(Answer::ok(&resource)?.at(Some(revision)))
}

/// Assigns. Whoever comes here may assign roles in the scope, and nothing that is assigned reaches beyond it.
///
/// A condition that the request does not name stays: ARM's clients do not know `repositories`, and what they send back must not
/// reach further than what they read.
pub(super) async fn put(call: &Call) -> Result<Answer, ApiError> {
    let (place, id) = (Place::of(call)?, id(call)?);
    let snapshot = call.snapshot()?;
    refuse_declared(&place, &snapshot, &id)?;
    let sent = Sent::read(call, &snapshot, &place).await?;
    refuse_same(call, &snapshot, &place, &id, &sent).await?;
    let change = |before: Option<StoredRoleAssignment>| {
        let Some(before) = before else { return checked(&place, sent.made(call)) };
        if (&before.principal_id, &before.grants) != (&sent.principal_id, &sent.grants) {
            let message =
                "the principal and the role of a role assignment cannot be changed; delete it, and make another";
            return Err(ApiError::conflict("RoleAssignmentUpdateNotPermitted", message));
        }
        let Sent { description, repositories, .. } = sent.clone();
        let repositories = repositories.or_else(|| before.repositories.clone());
        checked(&place, StoredRoleAssignment { repositories, description, ..before })
    };
    let Changed { contents, revision, existed, mut names, .. } = modify(call, place.key(&id), change).await?;
    let contents = contents.ok_or_else(|| place.not_found(call, id.as_str()))?;
    if !names.is_empty() {
        names.push(told(&contents));
    }
    let status = if existed { StatusCode::OK } else { StatusCode::CREATED };
    let answer = Answer::json(status, &stored_resource(call, &snapshot, &place, id.to_string(), contents))?;
    Ok(answer.at(revision).written(revision).changed(names))
}

pub(super) async fn delete(call: &Call) -> Result<Answer, ApiError> {
    let (place, id) = (Place::of(call)?, id(call)?);
    refuse_declared(&place, call.snapshot()?.as_ref(), &id)?;
    let changed = write::delete::<StoredRoleAssignment>(call, place.key(&id), |_| Ok(())).await?;
    let mut answer = deleted(call, &changed).await?;
    answer.changes.extend(changed.before.as_ref().map(told));
    Ok(answer)
}

/// What is assigned to whom, for the audit log: once the assignment is deleted nothing else says what it was.
fn told(one: &StoredRoleAssignment) -> String {
    let (what, name) = match &one.grants {
        StoredGrants::Role(name) => ("role", name),
        StoredGrants::ScopeMap(name) => ("scope map", name),
    };
    format!("{what} {name} of principal {}", one.principal_id)
}

fn id(call: &Call) -> Result<Guid, ApiError> {
    let text = call.parameter("roleAssignmentName");
    Guid::parse(text).ok_or_else(|| {
        let message = format!("'{text}' is not the name of a role assignment: that is a GUID");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidResourceName", message)
    })
}

fn refuse_declared(place: &Place, snapshot: &PolicySnapshot, id: &Guid) -> Result<(), ApiError> {
    match place.declared(snapshot).iter().find(|one| one.id == *id) {
        Some(one) => Err(ApiError::declared(&format!("this role assignment ({})", one.grants), &one.origin)),
        None => Ok(()),
    }
}

/// One assignment for each principal and role in a scope, as in Azure; another condition makes another one.
async fn refuse_same(
    call: &Call,
    snapshot: &PolicySnapshot,
    place: &Place,
    id: &Guid,
    sent: &Sent,
) -> Result<(), ApiError> {
    let stored = lists::all::<StoredRoleAssignment>(call, place.name()).await?;
    if stored.len() >= MOST && !stored.iter().any(|(name, _)| *name == id.as_str()) {
        let message = format!("there are at most {MOST} role assignments in a scope; delete one, or assign to a group");
        return Err(ApiError::conflict("RoleAssignmentLimitExceeded", message));
    }
    let its_own = stored.iter().find(|(name, _)| *name == id.as_str()).and_then(|(_, one)| one.repositories.as_ref());
    let repositories = sent.repositories.as_ref().or(its_own);
    let same = |one: &StoredRoleAssignment| {
        (&one.principal_id, &one.grants, one.repositories.as_ref()) == (&sent.principal_id, &sent.grants, repositories)
    };
    if let Some((name, _)) = stored.iter().find(|(name, one)| *name != id.as_str() && same(one)) {
        let message = format!("The role assignment already exists. The ID of the existing role assignment is {name}.");
        return Err(ApiError::conflict("RoleAssignmentExists", message));
    }
    let declared = place.declared(snapshot);
    let same = |one: &&Arc<RoleAssignment>| {
        (&one.principal_id, &stored_grants(&one.grants), condition(one).as_ref())
            == (&sent.principal_id, &sent.grants, repositories)
    };
    match declared.iter().find(same) {
        Some(one) => Err(ApiError::conflict(
            "RoleAssignmentExists",
            format!("The role assignment already exists: it is declared at {}.", one.origin),
        )),
        None => Ok(()),
    }
}

/// What a request says, looked up.
#[derive(Debug, Clone)]
struct Sent {
    principal_id: Guid,
    grants: StoredGrants,
    repositories: Option<Vec<String>>,
    description: Option<String>,
}

impl Sent {
    async fn read(call: &Call, snapshot: &PolicySnapshot, place: &Place) -> Result<Self, ApiError> {
        let sent = call.json::<RoleAssignmentUpdate>()?.properties;
        if sent.condition.as_ref().is_some_and(|condition| !condition.is_null()) {
            let message = "conditions in Azure's language are not available: name the repositories in `repositories`";
            return Err(ApiError::invalid("properties.condition", message));
        }
        let principal_id = principal(snapshot, &sent)?;
        let grants = grants(call, place, &sent).await?;
        let repositories =
            sent.repositories.as_ref().map(|patterns| checked_repositories(patterns, &grants)).transpose()?;
        let description = sent.description.filter(|text| !text.is_empty());
        if description.as_ref().is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
            let message = format!("a description has at most {LONGEST_DESCRIPTION} characters");
            return Err(ApiError::invalid("properties.description", message));
        }
        Ok(Self { principal_id, grants, repositories, description })
    }

    fn made(&self, call: &Call) -> StoredRoleAssignment {
        let Self { principal_id, grants, repositories, description } = self.clone();
        let created_by = call.caller.to_string();
        StoredRoleAssignment { principal_id, grants, repositories, description, created_by, creation_date: call.now }
    }
}

/// Stores what has an effect only.
fn checked(place: &Place, assignment: StoredRoleAssignment) -> Result<Change<StoredRoleAssignment>, ApiError> {
    policy::check_role_assignment(matches!(place, Place::All), &assignment)
        .map_err(|error| ApiError::invalid("properties", error))?;
    Ok(Change::Put(assignment))
}

/// The id of an identity that there is.
fn principal(snapshot: &PolicySnapshot, sent: &RoleAssignmentUpdateProperties) -> Result<Guid, ApiError> {
    let target = "properties.principalId";
    let id = Guid::parse(&sent.principal_id).ok_or_else(|| {
        let message = format!("'{}' is not a principal id: that is a GUID", sent.principal_id);
        ApiError::invalid(target, message)
    })?;
    let Some(identity) = snapshot.identities().with_principal_id(&id) else {
        let message =
            format!("Principal {id} does not exist in the directory; `seawall identity list` shows what does.");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "PrincipalNotFound", message).at(target));
    };
    let kind = principal_type(identity.kind);
    match &sent.principal_type {
        Some(sent) if !sent.eq_ignore_ascii_case(kind) => {
            let message = format!("the identity '{}' is a '{kind}', not a '{sent}'", identity.name);
            let error = ApiError::new(StatusCode::BAD_REQUEST, "UnmatchedPrincipalType", message);
            Err(error.at("properties.principalType"))
        }
        Some(_) | None => Ok(id),
    }
}

async fn grants(call: &Call, place: &Place, sent: &RoleAssignmentUpdateProperties) -> Result<StoredGrants, ApiError> {
    match (&sent.role_definition_id, &sent.scope_map_id) {
        (Some(id), None) => {
            let role = role_definitions::with_id(id).ok_or_else(|| no_role(id))?;
            Ok(StoredGrants::Role(role.name().to_owned()))
        }
        (None, Some(id)) => scope_map(call, place, id).await.map(StoredGrants::ScopeMap),
        _ => {
            let message = "a role assignment needs exactly one of `roleDefinitionId` and `scopeMapId`";
            Err(ApiError::invalid("properties.roleDefinitionId", message))
        }
    }
}

fn no_role(id: &str) -> ApiError {
    let message = format!("'{id}' is no role; `seawall role definition list` shows the roles and their ids");
    ApiError::new(StatusCode::BAD_REQUEST, "RoleDefinitionDoesNotExist", message).at("properties.roleDefinitionId")
}

/// The name of a scope map that there is.
async fn scope_map(call: &Call, place: &Place, id: &str) -> Result<String, ApiError> {
    let refused = |message| Err(ApiError::invalid("properties.scopeMapId", message));
    let Place::Registry(registry) = place else {
        return refused("a scope map is of one registry: assign it in the scope of that registry".to_owned());
    };
    let ids = call.ids(registry);
    let Some(name) = ids.scope_map_name(id) else {
        let example = ids.scope_map("_repositories_pull");
        return refused(format!("'{id}' is not the id of a scope map of this registry, such as '{example}'"));
    };
    if exists(call, registry, &name).await? {
        return Ok(name);
    }
    refused(format!("there is no scope map '{name}'; create it first, with `seawall scope-map create`"))
}

fn checked_repositories(patterns: &[String], grants: &StoredGrants) -> Result<Vec<String>, ApiError> {
    let target = "properties.repositories";
    if *grants == StoredGrants::Role(Role::RepositoryCatalogLister.name().to_owned()) {
        let role = Role::RepositoryCatalogLister;
        let message = format!("`{role}` takes no condition: it shows all repositories or none");
        return Err(ApiError::invalid(target, message));
    }
    Ok(repositories::texts(&repositories::checked(target, patterns)?))
}

fn declared_resource(call: &Call, place: &Place, one: &RoleAssignment) -> RoleAssignmentResource {
    let kind = call.snapshot().ok().and_then(|snapshot| {
        snapshot.identities().with_principal_id(&one.principal_id).map(|identity| principal_type(identity.kind))
    });
    let properties = RoleAssignmentProperties {
        principal_type: kind.unwrap_or(UNKNOWN_TYPE),
        principal_name: Some(one.identity.to_string()),
        repositories: condition(one),
        networks: networks::declared(one.networks.as_deref()),
        declared_in: Some(one.origin.to_string()),
        ..granting(call, place, &stored_grants(&one.grants), one.principal_id.as_str())
    };
    resource(&place.scope(call), one.id.to_string(), properties)
}

fn stored_resource(
    call: &Call,
    snapshot: &PolicySnapshot,
    place: &Place,
    id: String,
    one: StoredRoleAssignment,
) -> RoleAssignmentResource {
    let identity = snapshot.identities().with_principal_id(&one.principal_id);
    let properties = RoleAssignmentProperties {
        principal_type: identity.map_or(UNKNOWN_TYPE, |identity| principal_type(identity.kind)),
        principal_name: identity.map(|identity| identity.name.to_string()),
        description: one.description,
        repositories: one.repositories,
        created_on: Some(Moment(one.creation_date)),
        created_by: Some(one.created_by),
        ..granting(call, place, &one.grants, one.principal_id.as_str())
    };
    resource(&place.scope(call), id, properties)
}

/// The principals that have the scope map `name` of `registry` by assignments of the store.
pub(super) async fn with_scope_map(call: &Call, registry: &Registry, name: &str) -> Result<Vec<String>, ApiError> {
    let snapshot = call.snapshot()?;
    let all = lists::all::<StoredRoleAssignment>(call, &registry.name).await?;
    let grants = StoredGrants::ScopeMap(name.to_owned());
    let those = all.into_iter().filter(|(_, one)| one.grants == grants).map(|(_, one)| one.principal_id);
    let named = |id: Guid| {
        let identity = snapshot.identities().with_principal_id(&id);
        identity.map_or_else(|| id.to_string(), |identity| identity.name.to_string())
    };
    Ok(those.map(named).collect())
}

/// What is assigned to whom, and nothing else.
fn granting(call: &Call, place: &Place, grants: &StoredGrants, principal_id: &str) -> RoleAssignmentProperties {
    let (role, scope_map_id) = match grants {
        StoredGrants::Role(name) => (Some(name), None),
        StoredGrants::ScopeMap(name) => {
            (None, Some(Ids { settings: &call.parts.settings, registry: place.name() }.scope_map(name)))
        }
    };
    RoleAssignmentProperties {
        role_definition_id: role.and_then(|name| Role::parse(name)).map(|role| role_definitions::id(call, role)),
        principal_id: principal_id.to_owned(),
        principal_type: UNKNOWN_TYPE,
        scope: place.scope(call),
        description: None,
        created_on: None,
        created_by: None,
        condition: None,
        principal_name: None,
        role_definition_name: role.cloned(),
        scope_map_id,
        repositories: None,
        networks: None,
        declared_in: None,
    }
}

fn resource(scope: &str, name: String, properties: RoleAssignmentProperties) -> RoleAssignmentResource {
    RoleAssignmentResource { id: format!("{scope}/providers/{TYPE}/{name}"), name, kind: TYPE, properties }
}

fn stored_grants(grants: &Grants) -> StoredGrants {
    match grants {
        Grants::Role(role) => StoredGrants::Role(role.name().to_owned()),
        Grants::ScopeMap(map) => StoredGrants::ScopeMap(map.name.to_string()),
    }
}

fn condition(one: &RoleAssignment) -> Option<Vec<String>> {
    one.repositories.as_ref().map(|patterns| repositories::texts(patterns))
}

const UNKNOWN_TYPE: &str = "Unknown";

/// ARM's word: machines are service principals there.
const fn principal_type(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::User => "User",
        IdentityKind::Group => "Group",
        IdentityKind::SystemAssigned
        | IdentityKind::UserAssigned
        | IdentityKind::ServicePrincipal
        | IdentityKind::KubernetesCluster => "ServicePrincipal",
    }
}

/// `$filter` of a list: `atScope()`, and `principalId eq '…'` or `assignedTo('…')`, joined by `and`.
#[derive(Debug, Default)]
struct Filter<'a> {
    principal: Option<&'a str>,
    at_scope: bool,
}

impl<'a> Filter<'a> {
    fn parse(text: &'a str) -> Result<Self, ApiError> {
        let mut filter = Self::default();
        for condition in text.split(" and ").map(str::trim).filter(|condition| !condition.is_empty()) {
            if condition.eq_ignore_ascii_case("atScope()") {
                filter.at_scope = true;
                continue;
            }
            let principal = principal_in(condition);
            let known = "`atScope()`, `principalId eq '…'` or `assignedTo('…')`";
            filter.principal = Some(principal.ok_or_else(|| ApiError::filter(condition, known))?);
        }
        Ok(filter)
    }
}

fn principal_in(condition: &str) -> Option<&str> {
    let quoted = match condition.split_once(" eq ") {
        Some((field, value)) if field.trim().eq_ignore_ascii_case("principalId") => value.trim(),
        Some(_) => return None,
        None => {
            let (function, rest) = condition.split_once('(')?;
            function.trim().eq_ignore_ascii_case("assignedTo").then_some(())?;
            rest.strip_suffix(')')?.trim()
        }
    };
    quoted.strip_prefix('\'')?.strip_suffix('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_azures() {
        let parsed = |text| Filter::parse(text).map(|filter| (filter.at_scope, filter.principal)).ok();
        assert_eq!(parsed(""), Some((false, None)));
        assert_eq!(parsed("atScope()"), Some((true, None)));
        assert_eq!(parsed("principalId eq 'abc'"), Some((false, Some("abc"))));
        assert_eq!(parsed("atScope() and assignedTo('abc')"), Some((true, Some("abc"))));
        for text in ["principalId", "principalId eq abc", "assignedTo(abc)", "roleName eq 'x'", "atScope"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
