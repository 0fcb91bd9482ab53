//! Keys of 32 random bytes as they are kept: as base64 text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::KeysError;
use crate::secret::{HashKey, Secret};

/// The text of a new key.
///
/// # Errors
/// When the system gives no random numbers.
pub fn random_key() -> Result<Secret, KeysError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(STANDARD.encode(bytes)))
}

/// The hash key whose text this is; `None` when it is not the base64 text of 32 bytes.
pub fn parse_hash_key(text: &Secret) -> Option<HashKey> {
    STANDARD.decode(text.expose().trim_end()).ok()?.try_into().ok().map(HashKey::from_bytes)
}
