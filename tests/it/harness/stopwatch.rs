//! Real time, for tests about how long another process takes.

use std::time::{Duration, Instant};

/// Runs from the moment it is made.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "another process cannot be given a clock that a test moves")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
