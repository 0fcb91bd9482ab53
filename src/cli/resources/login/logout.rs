//! `seawall logout`: what `seawall login` left behind is removed.

use clap::Args;

use super::docker::{HELPER, configuration};
use super::place;
use crate::cli::format::Outcome;
use crate::cli::output;
use crate::cli::resources::arguments::Common;
use crate::cli::resources::failure::Failure;
use crate::cli::resources::login_server;
use crate::client::address::RegistryAddress;
use crate::client::docker_config::DockerConfig;
use crate::client::sign_in::SignIns;
use crate::clock::SystemClock;

/// `logout`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Logout {
    /// The registry: its name or its login server. Without it, all that somebody signed in to, and the sign-ins at identity
    /// providers too.
    #[arg(short, long, value_name = "NAME", value_parser = place, visible_short_alias = 'r', visible_alias = "registry")]
    name: Option<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Logout {
    pub(super) async fn run(&self) -> Result<Outcome, Failure> {
        let sign_ins = SignIns::new(SignIns::default_directory()?);
        // Before anything is forgotten: what cannot be read could not be changed.
        configuration()?;
        let servers = match &self.name {
            None => sign_ins.remove_all(&SystemClock).await?,
            Some(name) => {
                let server = self.server(name, &sign_ins).await?;
                sign_ins.remove(&server, &SystemClock).await?;
                vec![server]
            }
        };
        // Once more, as others may have written it meanwhile.
        let mut config = configuration()?;
        for server in &servers {
            forget(&mut config, server)?;
            output::complain(format_args!("Removing login credentials for {server}"));
        }
        config.save()?;
        // Who put them there is not known: Docker, or `seawall login` with a user name.
        let left: Vec<_> = config.servers().filter(|_| self.name.is_none()).collect();
        if !left.is_empty() {
            let path = config.path().display();
            output::complain(format_args!(
                "Still logged in, by {path}: {}. `seawall logout --name` ends such a login.",
                left.join(", ")
            ));
        }
        Ok(Outcome::NOTHING)
    }

    /// The login server. Whoever logs out need not reach the management API for a registry that is logged in.
    async fn server(&self, name: &str, sign_ins: &SignIns) -> Result<String, Failure> {
        if !login_server::is_one(name) {
            let known = sign_ins.list(&SystemClock).await?;
            let is_its = |server: &&String| server.split('.').next().is_some_and(|one| one.eq_ignore_ascii_case(name));
            if let Some(server) = known.keys().find(is_its) {
                return Ok(server.clone());
            }
        }
        let text =
            if login_server::is_one(name) { name.to_owned() } else { login_server::find(name, &self.common).await? };
        Ok(RegistryAddress::parse(&text)?.server().to_owned())
    }
}

fn forget(config: &mut DockerConfig, server: &str) -> Result<(), Failure> {
    // Ours has nothing any more, and need not be asked.
    if config.helper(server).as_deref() == Some(HELPER) {
        config.remove_helper(server);
    }
    if config.helper(server).as_deref() != Some(HELPER) {
        config.remove(server)?;
    }
    Ok(())
}
