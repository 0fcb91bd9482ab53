//! One connection to either database. What is said to it is said once, in SQL that both understand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{ColumnIndex, Decode, Encode, PgPool, Postgres, SqlSafeStr, Sqlite, SqlitePool, Type, TypeInfo, ValueRef};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::{StoreError, postgres, sqlite};

/// A PostgreSQL server that has not answered a statement by then is not there. It gives up on its own a little earlier.
const ANSWER: Duration = Duration::from_secs(5);

/// Something that a statement is about, in place of `$1` and so on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Integer(i64),
    Null,
}

/// What a statement found, column by column.
#[derive(Debug)]
pub(super) struct Row(Vec<Cell>);

#[derive(Debug)]
enum Cell {
    Text(String),
    Integer(i64),
    Null,
    /// Such as text that is not UTF-8. Only whoever needs this column fails.
    Unreadable(String),
}

impl Row {
    pub(super) fn integer(&self, column: usize) -> Result<i64, StoreError> {
        match self.0.get(column) {
            Some(Cell::Integer(integer)) => Ok(*integer),
            _ => Err(unexpected(column)),
        }
    }

    /// A count, a revision or a time after 1970.
    pub(super) fn natural(&self, column: usize) -> Result<u64, StoreError> {
        u64::try_from(self.integer(column)?).map_err(|_| unexpected(column))
    }

    pub(super) fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.optional_text(column)?.ok_or_else(|| unexpected(column))
    }

    pub(super) fn optional_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Unreadable(reason)) => Err(StoreError::Unusable(reason.clone())),
            _ => Err(unexpected(column)),
        }
    }
}

fn unexpected(column: usize) -> StoreError {
    StoreError::Unusable(format!("a table has something else than expected in column {column} of an answer"))
}

/// The connections to one database.
#[derive(Debug)]
pub(super) enum Pool {
    Sqlite {
        connections: SqlitePool,
        /// Writers of this process take turns here, so that none starves while SQLite lets them try again and again.
        writer: Arc<Mutex<()>>,
    },
    Postgres {
        connections: PgPool,
        /// One connection, on which all that is followed is read, so that its end shows.
        follower: PgPool,
        /// How many connections that pool has made.
        made: Arc<AtomicU64>,
    },
}

impl Pool {
    /// For single statements that change nothing.
    pub(super) async fn reading(&self) -> Result<Session, StoreError> {
        let connection = match self {
            Self::Sqlite { connections, .. } => {
                Connection::Sqlite(connections.acquire().await.map_err(|error| sqlite_failed(&error))?)
            }
            Self::Postgres { connections, .. } => {
                Connection::Postgres(connections.acquire().await.map_err(|error| postgres_failed(&error))?)
            }
        };
        Ok(Session { connection, open: false, turn: None })
    }

    /// For reading what is followed; and the number of the connection, which is always the same for a file. Whoever waits
    /// for another reader waits no longer than for a connection.
    pub(super) async fn following(&self) -> Result<(Session, u64), StoreError> {
        match self {
            Self::Sqlite { .. } => Ok((self.reading().await?, 0)),
            Self::Postgres { follower, made, .. } => {
                let connection = follower.acquire().await.map_err(|error| postgres_failed(&error))?;
                let session = Session { connection: Connection::Postgres(connection), open: false, turn: None };
                // We have the only one, so none is being made.
                Ok((session, made.load(Ordering::Acquire)))
            }
        }
    }

    /// For several statements that read one moment's state.
    pub(super) async fn snapshot(&self) -> Result<Session, StoreError> {
        let mut session = self.reading().await?;
        session.begin_snapshot().await?;
        Ok(session)
    }

    /// For statements that are all done, at [`Session::commit`], or none of them.
    pub(super) async fn writing(&self) -> Result<Session, StoreError> {
        let (begin, turn) = match self {
            Self::Sqlite { writer, .. } => ("BEGIN IMMEDIATE", Some(writer.clone().lock_owned().await)),
            Self::Postgres { .. } => ("BEGIN", None),
        };
        let mut session = self.reading().await?;
        session.turn = turn;
        session.begin(begin).await?;
        Ok(session)
    }
}

/// A connection in use.
///
/// Dropping it within a transaction, or while a statement runs, closes it, which undoes what it began. So it does not
/// matter where a caller stops waiting.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    /// A transaction or a statement is under way, or has failed.
    open: bool,
    turn: Option<OwnedMutexGuard<()>>,
}

