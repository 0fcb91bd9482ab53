use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream as BlockingUnix};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use axum::extract::{Extension, State};
use axum::routing::{get, post};
use rustls::pki_types::ServerName;

use super::*;
use crate::proxy::listener::testing::{
    SLOW, WHO, ask, certificates, client_config, connect, is_closed, read_response, read_until, write_certificate,
};

/// A listener that serves a small router on a thread of its own.
struct Running {
    stop: watch::Sender<bool>,
    release: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Running {
    fn start(management: Management) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (release, released) = watch::channel(false);
        let slow = async |State(mut released): State<watch::Receiver<bool>>| {
            let _ = released.wait_for(|released| *released).await;
            "done"
        };
        let who = async |Extension(connection): Extension<Connection>| match connection {
            Connection::Tcp(peer) => format!("tcp {}", peer.ip()),
            Connection::Unix { uid } => format!("unix {uid:?}"),
        };
        let router = Router::new()
            .route("/who", get(who))
            .route("/slow", get(slow))
            .route("/body", post(async |body: String| body))
            .with_state(released);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let serve = move || runtime.block_on(management.serve(router, stopped)).unwrap();
        Self { stop, release, thread: Mutex::new(Some(thread::spawn(serve))) }
    }

    fn end(&self) {
        self.stop.send_replace(true);
        self.thread.lock().unwrap().take().unwrap().join().unwrap();
    }
}

fn loopback() -> Management {
    Management::tcp(([127, 0, 0, 1], 0).into(), None).unwrap()
}

fn hasty(management: Management) -> Management {
    let soon = Duration::from_millis(200);
    let patience = Patience { handshake: soon, head: soon, answer: soon, life: Duration::from_mins(1) };
    Management { patience, ..management }
}

fn unix(path: &Path) -> BlockingUnix {
    let stream = BlockingUnix::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

#[test]
fn a_request_says_how_it_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let (tcp, path) = (loopback(), folder.path().join("m.sock"));
    let address = tcp.address();
    let socket = Management::unix(&path).unwrap();
    let uid = fs::metadata(folder.path()).unwrap().uid();
    let (_tcp, _unix) = (Running::start(tcp), Running::start(socket));
    let mut client = connect(address);
    for _ in 0..3 {
        assert_eq!(ask(&mut client, WHO), "tcp 127.0.0.1");
    }
    assert_eq!(ask(&mut unix(&path), WHO), format!("unix Some({uid})"));
}

#[test]
fn tls_is_spoken_with_reloadable_certificates_and_a_silent_client_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let tls = certificates(vec![write_certificate(folder.path(), "a", &["a.test"])]);
    let management = hasty(Management::tcp(([127, 0, 0, 1], 0).into(), Some(tls)).unwrap());
    let address = management.address();
    let _running = Running::start(management);
    let mut silent = connect(address);

    let config = client_config(&["h2", "http/1.1"]);
    let session = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from("a.test").unwrap()).unwrap();
    let mut client = rustls::StreamOwned::new(session, connect(address));
    assert_eq!(ask(&mut client, WHO), "tcp 127.0.0.1");
    assert_eq!(client.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert!(is_closed(&mut silent));
}

#[test]
fn a_head_or_a_body_that_does_not_come_ends_the_connection() {
    let management = hasty(loopback());
    let address = management.address();
    let _running = Running::start(management);
    let mut idle = connect(address);
    assert_eq!(ask(&mut idle, WHO), "tcp 127.0.0.1");
    let mut head = connect(address);
    head.write_all(b"GET /who HTTP/1.1\r\nHost:").unwrap();
    let mut body = connect(address);
    body.write_all(b"POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    let answer = read_until(&mut body, "\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let mut rest = Vec::new();
    body.read_to_end(&mut rest).unwrap();
    assert!(rest.starts_with(br#"{"error":{"code":"RequestTimeout""#));
    for mut late in [idle, head] {
        let mut rest = String::new();
        late.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("200"), "{rest}");
    }
}

#[test]
fn a_connection_ends_at_last_though_its_client_goes_on() {
    let management = loopback();
    let patience = Patience { life: Duration::from_millis(200), ..management.patience };
    let management = Management { patience, ..management };
    let address = management.address();
    let _running = Running::start(management);
    let mut client = connect(address);
    let mut ends = false;
    for _ in 0..10_000 {
        let asked = client.write_all(WHO.as_bytes()).and_then(|()| client.read(&mut [0; 1024]));
        ends = asked.map_or(true, |read| read == 0);
        if ends {
            break;
        }
    }
    assert!(ends);
}

#[test]
fn at_the_limit_further_connections_wait_for_a_place() {
    let management = loopback();
    let address = management.address();
    let _running = Running::start(management);
    let mut open: Vec<_> = (0..MOST_CONNECTIONS).map(|_| connect(address)).collect();
    for client in &mut open {
        assert_eq!(ask(client, WHO), "tcp 127.0.0.1");
    }
    let mut waiting = connect(address);
    waiting.write_all(WHO.as_bytes()).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(waiting.read(&mut [0; 1]).is_err());
    waiting.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    drop(open);
    assert_eq!(read_response(&mut waiting), "tcp 127.0.0.1");
}

#[test]
fn what_has_begun_is_finished_at_the_end_and_nothing_else_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.sock");
    let running = Running::start(Management::unix(&path).unwrap());
    let (mut slow, mut idle) = (unix(&path), unix(&path));
    assert_eq!(ask(&mut idle, WHO).split(' ').next(), Some("unix"));
    slow.write_all(SLOW.as_bytes()).unwrap();
    // On the same thread as the slow one: when this is answered, that has begun.
    assert_eq!(ask(&mut unix(&path), WHO).split(' ').next(), Some("unix"));
    running.stop.send_replace(true);
    assert!(is_closed(&mut idle));
    while path.exists() {
        thread::sleep(Duration::from_millis(1));
    }
    running.release.send_replace(true);
    assert_eq!(read_response(&mut slow), "done");
    running.end();
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_is_its_owners_and_replaces_only_what_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let running = Running::start(Management::unix(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else remains");

    let refused = |path: &Path| Management::unix(path).err().unwrap().to_string();
    assert!(refused(&path).ends_with("another process is serving it"), "{}", refused(&path));
    let file = folder.path().join("notes.txt");
    fs::write(&file, "mine").unwrap();
    assert!(refused(&file).ends_with("something that is no socket is there"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert!(Management::unix(&folder.path().join("none/m.sock")).is_err());

    // Another process has taken the path: its socket is not ours to remove.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    running.end();
    assert!(path.exists());
    drop(other);
}

#[test]
fn a_port_that_is_taken_is_an_error_before_anything_starts() {
    let first = loopback();
    let error = Management::tcp(first.address(), None).err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot listen on {} for management: ", first.address())), "{error}");
}
