//! Commands; the only place that prints.

mod backup;
mod check;
mod format;
mod generated;
mod hash_password;
mod migrate;
mod output;
mod resources;
mod serve;
mod visible;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// An authenticating reverse proxy that gives any container registry the access control of Azure Container Registry (ACR).
#[derive(Debug, Parser)]
#[command(name = "seawall", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The one command that runs for months. Where this is what is meant, the arguments of the hundred others are not put together: a
/// megabyte that it would keep. Whatever is not understood here, [`Arguments`] understands, or explains.
#[derive(Debug, Parser)]
#[command(name = "seawall")]
enum Serving {
    Serve(serve::Arguments),
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the registries that a configuration file describes, until SIGTERM.
    Serve(serve::Arguments),
    /// Report every problem in a configuration file, with file:line:column and a hint. Exit code 1 if any is more than a warning.
    Check {
        /// The configuration file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the JSON Schema of the configuration file, for editors.
    Schema,
    /// Make the hash of a password for `hash:`. The password is asked for, or read from standard input.
    HashPassword {
        /// Generate a password of 256 random bits instead, and print it above its hash, once.
        #[arg(long)]
        generate: bool,
    },
    /// Write everything in the store to a file: tokens, scope maps, keys. Secrets in it are hashes, or sealed.
    Backup(backup::Place),
    /// Put a backup into the store, at once or not at all.
    Restore(backup::Restore),
    /// Turn an htpasswd file or docker_auth's configuration into a configuration file.
    Migrate {
        #[command(subcommand)]
        source: migrate::Source,
    },
    /// Print a script that completes these commands in a shell.
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: generated::CompletionShell,
    },
    /// Write a manual page for each command.
    Man {
        /// The directory to write to, such as /usr/local/share/man/man1.
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
    },
    #[command(flatten)]
    Resources(Box<resources::Command>),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    if resources::helper::is_meant() {
        return resources::helper::run();
    }
    if let Ok(Serving::Serve(arguments)) = Serving::try_parse() {
        return serve::run(&arguments.config);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error),
    };
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments.config),
        Command::Check { file } => check::run(&file),
        Command::Schema => output::json(&crate::config::schema()),
        Command::HashPassword { generate } => hash_password::run(generate),
        Command::Backup(place) => backup::backup(&place),
        Command::Restore(restore) => backup::restore(&restore),
        Command::Migrate { source } => migrate::run(source),
        Command::Completion { shell } => generated::completion(shell, Arguments::command()),
        Command::Man { directory } => generated::man(&directory, Arguments::command()),
        Command::Resources(command) => resources::run(*command),
    }
}

/// The help that was asked for, or what is wrong with the command line; that repeats what was typed, or what a script took from
/// elsewhere.
fn not_understood(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        output::complain(error.render().to_string().trim_end());
    } else {
        // Nobody is left to tell when there is no output.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
