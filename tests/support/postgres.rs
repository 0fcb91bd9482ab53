//! A real PostgreSQL server for a test or a measurement, empty at first and gone afterwards.
//!
//! Included by `#[path]` where it is needed; it uses nothing of the other harness.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::Duration;

/// The owner of everything in the server; there are no passwords.
const USER: &str = "seawall";
/// Below the ports of the other harness, and of the kernel's outgoing connections.
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 8_000;

/// A running server. Dropping it stops it.
pub(crate) struct Postgres {
    directory: tempfile::TempDir,
    programs: PathBuf,
    /// Whom it runs as: PostgreSQL refuses root.
    owner: Option<(u32, u32)>,
    port: u16,
    settings: Vec<String>,
    server: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// A server of this test's own, on a port of the loopback. It answers when this returns.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// The same with further settings (`name=value`). `prepare` is given the server's data directory, where it may put
    /// files that the settings name.
    pub(crate) fn start_with(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let directory = tempfile::Builder::new().prefix("seawall-postgres-").tempdir().unwrap();
        let owner = is_root().then(|| (id_of("-u"), id_of("-g")));
        if let Some((user, group)) = owner {
            chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        let mut postgres = Self {
            directory,
            programs: programs(),
            owner,
            port: free_port(),
            settings: Vec::new(),
            server: None,
            databases: AtomicU32::new(0),
        };
        let data = postgres.data();
        let made = postgres
            .command("initdb")
            .args(["-A", "trust", "-E", "UTF8", "--no-sync", "-U", USER, "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        postgres.settings = prepare(&data);
        postgres.give_away(&data);
        postgres.start_again();
        postgres
    }

    /// A server that all tests share that run at this moment; each uses a [`Postgres::database`] of its own. It does not
    /// wait for the disk.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        // A test that failed while it held the lock has left it in order.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start_with(|_| vec!["fsync=off".to_owned()]));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// The URL of the database that every server has.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of a new, empty database.
    pub(crate) fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let port = self.port.to_string();
        let made = self.command("createdb").args(["-h", "127.0.0.1", "-p", &port, "-U", USER, &name]).output().unwrap();
        assert!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
        self.url_of(&name)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server and every connection to it. What was committed stays.
    pub(crate) fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // PostgreSQL's fast shutdown, of the one process that was started here.
        let _ = Command::new("kill").args(["-INT", &server.id().to_string()]).status();
        for _ in 0..300 {
            if !matches!(server.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        let _ = server.kill();
        let _ = server.wait();
    }

    /// Starts the server after [`Postgres::stop`], with the same data at the same address.
    pub(crate) fn start_again(&mut self) {
        let log = self.directory.path().join("log");
        let output = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        let port = format!("port={}", self.port);
        let sockets = format!("unix_socket_directories={}", self.directory.path().display());
        for setting in
            ["listen_addresses=127.0.0.1", &port, &sockets].into_iter().chain(self.settings.iter().map(|s| &**s))
        {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut server = command.spawn().unwrap();
        for _ in 0..600 {
            let port = self.port.to_string();
            let asked = self.command("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &port]).status().unwrap();
            if asked.success() {
                self.server = Some(server);
                return;
            }
            if let Some(status) = server.try_wait().unwrap() {
                panic!("PostgreSQL has ended: {status}\n{}", fs::read_to_string(&log).unwrap());
            }
            sleep(Duration::from_millis(50));
        }
        let _ = server.kill();
        panic!("PostgreSQL does not answer\n{}", fs::read_to_string(&log).unwrap());
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        // A folder that its user may be in.
        command.current_dir(self.directory.path());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    /// Files that `prepare` made belong to the server's user; it refuses keys that others can read.
    fn give_away(&self, data: &Path) {
        for entry in fs::read_dir(data).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                if let Some((user, group)) = self.owner {
                    chown(&path, Some(user), Some(group)).unwrap();
                }
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where `initdb` and `postgres` are: Debian keeps them out of the path.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders
        .into_iter()
        .find(|folder| ["initdb", "postgres", "createdb", "pg_isready"].iter().all(|name| folder.join(name).exists()))
        .expect("PostgreSQL is missing: `make deps` installs it")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0).unwrap()
}

fn id_of(flag: &str) -> u32 {
    let output = Command::new("id").args([flag, "postgres"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("PostgreSQL's packages make a user `postgres`")
}

fn free_port() -> u16 {
    static HANDED_OUT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORTS {
        // Processes that run at the same time begin at different places.
        let begin = u16::try_from(process::id().wrapping_mul(97) % u32::from(PORTS)).unwrap();
        let port = FIRST_PORT + begin.wrapping_add(HANDED_OUT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free on the loopback");
}
