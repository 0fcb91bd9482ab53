use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use seawall::clock::Timestamp;
use seawall::policy::credential::CredentialId;
use seawall::store::{Changes, Kind, LastUse, ObjectKey, Position, Record, Revision, Store, StoreError, Write};
use serde_json::json;
use tokio::sync::watch;

use super::desk::{Desk, REGISTRY, scope_map, token};

/// A store that can be told to fail.
#[derive(Debug)]
pub(crate) struct Moody {
    inner: Arc<dyn Store>,
    /// How many of the next calls find it gone.
    gone: AtomicUsize,
    /// How many of the next writes find it gone.
    writes_lost: AtomicUsize,
    /// How many of the next writes come too late.
    conflicts: AtomicUsize,
    /// How many of the next reads find a damaged record.
    unreadable: AtomicUsize,
    /// How many of the next reads of last uses find it gone.
    reads_of_uses_lost: AtomicUsize,
    /// How many of the next writes take their time.
    pub(crate) slow: AtomicUsize,
}

impl Moody {
    pub(crate) fn over(inner: Arc<dyn Store>) -> Self {
        let none = || AtomicUsize::new(0);
        Self {
            inner,
            gone: none(),
            writes_lost: none(),
            conflicts: none(),
            unreadable: none(),
            reads_of_uses_lost: none(),
            slow: none(),
        }
    }

    fn answers(&self) -> Result<(), StoreError> {
        if one_less(&self.gone) { Err(StoreError::Unavailable("10.0.0.5:5432 is gone".to_owned())) } else { Ok(()) }
    }
}

fn one_less(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Store for Moody {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Record>, StoreError> {
        self.answers()?;
        if one_less(&self.unreadable) {
            return Err(StoreError::Unusable("the record is damaged".to_owned()));
        }
        self.inner.get(key).await
    }

    async fn list(
        &self,
        registry: &str,
        kind: Kind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        self.answers()?;
        self.inner.list(registry, kind, after, limit).await
    }

    async fn count(&self, registry: &str, kind: Kind) -> Result<u64, StoreError> {
        self.answers()?;
        self.inner.count(registry, kind).await
    }

    async fn write(&self, batch: &[Write], now: Timestamp) -> Result<Revision, StoreError> {
        self.answers()?;
        if one_less(&self.writes_lost) {
            return Err(StoreError::Unavailable("the connection broke".to_owned()));
        }
        if one_less(&self.conflicts) {
            return Err(StoreError::Conflict { key: batch[0].key.clone(), found: None });
        }
        if one_less(&self.slow) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.inner.write(batch, now).await
    }

    async fn changes(&self, since: Option<&Position>) -> Result<Changes, StoreError> {
        self.inner.changes(since).await
    }

    fn hints(&self) -> watch::Receiver<u64> {
        self.inner.hints()
    }

    async fn note_uses(&self, uses: &[LastUse]) -> Result<(), StoreError> {
        self.inner.note_uses(uses).await
    }

    async fn last_uses(&self, credentials: &[CredentialId]) -> Result<Vec<LastUse>, StoreError> {
        self.answers()?;
        if one_less(&self.reads_of_uses_lost) {
            return Err(StoreError::Unavailable("the connection broke".to_owned()));
        }
        self.inner.last_uses(credentials).await
    }
}

#[tokio::test]
async fn without_the_store_reads_and_writes_are_503_and_say_nothing_of_it() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    desk.store.gone.store(usize::MAX, Ordering::SeqCst);
    for answer in [
        desk.get(&token("MyToken")).await,
        desk.get(&format!("{REGISTRY}/tokens")).await,
        desk.get("/seawall/v1/keys").await,
        desk.patch(&token("MyToken"), json!({ "status": "disabled" })).await,
        desk.post("/seawall/v1/keys/signing/rotate", json!({})).await,
    ] {
        assert_eq!(answer.headers["retry-after"], "1");
        let (message, _) = answer.refused(503, "ServiceUnavailable");
        assert!(!message.contains("10.0.0.5"), "{message}");
    }
    desk.store.gone.store(0, Ordering::SeqCst);
    desk.get(&token("MyToken")).await.expect(200);
}

#[tokio::test]
async fn a_lost_write_says_that_nobody_knows() {
    let desk = Desk::start().await;
    desk.store.writes_lost.store(1, Ordering::SeqCst);
    let answer = desk.put(&scope_map("MyScopeMap"), json!({ "actions": [] })).await;
    let (message, _) = answer.refused(503, "ServiceUnavailable");
    assert!(message.contains("it is not known whether the change was made"), "{message}");
}

/// Whoever has committed a change leaves a record of it, whether he waits for the answer or not.
#[tokio::test]
async fn a_change_whose_client_went_away_is_whole_and_on_record() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    desk.store.slow.store(1, Ordering::SeqCst);
    let path = token("MyToken");
    assert!(tokio::time::timeout(Duration::from_millis(50), desk.delete(&path)).await.is_err(), "it does not wait");
    while desk.principal("MyToken").is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let records = desk.records();
    let deletion = records.iter().find(|record| record["operation"] == "tokens/delete").unwrap();
    assert_eq!((&deletion["status"], &deletion["changes"][0]), (&json!(200), &json!("deleted")), "{deletion}");
}

#[tokio::test]
async fn what_was_written_is_answered_although_the_store_has_gone_since() {
    let desk = Desk::start().await;
    desk.patch(REGISTRY, json!({ "adminUserEnabled": true })).await.expect(200);
    desk.store.reads_of_uses_lost.store(1, Ordering::SeqCst);
    desk.post(&format!("{REGISTRY}/regenerateCredential"), json!({ "name": "password" })).await.expect(200);
}

#[tokio::test]
async fn what_nobody_can_read_can_be_deleted() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    desk.store.unreadable.store(1, Ordering::SeqCst);
    desk.get(&token("MyToken")).await.expect(500);
    desk.store.unreadable.store(1, Ordering::SeqCst);
    desk.delete(&token("MyToken")).await.expect(200);
    assert!(desk.principal("MyToken").is_none());
}

#[tokio::test]
async fn a_change_begins_anew_when_others_were_faster() {
    let desk = Desk::start().await;
    let actions = json!({ "actions": [] });
    desk.store.conflicts.store(4, Ordering::SeqCst);
    desk.put(&scope_map("MyScopeMap"), actions.clone()).await.expect(201);
    desk.store.conflicts.store(5, Ordering::SeqCst);
    desk.put(&scope_map("Another"), actions).await.refused(409, "Conflict");
}
