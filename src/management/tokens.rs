//! Tokens: read, created, changed, deleted. Their passwords are made in `passwords`.

use std::str::FromStr;

use http::StatusCode;
use uuid::Uuid;

use super::call::{Answer, Call, key};
use super::error::ApiError;
use super::limits::{self, Countable};
use super::lists::{self, Item};
use super::models::{
    Credentials, CredentialsUpdate, Ids, KeptPassword, List, Moment, SUCCEEDED, TokenProperties, TokenResource,
    TokenUpdate, TokenUpdateProperties, Word,
};
use super::networks;
use super::passwords;
use super::scope_maps::{deleted, exists, refuse_other_case};
use super::uses::Uses;
use super::write::{self, Change, Changed, modify, read};
use crate::policy::Registry;
use crate::policy::credential::{CredentialId, MalformedId};
use crate::policy::document::TokenStatus;
use crate::policy::names::{self, TOKEN_PASSWORDS};
use crate::policy::principal::{self, Token};
use crate::policy::stored::{StoredNetworks, StoredPassword, StoredToken};
use crate::store::Kind;

const TYPE: &str = "Microsoft.ContainerRegistry/registries/tokens";

pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let registry = call.registry()?;
    let ids = call.ids(&registry);
    let declared = registry.declared_tokens().map(|token| (&*token.name, &**token));
    let (items, next_link) = lists::page::<Token, StoredToken>(call, &registry, declared).await?;
    let credentials = items.iter().flat_map(|item| match item {
        Item::Declared(token) => declared_credentials(token),
        Item::Stored { contents, .. } => passwords::credentials(&contents.passwords),
    });
    let uses = Uses::read(call, &credentials.collect::<Vec<_>>()).await?;
    let value = items.into_iter().map(|item| match item {
        Item::Declared(token) => declared_resource(ids, token, &uses),
        Item::Stored { name, contents } => stored_resource(ids, &name, &contents, &uses),
    });
    Answer::ok(&List { value: value.collect(), next_link })
}

pub(super) async fn get(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, call.parameter("tokenName"));
    let ids = call.ids(&registry);
    if let Some(token) = registry.declared_token(name) {
        let uses = Uses::read(call, &declared_credentials(token)).await?;
        return Answer::ok(&declared_resource(ids, token, &uses));
    }
    let found = read::<StoredToken>(call, &key(&registry, Kind::Token, name)).await?;
    let (token, revision) = found.ok_or_else(|| not_found(&registry, name))?;
    let uses = Uses::read(call, &passwords::credentials(&token.passwords)).await?;
    Ok(Answer::ok(&stored_resource(ids, name, &token, &uses))?.at(Some(revision)))
}

/// Creates a token, or gives the one of this name another scope map; its passwords and its identity stay (E-11). What would
/// widen what it may do is never implied: a disabled token stays disabled, additional scope maps that are not named go.
pub(super) async fn put(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, call.parameter("tokenName"));
    refuse_declared(&registry, name)?;
    check_name(&registry, name)?;
    let sent = Sent::read(call, &registry).await?;
    let scope_map = sent.scope_map.as_deref();
    let scope_map =
        scope_map.ok_or_else(|| ApiError::invalid("properties.scopeMapId", "a token needs a `scopeMapId`"))?;
    let place = key(&registry, Kind::Token, name);
    limits::check_one_more(call, &registry, Countable::Tokens, &place).await?;
    let change = |before: Option<StoredToken>| {
        if before.is_none() {
            refuse_other_case(registry.tokens().map(|token| &*token.name), name)?;
        }
        let mut token = before.map_or_else(|| new(call, scope_map), Ok)?;
        sent.apply_to(&mut token);
        token.additional_scope_maps = sent.additional_scope_maps.clone().unwrap_or_default();
        Ok(Change::Put(token))
    };
    answer(call, &registry, modify(call, place, change).await?).await
}

pub(super) async fn update(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, call.parameter("tokenName"));
    refuse_declared(&registry, name)?;
    let sent = Sent::read(call, &registry).await?;
    let change = |before: Option<StoredToken>| {
        let mut token = before.ok_or_else(|| not_found(&registry, name))?;
        sent.apply_to(&mut token);
        if let Some(credentials) = &sent.credentials {
            token.passwords = kept(token.passwords, credentials)?;
        }
        Ok(Change::Put(token))
    };
    answer(call, &registry, modify(call, key(&registry, Kind::Token, name), change).await?).await
}

