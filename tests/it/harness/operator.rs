//! An operator at the server's own machine: the real `seawall` commands, which find the server by its file.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::seawall::Seawall;

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    command: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// # Panics
    ///
    /// When the command failed.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// # Panics
    ///
    /// When the command succeeded, or failed without these words.
    pub(crate) fn refused(self, words: &str) -> Self {
        assert_ne!(self.code, Some(0), "this should have failed: {self}");
        assert!(self.stderr.contains(words), "no `{words}` in: {self}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// Standard output without its last line break, as `$(…)` gives it.
    pub(crate) fn text(&self) -> &str {
        self.stdout.trim_end_matches('\n')
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} → {:?}\nstdout: {}\nstderr: {}", self.command, self.code, self.stdout, self.stderr)
    }
}

/// Runs `seawall` with these words, split at spaces, beside the server and with its file.
pub(crate) fn seawall(server: &Seawall, words: &str) -> Said {
    let words: Vec<&str> = words.split_whitespace().collect();
    run(server, &words)
}

/// The same, for words with spaces in them.
pub(crate) fn run(server: &Seawall, words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.env_clear().env("SEAWALL_CONFIG", server.place().path().join("seawall.yaml"));
    let output = command.args(words).current_dir(server.place().path()).stdin(Stdio::null()).output().unwrap();
    Said {
        command: format!("seawall {}", words.join(" ")),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
