//! The index in the store's database. Its writes are no writes of records: the revision stays, and nobody is told.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;

use super::rows::{From, MANIFESTS, TAGS, Things, job, manifest, repository, tag};
use super::writing::{self, CHUNK, lock, numbered, place};
use super::{
    Counts, Index, IndexedManifest, IndexedRepository, IndexedTag, Job, Order, Slice, StoreError, TagObservation,
};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::Database;
use crate::store::rows::integer;
use crate::store::session::{Row, Value};
use crate::store::writing::micros;

/// Manifests per transaction: their facts may be long.
const MANIFEST_CHUNK: usize = 100;
/// Rows per statement where all of many are read.
const PAGE: usize = 1_000;

const REPOSITORY: &str = "SELECT name, created_at, updated_at, read_at, emptied,
        (SELECT COUNT(*) FROM seawall_tags WHERE registry = $1 AND repository = $2),
        (SELECT COUNT(*) FROM seawall_manifests WHERE registry = $1 AND repository = $2)
    FROM seawall_repositories WHERE registry = $1 AND name = $2";
const REPOSITORIES: &str = "SELECT name, created_at, updated_at, read_at, emptied FROM seawall_repositories
    WHERE registry = $1 AND name > $2 ORDER BY name LIMIT $3";
const REMOVE_REPOSITORY: &str = "DELETE FROM seawall_repositories WHERE registry = $1 AND name = $2";
const TAG_NAMES: &str =
    "SELECT name FROM seawall_tags WHERE registry = $1 AND repository = $2 AND name > $3 ORDER BY name LIMIT $4";
const PUT_JOB: &str = "INSERT INTO seawall_jobs (id, registry, body, began_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE SET registry = excluded.registry, body = excluded.body, began_at = excluded.began_at";
const JOBS: &str = "SELECT id, registry, body, began_at FROM seawall_jobs ORDER BY began_at, id";
const REMOVE_JOB: &str = "DELETE FROM seawall_jobs WHERE id = $1";

#[async_trait]
impl Index for Database {
    async fn repository(
        &self,
        registry: &str,
        name: &RepositoryName,
    ) -> Result<Option<(IndexedRepository, Counts)>, StoreError> {
        let rows = self.pool.reading().await?.fetch(REPOSITORY, &place(registry, name)).await?;
        let read = |row: &Row| {
            let counts = Counts { tags: row.natural(5)?, manifests: row.natural(6)? };
            Ok::<_, StoreError>((repository(row)?, counts))
        };
        Ok(readable(&rows, read).pop())
    }

    async fn repositories(&self, registry: &str) -> Result<Vec<IndexedRepository>, StoreError> {
        let rows = self.paged(REPOSITORIES, &[Value::Text(registry)]).await?;
        Ok(readable(&rows, repository))
    }

    async fn put_repositories(&self, registry: &str, all: &[IndexedRepository]) -> Result<(), StoreError> {
        let rows = unique(all, |one| one.name.clone());
        for some in rows.chunks(CHUNK) {
            let mut session = self.pool.writing().await?;
            writing::put_repositories(&mut session, registry, some).await?;
            session.commit().await?;
        }
        Ok(())
    }

    async fn remove_repository(&self, registry: &str, name: &RepositoryName) -> Result<(), StoreError> {
        let place = place(registry, name);
        self.forget_all(&TAGS, place).await?;
        self.forget_all(&MANIFESTS, place).await?;
        let mut session = self.pool.writing().await?;
        session.run(REMOVE_REPOSITORY, &place).await?;
        session.commit().await
    }

    async fn tags(
        &self,
        registry: &str,
        repository: &RepositoryName,
        slice: &Slice,
        digest: Option<&Digest>,
    ) -> Result<Vec<IndexedTag>, StoreError> {
        let rows = self.part(&TAGS, place(registry, repository), slice, digest).await?;
        Ok(readable(&rows, tag))
    }

    async fn tags_named(
        &self,
        registry: &str,
        repository: &RepositoryName,
        names: &[Tag],
    ) -> Result<Vec<IndexedTag>, StoreError> {
        let mut names: Vec<&str> = names.iter().map(Tag::as_str).collect();
        names.sort_unstable();
        let rows = self.among(&TAGS, "name", place(registry, repository), &names).await?;
        Ok(readable(&rows, tag))
    }

