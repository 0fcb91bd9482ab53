//! `seawall serve --config FILE`.

use std::path::Path;
use std::process::ExitCode;

use super::output;
use crate::server::{self, StartError};

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
