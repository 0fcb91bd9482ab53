//! `seawall private-endpoint-connection approve|reject|show|list|delete`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Operation;
use super::arguments::{Common, OfRegistry, name};
use super::failure::Failure;
use super::session::Session;
use super::{columns, flat};
use crate::cli::format::Outcome;

/// Which private endpoints may carry traffic to a registry.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Let a private endpoint in.
    Approve(Approve),
    /// Refuse a private endpoint.
    Reject(Reject),
    /// Print a private endpoint connection.
    Show(Show),
    /// Print all private endpoint connections of a registry.
    List(List),
    /// Delete a private endpoint connection: its endpoint is unknown then, and Pending when it comes again.
    Delete(Delete),
}

#[derive(Debug, Args)]
struct Named {
    /// The name of the private endpoint connection.
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    name: String,
    #[command(flatten)]
    of: OfRegistry,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Approve {
    #[command(flatten)]
    named: Named,
    /// Why it is approved.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Reject {
    #[command(flatten)]
    named: Named,
    /// Why it is rejected.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
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
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    common: Common,
}

impl Named {
    fn path(&self, session: &Session) -> String {
        format!("{}/{}", connections(session, &self.of), self.name)
    }
}

impl Operation for Approve {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        set(session, &self.named, "Approved", self.description.as_deref()).await
    }
}

impl Operation for Reject {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        set(session, &self.named, "Rejected", self.description.as_deref()).await
    }
}

impl Operation for Show {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        Ok(printed(session.get(&self.named.path(session)).await?))
    }
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let all = session.list(&connections(session, &self.of)).await?;
        Ok(Outcome::table(all.into_iter().map(flat::endpoint_connection).collect(), columns::endpoint_connections))
    }
}

impl Operation for Delete {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let name = &self.named.name;
        session.delete(&self.named.path(session), &[], "private endpoint connection", name).await?;
        Ok(Outcome::NOTHING)
    }
}

fn connections(session: &Session, of: &OfRegistry) -> String {
    format!("{}/privateEndpointConnections", session.registry(&of.registry))
}

/// Gives a connection that there is another state. As in `az` a description is about this state, and none is left of another.
async fn set(session: &Session, named: &Named, status: &str, description: Option<&str>) -> Result<Outcome, Failure> {
    let path = named.path(session);
    // Whoever mistypes a name is told that there is none.
    session.get(&path).await?;
    let state = json!({ "status": status, "description": description });
    let body = json!({ "properties": { "privateLinkServiceConnectionState": state } });
    Ok(printed(session.put(&path, &body).await?.0))
}

fn printed(connection: Value) -> Outcome {
    Outcome::table(flat::endpoint_connection(connection), columns::endpoint_connections)
}
