//! `seawall migrate`: other people's files become ours, and nothing is allowed that was not allowed before.

mod docker_auth;
mod htpasswd;
mod outcome;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::outcome::Outcome;
use super::output;
use crate::policy::names;
use crate::policy::problem::Problems;
use crate::server;

/// Turn the files of other programs into a configuration file for seawall. What cannot be taken over is named, and the exit
/// code is 1 then.
#[derive(Debug, Subcommand)]
pub(super) enum Source {
    /// An htpasswd file: each user with a bcrypt hash becomes a token.
    Htpasswd {
        /// The htpasswd file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What the users may do: the system-defined scope map that all of them get.
        #[arg(
            long,
            value_name = "SCOPE_MAP",
            default_value = "_repositories_push",
            value_parser = ["_repositories_pull", "_repositories_push", "_repositories_admin"]
        )]
        scope_map: String,
        #[command(flatten)]
        target: Target,
    },
    /// docker_auth's configuration file: each of its users becomes a token with a scope map made of the access control list.
    DockerAuth {
        /// The configuration file of docker_auth.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Take `team/*`, which in docker_auth ends at the next `/`, for everything below `team`. Otherwise it is left out.
        #[arg(long)]
        deeper: bool,
        #[command(flatten)]
        target: Target,
    },
}

/// What the migrated file says besides tokens and scope maps, and where it goes.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The name of the registry in the file that is made.
    #[arg(long, value_name = "NAME", default_value = "myregistry", value_parser = registry_name)]
    registry: String,
    /// The host by which clients address it, with the port unless it is 443.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1:8080")]
    login_server: String,
    /// The registry behind seawall.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    upstream: String,
    /// Write to this new file, which only its owner may read, instead of standard output.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

fn registry_name(name: &str) -> Result<String, String> {
    names::check_registry(name).map(|()| name.to_owned())
}

/// Exit code 0: everything was taken over.
pub(super) fn run(source: Source) -> ExitCode {
    let (outcome, target) = match source {
        Source::Htpasswd { file, scope_map, target } => {
            let text = server::read_text(&file);
            (text.map(|text| htpasswd::migrate(&file, &text, &target.registry, &scope_map)), target)
        }
        Source::DockerAuth { file, deeper, target } => (docker_auth::migrate(&file, &target.registry, deeper), target),
    };
    match outcome {
        Ok(outcome) => finish(outcome, &target),
        Err(problems) => {
            output::problems(problems);
            output::complain("seawall: nothing was migrated");
            ExitCode::FAILURE
        }
    }
}

fn finish(outcome: Outcome, target: &Target) -> ExitCode {
    let written = outcome.yaml(target).map_err(io::Error::other).and_then(|yaml| write(&yaml, target));
    let Outcome { tokens, left_out, problems, .. } = outcome;
    let complete = !problems.are_fatal();
    report(problems, tokens.len(), left_out);
    match written {
        Ok(()) if complete => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            output::complain(format_args!("seawall: cannot write the result: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn report(problems: Problems, migrated: usize, left_out: usize) {
    let complete = !problems.are_fatal();
    output::problems(problems);
    let users = |number: usize| format!("{number} user{}", if number == 1 { "" } else { "s" });
    let rest = match (left_out, complete) {
        (0, true) => String::new(),
        (0, false) => ", with less than they had: see above".to_owned(),
        (number, _) => format!(", {number} left out: see above"),
    };
    output::complain(format_args!("seawall: {} migrated{rest}", users(migrated)));
}

fn write(yaml: &str, target: &Target) -> io::Result<()> {
    let Some(path) = &target.output_file else { return io::stdout().lock().write_all(yaml.as_bytes()) };
    // Hashes are in it.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(yaml.as_bytes())).map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
