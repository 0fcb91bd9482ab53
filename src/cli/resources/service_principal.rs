//! `seawall service-principal create|list|show|update|delete` and `seawall service-principal credential reset|list|delete`.

use clap::{Args, Subcommand};
use jiff::Span;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::Operation;
use super::arguments::{Common, name};
use super::failure::Failure;
use super::identity::{NamedIdentity, Rules};
use super::networks::Networks;
use super::role::{assign, id, role_id};
use super::session::{SERVICE_PRINCIPALS, Session, service_principal};
use super::token::Status;
use super::{columns, flat};
use crate::cli::format::Outcome;
use crate::clock::{Clock, SystemClock, Timestamp};

/// Applications that log in with a client id and a secret.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Create a service principal and a secret, which is shown once, and give it a role.
    Create(Create),
    /// Print a service principal.
    Show(Show),
    /// Print all service principals.
    List(List),
    /// Change a service principal.
    Update(Update),
    /// Delete a service principal and every role that it has.
    Delete(Delete),
    /// The secrets of a service principal.
    #[command(subcommand)]
    Credential(CredentialCommand),
}

/// The secrets of a service principal.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CredentialCommand {
    /// Make a secret, which is shown once. All former ones are refused from then on, unless --append is given.
    Reset(Reset),
    /// Print when the secrets were made and when they end.
    List(Credentials),
    /// Delete a secret.
    Delete(DeleteCredential),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    named: NamedIdentity,
    /// The name of a role, such as AcrPull. Case does not matter.
    #[arg(long, value_name = "ROLE", requires = "scopes")]
    role: Option<String>,
    /// The ids of registries, as `seawall show --query id` prints them. A subscription: all registries.
    #[arg(long, value_name = "ID", num_args = 1.., value_parser = id, requires = "role")]
    scopes: Vec<String>,
    /// The identity provider that verifies its secret: there is none here then. Needs a rule (--match) for what that
    /// provider's token says of it.
    #[arg(long, value_name = "NAME", conflicts_with = "years", value_parser = name)]
    verified_by: Option<String>,
    /// The client id by which that provider knows it. Default: a random one, for which a client has to be made there.
    #[arg(long, value_name = "GUID", requires = "verified_by")]
    client_id: Option<String>,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    validity: Validity,
    #[command(flatten)]
    networks: Networks,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Validity {
    /// For how many years the secret is accepted. Default: 1.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..=1000))]
    years: Option<i64>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    named: NamedIdentity,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Update {
    #[command(flatten)]
    named: NamedIdentity,
    /// Whether it may log in and manage.
    #[arg(long, value_enum, ignore_case = true)]
    status: Option<Status>,
    /// The identity provider that verifies its secret from now on: there is none here then. Empty: none does.
    #[arg(long, value_name = "NAME")]
    verified_by: Option<String>,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    networks: Networks,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    named: NamedIdentity,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Reset {
    #[command(flatten)]
    named: NamedIdentity,
    /// Add a second secret instead, so that both are accepted.
    #[arg(long)]
    append: bool,
    #[command(flatten)]
    validity: Validity,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Credentials {
    #[command(flatten)]
    named: NamedIdentity,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeleteCredential {
    #[command(flatten)]
    named: NamedIdentity,
    /// Which one: password1 or password2.
    #[arg(long, value_name = "NAME", value_parser = name)]
    key_id: String,
    #[command(flatten)]
    common: Common,
}

impl Operation for Create {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let name = &self.named.name;
        let expiry = self.validity.expiry(SystemClock.now())?;
        let role = match &self.role {
            Some(role) => Some(role_id(session, role).await?),
            None => None,
        };
        let mut properties = Map::new();
        let is_verified = self.verified_by.is_some();
        for (key, value) in [("clientId", self.client_id), ("verifiedBy", self.verified_by)] {
            properties.extend(value.map(|value| (key.to_owned(), value.into())));
        }
        self.networks.add_to(&mut properties);
        self.rules.add_to(&mut properties, session);
        let body = if properties.is_empty() { json!({}) } else { json!({ "properties": properties }) };
        let (made, existed) = session.put(&service_principal(name), &body).await?;
        if existed && !is_verified {
            session.warn(&format!(
                "The service principal '{name}' existed already; a new secret takes the place of its former ones."
            ));
        }
        let principal_id = made.pointer("/properties/principalId").and_then(Value::as_str).unwrap_or_default();
        for scope in &self.scopes {
            session.inform(&format!("Assigning the role in scope {scope}."));
            let properties = [("principalId", Some(principal_id)), ("roleDefinitionId", role.as_deref())];
            let properties = properties.map(|(name, value)| (name.to_owned(), value.into()));
            assign(session, scope, Map::from_iter(properties)).await.map_err(|failure| {
                failure.hint(format!(
                    "The service principal exists, without a secret: seawall service-principal delete -n {name}"
                ))
            })?;
        }
        if is_verified {
            return Ok(shown(made));
        }
        let made = generate(session, name, false, expiry).await?;
        Ok(secret(session, &made, Some(name)).into())
    }
}

impl Validity {
    /// RFC 3339, in UTC; the server has a default.
    fn expiry(&self, now: Timestamp) -> Result<Option<String>, Failure> {
        let Some(years) = self.years else { return Ok(None) };
        let end = now.to_zoned(TimeZone::UTC).checked_add(Span::new().years(years));
        let end = end.map_err(|_| Failure::new(format!("{years} years from now is after the year 9999.")))?;
        Ok(Some(end.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
    }
}

async fn generate(session: &Session, name: &str, append: bool, expiry: Option<String>) -> Result<Value, Failure> {
    let mut body = Map::new();
    body.insert("replaceAll".to_owned(), (!append).into());
    if let Some(expiry) = expiry {
        body.insert("expiry".to_owned(), expiry.into());
    }
    session.post(&format!("{}/credentials", service_principal(name)), Some(&body.into())).await
}

/// What `az ad sp create-for-rbac` and `credential reset` print.
fn secret(session: &Session, made: &Value, name: Option<&str>) -> Value {
    session.warn("The output includes credentials that you must protect. Be sure that you do not include these credentials in your code or check the credentials into your source control.");
    let text = |key: &str| made.get(key).cloned().unwrap_or_default();
    let mut shown = json!({ "appId": text("clientId"), "password": text("value"), "tenant": text("tenantId") });
    if let (Some(name), Some(shown)) = (name, shown.as_object_mut()) {
        shown.insert("displayName".to_owned(), name.into());
    }
    shown
}

impl Operation for Show {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        Ok(shown(session.get(&service_principal(&self.named.name)).await?))
    }
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let all = session.list(SERVICE_PRINCIPALS).await?;
        Ok(Outcome::table(all.into_iter().map(flat::service_principal).collect(), columns::service_principals))
    }
}

impl Operation for Update {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let mut properties = Map::new();
        if let Some(status) = self.status {
            properties.insert("status".to_owned(), status.word().into());
        }
        properties.extend(self.verified_by.map(|by| ("verifiedBy".to_owned(), by.into())));
        self.networks.add_to(&mut properties);
        self.rules.add_to(&mut properties, session);
        if properties.is_empty() {
            return Err(Failure::new("No service principal properties to update."));
        }
        let path = service_principal(&self.named.name);
        Ok(shown(session.patch(&path, &json!({ "properties": properties })).await?))
    }
}

impl Operation for Delete {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let name = &self.named.name;
        session.delete(&service_principal(name), &[], "service principal", name).await?;
        Ok(Outcome::NOTHING)
    }
}

impl Operation for Reset {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let expiry = self.validity.expiry(SystemClock.now())?;
        let made = generate(session, &self.named.name, self.append, expiry).await?;
        Ok(secret(session, &made, None).into())
    }
}

impl Operation for Credentials {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let mut found = session.get(&service_principal(&self.named.name)).await?;
        let credentials = found.pointer_mut("/properties/credentials").map(Value::take).unwrap_or_default();
        Ok(Outcome::table(flat::secrets(credentials), columns::secrets))
    }
}

impl Operation for DeleteCredential {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let path = format!("{}/credentials/{}", service_principal(&self.named.name), self.key_id);
        session.delete(&path, &[], "secret", &self.key_id).await?;
        Ok(Outcome::NOTHING)
    }
}

fn shown(resource: Value) -> Outcome {
    Outcome::table(flat::service_principal(resource), columns::service_principals)
}
