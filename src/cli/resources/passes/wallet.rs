//! The passes as Docker's and the containers tools' configuration files, in a directory that goes with them.

use std::os::unix::fs::symlink;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Pass, PrivateDirectory};
use crate::cli::resources::failure::Failure;
use crate::client::docker_config::DockerConfig;

const DOCKER: &str = "config.json";
const CONTAINERS: &str = "auth.json";
const REGISTRIES: &str = "registries.conf";
/// What else is in Docker's directory that a program may need, and that is no credential.
const KEPT: [&str; 3] = ["cli-plugins", "contexts", "buildx"];
/// What the program that runs with the passes is not given.
const OWN_SECRETS: [&str; 3] =
    ["SEAWALL_PASSWORD", "SEAWALL_CREDENTIAL", crate::cli::resources::import::SOURCE_PASSWORD];

/// Removed when it is dropped.
#[derive(Debug)]
pub(in crate::cli::resources) struct Wallet {
    directory: PrivateDirectory,
    /// Whether a registry on this machine has no TLS, which containers tools have to be told.
    plain: bool,
}

impl Wallet {
    /// Writes the files.
    pub(in crate::cli::resources) fn of(passes: &[Pass]) -> Result<Self, Failure> {
        let directory = PrivateDirectory::in_memory()?;
        let text = format!("{}\n", configuration(passes));
        directory.write(DOCKER, &text)?;
        directory.write(CONTAINERS, &text)?;
        let plain: Vec<_> = passes.iter().filter(|pass| pass.address.url("/").scheme() == "http").collect();
        if !plain.is_empty() {
            let insecure =
                |pass: &&Pass| format!("[[registry]]\nlocation = {:?}\ninsecure = true\n", pass.address.server());
            directory.write(REGISTRIES, &plain.iter().map(insecure).collect::<String>())?;
        }
        if let Ok(usual) = DockerConfig::default_directory() {
            for name in KEPT {
                let there = usual.join(name);
                // It would be missed by whoever needs it, and told then.
                let _ = there.exists().then(|| symlink(&there, directory.path().join(name)));
            }
        }
        Ok(Self { directory, plain: !plain.is_empty() })
    }

    /// `command` finds the passes, and nothing else that is secret.
    pub(in crate::cli::resources) fn give_to(&self, command: &mut Command) {
        let path = self.directory.path();
        command.env("DOCKER_CONFIG", path);
        command.env("REGISTRY_AUTH_FILE", path.join(CONTAINERS));
        command.env("HELM_REGISTRY_CONFIG", path.join(DOCKER));
        // Docker would take the logins in there instead.
        command.env_remove("DOCKER_AUTH_CONFIG");
        if self.plain {
            command.env("CONTAINERS_REGISTRIES_CONF", path.join(REGISTRIES));
        }
        withhold(command);
    }
}

/// Takes our own secrets out of what `command` inherits.
pub(in crate::cli::resources) fn withhold(command: &mut Command) {
    for secret in OWN_SECRETS {
        command.env_remove(secret);
    }
}

/// User name and password, which every reader of these files understands.
fn configuration(passes: &[Pass]) -> Value {
    let entries = passes.iter().map(|pass| {
        let both = STANDARD.encode(format!("{}:{}", pass.user, pass.password.expose()));
        let key = if pass.address.is_docker_hub() { "https://index.docker.io/v1/" } else { pass.address.server() };
        (key.to_owned(), json!({ "auth": both }))
    });
    json!({ "auths": entries.collect::<Map<_, _>>() })
}
