//! Time as a parameter: everything that needs the time takes a [`Clock`], so that tests move it instead of sleeping.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

pub use jiff::Timestamp;

/// A source of the current time.
pub trait Clock: Debug + Send + Sync {
    /// The wall-clock time, in UTC.
    fn now(&self) -> Timestamp;

    /// The time since some fixed start, for measuring durations: it never goes back.
    fn ticks(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    fn ticks(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        let now = Instant::now();
        now.saturating_duration_since(*START.get_or_init(|| now))
    }
}

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
pub struct ManualClock {
    seconds: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `seconds` since the Unix epoch.
    pub fn at(seconds: i64) -> Self {
        Self { seconds: AtomicI64::new(seconds) }
    }

    /// Moves the clock by `seconds`.
    pub fn advance(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.seconds.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    fn ticks(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::SeqCst).unsigned_abs())
    }
}
