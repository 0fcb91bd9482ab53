//! Where the databases of the tests are, and what is in them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use seawall::clock::Timestamp;
use seawall::policy::stored::{StoredNetworks, StoredScopeMap};
use seawall::store::{Database, Expected, Kind, Object, ObjectKey, Settings, Write, open};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::postgres::Postgres;

/// A database that is empty at first.
pub(crate) enum Place {
    Sqlite(tempfile::TempDir),
    Postgres { url: String, _server: Arc<Postgres> },
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        let server = Postgres::shared();
        Self::Postgres { url: server.database(), _server: server }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("sqlite:{}", directory.path().join("seawall.db").display()),
            Self::Postgres { url, .. } => url.clone(),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::at(self.url().parse().unwrap())
    }

    /// A store with connections of its own, as another process would have.
    pub(crate) async fn open(&self) -> Arc<Database> {
        open(&self.settings()).await.unwrap()
    }

    /// What an operator does by hand.
    pub(crate) async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(_) => {
                let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
                sqlx::query(sql).execute(&mut connection).await.unwrap();
            }
            Self::Postgres { url, .. } => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query(sql).execute(&mut connection).await.unwrap();
            }
        }
    }
}

/// Runs each of these functions of a [`Place`] on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::place::Place::sqlite()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::place::Place::postgres()).await;
            })*
        }
    };
}
pub(crate) use on_both;

/// A time, in seconds since the Unix epoch.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

pub(crate) fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { registry: "myregistry".to_owned(), kind, name: name.to_owned() }
}

/// The simplest record there is.
pub(crate) fn scope_map(description: &str) -> Object {
    let actions = vec!["repositories/samples/*/content/read".to_owned()];
    Object::ScopeMap(StoredScopeMap {
        description: description.to_owned(),
        actions,
        networks: StoredNetworks::default(),
        creation_date: at(0),
    })
}

pub(crate) fn put(name: &str, description: &str) -> Write {
    let key = key(Kind::ScopeMap, name);
    Write { key, object: Some(scope_map(description)), expected: Expected::Anything }
}

pub(crate) fn delete(name: &str) -> Write {
    Write { key: key(Kind::ScopeMap, name), object: None, expected: Expected::Anything }
}

/// Fails when `waiting` takes longer than 20 s.
pub(crate) async fn soon<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
