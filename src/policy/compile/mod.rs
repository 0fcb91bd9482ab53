//! From what an operator wrote to the layer of the files: every text parsed, every name resolved, every problem reported.
//!
//! Pure: whatever a document refers to outside itself (secret files, environment variables, certificate files) is
//! asked of [`References`].

mod assignments;
mod data_endpoints;
mod identities;
mod networks;
mod passwords;
mod properties;
mod providers;
mod redirects;
mod scope_maps;
mod upstream;
mod upstream_credential;

use std::collections::HashMap;
use std::sync::Arc;

use self::passwords::{Names, Owner};
use super::address::{ExternalUrl, LoginServer};
use super::conditions::NetworkCondition;
use super::content_cache;
use super::credential::PrincipalId;
use super::document::{IdentityDocuments, PolicyDocument, RegistryDocument, RegistryDocuments, TokenDocument};
use super::identities::Identities;
use super::layers::{Declared, DeclaredPolicy};
use super::limits;
use super::locks;
use super::names::{self, Form};
use super::nearest::nearest;
use super::origin::At;
use super::pattern::RepositoryPattern;
use super::principal::{Password, Token};
use super::problem::{Problem, Problems};
use super::properties::Repositories;
use super::trusted::{Catalogue, TrustedInstanceDocuments, TrustedServices};
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

/// Compiles `document`; `None` when anything but warnings was found.
pub fn compile(document: &PolicyDocument, compiler: Compiler<'_>) -> (Option<DeclaredPolicy>, Problems) {
    let mut problems = Problems::new();
    let PolicyDocument {
        identity_providers,
        identities: written,
        role_assignments,
        trusted_services,
        registries: documents,
    } = document;
    let providers = providers::compile(identity_providers, compiler, &mut problems);
    let identities = identities::compile(written, identity_providers, compiler, &mut problems);
    let identities = Arc::new(Identities::declared(providers, identities));
    let catalogue = Arc::new(Catalogue::compile(trusted_services, &mut problems));
    let house = House { written, identities, catalogue, hash_key: compiler.hash_key };
    let everywhere = Arc::new(assignments::everywhere(role_assignments, &house, &mut problems));
    let registries: Vec<_> = documents
        .iter()
        .filter_map(|(name, document)| registry(name, document, &house, compiler, &mut problems))
        .map(Arc::new)
        .collect();
    alike(documents, &mut problems);
    data_endpoints::shared_hosts(&registries, &mut problems);
    upstream_credential::shared_services(documents, &mut problems);
    let policy = (!problems.are_fatal()).then(|| DeclaredPolicy::new(registries, house.identities, everywhere));
    (policy, problems)
}

/// What registries have in common: the identities, as written and as far as they could be compiled.
struct House<'a> {
    written: &'a IdentityDocuments,
    identities: Arc<Identities>,
    catalogue: Arc<Catalogue>,
    hash_key: &'a HashKey,
}

impl House<'_> {
    fn trusted(&self, written: &TrustedInstanceDocuments, problems: &mut Problems) -> TrustedServices {
        let known: Vec<_> = self.written.keys().map(|name| name.as_str()).collect();
        TrustedServices::compile(written, &self.catalogue, (&known, &self.identities), problems)
    }
}

/// Two registries must not have names that only differ in case: the API, like ARM, does not tell them apart.
fn alike(documents: &RegistryDocuments, problems: &mut Problems) {
    let mut seen: HashMap<String, &At<String>> = HashMap::new();
    for name in documents.keys() {
        if let Some(first) = seen.insert(name.to_ascii_lowercase(), name) {
            let what = format!("`{}` differs from registry `{}` in case only", name.value, first.value);
            problems.push(Problem::new(&name.origin, what).hint(format!("the other is at {}", first.origin)));
        }
    }
}

