//! Rows of the index as what they mean, and the statements that find parts of a listing.

use super::{IndexedManifest, IndexedRepository, IndexedTag, Job, Order, StoreError};
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::rows::time;
use crate::store::session::Row;

/// A table of things in a repository.
pub(super) struct Things {
    /// The columns to read.
    pub(super) columns: &'static str,
    pub(super) table: &'static str,
    /// The column by which a thing is named in its repository.
    pub(super) key: &'static str,
}

pub(super) const TAGS: Things =
    Things { columns: "name, digest, created_at, updated_at, observed_at", table: "seawall_tags", key: "name" };

pub(super) const MANIFESTS: Things =
    Things { columns: "digest, created_at, updated_at, observed_at, facts", table: "seawall_manifests", key: "digest" };

/// `registry` and `repository` are `$1` and `$2` of every statement.
const IN_REPOSITORY: &str = "WHERE registry = $1 AND repository = $2";

impl Things {
    /// All of them for which `condition` holds, by name.
    pub(super) fn all(&self, condition: &str) -> String {
        let Self { columns, table, key } = self;
        format!("SELECT {columns} FROM {table} {IN_REPOSITORY} AND {condition} ORDER BY {key}")
    }

    /// When the thing `$3` was last updated.
    pub(super) fn place(&self) -> String {
        format!("SELECT updated_at FROM {} {IN_REPOSITORY} AND {} = $3", self.table, self.key)
    }

    /// `$3` of them, from the first one on, or after the one named `$4`, which in an order by time was last updated at `$5`.
    /// The digest that they are of is the value after all these.
    pub(super) fn part(&self, order: Order, from: From, of_digest: bool) -> String {
        let Self { columns, table, key } = self;
        let after = match (from, order) {
            (From::First, _) => String::new(),
            (From::After, Order::Name) => format!("AND {key} > $4"),
            (From::After, Order::OldestFirst) => format!("AND (updated_at, {key}) > ($5, $4)"),
            (From::After, Order::NewestFirst) => {
                format!("AND updated_at <= $5 AND (updated_at < $5 OR {key} > $4)")
            }
        };
        let next = match (from, order) {
            (From::First, _) => 4,
            (From::After, Order::Name) => 5,
            (From::After, Order::OldestFirst | Order::NewestFirst) => 6,
        };
        let of = if of_digest { format!("AND digest = ${next}") } else { String::new() };
        let by = match order {
            Order::Name => key.to_string(),
            Order::OldestFirst => format!("updated_at, {key}"),
            Order::NewestFirst => format!("updated_at DESC, {key}"),
        };
        format!("SELECT {columns} FROM {table} {IN_REPOSITORY} {after} {of} ORDER BY {by} LIMIT $3")
    }

    /// Forgets at most `$3` of them, and tells which.
    pub(super) fn forget(&self) -> String {
        let Self { table, key, .. } = self;
        format!(
            "DELETE FROM {table} {IN_REPOSITORY}
             AND {key} IN (SELECT {key} FROM {table} {IN_REPOSITORY} ORDER BY {key} LIMIT $3) RETURNING {key}"
        )
    }
}

/// Where a part of a listing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    First,
    After,
}

pub(super) fn tag(row: &Row) -> Result<IndexedTag, StoreError> {
    Ok(IndexedTag {
        name: Tag::parse(row.text(0)?).map_err(|_| damaged("tag"))?,
        digest: digest(row, 1)?,
        created: time(row, 2)?,
        updated: time(row, 3)?,
        observed: time(row, 4)?,
    })
}

pub(super) fn manifest(row: &Row) -> Result<IndexedManifest, StoreError> {
    Ok(IndexedManifest {
        digest: digest(row, 0)?,
        created: time(row, 1)?,
        updated: time(row, 2)?,
        observed: time(row, 3)?,
        facts: serde_json::from_str(row.text(4)?).map_err(|_| damaged("manifest"))?,
    })
}

/// A row of name, created, updated, read, emptied.
pub(super) fn repository(row: &Row) -> Result<IndexedRepository, StoreError> {
    Ok(IndexedRepository {
        name: RepositoryName::parse(row.text(0)?).map_err(|_| damaged("repository"))?,
        created: time(row, 1)?,
        updated: time(row, 2)?,
        read: Some(time(row, 3)?).filter(|read| *read != NEVER),
        emptied: row.integer(4)? != 0,
    })
}

/// A row of id, registry, body, began.
pub(super) fn job(row: &Row) -> Result<Job, StoreError> {
    Ok(Job {
        id: row.text(0)?.to_owned(),
        registry: row.text(1)?.to_owned(),
        body: row.text(2)?.to_owned(),
        began: time(row, 3)?,
    })
}

/// What stands for no time, so that the later of two is found by comparing.
pub(super) const NEVER: Timestamp = Timestamp::MIN;

pub(super) fn digest(row: &Row, column: usize) -> Result<Digest, StoreError> {
    Digest::parse(row.text(column)?).map_err(|_| damaged("digest"))
}

fn damaged(what: &str) -> StoreError {
    StoreError::Unusable(format!("a {what} of the index is damaged"))
}
