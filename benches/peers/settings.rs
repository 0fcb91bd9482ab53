//! What the environment says about a run: `ROUNDS`, `SECONDS`, `ONLY` and `CHECK`.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};

/// Fewer rounds, or shorter ones, are a look and not a measurement: the page is left as it is.
const LEAST: u32 = 5;

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How often each target is measured.
    pub(crate) rounds: u32,
    /// How long each measurement takes, in seconds, after a second to warm up.
    pub(crate) seconds: u32,
    /// The names of the parts that run; all when it is empty.
    only: Vec<String>,
    /// Whether a target that is missed is a failure.
    pub(crate) check: bool,
}

impl Settings {
    /// # Panics
    ///
    /// When a number is none: a run of another length than was asked for would mislead.
    pub(crate) fn read() -> Self {
        let text = |name| env::var(name).unwrap_or_default();
        let number = |name| {
            let value = text(name);
            if value.is_empty() { LEAST } else { value.parse().unwrap_or_else(|_| panic!("{name}={value}: no number")) }
        };
        let (rounds, seconds) = (number("ROUNDS"), number("SECONDS"));
        assert!(rounds > 0 && seconds > 0, "ROUNDS and SECONDS are at least 1");
        let only = text("ONLY").split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Self { rounds, seconds, only, check: !matches!(text("CHECK").as_str(), "" | "0") }
    }

    /// Whether this part was asked for.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part)
    }

    /// # Panics
    ///
    /// When `ONLY` names none of these.
    pub(crate) fn expect_names(&self, parts: &[&str]) {
        for name in &self.only {
            assert!(parts.contains(&name.as_str()), "ONLY={name}: there are {}", parts.join(", "));
        }
    }

    /// Whether the figures are good enough to be kept.
    pub(crate) fn whole(&self) -> bool {
        self.only.is_empty() && self.rounds >= LEAST && self.seconds >= LEAST
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT and SIGTERM do not end this process at once: it unwinds, and ends what it has started.
pub(crate) fn catch_signals() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        });
        INTERRUPTED.store(true, Ordering::Relaxed);
    });
}

/// Whether this process was asked to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
