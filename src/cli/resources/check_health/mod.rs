//! `seawall check-health`: whether this machine can reach a registry and log in, and if not, at which step it ends.
//!
//! The steps, their order and the codes of what goes wrong are those of `az acr check-health` (requirements B.11). Programs
//! that are not installed are told and stop nothing.

mod docker;
mod login;
mod trouble;

use std::process::ExitCode;

use clap::Args;
use rpassword::prompt_password;

use self::login::{Credentials, Registry};
use self::trouble::Trouble;
use super::arguments::{Common, name};
use super::login_server;
use super::session::confirmed;
use crate::cli::{output, visible};
use crate::clock::{Clock, SystemClock};
use crate::policy::address::LoginServer;
use crate::secret::Secret;

/// `check-health`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckHealth {
    /// The name of the registry. Without it only this machine is looked at.
    #[arg(short, long, value_name = "NAME", value_parser = name, visible_short_alias = 'r', visible_alias = "registry")]
    name: Option<String>,
    /// Look for the permissions that the user has on this repository.
    #[arg(long, value_name = "REPOSITORY", requires = "name", requires = "username")]
    repository: Option<String>,
    /// Go on after an error.
    #[arg(long)]
    ignore_errors: bool,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    yes: bool,
    /// Log in as this token, or as the admin account.
    #[arg(short, long, requires = "name")]
    username: Option<String>,
    /// The password. It is asked for when this is left out.
    #[arg(short, long, env = "SEAWALL_PASSWORD", hide_env_values = true, value_parser = secret)]
    password: Option<Secret>,
    #[command(flatten)]
    common: Common,
}

#[expect(clippy::unnecessary_wraps, reason = "clap wants a parser that may fail")]
fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

/// Exit code 1: something is wrong that the caller can do something about.
pub(super) fn run(arguments: CheckHealth) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut checkup = Checkup { ignore_errors: arguments.ignore_errors, failed: false };
    let done = match runtime {
        Ok(runtime) => runtime.block_on(checkup.all(arguments)),
        Err(error) => checkup.settle::<()>(Err(Trouble::unexpected(error.to_string()))).map(drop),
    };
    if done.is_err() || checkup.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The first error ended it.
struct Ended;

/// The state of one run.
struct Checkup {
    ignore_errors: bool,
    failed: bool,
}

impl Checkup {
    async fn all(&mut self, arguments: CheckHealth) -> Result<(), Ended> {
        self.docker(arguments.yes)?;
        say(format_args!("seawall version: {}", env!("CARGO_PKG_VERSION")));
        if let Some(name) = &arguments.name {
            self.registry(name, &arguments).await?;
        }
        if let Some(version) = self.settle(docker::helm_version())? {
            say(format_args!("Helm version: {version}"));
        }
        Ok(())
    }

    fn docker(&mut self, yes: bool) -> Result<(), Ended> {
        if self.settle(docker::daemon())?.is_none() {
            return Ok(());
        }
        say("Docker daemon status: available");
        if let Some(version) = self.settle(docker::version())? {
            say(format_args!("Docker version: {version}"));
        }
        let question = format!("This will pull the image {:?}. Proceed?", docker::IMAGE);
        // Where nobody can be asked nothing is pulled: the image is somebody else's, and far away.
        if !confirmed(&question, yes).unwrap_or(false) {
            say("Skipping pull check.");
        } else if self.settle(docker::pull())?.is_some() {
            say(format_args!("Docker pull of '{}' : OK", docker::IMAGE));
        }
        Ok(())
    }

    async fn registry(&mut self, name: &str, arguments: &CheckHealth) -> Result<(), Ended> {
        let credentials = credentials(arguments).map_err(Trouble::unexpected);
        let credentials = self.settle(credentials)?.flatten();
        let Some(server) = self.settle(login_server(name, &arguments.common).await)? else { return Ok(()) };
        let Some(registry) = self.settle(Registry::new(&server, arguments.common.server.authorities()))? else {
            return Ok(());
        };
        if let Some(address) = self.settle(registry.address().await)? {
            say(format_args!("DNS lookup to {server} at IP {address} : OK"));
        }
        let Some(challenge) = self.settle(registry.challenge().await)? else { return Ok(()) };
        say(format_args!("Challenge endpoint {} : OK", challenge.asked));
        let Some(credentials) = credentials else {
            say(format_args!("Fetch access token for registry '{server}' : skipped, as there is no --username"));
            return Ok(());
        };
        let repository = arguments.repository.as_deref();
        if self.settle(registry.log_in(&challenge, &credentials, repository).await)?.is_some() {
            say(format_args!("Fetch access token for registry '{server}' : OK"));
        }
        Ok(())
    }

    /// The result of a step, if there is one to go on with.
    fn settle<T>(&mut self, result: Result<T, Trouble>) -> Result<Option<T>, Ended> {
        let trouble = match result {
            Ok(value) => return Ok(Some(value)),
            Err(trouble) => trouble,
        };
        output::complain(trouble.told(SystemClock.now()));
        self.failed |= !trouble.is_harmless();
        if trouble.is_harmless() || self.ignore_errors { Ok(None) } else { Err(Ended) }
    }
}

/// As `az` does, beside standard output. Servers and programs have written parts of it.
fn say(text: impl std::fmt::Display) {
    output::complain(visible::line(&text.to_string()));
}

fn credentials(arguments: &CheckHealth) -> Result<Option<Credentials>, String> {
    let Some(username) = &arguments.username else { return Ok(None) };
    let password = match &arguments.password {
        Some(password) => password.clone(),
        None => Secret::new(prompt_password("Password: ").map_err(|_| "give the password with --password".to_owned())?),
    };
    Ok(Some(Credentials { username: username.clone(), password }))
}

/// What the server says; else, on its own machine, what its file says.
async fn login_server(name: &str, common: &Common) -> Result<LoginServer, Trouble> {
    let told = login_server::find(name, common).await.map_err(|failure| {
        Trouble::new("LOGIN_SERVER_ERROR", format!("Unable to get the login server of registry '{name}'. {failure}"))
    })?;
    LoginServer::parse(&told).map_err(|error| {
        Trouble::new("LOGIN_SERVER_ERROR", format!("The login server of registry '{name}' is {told:?}: {error}"))
    })
}
