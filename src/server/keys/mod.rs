//! The keys at the start, and whenever they change: from sealed records to what signs, verifies and admits the owner.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::auth::keys::{
    self, FormerKeys, KeyMaterial, Keyring, KeysError, SigningAlgorithm, Visibility, former_keys, make_directory,
    parse_hash_key, random_key, replace_file,
};
use crate::auth::password::generate_password;
use crate::clock::{Clock, Timestamp};
use crate::management::OwnerCredential;
use crate::management::key_records::{
    self, HASH_KEY, KeyRecord, KeyRecordsError, MANAGEMENT_KEY, change, opened, opened_secret, put, sealed,
    sealed_secret, succeeded,
};
use crate::secret::{EncryptionKey, HashKey, Secret};
use crate::store::{KeyPurpose, Kind, Store, StoreError, StoredKey, Write};

/// The certificates of all signing keys, in the signing directory.
const CERTIFICATES_FILE: &str = "certificates.pem";

/// Why the keys cannot be put into force. seawall does not start then.
#[derive(Debug, Error)]
pub enum StartKeysError {
    #[error(transparent)]
    Records(#[from] KeyRecordsError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the encryption key `{}` is missing, and the store has keys that it has sealed; put it back, or restore a backup \
         together with its key",
        path.display()
    )]
    EncryptionKeyLost { path: PathBuf },
    #[error("none of the signing keys of the store can be read: they are damaged, or a newer version wrote them")]
    NoneReadable,
}

/// All keys, ready for use.
pub(super) struct Opened {
    pub(super) signing: Vec<KeyMaterial>,
    /// The owner's credential for the management API.
    pub(super) management: Secret,
    pub(super) hash_key: HashKey,
}

/// The encryption key that this installation makes for itself, in the file `path`; only an empty store gets a new one.
///
/// # Errors
/// [`StartKeysError::EncryptionKeyLost`], and when file or store cannot be read.
pub(super) async fn own_encryption_key(path: &Path, store: &dyn Store) -> Result<EncryptionKey, StartKeysError> {
    let known = keys::encryption_key(path)?;
    let text = match known {
        Some(text) => text,
        None if store.count("", Kind::Key).await? == 0 => keys::make_encryption_key(path)?,
        // Another process may have made key and records in between.
        None => {
            keys::encryption_key(path)?.ok_or_else(|| StartKeysError::EncryptionKeyLost { path: path.to_owned() })?
        }
    };
    Ok(EncryptionKey::of_secret(&text))
}

/// The keys in the store; makes those that are missing, once, however many replicas start at the same time.
///
/// Into an empty store it takes the keys that the former version left in `directory`. A signing algorithm that was
/// changed makes a new signing key take over.
///
/// # Errors
/// Whatever cannot be read, opened or made.
pub(super) async fn open(
    store: &dyn Store,
    encryption: &EncryptionKey,
    directory: &Path,
    algorithm: SigningAlgorithm,
    now: Timestamp,
) -> Result<Opened, StartKeysError> {
    let missing = |keys: &[KeyRecord]| {
        if keys.is_empty() {
            return Ok((first_keys(encryption, directory, algorithm, now)?, ()));
        }
        // Before anything is added: what others sealed must not be mixed with what this key seals.
        materials(keys.iter().map(|record| &record.key), encryption)?;
        let newest = newest(keys).and_then(|key| key.algorithm.as_deref());
        if newest == Some(algorithm.name()) {
            return Ok((Vec::new(), ()));
        }
        Ok((succeeded(keys, &KeyMaterial::generate(algorithm, now)?, encryption, now)?.0, ()))
    };
    // Counted first: another replica may add the keys of an empty store in between.
    let count = store.count("", Kind::Key).await?;
    check_readable(count, &key_records::all(store).await?)?;
    change(store, now, missing).await?;
    let keys = key_records::all(store).await?;
    Ok(materials(keys.iter().map(|record| &record.key), encryption)?)
}

