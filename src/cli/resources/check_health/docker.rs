//! The programs of this machine: Docker and Helm.

use std::io;
use std::process::{Command, Stdio};

use super::trouble::Trouble;

/// What is pulled to see that pulling works at all.
pub(super) const IMAGE: &str = "mcr.microsoft.com/mcr/hello-world:latest";
const VERSION_FORMAT: &str =
    "Docker version {{.Server.Version}}, build {{.Server.GitCommit}}, platform {{.Server.Os}}/{{.Server.Arch}}";

/// Whether there is a daemon that answers.
pub(super) fn daemon() -> Result<(), Trouble> {
    ask("docker", &["ps"], ["DOCKER_COMMAND_ERROR", "DOCKER_DAEMON_ERROR"]).map(drop)
}

pub(super) fn version() -> Result<String, Trouble> {
    ask("docker", &["version", "--format", VERSION_FORMAT], ["DOCKER_COMMAND_ERROR", "DOCKER_VERSION_ERROR"])
}

pub(super) fn pull() -> Result<(), Trouble> {
    ask("docker", &["pull", IMAGE], ["DOCKER_COMMAND_ERROR", "DOCKER_PULL_ERROR"]).map(drop)
}

pub(super) fn helm_version() -> Result<String, Trouble> {
    ask("helm", &["version", "--short"], ["HELM_COMMAND_ERROR", "HELM_VERSION_ERROR"])
}

/// What `program` prints. `codes` are for a program that is not there, and for one that fails.
fn ask(program: &str, arguments: &[&str], codes: [&'static str; 2]) -> Result<String, Trouble> {
    let [missing, failed] = codes;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Trouble::not_installed(missing, program)
        } else {
            Trouble::new(missing, format!("{program} cannot be run: {error}"))
        }
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Trouble::new(failed, format!("`{program} {}` failed: {}", arguments.join(" "), said.trim())))
}
