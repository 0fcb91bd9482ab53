//! `seawall identity create|show|list|update|delete`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::Operation;
use super::arguments::{Common, name};
use super::failure::Failure;
use super::networks::Networks;
use super::registry::tags_of;
use super::session::Session;
use super::token::Status;
use super::{columns, flat};
use crate::cli::format::Outcome;

/// People, groups, machines and clusters, to whom roles are assigned.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Create an identity, or say anew whom an identity provider must describe for it.
    Create(Create),
    /// Print an identity.
    Show(Show),
    /// Print all identities but service principals.
    List(List),
    /// Change an identity.
    Update(Update),
    /// Delete an identity and every role that it has.
    Delete(Delete),
}

/// What an identity stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Kind {
    /// A person.
    User,
    /// Everybody of whom a provider says so.
    Group,
    /// A machine, whose identity ends with it.
    SystemAssigned,
    /// An identity of its own that machines use.
    UserAssigned,
    /// A cluster, which pulls and does nothing else.
    KubernetesCluster,
}

#[derive(Debug, Args)]
pub(super) struct NamedIdentity {
    /// The name of the identity or service principal. Upper and lower case differ.
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    pub(super) name: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    named: NamedIdentity,
    /// What it stands for. Default: UserAssigned.
    #[arg(long = "type", value_enum, ignore_case = true)]
    kind: Option<Kind>,
    #[command(flatten)]
    rules: Rules,
    /// Labels, KEY=VALUE. They replace those there are; '' removes all.
    #[arg(long, num_args = 1.., value_name = "KEY=VALUE")]
    tags: Option<Vec<String>>,
    /// Accepted because az has it: there is one location.
    #[arg(short, long, value_name = "NAME")]
    location: Option<String>,
    #[command(flatten)]
    networks: Networks,
    #[command(flatten)]
    common: Common,
}

/// Whom a provider must describe.
#[derive(Debug, Args)]
pub(super) struct Rules {
    /// Whoever a provider describes so is this identity: provider=corp,sub=build-*. Also as JSON, as the API takes it. They
    /// replace those there are.
    #[arg(long = "match", value_name = "RULE", num_args = 1.., value_parser = rule)]
    matches: Option<Vec<Value>>,
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

impl Rules {
    pub(super) fn add_to(self, properties: &mut Map<String, Value>, session: &Session) {
        let Some(rules) = self.matches else { return };
        for (claim, text) in rules.iter().filter_map(|rule| rule.get("claims")?.as_object()).flatten() {
            if text.as_str().is_some_and(|text| text.bytes().all(|byte| byte == b'*')) {
                session.warn(&format!("The rule holds for whatever the provider says in claim '{claim}'."));
            }
        }
        properties.insert("matches".to_owned(), rules.into());
    }
}

/// Reads `provider=corp,sub=…`, or JSON where a text has a comma in it.
fn rule(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let mut provider = None;
    let mut claims = Map::new();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or("write provider=NAME,CLAIM=TEXT")?;
        if name == "provider" {
            provider = Some(value);
        } else if claims.insert(name.to_owned(), value.into()).is_some() {
            return Err(format!("the claim {name} is there twice"));
        }
    }
    match provider {
        Some(provider) if !claims.is_empty() => Ok(json!({ "provider": provider, "claims": claims })),
        _ => Err("a rule needs a provider and a claim: provider=NAME,CLAIM=TEXT".to_owned()),
    }
}

impl Operation for Create {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let mut properties = Map::new();
        if let Some(kind) = self.kind {
            properties.insert("identityType".to_owned(), format!("{kind:?}").into());
        }
        self.networks.add_to(&mut properties);
        self.rules.add_to(&mut properties, session);
        let mut body = json!({ "properties": properties });
        if let (Some(tags), Some(body)) = (&self.tags, body.as_object_mut()) {
            body.insert("tags".to_owned(), tags_of(tags));
        }
        let (identity, _) = session.put(&session.identity(&self.named.name), &body).await?;
        Ok(shown(identity))
    }
}

impl Operation for Show {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        Ok(shown(session.get(&session.identity(&self.named.name)).await?))
    }
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let all = session.list(&session.identities()).await?;
        Ok(Outcome::table(all.into_iter().map(flat::identity).collect(), columns::identities))
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
        self.networks.add_to(&mut properties);
        self.rules.add_to(&mut properties, session);
        if properties.is_empty() {
            return Err(Failure::new("No identity properties to update."));
        }
        Ok(shown(session.patch(&session.identity(&self.named.name), &json!({ "properties": properties })).await?))
    }
}

impl Operation for Delete {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        session.delete(&session.identity(&self.named.name), &[], "identity", &self.named.name).await?;
        Ok(Outcome::NOTHING)
    }
}

fn shown(identity: Value) -> Outcome {
    Outcome::table(flat::identity(identity), columns::identities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_in_one_word_or_as_json() {
        let short = rule("provider=corp,sub=repo:acme/app:ref=x,aud=y").unwrap();
        assert_eq!(short, json!({ "provider": "corp", "claims": { "sub": "repo:acme/app:ref=x", "aud": "y" } }));
        let long = json!({ "provider": "corp", "claims": { "sub": "cn=a,dc=b" } });
        assert_eq!(rule(&long.to_string()).unwrap(), long);
        for text in ["", "provider=corp", "sub=x", "provider=corp,sub", "provider=corp,sub=x,sub=y", "{"] {
            assert!(rule(text).is_err(), "{text}");
        }
    }
}
