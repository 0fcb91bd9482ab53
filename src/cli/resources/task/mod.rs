//! `seawall task`: builds on this machine, with an identity's logins at several registries (requirements S4).
//!
//! The words and the output are those of `az acr task`. What a task may do is the server's business: it has an identity, and
//! roles are assigned to that. The task itself is a file here (decision 26).

mod build;
mod context;
mod dockerfile;
mod document;
mod engine;
mod log;
mod manage;
mod report;
mod run;
mod shelf;
#[cfg(test)]
mod tests;
mod words;

use clap::{Args, Subcommand};

pub(in crate::cli) use self::manage::{Create, CredentialAdd, CredentialList, CredentialRemove, Delete, List, Show};
pub(in crate::cli) use self::run::{Run, run};
use super::arguments::name;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Keep a task on this machine, and make its identity at the server.
    Create(Create),
    /// Print a task.
    Show(Show),
    /// Print the tasks of a registry that are kept on this machine.
    List(List),
    /// Delete a task, and the identity that was made for it.
    Delete(Delete),
    /// The registries that a task logs in to.
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Run a task now, on this machine, with buildah or docker.
    Run(Run),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CredentialCommand {
    /// Let a task log in to a further registry as one of its identities.
    Add(CredentialAdd),
    /// Print the registries that a task logs in to.
    List(CredentialList),
    /// Let a task no longer log in to a registry.
    Remove(CredentialRemove),
}

/// The task that is meant.
#[derive(Debug, Args)]
pub(in crate::cli) struct OfTask {
    /// The name of the task.
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    name: String,
    /// The name of the registry that it runs for.
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    registry: String,
}
