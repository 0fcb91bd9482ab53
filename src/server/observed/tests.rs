use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::observed::Observed;
use crate::secret::HashKey;
use crate::store::{self, Changes, Kind, ObjectKey, Position, Record, Revision, Settings, StoreError, StoreUrl, Write};

/// Takes uses, unless it is away.
#[derive(Debug, Default)]
struct Uses {
    away: AtomicBool,
    noted: Mutex<Vec<LastUse>>,
}

/// Nothing but uses is kept here, and nobody asks for more.
fn only_noted() -> StoreError {
    StoreError::Unavailable("only uses are noted".to_owned())
}

#[async_trait]
impl Store for Uses {
    async fn note_uses(&self, uses: &[LastUse]) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it is away".to_owned()));
        }
        self.noted.lock().unwrap().extend(uses);
        Ok(())
    }

    async fn get(&self, _: &ObjectKey) -> Result<Option<Record>, StoreError> {
        Err(only_noted())
    }

    async fn list(&self, _: &str, _: Kind, _: Option<&str>, _: u32) -> Result<Vec<Record>, StoreError> {
        Err(only_noted())
    }

    async fn count(&self, _: &str, _: Kind) -> Result<u64, StoreError> {
        Err(only_noted())
    }

    async fn write(&self, _: &[Write], _: Timestamp) -> Result<Revision, StoreError> {
        Err(only_noted())
    }

    async fn changes(&self, _: Option<&Position>) -> Result<Changes, StoreError> {
        Err(only_noted())
    }

    fn hints(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    async fn last_uses(&self, _: &[CredentialId]) -> Result<Vec<LastUse>, StoreError> {
        Err(only_noted())
    }
}

fn id(number: u64) -> CredentialId {
    CredentialId::derive(&HashKey::from_bytes([0; 32]), "test", &[&number.to_be_bytes()])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// Where there is no policy that could say which endpoints are known.
fn uses_of<S: Store + 'static>(observations: Observations, store: &Arc<S>, metrics: &Arc<Metrics>) -> LastUses {
    let store = Arc::clone(store) as Arc<dyn Store>;
    let pending = PendingEndpoints::new(Arc::clone(&store), Arc::default(), Arc::new(ManualClock::at(0)));
    LastUses::new(observations, store, Arc::clone(metrics), pending)
}

/// Uses of ten credentials may be noted, and two may wait.
fn small() -> (Arc<Uses>, Observed, LastUses, Arc<Metrics>) {
    let store = Arc::new(Uses::default());
    let (observed, observations) = Observed::channel(10);
    let metrics = Arc::new(Metrics::new().unwrap());
    let uses = LastUses { most: 2, ..uses_of(observations, &store, &metrics) };
    (store, observed, uses, metrics)
}

async fn write(uses: &mut LastUses) {
    let left = end_of(&mut uses.write()).await;
    uses.written(left);
}

fn dropped(metrics: &Metrics) -> u64 {
    let text = metrics.render().unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix("seawall_observations_dropped_total "));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn of_each_credential_the_latest_use_is_written_once() {
    let (store, observed, mut uses, metrics) = small();
    for (credential, second, from) in [(1, 5, 1), (1, 9, 2), (2, 3, 3), (1, 7, 4)] {
        observed.password_used(id(credential), at(second), address(from));
    }
    uses.take();
    write(&mut uses).await;
    let mut noted = store.noted.lock().unwrap().clone();
    noted.sort_by_key(|one| one.at);
    let expected = [(2, 3, 3), (1, 9, 2)].map(|(credential, second, from)| LastUse {
        credential: id(credential),
        at: at(second),
        address: address(from),
    });
    assert_eq!(noted, expected);
    uses.take();
    assert!(uses.write().is_none(), "nothing is left to write");
    assert_eq!(dropped(&metrics), 0);
}

#[tokio::test]
async fn an_outage_loses_nothing_as_long_as_there_is_room() {
    let (store, observed, mut uses, metrics) = small();
    store.away.store(true, Ordering::SeqCst);
    for second in 1..=3 {
        observed.password_used(id(1), at(second), address(1));
        observed.password_used(id(2), at(second), address(1));
        uses.take();
        write(&mut uses).await;
    }
    // Meanwhile a use later than that of the failed attempt.
    let failed = uses.write();
    observed.password_used(id(1), at(8), address(2));
    uses.take();
    let left = end_of(&mut { failed }).await;
    uses.written(left);
    assert_eq!(dropped(&metrics), 0);
    // Two credentials may wait, and ten be noted.
    observed.password_used(id(3), at(9), address(1));
    uses.take();
    assert_eq!(dropped(&metrics), 1);
    (0..15).for_each(|_| observed.password_used(id(2), at(4), address(1)));
    uses.take();
    assert_eq!(dropped(&metrics), 1);
    (10..25).for_each(|number| observed.password_used(id(number), at(4), address(1)));
    uses.take();
    assert_eq!(dropped(&metrics), 1 + 15, "five that found no place, and ten that may not wait");

    store.away.store(false, Ordering::SeqCst);
    write(&mut uses).await;
    let mut noted: Vec<_> = store.noted.lock().unwrap().iter().map(|one| (one.credential, one.at)).collect();
    noted.sort_by_key(|one| one.1);
    assert_eq!(noted, [(id(2), at(4)), (id(1), at(8))]);
}

#[tokio::test]
async fn what_is_known_at_the_end_is_written() {
    let folder = TempDir::new().unwrap();
    let store = store::open(&Settings::at(StoreUrl::Sqlite(folder.path().join("seawall.db")))).await.unwrap();
    let (observed, observations) = Observed::channel(NOTED);
    let metrics = Arc::new(Metrics::new().unwrap());
    let uses = uses_of(observations, &store, &metrics);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(uses.run(async {
        let _ = stopped.await;
    }));
    for number in 0..3_000 {
        observed.password_used(id(number), at(7), address(1));
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    let known = store.last_uses(&[id(0), id(2_999), id(3_000)]).await.unwrap();
    assert_eq!(known.len(), 2);
    assert!(known.iter().all(|one| one.at == at(7) && one.address == address(1)));
    assert_eq!(dropped(&metrics), 0);
}

#[tokio::test]
async fn what_the_end_cannot_write_is_counted() {
    let (store, observed, uses, metrics) = small();
    store.away.store(true, Ordering::SeqCst);
    observed.password_used(id(1), at(1), address(1));
    uses.run(async {}).await;
    assert_eq!(dropped(&metrics), 1);
}
