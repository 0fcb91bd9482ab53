//! A bounded place for work that would stall a request thread: hashing passwords, signing with RSA.
//!
//! Work that has begun cannot be stopped, so its slot is given back when the work ends and not when its caller goes
//! away: a client that disconnects early cannot start more hashes than there are slots (threat class T).

use std::sync::Arc;
use std::thread::available_parallelism;

use thiserror::Error;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::task::spawn_blocking;

/// Too much of this work is waiting already; the client may try again (503).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many requests are waiting for this kind of work")]
pub struct Overloaded;

/// Runs a few jobs at a time and lets a bounded number wait.
#[derive(Debug, Clone)]
pub struct OffThread {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl OffThread {
    /// At most `running` jobs at a time, at most `waiting` more in the queue.
    pub fn new(running: usize, waiting: usize) -> Self {
        let admitted = running.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self { running: Arc::new(Semaphore::new(running)), admitted: Arc::new(Semaphore::new(admitted)) }
    }

    /// As many jobs at a time as there are processors, but never more than four.
    pub fn default_running() -> usize {
        available_parallelism().map_or(1, usize::from).min(4)
    }

    /// The result of `job`, once it had its turn.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full, or when the process is shutting down.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Overloaded> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_: TryAcquireError| Overloaded)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Overloaded)?;
        let work = spawn_blocking(move || {
            let result = job();
            drop((running, admitted));
            result
        });
        work.await.map_err(|_| Overloaded)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let pool = OffThread::new(1, 1);
        let (release, wait) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(move || wait.recv()).await }
        });
        let second = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(|| 2).await }
        });
        while pool.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 3).await, Err(Overloaded));
        release.send(()).expect("the first job is waiting");
        first.await.expect("joined").expect("ran").expect("released");
        assert_eq!(second.await.expect("joined"), Ok(2));
        assert_eq!(pool.run(|| 4).await, Ok(4));
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_does_not_free_the_slot_of_running_work() {
        let pool = OffThread::new(1, 0);
        let (release, wait) = mpsc::channel::<()>();
        let (started, begun) = mpsc::channel::<()>();
        let abandoned = pool.run(move || {
            started.send(()).expect("the test listens");
            wait.recv()
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), abandoned).await.is_err(), "it waits for the release");
        begun.recv().expect("the work has begun");
        assert_eq!(pool.run(|| 1).await, Err(Overloaded));
        release.send(()).expect("the job is waiting");
        while pool.admitted.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 2).await, Ok(2));
    }
}
