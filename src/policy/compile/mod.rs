//! From what an operator wrote to what decisions need: every text parsed, every name resolved, every problem reported.
//!
//! Pure: whatever a document refers to outside itself (secret files, environment variables, certificate files) is
//! asked of [`References`].

mod passwords;
mod scope_maps;
mod upstream;

use std::collections::HashMap;
use std::sync::Arc;

use self::passwords::Owner;
use super::address::{ExternalUrl, LoginServer};
use super::credential::PrincipalId;
use super::document::{RegistryDocument, RegistryDocuments, TokenDocument};
use super::nearest::nearest;
use super::network::NetworkRules;
use super::origin::At;
use super::principal::{Admin, Token};
use super::problem::{Problem, Problems};
use super::registry::{Parts, Registry};
use super::scope_map::ScopeMap;
use super::snapshot::PolicySnapshot;
use crate::clock::Timestamp;
use crate::secret::{HashKey, Secret};

/// What documents refer to outside themselves. The message of an error is shown to the operator as it is.
pub trait References {
    /// The text of a file; relative paths count from the folder of the file that names it.
    fn file(&self, path: &At<String>) -> Result<Secret, String>;
    /// The value of an environment variable.
    fn environment(&self, name: &At<String>) -> Result<Secret, String>;
}

/// What compiling needs besides the documents.
#[derive(Clone, Copy)]
pub struct Compiler<'a> {
    pub hash_key: &'a HashKey,
    pub references: &'a dyn References,
    /// Only for warnings; decisions take the time of the request.
    pub now: Timestamp,
}

impl std::fmt::Debug for Compiler<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiler")
    }
}

/// Compiles `documents` to the snapshot number `version`; `None` when anything but warnings was found.
pub fn compile(
    documents: &RegistryDocuments,
    compiler: Compiler<'_>,
    version: u64,
) -> (Option<PolicySnapshot>, Problems) {
    let mut problems = Problems::new();
    let registries: Vec<_> = documents
        .iter()
        .filter_map(|(name, document)| registry(name, document, compiler, &mut problems))
        .map(Arc::new)
        .collect();
    shared_hosts(&registries, &mut problems);
    let snapshot = (!problems.are_fatal()).then(|| PolicySnapshot::new(version, registries));
    (snapshot, problems)
}

/// Two registries must not answer to the same Host header.
fn shared_hosts(registries: &[Arc<Registry>], problems: &mut Problems) {
    let mut seen: HashMap<Box<str>, &Registry> = HashMap::new();
    for registry in registries {
        for host in registry.login_server.host_headers() {
            if let Some(first) = seen.insert(host, registry) {
                let what =
                    format!("login server `{}` already belongs to registry `{}`", registry.login_server, first.name);
                problems.push(Problem::new(&registry.origin, what).hint(format!("the other is at {}", first.origin)));
                break;
            }
        }
    }
}

