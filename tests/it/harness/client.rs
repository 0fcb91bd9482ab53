//! What is common to the real clients: a home of their own, and what a test may ask of each of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::image::Layout;
use super::session::Account;

/// A real registry client, in a home of its own.
pub(crate) trait Client: Sized {
    /// How the client words a push that its account may not do (requirements B.10).
    const REFUSED: &'static str;

    /// How the client words a login with a wrong password or, without a login, the first transfer.
    const WRONG_PASSWORD: &'static str;

    /// With empty storage and without any login.
    fn new() -> Self;

    /// Keeps the account for the calls that follow, in the client's own way.
    fn log_in(&mut self, server: &str, account: &Account) -> Outcome;

    /// Takes an image or an index into the client's storage under this reference; returns what [`Client::identity`]
    /// has to say once the same was pulled.
    fn load(&self, layout: &Layout, reference: &str) -> String;

    /// Sends what was loaded under this reference, an index with everything it lists.
    fn push(&self, layout: &Layout, reference: &str) -> Outcome;

    fn pull(&self, reference: &str) -> Outcome;

    /// The digest by which the client's storage knows what it has under this reference for this machine.
    fn identity(&self, reference: &str) -> Option<String>;

    /// Removes it from the client's storage.
    fn forget(&self, reference: &str);
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    command: String,
    pub(crate) succeeded: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Of a command that has ended.
    pub(crate) fn of(command: &str, output: &Output) -> Self {
        Self {
            command: command.to_owned(),
            succeeded: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// For what a client needs no command for.
    pub(crate) fn nothing_to_do() -> Self {
        Self { command: String::new(), succeeded: true, stdout: String::new(), stderr: String::new() }
    }

    /// # Panics
    ///
    /// When the command failed.
    pub(crate) fn expect_success(self) -> Self {
        assert!(self.succeeded, "{self}");
        self
    }

    /// # Panics
    ///
    /// When the command succeeded, or failed without these words.
    pub(crate) fn expect_failure(self, words: &str) -> Self {
        assert!(!self.succeeded, "this should have failed: {self}");
        assert!(self.stderr.contains(words) || self.stdout.contains(words), "no `{words}` in: {self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}\nstdout: {}\nstderr: {}", self.command, self.stdout, self.stderr)
    }
}

/// Lower case throughout: some clients derive an image name from it.
pub(crate) fn relative_layout(reference: &str) -> String {
    format!("layouts/{}", reference.replace(['/', ':', '@'], "_"))
}

/// A home folder with the settings that containers/image, Docker and containerd look for, and nothing of this machine's.
pub(crate) struct Home {
    directory: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        let file = |name: &str, text: String| {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        let at = |name: &str| path.join(name).display().to_string();
        file(".config/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#.to_owned());
        let registries = file("registries.conf", "unqualified-search-registries = []\n".to_owned());
        let storage = file(
            "storage.conf",
            format!("[storage]\ndriver = \"vfs\"\nrunroot = \"{}\"\ngraphroot = \"{}\"\n", at("run"), at("graph")),
        );
        fs::create_dir_all(path.join("docker")).unwrap();
        fs::create_dir_all(path.join("tmp")).unwrap();
        let environment = vec![
            ("HOME", path.display().to_string()),
            ("PATH", format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", at("bin"))),
            ("TMPDIR", at("tmp")),
            ("XDG_RUNTIME_DIR", at("tmp")),
            ("CONTAINERS_REGISTRIES_CONF", registries),
            ("CONTAINERS_STORAGE_CONF", storage),
            ("REGISTRY_AUTH_FILE", at("auth.json")),
            ("DOCKER_CONFIG", at("docker")),
            ("DOCKER_HOST", format!("unix://{}", at("docker.sock"))),
        ];
        Self { directory, environment }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where a layout of this reference is kept. Commands may name it relative to the home they run in.
    pub(crate) fn layout(&self, reference: &str) -> PathBuf {
        self.path().join(relative_layout(reference))
    }

    /// A command that runs in this home and knows no other.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().cloned()).current_dir(self.path());
        command
    }

    /// Runs a client's command to its end, for at most three minutes.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Outcome {
        let mut command = self.command("timeout");
        command.args(["--kill-after=5", "180", program]).args(arguments).stdin(Stdio::null());
        let output = command.output().unwrap();
        // 127 and 126 of `timeout`: the program is not there. A missing client must not look like a refusal.
        let code = output.status.code();
        assert!(!matches!(code, Some(126 | 127)), "`{program}` cannot be run: `make deps` installs it");
        assert!(code != Some(124), "`{program} {}` did not end in three minutes", arguments.join(" "));
        Outcome::of(&format!("{program} {}", arguments.join(" ")), &output)
    }
}
