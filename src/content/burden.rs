//! What all disks together may take of the process, so that one that hangs takes nothing else with it: threads that read, and
//! memory for what waits to be written.
//!
//! What has begun to read cannot be stopped. So its turn is over when the read ends, and not when nobody waits for it any more.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// Reads at the same time. Each takes one of the runtime's 512 threads for what waits, in which passwords are hashed, too.
const MOST_READS: usize = 64;
/// Bytes that wait to be written.
const MOST_WAITING: u64 = 16 * 1024 * 1024;
/// How long the first piece of a blob may wait for its turn, and then for the disk: the upstream has it, too.
const FIRST: Duration = Duration::from_secs(5);
/// The same for any other piece: whoever waits for it has the beginning already.
const LATER: Duration = Duration::from_secs(15);

/// Why nothing was read.
#[derive(Debug, Error)]
pub enum Unread {
    #[error("too many reads of the disk are under way")]
    Busy,
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// A read that is under way.
pub(super) type Begun<T> = JoinHandle<io::Result<T>>;

/// What is in use.
#[derive(Debug)]
pub(super) struct Burden {
    turns: Arc<Semaphore>,
    pub(super) first: Duration,
    pub(super) later: Duration,
    waiting: AtomicU64,
}

impl Default for Burden {
    fn default() -> Self {
        Self::new(MOST_READS, FIRST, LATER)
    }
}

impl Burden {
    pub(super) fn new(reads: usize, first: Duration, later: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(reads)), first, later, waiting: AtomicU64::new(0) }
    }

    /// Begins `job` at once, if nobody else has to wait for that.
    pub(super) fn begin_if_free<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Option<Begun<T>> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().ok()?;
        Some(begin(turn, job))
    }

    /// Begins `job` when it is its turn.
    ///
    /// # Errors
    /// [`Unread::Busy`] when that was not within `patience`.
    pub(super) async fn begin<T: Send + 'static>(
        &self,
        patience: Duration,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<Begun<T>, Unread> {
        let turn = timeout(patience, Arc::clone(&self.turns).acquire_owned()).await;
        Ok(begin(turn.map_err(|_| Unread::Busy)?.map_err(|_| Unread::Busy)?, job))
    }

    /// Takes a piece that waits to be written; `None`: too much waits already.
    pub(super) fn hold(self: &Arc<Self>, piece: Bytes) -> Option<Waiting> {
        let length = piece.len() as u64;
        let before = self.waiting.fetch_add(length, Ordering::AcqRel);
        let waiting = Waiting { piece, burden: Arc::clone(self) };
        (before + length <= MOST_WAITING).then_some(waiting)
    }
}

fn begin<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Begun<T> {
    spawn_blocking(move || {
        let read = job();
        drop(turn);
        read
    })
}

/// What was read.
///
/// # Errors
/// When it could not be, or not within `patience`.
pub(super) async fn end<T>(begun: Begun<T>, patience: Duration) -> Result<T, Unread> {
    let read = match timeout(patience, begun).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err(io::Error::other("the thread that read has ended")),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")),
    };
    Ok(read?)
}

/// A piece that waits to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    piece: Bytes,
    burden: Arc<Burden>,
}

impl Deref for Waiting {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.piece
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.burden.waiting.fetch_sub(self.piece.len() as u64, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_mins(1);

    /// Otherwise as many threads would hang as there are requests, and logins with them.
    #[tokio::test]
    async fn no_more_reads_hang_than_have_a_turn() {
        let burden = Burden::new(2, SHORT, SHORT);
        let (go, hanging) = mpsc::channel::<()>();
        let hanging = Arc::new(std::sync::Mutex::new(hanging));
        for _ in 0..2 {
            let hanging = Arc::clone(&hanging);
            let job = move || hanging.lock().unwrap().recv().map_err(io::Error::other);
            let begun = burden.begin(LONG, job).await.unwrap();
            let Err(Unread::Failed(error)) = end(begun, SHORT).await else { panic!() };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        // Nobody waits for them any more, and they are there all the same.
        assert!(matches!(burden.begin(SHORT, || Ok(())).await, Err(Unread::Busy)));
        assert!(burden.begin_if_free(|| Ok(())).is_none());
        go.send(()).unwrap();
        let begun = burden.begin(LONG, || Ok(7)).await.unwrap();
        assert_eq!(end(begun, LONG).await.unwrap(), 7);
        go.send(()).unwrap();
    }

    #[test]
    fn what_waits_to_be_written_is_bounded() {
        let burden = Arc::new(Burden::default());
        let piece = Bytes::from(vec![0; 1024 * 1024]);
        let mut held: Vec<_> = (0..16).map(|_| burden.hold(piece.clone()).unwrap()).collect();
        assert!(burden.hold(Bytes::from_static(b"x")).is_none());
        held.pop();
        assert!(burden.hold(piece).is_some());
        drop(held);
        assert_eq!(burden.waiting.load(Ordering::Acquire), 0);
    }
}
