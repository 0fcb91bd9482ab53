//! Identities: whom roles can be assigned to, and who turns out to be one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::claims::{ClaimName, ClaimPattern, ClaimRule};
use crate::policy::conditions::NetworkCondition;
use crate::policy::credential::PrincipalId;
use crate::policy::document::{ClaimRuleDocument, IdentityDocument, IdentityDocuments, IdentityProviderDocuments};
use crate::policy::identity::{CERTIFICATE_PROVIDER, Guid, Identity, IdentityKind};
use crate::policy::names;
use crate::policy::origin::{At, Origin};
use crate::policy::principal::Password;
use crate::policy::problem::{Problem, Problems};

use super::passwords::{self, Names, Owner};
use super::{Compiler, check_name, missing};

pub(super) fn compile(
    documents: &IdentityDocuments,
    providers: &IdentityProviderDocuments,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Vec<Identity> {
    let identity = |(name, document)| identity(name, document, providers, compiler, problems);
    let identities: Vec<_> = documents.iter().filter_map(identity).collect();
    same_ids(documents, problems);
    same_principals(&identities, problems);
    identities
}

fn identity(
    name: &At<String>,
    document: &IdentityDocument,
    providers: &IdentityProviderDocuments,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<Identity> {
    let named = check_name(name, names::IDENTITY, problems);
    let kind = document.kind.value;
    let client_id = document.client_id.as_ref().and_then(|id| guid(id, problems));
    if kind == IdentityKind::ServicePrincipal && document.client_id.is_none() {
        let problem = Problem::new(&name.origin, format!("service principal `{}` has no `clientId`", name.value));
        problems.push(problem.hint("its client id, a GUID such as `uuidgen` makes, is its user name"));
    }
    let rules: Vec<_> = document.matches.iter().filter_map(|rule| self::rule(rule, providers, problems)).collect();
    // For a managed one the installation vouches.
    let has_secrets = !document.secrets.is_empty() || document.verified_by.is_some();
    if document.matches.is_empty() && !has_secrets && !kind.is_managed() {
        let problem = Problem::warning(&name.origin, format!("nobody can be identity `{}`", name.value));
        problems.push(problem.hint("say under `matches` whom an identity provider must describe for it"));
    }
    let parts = [name.as_bytes(), client_id.as_ref().map_or(&[][..], |id| id.as_str().as_bytes())];
    let id = PrincipalId::derive(compiler.hash_key, "identity", &parts);
    let principal_id = document.principal_id.as_ref().and_then(|id| guid(id, problems));
    Some(Identity {
        id,
        kind,
        principal_id: principal_id.unwrap_or_else(|| id.into()),
        tenant_id: document.tenant_id.as_ref().and_then(|id| guid(id, problems)),
        rules: rules.into(),
        secrets: secrets(name, document, client_id.as_ref(), compiler, problems).into(),
        verified_by: document.verified_by.as_ref().and_then(|by| verified_by(by, document, providers, problems)),
        client_id,
        status: document.status,
        networks: NetworkCondition::compile(document.networks.as_ref(), problems),
        origin: name.origin.clone(),
        name: named?,
    })
}

fn secrets(
    name: &At<String>,
    document: &IdentityDocument,
    client_id: Option<&Guid>,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Vec<Password> {
    let mut secrets = Vec::new();
    if let Some(first) = document.secrets.first().filter(|_| document.kind.value != IdentityKind::ServicePrincipal) {
        let problem = Problem::new(&first.origin, "only an identity of type `ServicePrincipal` has secrets");
        problems.push(problem.hint("change its type, or let an identity provider vouch for it under `matches`"));
        return secrets;
    }
    // No registry has an empty name, so its secrets are nobody else's.
    let name = client_id.map_or(name.as_str(), Guid::as_str);
    let owner = Owner { registry: "", kind: "identity", called: "a service principal", name };
    let usual = Names::These(names::TOKEN_PASSWORDS);
    passwords::compile(&document.secrets, &owner, usual, &mut secrets, compiler, problems);
    secrets
}

/// The provider at which the secret is verified. What it says of the service principal has to mean it.
fn verified_by(
    by: &At<String>,
    document: &IdentityDocument,
    providers: &IdentityProviderDocuments,
    problems: &mut Problems,
) -> Option<Arc<str>> {
    let refused = if document.kind.value != IdentityKind::ServicePrincipal {
        Some(("only an identity of type `ServicePrincipal` has a secret to verify", "change its type, or remove this"))
    } else if !document.secrets.is_empty() {
        Some(("`verifiedBy` takes the place of `secrets`", "keep one of them"))
    } else {
        None
    };
    if let Some((what, hint)) = refused {
        problems.push(Problem::new(&by.origin, what).hint(hint));
        return None;
    }
    let provider = provider(by, providers, None, problems)?;
    if !document.matches.iter().any(|rule| rule.provider.value == by.value) {
        let what = format!("nothing that `{}` says makes a caller this service principal", by.value);
        let hint = "say under `matches` what its token for the client says, such as `azp` or `client_id`";
        problems.push(Problem::new(&by.origin, what).hint(hint));
    }
    Some(provider)
}

/// The provider of this name. `besides`: what else may have been meant.
fn provider(
    name: &At<String>,
    providers: &IdentityProviderDocuments,
    besides: Option<&'static str>,
    problems: &mut Problems,
) -> Option<Arc<str>> {
    let provider = providers.keys().find(|known| known.value == name.value);
    if provider.is_none() {
        let known = providers.keys().map(|name| name.as_str()).chain(besides);
        problems.push(missing("identity provider", name, known, "declare it under `identityProviders`"));
    }
    provider.map(|name| name.as_str().into())
}

fn guid(text: &At<String>, problems: &mut Problems) -> Option<Guid> {
    let id = Guid::parse(text);
    if id.is_none() {
        let problem = Problem::new(&text.origin, format!("`{}` is not a GUID, or the one of zeros", text.value));
        problems.push(problem.hint("such as 6f9619ff-8b86-d011-b42d-00c04fc964ff"));
    }
    id
}

/// An id names one identity.
fn same_ids(documents: &IdentityDocuments, problems: &mut Problems) {
    let mut seen: HashMap<(&str, Guid), (&At<String>, &Origin)> = HashMap::new();
    for (name, document) in documents {
        for (key, written) in [("clientId", &document.client_id), ("principalId", &document.principal_id)] {
            let Some(written) = written else { continue };
            let Some(id) = Guid::parse(written) else { continue };
            if let Some((first, origin)) = seen.insert((key, id), (name, &written.origin)) {
                let what = format!("identity `{}` has this `{key}` already", first.value);
                problems.push(Problem::new(&written.origin, what).hint(format!("the other is at {origin}")));
            }
        }
    }
}

/// Nor is one written that follows from another identity, as the API shows it: both would have what the store assigns to one.
fn same_principals(identities: &[Identity], problems: &mut Problems) {
    let mut seen: HashMap<&Guid, &Identity> = HashMap::new();
    for identity in identities {
        let Some(first) = seen.insert(&identity.principal_id, identity) else { continue };
        let follows = |one: &Identity| one.principal_id == Guid::from(one.id);
        if follows(first) || follows(identity) {
            let what = format!("identity `{}` has the principal id of this one", first.name);
            let problem = Problem::new(&identity.origin, what);
            problems.push(problem.hint(format!("the other is at {}; remove `principalId` from one", first.origin)));
        }
    }
}

fn rule(
    document: &ClaimRuleDocument,
    providers: &IdentityProviderDocuments,
    problems: &mut Problems,
) -> Option<ClaimRule> {
    let provider = match document.provider.as_str() {
        CERTIFICATE_PROVIDER => Some(CERTIFICATE_PROVIDER.into()),
        _ => provider(&document.provider, providers, Some(CERTIFICATE_PROVIDER), problems),
    };
    if document.claims.is_empty() {
        let what = format!("a rule without a claim would match everybody whom `{}` knows", document.provider.value);
        let hint = "name the claims that must hold, such as `sub: repo:acme/app:ref:refs/heads/main`";
        problems.push(Problem::new(&document.claims.origin, what).hint(hint));
    }
    let claim = |(name, text)| claim(&document.provider, name, text, problems);
    let claims = document.claims.iter().map(claim).collect::<Vec<_>>();
    Some(ClaimRule { provider: provider?, claims: claims.into_iter().collect::<Option<_>>()? })
}

fn claim(
    provider: &str,
    name: &At<String>,
    text: &At<String>,
    problems: &mut Problems,
) -> Option<(ClaimName, ClaimPattern)> {
    let refuse = |error| Problem::new(&name.origin, format!("`{}`: {error}", name.value));
    let claim = ClaimName::of(provider, name).map_err(|error| problems.push(refuse(error))).ok();
    let pattern = ClaimPattern::parse(text);
    match &pattern {
        None => {
            let problem = Problem::new(&text.origin, format!("the text of claim `{}` is empty", name.value));
            problems.push(problem.hint("write the text that the claim must have"));
        }
        Some(pattern) if pattern.matches_everything() => {
            let what = format!("`{}` holds for whatever the provider says in claim `{}`", text.value, name.value);
            problems
                .push(Problem::warning(&text.origin, what).hint("write the texts that are meant, as far as they go"));
        }
        Some(_) => {}
    }
    Some((claim?, pattern?))
}
