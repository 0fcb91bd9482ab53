//! `seawall task create|show|list|delete` and `task credential add|list|remove`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::OfTask;
use super::build::argument;
use super::context::{Source, below};
use super::document;
use super::shelf::{Identity, SYSTEM, Shelf, Task, credential_table, pairs, tables};
use super::words::Variables;
use crate::cli::format::Outcome;
use crate::cli::output;
use crate::cli::resources::Operation;
use crate::cli::resources::arguments::{Common, Confirmation, name};
use crate::cli::resources::failure::Failure;
use crate::cli::resources::passes::registry_or_server;
use crate::cli::resources::session::{Session, confirmed};
use crate::client::address::RegistryAddress;
use crate::clock::{Clock, SystemClock};

/// Azure's id of the role AcrPush, which ARM wants instead of its name.
const ACR_PUSH: &str = "8311e382-0749-4cb8-b61a-304f252e45ec";
/// ACR's, in seconds.
const TIMEOUT: u32 = 3_600;

/// How a task logs in to its own registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum AuthMode {
    /// As an identity of its own, which may push there.
    Default,
    /// Not, unless a credential is added for it.
    None,
}

/// `task create`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    task: OfTask,
    /// Where its files come from: a directory, a git repository (URL#BRANCH:DIRECTORY), or /dev/null.
    #[arg(short, long, value_name = "PATH")]
    context: String,
    /// The file with the steps, in the context; with /dev/null a file here, whose contents are kept.
    #[arg(short, long, value_name = "FILE")]
    file: String,
    /// The identities of the task: ids of user-assigned ones, or [system], which is made for it. Alone it means [system].
    #[arg(long, num_args = 0.., value_name = "ID")]
    assign_identity: Option<Vec<String>>,
    /// How it logs in to its own registry.
    #[arg(long, value_enum, ignore_case = true, default_value = "Default")]
    auth_mode: AuthMode,
    /// A value for {{.Values.NAME}}; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = argument)]
    set: Vec<(String, String)>,
    /// An argument for every build; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = argument)]
    arg: Vec<(String, String)>,
    /// How long all steps may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,
    #[command(flatten)]
    common: Common,
}

impl Operation for Create {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let tasks = Shelf::open()?;
        let (context, contents) = self.files()?;
        let registry = session.get(&session.registry(&self.task.registry)).await?;
        let mut task = self.task(&registry, context, contents)?;
        let before = tasks.find(&task.registry, &task.name)?;
        for id in self.assign_identity.iter().flatten().filter(|id| id.as_str() != SYSTEM) {
            task.assigned.insert(id.clone(), assigned(session, id).await?);
        }
        if task.has_system_identity || self.auth_mode == AuthMode::Default {
            let is_new = before.as_ref().is_none_or(|before| before.own.is_none());
            task.own = Some(own_identity(session, &task, self.auth_mode, is_new).await?);
        } else if let Some(before) = &before {
            remove_identity(session, before).await?;
        }
        tasks.put(&task)?;
        if before.is_some() {
            session.warn(&format!("The task '{}' existed already, and was replaced with its credentials.", task.name));
        }
        Ok(Outcome::table(task.shown(), tables))
    }
}

impl Create {
    /// The context as it is kept, and the steps where there is no context to read them from. Their mistakes are found now.
    fn files(&self) -> Result<(String, Option<String>), Failure> {
        match Source::parse(&self.context).map_err(Failure::usage)? {
            Source::Nothing => {
                let path = PathBuf::from(&self.file);
                check(&path)?;
                let text = fs::read_to_string(&path);
                let text = text.map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
                Ok((self.context.clone(), Some(text)))
            }
            Source::Directory(directory) => {
                let directory = directory.canonicalize();
                let directory = directory.map_err(|error| Failure::new(format!("{}: {error}", self.context)))?;
                check(&below(&directory, &self.file)?)?;
                Ok((directory.display().to_string(), None))
            }
            Source::Git(_) if document::is_below(&self.file) => Ok((self.context.clone(), None)),
            Source::Git(_) => Err(Failure::usage(format!("{} is not in the context", self.file))),
        }
    }

