//! What traffic teaches and the store should keep: one bounded queue that requests never wait for.
//!
//! The queue is allocated once, and nobody is woken by what is left in it: leaving a note costs a request some tens of
//! nanoseconds. Whoever keeps the notes comes by now and then.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

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
    queue: SyncSender<PasswordUse>,
    dropped: Arc<AtomicU64>,
}

/// The other end of the queue.
#[derive(Debug)]
pub struct Observations {
    queue: Receiver<PasswordUse>,
    dropped: Arc<AtomicU64>,
}

impl Observed {
    /// A queue for `capacity` observations.
    pub fn channel(capacity: usize) -> (Self, Observations) {
        // Without room for one, `try_send` would wait for a receiver that is waiting.
        let (sender, receiver) = sync_channel(capacity.max(1));
        let dropped = Arc::<AtomicU64>::default();
        (Self { queue: sender, dropped: Arc::clone(&dropped) }, Observations { queue: receiver, dropped })
    }

    /// Leaves a note that `credential` was used; drops and counts it when the queue is full.
    pub fn password_used(&self, credential: CredentialId, at: Timestamp, address: IpAddr) {
        if self.queue.try_send(PasswordUse { credential, at, address }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Observations {
    /// Takes what is there now, oldest first, up to `most`.
    pub fn take(&self, most: usize) -> impl Iterator<Item = PasswordUse> {
        self.queue.try_iter().take(most)
    }

    /// How many observations found no room since this was asked last.
    pub fn dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::HashKey;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let (observed, received) = Observed::channel(2);
        let id = CredentialId::derive(&HashKey::from_bytes([0; 32]), "test", &[]);
        let address = IpAddr::from([192, 0, 2, 1]);
        let note = |second| observed.password_used(id, Timestamp::from_second(second).unwrap(), address);
        let take = |most| received.take(most).map(|one| one.at.as_second()).collect::<Vec<_>>();
        (0..5).for_each(note);
        assert_eq!((received.dropped(), received.dropped()), (3, 0));
        assert_eq!((take(1), take(10), take(10)), (vec![0], vec![1], vec![]));
        note(6);
        assert_eq!((received.dropped(), take(10)), (0, vec![6]));
        drop(received);
        note(7);
    }
}
