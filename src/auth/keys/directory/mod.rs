//! The signing directory: the key that seals what the store keeps, and the keys of the version that kept them in files.
//! Those are read once, so that nothing that it issued is lost.

use std::ffi::OsStr;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::files::{KeyDirectory, Visibility, parent};
use super::{KeyMaterial, KeysError, SigningAlgorithm, parse_hash_key, random_key, rotation};
use crate::secret::Secret;

const HASH_KEY_FILE: &str = "hash.key";
/// 128 bits in hexadecimal.
const SHORTEST_ENCRYPTION_KEY: usize = 32;

/// What lay in a signing directory; nothing of it need be there.
#[derive(Debug, Default)]
pub struct FormerKeys {
    pub signing: Vec<KeyMaterial>,
    /// The text that [`parse_hash_key`] reads.
    pub hash_key: Option<Secret>,
}

/// The keys of the former version in the directory `path`. The key of `algorithm` signs from `now` on; the other one, if
/// there is one, retires.
///
/// # Errors
/// When anything there is unreadable, malformed, open to others than its owner, or does not belong together.
pub fn former_keys(path: &Path, algorithm: SigningAlgorithm, now: Timestamp) -> Result<FormerKeys, KeysError> {
    let Some(directory) = KeyDirectory::open(path)? else { return Ok(FormerKeys::default()) };
    let hash_key = directory.read(HASH_KEY_FILE, Visibility::Secret)?.map(Secret::new);
    if hash_key.as_ref().is_some_and(|text| parse_hash_key(text).is_none()) {
        let reason = "it is not the base64 text of 32 bytes".to_owned();
        return Err(KeysError::Invalid { path: directory.path_of(HASH_KEY_FILE), reason });
    }
    let mut signing = Vec::new();
    for algorithm in SigningAlgorithm::ALL {
        signing.extend(signing_key(&directory, algorithm, now)?);
    }
    if signing.iter().any(|key| key.algorithm == algorithm) {
        for older in signing.iter_mut().filter(|key| key.algorithm != algorithm) {
            older.active_from = now.saturating_sub(SignedDuration::from_secs(1)).unwrap_or(now);
            older.retires_at = Some(rotation::end_after(now));
        }
    }
    Ok(FormerKeys { signing, hash_key })
}

/// The key of one algorithm. Its certificate may be missing: it was made last, and is made anew.
fn signing_key(
    directory: &KeyDirectory,
    algorithm: SigningAlgorithm,
    now: Timestamp,
) -> Result<Option<KeyMaterial>, KeysError> {
    let (key_file, certificate_file) = files(algorithm);
    let certificate = directory.read(certificate_file, Visibility::Public)?;
    let invalid = |file: &str, reason: String| KeysError::Invalid { path: directory.path_of(file), reason };
    let Some(key) = directory.read(key_file, Visibility::Secret)? else {
        let lost = certificate.map(|_| invalid(certificate_file, format!("its key `{key_file}` is missing")));
        return lost.map_or(Ok(None), Err);
    };
    let blame = |file: &'static str| {
        move |error| match error {
            KeysError::Unusable { reason, .. } => invalid(file, reason),
            other => other,
        }
    };
    let key = KeyMaterial::of_private_key(algorithm, Secret::new(key), certificate, now).map_err(blame(key_file))?;
    key.certificate().map_err(blame(certificate_file))?;
    Ok(Some(key))
}

const fn files(algorithm: SigningAlgorithm) -> (&'static str, &'static str) {
    match algorithm {
        SigningAlgorithm::Rs256 => ("signing-rs256.key", "signing-rs256.crt"),
        SigningAlgorithm::Es256 => ("signing-es256.key", "signing-es256.crt"),
    }
}

/// The text of the encryption key in the file `path`, if it was made already.
///
/// # Errors
/// When the file is unreadable or open to others than its owner.
pub fn encryption_key(path: &Path) -> Result<Option<Secret>, KeysError> {
    let (directory, name) = split(path);
    let Some(directory) = KeyDirectory::open(directory)? else { return Ok(None) };
    directory.read(name, Visibility::Secret)?.map(|text| checked(path, &text)).transpose()
}

/// The same; makes directory and key when there is none.
///
/// # Errors
/// See [`encryption_key`].
pub fn make_encryption_key(path: &Path) -> Result<Secret, KeysError> {
    let (directory, name) = split(path);
    let directory = KeyDirectory::open_or_create(directory)?;
    let text = directory.read_or_create(name, || Ok(random_key()?.expose().to_owned() + "\n"))?;
    checked(path, &text)
}

fn split(path: &Path) -> (&Path, &OsStr) {
    (parent(path), path.file_name().unwrap_or_default())
}

/// A key that somebody shortened would still open nothing, but seal badly what comes next.
fn checked(path: &Path, text: &str) -> Result<Secret, KeysError> {
    let text = text.trim_end();
    if text.len() < SHORTEST_ENCRYPTION_KEY {
        let reason = format!("an encryption key has {SHORTEST_ENCRYPTION_KEY} characters or more");
        return Err(KeysError::Invalid { path: path.to_owned(), reason });
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests;
