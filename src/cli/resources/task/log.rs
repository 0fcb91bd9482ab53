//! The log of a run, in the words of ACR's (S4-25).

use std::time::Duration;

use jiff::Timestamp;

use crate::cli::{output, visible};
use crate::clock::{Clock, SystemClock};

/// Writes lines to standard output, where the programs of the steps write too.
#[derive(Debug)]
pub(super) struct Log {
    began: Duration,
}

impl Log {
    pub(super) fn begin() -> Self {
        Self { began: SystemClock.ticks() }
    }

    /// A line with the time.
    pub(super) fn event(&self, text: &str) {
        self.plain(&format!("{} {text}", time(SystemClock.now())));
    }

    /// A line without it.
    #[expect(clippy::unused_self, reason = "what is written belongs to a run")]
    pub(super) fn plain(&self, text: &str) {
        // A closed pipe ends nothing: the run goes on.
        let _ = output::line(visible::lines(text));
    }

    /// Since the run began.
    pub(super) fn elapsed(&self) -> Duration {
        SystemClock.ticks().saturating_sub(self.began)
    }
}

/// In UTC, as ACR writes it.
fn time(now: Timestamp) -> String {
    now.strftime("%Y/%m/%d %H:%M:%S").to_string()
}

/// For `$Date`.
pub(super) fn date(now: Timestamp) -> String {
    now.strftime("%Y%m%d-%H%M%Sz").to_string()
}
