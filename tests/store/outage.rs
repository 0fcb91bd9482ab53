//! PostgreSQL goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall::store::{
    Change, Changes, Contents, Database, Existing, Kind, Object, Position, Revision, Settings, Store, StoreError,
    Write, open,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::place::{Place, at, key, put, scope_map, soon};
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
                assert!(news.everything, "it may be another server");
                break news.changes.into_iter().map(|change| change.key.name).collect::<Vec<_>>();
            }
        }
    })
    .await;
    assert_eq!(names, ["before", "after"]);
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
        Self::with_rate(server, u32::MAX).await
    }

    /// Carries that many bytes a second from the server.
    async fn with_rate(server: &Postgres, rate: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (silent, target) = (Arc::new(AtomicBool::new(false)), server.port());
        let is_silent = silent.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                let (client_says, to_client) = client.into_split();
                let (server_says, to_server) = server.into_split();
                tokio::spawn(carry(client_says, to_server, is_silent.clone(), u32::MAX));
                tokio::spawn(carry(server_says, to_client, is_silent.clone(), rate));
            }
        });
        Self { port, silent }
    }

    /// A database of the server, at the other end of the wire.
    fn database(&self, server: &Postgres) -> String {
        server.database().replace(&format!(":{}/", server.port()), &format!(":{}/", self.port))
    }
}

/// What was in the wire when it went silent is lost: such a connection never speaks again.
async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    silent: Arc<AtomicBool>,
    rate: u32,
) {
    let mut buffer = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_secs(count as u64) / rate).await;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_silent_is_noticed_too() {
    let server = Postgres::shared();
    let wire = Wire::to(&server).await;
    let store = open(&settings(&wire.database(&server))).await.unwrap();
    store.write(&[put("before", "")], at(0)).await.unwrap();
    wire.silent.store(true, Ordering::SeqCst);
    // More of them than there are connections.
    for _ in 0..4 {
        expect_unavailable(&store).await;
    }
    wire.silent.store(false, Ordering::SeqCst);
    write_until_it_works(&store, "after").await;
}

/// A start must not fail for ever because there are many records and the network is slow.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_any_deadline_arrives_in_pages() {
    const RECORDS: usize = 5_000;
    let server = Postgres::shared();
    let wire = Wire::with_rate(&server, 500_000).await;
    let store = open(&settings(&wire.database(&server))).await.unwrap();
    let description = "one of many ".repeat(50);
    let batch: Vec<_> = (0..RECORDS).map(|number| put(&format!("map-{number:05}"), &description)).collect();
    store.replace_contents(&contents(&batch), Existing::Keep).await.unwrap();
    let start = Instant::now();
    assert_eq!(store.changes(None).await.unwrap().changes.len(), RECORDS);
    assert!(start.elapsed() > SECONDS, "the wire is too quick for this test: {:?}", start.elapsed());
    assert_eq!(store.contents().await.unwrap().records.len(), RECORDS);
}

/// What a backup with these records has.
fn contents(batch: &[Write]) -> Contents {
    let position = Position { generation: "before".to_owned(), revision: Revision(1), connection: 0 };
    let record = |write: &Write| Change {
        key: write.key.clone(),
        object: write.object.clone(),
        revision: Revision(1),
        written_at: at(0),
    };
    Contents { position, records: batch.iter().map(record).collect(), uses: Vec::new() }
}

/// A standby without the last writes took over, or an earlier state was put back; and the numbers of those writes were
/// given again. What a reader knows of them is wrong, and no revision tells.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_new_connection_may_be_another_history() {
    let place = Place::postgres();
    let (writer, reader) = (place.open().await, place.open().await);
    writer.write(&[put("a", "before"), put("lost", "")], at(0)).await.unwrap();
    let before = reader.changes(None).await.unwrap().position;
    assert_eq!(reader.changes(Some(&before)).await.unwrap(), Changes::none(before.clone()));

    let Object::ScopeMap(after) = scope_map("after") else { panic!("another kind") };
    let after = serde_json::to_string(&after).unwrap();
    place.execute(&format!("UPDATE seawall_objects SET body = '{after}' WHERE name = 'a'")).await;
    place.execute("DELETE FROM seawall_objects WHERE name = 'lost'").await;
    assert_eq!(reader.changes(Some(&before)).await.unwrap(), Changes::none(before.clone()), "no revision tells");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'seawall' AND datname = current_database()";
    place.execute(end).await;

    let news = soon("the reader reads again", async {
        loop {
            if let Ok(news) = reader.changes(Some(&before)).await {
                break news;
            }
        }
    })
    .await;
    assert!(news.everything);
    assert_eq!(news.changes.iter().map(|change| change.object.clone()).collect::<Vec<_>>(), [Some(scope_map("after"))]);
    assert_eq!((&news.position.generation, news.position.revision), (&before.generation, before.revision));
    assert_ne!(news.position, before, "whoever compares positions sees that there is news");
    assert_eq!(reader.changes(Some(&news.position)).await.unwrap(), Changes::none(news.position), "once");
}

/// Many readers at the same time, and a connection for each of the others, make no new one for those who follow.
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_of_those_who_follow_stays() {
    let place = Place::postgres();
    let store = place.open().await;
    let mut position = store.changes(None).await.unwrap().position;
    for round in 0..5 {
        let all = (0..16).map(|number| {
            let (store, position) = (store.clone(), position.clone());
            tokio::spawn(async move {
                store.write(&[put(&format!("{round}-{number}"), "")], at(0)).await.unwrap();
                let news = store.changes(Some(&position)).await.unwrap();
                assert!(!news.everything && !news.changes.is_empty());
            })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        position = store.changes(Some(&position)).await.unwrap().position;
    }
}
