//! The audit log: one JSON line for each request, with who, from where, what, the decision and the rule behind it; and
//! lines with a `kind` for what is no request.
//!
//! A request never waits for it: lines go into a bounded queue and one thread writes them, many at a time. When the
//! sink cannot keep up for 65,536 records, further ones are dropped and counted (`seawall_audit_records_dropped_total`);
//! stopping a registry because a disk is full would be the worse answer. [`AuditLog::close`] writes what is queued.

mod denials;
mod line;
mod management;
mod output;
mod queue;
mod record;
mod writer;

pub use management::ManagementRecord;
pub use record::{AuditRecord, Bounded, PasswordExpiring, PrincipalRecord, ShadowRecord};

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde::Serialize;
use thiserror::Error;

use super::metrics::Metrics;
use crate::clock::Clock;
use denials::Denials;
use output::{File, Output, Stdout};
use queue::Queue;
use writer::Writer;

/// How many records may wait.
const QUEUE: u64 = 65_536;

/// Room for a usual line, in bytes.
const LINE: usize = 1024;

/// Where the records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditSink {
    Stdout,
    /// Appended to, created with mode 0600, and opened anew when it was moved away or deleted.
    File(PathBuf),
}

/// Why the audit log cannot be opened.
#[derive(Debug, Error)]
pub enum AuditError {
    #[error("cannot open the audit log `{}`: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot start the audit thread: {0}")]
    Thread(#[source] io::Error),
}

/// A handle to the audit log; clones share it. The last one to go closes it.
#[derive(Debug, Clone)]
pub struct AuditLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
    metrics: Arc<Metrics>,
    denials: Denials,
}

impl AuditLog {
    /// Opens `sink` and starts its thread. `clock` says how long ago a file was looked at (once a second at most).
    pub fn open(sink: AuditSink, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Result<Self, AuditError> {
        let output: Box<dyn Output> = match sink {
            AuditSink::Stdout => Box::new(Stdout),
            AuditSink::File(path) => match File::open(path.clone(), clock) {
                Ok(file) => Box::new(file),
                Err(source) => return Err(AuditError::Open { path, source }),
            },
        };
        Self::start(output, QUEUE, metrics)
    }

    fn start(output: Box<dyn Output>, limit: u64, metrics: Arc<Metrics>) -> Result<Self, AuditError> {
        let queue = Arc::new(Queue::new(limit));
        let (writer, queued) = (Writer::new(output, Arc::clone(&metrics)), Arc::clone(&queue));
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&queued));
        let thread = Mutex::new(Some(thread.map_err(AuditError::Thread)?));
        Ok(Self(Arc::new(Inner { queue, thread, metrics, denials: Denials::default() })))
    }

    /// Queues a record; drops and counts it when the queue is full or the log is closed. Never waits. A denial is kept in
    /// memory, too.
    pub fn record(&self, record: &AuditRecord<'_>) {
        let mut line = Vec::with_capacity(LINE);
        let is_whole = line::write(&mut line, record);
        self.put(is_whole, &line);
        if let Some(id) = &record.denial_id {
            self.0.denials.keep(id, &line);
        }
    }

    /// The line of the denial with this id, if it is among the last.
    pub fn denial(&self, id: &str) -> Option<String> {
        self.0.denials.find(id)
    }

    /// Queues what happened at the management API, like a record.
    pub fn management(&self, record: &ManagementRecord) {
        self.queue(record);
    }

    /// Queues the warning of a password's end, like a record.
    pub fn password_expiring(&self, event: &PasswordExpiring) {
        self.queue(event);
    }

    /// Its JSON has no line break.
    fn queue(&self, record: &impl Serialize) {
        let mut line = Vec::with_capacity(LINE);
        let is_whole = serde_json::to_writer(&mut line, record).is_ok();
        line.push(b'\n');
        self.put(is_whole, &line);
    }

    /// Lines are made here, on the thread of what they are about, for what they are made of was made there, too.
    fn put(&self, is_whole: bool, line: &[u8]) {
        if !is_whole || !self.0.queue.put(line) {
            self.0.metrics.audit_records_dropped(1);
        }
    }

    /// Writes everything queued so far and ends the log; later records are dropped and counted. Waits for the sink.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Inner {
    fn close(&self) {
        // Taken by whoever closes first; the others find the thread gone or going.
        let Some(thread) = lock(&self.thread).take() else { return };
        self.queue.close();
        if thread.join().is_err() {
            tracing::error!("the audit thread stopped before it was asked to");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// A panic elsewhere leaves these values whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
