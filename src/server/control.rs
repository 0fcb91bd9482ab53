//! The runtime of the control plane: threads of its own, so that neither pulls nor management can starve the other.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Before a task that stopped at a defect is started again.
const BREATH: Duration = Duration::from_secs(1);

/// Two, so that what keeps one of them busy without a pause, such as a flood of TLS handshakes at the management listener
/// or a large policy that is compiled, does not hold up a revocation or an answer on the other.
const THREADS: usize = 2;

/// The runtime, and what must be finished before it ends.
pub(super) struct Control {
    runtime: Runtime,
    closing: Vec<JoinHandle<()>>,
}

impl Control {
    /// A runtime whose threads are called `control`.
    pub(super) fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("control").enable_all().build()?;
        Ok(Self { runtime, closing: Vec::new() })
    }

    /// Where work of it can be begun from elsewhere.
    pub(super) fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// Waits for `work`.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Runs what `work` makes until the end of the control plane. When it stops at a defect it is made anew: without the
    /// feed no revocation would arrive any more.
    pub(super) fn keep<F>(&self, name: &'static str, work: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.runtime.spawn(async move {
            // A task that was cancelled is not started again: the runtime is ending.
            while tokio::spawn(work()).await.is_err_and(|error| error.is_panic()) {
                tracing::error!(task = name, "a task of the control plane is started again");
                sleep(BREATH).await;
            }
        });
    }

    /// Runs `work`, which ends by itself when everything does, and may then have something to finish.
    pub(super) fn close_with(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.closing.push(self.runtime.spawn(work));
    }

    /// Waits, at most for `patience` in all, for what has something to finish, and ends everything else.
    pub(super) fn end(self, patience: Duration) {
        let Self { runtime, closing } = self;
        let all = async {
            for work in closing {
                // A defect in it was counted and logged where it happened.
                let _ = work.await;
            }
        };
        if runtime.block_on(async { timeout(patience, all).await }).is_err() {
            tracing::warn!("the control plane was ended before it had finished");
        }
        runtime.shutdown_background();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_task_that_stops_at_a_defect_is_started_again() {
        let control = Control::start().unwrap();
        let (begun, beginnings) = channel();
        let times = Arc::new(AtomicUsize::new(0));
        control.keep("test", move || {
            let (begun, times) = (begun.clone(), Arc::clone(&times));
            async move {
                begun.send(()).unwrap();
                assert!(times.fetch_add(1, Ordering::SeqCst) > 0, "on purpose");
            }
        });
        beginnings.recv_timeout(Duration::from_secs(10)).unwrap();
        beginnings.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(beginnings.recv_timeout(Duration::from_secs(2)).is_err(), "it ended by itself");
        control.end(Duration::ZERO);
    }

    #[test]
    fn work_that_does_not_pause_leaves_a_thread_to_the_others() {
        let mut control = Control::start().unwrap();
        let (release, busy) = channel::<()>();
        let (done, other) = channel();
        let (begun, begins) = channel();
        control.close_with(async move {
            begun.send(()).unwrap();
            // It keeps its thread, and what waits on that thread's own queue is taken by the other one.
            let _ = busy.recv_timeout(Duration::from_secs(20));
        });
        begins.recv_timeout(Duration::from_secs(10)).unwrap();
        control.keep("test", move || {
            let done = done.clone();
            async move {
                sleep(Duration::from_millis(10)).await;
                done.send(()).unwrap();
            }
        });
        other.recv_timeout(Duration::from_secs(10)).unwrap();
        release.send(()).unwrap();
        control.end(Duration::from_secs(10));
    }

    #[test]
    fn the_end_waits_for_what_must_be_finished_but_not_for_ever() {
        let mut control = Control::start().unwrap();
        let finished = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&finished);
        control.close_with(async move {
            sleep(Duration::from_millis(50)).await;
            count.fetch_add(1, Ordering::SeqCst);
        });
        control.end(Duration::from_secs(10));
        assert_eq!(finished.load(Ordering::SeqCst), 1);

        let mut control = Control::start().unwrap();
        control.close_with(std::future::pending());
        control.end(Duration::from_millis(10));
    }
}
