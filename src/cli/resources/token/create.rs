//! `seawall token create`: a scope map where permissions are given, the token, and its passwords.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Map, Value, json};

use super::credential::{Generation, generate};
use super::{FurtherScopeMaps, Status};
use crate::cli::format::Outcome;
use crate::cli::resources::arguments::{Common, Named, OfRegistry, Switch, name};
use crate::cli::resources::expiration::Expiration;
use crate::cli::resources::failure::Failure;
use crate::cli::resources::permissions::Permissions;
use crate::cli::resources::session::Session;
use crate::cli::resources::{Operation, columns, flat, scope_map};
use crate::clock::{Clock, SystemClock};

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    named: Named,
    /// The scope map that says what the token may do. Without, one is made of --repository and --gateway.
    #[arg(long, value_name = "NAME", value_parser = name)]
    scope_map: Option<String>,
    #[command(flatten)]
    permissions: Permissions,
    /// Whether it may log in.
    #[arg(long, value_enum, ignore_case = true, default_value = "enabled")]
    status: Status,
    /// Generate no passwords.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    no_passwords: Switch,
    #[command(flatten)]
    expiration: Expiration,
    #[command(flatten)]
    further: FurtherScopeMaps,
    #[command(flatten)]
    common: Common,
}

impl Operation for Create {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let Named { name, of: OfRegistry { registry } } = &self.named;
        if self.permissions.is_empty() == self.scope_map.is_none() {
            return Err(Failure::new("usage error: can't use --scope-map and --repository | --gateway"));
        }
        if self.no_passwords.is_on() && self.expiration.is_given() {
            let message = "usage error: --no-passwords and expiration arguments are mutually exclusive.";
            return Err(Failure::new(message));
        }
        let expiry = self.expiration.expiry(SystemClock.now())?;
        let scope_map = match &self.scope_map {
            Some(scope_map) => session.scope_map(registry, scope_map),
            None => default_scope_map(session, registry, name, self.permissions.actions()?).await?,
        };
        let mut properties = Map::new();
        properties.insert("scopeMapId".to_owned(), scope_map.into());
        properties.insert("status".to_owned(), self.status.word().into());
        self.further.add_to(&mut properties, session, registry);
        let token = session.put(&session.token(registry, name), &json!({ "properties": properties })).await?;
        let mut token = flat::token(token);
        if !self.no_passwords.is_on() {
            with_passwords(session, registry, name, &mut token, expiry).await?;
        }
        Ok(Outcome::table(token, columns::tokens))
    }
}

/// The id of the scope map that belongs to one token. The same permissions once more are no reason to refuse.
async fn default_scope_map(
    session: &Session,
    registry: &str,
    token: &str,
    actions: Vec<String>,
) -> Result<String, Failure> {
    let name = format!("{token}-scope-map");
    let path = session.scope_map(registry, &name);
    if let Some(existing) = session.find(&path).await? {
        let set = |actions: Vec<String>| actions.into_iter().collect::<BTreeSet<_>>();
        if set(scope_map::actions(&existing)) == set(actions) {
            return Ok(path);
        }
        return Err(Failure::new(format!(
            "The default scope map was already configured with different repository permissions.\nPlease use \
             \"seawall scope-map update -r {registry} -n {name} --add <REPO> --remove <REPO>\" to update."
        )));
    }
    session.inform(&format!("Creating the scope map {name:?} for the given permissions."));
    scope_map::create(session, &path, &actions, Some(&format!("Created by token: {token}"))).await?;
    Ok(path)
}

async fn with_passwords(
    session: &Session,
    registry: &str,
    name: &str,
    token: &mut Value,
    expiry: Option<String>,
) -> Result<(), Failure> {
    let generation = Generation { expiry, ..Generation::default() };
    let generated = generate(session, registry, name, generation).await.map_err(|failure| {
        failure.hint(format!(
            "The token exists, without passwords. Try: seawall token credential generate -r {registry} -n {name}"
        ))
    })?;
    let user = generated.get("username").and_then(Value::as_str).unwrap_or(name);
    let password = generated.pointer("/passwords/0/value").and_then(Value::as_str).unwrap_or_default();
    // What was generated is shown whatever becomes of this request.
    let server = session.get(&session.registry(registry)).await.ok();
    let server = server.as_ref().and_then(|one| one.pointer("/properties/loginServer")).and_then(Value::as_str);
    session.warn(&format!(
        "Please store your generated credentials safely. Meanwhile you can use it through \
         \"docker login {} -u {user} -p {password}\".",
        server.unwrap_or(registry)
    ));
    if let (Some(credentials), Value::Object(generated)) =
        (token.get_mut("credentials").and_then(Value::as_object_mut), generated)
    {
        credentials.extend(generated);
    }
    Ok(())
}
