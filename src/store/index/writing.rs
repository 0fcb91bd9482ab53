//! Statements that change the index, each within a transaction that the caller began. None has more than [`CHUNK`] rows.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::rows::NEVER;
use super::{IndexedManifest, IndexedRepository, StoreError, TagObservation};
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::rows::placeholders;
use crate::store::session::{Session, Value};
use crate::store::writing::micros;

/// Rows per transaction: others write between them.
pub(super) const CHUNK: usize = 1_000;

/// Whoever writes to a repository waits for others who do, so that replicas never wait for each other in a circle.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))";

/// The first two values of all statements about what is in a repository.
pub(super) fn place<'a>(registry: &'a str, repository: &'a RepositoryName) -> [Value<'a>; 2] {
    [Value::Text(registry), Value::Text(repository.as_str())]
}

/// Waits until nobody else writes to the repository.
pub(super) async fn lock(session: &mut Session, place: [Value<'_>; 2]) -> Result<(), StoreError> {
    if session.is_postgres() { session.run(LOCK, &place).await } else { Ok(()) }
}

pub(super) async fn put_repositories(
    session: &mut Session,
    registry: &str,
    all: &[&IndexedRepository],
) -> Result<(), StoreError> {
    let row = |one: &&IndexedRepository| {
        let read = micros(one.read.unwrap_or(NEVER));
        let name = one.name.as_str().to_owned();
        (name, [micros(one.created), micros(one.updated), read, Value::Integer(i64::from(one.emptied))])
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    let values: Vec<Value<'_>> = rows
        .iter()
        .flat_map(|(name, rest)| [Value::Text(registry), Value::Text(name)].into_iter().chain(rest.iter().copied()))
        .collect();
    let sql = format!(
        "INSERT INTO seawall_repositories AS known (registry, name, created_at, updated_at, read_at, emptied) VALUES {}
         ON CONFLICT (registry, name) DO UPDATE SET {}, {}, {}, emptied = excluded.emptied",
        placeholders(rows.len(), 6),
        earlier("created_at"),
        later("updated_at"),
        later("read_at"),
    );
    session.run(AssertSqlSafe(sql), &values).await
}

fn earlier(column: &str) -> String {
    format!("{column} = CASE WHEN excluded.{column} < known.{column} THEN excluded.{column} ELSE known.{column} END")
}

fn later(column: &str) -> String {
    format!("{column} = CASE WHEN excluded.{column} > known.{column} THEN excluded.{column} ELSE known.{column} END")
}

/// Takes in observations, no two of the same tag.
pub(super) async fn observe_tags(
    session: &mut Session,
    place: [Value<'_>; 2],
    observed: &[&TagObservation],
) -> Result<(), StoreError> {
    let mut there = Vec::new();
    let mut gone: BTreeMap<Timestamp, Vec<&Tag>> = BTreeMap::new();
    for one in observed {
        match &one.digest {
            Some(digest) => there.push((&one.name, digest, one.at, one.pushed.unwrap_or(one.at))),
            None => gone.entry(one.at).or_default().push(&one.name),
        }
    }
    put_tags(session, place, &there).await?;
    for (at, names) in gone {
        let names: Vec<Value<'_>> = names.into_iter().map(|name| Value::Text(name.as_str())).collect();
        let sql = format!(
            "DELETE FROM seawall_tags WHERE registry = $1 AND repository = $2 AND observed_at <= $3 AND name IN {}",
            numbered(4, names.len()),
        );
        let values: Vec<Value<'_>> = place.into_iter().chain([micros(at)]).chain(names).collect();
        session.run(AssertSqlSafe(sql), &values).await?;
    }
    Ok(())
}

async fn put_tags(
    session: &mut Session,
    [registry, repository]: [Value<'_>; 2],
    tags: &[(&Tag, &Digest, Timestamp, Timestamp)],
) -> Result<(), StoreError> {
    if tags.is_empty() {
        return Ok(());
    }
    let values: Vec<Value<'_>> = tags
        .iter()
        .flat_map(|(name, digest, at, since)| {
            let (name, digest, since) = (Value::Text(name.as_str()), Value::Text(digest.as_str()), micros(*since));
            [registry, repository, name, digest, since, since, micros(*at)]
        })
        .collect();
    let sql = format!(
        "INSERT INTO seawall_tags AS known
             (registry, repository, name, digest, created_at, updated_at, observed_at) VALUES {}
         ON CONFLICT (registry, repository, name) DO UPDATE SET
             {},
             updated_at = CASE WHEN known.digest = excluded.digest AND known.updated_at <= excluded.updated_at
                 THEN known.updated_at ELSE excluded.updated_at END,
             digest = excluded.digest, observed_at = excluded.observed_at
         WHERE excluded.observed_at >= known.observed_at",
        placeholders(tags.len(), 7),
        earlier("created_at"),
    );
    session.run(AssertSqlSafe(sql), &values).await
}

/// Makes or refreshes rows, no two of the same digest.
pub(super) async fn put_manifests(
    session: &mut Session,
    [registry, repository]: [Value<'_>; 2],
    all: &[&IndexedManifest],
) -> Result<(), StoreError> {
    let facts = all.iter().map(|one| serde_json::to_string(&one.facts)).collect::<Result<Vec<_>, _>>();
    let facts = facts.map_err(|error| StoreError::Unusable(error.to_string()))?;
    let values: Vec<Value<'_>> = all
        .iter()
        .zip(&facts)
        .flat_map(|(one, facts)| {
            let (digest, facts) = (Value::Text(one.digest.as_str()), Value::Text(facts));
            let subject = one.facts.subject.as_ref().map_or(Value::Null, |subject| Value::Text(subject.as_str()));
            let [created, updated, observed] = [one.created, one.updated, one.observed].map(micros);
            [registry, repository, digest, created, updated, observed, subject, facts]
        })
        .collect();
    let sql = format!(
        "INSERT INTO seawall_manifests AS known
             (registry, repository, digest, created_at, updated_at, observed_at, subject, facts) VALUES {}
         ON CONFLICT (registry, repository, digest) DO UPDATE SET {}, {}, {},
             subject = excluded.subject, facts = excluded.facts",
        placeholders(all.len(), 8),
        earlier("created_at"),
        later("updated_at"),
        later("observed_at"),
    );
    session.run(AssertSqlSafe(sql), &values).await
}

/// Forgets manifests, and tags that are still of one of them.
pub(super) async fn remove_manifests(
    session: &mut Session,
    place: [Value<'_>; 2],
    digests: &[Digest],
) -> Result<(), StoreError> {
    let values: Vec<Value<'_>> =
        place.into_iter().chain(digests.iter().map(|digest| Value::Text(digest.as_str()))).collect();
    for table in ["seawall_manifests", "seawall_tags"] {
        let sql = format!(
            "DELETE FROM {table} WHERE registry = $1 AND repository = $2 AND digest IN {}",
            numbered(3, digests.len()),
        );
        session.run(AssertSqlSafe(sql), &values).await?;
    }
    Ok(())
}

/// `($3, $4, $5)`: so many, from the value `first` on.
pub(super) fn numbered(first: usize, count: usize) -> String {
    let all: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
    format!("({})", all.join(", "))
}
