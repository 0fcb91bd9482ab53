//! helm and oras, which push and pull what is no image, built from their own sources (S1-18).

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::client::{Home, Outcome};
use super::session::Account;

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools");

/// helm, with a chart of its own making.
pub(crate) struct Helm {
    home: Home,
}

impl Helm {
    pub(crate) fn new() -> Self {
        let helm = Self { home: Home::new() };
        helm.run(&["create", "hello-world"]).expect_success();
        helm.run(&["package", "hello-world", "--version", "0.1.0"]).expect_success();
        helm
    }

    /// As a script does: the password on standard input (S1-32).
    pub(crate) fn log_in(&self, server: &str, account: &Account) -> Outcome {
        let program = format!("{TOOLS}/helm");
        let mut command = self.home.command(&program);
        command.args(["registry", "login", server, "--username", &account.user, "--password-stdin", "--plain-http"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(account.password.as_bytes()).unwrap();
        Outcome::of(&format!("helm registry login {server}"), &child.wait_with_output().unwrap())
    }

    pub(crate) fn push(&self, server: &str, repository: &str) -> Outcome {
        self.run(&["push", "hello-world-0.1.0.tgz", &format!("oci://{server}/{repository}"), "--plain-http"])
    }

    pub(crate) fn pull(&self, server: &str, repository: &str) -> Outcome {
        let chart = format!("oci://{server}/{repository}/hello-world");
        self.run(&["pull", &chart, "--version", "0.1.0", "--destination", "tmp", "--plain-http"])
    }

    /// Whether what was pulled is what was pushed.
    pub(crate) fn has_pulled_the_same(&self) -> bool {
        let read = |name: &str| fs::read(self.home.path().join(name)).unwrap();
        read("hello-world-0.1.0.tgz") == read("tmp/hello-world-0.1.0.tgz")
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.home.run(&format!("{TOOLS}/helm"), arguments)
    }
}

/// oras, with a file to push.
pub(crate) struct Oras {
    home: Home,
}

impl Oras {
    pub(crate) const fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn new() -> Self {
        let home = Home::new();
        fs::write(home.path().join("artifact.txt"), "an artifact").unwrap();
        Self { home }
    }

    pub(crate) fn log_in(&self, server: &str, account: &Account) -> Outcome {
        self.run(&["login", server, "-u", &account.user, "-p", &account.password, "--plain-http"])
    }

    pub(crate) fn push(&self, reference: &str) -> Outcome {
        self.run(&["push", "--plain-http", reference, "artifact.txt:text/plain"])
    }

    pub(crate) fn pull(&self, reference: &str) -> Outcome {
        self.run(&["pull", "--plain-http", reference, "--output", "tmp"])
    }

    /// An artifact of this kind that refers to `reference`.
    pub(crate) fn attach(&self, reference: &str, kind: &str) -> Outcome {
        self.run(&["attach", "--plain-http", "--artifact-type", kind, reference, "artifact.txt:text/plain"])
    }

    /// What refers to `reference`.
    pub(crate) fn discover(&self, reference: &str) -> Outcome {
        self.run(&["discover", "--plain-http", "--format", "json", reference])
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.home.run(&format!("{TOOLS}/oras"), arguments)
    }
}
