//! Rows as what they mean.

use super::session::{Row, Session, Value};
use super::{Change, Kind, LastUse, ObjectKey, Position, Record, Revision, StoreError, body};
use crate::clock::Timestamp;

const STATE: &str = "SELECT generation, revision, purged FROM seawall_state";

/// How far the history has come, and how far back it is known.
#[derive(Debug)]
pub(super) struct State {
    pub(super) position: Position,
    purged: Revision,
}

impl State {
    pub(super) async fn read(session: &mut Session) -> Result<Self, StoreError> {
        let rows = session.fetch(STATE, &[]).await?;
        let row = only(&rows)?;
        let position = Position { generation: row.text(0)?.to_owned(), revision: Revision(row.natural(1)?) };
        Ok(Self { position, purged: Revision(row.natural(2)?) })
    }

    /// Whether all that happened since can still be told. A position ahead of the history is of another one.
    pub(super) fn remembers(&self, since: &Position) -> bool {
        self.position.generation == since.generation && (self.purged..=self.position.revision).contains(&since.revision)
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

/// The same for readers who enforce what they read; `None` for what only a newer version knows.
///
/// A damaged token or scope map grants nothing, so it counts as deleted. Without the properties of a registry, or without
/// a key, more would be allowed than was meant: then nothing can be read.
pub(super) fn change_to_enforce(row: &Row) -> Result<Option<Change>, StoreError> {
    let Some(kind) = Kind::of_word(row.text(1)?) else {
        return Ok(None);
    };
    match change(row) {
        Err(StoreError::Unusable(reason)) if matches!(kind, Kind::Token | Kind::ScopeMap) => {
            tracing::error!(reason, "a record of the store counts as deleted");
            let revision = Revision(row.natural(4)?);
            Ok(Some(Change { key: key(row)?, object: None, revision, written_at: time(row, 5)? }))
        }
        other => other.map(Some),
    }
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

fn time(row: &Row, column: usize) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(row.integer(column)?).map_err(|error| StoreError::Unusable(error.to_string()))
}
