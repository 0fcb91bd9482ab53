//! `seawall credential show|renew`: the admin account's passwords.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Operation;
use super::arguments::{Common, NamedRegistry};
use super::failure::Failure;
use super::session::Session;
use super::{columns, flat};
use crate::cli::format::Outcome;

/// The admin account's passwords.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Print the admin account's user name and both passwords.
    Show(Show),
    /// Generate one of the admin account's passwords anew. The other goes on working.
    Renew(Renew),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    registry: NamedRegistry,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Renew {
    #[command(flatten)]
    registry: NamedRegistry,
    /// Which password.
    #[arg(long, value_enum, ignore_case = true)]
    password_name: PasswordName,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PasswordName {
    Password,
    Password2,
}

impl Operation for Show {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        account(session, &self.registry.name, "listCredentials", None).await
    }
}

impl Operation for Renew {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let name = match self.password_name {
            PasswordName::Password => "password",
            PasswordName::Password2 => "password2",
        };
        account(session, &self.registry.name, "regenerateCredential", Some(json!({ "name": name }))).await
    }
}

async fn account(session: &Session, name: &str, action: &str, body: Option<Value>) -> Result<Outcome, Failure> {
    let path = session.registry(name);
    let registry = session.get(&path).await?;
    if registry.pointer("/properties/adminUserEnabled") != Some(&Value::Bool(true)) {
        let message = format!("Run 'seawall update -n {name} --admin-enabled true' to enable admin first.");
        return Err(Failure::new(message));
    }
    let account = session.post(&format!("{path}/{action}"), body.as_ref()).await?;
    if let Some(place) = account.get("declaredIn").and_then(Value::as_str) {
        session.warn(&format!("The passwords are declared at {place}; their values are not kept."));
    }
    Ok(Outcome::table(flat::credentials(account, &flat::ADMIN_PASSWORD), columns::admin))
}