fn registry(
    name: &At<String>,
    document: &RegistryDocument,
    house: &House<'_>,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<Declared> {
    let named = check_name(name, names::REGISTRY, problems);
    let login_server = login_server(&document.login_server, problems);
    let external_url = match &document.external_url {
        None => Some(None),
        Some(url) => report(url, ExternalUrl::parse(url), "https://registry.example.com", problems).map(Some),
    };
    let upstream = upstream::target(&document.upstream, &document.login_server, compiler, problems);
    let trusted = document.trusted_services.as_ref().map(|written| house.trusted(written, problems));
    let ip_rules = properties::ip_rules(document, problems);
    let shadow = properties::shadow(document, problems);
    let endpoints = networks::endpoints(document, problems);
    let virtual_networks = networks::virtual_networks(document, problems);
    let content_cache = content_cache::compile(document.content_cache.as_ref(), problems);
    let properties = properties::declared(document, trusted.as_ref(), virtual_networks.as_ref(), problems);
    let scope_maps = scope_maps::compile(document, problems);
    let admin = admin(name, document, compiler, problems);
    let token = |(token, body)| self::token(name, token, body, &scope_maps, compiler, problems).map(Arc::new);
    let tokens: Vec<_> = document.tokens.iter().filter_map(token).collect();
    named_like_service_principals(&tokens, &house.identities, problems);
    let assignments = assignments::compile(name, document, house, &scope_maps, problems);
    let upstream = upstream?;
    Some(Declared {
        assignments,
        name: named?,
        login_server: login_server?,
        external_url: external_url?,
        content_cache: content_cache.map(|cache| Arc::new(cache.marked(compiler.hash_key, &upstream))),
        upstream: Arc::new(upstream),
        data_endpoints: data_endpoints::compile(document, problems),
        properties,
        ip_rules,
        shadow,
        endpoints,
        virtual_networks: virtual_networks.map(|at| at.value),
        catalogue: Arc::clone(&house.catalogue),
        trusted,
        admin_id: PrincipalId::derive(compiler.hash_key, "principal", &[name.as_bytes(), b"admin"]),
        admin,
        rate_limits: limits::compile(&document.rate_limits, problems),
        locks: locks::compile(&document.locks, problems),
        scope_maps,
        ids: tokens.iter().map(|token| (token.id, Arc::clone(token))).collect(),
        tokens: tokens.into_iter().map(|token| (Arc::clone(&token.name), token)).collect(),
        origin: name.origin.clone(),
    })
}

/// A user name means one principal.
fn named_like_service_principals(tokens: &[Arc<Token>], identities: &Identities, problems: &mut Problems) {
    for token in tokens {
        if let Some(identity) = identities.service_principal(&token.name) {
            let what = format!("token `{}` has the client id of identity `{}` as its name", token.name, identity.name);
            let hint = format!("the identity is at {}; choose another name", identity.origin);
            problems.push(Problem::new(&token.origin, what).hint(hint));
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

/// The admin account's passwords, where any are declared.
fn admin(
    name: &At<String>,
    document: &RegistryDocument,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<At<Vec<Password>>> {
    let owner = Owner { registry: name, kind: "admin", called: "the admin account", name };
    let declared = &document.admin.as_ref()?.passwords;
    let mut passwords = Vec::new();
    passwords::compile(declared, &owner, Names::These(names::ADMIN_PASSWORDS), &mut passwords, compiler, problems);
    declared.first().map(|first| At::new(passwords, first.origin.clone()))
}

fn token(
    registry: &At<String>,
    name: &At<String>,
    document: &TokenDocument,
    scope_maps: &scope_maps::ByName,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<Token> {
    let checked = check_name(name, names::DECLARED_TOKEN, problems);
    if name.value == registry.value {
        let what = format!(
            "token `{name}` has the registry's name, which is the admin account's user name",
            name = name.value
        );
        problems.push(Problem::new(&name.origin, what).hint("choose another name"));
    }
    let owner = Owner { registry, kind: "token", called: "a token", name };
    let mut passwords = Vec::new();
    let usual = Names::These(names::TOKEN_PASSWORDS);
    passwords::compile(&document.passwords, &owner, usual, &mut passwords, compiler, problems);
    passwords::compile(&document.additional_passwords, &owner, Names::Own, &mut passwords, compiler, problems);
    let scope_maps = scope_maps::of_token(document, scope_maps, problems);
    Some(Token {
        name: checked?,
        id: PrincipalId::derive(compiler.hash_key, "principal", &[registry.as_bytes(), b"token", name.as_bytes()]),
        status: document.status,
        scope_maps: scope_maps?,
        passwords: passwords.into(),
        networks: NetworkCondition::compile(document.networks.as_ref(), problems),
        origin: name.origin.clone(),
    })
}

/// Repository patterns; `None` when one of them is none.
fn patterns(texts: &[At<String>], problems: &mut Problems) -> Option<Repositories> {
    let pattern = |text: &At<String>| {
        let refuse = |error| Problem::new(&text.origin, format!("`{}`: {error}", text.value));
        RepositoryPattern::parse(text).map_err(|error| problems.push(refuse(error))).ok()
    };
    let patterns: Vec<_> = texts.iter().map(pattern).collect();
    patterns.into_iter().collect()
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

/// That there is no `what` of the name `wanted`, and which of the `known` is meant; else what to do.
pub(super) fn missing<'a>(
    what: &str,
    wanted: &At<String>,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> Problem {
    let problem = Problem::new(&wanted.origin, format!("there is no {what} `{}`", wanted.value));
    match nearest(wanted, known) {
        Some(name) => problem.hint(format!("did you mean `{name}`?")),
        None => problem.hint(otherwise),
    }
}

fn check_name(name: &At<String>, form: Form, problems: &mut Problems) -> Option<Arc<str>> {
    if form.allows(name) {
        return Some(name.as_str().into());
    }
    let problem = format!("`{}` is not {} name", name.value, form.what);
    problems.push(Problem::new(&name.origin, problem).hint(form.hint()));
    None
}
