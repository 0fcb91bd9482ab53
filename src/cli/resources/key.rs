//! `seawall key list|rotate|revoke`: the keys that all replicas of a server share. ACR has no word for them.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::Operation;
use super::arguments::{Common, Confirmation, name};
use super::columns;
use super::failure::Failure;
use super::session::{Session, confirmed};
use crate::cli::format::Outcome;

const KEYS: &str = "/seawall/v1/keys";

/// The keys of the server: what signs access tokens, and the owner's credential.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Print all keys, without what is secret.
    List(List),
    /// Make a new key. What an older signing key signed stays valid until it ends by itself.
    Rotate(Rotate),
    /// Make a key invalid at once, and with it everything it signed.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Rotate {
    /// Which kind: what signs access tokens, or the owner's credential for this command.
    #[arg(long, value_enum, ignore_case = true, default_value = "signing")]
    purpose: Purpose,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Purpose {
    Signing,
    Management,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Revoke {
    /// The id of the key, as `seawall key list` prints it. It may begin with a hyphen.
    #[arg(short, long, value_name = "ID", value_parser = name, visible_alias = "id", allow_hyphen_values = true)]
    name: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    common: Common,
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        Ok(Outcome::table(session.list(KEYS).await?.into_iter().collect(), columns::keys))
    }
}

impl Operation for Rotate {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let purpose = match self.purpose {
            Purpose::Signing => "signing",
            Purpose::Management => "management",
        };
        let key: Value = session.post(&format!("{KEYS}/{purpose}/rotate"), None).await?;
        if self.purpose == Purpose::Management {
            session.warn(
                "The former credential is refused from now on. The new one is shown once; the server has it in its credential file.",
            );
        }
        Ok(Outcome::table(key, columns::keys))
    }
}

impl Operation for Revoke {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let name = &self.name;
        let question = format!("Revoking the key '{name}' will invalidate everything it has signed. Proceed?");
        if confirmed(&question, self.confirmation.yes)? {
            session.post(&format!("{KEYS}/{name}/revoke"), None).await?;
        }
        Ok(Outcome::NOTHING)
    }
}
