//! Who has used up how much: the counters of rate limits and of failed logins, of this process alone.
//!
//! All are bounded. A counter that is evicted counts from zero again, which takes more identities or sources within a
//! minute than there is room for.

mod logins;
mod rates;

pub use logins::{Claim, Logins};
pub use rates::Rates;

/// How many counters of one kind are kept.
const COUNTERS: u64 = 100_000;
