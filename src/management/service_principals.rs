//! Service principals: a client id and at most two secrets, for what can keep a password (S1-6).

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Span;
use jiff::tz::TimeZone;

use super::call::{Answer, Call};
use super::error::ApiError;
use super::models::{
    GenerateSecret, GeneratedSecret, List, Moment, ServicePrincipalProperties, ServicePrincipalResource,
    ServicePrincipalUpdate, Word,
};
use super::networks;
use super::passwords;
use super::principals::{
    self, Described, Item, check_new, checked_rules, declared, declared_rules, find, key, made, page, refuse_declared,
    shown_rules, tenant,
};
use super::uses::Uses;
use super::write::{Change, Changed, modify};
use crate::clock::Timestamp;
use crate::policy::PolicySnapshot;
use crate::policy::credential::CredentialId;
use crate::policy::identity::{Guid, Identity, IdentityKind};
use crate::policy::names::TOKEN_PASSWORDS;
use crate::policy::stored::{StoredClaimRule, StoredIdentity};

const TYPE: &str = "Seawall/servicePrincipals";
/// How long a secret is accepted unless something else is said (S1-6).
const YEARS: i64 = 1;

const fn is_shown(kind: IdentityKind) -> bool {
    matches!(kind, IdentityKind::ServicePrincipal)
}

pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let snapshot = call.snapshot()?;
    let (items, next_link) = page(call, &snapshot, is_shown).await?;
    let credentials = items.iter().flat_map(|item| match item {
        Item::Declared(identity) => declared_credentials(identity),
        Item::Stored(_, identity) => passwords::credentials(&identity.secrets),
    });
    let uses = Uses::read(call, &credentials.collect::<Vec<_>>()).await?;
    let value = items.into_iter().map(|item| match item {
        Item::Declared(identity) => declared_resource(call, identity, &uses),
        Item::Stored(name, identity) => stored_resource(call, &name, *identity, &uses),
    });
    Answer::ok(&List { value: value.collect(), next_link })
}

pub(super) async fn get(call: &Call) -> Result<Answer, ApiError> {
    let (snapshot, name) = (call.snapshot()?, call.parameter("identityName"));
    if let Some(identity) = declared(&snapshot, name).filter(|identity| is_shown(identity.kind)) {
        let uses = Uses::read(call, &declared_credentials(identity)).await?;
        return Answer::ok(&declared_resource(call, identity, &uses));
    }
    let (identity, revision) = find(call, name, is_shown).await?.ok_or_else(|| not_found(name))?;
    let uses = Uses::read(call, &passwords::credentials(&identity.secrets)).await?;
    Ok(Answer::ok(&stored_resource(call, name, identity, &uses))?.at(Some(revision)))
}

/// Creates a service principal without secrets, or changes what the request names of the one of this name.
pub(super) async fn put(call: &Call) -> Result<Answer, ApiError> {
    let (snapshot, name) = (call.snapshot()?, call.parameter("identityName"));
    check_new(call, &snapshot, name).await?;
    let sent = Sent::read(call)?;
    let change = |before: Option<StoredIdentity>| {
        let is_new = before.is_none();
        let identity = made(call, &snapshot, name, before, Some(IdentityKind::ServicePrincipal))?;
        sent.change(name, sent.with_client_id(identity, is_new)?)
    };
    answer(call, modify(call, key(name), change).await?).await
}

pub(super) async fn update(call: &Call) -> Result<Answer, ApiError> {
    let name = call.parameter("identityName");
    refuse_declared(call.snapshot()?.as_ref(), name)?;
    let sent = Sent::read(call)?;
    let change = |before| {
        let identity = sent.with_client_id(existing(before, name)?, false)?;
        sent.change(name, identity)
    };
    answer(call, modify(call, key(name), change).await?).await
}

pub(super) async fn delete(call: &Call) -> Result<Answer, ApiError> {
    principals::delete(call, is_shown).await
}

