//! `seawall backup` and `seawall restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{output, resources};
use crate::server::{self, Amount, Existing, TransferError};

/// Of both commands.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The configuration file, which names the store.
    #[arg(long, env = "SEAWALL_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The backup; `-` is standard output or input.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// What only `restore` takes.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    place: Place,
    /// Put the backup in the place of everything in the store.
    #[arg(long)]
    replace: bool,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    yes: bool,
}

/// Exit code 0: the backup is complete and on the disk.
pub(super) fn backup(place: &Place) -> ExitCode {
    finish(server::backup(&place.config, &place.file), "backed up")
}

/// Exit code 0: everything is in the store. 1: the store is as it was.
pub(super) fn restore(restore: &Restore) -> ExitCode {
    let Restore { place: Place { config, file }, replace, yes } = restore;
    if *replace {
        match resources::confirmed(&question(config), *yes) {
            Ok(true) => {}
            Ok(false) => return ExitCode::FAILURE,
            Err(failure) => {
                output::complain(failure);
                return ExitCode::FAILURE;
            }
        }
    }
    let existing = if *replace { Existing::Replace } else { Existing::Keep };
    finish(server::restore(config, file, existing), "restored")
}

fn question(config: &Path) -> String {
    format!("Everything in the store of {} will be replaced. Are you sure you want to continue?", config.display())
}

fn finish(result: Result<Amount, TransferError>, done: &str) -> ExitCode {
    match result {
        Ok(Amount { records, other_hash_key }) => {
            // Not on standard output, where the backup itself may be.
            output::complain(format_args!("seawall: {records} record{} {done}", if records == 1 { "" } else { "s" }));
            if other_hash_key {
                output::complain(
                    "seawall: WARNING: the store had another hash key before: restart every seawall that runs on it, or \
                     it accepts no password of the restored store",
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            if let TransferError::Configuration(problems) = &error {
                output::problems(problems.clone());
            }
            output::complain(format_args!("seawall: nothing was {done}: {error}"));
            ExitCode::FAILURE
        }
    }
}
