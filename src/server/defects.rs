//! Panics: defects of ours or of a library. One stops a task, never the process; operators see the count.

use std::panic;
use std::sync::Arc;
use std::thread;

use crate::telemetry::metrics::Metrics;

/// From now on every panic of the process is counted, and logged by its place.
///
/// Not by its message, and not by Rust's own hook, which would print that: it may quote what a client sent.
pub(super) fn count(metrics: &Arc<Metrics>) {
    let metrics = Arc::clone(metrics);
    panic::set_hook(Box::new(move |panic| {
        metrics.panicked();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = thread::current();
        let thread = thread.name().unwrap_or_default();
        tracing::error!(place, thread, "a task stopped at a defect: please report it");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_any_thread_is_counted() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let before = panic::take_hook();
        count(&metrics);
        let ended = thread::spawn(|| panic!("on purpose")).join();
        // Other tests shall be heard when they fail.
        panic::set_hook(before);
        assert!(ended.is_err());
        let text = metrics.render().unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("seawall_panics_total ")).unwrap();
        assert!(count.parse::<u64>().unwrap() > 0, "{count}");
    }
}
