//! From a credential to a principal: passwords, access and refresh tokens, signing keys.

pub mod access_token;
mod asserted;
mod authenticator;
pub mod keys;
pub mod limits;
pub mod link;
pub mod off_thread;
pub mod password;
pub mod provider;
pub mod refresh_token;
mod signed_token;
pub mod upstream_token;

pub use asserted::SignIn;
pub use authenticator::{Authenticator, Failure, OwnToken};
pub use signed_token::{InvalidToken, MintError, Minted, TokenRejection, Validity};

/// Whether a cache spared the work of a check. The caller counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheOutcome {
    Hit,
    Miss,
}
