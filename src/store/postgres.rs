//! The store on a PostgreSQL server, which replicas share.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::watch;
use tokio::time::timeout;

use super::session::{Pool, postgres_failed};
use super::{Settings, StoreError};
use crate::crypto;

const CONNECTIONS: u32 = 8;
/// How long a connection may take to become ready, and an operation to get one.
const CONNECT: Duration = Duration::from_secs(3);
/// The server gives up a statement earlier than we stop waiting for it, so that it tells why.
const STATEMENT_TIMEOUT: &str = "4s";
/// All writers wait for one that is within a transaction and hangs.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10s";

/// Whatever the server's defaults are. Writers wait for each other by a row's lock, which under `repeatable read` would end
/// in an error for all but the first. And what was acknowledged is on the disk: with `off` a crash would bring back what
/// was revoked. Other values wait for more, or less, of the standbys: that is the operator's choice.
const SESSION: &str = "SET default_transaction_isolation = 'read committed';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// How replicas are told that something was written; the message says no more than that.
const CHANNEL: &str = "seawall";
pub(super) const NOTIFY: &str = "SELECT pg_notify('seawall', '')";
/// Between two attempts to listen.
const PAUSE: Duration = Duration::from_millis(500);
/// A connection that has been silent for so long is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(20);

/// Reads a URL, or says why it is none. The text shows nothing of the environment, which fills what the URL leaves open.
pub(super) fn parse(url: &str) -> Result<PgConnectOptions, String> {
    PgConnectOptions::from_str(url).map_err(|error| match error {
        sqlx::Error::Configuration(reason) => reason.to_string(),
        other => other.to_string(),
    })
}

/// How to connect to the server at `url`.
pub(super) fn options(url: &str, settings: &Settings) -> Result<PgConnectOptions, StoreError> {
    let mut options = parse(url)
        .map_err(StoreError::Unusable)?
        .application_name("seawall")
        .options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
        ])
        .disable_statement_logging();
    if let Some(password) = &settings.password {
        options = options.password(password.expose());
    }
    if let Some(ca) = &settings.ca {
        options = options.ssl_root_cert(ca);
    }
    let chosen = url.contains("sslmode=") || !matches!(options.get_ssl_mode(), PgSslMode::Prefer);
    if !chosen && (settings.ca.is_some() || !is_here(&options)) {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    if matches!(options.get_ssl_mode(), PgSslMode::VerifyCa) {
        // The one mode for which sqlx asks for the process's own choice, and panics where there is none.
        crypto::install();
    }
    Ok(options)
}

/// Whether what is said to the server stays on this machine.
fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
}

/// The pool of connections, after one of them has been made.
///
/// # Errors
/// What the first connection met; later ones only tell that there was none in time.
pub(super) async fn pool(options: &PgConnectOptions) -> Result<Pool, StoreError> {
    let first = timeout(CONNECT, options.connect()).await;
    let first = first.map_err(|_| StoreError::Unavailable(format!("no answer within {} s", CONNECT.as_secs())))?;
    first.map_err(|error| explained(&error))?.close().await.map_err(|error| postgres_failed(&error))?;
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let connections = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT)
        .after_connect(|connection, _| Box::pin(set_up(connection)));
    // Never given up without need: whoever reads on a new one reads everything.
    let follower = only_one().after_connect(move |connection, _| {
        count.fetch_add(1, Ordering::AcqRel);
        Box::pin(set_up(connection))
    });
    Ok(Pool::Postgres {
        connections: connections.connect_lazy_with(options.clone()),
        follower: follower.connect_lazy_with(options.clone()),
        made,
    })
}

async fn set_up(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(SESSION).execute(connection).await.map(drop)
}

/// A pool of one connection, which stays.
fn only_one() -> PgPoolOptions {
    PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).acquire_timeout(CONNECT)
}

fn explained(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Tls(reason) => StoreError::Unavailable(format!(
            "TLS: {reason} (a server on another machine must prove its name, unless the URL has another `sslmode`)"
        )),
        other => postgres_failed(other),
    }
}

/// Ticks whenever a replica has written, and whenever such news may have been missed. Never ends.
pub(super) async fn listen(options: PgConnectOptions, ticks: watch::Sender<u64>) {
    loop {
        if let Err(error) = listen_on_one_connection(&options, &ticks).await {
            tracing::debug!(%error, "not listening to the store");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen_on_one_connection(options: &PgConnectOptions, ticks: &watch::Sender<u64>) -> Result<(), sqlx::Error> {
    let tick = || ticks.send_modify(|ticks| *ticks += 1);
    // Its own pool: a listener that hangs must not take a connection from the others.
    let mut listener = PgListener::connect_with(&only_one().connect_lazy_with(options.clone())).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    tick();
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(_))) => tick(),
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => timeout(CONNECT, sqlx::query("SELECT 1").execute(&mut listener))
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)
                .flatten()
                .map(drop)?,
        }
    }
}

/// Whether the trouble with this SQLSTATE may be over later.
pub(super) fn will_pass(code: &str) -> bool {
    // Connections, privileges to connect, failed and timed-out transactions, resources, operators, the system; and a
    // server that is a standby just now.
    let classes = ["08", "28", "40", "53", "55", "57", "58"];
    classes.iter().any(|class| code.starts_with(class)) || code == "25006"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str, ca: bool) -> PgSslMode {
        let mut settings = Settings::at(url.parse().unwrap());
        settings.ca = ca.then(|| "ca.crt".into());
        options(url, &settings).unwrap().get_ssl_mode()
    }

    #[test]
    fn a_server_elsewhere_proves_its_name_unless_the_url_says_otherwise() {
        for (url, ca, proves) in [
            ("postgres://seawall@db.example.com/seawall", false, true),
            ("postgres://seawall@192.0.2.1/seawall", false, true),
            ("postgres://seawall@[2001:db8::1]/seawall", false, true),
            ("postgres://seawall@localhost/seawall", true, true),
            ("postgres://seawall@localhost/seawall", false, false),
            ("postgres://seawall@127.0.0.1/seawall", false, false),
            ("postgres://seawall@[::1]/seawall", false, false),
            ("postgres://seawall@%2Fvar%2Frun%2Fpostgresql/seawall", false, false),
            ("postgres:///seawall?host=/var/run/postgresql", false, false),
            ("postgres://seawall@db.example.com/seawall?sslmode=disable", false, false),
            ("postgres://seawall@db.example.com/seawall?sslmode=require", true, false),
        ] {
            assert_eq!(matches!(mode(url, ca), PgSslMode::VerifyFull), proves, "{url}");
        }
    }

    #[test]
    fn what_is_over_after_a_failover_may_pass() {
        for code in ["08006", "57P01", "57P03", "25006", "40P01", "53300", "28P01"] {
            assert!(will_pass(code), "{code}");
        }
        for code in ["42P01", "22021", "3D000", "42501"] {
            assert!(!will_pass(code), "{code}");
        }
    }
}