pub(super) async fn delete(call: &Call) -> Result<Answer, ApiError> {
    let (registry, name) = (call.registry()?, call.parameter("tokenName"));
    refuse_declared(&registry, name)?;
    let place = key(&registry, Kind::Token, name);
    deleted(call, &write::delete::<StoredToken>(call, place, |_| Ok(())).await?).await
}

/// What a request says about a token, its scope maps looked up.
struct Sent {
    scope_map: Option<String>,
    additional_scope_maps: Option<Vec<String>>,
    status: Option<TokenStatus>,
    credentials: Option<CredentialsUpdate>,
    networks: networks::Sent,
}

impl Sent {
    async fn read(call: &Call, registry: &Registry) -> Result<Self, ApiError> {
        let TokenUpdateProperties { scope_map_id, status, credentials, additional_scope_map_ids, networks } =
            call.json::<TokenUpdate>()?.properties;
        if credentials.as_ref().and_then(|sent| sent.certificates.as_ref()).is_some_and(|list| !list.is_empty()) {
            let message = "certificates of tokens are not available in this version";
            return Err(ApiError::invalid("properties.credentials.certificates", message));
        }
        let networks = networks::Sent::read(networks)?;
        let scope_map = match scope_map_id {
            None => None,
            Some(id) => Some(find_scope_map(call, registry, &id, "properties.scopeMapId").await?),
        };
        let additional_scope_maps = match additional_scope_map_ids {
            None => None,
            Some(ids) => Some(find_scope_maps(call, registry, &ids).await?),
        };
        Ok(Self { scope_map, additional_scope_maps, status: status.map(|word| word.0), credentials, networks })
    }

    /// Changes what the request names, passwords excepted.
    fn apply_to(&self, token: &mut StoredToken) {
        if let Some(scope_map) = &self.scope_map {
            token.scope_map.clone_from(scope_map);
        }
        if let Some(names) = &self.additional_scope_maps {
            token.additional_scope_maps.clone_from(names);
        }
        if let Some(status) = self.status {
            token.status = status;
        }
        self.networks.apply_to(&mut token.networks);
    }
}

