//! Rows as what they mean.

use super::session::{Row, Session, Value};
use super::{Change, Kind, LastUse, ObjectKey, Position, Record, Revision, StoreError, Unreadable, body};
use crate::clock::Timestamp;

const STATE: &str = "SELECT generation, revision, purged FROM seawall_state";

/// How far the history has come, and how far back it is known.
#[derive(Debug)]
pub(super) struct State {
    generation: String,
    pub(super) revision: Revision,
    purged: Revision,
}

impl State {
    pub(super) async fn read(session: &mut Session) -> Result<Self, StoreError> {
        let rows = session.fetch(STATE, &[]).await?;
        let row = only(&rows)?;
        let generation = row.text(0)?.to_owned();
        Ok(Self { generation, revision: Revision(row.natural(1)?), purged: Revision(row.natural(2)?) })
    }

    /// Where a reader is that has read it on the connection of this number.
    pub(super) fn position(&self, connection: u64) -> Position {
        Position { generation: self.generation.clone(), revision: self.revision, connection }
    }

    /// Whether all that happened since can still be told to a reader on the connection of this number. A position ahead
    /// of the history is of another one.
    pub(super) fn remembers(&self, since: &Position, connection: u64) -> bool {
        let same = self.generation == since.generation && connection == since.connection;
        same && (self.purged..=self.revision).contains(&since.revision)
    }
}

pub(super) fn only(rows: &[Row]) -> Result<&Row, StoreError> {
    match rows {
        [row] => Ok(row),
        _ => Err(StoreError::Unusable(format!("{} rows where there must be one", rows.len()))),
    }
}

/// The first three values of statements about one record.
pub(super) fn key_values(key: &ObjectKey) -> [Value<'_>; 3] {
    [Value::Text(&key.registry), Value::Text(key.kind.word()), Value::Text(&key.name)]
}

pub(super) fn integer(natural: u64) -> Result<Value<'static>, StoreError> {
    i64::try_from(natural).map(Value::Integer).map_err(|_| StoreError::Unusable(format!("{natural} is too large")))
}

/// `($1, $2), ($3, $4)` and so on.
pub(super) fn placeholders(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let columns: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", columns.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// A row of registry, kind, name, body, revision, time, which was not deleted.
pub(super) fn record(row: &Row) -> Result<Record, StoreError> {
    let key = key(row)?;
    let object = body::decode(&key, row.text(3)?)?;
    Ok(Record { key, object, revision: Revision(row.natural(4)?) })
}

/// The same columns, also of what was deleted.
pub(super) fn change(row: &Row) -> Result<Change, StoreError> {
    let key = key(row)?;
    let object = row.optional_text(3)?.map(|text| body::decode(&key, text)).transpose()?;
    Ok(Change { key, object, revision: Revision(row.natural(4)?), written_at: time(row, 5)? })
}

/// What a row tells those who enforce what they read.
pub(super) enum News {
    Change(Box<Change>),
    Unreadable(Unreadable),
}

/// The same columns for them; `None` for what only a newer version knows. One record that cannot be read keeps nobody from
/// the others.
pub(super) fn news(row: &Row) -> Result<Option<News>, StoreError> {
    if Kind::of_word(row.text(1)?).is_none() {
        return Ok(None);
    }
    Ok(Some(match change(row) {
        Ok(change) => News::Change(Box::new(change)),
        Err(StoreError::Unusable(reason)) => {
            News::Unreadable(Unreadable { key: key(row)?, revision: Revision(row.natural(4)?), reason })
        }
        Err(other) => return Err(other),
    }))
}

/// A row of credential, time, address.
pub(super) fn last_use(row: &Row) -> Result<LastUse, StoreError> {
    let malformed = || StoreError::Unusable("a last use is damaged".to_owned());
    Ok(LastUse {
        credential: row.text(0)?.parse().map_err(|_| malformed())?,
        at: time(row, 1)?,
        address: row.text(2)?.parse().map_err(|_| malformed())?,
    })
}

fn key(row: &Row) -> Result<ObjectKey, StoreError> {
    let word = row.text(1)?;
    let kind = Kind::of_word(word)
        .ok_or_else(|| StoreError::Unusable(format!("there is a record of the unknown kind `{word}`")))?;
    Ok(ObjectKey { registry: row.text(0)?.to_owned(), kind, name: row.text(2)?.to_owned() })
}

pub(super) fn time(row: &Row, column: usize) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(row.integer(column)?).map_err(|error| StoreError::Unusable(error.to_string()))
}
