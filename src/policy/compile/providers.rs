//! Identity providers: whom we believe what they say of others.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::policy::address::check_provider_url;
use crate::policy::claims::ClaimName;
use crate::policy::document::{IdentityProviderDocument, IdentityProviderDocuments, JwksDocument, SignInDocument};
use crate::policy::identity::{
    CERTIFICATE_PROVIDER, IdentityProvider, OWN_PROVIDER, ProviderAlgorithm, ProviderKeys, SignIn, TokenRequest,
};
use crate::policy::names;
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::policy::quantity;
use crate::secret::Secret;

use super::{Compiler, check_name, report, upstream};

const CLOCK_SKEW: Duration = Duration::from_mins(1);
const MOST_CLOCK_SKEW: Duration = Duration::from_mins(5);
const SUBJECT: &str = "sub";
/// What signs in, and renews it.
const SIGN_IN_SCOPES: [&str; 2] = ["openid", "offline_access"];

/// By name.
pub(super) fn compile(
    documents: &IdentityProviderDocuments,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Vec<Arc<IdentityProvider>> {
    same_issuers(documents, problems);
    let provider = |(name, document)| provider(name, document, compiler, problems).map(Arc::new);
    documents.iter().filter_map(provider).collect()
}

/// Providers are told apart by the `iss` claim: with one issuer twice, the audience and the keys of either would do.
fn same_issuers(documents: &IdentityProviderDocuments, problems: &mut Problems) {
    let mut seen: HashMap<&str, &At<String>> = HashMap::new();
    for (name, document) in documents {
        if let Some(first) = seen.insert(&document.issuer, name) {
            let what = format!("issuer `{}` already belongs to provider `{}`", document.issuer.value, first.value);
            let hint = format!("the other is at {}; one provider may have several audiences", first.origin);
            problems.push(Problem::new(&document.issuer.origin, what).hint(hint));
        }
    }
}

fn provider(
    name: &At<String>,
    document: &IdentityProviderDocument,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<IdentityProvider> {
    let named = check_name(name, names::PROVIDER, problems);
    if name.eq_ignore_ascii_case(OWN_PROVIDER) {
        let problem = Problem::new(&name.origin, format!("`{OWN_PROVIDER}` is the name of the installation itself"));
        problems.push(problem.hint("choose another name for the provider"));
    }
    if name.eq_ignore_ascii_case(CERTIFICATE_PROVIDER) {
        let what = format!("`{CERTIFICATE_PROVIDER}` stands for the certificates that clients show");
        let hint = "choose another name for the provider; listeners name the authorities of certificates";
        problems.push(Problem::new(&name.origin, what).hint(hint));
    }
    let issuer = url(&document.issuer, false, problems);
    let audiences = audiences(&document.audiences, problems);
    let keys = keys(document.jwks.as_ref(), compiler, problems);
    let ca = document.ca.as_ref().map(|path| authorities(path, document, compiler, problems));
    let subject_claim = document.subject_claim.as_ref().map(|claim| self::claim(claim, problems));
    let name_claim = document.name_claim.as_ref().map(|claim| self::claim(claim, problems));
    let sign_in = document.sign_in.as_ref().and_then(|written| sign_in(written, problems));
    Some(IdentityProvider {
        client_credentials: client_credentials(document, sign_in.as_ref(), problems),
        algorithms: algorithms(document, problems),
        clock_skew: clock_skew(document.clock_skew.as_ref(), problems),
        name: named?,
        issuer: issuer?.into(),
        audiences: audiences?,
        keys: keys?,
        ca,
        subject_claim: subject_claim.unwrap_or_else(|| SUBJECT.into()),
        name_claim,
        sign_in,
        origin: name.origin.clone(),
    })
}

fn url<'a>(text: &'a At<String>, may_have_query: bool, problems: &mut Problems) -> Option<&'a str> {
    let example = if may_have_query { "https://login.example.com/keys" } else { "https://login.example.com/tenant" };
    report(text, check_provider_url(text, may_have_query), example, problems).map(|()| text.as_str())
}

fn audiences(texts: &At<Vec<At<String>>>, problems: &mut Problems) -> Option<Box<[Box<str>]>> {
    if texts.is_empty() {
        let what = "a provider needs at least one audience: its tokens for others must not be accepted here";
        problems.push(Problem::new(&texts.origin, what).hint("the registry's login server is a good one"));
        return None;
    }
    for text in texts.iter().filter(|text| text.trim().is_empty()) {
        problems.push(Problem::new(&text.origin, "an audience is not empty"));
    }
    Some(texts.iter().map(|text| text.as_str().into()).collect())
}

fn algorithms(document: &IdentityProviderDocument, problems: &mut Problems) -> Box<[ProviderAlgorithm]> {
    let Some(written) = &document.algorithms else { return ProviderAlgorithm::DEFAULT.into() };
    if written.is_empty() {
        let problem =
            Problem::new(&written.origin, "no algorithm is allowed, so no token of this provider is accepted");
        problems.push(problem.hint("leave `algorithms` out for `RS256` and `ES256`"));
    }
    written.iter().map(|algorithm| algorithm.value).collect()
}

