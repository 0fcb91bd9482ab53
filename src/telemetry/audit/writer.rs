//! The thread behind the audit log: from the queue to the output, as many records at once as are waiting.

use std::sync::Arc;

use super::output::Output;
use super::queue::{Lines, Queue};
use crate::telemetry::metrics::Metrics;

/// What a buffer may take in bytes while nothing is in it: a burst does not stay in memory.
const KEPT_BYTES: usize = 256 * 1024;

pub(super) struct Writer {
    output: Box<dyn Output>,
    metrics: Arc<Metrics>,
    failing: bool,
}

impl Writer {
    pub(super) fn new(output: Box<dyn Output>, metrics: Arc<Metrics>) -> Self {
        Self { output, metrics, failing: false }
    }

    /// Until the queue is closed.
    pub(super) fn run(mut self, queue: &Queue) {
        let mut emptied = Vec::new();
        while let Some(mut lines) = queue.take(emptied) {
            self.write(&mut lines);
            lines.bytes.clear();
            lines.bytes.shrink_to(KEPT_BYTES);
            emptied = lines.bytes;
        }
    }

    fn write(&mut self, lines: &mut Lines) {
        if self.failing {
            // The failed write may have left half a line: this ends it before the next one begins.
            lines.bytes.insert(0, b'\n');
        }
        match self.output.write(&lines.bytes) {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.metrics.audit_records_dropped(lines.records);
                // Once, not for every batch: a full disk stays full for a while.
                if !self.failing {
                    tracing::error!(%error, "cannot write the audit log: records are being lost");
                }
                self.failing = true;
            }
        }
    }
}
