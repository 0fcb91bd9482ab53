//! In place of a process, a server in a thread; in place of signals, the functions they call (and once, real signals).

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::*;
use crate::proxy::listener::testing::{
    SLOW, WHO, ask, certificates, client_config, connect, is_closed, listener, read_until, server, write_certificate,
};
use crate::proxy::listener::{Serving, SourceMode};

/// Far longer than any of these tests may take.
const LONG: Duration = Duration::from_mins(5);

struct Process {
    life: Lifecycle,
    plain: SocketAddr,
    tls: SocketAddr,
    release: watch::Sender<bool>,
    run: JoinHandle<Ending>,
}

fn start(grace: Duration) -> Process {
    let in_flight = InFlight::default();
    let life = Lifecycle::new(in_flight.clone(), grace);
    let serving = Serving { in_flight, stop: life.stop_watch(), threads: 1, idle_timeout: LONG };
    let directory = tempfile::tempdir().unwrap();
    let (plain, _) = listener(SourceMode::Peer);
    let (mut tls, _) = listener(SourceMode::Peer);
    tls.tls = Some(certificates(vec![write_certificate(directory.path(), "a", &["a.test"])]));
    let (server, addresses, release) = server(vec![plain, tls], &serving);
    let running = life.clone();
    let run = thread::spawn(move || running.run(server));
    Process { life, plain: addresses[0], tls: addresses[1], release, run }
}

/// A download that has begun.
fn download(process: &Process) -> TcpStream {
    let mut client = connect(process.plain);
    client.write_all(SLOW.as_bytes()).unwrap();
    read_until(&mut client, "begin\r\n");
    client
}

/// Waits until nobody listens at `address` any more.
fn wait_until_refused(address: SocketAddr) {
    for _ in 0..1000 {
        if TcpStream::connect(address).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("still listening after five seconds");
}

#[test]
fn a_drain_refuses_new_connections_finishes_downloads_and_ends_before_the_grace_does() {
    let process = start(LONG);
    let mut idle = connect(process.plain);
    ask(&mut idle, WHO);
    let mut download = download(&process);
    assert!(!process.life.is_draining());

    process.life.terminate();
    assert!(process.life.is_draining());
    wait_until_refused(process.plain);
    wait_until_refused(process.tls);
    assert!(is_closed(&mut idle), "an idle connection is closed at once");
    assert!(!process.run.is_finished());

    process.release.send_replace(true);
    assert!(read_until(&mut download, "\r\n0\r\n\r\n").contains("ended"));
    assert!(is_closed(&mut download), "no further request is taken on a kept connection");
    assert_eq!(process.run.join().unwrap(), Ending::Drained);
}

#[test]
fn a_drain_without_any_connection_ends_at_once() {
    let process = start(LONG);
    process.life.terminate();
    assert_eq!(process.run.join().unwrap(), Ending::Drained);
}

#[test]
fn the_grace_period_bounds_a_drain() {
    let process = start(Duration::from_millis(200));
    let mut download = download(&process);
    process.life.terminate();
    assert_eq!(process.run.join().unwrap(), Ending::GraceOver { requests: 1 });
    assert!(is_closed(&mut download));
}

#[test]
fn a_second_signal_ends_a_drain() {
    let process = start(LONG);
    let mut download = download(&process);
    process.life.terminate();
    wait_until_refused(process.plain);
    assert!(!process.run.is_finished());
    process.life.terminate();
    assert_eq!(process.run.join().unwrap(), Ending::AtOnce { requests: 1 });
    assert!(is_closed(&mut download));
}

#[test]
fn an_interrupt_ends_at_once_also_in_a_drain() {
    for drain_first in [false, true] {
        let process = start(LONG);
        let _download = download(&process);
        if drain_first {
            process.life.terminate();
        }
        process.life.interrupt();
        assert_eq!(process.run.join().unwrap(), Ending::AtOnce { requests: 1 });
    }
}

#[tokio::test]
async fn http2_clients_are_asked_to_leave_and_their_downloads_finish() {
    let process = start(LONG);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client_config(&["h2"])));
    let socket = tokio::net::TcpStream::connect(process.tls).await.unwrap();
    let stream = connector.connect("a.test".try_into().unwrap(), socket).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = |path: &str| http::Request::get(format!("https://a.test{path}")).body(()).unwrap();
    let (response, _) = requests.clone().ready().await.unwrap().send_request(request("/slow"), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "begin");

    process.life.terminate();
    tokio::task::spawn_blocking(move || wait_until_refused(process.tls)).await.unwrap();
    // GOAWAY: the client opens no further stream, while the one that is open goes on.
    let asked_to_leave = async {
        while requests.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked_to_leave).await.unwrap();
    assert!(!process.run.is_finished());
    process.release.send_replace(true);
    assert_eq!(body.data().await.unwrap().unwrap(), "ended");
    assert!(body.data().await.is_none(), "the end of the stream arrives too");
    let run = tokio::task::spawn_blocking(|| process.run.join().unwrap());
    assert_eq!(run.await.unwrap(), Ending::Drained);
}

#[test]
fn real_signals_reload_and_drain() {
    let process = start(LONG);
    let (reloaded, reloads) = mpsc::channel();
    process.life.listen_for_signals(move || reloaded.send(()).unwrap()).unwrap();
    let send = |signal: &str| {
        let status = Command::new("kill").args([signal, &std::process::id().to_string()]).status().unwrap();
        assert!(status.success());
    };
    for _ in 0..2 {
        send("-HUP");
        reloads.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(!process.life.is_draining());
    }
    send("-TERM");
    assert_eq!(process.run.join().unwrap(), Ending::Drained);
}
