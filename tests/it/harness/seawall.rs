//! The real seawall: started with the file that a test gives, reloaded by editing that file, ended with the test.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Process, Stop};
use super::{http, ports, wait_until};

/// All callers of most tests come from one address, and some of them fail often on purpose. Tests of the limits take this
/// line out.
pub(crate) const NO_LOGIN_LIMITS: &str = "loginLimits: {perSource: 0, perPrincipal: 0}";

/// Where a seawall is going to run: its folder and addresses, known before its file is written.
pub(crate) struct Place {
    directory: TempDir,
    public: SocketAddr,
    metrics: SocketAddr,
    management: SocketAddr,
    /// The keys of the file that say where the policy of the API is kept.
    store: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = format!("store: \"sqlite:{}/seawall.db\"", directory.path().display());
        Self { directory, public: ports::free(), metrics: ports::free(), management: ports::free(), store }
    }

    /// The same place with its store in a PostgreSQL; `key` is the file of the encryption key.
    pub(crate) fn on(mut self, database: &str, key: &Path) -> Self {
        self.store = format!("store: \"{database}\"\nencryptionKey: {{file: \"{}\"}}", key.display());
        self
    }

    /// For `loginServer`: what clients put before a repository's name.
    pub(crate) fn login_server(&self) -> String {
        self.public.to_string()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn public(&self) -> SocketAddr {
        self.public
    }

    pub(crate) fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    /// Where its management API listens.
    pub(crate) fn management(&self) -> SocketAddr {
        self.management
    }

    /// The file that the owner's credential is written to.
    pub(crate) fn credential_file(&self) -> PathBuf {
        self.path().join("management.credential")
    }

    /// Keeps a secret in a file that only its owner may read, for `file:`. The file is not touched when it holds the
    /// secret already: seawall watches it.
    pub(crate) fn secret(&self, name: &str, value: &str) -> PathBuf {
        let path = self.path().join(format!("{name}.secret"));
        if fs::read_to_string(&path).is_ok_and(|text| text == value) {
            return path;
        }
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path).unwrap();
        file.write_all(value.as_bytes()).unwrap();
        path
    }

    /// A whole file: one plain listener, a store and a management address of its own, and `registries` as written by the
    /// test, the word `registries:` included.
    pub(crate) fn document(&self, registries: &str) -> String {
        let path = self.path().display();
        format!(
            "version: 1\n\
             listeners: [{{name: public, address: \"{}\", source: {{mode: peer}}}}]\n\
             metrics: {{address: \"{}\"}}\n\
             audit: {{output: \"file:{path}/audit.jsonl\"}}\n\
             signing: {{directory: \"{path}/keys\"}}\n\
             management: {{address: \"{}\", credentialFile: \"{path}/management.credential\"}}\n\
             {NO_LOGIN_LIMITS}\n\
             {}\n\
             {registries}",
            self.public, self.metrics, self.management, self.store
        )
    }

    /// Starts seawall with a whole file, such as `document` makes; returns when it is ready.
    pub(crate) fn start(self, document: &str) -> Seawall {
        write(self.path(), document);
        self.start_with("seawall.yaml")
    }

    /// The same, with this variable in the process's environment.
    pub(crate) fn start_where(self, (name, value): (&str, &Path), document: &str) -> Seawall {
        write(self.path(), document);
        let mut command = self.command("seawall.yaml");
        command.env(name, value);
        self.start_by(&mut command)
    }

    /// Starts seawall with a file that the test has put below this place; returns when it is ready.
    pub(crate) fn start_with(self, file: &str) -> Seawall {
        let mut command = self.command(file);
        self.start_by(&mut command)
    }

    fn start_by(self, command: &mut Command) -> Seawall {
        let mut process = Process::start("seawall", command, self.path(), Stop::Kill);
        wait_until("seawall is ready", || {
            process.expect_running();
            http::get(self.metrics, "/readyz").is_some_and(|response| response.status == 200)
        });
        Seawall { process, place: self }
    }

    /// Tries to start with a file that must be refused: says how it ended and all that was written.
    pub(crate) fn start_in_vain(&self, document: &str) -> (Option<i32>, String) {
        write(self.path(), document);
        let mut process = Process::start("seawall", &mut self.command("seawall.yaml"), self.path(), Stop::Kill);
        let mut ended = None;
        wait_until("seawall gives up", || {
            ended = process.ended();
            ended.is_some()
        });
        (ended.unwrap().code(), process.log())
    }

    fn command(&self, file: &str) -> Command {
        let mut command = Command::new(program());
        command.arg("serve").arg("--config").arg(self.path().join(file)).current_dir(self.path());
        command
    }
}

/// The seawall that is built with the tests; measurements name an optimised one by `SEAWALL_BINARY`.
pub(crate) fn program() -> PathBuf {
    env::var_os("SEAWALL_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_seawall")), PathBuf::from)
}

/// By rename, as editors and configuration managers do: no reader ever sees half a file.
fn write(directory: &Path, document: &str) {
    fs::create_dir_all(directory.join("keys")).unwrap();
    let draft = directory.join("seawall.yaml.draft");
    fs::write(&draft, document).unwrap();
    fs::rename(draft, directory.join("seawall.yaml")).unwrap();
}

/// A running seawall.
pub(crate) struct Seawall {
    // The process first: it must have ended when its folder is removed.
    process: Process,
    place: Place,
}

impl Seawall {
    pub(crate) fn address(&self) -> SocketAddr {
        self.place.public
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Still the process that was started.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Another process in the same place with the same file, after this one has ended or been killed.
    pub(crate) fn restarted(self) -> Self {
        let Self { process, place } = self;
        drop(process);
        place.start_with("seawall.yaml")
    }

    /// The value of a metric without labels, such as `seawall_policy_version`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = http::get(self.place.metrics, "/metrics").unwrap().expect(200).text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no metric {name} in:\n{text}"))
    }

    /// Replaces the file and waits until its policy is in force.
    pub(crate) fn edit(&self, document: &str) {
        // Not the version alone: the store has changes of its own.
        let reloads = || self.metric("seawall_policy_reloads_total{result=\"ok\"}");
        let before = (reloads(), self.metric("seawall_policy_version"));
        write(self.place.path(), document);
        wait_until("the edited policy is in force", || {
            reloads() > before.0 && self.metric("seawall_policy_version") > before.1
        });
    }

    /// The audit records so far, oldest first: also those of answers that are there already, which seawall gathers for 10 ms.
    pub(crate) fn audit(&self) -> Vec<Value> {
        thread::sleep(Duration::from_millis(50));
        let text = fs::read_to_string(self.place.path().join("audit.jsonl")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}
