//! Tasks as they are kept: files on the machine that runs them (decision 26), beside the sign-ins.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cli::resources::failure::Failure;
use crate::client::sign_in::SignIns;
use crate::clock::Timestamp;

/// The identity of a task itself (S4-19, S4-23).
pub(super) const SYSTEM: &str = "[system]";
const TENANT: &str = "00000000-0000-0000-0000-000000000000";

/// A task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) registry: String,
    /// Of the registry, in ARM's form.
    pub(super) registry_id: String,
    pub(super) login_server: String,
    pub(super) resource_group: String,
    pub(super) location: String,
    pub(super) creation_date: Timestamp,
    /// `/dev/null`, a directory, or a git repository.
    pub(super) context: String,
    /// The file with the steps, relative to the context.
    pub(super) file: String,
    /// What was in it, where there is no context to read it from.
    pub(super) contents: Option<String>,
    /// Of `--set`.
    #[serde(default)]
    pub(super) values: BTreeMap<String, String>,
    /// Of `--arg`, for every build.
    #[serde(default)]
    pub(super) arguments: BTreeMap<String, String>,
    /// Of all steps together, in seconds.
    pub(super) timeout: u32,
    /// User-assigned identities by their ids.
    #[serde(default)]
    pub(super) assigned: BTreeMap<String, Identity>,
    /// The identity that was made with the task, and goes with it.
    pub(super) own: Option<Identity>,
    /// Whether that identity was asked for, and is shown.
    pub(super) has_system_identity: bool,
    /// By login server: the client id of an assigned identity, or [`SYSTEM`].
    #[serde(default)]
    pub(super) credentials: BTreeMap<String, String>,
}

/// An identity of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) client_id: Option<String>,
    pub(super) principal_id: String,
    pub(super) tenant_id: Option<String>,
}

impl Identity {
    /// What the management API says of one.
    pub(super) fn read(resource: &Value) -> Result<Self, Failure> {
        let text = |pointer: &str| resource.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let read = text("/name").zip(text("/properties/principalId"));
        let (name, principal_id) =
            read.ok_or_else(|| Failure::new("the server describes an identity without a principal id"))?;
        let (client_id, tenant_id) = (text("/properties/clientId"), text("/properties/tenantId"));
        Ok(Self { name, client_id, principal_id, tenant_id })
    }
}

impl Task {
    /// The name of the identity that comes and goes with it.
    pub(super) fn own_identity(registry: &str, name: &str) -> String {
        format!("{registry}-{name}")
    }

    /// The name of the identity that a credential uses.
    pub(super) fn identity_of(&self, used: &str) -> Option<&Identity> {
        if used == SYSTEM {
            return self.own.as_ref().filter(|_| self.has_system_identity);
        }
        self.assigned.values().find(|one| one.client_id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(used)))
    }

    /// As `az acr task show` prints it (S4-14, S4-19).
    pub(super) fn shown(&self) -> Value {
        let mut step = json!({
            "baseImageDependencies": null,
            "contextAccessToken": null,
            "contextPath": self.context,
            "type": "FileTask",
            "values": settings(&self.values),
        });
        let (key, value) = match &self.contents {
            Some(contents) => ("encodedTaskContent", encoded(contents)),
            None => ("taskFilePath", self.file.clone()),
        };
        if let Some(step) = step.as_object_mut() {
            step.insert(key.to_owned(), value.into());
            if self.contents.is_some() {
                step.insert("type".to_owned(), "EncodedTask".into());
                step.insert("encodedValuesContent".to_owned(), Value::Null);
            }
        }
        json!({
            "agentConfiguration": null,
            "agentPoolName": null,
            "creationDate": self.creation_date.to_string(),
            "credentials": { "customRegistries": self.custom_registries(), "sourceRegistry": null },
            "id": format!("{}/tasks/{}", self.registry_id, self.name),
            "identity": self.identity(),
            "isSystemTask": false,
            "location": self.location,
            "logTemplate": null,
            "name": self.name,
            "platform": { "architecture": super::words::architecture(), "os": "linux", "variant": null },
            "provisioningState": "Succeeded",
            "resourceGroup": self.resource_group,
            "status": "Enabled",
            "step": step,
            "tags": {},
            "timeout": self.timeout,
            "trigger": null,
            "type": "Microsoft.ContainerRegistry/registries/tasks",
        })
    }

    /// As `az acr task credential list` prints it.
    pub(super) fn custom_registries(&self) -> Value {
        let entries = self.credentials.iter().map(|(server, identity)| {
            (server.clone(), json!({ "identity": identity, "password": null, "userName": null }))
        });
        Value::Object(entries.collect())
    }

    fn identity(&self) -> Value {
        let kind = match (self.has_system_identity, self.assigned.is_empty()) {
            (false, true) => return Value::Null,
            (true, true) => "SystemAssigned",
            (false, false) => "UserAssigned",
            (true, false) => "SystemAssigned, UserAssigned",
        };
        let own = self.own.as_ref().filter(|_| self.has_system_identity);
        let assigned = self.assigned.iter().map(|(id, identity)| {
            (id.clone(), json!({ "clientId": identity.client_id, "principalId": identity.principal_id }))
        });
        let assigned = if self.assigned.is_empty() { Value::Null } else { Value::Object(assigned.collect()) };
        json!({
            "principalId": own.map(|own| own.principal_id.as_str()),
            "tenantId": own.map(|own| own.tenant_id.as_deref().unwrap_or(TENANT)),
            "type": kind,
            "userAssignedIdentities": assigned,
        })
    }
}