/// Makes a secret, which is shown here and never again.
pub(super) async fn generate(call: &Call) -> Result<Answer, ApiError> {
    let name = call.parameter("identityName");
    refuse_declared(call.snapshot()?.as_ref(), name)?;
    let sent = call.json_or_default::<GenerateSecret>()?;
    let expiry = sent.expiry.map_or_else(|| in_a_year(call.now), |expiry| Ok(expiry.0))?;
    if expiry.is_some_and(|expiry| expiry <= call.now) {
        return Err(ApiError::invalid("expiry", "the expiry is not in the future"));
    }
    if let Some(name) = sent.name.as_deref().filter(|name| !TOKEN_PASSWORDS.contains(name)) {
        return Err(ApiError::invalid("name", format!("'{name}' is no secret: write 'password1' or 'password2'")));
    }
    let (made, secret) = passwords::make(call, "", expiry)?;
    let change = |before| {
        let mut identity = existing(before, name)?;
        if let Some(by) = &identity.verified_by {
            let message = format!("the identity provider '{by}' verifies its secret: make one there");
            return Err(ApiError::conflict("VerifiedByProvider", message));
        }
        if sent.replace_all {
            identity.secrets.clear();
        }
        let name = match &sent.name {
            Some(name) => name.clone(),
            None => free_name(&identity)?,
        };
        passwords::replace(&mut identity.secrets, crate::policy::stored::StoredPassword { name, ..made.clone() }, None);
        Ok(Change::Put(identity))
    };
    let changed = modify(call, key(name), change).await?;
    let identity = changed.contents.ok_or_else(|| not_found(name))?;
    let stored = identity.secrets.iter().find(|secret| secret.id == made.id);
    let secret_name = stored.map_or_else(String::new, |secret| secret.name.clone());
    let generated = GeneratedSecret {
        client_id: identity.client_id.to_string(),
        tenant_id: tenant(call, identity.tenant_id.as_ref()),
        value: secret.expose().to_owned(),
        expiry: expiry.map(Moment),
        name: secret_name.clone(),
    };
    Ok(Answer::ok(&generated)?.written(changed.revision).changed([format!("credentials/{secret_name}")]))
}

/// Deletes one secret: it is refused from now on, and what it obtained.
pub(super) async fn delete_secret(call: &Call) -> Result<Answer, ApiError> {
    let (name, secret) = (call.parameter("identityName"), call.parameter("credentialName"));
    refuse_declared(call.snapshot()?.as_ref(), name)?;
    let change = |before| {
        let mut identity = existing(before, name)?;
        identity.secrets.retain(|one| one.name != secret);
        Ok(Change::Put(identity))
    };
    let changed = modify(call, key(name), change).await?;
    // Nothing was changed: there is no such secret.
    let status = if changed.names.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::OK };
    Ok(Answer::empty(status).written(changed.revision).changed(changed.names))
}

fn existing(before: Option<StoredIdentity>, name: &str) -> Result<StoredIdentity, ApiError> {
    before.filter(|identity| is_shown(identity.kind)).ok_or_else(|| not_found(name))
}

fn free_name(identity: &StoredIdentity) -> Result<String, ApiError> {
    let free = TOKEN_PASSWORDS.into_iter().find(|name| !identity.secrets.iter().any(|secret| secret.name == *name));
    free.map(str::to_owned).ok_or_else(|| {
        let message =
            "a service principal has at most two secrets; delete one, name the one to replace, or replace all";
        ApiError::conflict("QuotaExceeded", message)
    })
}

fn in_a_year(now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    let end = now.to_zoned(TimeZone::UTC).checked_add(Span::new().years(YEARS));
    end.map(|end| Some(end.timestamp())).map_err(|error| ApiError::internal(&error))
}

/// What a request says, checked.
struct Sent {
    client_id: Option<Guid>,
    /// Empty: none.
    verified_by: Option<String>,
    described: Described,
}

impl Sent {
    fn read(call: &Call) -> Result<Self, ApiError> {
        let ServicePrincipalUpdate { properties, tags } = call.json()?;
        let snapshot = call.snapshot()?;
        let networks = networks::Sent::read(properties.networks)?;
        let matches = properties.matches.map(|rules| checked_rules(&snapshot, rules)).transpose()?;
        let verified_by = properties.verified_by.map(|by| checked_provider(&snapshot, by)).transpose()?;
        let client_id = properties.client_id.map(|id| checked_client_id(call, &snapshot, &id)).transpose()?;
        let described = Described { matches, status: properties.status.map(|word| word.0), networks, tags };
        Ok(Self { client_id, verified_by, described })
    }

    /// A client id is chosen once, and only where a provider knows the client by it: ours are random.
    fn with_client_id(&self, mut identity: StoredIdentity, is_new: bool) -> Result<StoredIdentity, ApiError> {
        match &self.client_id {
            Some(id) if is_new && self.verified_by.as_ref().is_some_and(|by| !by.is_empty()) => {
                identity.client_id = id.clone();
            }
            Some(id) if *id != identity.client_id => {
                let message = "a client id can be chosen for a new service principal with 'verifiedBy' only";
                return Err(ApiError::invalid("properties.clientId", message));
            }
            Some(_) | None => {}
        }
        Ok(identity)
    }

