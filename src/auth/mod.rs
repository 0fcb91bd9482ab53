//! From a credential to a principal: passwords, access and refresh tokens, signing keys.

pub mod keys;
pub mod off_thread;
pub mod password;

/// Whether a cache spared the work of a check. The caller counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheOutcome {
    Hit,
    Miss,
}
