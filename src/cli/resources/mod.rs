//! The commands of `az acr`, with the same words and the same output, against the management API of a server.
//!
//! Each is an [`Operation`]: it reads its arguments, talks through one [`Session`], and returns a value. How the value is
//! printed is `format`'s business; which server is asked is `connect`'s.

mod arguments;
mod check_health;
mod columns;
mod connect;
mod content;
mod credential;
mod endpoint_connection;
mod exec;
mod expiration;
mod explain;
mod failure;
mod flat;
mod identity;
mod import;
mod key;
mod listener;
mod login;
mod login_server;
mod network_rule;
mod networks;
mod passes;
mod permissions;
mod registry;
mod role;
mod scope_map;
mod service_principal;
mod session;
mod task;
mod token;
mod trusted_service;
mod what_if;

use std::future::Future;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Subcommand;

use super::format::{self, Outcome};
use super::output;
use arguments::{Common, Global};
use failure::Failure;
pub(super) use login::helper;
use session::Session;
pub(super) use session::confirmed;

/// A command that asks a server.
trait Operation: Sized {
    fn common(&self) -> &Common;

    /// Does what the command is for. Whatever can be known to be wrong beforehand is found before anything is changed.
    async fn run(self, session: &Session) -> Result<Outcome, Failure>;
}

/// All of them.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a registry.
    Show(registry::Show),
    /// Print all registries.
    List(registry::List),
    /// Change the properties of a registry.
    Update(registry::Update),
    /// Log in to a registry: sign in at its identity provider, or with a user name and a password.
    Login(login::Login),
    /// Log out of a registry, or of all of them.
    Logout(login::Logout),
    /// Look for what keeps this machine from using a registry.
    CheckHealth(check_health::CheckHealth),
    /// Print the hosts of a registry: where clients log in, and where they fetch layers.
    ShowEndpoints(registry::ShowEndpoints),
    /// Print how much of each kind a registry has.
    ShowUsage(registry::ShowUsage),
    /// The admin account's passwords.
    #[command(subcommand)]
    Credential(credential::Command),
    /// Names to log in with, for people and machines, each with the permissions of a scope map.
    #[command(subcommand)]
    Token(token::Command),
    /// Named sets of permissions on repositories, for tokens.
    #[command(subcommand)]
    ScopeMap(scope_map::Command),
    /// Which addresses may reach a registry, and which may not.
    #[command(subcommand)]
    NetworkRule(network_rule::Command),
    /// The identities for which the rules for public networks do not count.
    #[command(subcommand)]
    TrustedService(trusted_service::Command),
    /// Which private endpoints may carry traffic to a registry.
    #[command(subcommand)]
    PrivateEndpointConnection(endpoint_connection::Command),
    /// Who may do what: roles of identities.
    #[command(subcommand)]
    Role(role::Command),
    /// People, groups, machines and clusters, to whom roles are assigned.
    #[command(subcommand)]
    Identity(identity::Command),
    /// Applications that log in with a client id and a secret.
    #[command(subcommand)]
    ServicePrincipal(service_principal::Command),
    /// The keys of the server: what signs access tokens, and the owner's credential.
    #[command(subcommand)]
    Key(key::Command),
    /// What is in a registry: repositories with their tags, and their locks.
    #[command(subcommand)]
    Repository(content::repository::Command),
    /// What is in a repository: manifests, and what refers to them.
    #[command(subcommand)]
    Manifest(content::manifest::Command),
    /// Copy an image from another registry, with its digest. This machine copies it.
    Import(import::Import),
    /// Builds on this machine, with an identity's logins at several registries.
    #[command(subcommand)]
    Task(task::Command),
    /// Run a program with short-lived credentials for several registries, which are gone when it ends.
    Exec(exec::Exec),
    /// Print what a request would get and every rule that is considered, or why one was denied. Exit code 1 if it is denied.
    Explain(explain::Explain),
    /// Ask the requests of an audit log again, of other files, and print the decisions that change. Exit code 0: none does. 1: some
    /// do. 2: it cannot be told.
    WhatIf(what_if::WhatIf),
}

