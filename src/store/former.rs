//! Credentials whose password is gone: the last use of each is forgotten a day later.
//!
//! Not at once, since replicas may note a use that was a moment before the end. Credentials that no record ever had are
//! those of files, of which the store knows nothing: their last uses stay.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use super::StoreError;
use super::rows::placeholders;
use super::session::{Session, Value};
use super::writing::{CHUNK, micros};
use crate::clock::Timestamp;
use crate::policy::credential::CredentialId;

const FORGET: &str = "DELETE FROM seawall_last_uses WHERE credential IN
    (SELECT credential FROM seawall_former_credentials WHERE ended_at < $1)";
const FORGOTTEN: &str = "DELETE FROM seawall_former_credentials WHERE ended_at < $1";

/// Notes that a record with the credentials `before` has those of `after` now.
pub(super) async fn note(
    session: &mut Session,
    before: &BTreeSet<CredentialId>,
    after: &BTreeSet<CredentialId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let ended: Vec<String> = before.difference(after).map(ToString::to_string).collect();
    for some in ended.chunks(CHUNK) {
        let values: Vec<Value<'_>> = some.iter().flat_map(|id| [Value::Text(id), micros(now)]).collect();
        let sql = format!(
            "INSERT INTO seawall_former_credentials (credential, ended_at) VALUES {}
             ON CONFLICT (credential) DO UPDATE SET ended_at = excluded.ended_at",
            placeholders(some.len(), 2)
        );
        session.run(AssertSqlSafe(sql), &values).await?;
    }
    // One that comes back was moved, or its record was written again.
    let begun: Vec<String> = after.difference(before).map(ToString::to_string).collect();
    for some in begun.chunks(CHUNK) {
        let values: Vec<Value<'_>> = some.iter().map(|id| Value::Text(id)).collect();
        let ids = placeholders(1, some.len());
        let sql = format!("DELETE FROM seawall_former_credentials WHERE credential IN {ids}");
        session.run(AssertSqlSafe(sql), &values).await?;
    }
    Ok(())
}

/// Forgets the last uses of those that ended before `old`.
pub(super) async fn purge(session: &mut Session, old: Timestamp) -> Result<(), StoreError> {
    session.run(FORGET, &[micros(old)]).await?;
    session.run(FORGOTTEN, &[micros(old)]).await
}
