//! The thread behind the audit log: from the queue to the output, as many records at once as are waiting.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::output::Output;
use crate::telemetry::metrics::Metrics;

/// A write is made when this many bytes have come together, though more records wait.
const BATCH_BYTES: usize = 256 * 1024;

/// How long records are let come together after the first. A thread that is not waiting for the queue need not be woken: under
/// load that spares every request a call of the system, and every record a write of its own.
const GATHERING: Duration = Duration::from_millis(10);

pub(super) enum Entry {
    Line(Box<dyn Line>),
    /// Write what is queued before this, and end.
    Close,
}

/// Something that makes one line.
pub(super) trait Line: Send {
    /// Appends its JSON, which has no line break, to `lines`.
    fn append_to(&self, lines: &mut Vec<u8>) -> serde_json::Result<()>;
}

impl<T: Serialize + Send> Line for T {
    fn append_to(&self, lines: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(lines, self)
    }
}

pub(super) struct Writer {
    output: Box<dyn Output>,
    metrics: Arc<Metrics>,
    /// Whole lines, not yet written.
    lines: Vec<u8>,
    records: u64,
    failing: bool,
}

impl Writer {
    pub(super) fn new(output: Box<dyn Output>, metrics: Arc<Metrics>) -> Self {
        Self { output, metrics, lines: Vec::new(), records: 0, failing: false }
    }

    /// Until the log is closed.
    pub(super) fn run(mut self, queued: &Receiver<Entry>) {
        while let Ok(first) = queued.recv() {
            thread::sleep(GATHERING);
            let mut next = Some(first);
            while let Some(entry) = next {
                match entry {
                    Entry::Line(line) => self.add(line.as_ref()),
                    Entry::Close => return self.write(),
                }
                if self.lines.len() >= BATCH_BYTES {
                    self.write();
                }
                next = queued.try_recv().ok();
            }
            self.write();
        }
    }

    fn add(&mut self, line: &dyn Line) {
        let before = self.lines.len();
        if line.append_to(&mut self.lines).is_ok() {
            self.lines.push(b'\n');
            self.records += 1;
        } else {
            self.lines.truncate(before);
            self.metrics.audit_records_dropped(1);
        }
    }

    fn write(&mut self) {
        if self.records == 0 {
            return;
        }
        match self.output.write(&self.lines) {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.metrics.audit_records_dropped(self.records);
                // Once, not for every batch: a full disk stays full for a while.
                if !self.failing {
                    tracing::error!(%error, "cannot write the audit log: records are being lost");
                }
                self.failing = true;
            }
        }
        self.records = 0;
        self.lines.clear();
        if self.failing {
            // The failed write may have left half a line: this ends it before the next one begins.
            self.lines.push(b'\n');
        }
    }
}
