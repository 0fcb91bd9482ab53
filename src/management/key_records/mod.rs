//! The keys of the installation as records: sealed and opened, rotated and revoked. The start uses it as well as the API.
//!
//! Whoever changes which signing keys there are writes the record of the hash key anew, as it is: of two such changes at
//! the same time one finds it changed, reads again and decides anew. So the last signing key cannot be revoked by two
//! requests that each thought of the other one, and replicas that start together make one set of keys.

use thiserror::Error;

use crate::auth::keys::{self, Irrevocable, KeyMaterial, KeysError, Rotation, SigningAlgorithm, Term};
use crate::auth::password::{PasswordError, generate_password};
use crate::clock::Timestamp;
use crate::secret::{EncryptionKey, SealError, Secret};
use crate::store::{
    Expected, KeyPurpose, Kind, Object, ObjectKey, Record, Revision, Store, StoreError, StoredKey, Write,
};

/// The id of the hash key's record.
pub const HASH_KEY: &str = "hash";
/// The id of the record of the owner's credential.
pub const MANAGEMENT_KEY: &str = "management";

/// Records that are read at a time.
const PAGE: u32 = 1000;
/// How often a change is decided anew when others change keys at the same time.
const ATTEMPTS: usize = 10;

/// Why keys cannot be read or changed.
#[derive(Debug, Error)]
pub enum KeyRecordsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Irrevocable(#[from] Irrevocable),
    #[error("the store's keys were sealed with another encryption key (`{id}` cannot be opened)")]
    NotOurs { id: String },
    #[error("the key `{id}` of the store is damaged: {reason}")]
    Damaged { id: String, reason: &'static str },
    #[error("the key cannot be made or sealed: {0}")]
    Making(String),
}

impl From<PasswordError> for KeyRecordsError {
    fn from(error: PasswordError) -> Self {
        Self::Making(error.to_string())
    }
}

/// A key as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub key: StoredKey,
    /// Of its last change.
    pub revision: Revision,
}

