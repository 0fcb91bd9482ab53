//! `seawall role assignment create|list|delete`.

use clap::Args;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::assignee::principal_id;
use super::role_id;
use super::scope::{self, Scope};
use crate::cli::format::Outcome;
use crate::cli::resources::arguments::{Common, name};
use crate::cli::resources::failure::Failure;
use crate::cli::resources::session::{Session, role_assignments};
use crate::cli::resources::{Operation, columns, flat};

/// How the server says that there is the same assignment already, under another id.
const EXISTS: &str = "RoleAssignmentExists";

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    /// A name, client id, principal id or resource id of an identity or service principal.
    #[arg(long, value_name = "WHO")]
    assignee: String,
    /// The name or id of a role, such as AcrPull. Case does not matter.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// A scope map of the registry, instead of a role.
    #[arg(long, value_name = "NAME", value_parser = name, conflicts_with = "role")]
    scope_map: Option<String>,
    #[command(flatten)]
    scope: Scope,
    /// The repositories to which it is confined: team/app, team/* or *. The catalogue is not among them. Default: all.
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    repository: Vec<String>,
    /// At most 1024 characters.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// A name, client id, principal id or resource id of an identity or service principal.
    #[arg(long, value_name = "WHO")]
    assignee: Option<String>,
    /// The name or id of a role. Case does not matter.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    #[command(flatten)]
    scope: Scope,
    /// Print those of every registry, not only those that hold on all of them.
    #[arg(long, conflicts_with_all = ["scope", "registry"])]
    all: bool,
    /// Print those that hold on all registries, too.
    #[arg(long)]
    include_inherited: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    /// The ids of role assignments.
    #[arg(long, value_name = "ID", num_args = 1.., value_parser = scope::id, conflicts_with_all = ["assignee", "role", "scope", "registry"])]
    ids: Vec<String>,
    /// A name, client id, principal id or resource id of an identity or service principal.
    #[arg(long, value_name = "WHO")]
    assignee: Option<String>,
    /// The name or id of a role. Case does not matter.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    common: Common,
}

impl Operation for Create {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let scope = self.scope.path(session).ok_or_else(without_scope)?;
        let principal_id = principal_id(session, &self.assignee).await?;
        let mut properties = Map::new();
        match (&self.role, &self.scope_map) {
            (Some(role), _) => {
                properties.insert("roleDefinitionId".to_owned(), role_id(session, role).await?.into());
            }
            (None, Some(map)) => {
                properties.insert("scopeMapId".to_owned(), format!("{scope}/scopeMaps/{map}").into());
            }
            (None, None) => return Err(Failure::usage("the following argument is required: --role, or --scope-map")),
        }
        if !self.repository.is_empty() {
            properties.insert("repositories".to_owned(), self.repository.into());
        }
        if let Some(description) = self.description {
            properties.insert("description".to_owned(), description.into());
        }
        properties.insert("principalId".to_owned(), principal_id.into());
        let made = assign(session, &scope, properties).await?;
        Ok(Outcome::table(flat::role_assignment(made), columns::role_assignments))
    }
}

fn without_scope() -> Failure {
    let failure = Failure::usage("the following argument is required: --scope, or --registry");
    failure.hint("A subscription's id, such as /subscriptions/any, means all registries.")
}

/// Assigns what `properties` say in `scope`. What is assigned already is answered as if it had been made now, as in `az`.
pub(in crate::cli::resources) async fn assign(
    session: &Session,
    scope: &str,
    properties: Map<String, Value>,
) -> Result<Value, Failure> {
    let path = format!("{}/{}", role_assignments(scope), id_of(scope, &properties));
    let body = json!({ "properties": properties });
    match session.put(&path, &body).await {
        Err(failure) if failure.is_refusal(EXISTS) => existing(session, scope, &body, failure).await,
        result => result.map(|(made, _)| made),
    }
}

/// The same for the same assignment, so that making it once more changes nothing.
fn id_of(scope: &str, properties: &Map<String, Value>) -> String {
    let what = ["principalId", "roleDefinitionId", "scopeMapId", "repositories"].map(|name| properties.get(name));
    let text = format!("{:?} {what:?}", scope::registry_in(scope)).to_ascii_lowercase();
    let digest: [u8; 32] = Sha256::digest(text).into();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, of)| *byte = of);
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}

