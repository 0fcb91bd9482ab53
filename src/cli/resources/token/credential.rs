//! `seawall token credential generate|delete`.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::format::Outcome;
use crate::cli::resources::arguments::{Common, Named, name};
use crate::cli::resources::expiration::Expiration;
use crate::cli::resources::failure::Failure;
use crate::cli::resources::session::Session;
use crate::cli::resources::{Operation, columns, flat};
use crate::clock::{Clock, SystemClock};

const PASSWORD1: &str = "password1";
const PASSWORD2: &str = "password2";

/// Which passwords.
#[derive(Debug, Args)]
struct Passwords {
    /// The password `password1`.
    #[arg(long)]
    password1: bool,
    /// The password `password2`.
    #[arg(long)]
    password2: bool,
    /// An additional password of this name.
    #[arg(long, value_name = "NAME", value_parser = name)]
    password_name: Option<String>,
}

impl Passwords {
    /// The names that were given.
    fn names(&self) -> Vec<&str> {
        let pair = [(self.password1, PASSWORD1), (self.password2, PASSWORD2)];
        let named = pair.into_iter().filter(|(given, _)| *given).map(|(_, name)| name);
        named.chain(self.password_name.as_deref()).collect()
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Generate {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    passwords: Passwords,
    #[command(flatten)]
    expiration: Expiration,
    /// How long the replaced passwords are accepted besides, such as 10m. Default: no longer.
    #[arg(long, value_name = "DURATION")]
    overlap: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Operation for Generate {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let chosen = match self.passwords.names().as_slice() {
            // ARM's word for both is none.
            [] | [PASSWORD1, PASSWORD2] => None,
            [one] => Some((*one).to_owned()),
            _ => return Err(Failure::new("usage error: --password-name goes alone.")),
        };
        let expiry = self.expiration.expiry(SystemClock.now())?;
        let generation = Generation { name: chosen, expiry, overlap: self.overlap };
        let generated = generate(session, &self.named.of.registry, &self.named.name, generation).await?;
        // S0-8.
        session.warn("Please store your generated credentials safely.");
        Ok(Outcome::table(generated, columns::credentials))
    }
}

/// Which passwords are generated, and how long they and their predecessors are valid.
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// `None`: `password1` and `password2`.
    pub(super) name: Option<String>,
    pub(super) expiry: Option<String>,
    pub(super) overlap: Option<String>,
}

/// The user name and the passwords of a token, with the values of those that were generated.
pub(super) async fn generate(
    session: &Session,
    registry: &str,
    token: &str,
    generation: Generation,
) -> Result<Value, Failure> {
    let mut body = Map::new();
    body.insert("tokenId".to_owned(), session.token(registry, token).into());
    let Generation { name, expiry, overlap } = generation;
    for (property, value) in [("name", name), ("expiry", expiry), ("overlap", overlap)] {
        if let Some(value) = value {
            body.insert(property.to_owned(), value.into());
        }
    }
    let path = format!("{}/generateCredentials", session.registry(registry));
    Ok(flat::credentials(session.post(&path, Some(&body.into())).await?, &flat::PASSWORD))
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeletePasswords {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    passwords: Passwords,
    #[command(flatten)]
    common: Common,
}

impl Operation for DeletePasswords {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let unwanted = self.passwords.names();
        if unwanted.is_empty() {
            return Err(Failure::new("No credentials to delete."));
        }
        let path = session.token(&self.named.of.registry, &self.named.name);
        let token = session.modify(&path, |token| without(token, &unwanted)).await?;
        Ok(Outcome::table(flat::token(token), columns::tokens))
    }
}

/// The change of `token` after which it has the passwords it has now, without those that are unwanted.
fn without(token: &Value, unwanted: &[&str]) -> Result<Value, Failure> {
    let lists = ["passwords", "additionalPasswords"].map(|list| (list, names(token, list)));
    for name in unwanted {
        if !lists.iter().any(|(_, names)| names.contains(name)) {
            let shown = match *name {
                PASSWORD1 => "Password1",
                PASSWORD2 => "Password2",
                other => other,
            };
            let message = format!("Unable to perform operation. {shown} credential doesn't exist.");
            return Err(Failure::new(message));
        }
    }
    let mut credentials = Map::new();
    for (list, names) in lists {
        // A list in which nothing is unwanted is left as it is.
        if names.iter().any(|name| unwanted.contains(name)) {
            let kept = names.iter().filter(|name| !unwanted.contains(name)).map(|name| json!({ "name": name }));
            credentials.insert(list.to_owned(), kept.collect());
        }
    }
    Ok(json!({ "properties": { "credentials": credentials } }))
}

fn names<'a>(token: &'a Value, list: &str) -> Vec<&'a str> {
    let passwords = token.pointer(&format!("/properties/credentials/{list}")).and_then(Value::as_array);
    passwords.into_iter().flatten().filter_map(|password| password.get("name")?.as_str()).collect()
}
