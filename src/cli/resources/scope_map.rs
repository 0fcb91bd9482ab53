//! `seawall scope-map create|show|list|update|delete`.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Operation;
use super::arguments::{Common, Confirmation, Named, OfRegistry};
use super::failure::Failure;
use super::networks::Networks;
use super::permissions::{Difference, Permissions};
use super::session::{Session, confirmed};
use super::{columns, flat};
use crate::cli::format::Outcome;

/// How the server says that tokens have a scope map which is to be deleted (D34).
const IN_USE: &str = "ScopeMapInUse";

/// Named sets of permissions on repositories, for tokens.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Create a scope map.
    Create(Create),
    /// Print a scope map.
    Show(Show),
    /// Print all scope maps of a registry.
    List(List),
    /// Add and remove permissions, for all tokens of a scope map at once.
    Update(Update),
    /// Delete a scope map.
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    permissions: Permissions,
    /// At most 256 characters.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    networks: Networks,
    #[command(flatten)]
    common: Common,
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
    #[command(flatten)]
    difference: Difference,
    /// At most 256 characters.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
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
    /// Delete it though tokens use it. They can do nothing then.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

impl Operation for Create {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let path = session.scope_map(&self.named.of.registry, &self.named.name);
        let mut more = Map::new();
        if let Some(description) = &self.description {
            more.insert("description".to_owned(), description.as_str().into());
        }
        self.networks.add_to(&mut more);
        let scope_map = create(session, &path, &self.permissions.actions()?, more).await?;
        Ok(Outcome::table(flat::scope_map(scope_map), columns::scope_maps))
    }
}

/// Creates the scope map at `path`, or replaces it, with these properties and `more`.
pub(super) async fn create(
    session: &Session,
    path: &str,
    actions: &[String],
    more: Map<String, Value>,
) -> Result<Value, Failure> {
    let mut properties = more;
    properties.insert("actions".to_owned(), actions.into());
    let (scope_map, _) = session.put(path, &json!({ "properties": properties })).await?;
    Ok(scope_map)
}

impl Operation for Show {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let scope_map = session.get(&session.scope_map(&self.named.of.registry, &self.named.name)).await?;
        Ok(Outcome::table(flat::scope_map(scope_map), columns::scope_maps))
    }
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let scope_maps = session.list(&format!("{}/scopeMaps", session.registry(&self.of.registry))).await?;
        Ok(Outcome::table(scope_maps.into_iter().map(flat::scope_map).collect(), columns::scope_maps))
    }
}

impl Operation for Update {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        if self.difference.is_empty() && self.description.is_none() && self.networks.is_empty() {
            return Err(Failure::new("No scope map properties to update."));
        }
        let add: BTreeSet<String> = self.difference.add.actions()?.into_iter().collect();
        let remove: BTreeSet<String> = self.difference.remove.actions()?.into_iter().collect();
        unambiguous(&add, &remove)?;
        let path = session.scope_map(&self.named.of.registry, &self.named.name);
        let change = |current: &Value| {
            let mut properties = Map::new();
            if !self.difference.is_empty() {
                let united: BTreeSet<String> = actions(current).into_iter().chain(add.iter().cloned()).collect();
                properties.insert("actions".to_owned(), united.difference(&remove).cloned().collect());
            }
            if let Some(description) = &self.description {
                properties.insert("description".to_owned(), description.as_str().into());
            }
            self.networks.add_to(&mut properties);
            Ok(json!({ "properties": properties }))
        };
        let scope_map = session.modify(&path, change).await?;
        Ok(Outcome::table(flat::scope_map(scope_map), columns::scope_maps))
    }
}

/// What is to be added and removed depends on an order that nobody gave.
fn unambiguous(add: &BTreeSet<String>, remove: &BTreeSet<String>) -> Result<(), Failure> {
    let both: Vec<String> = add
        .intersection(remove)
        .map(|action| format!("'{}'", action.split_once('/').map_or(action.as_str(), |(_, rest)| rest)))
        .collect();
    if both.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "Update ambiguity. Duplicate actions were provided with --add and --remove arguments.\n[{}]",
        both.join(", ")
    )))
}

/// The actions of a scope map as ARM says it.
pub(super) fn actions(scope_map: &Value) -> Vec<String> {
    let actions = scope_map.pointer("/properties/actions").and_then(Value::as_array);
    actions.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Operation for Delete {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let name = &self.named.name;
        let question =
            format!("Deleting the scope map '{name}' will remove its permissions with associated tokens. Proceed?");
        if confirmed(&question, self.confirmation.yes)? {
            let query: &[(&str, &str)] = if self.force { &[("force", "true")] } else { &[] };
            let deleted =
                session.delete(&session.scope_map(&self.named.of.registry, name), query, "scope map", name).await;
            deleted.map_err(|failure| {
                let hint = failure.is_refusal(IN_USE).then_some("With --force it is deleted all the same.");
                hint.into_iter().fold(failure, Failure::hint)
            })?;
        }
        Ok(Outcome::NOTHING)
    }
}
