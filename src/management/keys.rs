//! The keys that replicas share: listed, rotated, revoked. ACR has no word for them.

use http::StatusCode;

use super::call::{Answer, Call};
use super::error::ApiError;
use super::key_records::{self, HASH_KEY, KeyRecord, KeyRecordsError, MANAGEMENT_KEY};
use super::models::{Key, KeyList, Moment};
use super::write::write_failed;
use crate::auth::keys::Irrevocable;
use crate::clock::Timestamp;
use crate::store::{KeyPurpose, StoreError, StoredKey};

pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let records = key_records::all(call.parts.store.as_ref()).await.map_err(reading)?;
    let signing = newest_signing(&records, call.now).map(|key| key.id.clone());
    let state = |key: &StoredKey| match key.purpose {
        KeyPurpose::Hash | KeyPurpose::Management => "active",
        KeyPurpose::Signing if key.retires_at.is_some_and(|end| end <= call.now) => "retired",
        KeyPurpose::Signing if key.active_from > call.now => "upcoming",
        KeyPurpose::Signing if Some(&key.id) == signing.as_ref() => "active",
        KeyPurpose::Signing => "retiring",
    };
    let value = records.into_iter().map(|KeyRecord { key, .. }| {
        let state = state(&key);
        shown(key, state)
    });
    Answer::ok(&KeyList { value: value.collect() })
}

/// A new key takes over in a few seconds. What the older ones signed is accepted until it has expired.
pub(super) async fn rotate_signing(call: &Call) -> Result<Answer, ApiError> {
    let parts = &call.parts;
    let algorithm = parts.settings.signing_algorithm;
    let rotated = key_records::rotate_signing(parts.store.as_ref(), &parts.encryption, algorithm, call.now).await;
    let (made, revision) = rotated.map_err(changing)?;
    let answer = Answer::ok(&shown(made, "upcoming"))?;
    Ok(answer.written(Some(revision)).changed(["signing"]))
}

/// The former credential is refused from now on. The new one is in the answer, for owners who are not on this machine.
pub(super) async fn rotate_management(call: &Call) -> Result<Answer, ApiError> {
    let parts = &call.parts;
    let rotated = key_records::rotate_management(parts.store.as_ref(), &parts.encryption, call.now).await;
    let (made, revision) = rotated.map_err(changing)?;
    let secret = key_records::opened_secret(&made, &parts.encryption).map_err(changing)?;
    let key = Key { value: Some(secret.expose().to_owned()), ..shown(made, "active") };
    Ok(Answer::ok(&key)?.written(Some(revision)).changed(["management"]))
}

/// What the key signed is refused at the next request.
pub(super) async fn revoke(call: &Call) -> Result<Answer, ApiError> {
    let id = call.parameter("keyId");
    match id {
        HASH_KEY => {
            let message = "the hash key cannot be revoked: every password would have to be replaced";
            return Err(ApiError::conflict("NotRevocable", message));
        }
        MANAGEMENT_KEY => {
            let message = "the management credential cannot be revoked; rotate it";
            return Err(ApiError::conflict("NotRevocable", message));
        }
        _ => {}
    }
    let revision = key_records::revoke(call.parts.store.as_ref(), id, call.now).await.map_err(changing)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).written(Some(revision)).changed([id]))
}

/// The key that signs now.
fn newest_signing(records: &[KeyRecord], now: Timestamp) -> Option<&StoredKey> {
    let signing = records.iter().map(|record| &record.key).filter(|key| key.purpose == KeyPurpose::Signing);
    let in_use = signing.filter(|key| key.active_from <= now && key.retires_at.is_none_or(|end| end > now));
    in_use.max_by_key(|key| (key.active_from, &key.id))
}

fn shown(key: StoredKey, state: &'static str) -> Key {
    Key {
        id: key.id,
        purpose: match key.purpose {
            KeyPurpose::Signing => "signing",
            KeyPurpose::Hash => "hash",
            KeyPurpose::Management => "management",
        },
        algorithm: key.algorithm,
        state,
        creation_date: Moment(key.creation_date),
        active_from: Moment(key.active_from),
        retires_at: key.retires_at.map(Moment),
        certificate: key.certificate,
        value: None,
    }
}

fn reading(error: KeyRecordsError) -> ApiError {
    answer(error, ApiError::from)
}

fn changing(error: KeyRecordsError) -> ApiError {
    answer(error, write_failed)
}

fn answer(error: KeyRecordsError, store: fn(StoreError) -> ApiError) -> ApiError {
    match error {
        KeyRecordsError::Store(error) => store(error),
        KeyRecordsError::Irrevocable(Irrevocable::Unknown) => {
            ApiError::new(StatusCode::NOT_FOUND, "ResourceNotFound", Irrevocable::Unknown.to_string())
        }
        KeyRecordsError::Irrevocable(why @ Irrevocable::Last) => ApiError::conflict("NotRevocable", why.to_string()),
        other => ApiError::internal(&other),
    }
}
