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
use crate::cli::resources::networks::Networks;
use crate::cli::resources::permissions::Permissions;
use crate::cli::resources::session::Session;
use crate::cli::resources::{Operation, columns, flat, scope_map};
use crate::cli::visible;
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
    networks: Networks,
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
            let failure = Failure::new("usage error: can't use --scope-map and --repository | --gateway");
            return Err(failure
                .hint("Give one of the two: --scope-map NAME, or --repository REPO ACTION (--gateway NAME ACTION)."));
        }
        if self.no_passwords.is_on() && self.expiration.is_given() {
            let message = "usage error: --no-passwords and expiration arguments are mutually exclusive.";
            return Err(Failure::new(message));
        }
        let expiry = self.expiration.expiry(SystemClock.now())?;
        let (scope_map, made) = match &self.scope_map {
            Some(scope_map) => (session.scope_map(registry, scope_map), false),
            None => default_scope_map(session, registry, name, self.permissions.actions()?).await?,
        };
        let mut properties = Map::new();
        properties.insert("scopeMapId".to_owned(), scope_map.into());
        properties.insert("status".to_owned(), self.status.word().into());
        self.further.add_to(&mut properties, session, registry);
        self.networks.add_to(&mut properties);
        let put = session.put(&session.token(registry, name), &json!({ "properties": properties })).await;
        let left = made.then(|| {
            format!("Its scope map was created before: seawall scope-map delete -r {registry} -n {name}-scope-map")
        });
        let (token, existed) = put.map_err(|failure| left.into_iter().fold(failure, Failure::hint))?;
        let mut token = flat::token(token);
        if !self.no_passwords.is_on() {
            with_passwords(session, registry, name, &mut token, expiry).await?;
        }
        if existed {
            session.warn(&format!("The token '{name}' existed already. {}", what_becomes(self.no_passwords.is_on())));
        }
        Ok(Outcome::table(token, columns::tokens))
    }
}

/// Of the passwords of a token that existed (E-11).
const fn what_becomes(they_stay: bool) -> &'static str {
    if they_stay {
        "Its passwords stay as they are."
    } else {
        "Its former password1 and password2 are refused from now on."
    }
}

/// The id of the scope map that belongs to one token, and whether it was made now. The same permissions once more are no reason
/// to refuse.
async fn default_scope_map(
    session: &Session,
    registry: &str,
    token: &str,
    actions: Vec<String>,
) -> Result<(String, bool), Failure> {
    let name = format!("{token}-scope-map");
    let path = session.scope_map(registry, &name);
    if let Some(existing) = session.find(&path).await? {
        let set = |actions: Vec<String>| actions.into_iter().collect::<BTreeSet<_>>();
        let (existing, wanted) = (set(scope_map::actions(&existing)), set(actions));
        if existing == wanted {
            return Ok((path, false));
        }
        let failure = Failure::new(format!(
            "The default scope map was already configured with different repository permissions.\nPlease use \
             \"seawall scope-map update -r {registry} -n {name} --add <REPO> --remove <REPO>\" to update."
        ));
        let differences = [("It lacks", &wanted - &existing), ("It has besides", &existing - &wanted)];
        let differences = differences.iter().filter(|(_, actions)| !actions.is_empty());
        let told = differences.map(|(what, actions)| format!("{what}: {}", listed(actions)));
        return Err(told.fold(failure, Failure::hint).hint("Nothing was changed."));
    }
    session.inform(&format!("Creating the scope map {name:?} for the given permissions."));
    let description = Map::from_iter([("description".to_owned(), format!("Created by token: {token}").into())]);
    scope_map::create(session, &path, &actions, description).await?;
    Ok((path, true))
}

/// As the options take them, for a person to read.
fn listed(actions: &BTreeSet<String>) -> String {
    let shown = actions.iter().map(|action| visible::line(action.trim_start_matches("repositories/")));
    shown.collect::<Vec<_>>().join(", ")
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
            "The token exists, without new passwords. Try: seawall token credential generate -r {registry} -n {name}"
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
