//! The tables, and how a database of an older version is brought up to date. There is no way back.

use sqlx::AssertSqlSafe;

use super::StoreError;
use super::session::{Pool, Value};

/// What to do to come from version `n` to `n + 1`. Lines are added, never changed.
///
/// `{name}` stands for text that is compared byte by byte in both databases.
const STEPS: &[&[&str]] = &[
    &[
        "CREATE TABLE seawall_state (
       one BIGINT PRIMARY KEY CHECK (one = 1),
       generation TEXT NOT NULL,
       revision BIGINT NOT NULL,
       purged BIGINT NOT NULL)",
        // `body` is JSON, or NULL for what was deleted; `written_at` is in microseconds since the Unix epoch.
        "CREATE TABLE seawall_objects (
       registry {name} NOT NULL,
       kind {name} NOT NULL,
       name {name} NOT NULL,
       body TEXT,
       revision BIGINT NOT NULL,
       written_at BIGINT NOT NULL,
       PRIMARY KEY (registry, kind, name))",
        "CREATE INDEX seawall_objects_by_revision ON seawall_objects (revision)",
        "CREATE INDEX seawall_objects_deleted ON seawall_objects (revision) WHERE body IS NULL",
        "CREATE TABLE seawall_last_uses (
       credential {name} PRIMARY KEY,
       used_at BIGINT NOT NULL,
       address TEXT NOT NULL)",
    ],
    // Pages of many records begin within a revision: a restore writes all of them at one.
    &[
        "CREATE INDEX seawall_objects_in_order ON seawall_objects (revision, registry, kind, name)",
        "DROP INDEX seawall_objects_by_revision",
        // Credentials that records had and have no more; `ended_at` as `written_at`.
        "CREATE TABLE seawall_former_credentials (
       credential {name} PRIMARY KEY,
       ended_at BIGINT NOT NULL)",
    ],
    // The metadata index. Times are in microseconds since the Unix epoch; `read_at` is the earliest there is for never.
    &[
        "CREATE TABLE seawall_repositories (
       registry {name} NOT NULL,
       name {name} NOT NULL,
       created_at BIGINT NOT NULL,
       updated_at BIGINT NOT NULL,
       read_at BIGINT NOT NULL,
       emptied BIGINT NOT NULL,
       PRIMARY KEY (registry, name))",
        "CREATE TABLE seawall_tags (
       registry {name} NOT NULL,
       repository {name} NOT NULL,
       name {name} NOT NULL,
       digest {name} NOT NULL,
       created_at BIGINT NOT NULL,
       updated_at BIGINT NOT NULL,
       observed_at BIGINT NOT NULL,
       PRIMARY KEY (registry, repository, name))",
        "CREATE INDEX seawall_tags_by_time ON seawall_tags (registry, repository, updated_at, name)",
        "CREATE INDEX seawall_tags_by_digest ON seawall_tags (registry, repository, digest, name)",
        // `facts` is JSON.
        "CREATE TABLE seawall_manifests (
       registry {name} NOT NULL,
       repository {name} NOT NULL,
       digest {name} NOT NULL,
       created_at BIGINT NOT NULL,
       updated_at BIGINT NOT NULL,
       observed_at BIGINT NOT NULL,
       subject {name},
       facts TEXT NOT NULL,
       PRIMARY KEY (registry, repository, digest))",
        "CREATE INDEX seawall_manifests_by_time ON seawall_manifests (registry, repository, updated_at, digest)",
        "CREATE INDEX seawall_manifests_by_subject ON seawall_manifests (registry, repository, subject, digest)
       WHERE subject IS NOT NULL",
        "CREATE TABLE seawall_jobs (
       id {name} PRIMARY KEY,
       registry {name} NOT NULL,
       body TEXT NOT NULL,
       began_at BIGINT NOT NULL)",
    ],
];

/// Of PostgreSQL's advisory locks: replicas that start together migrate one after the other.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7161219190914764908)";

/// Makes or completes the tables; `generation` names the history that begins if there was none.
///
/// # Errors
/// [`StoreError::Unusable`] for a database that a newer version has changed.
pub(super) async fn migrate(pool: &Pool, generation: &str) -> Result<(), StoreError> {
    let mut session = pool.writing().await?;
    if session.is_postgres() {
        session.run(LOCK, &[]).await?;
    }
    session.run("CREATE TABLE IF NOT EXISTS seawall_schema (version BIGINT PRIMARY KEY)", &[]).await?;
    let rows = session.fetch("SELECT COALESCE(MAX(version), 0) FROM seawall_schema", &[]).await?;
    let version = rows.first().map_or(Ok(0), |row| row.integer(0))?;
    let known = STEPS.len();
    let Some(missing) = usize::try_from(version).ok().and_then(|version| STEPS.get(version..)) else {
        let text = format!("its tables have version {version}, and this seawall knows none after {known}");
        return Err(StoreError::Unusable(text));
    };
    let name = if session.is_postgres() { "TEXT COLLATE \"C\"" } else { "TEXT" };
    for (step, version) in missing.iter().zip(version + 1..) {
        for sql in *step {
            session.run(AssertSqlSafe(sql.replace("{name}", name)), &[]).await?;
        }
        session.run("INSERT INTO seawall_schema (version) VALUES ($1)", &[Value::Integer(version)]).await?;
    }
    let begin =
        "INSERT INTO seawall_state (one, generation, revision, purged) VALUES (1, $1, 0, 0) ON CONFLICT DO NOTHING";
    session.run(begin, &[Value::Text(generation)]).await?;
    session.commit().await
}