/// All keys, by id.
///
/// # Errors
/// [`KeyRecordsError::Store`].
pub async fn all(store: &dyn Store) -> Result<Vec<KeyRecord>, KeyRecordsError> {
    let mut found: Vec<KeyRecord> = Vec::new();
    loop {
        let after = found.last().map(|last| last.key.id.as_str());
        let page = store.list("", Kind::Key, after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        for Record { key, object, revision } in page {
            let Object::Key(key) = object else {
                return Err(KeyRecordsError::Damaged { id: key.name, reason: "it is no key" });
            };
            found.push(KeyRecord { key, revision });
        }
        if is_last {
            return Ok(found);
        }
    }
}

/// What is to be kept of a signing key.
///
/// # Errors
/// [`KeyRecordsError::Making`].
pub fn sealed(material: &KeyMaterial, encryption: &EncryptionKey) -> Result<StoredKey, KeyRecordsError> {
    Ok(StoredKey {
        algorithm: Some(material.algorithm.name().to_owned()),
        active_from: material.active_from,
        retires_at: material.retires_at,
        certificate: Some(material.certificate_pem.clone()),
        ..sealed_secret(
            &material.id,
            KeyPurpose::Signing,
            &material.private_key_pem,
            encryption,
            material.creation_date,
        )?
    })
}

/// What is to be kept of a key that is one text.
///
/// # Errors
/// [`KeyRecordsError::Making`].
pub fn sealed_secret(
    id: &str,
    purpose: KeyPurpose,
    secret: &Secret,
    encryption: &EncryptionKey,
    now: Timestamp,
) -> Result<StoredKey, KeyRecordsError> {
    let sealed = encryption.seal(&place(id), secret).map_err(|error| KeyRecordsError::Making(error.to_string()))?;
    Ok(StoredKey {
        id: id.to_owned(),
        purpose,
        algorithm: None,
        creation_date: now,
        active_from: now,
        retires_at: None,
        sealed,
        certificate: None,
    })
}

/// The secret part of a key.
///
/// # Errors
/// [`KeyRecordsError::NotOurs`], and [`KeyRecordsError::Making`] when the system gives no memory.
pub fn opened_secret(key: &StoredKey, encryption: &EncryptionKey) -> Result<Secret, KeyRecordsError> {
    encryption.open(&place(&key.id), &key.sealed).map_err(|error| match error {
        SealError::NotOurs => KeyRecordsError::NotOurs { id: key.id.clone() },
        SealError::System => KeyRecordsError::Making(error.to_string()),
    })
}

/// A signing key.
///
/// # Errors
/// See [`opened_secret`]; and [`KeyRecordsError::Damaged`] when it is none that this version knows.
pub fn opened(key: &StoredKey, encryption: &EncryptionKey) -> Result<KeyMaterial, KeyRecordsError> {
    let damaged = |reason| KeyRecordsError::Damaged { id: key.id.clone(), reason };
    let algorithm = key.algorithm.as_deref().and_then(SigningAlgorithm::named);
    Ok(KeyMaterial {
        id: key.id.clone(),
        algorithm: algorithm.ok_or_else(|| damaged("its algorithm is not known"))?,
        private_key_pem: opened_secret(key, encryption)?,
        certificate_pem: key.certificate.clone().ok_or_else(|| damaged("it has no certificate"))?,
        creation_date: key.creation_date,
        active_from: key.active_from,
        retires_at: key.retires_at,
    })
}

/// Makes a new signing key, which takes over in a few seconds; the older ones retire. The answer is its record.
///
/// # Errors
/// See [`KeyRecordsError`].
pub async fn rotate_signing(
    store: &dyn Store,
    encryption: &EncryptionKey,
    algorithm: SigningAlgorithm,
    now: Timestamp,
) -> Result<(StoredKey, Revision), KeyRecordsError> {
    let made = tokio::task::spawn_blocking(move || KeyMaterial::generate(algorithm, now)).await;
    let made = made.map_err(|error| KeyRecordsError::Making(error.to_string()))??;
    change(store, now, |keys| succeeded(keys, &made, encryption, now)).await
}

/// Makes a new credential for the owner; the former one is refused as soon as it is known.
///
/// # Errors
/// See [`KeyRecordsError`].
pub async fn rotate_management(
    store: &dyn Store,
    encryption: &EncryptionKey,
    now: Timestamp,
) -> Result<(StoredKey, Revision), KeyRecordsError> {
    change(store, now, |keys| {
        let key = sealed_secret(MANAGEMENT_KEY, KeyPurpose::Management, &generate_password()?, encryption, now)?;
        Ok((vec![put(keys, key.clone())], key))
    })
    .await
}

/// Takes away the signing key `id`: what it signed is refused from the next request on.
///
/// # Errors
/// [`KeyRecordsError::Irrevocable`] when there is no such signing key, or no other.
pub async fn revoke(store: &dyn Store, id: &str, now: Timestamp) -> Result<Revision, KeyRecordsError> {
    let decide = |keys: &[KeyRecord]| {
        let changed = keys::revocation(&terms(keys), id, now)?;
        let mut writes = vec![untouched_hash_key(keys)?];
        writes.extend(with_terms(keys, changed.into_iter().collect()));
        writes.extend(without(keys, &[id.to_owned()]));
        Ok((writes, ()))
    };
    Ok(change(store, now, decide).await?.1)
}

/// The writes by which `made` takes over from the signing keys among `keys`, and its record.
///
/// # Errors
/// [`KeyRecordsError::Making`]; [`KeyRecordsError::Damaged`] when there is no hash key.
pub fn succeeded(
    keys: &[KeyRecord],
    made: &KeyMaterial,
    encryption: &EncryptionKey,
    now: Timestamp,
) -> Result<(Vec<Write>, StoredKey), KeyRecordsError> {
    let Rotation { active_from, retiring, gone } = keys::rotation(&terms(keys), now);
    let key = StoredKey { active_from, ..sealed(made, encryption)? };
    let mut writes = vec![untouched_hash_key(keys)?, put(keys, key.clone())];
    writes.extend(with_terms(keys, retiring));
    writes.extend(without(keys, &gone));
    Ok((writes, key))
}

/// Does what `decide` says of all keys; asks it anew when they changed meanwhile.
///
/// # Errors
/// Those of `decide` and of the store; a conflict when others change keys all the time.
pub async fn change<T>(
    store: &dyn Store,
    now: Timestamp,
    decide: impl Fn(&[KeyRecord]) -> Result<(Vec<Write>, T), KeyRecordsError>,
) -> Result<(T, Revision), KeyRecordsError> {
    let mut attempt = 1;
    loop {
        let (writes, done) = decide(&all(store).await?)?;
        match store.write(&writes, now).await {
            Ok(revision) => return Ok((done, revision)),
            Err(StoreError::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes `key`, if its record is still as it is among `keys`: it may be missing there, and must be missing then.
pub fn put(keys: &[KeyRecord], key: StoredKey) -> Write {
    let known = keys.iter().find(|known| known.key.id == key.id);
    let expected = known.map_or(Expected::Absent, |known| Expected::At(known.revision));
    Write { key: record_key(&key.id), object: Some(Object::Key(key)), expected }
}

fn place(id: &str) -> [&str; 2] {
    ["key", id]
}

fn record_key(id: &str) -> ObjectKey {
    ObjectKey { registry: String::new(), kind: Kind::Key, name: id.to_owned() }
}

/// Changes nothing, and conflicts with every other change of the signing keys.
fn untouched_hash_key(keys: &[KeyRecord]) -> Result<Write, KeyRecordsError> {
    let hash_key = keys.iter().find(|record| record.key.id == HASH_KEY);
    let lost = || KeyRecordsError::Damaged { id: HASH_KEY.to_owned(), reason: "it is missing" };
    Ok(put(keys, hash_key.ok_or_else(lost)?.key.clone()))
}

fn terms(keys: &[KeyRecord]) -> Vec<Term> {
    let signing = keys.iter().filter(|record| record.key.purpose == KeyPurpose::Signing);
    let term = |KeyRecord { key, .. }: &KeyRecord| Term {
        id: key.id.clone(),
        active_from: key.active_from,
        retires_at: key.retires_at,
    };
    signing.map(term).collect()
}

fn with_terms(keys: &[KeyRecord], changed: Vec<Term>) -> impl Iterator<Item = Write> {
    changed.into_iter().filter_map(|Term { id, active_from, retires_at }| {
        let known = keys.iter().find(|record| record.key.id == id)?;
        Some(put(keys, StoredKey { active_from, retires_at, ..known.key.clone() }))
    })
}

fn without(keys: &[KeyRecord], gone: &[String]) -> impl Iterator<Item = Write> {
    let gone = keys.iter().filter(|record| gone.contains(&record.key.id));
    gone.map(|record| Write { key: record_key(&record.key.id), object: None, expected: Expected::At(record.revision) })
}

#[cfg(test)]
mod tests;