fn keys(jwks: Option<&At<JwksDocument>>, compiler: Compiler<'_>, problems: &mut Problems) -> Option<ProviderKeys> {
    let Some(jwks) = jwks else { return Some(ProviderKeys::Discovery) };
    match (&jwks.url, &jwks.file) {
        (Some(text), None) => url(text, true, problems).map(|url| ProviderKeys::Url(url.into())),
        (None, Some(path)) => match compiler.references.file(path).and_then(|text| is_key_set(&text)) {
            Ok(()) => Some(ProviderKeys::File(path.origin.beside(path))),
            Err(error) => {
                problems.push(Problem::new(&path.origin, error));
                None
            }
        },
        _ => {
            let problem = Problem::new(&jwks.origin, "`jwks` needs exactly one of `url` and `file`");
            problems
                .push(problem.hint("leave `jwks` out where the issuer publishes `/.well-known/openid-configuration`"));
            None
        }
    }
}

fn sign_in(written: &At<SignInDocument>, problems: &mut Problems) -> Option<SignIn> {
    let mut word = |text: &At<String>| word(text, problems);
    let defaults = || SIGN_IN_SCOPES.map(Box::from).into();
    let scopes = written.scopes.as_ref().map(|scopes| scopes.iter().filter_map(&mut word).collect());
    Some(SignIn {
        scopes: scopes.unwrap_or_else(defaults),
        audience: written.audience.as_ref().and_then(&mut word),
        resource: written.resource.as_ref().and_then(&mut word),
        client_id: word(&written.client_id)?,
    })
}

/// What the file says, else what people are given tokens for.
fn client_credentials(
    document: &IdentityProviderDocument,
    sign_in: Option<&SignIn>,
    problems: &mut Problems,
) -> TokenRequest {
    let Some(written) = &document.client_credentials else {
        let of_people = |sign_in: &SignIn| TokenRequest {
            scopes: Box::default(),
            audience: sign_in.audience.clone(),
            resource: sign_in.resource.clone(),
        };
        return sign_in.map(of_people).unwrap_or_default();
    };
    let mut word = |text: &At<String>| word(text, problems);
    TokenRequest {
        scopes: written.scopes.iter().filter_map(&mut word).collect(),
        audience: written.audience.as_ref().and_then(&mut word),
        resource: written.resource.as_ref().and_then(&mut word),
    }
}

/// As RFC 6749 has client ids and scopes (appendices A.1 and A.4).
fn word(text: &At<String>, problems: &mut Problems) -> Option<Box<str>> {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_word {
        problems.push(Problem::new(&text.origin, "not a word of visible ASCII characters"));
    }
    is_word.then(|| text.as_str().into())
}

fn is_key_set(text: &Secret) -> Result<(), String> {
    let set: Value = serde_json::from_str(text.expose()).map_err(|error| format!("not JSON: {error}"))?;
    let keys = set.get("keys").and_then(Value::as_array);
    match keys.map(Vec::len) {
        None => Err("not a JWK set: there is no list `keys` in it".to_owned()),
        Some(0) => Err("there is no key in this JWK set".to_owned()),
        Some(_) => Ok(()),
    }
}

fn authorities(
    path: &At<String>,
    document: &IdentityProviderDocument,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> PathBuf {
    let asked = match document.jwks.as_ref().map(|jwks| (&jwks.url, &jwks.file)) {
        None => Some(&document.issuer),
        Some((url, _)) => url.as_ref(),
    };
    if asked.is_none_or(|url| url.starts_with("http://")) {
        let problem = Problem::new(&path.origin, "`ca` has no meaning for a provider that is not asked over TLS");
        problems.push(problem.hint("remove it"));
    } else if let Err(error) = compiler.references.file(path).and_then(upstream::authorities) {
        problems.push(Problem::new(&path.origin, error));
    }
    path.origin.beside(path)
}

fn clock_skew(text: Option<&At<String>>, problems: &mut Problems) -> Duration {
    let Some(text) = text else { return CLOCK_SKEW };
    match quantity::duration(text) {
        Ok(skew) if skew <= MOST_CLOCK_SKEW => return skew,
        Ok(_) => {
            let problem = Problem::new(&text.origin, "a clock may be wrong by 5m at most");
            problems.push(problem.hint("set the clocks: what has expired would be accepted for so long"));
        }
        Err(error) => problems.push(Problem::new(&text.origin, error)),
    }
    CLOCK_SKEW
}

/// A claim that must be there by name; kept as it was written.
fn claim(text: &At<String>, problems: &mut Problems) -> Box<str> {
    if let Err(error) = ClaimName::parse(text) {
        problems.push(Problem::new(&text.origin, format!("`{}`: {error}", text.value)));
    }
    text.as_str().into()
}
