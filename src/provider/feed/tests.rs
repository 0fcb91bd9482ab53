use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::policy::credential::CredentialId;
use crate::policy::document::PolicyDocument;
use crate::provider::Described;
use crate::provider::testing::{change, changes, key, token};
use crate::secret::{EncryptionKey, HashKey, Secret};
use crate::store::{Change, KeyPurpose, LastUse, ObjectKey, Record, Revision, Write};

/// A store that answers as it is told, and counts how often it was asked.
#[derive(Debug)]
struct Scripted {
    state: Mutex<State>,
    hints: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    all: Vec<Change>,
    unreadable: Vec<Unreadable>,
    generation: u64,
    down: bool,
    asked: usize,
}

impl Scripted {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), hints: watch::Sender::new(0) })
    }

    fn write(&self, change: Change) {
        self.state.lock().unwrap().all.push(change);
    }

    fn hint(&self) {
        self.hints.send_modify(|count| *count += 1);
    }

    fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }
}

#[async_trait]
impl Store for Scripted {
    async fn changes(&self, since: Option<&Position>) -> Result<Changes, StoreError> {
        let mut state = self.state.lock().unwrap();
        state.asked += 1;
        if state.down {
            return Err(StoreError::Unavailable("it was told to be down".to_owned()));
        }
        let generation = state.generation.to_string();
        let known = since.filter(|since| since.generation == generation);
        let after = known.map_or(0, |since| since.revision.0);
        let revision = state.all.last().map_or(0, |last| last.revision.0);
        let new = state.all.iter().filter(|change| change.revision.0 > after).cloned().collect();
        let mut changes = changes(revision, known.is_none(), new);
        changes.position.generation = generation;
        changes.unreadable = state.unreadable.iter().filter(|one| one.revision.0 > after).cloned().collect();
        let last = state.unreadable.iter().map(|one| one.revision).max().unwrap_or_default();
        changes.position.revision = changes.position.revision.max(last);
        Ok(changes)
    }

    fn hints(&self) -> watch::Receiver<u64> {
        self.hints.subscribe()
    }

    async fn get(&self, _: &ObjectKey) -> Result<Option<Record>, StoreError> {
        unreachable!("a feed only follows")
    }

    async fn list(&self, _: &str, _: Kind, _: Option<&str>, _: u32) -> Result<Vec<Record>, StoreError> {
        unreachable!("a feed only follows")
    }

    async fn count(&self, _: &str, _: Kind) -> Result<u64, StoreError> {
        unreachable!("a feed only follows")
    }

    async fn write(&self, _: &[Write], _: Timestamp) -> Result<Revision, StoreError> {
        unreachable!("a feed only follows")
    }

    async fn note_uses(&self, _: &[LastUse]) -> Result<(), StoreError> {
        unreachable!("a feed only follows")
    }

    async fn last_uses(&self, _: &[CredentialId]) -> Result<Vec<LastUse>, StoreError> {
        unreachable!("a feed only follows")
    }
}

/// What was told, in order.
#[derive(Default)]
struct Heard {
    lines: Mutex<Vec<String>>,
    current: Arc<Current>,
}

