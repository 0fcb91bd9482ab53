//! How much is still going on: open connections and requests being served, counted so that a drain knows its end.
//!
//! Both are counted, because a response can still sit in an HTTP/2 connection's send buffer when its request is done,
//! and because an idle HTTP/2 connection may stay open for as long as its client likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The counters of one process; clones share them.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
    given_up: AtomicBool,
}

impl InFlight {
    /// Connections that were let in and are still open, idle ones included.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Acquire)
    }

    /// Requests whose head has arrived and whose response is not yet written.
    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Acquire)
    }

    /// Whatever is still going on is about to be cut: its failures are ours from now on, not the client's.
    pub fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Release);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.0.given_up.load(Ordering::Acquire)
    }

    pub(super) fn connection(&self) -> Counted {
        Counted::new(&self.0, |counts| &counts.connections)
    }

    pub(super) fn request(&self) -> Counted {
        Counted::new(&self.0, |counts| &counts.requests)
    }
}

/// One connection or request; it stops counting when it is dropped, also when its task is cancelled or panics.
#[derive(Debug)]
pub(super) struct Counted {
    counts: Arc<Counts>,
    which: fn(&Counts) -> &AtomicUsize,
}

impl Counted {
    fn new(counts: &Arc<Counts>, which: fn(&Counts) -> &AtomicUsize) -> Self {
        which(counts).fetch_add(1, Ordering::AcqRel);
        Self { counts: Arc::clone(counts), which }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.which)(&self.counts).fetch_sub(1, Ordering::AcqRel);
    }
}
