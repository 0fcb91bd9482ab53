//! What traffic teaches and others should know: bounded queues that requests never wait for.
//!
//! The queues are allocated once, and nobody is woken by what is left in them: leaving a note costs a request some tens of
//! nanoseconds. Whoever keeps the notes comes by now and then. There is one queue for each kind, so that strangers who
//! flood one do not crowd out the other.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::clock::Timestamp;
use crate::policy::credential::CredentialId;
use crate::policy::network::EndpointMark;

/// A password, or what it obtained, was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordUse {
    pub credential: CredentialId,
    pub at: Timestamp,
    pub address: IpAddr,
}

/// A registry was asked for through a private endpoint that no connection of it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownEndpoint {
    pub registry: Arc<str>,
    pub mark: EndpointMark,
}

/// How many sightings of unknown endpoints fit into their queue. What finds no room comes again with the next request.
const ENDPOINTS: usize = 1_024;

/// Where requests leave what they observed. Clones share the queues.
#[derive(Debug, Clone)]
pub struct Observed {
    queue: SyncSender<PasswordUse>,
    dropped: Arc<AtomicU64>,
    endpoints: SyncSender<UnknownEndpoint>,
}

/// The other end of the queues.
#[derive(Debug)]
pub struct Observations {
    queue: Receiver<PasswordUse>,
    dropped: Arc<AtomicU64>,
    endpoints: Receiver<UnknownEndpoint>,
}

impl Observed {
    /// A queue for `capacity` uses of passwords, and one for endpoints.
    pub fn channel(capacity: usize) -> (Self, Observations) {
        // Without room for one, `try_send` would wait for a receiver that is waiting.
        let (sender, receiver) = sync_channel(capacity.max(1));
        let dropped = Arc::<AtomicU64>::default();
        let (endpoints, unknown) = sync_channel(ENDPOINTS);
        let observed = Self { queue: sender, dropped: Arc::clone(&dropped), endpoints };
        (observed, Observations { queue: receiver, dropped, endpoints: unknown })
    }

    /// Leaves a note that `credential` was used; drops and counts it when the queue is full.
    pub fn password_used(&self, credential: CredentialId, at: Timestamp, address: IpAddr) {
        if self.queue.try_send(PasswordUse { credential, at, address }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Leaves a note that `registry` refused the endpoint with this mark because it does not know it; drops it when the
    /// queue is full.
    pub fn endpoint_unknown(&self, registry: &Arc<str>, mark: &EndpointMark) {
        // Full, or nobody is left to read it: neither is the request's business.
        let _ = self.endpoints.try_send(UnknownEndpoint { registry: Arc::clone(registry), mark: mark.clone() });
    }
}

impl Observations {
    /// Takes the uses that are there now, oldest first, up to `most`.
    pub fn take(&self, most: usize) -> impl Iterator<Item = PasswordUse> {
        self.queue.try_iter().take(most)
    }

    /// Takes the sightings of unknown endpoints that are there now, oldest first.
    pub fn take_endpoints(&self) -> impl Iterator<Item = UnknownEndpoint> {
        self.endpoints.try_iter().take(ENDPOINTS)
    }

    /// How many uses found no room since this was asked last.
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

    #[test]
    fn a_flood_of_unknown_endpoints_is_bounded_and_leaves_room_for_passwords() {
        let (observed, received) = Observed::channel(1);
        let registry: Arc<str> = "myregistry".into();
        for id in 0..5_000 {
            observed.endpoint_unknown(&registry, &EndpointMark::LinkId(id));
        }
        let id = CredentialId::derive(&HashKey::from_bytes([0; 32]), "test", &[]);
        observed.password_used(id, Timestamp::from_second(1).unwrap(), IpAddr::from([192, 0, 2, 1]));
        assert_eq!((received.take(10).count(), received.dropped()), (1, 0));
        let endpoints: Vec<_> = received.take_endpoints().collect();
        assert_eq!(endpoints.len(), ENDPOINTS);
        assert_eq!(endpoints[7], UnknownEndpoint { registry, mark: EndpointMark::LinkId(7) });
        assert_eq!(received.take_endpoints().count(), 0);
        drop(received);
        observed.endpoint_unknown(&"other".into(), &EndpointMark::LinkId(1));
    }
}