async fn find_scope_maps(call: &Call, registry: &Registry, ids: &[String]) -> Result<Vec<String>, ApiError> {
    let mut names = Vec::new();
    for (position, id) in ids.iter().enumerate() {
        let target = format!("properties.additionalScopeMapIds[{position}]");
        let name = find_scope_map(call, registry, id, &target).await?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name of the scope map with this id, which must exist.
async fn find_scope_map(call: &Call, registry: &Registry, id: &str, target: &str) -> Result<String, ApiError> {
    let ids = call.ids(registry);
    let Some(name) = ids.scope_map_name(id) else {
        let example = ids.scope_map("_repositories_pull");
        let message = format!("'{id}' is not the id of a scope map of this registry, such as '{example}'");
        return Err(ApiError::invalid(target, message));
    };
    if exists(call, registry, &name).await? {
        return Ok(name);
    }
    let message = format!("there is no scope map '{name}'; create it first, with `seawall scope-map create`");
    Err(ApiError::invalid(target, message))
}

fn new(call: &Call, scope_map: &str) -> Result<StoredToken, ApiError> {
    Ok(StoredToken {
        id: random_id()?,
        scope_map: scope_map.to_owned(),
        additional_scope_maps: Vec::new(),
        status: TokenStatus::Enabled,
        passwords: Vec::new(),
        networks: StoredNetworks::default(),
        creation_date: call.now,
    })
}

/// An id that nothing else has, nor will have.
pub(super) fn random_id<T: FromStr<Err = MalformedId>>() -> Result<T, ApiError> {
    Uuid::new_v4().simple().to_string().parse().map_err(|error| ApiError::internal(&error))
}

fn check_name(registry: &Registry, name: &str) -> Result<(), ApiError> {
    let refused = |message| ApiError::new(StatusCode::BAD_REQUEST, "InvalidResourceName", message);
    names::check_token(name).map_err(refused)?;
    if *name == *registry.name {
        return Err(refused(format!("'{name}' is the user name of the admin account")));
    }
    Ok(())
}

fn refuse_declared(registry: &Registry, name: &str) -> Result<(), ApiError> {
    let Some(token) = registry.declared_token(name) else { return Ok(()) };
    Err(ApiError::declared(&format!("token '{name}'"), &token.origin))
}

/// The passwords that a request keeps. It cannot make any.
fn kept(passwords: Vec<StoredPassword>, sent: &CredentialsUpdate) -> Result<Vec<StoredPassword>, ApiError> {
    let usual = sent.passwords.as_deref().map(|list| ("properties.credentials.passwords", list));
    let further = sent.additional_passwords.as_deref().map(|list| ("properties.credentials.additionalPasswords", list));
    for (target, list) in [usual, further].into_iter().flatten() {
        list.iter()
            .try_for_each(|kept| check_kept(&passwords, kept).map_err(|text| ApiError::invalid(target, text)))?;
    }
    let stays = |password: &StoredPassword| {
        let list = if is_usual(&password.name) { &sent.passwords } else { &sent.additional_passwords };
        list.as_ref().is_none_or(|list| list.iter().any(|kept| kept.name == password.name))
    };
    Ok(passwords.into_iter().filter(stays).collect())
}

fn check_kept(passwords: &[StoredPassword], kept: &KeptPassword) -> Result<(), String> {
    let KeptPassword { name, expiry } = kept;
    let Some(password) = passwords.iter().find(|password| password.name == *name) else {
        return Err(format!("there is no {name}: `generateCredentials` makes passwords"));
    };
    if expiry.is_some_and(|expiry| expiry.0 != password.expiry) {
        return Err(format!(
            "the expiry of {name} was chosen when it was generated; generate it again to choose another"
        ));
    }
    Ok(())
}

/// Whether it is one of the two that ARM knows.
pub(super) fn is_usual(password: &str) -> bool {
    TOKEN_PASSWORDS.contains(&password)
}

async fn answer(call: &Call, registry: &Registry, changed: Changed<StoredToken>) -> Result<Answer, ApiError> {
    let name = call.parameter("tokenName");
    let token = changed.contents.ok_or_else(|| not_found(registry, name))?;
    let uses = Uses::read(call, &passwords::credentials(&token.passwords)).await.unwrap_or_default();
    let status = if changed.existed { StatusCode::OK } else { StatusCode::CREATED };
    let answer = Answer::json(status, &stored_resource(call.ids(registry), name, &token, &uses))?;
    Ok(answer.at(changed.revision).written(changed.revision).changed(changed.names))
}

fn declared_credentials(token: &Token) -> Vec<CredentialId> {
    token.passwords.iter().map(|password| password.id).collect()
}

fn declared_resource(ids: Ids<'_>, token: &Token, uses: &Uses) -> TokenResource {
    let (scope_map, additional) = token.scope_maps.split_first().map_or(("", &[][..]), |(one, rest)| (&**one, rest));
    let (usual, further) = token.passwords.iter().partition(|password: &&principal::Password| is_usual(&password.name));
    let shown = |list: Vec<&principal::Password>| list.into_iter().map(|one| passwords::declared(one, uses)).collect();
    let properties = TokenProperties {
        creation_date: None,
        provisioning_state: SUCCEEDED,
        scope_map_id: ids.scope_map(scope_map),
        credentials: Credentials { certificates: [], passwords: shown(usual), additional_passwords: shown(further) },
        status: Word(token.status),
        additional_scope_map_ids: additional.iter().map(|name| ids.scope_map(name)).collect(),
        networks: networks::declared(token.networks.as_deref()),
        declared_in: Some(token.origin.to_string()),
    };
    resource(ids, &token.name, properties)
}

fn stored_resource(ids: Ids<'_>, name: &str, token: &StoredToken, uses: &Uses) -> TokenResource {
    let (passwords, additional_passwords) = passwords::shown(&token.passwords, uses);
    let properties = TokenProperties {
        creation_date: Some(Moment(token.creation_date)),
        provisioning_state: SUCCEEDED,
        scope_map_id: ids.scope_map(&token.scope_map),
        credentials: Credentials { certificates: [], passwords, additional_passwords },
        status: Word(token.status),
        additional_scope_map_ids: token.additional_scope_maps.iter().map(|name| ids.scope_map(name)).collect(),
        networks: networks::shown(token.networks.clone()),
        declared_in: None,
    };
    resource(ids, name, properties)
}

fn resource(ids: Ids<'_>, name: &str, properties: TokenProperties) -> TokenResource {
    TokenResource { id: ids.token(name), name: name.to_owned(), kind: TYPE, properties }
}

pub(super) fn not_found(registry: &Registry, name: &str) -> ApiError {
    ApiError::not_found(&format!("registries/{}/tokens/{name}", registry.name))
}