    fn change(&self, name: &str, mut identity: StoredIdentity) -> Result<Change<StoredIdentity>, ApiError> {
        if let Some(by) = &self.verified_by {
            identity.verified_by = Some(by.clone()).filter(|by| !by.is_empty());
        }
        check_verified_by(&identity, self.described.matches.as_ref())?;
        self.described.change(name, identity)
    }
}

/// The name of a provider, or none.
fn checked_provider(snapshot: &PolicySnapshot, by: String) -> Result<String, ApiError> {
    if !by.is_empty() && snapshot.identities().provider_named(&by).is_none() {
        return Err(ApiError::invalid("properties.verifiedBy", principals::no_provider(&by)));
    }
    Ok(by)
}

fn checked_client_id(call: &Call, snapshot: &PolicySnapshot, text: &str) -> Result<Guid, ApiError> {
    let target = "properties.clientId";
    let id = Guid::parse(text);
    let id = id.ok_or_else(|| ApiError::invalid(target, format!("'{text}' is not a GUID, or the one of zeros")))?;
    match snapshot.identities().with_client_id(&id) {
        Some(other) if *other.name != *call.parameter("identityName") => {
            Err(ApiError::conflict("AlreadyExists", format!("'{}' has this client id", other.name)).at(target))
        }
        Some(_) | None => Ok(id),
    }
}

/// Where a provider verifies the secret there is none here, and what the provider says has to mean somebody.
fn check_verified_by(identity: &StoredIdentity, matches: Option<&Vec<StoredClaimRule>>) -> Result<(), ApiError> {
    let Some(by) = &identity.verified_by else { return Ok(()) };
    if !identity.secrets.is_empty() {
        let message = "it has secrets here, and a provider cannot verify those: delete them first";
        return Err(ApiError::conflict("VerifiedByProvider", message));
    }
    if !matches.unwrap_or(&identity.matches).iter().any(|rule| rule.provider == *by) {
        let message =
            format!("a rule has to say what the token of '{by}' says of it, such as its 'azp' or 'client_id'");
        return Err(ApiError::invalid("properties.matches", message));
    }
    Ok(())
}

async fn answer(call: &Call, changed: Changed<StoredIdentity>) -> Result<Answer, ApiError> {
    let name = call.parameter("identityName");
    let contents = changed.contents.ok_or_else(|| not_found(name))?;
    let uses = Uses::read(call, &passwords::credentials(&contents.secrets)).await.unwrap_or_default();
    let status = if changed.existed { StatusCode::OK } else { StatusCode::CREATED };
    let answer = Answer::json(status, &stored_resource(call, name, contents, &uses))?;
    Ok(answer.at(changed.revision).written(changed.revision).changed(changed.names))
}

fn declared_credentials(identity: &Identity) -> Vec<CredentialId> {
    identity.secrets.iter().map(|secret| secret.id).collect()
}

fn declared_resource(call: &Call, identity: &Identity, uses: &Uses) -> ServicePrincipalResource {
    let properties = ServicePrincipalProperties {
        client_id: identity.client_id.as_ref().map(Guid::to_string),
        principal_id: identity.principal_id.to_string(),
        tenant_id: tenant(call, identity.tenant_id.as_ref()),
        status: Word(identity.status),
        matches: declared_rules(identity),
        verified_by: identity.verified_by.as_deref().map(str::to_owned),
        credentials: identity.secrets.iter().map(|secret| passwords::declared(secret, uses)).collect(),
        creation_date: None,
        networks: networks::declared(identity.networks.as_deref()),
        declared_in: Some(identity.origin.to_string()),
    };
    resource(&identity.name, BTreeMap::new(), properties)
}

fn stored_resource(call: &Call, name: &str, identity: StoredIdentity, uses: &Uses) -> ServicePrincipalResource {
    let (credentials, _) = passwords::shown(&identity.secrets, uses);
    let properties = ServicePrincipalProperties {
        client_id: Some(identity.client_id.to_string()),
        principal_id: identity.principal_id.to_string(),
        tenant_id: tenant(call, identity.tenant_id.as_ref()),
        status: Word(identity.status),
        matches: shown_rules(identity.matches),
        verified_by: identity.verified_by,
        credentials,
        creation_date: Some(Moment(identity.creation_date)),
        networks: networks::shown(identity.networks),
        declared_in: None,
    };
    resource(name, identity.tags, properties)
}

fn resource(
    name: &str,
    tags: BTreeMap<String, String>,
    properties: ServicePrincipalProperties,
) -> ServicePrincipalResource {
    let id = format!("/seawall/v1/servicePrincipals/{name}");
    ServicePrincipalResource { id, name: name.to_owned(), kind: TYPE, tags, properties }
}

fn not_found(name: &str) -> ApiError {
    ApiError::not_found_in(TYPE, name)
}