    fn task(&self, registry: &Value, context: String, contents: Option<String>) -> Result<Task, Failure> {
        let text = |pointer: &str| {
            let text = registry.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| Failure::new(format!("the server describes a registry without {pointer}")))
        };
        let asked = self.assign_identity.as_ref();
        Ok(Task {
            name: self.task.name.clone(),
            registry: text("/name")?,
            registry_id: text("/id")?,
            login_server: text("/properties/loginServer")?,
            resource_group: self.common.server.resource_group.clone(),
            location: text("/location")?,
            creation_date: SystemClock.now(),
            context,
            file: self.file.clone(),
            contents,
            values: pairs(&self.set),
            arguments: pairs(&self.arg),
            timeout: self.timeout,
            assigned: std::collections::BTreeMap::new(),
            own: None,
            has_system_identity: asked.is_some_and(|ids| ids.is_empty() || ids.iter().any(|id| id == SYSTEM)),
            credentials: std::collections::BTreeMap::new(),
        })
    }
}

/// Whether the file at `path` can be run, apart from values that come later.
fn check(path: &Path) -> Result<(), Failure> {
    document::read(path, &Variables::default()).map(drop).map_err(|problems| {
        output::problems(problems);
        Failure::new(format!("{} has problems; nothing was changed", path.display()))
    })
}

/// The identity of an id.
async fn assigned(session: &Session, id: &str) -> Result<Identity, Failure> {
    let fits = |one: char| one.is_ascii_alphanumeric() || "/._-".contains(one);
    let is_id = id.starts_with("/subscriptions/") && id.chars().all(fits);
    if !is_id || !id.to_ascii_lowercase().contains("/providers/microsoft.managedidentity/userassignedidentities/") {
        return Err(Failure::usage(format!("{id:?} is not the id of a user-assigned identity"))
            .hint("`seawall identity show --name NAME --query id --output tsv` prints it."));
    }
    Identity::read(&session.get(id).await?)
}

/// Where identities are, in the registry's resource group.
fn identity_path(task: &Task) -> String {
    let group = task.registry_id.split("/providers/").next().unwrap_or_default();
    let name = Task::own_identity(&task.registry, &task.name);
    format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}")
}

/// Makes the identity of the task itself; it may push to the task's own registry unless that is not wanted.
async fn own_identity(session: &Session, task: &Task, mode: AuthMode, is_new: bool) -> Result<Identity, Failure> {
    let path = identity_path(task);
    if is_new && session.find(&path).await?.is_some() {
        let name = Task::own_identity(&task.registry, &task.name);
        let failure = Failure::new(format!("there is an identity '{name}' already, which is not this task's"));
        return Err(failure.hint("Was the task created on another machine? Delete it there, or choose another name."));
    }
    let body = json!({ "properties": { "identityType": "SystemAssigned" } });
    let (resource, existed) = session.put(&path, &body).await?;
    let identity = Identity::read(&resource)?;
    if mode == AuthMode::None {
        return Ok(identity);
    }
    let assignment = assignment(task, &identity);
    let body = json!({ "properties": {
        "roleDefinitionId": format!("{}/providers/Microsoft.Authorization/roleDefinitions/{ACR_PUSH}", task.registry_id),
        "principalId": identity.principal_id,
        "principalType": "ServicePrincipal",
        "description": format!("Created by task: {}", task.name),
    } });
    if session.find(&assignment).await?.is_some() {
        return Ok(identity);
    }
    if let Err(failure) = session.put(&assignment, &body).await {
        if !existed {
            // What went wrong is told already.
            let _ = session.delete(&path, &[], "identity", &identity.name).await;
        }
        return Err(failure.hint(
            "The task was not created: its identity could not be allowed to push. --auth-mode None does without.",
        ));
    }
    Ok(identity)
}

/// The same at each try, so that creating a task again assigns nothing twice.
fn assignment(task: &Task, identity: &Identity) -> String {
    let hash = Sha256::digest(format!("{}\n{}", task.registry_id, identity.principal_id));
    let bytes: [u8; 16] = std::array::from_fn(|at| hash.get(at).copied().unwrap_or_default());
    let guid = uuid::Builder::from_random_bytes(bytes).into_uuid();
    format!("{}/providers/Microsoft.Authorization/roleAssignments/{guid}", task.registry_id)
}

