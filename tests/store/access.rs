//! Who talks to whom: the PostgreSQL server proves its name by TLS, and we prove ours by a password.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use seawall::secret::Secret;
use seawall::store::{Settings, Store, StoreError, open};
use sqlx::{Connection, PgConnection};

use crate::place::{at, put};
use crate::postgres::Postgres;

/// An authority's certificate in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// A server for this name or address.
    fn server(&self, name: &str) -> Postgres {
        Postgres::start_with(|data| {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
            fs::write(data.join("server.crt"), certificate.pem()).unwrap();
            fs::write(data.join("server.key"), key.serialize_pem()).unwrap();
            // Nobody comes in without TLS.
            fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
            vec!["ssl=on".to_owned()]
        })
    }
}

fn settings(url: &str, ca: Option<PathBuf>) -> Settings {
    Settings { ca, patience: Duration::ZERO, ..Settings::at(url.parse().unwrap()) }
}

async fn expect_refused(settings: &Settings, reason: &str) {
    match open(settings).await {
        Err(StoreError::Unavailable(text)) => assert!(text.contains(reason), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_proves_its_name_to_whoever_knows_its_authority() {
    let (authority, another) = (Authority::new(), Authority::new());
    let server = authority.server("127.0.0.1");
    let store = open(&settings(&server.url(), Some(authority.file()))).await.unwrap();
    store.write(&[put("a", "one")], at(0)).await.unwrap();
    expect_refused(&settings(&server.url(), Some(another.file())), "invalid peer certificate").await;
    let any = format!("{}?sslmode=require", server.url());
    open(&settings(&any, None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_is_refused_unless_the_url_says_otherwise() {
    let authority = Authority::new();
    let server = authority.server("another.example.com");
    expect_refused(&settings(&server.url(), Some(authority.file())), "not valid for name").await;
    let any_name = format!("{}?sslmode=verify-ca", server.url());
    open(&settings(&any_name, Some(authority.file()))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_where_an_authority_is_named() {
    let authority = Authority::new();
    let server = Postgres::shared();
    expect_refused(&settings(&server.url(), Some(authority.file())), "sslmode").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_and_never_shown() {
    let server = Postgres::start_with(|data| {
        let rules = "host postgres all 127.0.0.1/32 trust\nhost locked all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
        Vec::new()
    });
    let mut owner = PgConnection::connect(&server.url()).await.unwrap();
    for sql in ["ALTER USER seawall PASSWORD 'hunter2'", "CREATE DATABASE locked"] {
        sqlx::query(sql).execute(&mut owner).await.unwrap();
    }
    let url = server.url().replace("/postgres", "/locked");
    let with = |password: &str| Settings { password: Some(Secret::new(password)), ..settings(&url, None) };
    let store = open(&with("hunter2")).await.unwrap();
    store.write(&[put("a", "one")], at(0)).await.unwrap();
    assert!(!format!("{store:?} {:?}", with("hunter2")).contains("hunter2"));
    match open(&with("wrong-one")).await {
        Err(StoreError::Unavailable(text)) => {
            assert!(text.contains("password") && !text.contains("wrong-one"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

/// Neither do writers fail that only have to wait, nor is a write acknowledged that a crash would undo.
#[tokio::test(flavor = "multi_thread")]
async fn defaults_of_the_server_do_not_count() {
    let server = Postgres::start_with(|_| {
        ["default_transaction_isolation=repeatable read", "synchronous_commit=off"].map(str::to_owned).into()
    });
    let store = open(&settings(&server.url(), None)).await.unwrap();
    let mut owner = PgConnection::connect(&server.url()).await.unwrap();
    // Every write notes what it was done under.
    for sql in [
        "CREATE TABLE noted AS SELECT '' AS isolation, '' AS durable WHERE false",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           INSERT INTO noted SELECT current_setting('transaction_isolation'), current_setting('synchronous_commit');
           RETURN NULL;
         END $$",
        "CREATE TRIGGER note AFTER INSERT ON seawall_objects EXECUTE FUNCTION note()",
    ] {
        sqlx::query(sql).execute(&mut owner).await.unwrap();
    }
    let writing = (0..40).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.write(&[put(&format!("map-{number}"), "")], at(0)).await })
    });
    for one in writing.collect::<Vec<_>>() {
        one.await.unwrap().unwrap();
    }
    let noted: Vec<(String, String)> =
        sqlx::query_as("SELECT DISTINCT isolation, durable FROM noted").fetch_all(&mut owner).await.unwrap();
    assert_eq!(noted, [("read committed".to_owned(), "on".to_owned())]);
}