fn registry(
    name: &At<String>,
    document: &RegistryDocument,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<Registry> {
    let named = check_name(name, "registry", (5, 50), |c| c.is_ascii_alphanumeric(), "letters and digits", problems);
    not_yet(document, problems);
    let login_server = login_server(&document.login_server, problems);
    let external_url = match &document.external_url {
        None => Some(None),
        Some(url) => report(url, ExternalUrl::parse(url), "https://registry.example.com", problems).map(Some),
    };
    let upstream = upstream::target(&document.upstream, compiler, problems);
    let network = NetworkRules::compile(document.public_network_access, &document.network_rule_set, problems);
    let scope_maps = scope_maps::compile(document, problems);
    let admin = admin(name, document, compiler, problems);
    let tokens = document
        .tokens
        .iter()
        .filter_map(|(token, body)| self::token(name, token, body, &scope_maps, compiler, problems))
        .collect();
    Some(Registry::new(Parts {
        name: named?,
        login_server: login_server?,
        external_url: external_url?,
        upstream: upstream?,
        network: network?,
        anonymous_pull: document.anonymous_pull_enabled,
        admin,
        scope_maps,
        tokens,
        origin: name.origin.clone(),
    }))
}

/// Keys whose feature is not built yet are refused, never ignored.
fn not_yet(document: &RegistryDocument, problems: &mut Problems) {
    let lists = [
        ("privateEndpointConnections", &document.private_endpoint_connections),
        ("roleAssignments", &document.role_assignments),
    ];
    for (key, list) in lists {
        for item in list {
            let what = format!("`{key}` is not available in this version");
            problems.push(Problem::new(&item.origin, what).hint("remove it: it would have no effect"));
        }
    }
}

fn login_server(text: &At<String>, problems: &mut Problems) -> Option<LoginServer> {
    let parsed = report(text, LoginServer::parse(text), "registry.example.com or registry.example.com:8443", problems)?;
    for word in ["service", "scope"] {
        if parsed.host().contains(word) {
            let what =
                format!("the host name contains `{word}`: Microsoft's Java client cannot read challenges with it");
            problems.push(Problem::warning(&text.origin, what).hint("choose another host name for Java clients"));
        }
    }
    Some(parsed)
}

fn admin(name: &At<String>, document: &RegistryDocument, compiler: Compiler<'_>, problems: &mut Problems) -> Admin {
    let owner = Owner { registry: name, kind: "admin", called: "the admin account", name };
    let empty = Vec::new();
    let declared = document.admin.as_ref().map_or(&empty, |admin| &admin.passwords);
    let passwords = passwords::compile(declared, &owner, &["password", "password2"], compiler, problems);
    if document.admin_user_enabled && declared.is_empty() {
        let what = "the admin account is enabled but has no password, so nobody can use it";
        let hint = "add `admin: { passwords: [ { name: password, file: … } ] }`";
        problems.push(Problem::warning(&name.origin, what).hint(hint));
    }
    Admin {
        name: name.as_str().into(),
        id: PrincipalId::derive(compiler.hash_key, "principal", &[name.as_bytes(), b"admin"]),
        enabled: document.admin_user_enabled,
        passwords,
        origin: name.origin.clone(),
    }
}

fn token(
    registry: &At<String>,
    name: &At<String>,
    document: &TokenDocument,
    scope_maps: &scope_maps::ByName,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<Token> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let checked = check_name(name, "token", (5, 50), allowed, "letters, digits and `-`", problems);
    if name.value == registry.value {
        let what = format!(
            "token `{name}` has the registry's name, which is the admin account's user name",
            name = name.value
        );
        problems.push(Problem::new(&name.origin, what).hint("choose another name"));
    }
    let owner = Owner { registry, kind: "token", called: "a token", name };
    let names = ["password1", "password2"];
    let passwords = passwords::compile(&document.passwords, &owner, &names, compiler, problems);
    let scope_map = find_scope_map(&document.scope_map, scope_maps, problems);
    Some(Token {
        name: checked?,
        id: PrincipalId::derive(compiler.hash_key, "principal", &[registry.as_bytes(), b"token", name.as_bytes()]),
        status: document.status,
        scope_map: scope_map?,
        passwords,
        origin: name.origin.clone(),
    })
}

fn find_scope_map(
    wanted: &At<String>,
    scope_maps: &scope_maps::ByName,
    problems: &mut Problems,
) -> Option<Arc<ScopeMap>> {
    let found = scope_maps.get(wanted.as_str());
    if found.is_none() {
        let problem = Problem::new(&wanted.origin, format!("there is no scope map `{}`", wanted.value));
        let nearest = nearest(wanted, scope_maps.keys().map(AsRef::as_ref));
        problems.push(match nearest {
            Some(name) => problem.hint(format!("did you mean `{name}`?")),
            None => {
                problem.hint("declare it under `scopeMaps`, or use a system-defined one such as `_repositories_pull`")
            }
        });
    }
    found.cloned()
}

/// Reports a text that does not parse, quoting it unless a password may stand in it: before an `@`.
fn report<T>(
    text: &At<String>,
    parsed: Result<T, impl std::fmt::Display>,
    example: &str,
    problems: &mut Problems,
) -> Option<T> {
    let refuse = |error| {
        let quoted = if text.contains('@') { String::new() } else { format!("`{}`: ", text.value) };
        Problem::new(&text.origin, format!("{quoted}{error}")).hint(format!("such as {example}"))
    };
    parsed.map_err(|error| problems.push(refuse(error))).ok()
}

fn check_name(
    name: &At<String>,
    what: &str,
    (least, most): (usize, usize),
    allowed: impl Fn(char) -> bool,
    alphabet: &str,
    problems: &mut Problems,
) -> Option<Arc<str>> {
    if (least..=most).contains(&name.len()) && name.chars().all(allowed) {
        return Some(name.as_str().into());
    }
    let problem = format!("`{}` is not a {what} name", name.value);
    problems.push(Problem::new(&name.origin, problem).hint(format!("use {least} to {most} {alphabet}, as in ACR")));
    None
}
