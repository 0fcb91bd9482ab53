//! Lines on their way to the thread that writes them. Whoever has one puts it behind the others; the thread takes all of them.

use std::mem;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::lock;

/// How long lines are let come together after the first. A thread that is not waiting need not be woken: under load that spares
/// every request a call of the system, and every record a write of its own.
const GATHERING: Duration = Duration::from_millis(10);

/// Whole lines, in order.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    /// How many lines that is.
    pub(super) records: u64,
}

/// A bounded queue of lines.
#[derive(Debug)]
pub(super) struct Queue {
    /// How many may wait.
    limit: u64,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Lines,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, waiting: Mutex::default(), changed: Condvar::new() }
    }

    /// Puts in one line, with its line break. `false`: the queue is full, or closed.
    pub(super) fn put(&self, line: &[u8]) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.is_closed || waiting.lines.records >= self.limit {
            return false;
        }
        waiting.lines.bytes.extend_from_slice(line);
        waiting.lines.records += 1;
        let is_first = waiting.lines.records == 1;
        drop(waiting);
        if is_first {
            self.changed.notify_one();
        }
        true
    }

    /// Takes in nothing more.
    pub(super) fn close(&self) {
        lock(&self.waiting).is_closed = true;
        self.changed.notify_one();
    }

    /// Waits for lines, and takes all that there are, in exchange for `emptied`. `None`: there are none, and there will be none.
    pub(super) fn take(&self, emptied: Vec<u8>) -> Option<Lines> {
        let is_idle = |waiting: &mut Waiting| waiting.lines.records == 0 && !waiting.is_closed;
        let mut waiting = self.changed.wait_while(lock(&self.waiting), is_idle).unwrap_or_else(PoisonError::into_inner);
        if !waiting.is_closed {
            drop(waiting);
            thread::sleep(GATHERING);
            waiting = lock(&self.waiting);
        }
        let lines = mem::replace(&mut waiting.lines, Lines { bytes: emptied, records: 0 });
        drop(waiting);
        (lines.records > 0).then_some(lines)
    }
}
