//! What traffic teaches and the store should keep: one bounded queue that requests never wait for.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::policy::credential::CredentialId;

/// A password, or what it obtained, was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordUse {
    pub credential: CredentialId,
    pub at: Timestamp,
    pub address: IpAddr,
}

/// Where requests leave what they observed. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Observed {
    queue: mpsc::Sender<PasswordUse>,
    dropped: Arc<AtomicU64>,
}

/// The other end of the queue.
#[derive(Debug)]
pub struct Observations(mpsc::Receiver<PasswordUse>);

impl Observed {
    /// A queue for `capacity` observations.
    pub fn channel(capacity: usize) -> (Self, Observations) {
        let (queue, received) = mpsc::channel(capacity.max(1));
        (Self { queue, dropped: Arc::default() }, Observations(received))
    }

    /// Leaves a note that `credential` was used; drops and counts it when the queue is full.
    pub fn password_used(&self, credential: CredentialId, at: Timestamp, address: IpAddr) {
        if self.queue.try_send(PasswordUse { credential, at, address }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many observations found no room so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Observations {
    /// Waits for at least one observation and takes all there are, up to `most`; nothing when no sender is left.
    pub async fn take(&mut self, most: usize) -> Vec<PasswordUse> {
        let mut taken = Vec::new();
        self.0.recv_many(&mut taken, most).await;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::HashKey;

    #[tokio::test]
    async fn what_finds_no_room_is_dropped_and_counted() {
        let (observed, mut received) = Observed::channel(2);
        let id = CredentialId::derive(&HashKey::from_bytes([0; 32]), "test", &[]);
        for second in 0..5 {
            let at = Timestamp::from_second(second).unwrap();
            observed.password_used(id, at, IpAddr::from([192, 0, 2, 1]));
        }
        assert_eq!(observed.dropped(), 3);
        assert_eq!(received.take(10).await.len(), 2);
        drop(observed);
        assert!(received.take(10).await.is_empty());
    }
}
