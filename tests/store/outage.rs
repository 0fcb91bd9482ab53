//! PostgreSQL goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall::store::{Database, Kind, Settings, Store, StoreError, open};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::place::{at, key, put, soon};
use crate::postgres::Postgres;

/// Management answers 503 within seconds, and readers learn quickly that they read nothing new.
const SECONDS: Duration = Duration::from_secs(6);

fn settings(url: &str) -> Settings {
    Settings::at(url.parse().unwrap())
}

/// Every operation says `Unavailable`, and says it soon.
async fn expect_unavailable(store: &Database) {
    let start = Instant::now();
    let (batch, key) = ([put("lost", "")], key(Kind::Token, "a"));
    let (changes, written, got) = tokio::join!(store.changes(None), store.write(&batch, at(0)), store.get(&key));
    assert!(matches!(changes, Err(StoreError::Unavailable(_))), "{changes:?}");
    assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
    assert!(matches!(got, Err(StoreError::Unavailable(_))), "{got:?}");
    assert!(start.elapsed() < SECONDS, "{:?}", start.elapsed());
}

async fn write_until_it_works(store: &Database, name: &str) {
    soon("the store is back", async {
        while store.write(&[put(name, "")], at(0)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_is_noticed_and_found_again() {
    let mut server = Postgres::start();
    let settings = settings(&server.url());
    let (writer, reader) = (open(&settings).await.unwrap(), open(&settings).await.unwrap());
    writer.write(&[put("before", "")], at(0)).await.unwrap();
    let position = reader.changes(None).await.unwrap().position;
    let mut hints = reader.hints();

    server.stop();
    expect_unavailable(&writer).await;
    expect_unavailable(&reader).await;

    server.start_again();
    hints.mark_unchanged();
    write_until_it_works(&writer, "after").await;
    let names = soon("the reader reads again", async {
        loop {
            if let Ok(news) = reader.changes(Some(&position)).await {
                assert!(!news.everything, "the history goes on");
                break news.changes.into_iter().map(|change| change.key.name).collect::<Vec<_>>();
            }
        }
    })
    .await;
    assert_eq!(names, ["after"]);
    soon("the listener is back, and hints because it may have missed something", hints.changed()).await.unwrap();
    // And it hears of what is written from now on; what it said so far counts no more.
    tokio::time::sleep(Duration::from_secs(1)).await;
    hints.mark_unchanged();
    writer.write(&[put("again", "")], at(0)).await.unwrap();
    soon("a hint", hints.changed()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_waits_for_a_server_and_not_forever() {
    let mut server = Postgres::start();
    server.stop();
    let url = server.url();
    let impatient = Settings { patience: Duration::from_millis(300), ..settings(&url) };
    let start = Instant::now();
    match open(&impatient).await {
        Err(StoreError::Unavailable(reason)) => assert!(reason.contains("refused"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(start.elapsed() < SECONDS);
    let opening = tokio::spawn(async move { open(&settings(&url)).await });
    server.start_again();
    soon("opened", opening).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_named() {
    let server = Postgres::shared();
    let url = server.url().replace("/postgres", "/nowhere");
    match open(&settings(&url)).await {
        Err(StoreError::Unusable(reason)) => assert!(reason.contains("nowhere"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

/// A wire to the server that can go silent, as a network does: nothing comes, and nothing says so.
struct Wire {
    port: u16,
    silent: Arc<AtomicBool>,
}

impl Wire {
    async fn to(server: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (silent, target) = (Arc::new(AtomicBool::new(false)), server.port());
        let is_silent = silent.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                let (client_says, to_client) = client.into_split();
                let (server_says, to_server) = server.into_split();
                tokio::spawn(carry(client_says, to_server, is_silent.clone()));
                tokio::spawn(carry(server_says, to_client, is_silent.clone()));
            }
        });
        Self { port, silent }
    }
}

/// What was in the wire when it went silent is lost: such a connection never speaks again.
async fn carry(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, silent: Arc<AtomicBool>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_silent_is_noticed_too() {
    let server = Postgres::shared();
    let wire = Wire::to(&server).await;
    let url = server.database().replace(&format!(":{}/", server.port()), &format!(":{}/", wire.port));
    let store = open(&settings(&url)).await.unwrap();
    store.write(&[put("before", "")], at(0)).await.unwrap();
    wire.silent.store(true, Ordering::SeqCst);
    // More of them than there are connections.
    for _ in 0..4 {
        expect_unavailable(&store).await;
    }
    wire.silent.store(false, Ordering::SeqCst);
    write_until_it_works(&store, "after").await;
}
