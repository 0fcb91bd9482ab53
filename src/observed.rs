//! What traffic teaches and others should know: bounded notes that requests never wait for.
//!
//! Nobody is woken by what is noted: that costs a request some tens of nanoseconds. Whoever keeps the notes comes by now and then.
//! Uses of passwords and sightings of endpoints have places of their own, so that strangers who flood one do not crowd out the other.

use std::cell::Cell;
use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

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

/// How many places there are for uses of passwords: threads that have one each do not wait for each other.
pub const PLACES: usize = 8;

/// Where requests leave what they observed. Clones share the notes.
#[derive(Debug, Clone)]
pub struct Observed {
    uses: Arc<Uses>,
    endpoints: SyncSender<UnknownEndpoint>,
}

/// Who reads the notes.
#[derive(Debug)]
pub struct Observations {
    uses: Arc<Uses>,
    endpoints: Receiver<UnknownEndpoint>,
}

/// The uses of passwords since they were taken: of each credential, the latest.
#[derive(Debug)]
struct Uses {
    places: [Mutex<HashMap<CredentialId, PasswordUse>>; PLACES],
    /// Of credentials, in each place.
    capacity: usize,
    dropped: AtomicU64,
}

/// The place of this thread.
fn place() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % PLACES);
    }
    PLACE.get()
}

impl Observed {
    /// Notes of uses, of `capacity` credentials for each place, and of endpoints.
    pub fn channel(capacity: usize) -> (Self, Observations) {
        let uses = Arc::new(Uses { places: Default::default(), capacity, dropped: AtomicU64::default() });
        let (endpoints, unknown) = sync_channel(ENDPOINTS);
        let observed = Self { uses: Arc::clone(&uses), endpoints };
        (observed, Observations { uses, endpoints: unknown })
    }

    /// Leaves a note that `credential` was used; drops and counts it when there is no room for one more credential.
    pub fn password_used(&self, credential: CredentialId, at: Timestamp, address: IpAddr) {
        let Uses { places, capacity, dropped } = &*self.uses;
        let Some(place) = places.get(place()) else { return };
        let mut noted = place.lock().unwrap_or_else(PoisonError::into_inner);
        let this = PasswordUse { credential, at, address };
        if let Some(known) = noted.get_mut(&credential) {
            if known.at <= at {
                *known = this;
            }
        } else if noted.len() < *capacity {
            noted.insert(credential, this);
        } else {
            dropped.fetch_add(1, Ordering::Relaxed);
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
    /// Takes the uses that are noted now.
    pub fn take(&self) -> impl Iterator<Item = PasswordUse> {
        self.uses.places.iter().flat_map(|place| {
            let noted = mem::take(&mut *place.lock().unwrap_or_else(PoisonError::into_inner));
            noted.into_values()
        })
    }

    /// Takes the sightings of unknown endpoints that are there now, oldest first.
    pub fn take_endpoints(&self) -> impl Iterator<Item = UnknownEndpoint> {
        self.endpoints.try_iter().take(ENDPOINTS)
    }

    /// How many uses found no room since this was asked last.
    pub fn dropped(&self) -> u64 {
        self.uses.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::HashKey;

    fn id(number: u8) -> CredentialId {
        CredentialId::derive(&HashKey::from_bytes([0; 32]), "test", &[&[number]])
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn of_each_credential_the_latest_use_is_kept_and_what_finds_no_room_is_counted() {
        let (observed, received) = Observed::channel(2);
        let note = |number, second| observed.password_used(id(number), at(second), IpAddr::from([192, 0, 2, number]));
        let take = || {
            let mut taken: Vec<_> = received.take().collect();
            taken.sort_by_key(|one| one.at);
            taken.into_iter().map(|one| (one.credential, one.at, one.address)).collect::<Vec<_>>()
        };
        let expected = |number, second| (id(number), at(second), IpAddr::from([192, 0, 2, number]));
        for (number, second) in [(1, 3), (2, 4), (1, 9), (1, 5), (3, 6), (3, 7), (2, 8)] {
            note(number, second);
        }
        assert_eq!((received.dropped(), received.dropped()), (2, 0));
        assert_eq!((take(), take()), (vec![expected(2, 8), expected(1, 9)], vec![]));
        note(3, 1);
        assert_eq!((received.dropped(), take()), (0, vec![expected(3, 1)]));
        drop(received);
        note(1, 7);
    }

    #[test]
    fn every_thread_is_heard() {
        let (observed, received) = Observed::channel(100);
        std::thread::scope(|scope| {
            for number in 0..50 {
                let observed = &observed;
                scope.spawn(move || observed.password_used(id(number), at(1), IpAddr::from([192, 0, 2, 1])));
            }
        });
        assert_eq!((received.take().count(), received.dropped()), (50, 0));
    }

    #[test]
    fn a_flood_of_unknown_endpoints_is_bounded_and_leaves_room_for_passwords() {
        let (observed, received) = Observed::channel(1);
        let registry: Arc<str> = "myregistry".into();
        for id in 0..5_000 {
            observed.endpoint_unknown(&registry, &EndpointMark::LinkId(id));
        }
        observed.password_used(id(1), at(1), IpAddr::from([192, 0, 2, 1]));
        assert_eq!((received.take().count(), received.dropped()), (1, 0));
        let endpoints: Vec<_> = received.take_endpoints().collect();
        assert_eq!(endpoints.len(), ENDPOINTS);
        assert_eq!(endpoints[7], UnknownEndpoint { registry, mark: EndpointMark::LinkId(7) });
        assert_eq!(received.take_endpoints().count(), 0);
        drop(received);
        observed.endpoint_unknown(&"other".into(), &EndpointMark::LinkId(1));
    }
}