fn settings(values: &BTreeMap<String, String>) -> Value {
    values.iter().map(|(name, value)| json!({ "isSecret": false, "name": name, "value": value })).collect()
}

fn encoded(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The directory of the tasks.
#[derive(Debug)]
pub(super) struct Shelf(PathBuf);

impl Shelf {
    pub(super) fn open() -> Result<Self, Failure> {
        let home = SignIns::default_directory();
        let home = home.map_err(|_| Failure::new("there is no home directory to keep tasks in; set SEAWALL_HOME"))?;
        Ok(Self(home.join("tasks")))
    }

    #[cfg(test)]
    pub(super) const fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    fn of(&self, registry: &str) -> PathBuf {
        self.0.join(registry.to_ascii_lowercase())
    }

    fn file(&self, registry: &str, name: &str) -> PathBuf {
        self.of(registry).join(format!("{name}.json"))
    }

    pub(super) fn find(&self, registry: &str, name: &str) -> Result<Option<Task>, Failure> {
        let path = self.file(registry, name);
        match fs::read_to_string(&path) {
            Ok(text) => read(&path, &text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    pub(super) fn get(&self, registry: &str, name: &str) -> Result<Task, Failure> {
        self.find(registry, name)?.ok_or_else(|| {
            Failure::not_found(format!("there is no task '{name}' of the registry '{registry}' on this machine"))
                .hint("`seawall task list` prints those there are. A task is kept where it was created.")
        })
    }

    pub(super) fn list(&self, registry: &str) -> Result<Vec<Task>, Failure> {
        let directory = self.of(registry);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &directory, &error)),
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|one| one == "json")).collect();
        paths.sort();
        let text = |path: &PathBuf| fs::read_to_string(path).map_err(|error| failed("read", path, &error));
        paths.iter().map(|path| read(path, &text(path)?)).collect()
    }

    pub(super) fn put(&self, task: &Task) -> Result<(), Failure> {
        let path = self.file(&task.registry, &task.name);
        let text = serde_json::to_string_pretty(task).map_err(|error| Failure::new(error.to_string()))?;
        replace(&path, &text).map_err(|error| failed("written", &path, &error))
    }

    pub(super) fn remove(&self, task: &Task) -> Result<(), Failure> {
        let path = self.file(&task.registry, &task.name);
        fs::remove_file(&path).map_err(|error| failed("removed", &path, &error))
    }

    /// The id of a new run: two letters of this machine's own, so that two machines tag differently, and a number.
    pub(super) fn next_run(&self) -> Result<String, Failure> {
        let path = self.0.join("runs.json");
        counted(&self.0, &path).map_err(|error| failed("counted on in", &path, &error))
    }
}

#[derive(Serialize, Deserialize)]
struct Runs {
    prefix: String,
    last: u64,
}

fn counted(directory: &Path, path: &Path) -> io::Result<String> {
    make(directory)?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut runs = if text.is_empty() { Runs { prefix: prefix(), last: 0 } } else { serde_json::from_str(&text)? };
    runs.last = runs.last.saturating_add(1);
    rewrite(&mut file, &serde_json::to_string(&runs)?)?;
    Ok(format!("{}{}", runs.prefix, runs.last))
}

fn rewrite(file: &mut File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn prefix() -> String {
    let letter = |byte: u8| char::from(b'a'.saturating_add(byte % 26));
    Uuid::new_v4().as_bytes().iter().take(2).map(|byte| letter(*byte)).collect()
}

fn read(path: &Path, text: &str) -> Result<Task, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::new(format!("{} is not a task: {error}", path.display())))
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be {verb}: {error}", path.display()))
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// At once or not at all.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    make(path.parent().unwrap_or(Path::new(".")))?;
    let temporary = path.with_extension(Uuid::new_v4().simple().to_string());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// `NAME=VALUE` pairs as they are kept.
pub(super) fn pairs(written: &[(String, String)]) -> BTreeMap<String, String> {
    written.iter().cloned().collect()
}

/// The words of a table.
pub(super) fn tables(value: &Value) -> Vec<crate::cli::format::Row> {
    let all = value.as_array().map_or_else(|| vec![value], |all| all.iter().collect());
    let text =
        |task: &Value, pointer: &str| task.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let row = |task: &&Value| {
        vec![
            ("NAME".to_owned(), text(task, "/name")),
            ("PLATFORM".to_owned(), text(task, "/platform/os")),
            ("STATUS".to_owned(), text(task, "/status")),
            ("SOURCE REPOSITORY".to_owned(), text(task, "/step/contextPath")),
            ("IDENTITY".to_owned(), text(task, "/identity/type")),
        ]
    };
    all.iter().map(row).collect()
}

/// The login servers of a task's credentials.
pub(super) fn credential_table(value: &Value) -> Vec<crate::cli::format::Row> {
    let entries = value.as_object().into_iter().flat_map(Map::iter);
    let identity = |entry: &Value| entry.get("identity").and_then(Value::as_str).unwrap_or_default().to_owned();
    let row = |(server, entry): (&String, &Value)| {
        vec![("LOGIN SERVER".to_owned(), server.clone()), ("IDENTITY".to_owned(), identity(entry))]
    };
    entries.map(row).collect()
}