    async fn tags_of(
        &self,
        registry: &str,
        repository: &RepositoryName,
        digests: &[Digest],
    ) -> Result<Vec<IndexedTag>, StoreError> {
        let rows = self.among(&TAGS, "digest", place(registry, repository), &texts(digests)).await?;
        let mut found = readable(&rows, tag);
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    async fn tag_names(&self, registry: &str, repository: &RepositoryName) -> Result<Vec<Tag>, StoreError> {
        let rows = self.paged(TAG_NAMES, &place(registry, repository)).await?;
        Ok(rows.iter().filter_map(|row| Tag::parse(row.text(0).ok()?).ok()).collect())
    }

    async fn observe_tags(
        &self,
        registry: &str,
        repository: &RepositoryName,
        observed: &[TagObservation],
    ) -> Result<(), StoreError> {
        let mut in_order: Vec<&TagObservation> = observed.iter().collect();
        in_order.sort_by_key(|one| one.at);
        let place = place(registry, repository);
        for some in unique(in_order, |one| one.name.clone()).chunks(CHUNK) {
            let mut session = self.pool.writing().await?;
            lock(&mut session, place).await?;
            writing::observe_tags(&mut session, place, some).await?;
            session.commit().await?;
        }
        Ok(())
    }

    async fn manifest(
        &self,
        registry: &str,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<IndexedManifest>, StoreError> {
        let rows = self.among(&MANIFESTS, "digest", place(registry, repository), &[digest.as_str()]).await?;
        Ok(readable(&rows, manifest).pop())
    }

    async fn manifests(
        &self,
        registry: &str,
        repository: &RepositoryName,
        slice: &Slice,
    ) -> Result<Vec<IndexedManifest>, StoreError> {
        let rows = self.part(&MANIFESTS, place(registry, repository), slice, None).await?;
        Ok(readable(&rows, manifest))
    }

    async fn known_manifests(
        &self,
        registry: &str,
        repository: &RepositoryName,
        digests: &[Digest],
    ) -> Result<Vec<Digest>, StoreError> {
        let rows = self.among(&MANIFESTS, "digest", place(registry, repository), &texts(digests)).await?;
        Ok(readable(&rows, manifest).into_iter().map(|one| one.digest).collect())
    }

    async fn referrers(
        &self,
        registry: &str,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<IndexedManifest>, StoreError> {
        let rows = self.among(&MANIFESTS, "subject", place(registry, repository), &[subject.as_str()]).await?;
        Ok(readable(&rows, manifest))
    }

    async fn put_manifests(
        &self,
        registry: &str,
        repository: &RepositoryName,
        all: &[IndexedManifest],
    ) -> Result<(), StoreError> {
        let place = place(registry, repository);
        for some in unique(all, |one| one.digest.clone()).chunks(MANIFEST_CHUNK) {
            let mut session = self.pool.writing().await?;
            lock(&mut session, place).await?;
            writing::put_manifests(&mut session, place, some).await?;
            session.commit().await?;
        }
        Ok(())
    }

    async fn remove_manifests(
        &self,
        registry: &str,
        repository: &RepositoryName,
        digests: &[Digest],
    ) -> Result<(), StoreError> {
        let place = place(registry, repository);
        for some in digests.chunks(CHUNK) {
            let mut session = self.pool.writing().await?;
            lock(&mut session, place).await?;
            writing::remove_manifests(&mut session, place, some).await?;
            session.commit().await?;
        }
        Ok(())
    }

    async fn put_job(&self, job: &Job) -> Result<(), StoreError> {
        let Job { id, registry, body, began } = job;
        let mut session = self.pool.writing().await?;
        let values = [Value::Text(id), Value::Text(registry), Value::Text(body), micros(*began)];
        session.run(PUT_JOB, &values).await?;
        session.commit().await
    }

    async fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        let rows = self.pool.reading().await?.fetch(JOBS, &[]).await?;
        Ok(readable(&rows, job))
    }

    async fn remove_job(&self, id: &str) -> Result<(), StoreError> {
        let mut session = self.pool.writing().await?;
        session.run(REMOVE_JOB, &[Value::Text(id)]).await?;
        session.commit().await
    }
}

impl Database {
    /// All rows that `sql` finds, page by page: its last two values are the name after which a page begins, and its length.
    async fn paged(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let mut session = self.pool.reading().await?;
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let values: Vec<Value<'_>> =
                values.iter().copied().chain([Value::Text(&after), integer(PAGE as u64)?]).collect();
            let rows = session.fetch(sql, &values).await?;
            let last =
                rows.last().filter(|_| rows.len() == PAGE).map(|row| row.text(0).map(str::to_owned)).transpose()?;
            found.extend(rows);
            match last {
                Some(last) => after = last,
                None => return Ok(found),
            }
        }
    }

    /// The rows of which `column` is one of `texts`, by name within each thousand of them.
    async fn among(
        &self,
        things: &Things,
        column: &str,
        place: [Value<'_>; 2],
        texts: &[&str],
    ) -> Result<Vec<Row>, StoreError> {
        let mut session = self.pool.reading().await?;
        let mut found = Vec::new();
        for some in texts.chunks(CHUNK) {
            let sql = things.all(&format!("{column} IN {}", numbered(3, some.len())));
            let values: Vec<Value<'_>> = place.into_iter().chain(some.iter().map(|text| Value::Text(text))).collect();
            found.extend(session.fetch(AssertSqlSafe(sql), &values).await?);
        }
        Ok(found)
    }

    /// A part of a listing; with `digest`, of what is of that manifest.
    async fn part(
        &self,
        things: &Things,
        [registry, repository]: [Value<'_>; 2],
        slice: &Slice,
        digest: Option<&Digest>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut session = self.pool.reading().await?;
        let mut values = vec![registry, repository, Value::Integer(i64::from(slice.limit))];
        // No name has it, and PostgreSQL no text with it. What is before it sorts just before the whole.
        let after = slice.after.as_deref().map(|after| after.split('\0').next().unwrap_or_default());
        let mut from = From::First;
        match (after, slice.order) {
            (None, _) => {}
            (Some(after), Order::Name) => {
                from = From::After;
                values.push(Value::Text(after));
            }
            (Some(after), Order::OldestFirst | Order::NewestFirst) => {
                let at = [registry, repository, Value::Text(after)];
                let rows = session.fetch(AssertSqlSafe(things.place()), &at).await?;
                if let Some(row) = rows.first() {
                    from = From::After;
                    values.extend([Value::Text(after), Value::Integer(row.integer(0)?)]);
                }
            }
        }
        values.extend(digest.map(|digest| Value::Text(digest.as_str())));
        session.fetch(AssertSqlSafe(things.part(slice.order, from, digest.is_some())), &values).await
    }

    /// Forgets all of them in a repository, some at a time.
    async fn forget_all(&self, things: &Things, place: [Value<'_>; 2]) -> Result<(), StoreError> {
        let [registry, repository] = place;
        loop {
            let mut session = self.pool.writing().await?;
            lock(&mut session, place).await?;
            let values = [registry, repository, integer(CHUNK as u64)?];
            let gone = session.fetch(AssertSqlSafe(things.forget()), &values).await?;
            session.commit().await?;
            if gone.len() < CHUNK {
                return Ok(());
            }
        }
    }
}

fn texts(digests: &[Digest]) -> Vec<&str> {
    let mut texts: Vec<&str> = digests.iter().map(Digest::as_str).collect();
    texts.sort_unstable();
    texts
}

/// What cannot be read is left out.
fn readable<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, StoreError>) -> Vec<T> {
    rows.iter().filter_map(|row| read(row).ok()).collect()
}

/// In the order of `key`; of several with the same one the last: a statement cannot write a row twice.
fn unique<'a, T, K: Ord>(all: impl IntoIterator<Item = &'a T>, key: impl Fn(&T) -> K) -> Vec<&'a T> {
    all.into_iter().map(|one| (key(one), one)).collect::<BTreeMap<K, &T>>().into_values().collect()
}
