//! A server that a test started: its log is kept, and it ends with the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{panicking, sleep};
use std::time::Duration;

/// How a server is stopped when the test is over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At once.
    Kill,
    /// By SIGTERM, for one that has children of its own to stop; at once if that takes longer than 15 s.
    Terminate,
}

/// A running server. Dropping it stops it and, when the test failed, prints the end of its log.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    stop: Stop,
}

impl Process {
    /// Starts a server whose output goes to `NAME.log` in `directory`.
    pub(crate) fn start(name: &'static str, command: &mut Command, directory: &Path, stop: Stop) -> Self {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} (`make deps` installs what is missing): {error}"));
        Self { name, child, log, stop }
    }

    /// # Panics
    ///
    /// When the server has ended by itself.
    pub(crate) fn expect_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} has ended: {status}", self.name);
        }
    }

    /// Everything the server has written so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "cannot send {name} to {}", self.name);
    }

    /// How the server ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    fn terminate(&mut self) {
        // Not `Child::kill`: that is SIGKILL, and the children of a daemon would stay.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        for _ in 0..300 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.stop == Stop::Terminate {
            self.terminate();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(200)..).unwrap_or_default().join("\n");
            eprintln!("--- the end of what {} wrote ---\n{end}\n---", self.name);
        }
    }
}