impl Heard {
    fn say(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

impl FeedEvents for Heard {
    fn keys(&self, all: &[StoredKey]) {
        let ids: Vec<_> = all.iter().map(|key| key.id.as_str()).collect();
        let published = self.current.load().map_or(0, |policy| policy.stored_revision());
        self.say(format!("keys {ids:?} before revision {published} is followed"));
    }

    fn unreadable(&self, all: &[Unreadable]) {
        let names: Vec<_> = all.iter().map(|one| format!("{:?} {}", one.key.kind, one.key.name)).collect();
        self.say(format!("unreadable {names:?}"));
    }

    fn published(&self, applied: &Applied, delays: &[Duration]) {
        self.say(format!("published {:?} revision {} delays {delays:?}", applied.version, applied.revision));
    }

    fn store_state(&self, state: Result<(), &StoreError>) {
        if state.is_err() {
            self.say("lost".to_owned());
        }
    }
}

struct House {
    store: Arc<Scripted>,
    heard: Arc<Heard>,
    current: Arc<Current>,
    clock: Arc<ManualClock>,
}

impl House {
    fn new() -> (Self, Feed) {
        let (store, clock, current) = (Scripted::new(), Arc::new(ManualClock::at(100)), Arc::new(Current::new()));
        let read = || Ok(Described { document: PolicyDocument::default(), files: Vec::new() });
        let key = HashKey::from_bytes([0; 32]);
        let shared = || (Arc::clone(&current), Arc::clone(&clock) as Arc<dyn Clock>);
        let provider = Arc::new(PolicyProvider::new(Box::new(read), key, shared().0, shared().1));
        provider.reload().unwrap();
        let heard = Arc::new(Heard { current: Arc::clone(&current), ..Heard::default() });
        let events: Arc<dyn FeedEvents> = Arc::<Heard>::clone(&heard);
        let followed: Arc<dyn Store> = Arc::<Scripted>::clone(&store);
        let feed = Feed::new(followed, provider, events, shared().0, shared().1);
        (Self { store, heard, current, clock }, feed)
    }
}

fn token_write(revision: u64) -> Change {
    change(revision, key("myregistry", Kind::Token, "ci-push"), Some(Object::Token(token("team-a"))))
}

fn key_write(revision: u64, id: &str) -> Change {
    let sealed = EncryptionKey::of_secret(&Secret::new("test")).seal(&["key", id], &Secret::new("pem")).unwrap();
    let stored = StoredKey {
        id: id.to_owned(),
        purpose: KeyPurpose::Signing,
        algorithm: Some("ES256".to_owned()),
        creation_date: Timestamp::UNIX_EPOCH,
        active_from: Timestamp::UNIX_EPOCH,
        retires_at: None,
        sealed,
        certificate: None,
    };
    change(revision, key("", Kind::Key, id), Some(Object::Key(stored)))
}

fn unreadable(revision: u64, kind: Kind, name: &str) -> Unreadable {
    let registry = if kind == Kind::Key { "" } else { "myregistry" };
    Unreadable { key: key(registry, kind, name), revision: Revision(revision), reason: "damaged".to_owned() }
}

/// Polls patiently: other tests may have the processor.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn the_first_reading_has_everything_and_keys_come_before_the_policy() {
    let (house, mut feed) = House::new();
    house.store.write(key_write(1, "one"));
    house.store.write(token_write(2));
    feed.first().await.unwrap();
    let expected = ["keys [\"one\"] before revision 0 is followed", "published Some(2) revision 2 delays []"];
    assert_eq!(house.heard.taken(), expected);
    assert_eq!(house.current.confirmed(), Duration::from_secs(100));
    feed.first().await.unwrap();
    assert_eq!(house.heard.taken(), Vec::<String>::new(), "nothing is new");
}

#[tokio::test]
async fn changes_are_told_with_their_delays_and_keys_only_when_they_changed() {
    let (house, mut feed) = House::new();
    house.store.write(key_write(1, "one"));
    feed.first().await.unwrap();
    house.heard.taken();
    let mut late = token_write(2);
    late.written_at = Timestamp::from_second(98).unwrap();
    let mut ahead = token_write(3);
    ahead.written_at = Timestamp::from_second(105).unwrap();
    house.store.write(late);
    house.store.write(ahead);
    feed.first().await.unwrap();
    assert_eq!(house.heard.taken(), ["published Some(3) revision 3 delays [2s, 0ns]"]);
    house.store.write(key_write(4, "two"));
    house.store.write(change(5, key("", Kind::Key, "one"), None));
    feed.first().await.unwrap();
    assert_eq!(house.heard.taken()[0], "keys [\"two\"] before revision 3 is followed");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_once_and_keeps_nothing_else_back() {
    let (house, mut feed) = House::new();
    house.store.write(key_write(1, "one"));
    house.store.write(key_write(2, "two"));
    feed.first().await.unwrap();
    house.heard.taken();
    house.store.write(token_write(3));
    let damaged = vec![unreadable(4, Kind::Registry, ""), unreadable(5, Kind::Key, "one")];
    house.store.state.lock().unwrap().unreadable = damaged;
    feed.first().await.unwrap();
    let expected = [
        "keys [\"two\"] before revision 2 is followed",
        "unreadable [\"Key one\", \"Registry \"]",
        "published Some(3) revision 5 delays [100s]",
    ];
    assert_eq!(house.heard.taken(), expected);
    feed.first().await.unwrap();
    assert_eq!(house.heard.taken(), Vec::<String>::new(), "told once");
    house.store.write(key_write(6, "one"));
    feed.first().await.unwrap();
    let expected = ["keys [\"one\", \"two\"] before revision 5 is followed", "unreadable [\"Registry \"]"];
    assert_eq!(house.heard.taken()[..2], expected);
}

#[tokio::test]
async fn another_generation_is_read_anew() {
    let (house, mut feed) = House::new();
    house.store.write(key_write(7, "one"));
    feed.first().await.unwrap();
    house.heard.taken();
    *house.store.state.lock().unwrap() =
        State { generation: 1, all: vec![key_write(3, "restored")], ..State::default() };
    feed.first().await.unwrap();
    let expected = ["keys [\"restored\"] before revision 7 is followed", "published Some(3) revision 3 delays []"];
    assert_eq!(house.heard.taken(), expected);
    assert_eq!(house.current.load().unwrap().stored_revision(), 3);
}

#[tokio::test]
async fn a_hint_is_followed_at_once_and_without_one_the_store_is_asked_all_the_same() {
    let (house, feed) = House::new();
    let following = tokio::spawn(feed.follow(Duration::from_hours(1)));
    eventually("the first reading", || house.store.asked() == 1).await;
    house.store.write(token_write(1));
    house.store.hint();
    tokio::time::timeout(Duration::from_secs(5), house.current.holds(1)).await.unwrap();
    assert_eq!(house.store.asked(), 2);
    following.abort();

    let (house, feed) = House::new();
    let following = tokio::spawn(feed.follow(Duration::from_millis(5)));
    eventually("the first reading", || house.store.asked() >= 1).await;
    house.store.write(token_write(1));
    tokio::time::timeout(Duration::from_secs(5), house.current.holds(1)).await.unwrap();
    following.abort();
}

/// The store comes back by itself, and in between nothing is confirmed.
#[tokio::test]
async fn an_outage_ends_nothing() {
    let (house, mut feed) = House::new();
    feed.first().await.unwrap();
    let confirmed = house.current.confirmed();
    house.clock.advance(60);
    house.store.state.lock().unwrap().down = true;
    assert!(feed.first().await.is_err());
    assert_eq!(house.current.confirmed(), confirmed);
    let following = tokio::spawn(feed.follow(Duration::from_millis(5)));
    eventually("it is asked again", || house.store.asked() > 3).await;
    assert!(house.heard.taken().contains(&"lost".to_owned()));
    assert!(house.current.load().is_some(), "the last policy stays");
    house.store.state.lock().unwrap().down = false;
    house.store.write(token_write(1));
    tokio::time::timeout(Duration::from_secs(5), house.current.holds(1)).await.unwrap();
    eventually("it is confirmed", || house.current.confirmed() > confirmed).await;
    following.abort();
}
