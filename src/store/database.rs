//! The store in a database: the same statements for SQLite and for PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::rows::{News, State, integer, key_values, last_use, news, only, placeholders, record};
use super::session::{Pool, Session, Value};
use super::writing::{self, CHUNK};
use super::{
    Changes, Kind, LastUse, ObjectKey, Position, Record, Revision, Settings, Store, StoreError, StoreUrl, Write, pages,
    postgres, schema, sqlite,
};
use crate::clock::Timestamp;
use crate::policy::credential::CredentialId;

/// Between two attempts to open a store that cannot be reached.
const PAUSE: Duration = Duration::from_millis(250);

const OBJECT: &str = "SELECT registry, kind, name, body, revision, written_at FROM seawall_objects
    WHERE registry = $1 AND kind = $2 AND name = $3 AND body IS NOT NULL";
const LIST: &str = "SELECT registry, kind, name, body, revision, written_at FROM seawall_objects
    WHERE registry = $1 AND kind = $2 AND name >= COALESCE($3, '') AND name IS DISTINCT FROM $3 AND body IS NOT NULL
    ORDER BY name LIMIT $4";
const COUNT: &str = "SELECT COUNT(*) FROM seawall_objects WHERE registry = $1 AND kind = $2 AND body IS NOT NULL";
const USES: &str = "SELECT credential, used_at, address FROM seawall_last_uses";

/// A store in SQLite or PostgreSQL; [`open`] makes it.
#[derive(Debug)]
pub struct Database {
    pub(super) pool: Pool,
    ticks: watch::Sender<u64>,
    /// Listens for the writes of other replicas.
    listener: Option<AbortHandle>,
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

/// Opens the store, and makes or completes its tables.
///
/// A store that cannot be reached is tried again until [`Settings::patience`] is over. The runtime that this is called on
/// carries the store's connections.
///
/// # Errors
/// Those of the last attempt.
pub async fn open(settings: &Settings) -> Result<Arc<Database>, StoreError> {
    let deadline = Instant::now() + settings.patience;
    loop {
        match open_at_once(settings).await {
            Err(StoreError::Unavailable(reason)) if Instant::now() < deadline => {
                tracing::debug!(reason, "the store is not there yet");
                tokio::time::sleep(PAUSE).await;
            }
            other => return other.map(Arc::new),
        }
    }
}

async fn open_at_once(settings: &Settings) -> Result<Database, StoreError> {
    let (ticks, _) = watch::channel(0);
    let (pool, options) = match &settings.url {
        StoreUrl::Sqlite(path) => (sqlite::pool(path)?, None),
        StoreUrl::Postgres(url) => {
            let options = postgres::options(url, settings)?;
            (postgres::pool(&options).await?, Some(options))
        }
    };
    schema::migrate(&pool, &new_generation()).await?;
    let listener = options.map(|options| tokio::spawn(postgres::listen(options, ticks.clone())).abort_handle());
    Ok(Database { pool, ticks, listener })
}

pub(super) fn new_generation() -> String {
    Uuid::new_v4().to_string()
}

#[async_trait]
impl Store for Database {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Record>, StoreError> {
        if is_impossible(&key.registry) || is_impossible(&key.name) {
            return Ok(None);
        }
        let rows = self.pool.reading().await?.fetch(OBJECT, &key_values(key)).await?;
        rows.first().map(record).transpose()
    }

    async fn list(
        &self,
        registry: &str,
        kind: Kind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        if is_impossible(registry) || after.is_some_and(is_impossible) {
            return Ok(Vec::new());
        }
        let mut session = self.pool.reading().await?;
        let (mut found, mut after) = (Vec::new(), after.map(str::to_owned));
        loop {
            let missing = limit as usize - found.len();
            let last = after.as_deref().map_or(Value::Null, Value::Text);
            let values = [Value::Text(registry), Value::Text(kind.word()), last, integer(missing as u64)?];
            let rows = session.fetch(LIST, &values).await?;
            // What cannot be read was told by `changes`.
            found.extend(rows.iter().filter_map(|row| record(row).ok()));
            match rows.last() {
                Some(row) if rows.len() == missing && found.len() < limit as usize => {
                    after = Some(row.text(2)?.to_owned());
                }
                _ => return Ok(found),
            }
        }
    }

    async fn count(&self, registry: &str, kind: Kind) -> Result<u64, StoreError> {
        if is_impossible(registry) {
            return Ok(0);
        }
        let values = [Value::Text(registry), Value::Text(kind.word())];
        only(&self.pool.reading().await?.fetch(COUNT, &values).await?)?.natural(0)
    }

    async fn write(&self, batch: &[Write], now: Timestamp) -> Result<Revision, StoreError> {
        batch.iter().try_for_each(writing::check)?;
        if batch.is_empty() {
            return Ok(State::read(&mut self.pool.reading().await?).await?.revision);
        }
        let mut session = self.pool.writing().await?;
        let revision = match writing::apply(&mut session, batch, now).await {
            Ok(revision) => revision,
            Err(error @ StoreError::Conflict { .. }) => {
                session.roll_back().await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        self.commit(session).await?;
        Ok(revision)
    }

    async fn changes(&self, since: Option<&Position>) -> Result<Changes, StoreError> {
        let (mut session, connection) = self.pool.following().await?;
        // Nearly always there is nothing new: one statement tells.
        if let Some(since) = since {
            let position = State::read(&mut session).await?.position(connection);
            if position == *since {
                return Ok(Changes::none(position));
            }
        }
        session.begin_snapshot().await?;
        let state = State::read(&mut session).await?;
        let known = since.filter(|since| state.remembers(since, connection));
        let read = pages::records(&mut session, known.map(|since| since.revision), news).await?;
        session.commit().await?;
        let (mut changes, mut unreadable) = (Vec::new(), Vec::new());
        for news in read.into_iter().flatten() {
            match news {
                News::Change(change) => changes.push(*change),
                News::Unreadable(one) => unreadable.push(one),
            }
        }
        Ok(Changes { position: state.position(connection), everything: known.is_none(), changes, unreadable })
    }

    fn hints(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }

    async fn note_uses(&self, uses: &[LastUse]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let mut session = self.pool.writing().await?;
        writing::note_uses(&mut session, uses).await?;
        session.commit().await
    }

    async fn last_uses(&self, credentials: &[CredentialId]) -> Result<Vec<LastUse>, StoreError> {
        let mut found = Vec::new();
        let mut session = self.pool.reading().await?;
        for some in credentials.chunks(CHUNK) {
            let ids: Vec<String> = some.iter().map(ToString::to_string).collect();
            let values: Vec<Value<'_>> = ids.iter().map(|id| Value::Text(id)).collect();
            let sql = format!("{USES} WHERE credential IN {}", placeholders(1, ids.len()));
            let rows = session.fetch(AssertSqlSafe(sql), &values).await?;
            found.extend(rows.iter().map(last_use).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }
}

/// No record has such a name: PostgreSQL knows no text with it.
pub(super) fn is_impossible(name: &str) -> bool {
    name.contains('\0')
}

impl Database {
    /// Commits, and lets readers of this process and of others know.
    pub(super) async fn commit(&self, mut session: Session) -> Result<(), StoreError> {
        if session.is_postgres() {
            session.run(postgres::NOTIFY, &[]).await?;
        }
        session.commit().await?;
        self.ticks.send_modify(|ticks| *ticks += 1);
        Ok(())
    }
}