/// Refuses to make keys beside those that cannot be read: other replicas may be able to. `count` is how many there are.
fn check_readable(count: u64, readable: &[KeyRecord]) -> Result<(), StartKeysError> {
    let signs = readable.iter().any(|record| record.key.purpose == KeyPurpose::Signing);
    if signs || count <= readable.len() as u64 { Ok(()) } else { Err(StartKeysError::NoneReadable) }
}

/// The keys of an empty store.
fn first_keys(
    encryption: &EncryptionKey,
    directory: &Path,
    algorithm: SigningAlgorithm,
    now: Timestamp,
) -> Result<Vec<Write>, KeyRecordsError> {
    let FormerKeys { mut signing, hash_key } = former_keys(directory, algorithm, now)?;
    if !signing.is_empty() {
        tracing::info!(
            directory = %directory.display(),
            keys = signing.len(),
            "the keys of the signing directory are in the store now; their files may be removed"
        );
    }
    if signing.is_empty() {
        signing.push(KeyMaterial::generate(algorithm, now)?);
    }
    let hash_key = hash_key.map_or_else(random_key, Ok)?;
    let owner = generate_password()?;
    let hash_key = sealed_secret(HASH_KEY, KeyPurpose::Hash, &hash_key, encryption, now)?;
    let owner = sealed_secret(MANAGEMENT_KEY, KeyPurpose::Management, &owner, encryption, now)?;
    // The hash key first: its record is the one that two replicas would both write.
    let mut writes = vec![put(&[], hash_key), put(&[], owner)];
    for key in &signing {
        writes.push(put(&[], sealed(key, encryption)?));
    }
    Ok(writes)
}

/// Of the signing keys that do not retire the one that became active last.
fn newest(keys: &[KeyRecord]) -> Option<&StoredKey> {
    let signing = keys.iter().map(|record| &record.key).filter(|key| key.purpose == KeyPurpose::Signing);
    signing.filter(|key| key.retires_at.is_none()).max_by_key(|key| key.active_from)
}

/// Opens all keys there are.
///
/// # Errors
/// [`KeyRecordsError::NotOurs`] and [`KeyRecordsError::Damaged`], also when the hash key or the owner's credential is
/// missing.
pub(super) fn materials<'k>(
    keys: impl IntoIterator<Item = &'k StoredKey>,
    encryption: &EncryptionKey,
) -> Result<Opened, KeyRecordsError> {
    let (mut signing, mut management, mut hash_key) = (Vec::new(), None, None);
    for key in keys {
        match key.purpose {
            KeyPurpose::Signing => signing.push(opened(key, encryption)?),
            KeyPurpose::Management => management = Some(opened_secret(key, encryption)?),
            KeyPurpose::Hash => hash_key = Some(opened_hash_key(key, encryption)?),
        }
    }
    let missing = |id: &str| KeyRecordsError::Damaged { id: id.to_owned(), reason: "it is missing" };
    Ok(Opened {
        signing,
        management: management.ok_or_else(|| missing(MANAGEMENT_KEY))?,
        hash_key: hash_key.ok_or_else(|| missing(HASH_KEY))?,
    })
}

/// Whether they digest alike.
pub(super) fn are_alike(one: &HashKey, other: &HashKey) -> bool {
    let digest = |key: &HashKey| key.digest("hash key", &[]);
    digest(one) == digest(other)
}

pub(super) fn opened_hash_key(key: &StoredKey, encryption: &EncryptionKey) -> Result<HashKey, KeyRecordsError> {
    let damaged = || KeyRecordsError::Damaged { id: key.id.clone(), reason: "it is not the base64 text of 32 bytes" };
    parse_hash_key(&opened_secret(key, encryption)?).ok_or_else(damaged)
}

