//! How much is too much: rate limits of a registry (requirements B.9) and limits on failed logins. Pure arithmetic of whole
//! numbers; the time is an argument, and who keeps count is elsewhere.

mod document;
mod login;
mod rate;
mod spent;
#[cfg(test)]
mod tests;

pub use document::{IdentityRatesDocument, RateLimitsDocument, RegistryRatesDocument};
pub use login::{Failures, Locked, LoginLimits, LoginScope};
pub use rate::{Category, Exhausted, PERIOD, RateLimits, RateScope};
pub use spent::{MOST, Spent};

pub(in crate::policy) use document::compile;
