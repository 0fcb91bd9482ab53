//! Real registries to stand behind seawall: Debian's Distribution 2.8, and Distribution 3 as `make deps` installs it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::http::{self, Response};
use super::process::{Process, Stop};
use super::{ports, wait_until};

/// Which registry to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distribution {
    V2,
    V3,
}

impl Distribution {
    /// The versions that this machine can start. 3 is left out, aloud, only where `make deps` found no Go.
    pub(crate) fn at_hand() -> Vec<Self> {
        let tools = tools();
        if let Ok(reason) = fs::read_to_string(tools.join("not-checked"))
            && !tools.join("registry").exists()
        {
            eprintln!("{reason}");
            return vec![Self::V2];
        }
        vec![Self::V2, Self::V3]
    }

    fn program(self) -> PathBuf {
        match self {
            Self::V2 => PathBuf::from("docker-registry"),
            Self::V3 => tools().join("registry"),
        }
    }
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools")
}

/// A running registry with storage of its own; open to whoever reaches it, unless started as guarded.
pub(crate) struct Registry {
    // The process first: it must have ended when its folder is removed.
    _process: Process,
    directory: TempDir,
    address: SocketAddr,
}

impl Registry {
    /// Returns when the registry answers.
    pub(crate) fn start(distribution: Distribution) -> Self {
        Self::guarded(distribution, ports::free(), "")
    }

    /// A registry at `address` with this `auth:` in its configuration, one line.
    pub(crate) fn guarded(distribution: Distribution, address: SocketAddr, auth: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let configuration = directory.path().join("registry.yaml");
        let text = format!("{}{auth}\n", configure(directory.path(), address));
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new(distribution.program());
        command.arg("serve").arg(&configuration).env("OTEL_TRACES_EXPORTER", "none");
        let mut process = Process::start("registry", &mut command, directory.path(), Stop::Kill);
        wait_until("the registry answers", || {
            process.expect_running();
            http::get(address, "/v2/").is_some_and(|response| matches!(response.status, 200 | 401))
        });
        Self { _process: process, directory, address }
    }

    /// Where it listens, for a caller who goes past seawall.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its files are, below `docker/`.
    pub(crate) fn storage(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// For `upstream.url`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the registry itself answers when asked for a manifest, past seawall.
    pub(crate) fn manifest(&self, repository: &str, reference: &str) -> Response {
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.docker.distribution.manifest.v2+json";
        let path = format!("/v2/{repository}/manifests/{reference}");
        http::request(self.address, "GET", &path, &[("Accept", accept)], b"").unwrap()
    }
}

fn configure(directory: &Path, address: SocketAddr) -> String {
    format!(
        "version: 0.1\n\
         log: {{level: info, formatter: text}}\n\
         storage:\n  \
           filesystem: {{rootdirectory: {}}}\n  \
           delete: {{enabled: true}}\n  \
           maintenance: {{uploadpurging: {{enabled: false}}}}\n\
         http: {{addr: \"{address}\", secret: notasecret}}\n",
        directory.join("data").display()
    )
}
