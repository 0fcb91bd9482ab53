//! What a migration makes, whatever it read: the file that `seawall serve` takes, and what was left out of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Target;
use crate::policy::RepositoryPattern;
use crate::policy::action::{Action, ActionSet};
use crate::policy::credential::Verifier;
use crate::policy::names;
use crate::policy::origin::Origin;
use crate::policy::problem::{Problem, Problems};

/// The tokens and scope maps of a registry.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) scope_maps: BTreeMap<String, ScopeMap>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) anonymous_pull: bool,
    /// Users that did not become tokens.
    pub(super) left_out: usize,
    /// Everything that was left out, at its place.
    pub(super) problems: Problems,
}

#[derive(Debug, Serialize)]
pub(super) struct ScopeMap {
    description: String,
    repositories: BTreeMap<String, Vec<&'static str>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token {
    scope_map: String,
    passwords: [Password; 1],
}

#[derive(Debug, Serialize)]
struct Password {
    name: &'static str,
    hash: String,
}

#[derive(Serialize)]
struct File<'a> {
    version: u16,
    listeners: [Listener; 1],
    registries: BTreeMap<&'a str, Registry<'a>>,
}

#[derive(Serialize)]
struct Listener {
    name: &'static str,
    address: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registry<'a> {
    login_server: &'a str,
    upstream: Upstream<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    anonymous_pull_enabled: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    scope_maps: &'a BTreeMap<String, ScopeMap>,
    tokens: &'a BTreeMap<String, Token>,
}

#[derive(Serialize)]
struct Upstream<'a> {
    url: &'a str,
}

impl Outcome {
    pub(super) fn add_scope_map(
        &mut self,
        name: &str,
        description: String,
        rules: impl IntoIterator<Item = (RepositoryPattern, ActionSet)>,
    ) {
        let words = |actions: ActionSet| actions.iter().map(Action::name).collect();
        let repositories = rules.into_iter().map(|(pattern, actions)| (pattern.to_string(), words(actions))).collect();
        self.scope_maps.insert(name.to_owned(), ScopeMap { description, repositories });
    }

    pub(super) fn add_token(&mut self, name: &str, scope_map: &str, hash: &str) {
        let passwords = [Password { name: "password1", hash: hash.to_owned() }];
        self.tokens.insert(name.to_owned(), Token { scope_map: scope_map.to_owned(), passwords });
    }

    /// The whole file for `target`, with a first line that says what to look at.
    ///
    /// # Errors
    /// What the writer of YAML says; nothing that is written here is known to cause it.
    pub(super) fn yaml(&self, target: &Target) -> Result<String, serde_yaml::Error> {
        let registry = Registry {
            login_server: &target.login_server,
            upstream: Upstream { url: &target.upstream },
            anonymous_pull_enabled: self.anonymous_pull,
            scope_maps: &self.scope_maps,
            tokens: &self.tokens,
        };
        let listeners = [Listener { name: "local", address: "127.0.0.1:8080" }];
        let file = File { version: 1, listeners, registries: [(target.registry.as_str(), registry)].into() };
        let text = serde_yaml::to_string(&file)?;
        Ok(format!(
            "# Made by `seawall migrate`. Adapt listeners, loginServer and upstream; to include it in another file, remove\n\
             # version and listeners.\n{text}"
        ))
    }
}

/// Whether a user of this name can be a token of `registry`.
///
/// # Errors
/// Why not, at `origin`.
pub(super) fn token_name(name: &str, origin: &Origin, registry: &str) -> Result<(), Problem> {
    if name == registry {
        let what = format!("user `{name}` has the registry's name, which is the admin account's user name");
        return Err(Problem::new(origin, what).hint("choose another registry name with --registry"));
    }
    names::check_declared_token(name).map_err(|what| Problem::new(origin, what))
}

/// Whether `hash` can stand under `hash:`. Of a hash nothing is ever repeated.
///
/// # Errors
/// Why not, at `origin`.
pub(super) fn bcrypt(hash: &str, origin: &Origin, user: &str) -> Result<(), Problem> {
    let kind = match Verifier::parse_hash(hash) {
        Ok(Verifier::Bcrypt(_)) => return Ok(()),
        _ if hash.starts_with("$2") => Err("a bcrypt hash that is malformed or costs too much (4 to 15)"),
        _ if hash.starts_with("$apr1$") || hash.starts_with("$1$") => Err("MD5"),
        _ if hash.starts_with("{SHA}") || hash.starts_with("{SSHA}") => Err("SHA-1"),
        _ if hash.starts_with("$5$") || hash.starts_with("$6$") => Err("SHA-2 crypt"),
        _ => Err("something else, such as crypt or clear text"),
    };
    kind.map_err(|kind: &str| {
        let what = format!("the password of `{user}` is kept as {kind}; only bcrypt can be taken over");
        Problem::new(origin, what).hint("`htpasswd -nB NAME` asks for the password and prints a hash that can be used")
    })
}
