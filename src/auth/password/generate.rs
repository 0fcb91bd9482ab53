//! Makes passwords, and hashes those that people choose.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::secret::Secret;

/// Why there is no password or no hash.
#[derive(Debug, Error)]
pub enum PasswordError {
    #[error("an empty password is none")]
    Empty,
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// The argon2id hash of `password` as a PHC string, with the parameters that OWASP's Password Storage Cheat Sheet
/// recommends (19 MiB, 2 passes, 1 lane) and a random salt.
///
/// # Errors
/// For the empty password, and when the system gives no random numbers or no memory.
pub fn hash_password(password: &Secret) -> Result<String, PasswordError> {
    if password.expose().is_empty() {
        return Err(PasswordError::Empty);
    }
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| PasswordError::Hash(error.into()))?;
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password(password.expose().as_bytes());
    Ok(hash.map_err(PasswordError::Hash)?.to_string())
}

/// 43 characters of the base64url alphabet: 32 random bytes.
///
/// The first is a letter or a digit, because command lines take a word that begins with `-` for an option.
///
/// # Errors
/// When the system gives no random numbers.
pub fn generate_password() -> Result<Secret, PasswordError> {
    loop {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let password = URL_SAFE_NO_PAD.encode(bytes);
        if password.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Ok(Secret::new(password));
        }
    }
}
