//! `seawall role assignment create|list|delete` and `seawall role definition list`.

mod assignee;
mod assignment;
mod scope;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::arguments::Common;
use super::failure::Failure;
use super::session::Session;
use super::{Operation, columns, flat};
use crate::cli::format::Outcome;

pub(super) use assignment::{Create, Delete, List, assign};
pub(super) use scope::id;

/// Who may do what.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Roles, and scope maps, of identities.
    #[command(subcommand)]
    Assignment(AssignmentCommand),
    /// The roles that there are.
    #[command(subcommand)]
    Definition(DefinitionCommand),
}

/// Roles, and scope maps, of identities.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AssignmentCommand {
    /// Give an identity a role, on one registry or on all.
    Create(Create),
    /// Print who has which role.
    List(List),
    /// Take roles away. The next request is refused.
    Delete(Delete),
}

/// The roles that there are.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DefinitionCommand {
    /// Print the roles.
    List(Definitions),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Definitions {
    /// The name of one role; case does not matter.
    #[arg(short, long, value_name = "ROLE")]
    name: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Operation for Definitions {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let mut all = definitions(session).await?;
        if let Some(name) = &self.name {
            all.retain(|role| is_called(role, name));
        }
        Ok(Outcome::table(all.into_iter().map(flat::role_definition).collect(), columns::role_definitions))
    }
}

async fn definitions(session: &Session) -> Result<Vec<Value>, Failure> {
    session.list(&format!("{}/providers/Microsoft.Authorization/roleDefinitions", session.everything())).await
}

/// Whether `role` is meant by its name, its GUID or its id.
fn is_called(role: &Value, text: &str) -> bool {
    let names = ["/properties/roleName", "/name", "/id"].map(|pointer| role.pointer(pointer).and_then(Value::as_str));
    names.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(text))
}

/// The id of a role.
pub(super) async fn role_id(session: &Session, role: &str) -> Result<String, Failure> {
    let all = definitions(session).await?;
    let found = all.iter().find(|one| is_called(one, role)).and_then(|one| one.get("id")?.as_str());
    found.map(str::to_owned).ok_or_else(|| {
        let failure = Failure::new(format!("Role '{role}' doesn't exist."));
        failure.hint("`seawall role definition list --query [].roleName -o tsv` prints the roles.")
    })
}
