//! Statements that change something, within a transaction that the caller began.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::database::is_impossible;
use super::rows::{integer, key_values, only, placeholders};
use super::session::{Row, Session, Value};
use super::{Expected, Kind, LastUse, Object, ObjectKey, Revision, StoreError, Write, body, former};
use crate::clock::Timestamp;
use crate::policy::credential::CredentialId;

/// Rows per statement where there are many: six values each stay below the 32,766 that SQLite takes.
pub(super) const CHUNK: usize = 1_000;
/// A deleted record leaves a row behind, from which readers learn of it. Every so many writes the old ones are removed.
const PURGE_EVERY: u64 = 256;
/// How long they stay, and how many. A reader that has missed one reads everything anew.
const KEPT_FOR: Duration = Duration::from_hours(24);
const KEPT: i64 = 10_000;

/// Whoever has done this is the only writer until its transaction ends: revisions are committed in their order.
const NEXT_REVISION: &str = "UPDATE seawall_state SET revision = revision + 1 RETURNING revision";
const FOUND: &str =
    "SELECT revision, CASE WHEN kind IN ('registry', 'token', 'identity') THEN body END FROM seawall_objects
    WHERE registry = $1 AND kind = $2 AND name = $3 AND body IS NOT NULL";
const DELETE: &str = "UPDATE seawall_objects SET body = NULL, revision = $4, written_at = $5
    WHERE registry = $1 AND kind = $2 AND name = $3 AND body IS NOT NULL";
const LAST_OLD: &str = "SELECT COALESCE(MAX(revision), 0) FROM seawall_objects WHERE body IS NULL AND written_at < $1";
const LAST_TOO_MANY: &str =
    "SELECT revision FROM seawall_objects WHERE body IS NULL ORDER BY revision DESC LIMIT 1 OFFSET $1";
const PURGE: &str = "DELETE FROM seawall_objects WHERE body IS NULL AND revision <= $1";
const PURGED: &str = "UPDATE seawall_state SET purged = $1";

/// Refuses what could not be read again.
pub(super) fn check(write: &Write) -> Result<(), StoreError> {
    let Write { key, object, .. } = write;
    let agrees = object.as_ref().is_none_or(|object| object.kind() == key.kind);
    if !agrees || is_impossible(&key.registry) || is_impossible(&key.name) {
        return Err(StoreError::Unusable(format!("there can be no such record: {key:?}")));
    }
    Ok(())
}

/// Does all that `batch` says, one after the other, if each expectation holds when its turn comes.
pub(super) async fn apply(session: &mut Session, batch: &[Write], now: Timestamp) -> Result<Revision, StoreError> {
    let revision = Revision(only(&session.fetch(NEXT_REVISION, &[]).await?)?.natural(0)?);
    for write in batch {
        let found = found(session, write).await?;
        expect(write, found.as_ref().map(|found| found.revision))?;
        match &write.object {
            Some(object) => {
                let row = NewRow { key: &write.key, body: body::encode(&write.key, object)?, written_at: now };
                put(session, &[row], revision).await?;
            }
            None => delete(session, &write.key, revision, now).await?,
        }
        let before = found.map(|found| found.credentials).unwrap_or_default();
        let after = write.object.as_ref().map(Object::credentials).unwrap_or_default();
        former::note(session, &before, &after, now).await?;
    }
    if revision.0.is_multiple_of(PURGE_EVERY) {
        purge(session, now).await?;
    }
    Ok(revision)
}

/// A record that is there before a write.
struct Found {
    revision: Revision,
    /// None when it cannot be read.
    credentials: BTreeSet<CredentialId>,
}

/// `None` also where nobody needs to know.
async fn found(session: &mut Session, write: &Write) -> Result<Option<Found>, StoreError> {
    let Write { key, expected, .. } = write;
    let without_credentials = matches!(
        key.kind,
        Kind::ScopeMap | Kind::Key | Kind::RoleAssignment | Kind::PrivateEndpointConnection | Kind::Attributes
    );
    if *expected == Expected::Anything && without_credentials {
        return Ok(None);
    }
    let rows = session.fetch(FOUND, &key_values(key)).await?;
    let found = |row: &Row| {
        let object = row.optional_text(1)?.and_then(|text| body::decode(key, text).ok());
        let credentials = object.as_ref().map(Object::credentials).unwrap_or_default();
        Ok(Found { revision: Revision(row.natural(0)?), credentials })
    };
    rows.first().map(found).transpose()
}

