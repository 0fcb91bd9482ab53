//! The admin account's two passwords (S1-42 … S1-53): generated, sealed, shown when asked for, as in ACR.

use http::StatusCode;

use super::call::{Answer, Call, key};
use super::error::ApiError;
use super::models::{ListedCredentials, ListedPassword, RegenerateCredential};
use super::passwords;
use super::registries::in_force;
use super::uses::Uses;
use super::write::{Change, Changed, modify};
use crate::policy::Registry;
use crate::policy::credential::CredentialId;
use crate::policy::names::ADMIN_PASSWORDS;
use crate::policy::stored::{StoredPassword, StoredRegistry};
use crate::secret::{EncryptionKey, SealError};
use crate::store::Kind;

/// Shows both passwords. Where a file enables the account without giving it passwords, this makes them.
pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let registry = call.registry()?;
    if registry.declared_admin().is_some() {
        return list_declared(call, &registry).await;
    }
    let made = make(call, &registry)?;
    let change = |before: Option<StoredRegistry>| {
        let mut stored = before.unwrap_or_default();
        refuse_disabled(&registry, &stored)?;
        add_missing(&mut stored, &made);
        Ok(Change::Put(stored))
    };
    show(call, &registry, modify(call, key(&registry, Kind::Registry, ""), change).await?).await
}

/// Replaces one of the two; the other one keeps working (S1-52).
pub(super) async fn regenerate(call: &Call) -> Result<Answer, ApiError> {
    let registry = call.registry()?;
    let RegenerateCredential { name } = call.json()?;
    if let Some(origin) = registry.declared_admin() {
        return Err(ApiError::declared("the admin account's password", origin));
    }
    if !ADMIN_PASSWORDS.contains(&name.as_str()) {
        let message = format!("'{name}' is no password of the admin account: write 'password' or 'password2'");
        return Err(ApiError::invalid("name", message));
    }
    let made = make(call, &registry)?;
    let change = |before: Option<StoredRegistry>| {
        let mut stored = before.unwrap_or_default();
        refuse_disabled(&registry, &stored)?;
        for password in made.iter().filter(|password| password.name == name) {
            passwords::replace(&mut stored.admin_passwords, password.clone(), None);
        }
        add_missing(&mut stored, &made);
        Ok(Change::Put(stored))
    };
    show(call, &registry, modify(call, key(&registry, Kind::Registry, ""), change).await?).await
}

/// One new password for each of the two names, sealed for `registry`.
pub(super) fn make(call: &Call, registry: &Registry) -> Result<Vec<StoredPassword>, ApiError> {
    let make = |name: &str| {
        let (password, secret) = passwords::make(call, name, None)?;
        let sealed = call.parts.encryption.seal(&place(registry, name), &secret)?;
        Ok(StoredPassword { sealed: Some(sealed), ..password })
    };
    ADMIN_PASSWORDS.iter().map(|name| make(name)).collect()
}

/// Gives the account those of `made` that it has not.
pub(super) fn add_missing(stored: &mut StoredRegistry, made: &[StoredPassword]) {
    for password in made {
        if !stored.admin_passwords.iter().any(|old| old.name == password.name) {
            stored.admin_passwords.push(password.clone());
        }
    }
}

async fn show(call: &Call, registry: &Registry, changed: Changed<StoredRegistry>) -> Result<Answer, ApiError> {
    let stored = changed.contents.unwrap_or_default();
    // What was written is written, whatever becomes of this.
    let uses = Uses::read(call, &passwords::credentials(&stored.admin_passwords)).await.unwrap_or_default();
    let listed = |password: &StoredPassword| open(&call.parts.encryption, registry, password, &uses);
    let passwords = stored.admin_passwords.iter().map(listed).collect::<Result<_, _>>()?;
    let answer = Answer::ok(&ListedCredentials { username: registry.name.to_string(), passwords, declared_in: None })?;
    Ok(answer.written(changed.revision).changed(changed.names))
}

async fn list_declared(call: &Call, registry: &Registry) -> Result<Answer, ApiError> {
    if !registry.admin.enabled {
        return Err(disabled(registry));
    }
    let ids: Vec<_> = registry.admin.passwords.iter().map(|password| password.id).collect();
    let uses = Uses::read(call, &ids).await?;
    let passwords = registry.admin.passwords.iter();
    let passwords = passwords.map(|password| listed(&password.name, password.id, None, &uses)).collect();
    let declared_in = registry.declared_admin().map(ToString::to_string);
    Answer::ok(&ListedCredentials { username: registry.name.to_string(), passwords, declared_in })
}

fn open(
    encryption: &EncryptionKey,
    registry: &Registry,
    password: &StoredPassword,
    uses: &Uses,
) -> Result<ListedPassword, SealError> {
    let secret = password.sealed.as_ref().map(|sealed| encryption.open(&place(registry, &password.name), sealed));
    let value = secret.transpose()?.map(|secret| secret.expose().to_owned());
    Ok(listed(&password.name, password.id, value, uses))
}

fn listed(name: &str, id: CredentialId, value: Option<String>, uses: &Uses) -> ListedPassword {
    ListedPassword { name: name.to_owned(), value, last_used_time: uses.time(id), last_used_address: uses.address(id) }
}

/// What a sealed password is sealed for: it cannot be moved to another registry's record.
fn place<'a>(registry: &'a Registry, password: &'a str) -> [&'a str; 3] {
    ["admin", &registry.name, password]
}

fn refuse_disabled(registry: &Registry, stored: &StoredRegistry) -> Result<(), ApiError> {
    let enabled = in_force(&registry.properties().admin_user_enabled, stored.admin_user_enabled.as_ref());
    if enabled { Ok(()) } else { Err(disabled(registry)) }
}

fn disabled(registry: &Registry) -> ApiError {
    let message = format!("Run 'seawall update -n {} --admin-enabled true' to enable admin first.", registry.name);
    ApiError::new(StatusCode::BAD_REQUEST, "AdminUserDisabled", message)
}