async fn existing(session: &Session, scope: &str, body: &Value, failure: Failure) -> Result<Value, Failure> {
    let same = |one: &Value, name: &str| {
        let [one, wanted] = [one, body].map(|value| value.pointer(&format!("/properties/{name}")));
        let one = one.filter(|value| !value.is_null());
        match (one.and_then(Value::as_str), wanted.and_then(Value::as_str)) {
            (Some(one), Some(wanted)) => one.eq_ignore_ascii_case(wanted),
            _ => one == wanted,
        }
    };
    let all = session.list(&role_assignments(scope)).await?;
    let here = all.into_iter().filter(|one| scope::is_in(one, scope));
    let mut found = here.filter(|one| {
        let role = match (one.pointer("/properties/roleDefinitionId"), body.pointer("/properties/roleDefinitionId")) {
            // The server writes an id with its own subscription.
            (Some(Value::String(one)), Some(Value::String(wanted))) => {
                one.rsplit('/').next() == wanted.rsplit('/').next()
            }
            _ => same(one, "scopeMapId"),
        };
        role && same(one, "principalId") && same(one, "repositories")
    });
    found.next().ok_or(failure)
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let given = self.scope.path(session);
        let scope = given.clone().unwrap_or_else(|| session.everything());
        let mut found = matching(session, &scope, self.assignee.as_deref(), self.role.as_deref()).await?;
        let is_elsewhere = given.is_none() && !found.is_empty();
        found.retain(|one| {
            let inherited = self.include_inherited && scope::is_in(one, &session.everything());
            self.all || inherited || scope::is_in(one, &scope)
        });
        if found.is_empty() && is_elsewhere {
            session.warn("None holds on all registries; --all prints those of single registries, too.");
        }
        Ok(Outcome::table(found.into_iter().map(flat::role_assignment).collect(), columns::role_assignments))
    }
}

/// Those that the server lists for `scope`, of this assignee and with this role.
async fn matching(
    session: &Session,
    scope: &str,
    assignee: Option<&str>,
    role: Option<&str>,
) -> Result<Vec<Value>, Failure> {
    let principal = match assignee {
        Some(assignee) => Some(principal_id(session, assignee).await?),
        None => None,
    };
    let role = match role {
        Some(role) => Some(role_id(session, role).await?),
        None => None,
    };
    let text = |one: &Value, name: &str| one.pointer(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut all = session.list(&role_assignments(scope)).await?;
    all.retain(|one| {
        let of = |id: &String| text(one, "/properties/principalId").eq_ignore_ascii_case(id);
        let with = |id: &String| text(one, "/properties/roleDefinitionId").rsplit('/').next() == id.rsplit('/').next();
        principal.as_ref().is_none_or(of) && role.as_ref().is_none_or(with)
    });
    Ok(all)
}

impl Operation for Delete {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let ids = if self.ids.is_empty() { self.found(session).await? } else { self.ids };
        for id in &ids {
            session.delete(id, &[], "role assignment", id).await?;
        }
        Ok(Outcome::NOTHING)
    }
}

impl Delete {
    /// The ids of those that are described, which are in the scope itself: what holds elsewhere too is never meant.
    async fn found(&self, session: &Session) -> Result<Vec<String>, Failure> {
        let scope = self.scope.path(session);
        if scope.is_none() && self.assignee.is_none() && self.role.is_none() {
            return Err(Failure::usage("nothing says which role assignments to delete")
                .hint("Give --ids, or --assignee, --role, --scope or --registry."));
        }
        let scope = scope.unwrap_or_else(|| session.everything());
        let mut found = matching(session, &scope, self.assignee.as_deref(), self.role.as_deref()).await?;
        found.retain(|one| scope::is_in(one, &scope));
        if found.is_empty() {
            session
                .warn("No matched assignments were found to delete; `seawall role assignment list --all` prints all.");
        }
        Ok(found.iter().filter_map(|one| one.get("id")?.as_str()).map(str::to_owned).collect())
    }
}