fn expect(write: &Write, found: Option<Revision>) -> Result<(), StoreError> {
    let holds = match write.expected {
        Expected::Anything => true,
        Expected::Absent => found.is_none(),
        Expected::At(revision) => found == Some(revision),
    };
    if holds { Ok(()) } else { Err(StoreError::Conflict { key: write.key.clone(), found }) }
}

/// A record to be written.
pub(super) struct NewRow<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) body: String,
    pub(super) written_at: Timestamp,
}

/// Writes at most [`CHUNK`] rows, no two of the same record.
pub(super) async fn put(session: &mut Session, rows: &[NewRow<'_>], revision: Revision) -> Result<(), StoreError> {
    let revision = integer(revision.0)?;
    let values: Vec<Value<'_>> = rows
        .iter()
        .flat_map(|row| {
            let [registry, kind, name] = key_values(row.key);
            [registry, kind, name, Value::Text(&row.body), revision, micros(row.written_at)]
        })
        .collect();
    let sql = format!(
        "INSERT INTO seawall_objects (registry, kind, name, body, revision, written_at) VALUES {}
         ON CONFLICT (registry, kind, name)
         DO UPDATE SET body = excluded.body, revision = excluded.revision, written_at = excluded.written_at",
        placeholders(rows.len(), 6)
    );
    session.run(AssertSqlSafe(sql), &values).await
}

async fn delete(session: &mut Session, key: &ObjectKey, revision: Revision, now: Timestamp) -> Result<(), StoreError> {
    let [registry, kind, name] = key_values(key);
    session.run(DELETE, &[registry, kind, name, integer(revision.0)?, micros(now)]).await
}

/// Removes what old and too many deleted records have left, and old former credentials.
async fn purge(session: &mut Session, now: Timestamp) -> Result<(), StoreError> {
    // Before the year -9999 nothing is old.
    let old = now.checked_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
    former::purge(session, old).await?;
    let last_old = only(&session.fetch(LAST_OLD, &[micros(old)]).await?)?.natural(0)?;
    let too_many = session.fetch(LAST_TOO_MANY, &[Value::Integer(KEPT)]).await?;
    let last_too_many = too_many.first().map_or(Ok(0), |row| row.natural(0))?;
    let last = last_old.max(last_too_many);
    if last > 0 {
        session.run(PURGE, &[integer(last)?]).await?;
        session.run(PURGED, &[integer(last)?]).await?;
    }
    Ok(())
}

/// Keeps the later of what is known and what is in `uses`, for each credential.
pub(super) async fn note_uses(session: &mut Session, uses: &[LastUse]) -> Result<(), StoreError> {
    let mut latest: BTreeMap<CredentialId, LastUse> = BTreeMap::new();
    for one in uses {
        let known = latest.entry(one.credential).or_insert(*one);
        if known.at < one.at {
            *known = *one;
        }
    }
    // In the order of credentials, so that replicas that note the same ones wait for each other and not in a circle.
    let texts: Vec<_> =
        latest.values().map(|one| (one.credential.to_string(), one.at, one.address.to_string())).collect();
    for some in texts.chunks(CHUNK) {
        let values: Vec<Value<'_>> = some
            .iter()
            .flat_map(|(credential, at, address)| [Value::Text(credential), micros(*at), Value::Text(address)])
            .collect();
        let sql = format!(
            "INSERT INTO seawall_last_uses (credential, used_at, address) VALUES {}
             ON CONFLICT (credential) DO UPDATE SET used_at = excluded.used_at, address = excluded.address
             WHERE excluded.used_at > seawall_last_uses.used_at",
            placeholders(some.len(), 3)
        );
        session.run(AssertSqlSafe(sql), &values).await?;
    }
    Ok(())
}

pub(super) fn micros(time: Timestamp) -> Value<'static> {
    Value::Integer(time.as_microsecond())
}