/// Runs one.
pub(super) fn run(command: Command) -> ExitCode {
    match command {
        Command::Show(show) => execute(show),
        Command::List(list) => execute(list),
        Command::Update(update) => execute(update),
        Command::Login(login) => login::run(&login),
        Command::Logout(logout) => login::run_logout(&logout),
        Command::CheckHealth(check) => check_health::run(check),
        Command::ShowEndpoints(endpoints) => execute(endpoints),
        Command::ShowUsage(usage) => execute(usage),
        Command::Credential(credential::Command::Show(show)) => execute(show),
        Command::Credential(credential::Command::Renew(renew)) => execute(renew),
        Command::Token(command) => run_token(command),
        Command::ScopeMap(scope_map::Command::Create(create)) => execute(create),
        Command::ScopeMap(scope_map::Command::Show(show)) => execute(show),
        Command::ScopeMap(scope_map::Command::List(list)) => execute(list),
        Command::ScopeMap(scope_map::Command::Update(update)) => execute(update),
        Command::ScopeMap(scope_map::Command::Delete(delete)) => execute(delete),
        Command::NetworkRule(network_rule::Command::Add(add)) => execute(add),
        Command::NetworkRule(network_rule::Command::List(list)) => execute(list),
        Command::NetworkRule(network_rule::Command::Remove(remove)) => execute(remove),
        Command::TrustedService(trusted_service::Command::Add(add)) => execute(add),
        Command::TrustedService(trusted_service::Command::List(list)) => execute(list),
        Command::TrustedService(trusted_service::Command::Remove(remove)) => execute(remove),
        Command::PrivateEndpointConnection(command) => run_endpoint_connection(command),
        Command::Role(command) => run_role(command),
        Command::Identity(command) => run_identity(command),
        Command::ServicePrincipal(command) => run_service_principal(command),
        Command::Key(key::Command::List(list)) => execute(list),
        Command::Key(key::Command::Rotate(rotate)) => execute(rotate),
        Command::Key(key::Command::Revoke(revoke)) => execute(revoke),
        Command::Repository(command) => content::repository::run(&command),
        Command::Manifest(command) => content::manifest::run(&command),
        Command::Import(import) => import::run(&import),
        Command::Exec(exec) => exec::run(&exec),
        Command::Explain(explain) => explain::run(&explain),
        Command::WhatIf(what_if) => what_if::run(&what_if),
        Command::Task(command) => run_task(command),
    }
}

fn run_task(command: task::Command) -> ExitCode {
    use task::CredentialCommand;
    match command {
        task::Command::Create(create) => execute(create),
        task::Command::Show(show) => execute(show),
        task::Command::List(list) => execute(list),
        task::Command::Delete(delete) => execute(delete),
        task::Command::Credential(CredentialCommand::Add(add)) => execute(add),
        task::Command::Credential(CredentialCommand::List(list)) => execute(list),
        task::Command::Credential(CredentialCommand::Remove(remove)) => execute(remove),
        task::Command::Run(run) => task::run(&run),
    }
}

fn run_token(command: token::Command) -> ExitCode {
    match command {
        token::Command::Create(create) => execute(create),
        token::Command::Show(show) => execute(show),
        token::Command::List(list) => execute(list),
        token::Command::Update(update) => execute(update),
        token::Command::Delete(delete) => execute(delete),
        token::Command::Credential(token::CredentialCommand::Generate(generate)) => execute(generate),
        token::Command::Credential(token::CredentialCommand::Delete(delete)) => execute(delete),
    }
}

fn run_endpoint_connection(command: endpoint_connection::Command) -> ExitCode {
    match command {
        endpoint_connection::Command::Approve(approve) => execute(approve),
        endpoint_connection::Command::Reject(reject) => execute(reject),
        endpoint_connection::Command::Show(show) => execute(show),
        endpoint_connection::Command::List(list) => execute(list),
        endpoint_connection::Command::Delete(delete) => execute(delete),
    }
}

fn run_role(command: role::Command) -> ExitCode {
    match command {
        role::Command::Assignment(role::AssignmentCommand::Create(create)) => execute(create),
        role::Command::Assignment(role::AssignmentCommand::List(list)) => execute(list),
        role::Command::Assignment(role::AssignmentCommand::Delete(delete)) => execute(delete),
        role::Command::Definition(role::DefinitionCommand::List(list)) => execute(list),
    }
}

fn run_identity(command: identity::Command) -> ExitCode {
    match command {
        identity::Command::Create(create) => execute(create),
        identity::Command::Show(show) => execute(show),
        identity::Command::List(list) => execute(list),
        identity::Command::Update(update) => execute(update),
        identity::Command::Delete(delete) => execute(delete),
    }
}

fn run_service_principal(command: service_principal::Command) -> ExitCode {
    use service_principal::CredentialCommand;
    match command {
        service_principal::Command::Create(create) => execute(create),
        service_principal::Command::Show(show) => execute(show),
        service_principal::Command::List(list) => execute(list),
        service_principal::Command::Update(update) => execute(update),
        service_principal::Command::Delete(delete) => execute(delete),
        service_principal::Command::Credential(CredentialCommand::Reset(reset)) => execute(reset),
        service_principal::Command::Credential(CredentialCommand::List(list)) => execute(list),
        service_principal::Command::Credential(CredentialCommand::Delete(delete)) => execute(delete),
    }
}

fn execute(operation: impl Operation) -> ExitCode {
    match printed(operation) {
        Ok(text) => output::bytes(text.as_bytes()),
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}

fn printed(operation: impl Operation) -> Result<String, Failure> {
    let global = &operation.common().global;
    let (query, output) = (global.query.clone(), global.output);
    let session = Session::open(operation.common())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(operation.run(&session))?;
    format::text(outcome, query.as_ref(), output, io::stdout().is_terminal()).map_err(Failure::new)
}

/// As for every other command, but without a management API that must be there.
fn finish(global: &Global, work: impl Future<Output = Result<Outcome, Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")));
    let printed = runtime.and_then(|runtime| runtime.block_on(work)).and_then(|outcome| {
        format::text(outcome, global.query.as_ref(), global.output, io::stdout().is_terminal()).map_err(Failure::new)
    });
    match printed {
        Ok(text) => output::bytes(text.as_bytes()),
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}
