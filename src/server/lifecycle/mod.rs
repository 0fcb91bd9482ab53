//! The life of the process: serving, draining, ended; driven by signals, or by a test in their place.
//!
//! | signal | first time | again |
//! |---|---|---|
//! | SIGTERM | drain: not ready, listeners close, what is in flight finishes within the grace period | end at once |
//! | SIGINT | end at once | – |
//! | SIGHUP | reload | reload |
//!
//! pingora's own SIGTERM sleeps its whole grace period, deaf to further signals, and then cuts whatever still runs. So its
//! server is told nothing while we drain: the listeners follow [`Lifecycle::stop_watch`], and only when nothing is left
//! (or may be waited for) does pingora get its "fast shutdown", on which it returns. Nothing calls `process::exit`, so
//! whoever called [`Lifecycle::run`] can still flush the audit log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use async_trait::async_trait;
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::proxy::listener::InFlight;

/// How often a drain looks at the counters.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long connections without a request may stay open in a drain. HTTP/1 connections are closed at once and HTTP/2 clients are
/// asked to leave; this bounds those that do not, and lets the last bytes of an HTTP/2 response out.
const LINGER: Duration = Duration::from_secs(5);

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Ending,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Drained: every request had its answer.
    Drained,
    /// The grace period was over; this many requests were cut.
    GraceOver {
        /// Requests that were still being served.
        requests: usize,
    },
    /// Ended at once, on SIGINT or a second signal; this many requests were cut.
    AtOnce {
        /// Requests that were being served.
        requests: usize,
    },
}

/// The life of one process; clones are handles on the same life.
#[derive(Debug, Clone)]
pub(super) struct Lifecycle(Arc<Life>);

#[derive(Debug)]
struct Life {
    phase: watch::Sender<Phase>,
    stop: watch::Sender<bool>,
    in_flight: InFlight,
    grace: Duration,
    ending: Mutex<Option<Ending>>,
}

impl Lifecycle {
    /// A life that begins now. A drain waits for `in_flight`, at most for `grace`.
    pub(super) fn new(in_flight: InFlight, grace: Duration) -> Self {
        Self(Arc::new(Life {
            phase: watch::Sender::new(Phase::Serving),
            stop: watch::Sender::new(false),
            in_flight,
            grace,
            ending: Mutex::default(),
        }))
    }

    /// Turns true when listeners shall close.
    pub(super) fn stop_watch(&self) -> ShutdownWatch {
        self.0.stop.subscribe()
    }

    /// Whether the process is on its way out: `/readyz` says so.
    pub(super) fn is_draining(&self) -> bool {
        *self.0.phase.borrow() != Phase::Serving
    }

    /// Begins to drain; a second call ends at once. What SIGTERM does.
    pub(super) fn terminate(&self) {
        self.0.phase.send_modify(|phase| {
            *phase = match phase {
                Phase::Serving => Phase::Draining,
                Phase::Draining | Phase::Ending => Phase::Ending,
            };
        });
    }

    /// Ends at once, cutting what runs. What SIGINT does.
    pub(super) fn interrupt(&self) {
        self.0.phase.send_replace(Phase::Ending);
    }

    /// Listens for signals from now on, on a thread of its own, so that they are heard before the server runs too.
    ///
    /// `reload` is called for SIGHUP on that thread and must return at once: whatever takes time there delays a SIGTERM.
    pub(super) fn listen_for_signals(&self, reload: impl Fn() + Send + 'static) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut terminate, mut interrupt, mut hangup) = {
            let _runtime = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
        };
        let life = self.clone();
        let listen = async move {
            loop {
                tokio::select! {
                    Some(()) = terminate.recv() => life.terminate(),
                    Some(()) = interrupt.recv() => life.interrupt(),
                    Some(()) = hangup.recv() => reload(),
                    else => break,
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(listen))?;
        Ok(())
    }

    /// Runs `server` until this life ends. All its listeners must follow [`Lifecycle::stop_watch`].
    ///
    /// Returns when the runtimes of all services are gone; what is left to do before the process exits is the caller's.
    pub(super) fn run(&self, server: Server) -> Ending {
        server.run(RunArgs { shutdown_signal: Box::new(EndOf(self.clone())) });
        let ending = *self.0.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.unwrap_or_else(|| self.at_once())
    }

    async fn end(&self) -> Ending {
        let mut phase = self.0.phase.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let left = phase.wait_for(|phase| *phase != Phase::Serving).await.map_or(Phase::Ending, |phase| *phase);
        self.0.stop.send_replace(true);
        if left == Phase::Ending {
            return self.at_once();
        }
        tracing::info!(requests = self.0.in_flight.requests(), "draining");
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase == Phase::Ending) => self.at_once(),
            () = self.idle() => Ending::Drained,
            () = tokio::time::sleep(self.0.grace) => match self.0.in_flight.requests() {
                0 => Ending::Drained,
                requests => Ending::GraceOver { requests },
            },
        }
    }

    fn at_once(&self) -> Ending {
        Ending::AtOnce { requests: self.0.in_flight.requests() }
    }

    /// Ends when no connection is open, or when for a while none of them had a request.
    async fn idle(&self) {
        let mut without_request = Duration::ZERO;
        loop {
            // At least once, so that a connection that was accepted just now is counted.
            tokio::time::sleep(LOOK_EVERY).await;
            let in_flight = &self.0.in_flight;
            without_request = if in_flight.requests() == 0 { without_request + LOOK_EVERY } else { Duration::ZERO };
            if in_flight.connections() == 0 || without_request >= LINGER {
                return;
            }
        }
    }
}

/// What pingora asks when to end.
struct EndOf(Lifecycle);

#[async_trait]
impl ShutdownSignalWatch for EndOf {
    async fn recv(&self) -> ShutdownSignal {
        let ending = self.0.end().await;
        tracing::info!(?ending, "ending");
        self.0.0.in_flight.give_up();
        *self.0.0.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
        ShutdownSignal::FastShutdown
    }
}

#[cfg(test)]
mod tests;
