//! `seawall completion` and `seawall man`: what can be made of the grammar of the commands itself.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, ValueEnum};
use clap_complete::aot::{Shell, generate};

use super::output;

/// The shells whose completion can be printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum CompletionShell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the completion script.
pub(super) fn completion(shell: CompletionShell, mut command: Command) -> ExitCode {
    let shell = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    generate(shell, &mut command, name, &mut script);
    output::bytes(&script)
}

/// Writes one page for each command into `directory`, which is made if there is none.
pub(super) fn man(directory: &Path, command: Command) -> ExitCode {
    match fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!("seawall: cannot write the pages into {}: {error}", directory.display()));
            ExitCode::FAILURE
        }
    }
}
