//! `seawall check FILE`: everything that `serve` would look at before it starts.

use std::path::Path;
use std::process::ExitCode;

use super::output;
use crate::server;

/// Exit code 0: the file can be served. 1: it cannot.
pub(super) fn run(file: &Path) -> ExitCode {
    let problems = server::check(file);
    let (fatal, clean) = (problems.are_fatal(), problems.is_empty());
    output::problems(problems);
    let found = if clean { "no problems" } else { "can be served, with the warnings above" };
    if fatal { ExitCode::FAILURE } else { output::line(format_args!("{}: {found}", file.display())) }
}
