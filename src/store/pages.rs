//! Many rows, in pages: every statement answers within its deadline, however many records there are and however slow the
//! network is.
//!
//! All pages are read in one transaction of the caller's, so together they are one moment's state.

use super::rows::{integer, last_use};
use super::session::{Row, Session, Value};
use super::{LastUse, Revision, StoreError};

/// Rows per statement: some hundred kilobytes.
const PAGE: usize = 500;

const RECORDS: &str = "SELECT registry, kind, name, body, revision, written_at FROM seawall_objects
    WHERE (revision, registry, kind, name) > ($1, $2, $3, $4)
    ORDER BY revision, registry, kind, name LIMIT $5";
const EXISTING: &str = "SELECT registry, kind, name, body, revision, written_at FROM seawall_objects
    WHERE (revision, registry, kind, name) > ($1, $2, $3, $4) AND body IS NOT NULL
    ORDER BY revision, registry, kind, name LIMIT $5";
const USES: &str = "SELECT credential, used_at, address FROM seawall_last_uses
    WHERE credential > $1 ORDER BY credential LIMIT $2";

/// What `read` makes of the rows of all records, in the order of their revisions: of those that were written or deleted
/// after `since`, or of all that exist.
pub(super) async fn records<T>(
    session: &mut Session,
    since: Option<Revision>,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let sql = if since.is_some() { RECORDS } else { EXISTING };
    // No kind is empty, so all of a revision comes after this.
    let first = since.map_or(0, |since| since.0.saturating_add(1));
    let (mut revision, mut key) = (first, [String::new(), String::new(), String::new()]);
    let mut found = Vec::new();
    loop {
        let [registry, kind, name] = key.each_ref().map(|text| Value::Text(text));
        let values = [integer(revision)?, registry, kind, name, integer(PAGE as u64)?];
        let rows = session.fetch(sql, &values).await?;
        for row in &rows {
            found.push(read(row)?);
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => {
                revision = last.natural(4)?;
                key = [last.text(0)?.to_owned(), last.text(1)?.to_owned(), last.text(2)?.to_owned()];
            }
            _ => return Ok(found),
        }
    }
}

/// All last uses, by credential.
pub(super) async fn uses(session: &mut Session) -> Result<Vec<LastUse>, StoreError> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let rows = session.fetch(USES, &[Value::Text(&after), integer(PAGE as u64)?]).await?;
        for row in &rows {
            found.push(last_use(row)?);
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => last.text(0)?.clone_into(&mut after),
            _ => return Ok(found),
        }
    }
}