/// What keeps the keys of the store from being in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub(super) struct KeyTroubles {
    /// None of its signing keys can be used: those before sign and verify on.
    pub(super) no_signing_key: bool,
    /// It has another hash key than this process, as after a restore: what was digested with the other one is refused.
    pub(super) other_hash_key: bool,
    /// One of its keys cannot be used, whatever it is for.
    pub(super) unusable: bool,
}

/// The keys in force, kept as the store has them.
pub(super) struct KeysInForce {
    keyring: Arc<Keyring>,
    owner: OwnerCredential,
    encryption: EncryptionKey,
    credential_file: PathBuf,
    certificates_file: PathBuf,
    clock: Arc<dyn Clock>,
}

impl KeysInForce {
    /// Puts `opened` into force, and writes the owner's credential to `credential_file` and the certificates into the
    /// directory `signing_directory`.
    ///
    /// # Errors
    /// When a key is unusable or a file cannot be written.
    pub(super) fn new(
        opened: &Opened,
        encryption: EncryptionKey,
        credential_file: PathBuf,
        signing_directory: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeysError> {
        make_directory(signing_directory)?;
        let Opened { signing, management, hash_key } = opened;
        let keys = Self {
            keyring: Arc::new(Keyring::new(signing, hash_key.clone())?),
            owner: OwnerCredential::new(hash_key.clone(), management),
            encryption,
            credential_file,
            certificates_file: signing_directory.join(CERTIFICATES_FILE),
            clock,
        };
        keys.write_credential(management)?;
        keys.write_certificates()?;
        Ok(keys)
    }

    /// What signs and verifies.
    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// What admits the owner to the management API.
    pub(super) fn owner(&self) -> &OwnerCredential {
        &self.owner
    }

    /// Puts the keys that the store has now into force, and no others. What cannot be used is left out and logged: it must
    /// not keep a revoked key in force. Only where no signing key is left the former ones stay.
    pub(super) fn replace(&self, all: &[StoredKey]) -> KeyTroubles {
        let mut troubles = KeyTroubles::default();
        let mut signing = Vec::new();
        for key in all {
            let done = match key.purpose {
                KeyPurpose::Signing => opened(key, &self.encryption).map(|key| signing.push(key)),
                KeyPurpose::Management => self.replace_owner(key),
                KeyPurpose::Hash => self.is_our_hash_key(key).map(|is_ours| troubles.other_hash_key |= !is_ours),
            };
            if let Err(error) = done {
                troubles.unusable = true;
                tracing::error!(%error, id = key.id, "a key of the store cannot be used");
            }
        }
        for error in self.keyring.replace(&signing) {
            troubles.unusable = true;
            troubles.no_signing_key |= matches!(error, KeysError::NoSigningKey);
            tracing::error!(%error, "a signing key of the store cannot be used");
        }
        if let Err(error) = self.write_certificates() {
            tracing::error!(%error, "the certificates of the signing keys were not written");
        }
        troubles
    }

    fn replace_owner(&self, key: &StoredKey) -> Result<(), KeyRecordsError> {
        let credential = opened_secret(key, &self.encryption)?;
        self.owner.replace(&credential);
        Ok(self.write_credential(&credential)?)
    }

    /// What the old one digested is everywhere: it cannot be replaced under a running process.
    fn is_our_hash_key(&self, key: &StoredKey) -> Result<bool, KeyRecordsError> {
        let is_ours = are_alike(&opened_hash_key(key, &self.encryption)?, self.keyring.hash_key());
        if !is_ours {
            tracing::error!("the store has another hash key now, as after a restore: restart seawall");
        }
        Ok(is_ours)
    }

    fn write_credential(&self, credential: &Secret) -> Result<(), KeysError> {
        replace_file(&self.credential_file, Visibility::Secret, &format!("{}\n", credential.expose()))
    }

    fn write_certificates(&self) -> Result<(), KeysError> {
        let certificates = self.keyring.certificate_pem(self.clock.now());
        replace_file(&self.certificates_file, Visibility::Public, &certificates)
    }
}

#[cfg(test)]
mod tests;
