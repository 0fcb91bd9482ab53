//! What has been used up of one limit, in 64 bits, so that a counter needs no lock.

use std::time::Duration;

/// The most that a limit can be: what the counter holds, with room to spare.
pub const MOST: u32 = 10_000_000;

const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const MOST_MILLISECONDS: u64 = (1 << (64 - COUNT_BITS)) - 1;

/// How often something has happened since when. A period begins with the first time after the last period has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent(u64);

impl Spent {
    /// What [`Self::bits`] has given.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// All of it, for an atomic. 0 is: never.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// One time more at `now`, if in this period it is not over `limit`.
    ///
    /// # Errors
    /// The time until the period ends; never zero.
    pub fn spend(self, limit: u32, period: Duration, now: Duration) -> Result<Self, Duration> {
        let (now, period) = (milliseconds(now), milliseconds(period).max(1));
        // Another thread may have a later `now` than ours: then nothing has gone by.
        let gone = now.saturating_sub(self.began());
        if self.count() == 0 || gone >= period {
            return if limit == 0 { Err(Duration::from_millis(period)) } else { Ok(Self(now << COUNT_BITS | 1)) };
        }
        if self.count() >= u64::from(limit.min(MOST)) {
            return Err(Duration::from_millis(period - gone));
        }
        Ok(Self(self.0 + 1))
    }

    /// As if one time, the one that led to `then`, had not been; unless that was in another period.
    #[must_use]
    pub const fn give_back(self, then: Self) -> Self {
        if self.began() == then.began() && self.count() > 0 { Self(self.0 - 1) } else { self }
    }

    /// How often in the period.
    pub const fn count(self) -> u64 {
        self.0 & COUNT
    }

    const fn began(self) -> u64 {
        self.0 >> COUNT_BITS
    }
}

/// Saturates after 34 years.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(MOST_MILLISECONDS)
}

/// In whole seconds, as `Retry-After` says it; not too short, never zero.
pub(super) fn retry_after(left: Duration) -> u64 {
    left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0)).max(1)
}