#[derive(Debug)]
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Session {
    /// The rows that `sql` finds.
    pub(super) async fn fetch(&mut self, sql: impl SqlSafeStr, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let was_open = std::mem::replace(&mut self.open, true);
        let rows = match &mut self.connection {
            Connection::Sqlite(connection) => {
                let rows =
                    bound(sql, values).fetch_all(&mut **connection).await.map_err(|error| sqlite_failed(&error))?;
                rows.iter().map(cells).collect::<Result<_, _>>()?
            }
            Connection::Postgres(connection) => {
                let rows = answered(bound(sql, values).fetch_all(&mut **connection)).await?;
                rows.iter().map(cells).collect::<Result<_, _>>()?
            }
        };
        self.open = was_open;
        Ok(rows)
    }

    /// Does what `sql` says.
    pub(super) async fn run(&mut self, sql: impl SqlSafeStr, values: &[Value<'_>]) -> Result<(), StoreError> {
        let was_open = std::mem::replace(&mut self.open, true);
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                bound(sql, values).execute(&mut **connection).await.map_err(|error| sqlite_failed(&error))?;
            }
            Connection::Postgres(connection) => {
                answered(bound(sql, values).execute(&mut **connection)).await?;
            }
        }
        self.open = was_open;
        Ok(())
    }

    /// Which of the two databases it is, for the few statements that only one of them has.
    pub(super) const fn is_postgres(&self) -> bool {
        matches!(self.connection, Connection::Postgres(_))
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.end("COMMIT").await
    }

    pub(super) async fn roll_back(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    /// From now on all statements read one moment's state.
    pub(super) async fn begin_snapshot(&mut self) -> Result<(), StoreError> {
        let postgres = self.is_postgres();
        self.begin(if postgres { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" } else { "BEGIN" }).await
    }

    async fn begin(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.run(sql, &[]).await?;
        self.open = true;
        Ok(())
    }

    async fn end(mut self, sql: &'static str) -> Result<(), StoreError> {
        self.run(sql, &[]).await?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.open {
            match &mut self.connection {
                Connection::Sqlite(connection) => connection.close_on_drop(),
                Connection::Postgres(connection) => connection.close_on_drop(),
            }
        }
    }
}

async fn answered<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match timeout(ANSWER, answer).await {
        Ok(answer) => answer.map_err(|error| postgres_failed(&error)),
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {} s", ANSWER.as_secs()))),
    }
}

fn bound<'v, DB: sqlx::Database>(sql: impl SqlSafeStr, values: &[Value<'v>]) -> Query<'v, DB, DB::Arguments>
where
    Option<&'v str>: Encode<'v, DB> + Type<DB>,
    i64: Encode<'v, DB> + Type<DB>,
{
    values.iter().fold(sqlx::query(sql), |query, value| match *value {
        Value::Text(text) => query.bind(Some(text)),
        Value::Integer(integer) => query.bind(integer),
        Value::Null => query.bind(None::<&str>),
    })
}

fn cells<'r, R: sqlx::Row>(row: &'r R) -> Result<Row, StoreError>
where
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database>,
    i64: Decode<'r, R::Database>,
{
    let text = |error| format!("an answer cannot be read: {error}");
    let cell = |column| {
        let value = row.try_get_raw(column).map_err(|error| StoreError::Unusable(text(error.into())))?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        let integer = matches!(value.type_info().name(), "INT8" | "INTEGER");
        let cell = if integer { i64::decode(value).map(Cell::Integer) } else { String::decode(value).map(Cell::Text) };
        Ok(cell.unwrap_or_else(|error| Cell::Unreadable(text(error))))
    };
    (0..row.len()).map(cell).collect::<Result<_, _>>().map(Row)
}

fn sqlite_failed(error: &sqlx::Error) -> StoreError {
    failed(error, sqlite::will_pass)
}

pub(super) fn postgres_failed(error: &sqlx::Error) -> StoreError {
    failed(error, postgres::will_pass)
}

/// `will_pass` tells from a database's own code whether trying again later may help.
fn failed(error: &sqlx::Error, will_pass: fn(&str) -> bool) -> StoreError {
    let passing = match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| will_pass(&code)),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    let text =
        error.as_database_error().map_or_else(|| error.to_string(), |error| DatabaseError::message(error).to_owned());
    if passing { StoreError::Unavailable(text) } else { StoreError::Unusable(text) }
}
