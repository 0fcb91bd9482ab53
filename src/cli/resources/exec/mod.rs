//! `seawall exec`: a program with credentials for several registries, which are gone when it ends.

pub(super) mod child;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env, fs};

use clap::Args;

use self::child::{Ended, Manners, Signals};
use super::arguments::{Common, name};
use super::failure::Failure;
use super::passes::{Bearer, Desk, Wallet, registry_or_server};
use crate::cli::output;
use crate::secret::Secret;

/// Where the password of `--username` is.
const PASSWORD: &str = "SEAWALL_PASSWORD";
/// As in shells: there is no such program, and it cannot be run.
const NO_SUCH_PROGRAM: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// `exec`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Exec {
    /// A registry that the program uses: its name, or its login server. May be repeated.
    #[arg(short, long, value_name = "NAME", required = true, value_parser = registry_or_server)]
    registry: Vec<String>,
    /// The managed identity that the program acts as.
    #[arg(long, value_name = "NAME", value_parser = name, group = "who")]
    identity: Option<String>,
    /// A file with an identity provider's token: the program acts as whoever that is about.
    #[arg(long, value_name = "FILE", group = "who")]
    identity_token: Option<PathBuf>,
    /// A service principal's client id, or a token; the password is in SEAWALL_PASSWORD.
    #[arg(short, long, value_name = "NAME", group = "who")]
    username: Option<String>,
    #[command(flatten)]
    common: Common,
    /// The program, and what is passed to it.
    #[arg(last = true, required = true, value_name = "CMD")]
    program: Vec<OsString>,
}

/// The exit code is the program's.
pub(super) fn run(arguments: &Exec) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(execute(arguments)),
        Err(error) => Err(Failure::new(format!("cannot start: {error}"))),
    };
    done.unwrap_or_else(|failure| {
        output::complain(&failure);
        ExitCode::from(failure.exit_code)
    })
}

async fn execute(arguments: &Exec) -> Result<ExitCode, Failure> {
    let bearer = arguments.bearer()?;
    let desk = Desk::new(&arguments.common)?;
    let mut passes = Vec::new();
    for registry in &arguments.registry {
        let pass = desk.pass(registry, &bearer).await;
        let pass = pass.map_err(|failure| failure.hint(format!("No login at {registry}; nothing was run.")))?;
        passes.push(pass);
    }
    let mut signals = Signals::new()?;
    let wallet = Wallet::of(&passes)?;
    let (program, words) = arguments.program.split_first().ok_or_else(|| Failure::usage("there is no program"))?;
    let mut command = Command::new(program);
    command.args(words);
    wallet.give_to(&mut command);
    let ended = match child::run(command, Manners::Ours, &mut signals).await {
        Ok(ended) => ended,
        Err(error) => {
            output::complain(format_args!("ERROR: cannot run {}: {error}", program.display()));
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            return Ok(ExitCode::from(if missing { NO_SUCH_PROGRAM } else { NOT_EXECUTABLE }));
        }
    };
    // Before the exit code, so that nothing is left behind.
    drop(wallet);
    Ok(match ended {
        Ended::Exited(status) => child::exit_code(status),
        Ended::TimedOut | Ended::Stopped => ExitCode::FAILURE,
    })
}

impl Exec {
    fn bearer(&self) -> Result<Bearer, Failure> {
        if let Some(identity) = &self.identity {
            return Ok(Bearer::Identity(identity.clone()));
        }
        if let Some(file) = &self.identity_token {
            let text = fs::read_to_string(file)
                .map_err(|error| Failure::new(format!("cannot read {}: {error}", file.display())))?;
            return Ok(Bearer::ProviderToken(Secret::new(text.trim())));
        }
        let Some(user) = self.username.clone() else { return Ok(Bearer::SignedIn) };
        let password = env::var(PASSWORD).ok().filter(|password| !password.is_empty());
        let password =
            password.ok_or_else(|| Failure::usage(format!("the password of {user} belongs in {PASSWORD}")))?;
        Ok(Bearer::Account { user, password: Secret::new(password) })
    }
}