/// With it go its roles.
async fn remove_identity(session: &Session, task: &Task) -> Result<(), Failure> {
    match &task.own {
        Some(own) => session.delete(&identity_path(task), &[], "identity", &own.name).await,
        None => Ok(()),
    }
}

/// `task show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    task: OfTask,
    #[command(flatten)]
    common: Common,
}

impl Operation for Show {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, _: &Session) -> Result<Outcome, Failure> {
        let task = Shelf::open()?.get(&self.task.registry, &self.task.name)?;
        Ok(Outcome::table(task.shown(), tables))
    }
}

/// `task list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// The name of the registry that they run for.
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    registry: String,
    #[command(flatten)]
    common: Common,
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, _: &Session) -> Result<Outcome, Failure> {
        let all = Shelf::open()?.list(&self.registry)?;
        Ok(Outcome::table(all.iter().map(Task::shown).collect(), tables))
    }
}

/// `task delete`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    task: OfTask,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    common: Common,
}

impl Operation for Delete {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let tasks = Shelf::open()?;
        let task = tasks.get(&self.task.registry, &self.task.name)?;
        let question = format!("Are you sure you want to delete the task '{}' from '{}'?", task.name, task.registry);
        if !confirmed(&question, self.confirmation.yes)? {
            return Err(Failure::new("Operation cancelled."));
        }
        remove_identity(session, &task).await?;
        tasks.remove(&task)?;
        Ok(Outcome::NOTHING)
    }
}

/// `task credential add`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CredentialAdd {
    #[command(flatten)]
    task: OfTask,
    /// The login server of the further registry.
    #[arg(long, value_name = "HOST", value_parser = registry_or_server)]
    login_server: String,
    /// The client id of an identity that is assigned to the task, or [system].
    #[arg(long, value_name = "ID")]
    use_identity: String,
    #[command(flatten)]
    common: Common,
}

impl Operation for CredentialAdd {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, _: &Session) -> Result<Outcome, Failure> {
        let tasks = Shelf::open()?;
        let mut task = tasks.get(&self.task.registry, &self.task.name)?;
        if task.identity_of(&self.use_identity).is_none() {
            let failure = Failure::new(format!("the task '{}' has no identity {}", task.name, self.use_identity));
            return Err(failure.hint("It is assigned with `seawall task create --assign-identity`."));
        }
        let server = server(&self.login_server)?;
        if task.credentials.insert(server.clone(), self.use_identity.clone()).is_some() {
            return Err(Failure::new(format!("the task '{}' logs in to {server} already", task.name))
                .hint("Remove that first: seawall task credential remove"));
        }
        tasks.put(&task)?;
        Ok(Outcome::table(task.custom_registries(), credential_table))
    }
}

fn server(written: &str) -> Result<String, Failure> {
    let address = RegistryAddress::parse(written).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(address.server().to_owned())
}

/// `task credential list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CredentialList {
    #[command(flatten)]
    task: OfTask,
    #[command(flatten)]
    common: Common,
}

impl Operation for CredentialList {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, _: &Session) -> Result<Outcome, Failure> {
        let task = Shelf::open()?.get(&self.task.registry, &self.task.name)?;
        Ok(Outcome::table(task.custom_registries(), credential_table))
    }
}

/// `task credential remove`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CredentialRemove {
    #[command(flatten)]
    task: OfTask,
    /// The login server of the registry.
    #[arg(long, value_name = "HOST", value_parser = registry_or_server)]
    login_server: String,
    #[command(flatten)]
    common: Common,
}

impl Operation for CredentialRemove {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, _: &Session) -> Result<Outcome, Failure> {
        let tasks = Shelf::open()?;
        let mut task = tasks.get(&self.task.registry, &self.task.name)?;
        let server = server(&self.login_server)?;
        if task.credentials.remove(&server).is_none() {
            return Err(Failure::not_found(format!("the task '{}' does not log in to {server}", task.name)));
        }
        tasks.put(&task)?;
        Ok(Outcome::NOTHING)
    }
}

/// What programs are found in, as shells look for them.
pub(super) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
