//! Printing. A closed pipe is not an error worth a panic: whoever read enough has read enough.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use super::visible;
use crate::policy::problem::Problems;

/// One line on standard output.
pub(super) fn line(text: impl Display) -> ExitCode {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A whole text, which brings its line breaks, on standard output.
pub(super) fn bytes(text: &[u8]) -> ExitCode {
    match io::stdout().lock().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A text with its line breaks, and one more, on standard error. Other control characters are shown rather than obeyed.
pub(super) fn complain(text: impl Display) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(io::stderr().lock(), "{}", visible::lines(&text.to_string()));
}

/// Pretty JSON on standard output, with a final line break.
pub(super) fn json(value: &serde_json::Value) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Every problem on standard error, in the order of the files, and how many there were.
pub(super) fn problems(problems: Problems) {
    let problems = problems.sorted();
    for problem in &problems {
        complain(problem);
    }
    let warnings = problems.iter().filter(|problem| problem.warning).count();
    match (problems.len() - warnings, warnings) {
        (0, 0) => {}
        (fatal, 0) => complain(count(fatal, "problem")),
        (0, warnings) => complain(count(warnings, "warning")),
        (fatal, warnings) => complain(format_args!("{}, {}", count(fatal, "problem"), count(warnings, "warning"))),
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
