//! `seawall check FILE`: everything that `serve` would look at before it starts.

use std::path::Path;
use std::process::ExitCode;

use super::output;
use crate::server;

/// Exit code 0: the file can be served. 1: it cannot.
pub(super) fn run(file: &Path) -> ExitCode {
    let problems = server::check(file);
    let fatal = problems.are_fatal();
    output::problems(problems);
    if fatal { ExitCode::FAILURE } else { output::line(format_args!("{}: no problems", file.display())) }
}
