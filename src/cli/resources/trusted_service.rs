//! `seawall trusted-service add|list|remove`. Beyond `az acr`, where Microsoft chooses.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Operation;
use super::arguments::{Common, NamedRegistry};
use super::columns;
use super::failure::Failure;
use super::session::Session;
use crate::cli::format::Outcome;

/// The identities for which the rules for public networks do not count.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Trust an identity as a service.
    Add(Add),
    /// Print who is trusted.
    List(List),
    /// Trust an identity no more.
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Instance {
    /// What it is trusted as: scanner, import, tasks, machineLearning, or a service of the server's file.
    #[arg(long, value_name = "SERVICE")]
    service: String,
    /// The name or the principal id of the identity.
    #[arg(long, value_name = "IDENTITY")]
    identity: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    #[command(flatten)]
    registry: NamedRegistry,
    #[command(flatten)]
    instance: Instance,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    registry: NamedRegistry,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    #[command(flatten)]
    registry: NamedRegistry,
    #[command(flatten)]
    instance: Instance,
    #[command(flatten)]
    common: Common,
}

impl Instance {
    /// Whether `one`, of the server, is this.
    fn is(&self, one: &Value) -> bool {
        let text = |name: &str| one.get(name).and_then(Value::as_str);
        let id = text("principalId").is_some_and(|id| id.eq_ignore_ascii_case(&self.identity));
        text("service") == Some(&self.service) && (text("identity") == Some(&self.identity) || id)
    }
}

impl Operation for Add {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let registry = change(session, &self.registry.name, |all| {
            if !all.iter().any(|one| self.instance.is(one)) {
                all.push(json!({ "service": self.instance.service, "identity": self.instance.identity }));
            }
            Ok(())
        })
        .await?;
        warn_if_idle(session, &registry);
        Ok(shown(&registry))
    }
}

impl Operation for Remove {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let Instance { service, identity } = &self.instance;
        let registry = change(session, &self.registry.name, |all| {
            let before = all.len();
            all.retain(|one| !self.instance.is(one));
            if all.len() == before {
                return Err(Failure::new(format!("'{identity}' is not trusted as '{service}'.")));
            }
            Ok(())
        })
        .await?;
        Ok(shown(&registry))
    }
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let registry = session.get(&session.registry(&self.registry.name)).await?;
        Ok(shown(&registry))
    }
}

/// Changes the list of the registry as `edit` does.
async fn change(
    session: &Session,
    registry: &str,
    edit: impl Fn(&mut Vec<Value>) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    let body = |current: &Value| {
        let mut all = trusted(current);
        edit(&mut all)?;
        Ok(json!({ "properties": { "trustedServices": all } }))
    };
    session.modify(&session.registry(registry), body).await
}

fn shown(registry: &Value) -> Outcome {
    Outcome::table(trusted(registry).into(), columns::trusted_services)
}

/// Says so where nobody passes in spite of being trusted (S2-6).
pub(super) fn warn_if_idle(session: &Session, registry: &Value) {
    let rules = registry.pointer("/properties/networkRuleSet/virtualNetworkRules").and_then(Value::as_array);
    let has_rules = rules.is_some_and(|rules| !rules.is_empty());
    let bypass = registry.pointer("/properties/networkRuleBypassOptions").and_then(Value::as_str);
    if has_rules && bypass != Some("None") && !trusted(registry).is_empty() {
        session.warn("No trusted service passes the rules of a registry that has virtual network rules.");
    }
}

fn trusted(registry: &Value) -> Vec<Value> {
    let all = registry.pointer("/properties/trustedServices").and_then(Value::as_array);
    all.cloned().unwrap_or_default()
}
