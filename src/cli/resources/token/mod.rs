//! `seawall token create|show|list|update|delete` and `seawall token credential generate|delete`.

mod create;
mod credential;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::Operation;
use super::arguments::{Common, Confirmation, Named, OfRegistry, name};
use super::failure::Failure;
use super::networks::Networks;
use super::session::{Session, confirmed};
use super::{columns, flat};
use crate::cli::format::Outcome;

pub(super) use create::Create;
pub(super) use credential::{DeletePasswords, Generate};

/// Names to log in with, for people and machines, each with the permissions of a scope map.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Create a token and two passwords, which are shown once.
    Create(Create),
    /// Print a token.
    Show(Show),
    /// Print all tokens of a registry.
    List(List),
    /// Give a token another scope map or status.
    Update(Update),
    /// Delete a token and whatever it was used for.
    Delete(Delete),
    /// The passwords of a token.
    #[command(subcommand)]
    Credential(CredentialCommand),
}

/// The passwords of a token.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CredentialCommand {
    /// Generate passwords, which are shown once. Those they replace are refused from then on.
    Generate(Generate),
    /// Delete passwords.
    Delete(DeletePasswords),
}

/// Whether a token may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Status {
    Enabled,
    Disabled,
}

impl Status {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    of: OfRegistry,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Update {
    #[command(flatten)]
    named: Named,
    /// The scope map that says what the token may do from now on.
    #[arg(long, value_name = "NAME", value_parser = name)]
    scope_map: Option<String>,
    /// Whether it may log in.
    #[arg(long, value_enum, ignore_case = true)]
    status: Option<Status>,
    #[command(flatten)]
    further: FurtherScopeMaps,
    #[command(flatten)]
    networks: Networks,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    common: Common,
}

/// Beyond ACR: a token may have several scope maps.
#[derive(Debug, Args)]
struct FurtherScopeMaps {
    /// Scope maps whose permissions the token has besides. They replace those there are; the flag alone removes all.
    #[arg(long, value_name = "NAME", num_args = 0.., value_parser = name)]
    additional_scope_map: Option<Vec<String>>,
}

impl FurtherScopeMaps {
    fn add_to(&self, properties: &mut Map<String, Value>, session: &Session, registry: &str) {
        if let Some(names) = &self.additional_scope_map {
            let ids: Vec<String> = names.iter().map(|name| session.scope_map(registry, name)).collect();
            properties.insert("additionalScopeMapIds".to_owned(), ids.into());
        }
    }
}

impl Operation for Show {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let token = session.get(&session.token(&self.named.of.registry, &self.named.name)).await?;
        Ok(Outcome::table(flat::token(token), columns::tokens))
    }
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let tokens = session.list(&format!("{}/tokens", session.registry(&self.of.registry))).await?;
        Ok(Outcome::table(tokens.into_iter().map(flat::token).collect(), columns::tokens))
    }
}

impl Operation for Update {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let Named { name, of: OfRegistry { registry } } = &self.named;
        let mut properties = Map::new();
        if let Some(scope_map) = &self.scope_map {
            properties.insert("scopeMapId".to_owned(), session.scope_map(registry, scope_map).into());
        }
        if let Some(status) = self.status {
            properties.insert("status".to_owned(), status.word().into());
        }
        self.further.add_to(&mut properties, session, registry);
        self.networks.add_to(&mut properties);
        if properties.is_empty() {
            return Err(Failure::new("No token properties to update."));
        }
        let token = session.patch(&session.token(registry, name), &json!({ "properties": properties })).await?;
        if self.scope_map.is_some() {
            session.warn(&format!(
                "After updating a token with a new scope map, you might want to generate new passwords: \
                 seawall token credential generate -r {registry} -n {name}"
            ));
        }
        Ok(Outcome::table(flat::token(token), columns::tokens))
    }
}

impl Operation for Delete {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let name = &self.named.name;
        let question =
            format!("Deleting the token '{name}' will invalidate access to anyone using its credentials. Proceed?");
        if confirmed(&question, self.confirmation.yes)? {
            session.delete(&session.token(&self.named.of.registry, name), &[], "token", name).await?;
        }
        Ok(Outcome::NOTHING)
    }
}
