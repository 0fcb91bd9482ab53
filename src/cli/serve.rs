//! `seawall serve --config FILE`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::output;
use crate::server::{self, StartError};

/// Where the configuration is.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(long, env = "SEAWALL_CONFIG", value_name = "FILE")]
    pub(super) config: PathBuf,
}

/// Serves until it is told to stop. Exit code 1: it could not start.
pub(super) fn run(config: &Path) -> ExitCode {
    match server::serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(StartError::Configuration(problems)) => {
            output::problems(problems);
            output::complain("seawall: not started: the configuration has problems");
            ExitCode::FAILURE
        }
        Err(error) => {
            output::complain(format_args!("seawall: not started: {error}"));
            ExitCode::FAILURE
        }
    }
}
