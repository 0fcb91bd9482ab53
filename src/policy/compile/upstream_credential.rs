//! `upstream.credential`: which keys belong to its type, where its secret is, what it is bound to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::address::{UpstreamTarget, UrlOrigin};
use crate::policy::document::{
    RegistryDocuments, SecretDocument, UpstreamCredentialDocument, UpstreamCredentialKind, UpstreamDocument,
};
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};
use crate::policy::upstream_credential::{Account, MintedAccess, TokenService, UpstreamCredential};
use crate::secret::{KeyedDigest, Secret};

use super::{Compiler, report};

/// The `sub` of tokens that are signed for an upstream, unless it is set.
const ACCOUNT: &str = "seawall";

/// The credential for `target`. `None` when it cannot be used, which is among the problems then.
pub(super) fn compile(
    upstream: &UpstreamDocument,
    target: &UpstreamTarget,
    login_server: &At<String>,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<UpstreamCredential> {
    let Some(document) = &upstream.credential else { return Some(UpstreamCredential::None) };
    let wanted = keys_of(document.kind());
    for (key, origin) in keys(document).into_iter().filter(|(key, _)| !wanted.contains(key)) {
        // A type that was misspelt is read as the first one: its own problem is enough.
        let origin = document
            .kind
            .as_ref()
            .filter(|kind| kind.value == UpstreamCredentialKind::None)
            .map_or(origin, |kind| &kind.origin);
        let what = format!("`{key}` has no meaning for a credential of type `{}`", name(document.kind()));
        problems.push(Problem::new(origin, what).hint("remove it, or set the `type` that it belongs to"));
    }
    warn_of_clear_text(document, target, problems);
    let bound = Bound { target, compiler };
    match document.kind() {
        UpstreamCredentialKind::None => Some(UpstreamCredential::None),
        UpstreamCredentialKind::Basic => {
            let username = required(document.username.as_ref(), "username", document, problems);
            let password = required(document.password.as_ref(), "password", document, problems);
            account(username?, password?, compiler, problems).map(UpstreamCredential::Basic)
        }
        UpstreamCredentialKind::Token => token_service(document, &bound, problems).map(UpstreamCredential::Token),
        UpstreamCredentialKind::Minted => {
            minted(document, login_server, &bound, problems).map(UpstreamCredential::Minted)
        }
    }
}

impl UpstreamCredentialDocument {
    fn kind(&self) -> UpstreamCredentialKind {
        self.kind.as_ref().map_or_else(UpstreamCredentialKind::default, |kind| kind.value)
    }
}

const fn name(kind: UpstreamCredentialKind) -> &'static str {
    match kind {
        UpstreamCredentialKind::None => "none",
        UpstreamCredentialKind::Basic => "basic",
        UpstreamCredentialKind::Token => "token",
        UpstreamCredentialKind::Minted => "minted",
    }
}

const fn keys_of(kind: UpstreamCredentialKind) -> &'static [&'static str] {
    match kind {
        UpstreamCredentialKind::None => &[],
        UpstreamCredentialKind::Basic => &["username", "password"],
        UpstreamCredentialKind::Token => &["username", "password", "realms"],
        UpstreamCredentialKind::Minted => &["service", "issuer", "account"],
    }
}

/// The keys that are written, with their places.
fn keys(document: &UpstreamCredentialDocument) -> Vec<(&'static str, &Origin)> {
    fn place<T>(at: Option<&At<T>>) -> Option<&Origin> {
        at.map(|at| &at.origin)
    }
    let all = [
        ("username", place(document.username.as_ref())),
        ("password", place(document.password.as_ref())),
        ("realms", place(document.realms.first())),
        ("service", place(document.service.as_ref())),
        ("issuer", place(document.issuer.as_ref())),
        ("account", place(document.account.as_ref())),
    ];
    all.into_iter().filter_map(|(key, origin)| Some((key, origin?))).collect()
}

fn required<'d, T>(
    value: Option<&'d At<T>>,
    key: &str,
    document: &At<UpstreamCredentialDocument>,
    problems: &mut Problems,
) -> Option<&'d At<T>> {
    if value.is_none() {
        let what = format!("a credential of type `{}` needs `{key}`", name(document.kind()));
        problems.push(Problem::new(&document.origin, what));
    }
    value
}

fn warn_of_clear_text(document: &At<UpstreamCredentialDocument>, target: &UpstreamTarget, problems: &mut Problems) {
    let sent = match document.kind() {
        UpstreamCredentialKind::Basic => "the password is",
        UpstreamCredentialKind::Token | UpstreamCredentialKind::Minted => "access tokens are",
        UpstreamCredentialKind::None => return,
    };
    if !target.origin().is_private() {
        let what = format!("{sent} sent to this upstream without TLS: whoever is on the way can read and use it");
        problems
            .push(Problem::warning(&document.origin, what).hint("use an https:// URL, or an upstream on the loopback"));
    }
}

fn account(
    username: &At<String>,
    password: &At<SecretDocument>,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<Account> {
    // RFC 7617 section 2: the first colon ends the user name.
    let unfit = username.is_empty() || username.chars().any(|one| one == ':' || one.is_control());
    if unfit {
        problems.push(Problem::new(&username.origin, "a user name has one character or more, and no colon among them"));
    }
    let password = secret(password, compiler, problems)?;
    (!unfit).then(|| Account { username: username.as_str().into(), password })
}

fn secret(document: &At<SecretDocument>, compiler: Compiler<'_>, problems: &mut Problems) -> Option<Secret> {
    let (place, found) = match (&document.file, &document.env) {
        (Some(path), None) => (path, compiler.references.file(path)),
        (None, Some(name)) => (name, compiler.references.environment(name)),
        _ => {
            let problem = Problem::new(&document.origin, "a secret needs exactly one of `file` and `env`");
            problems.push(problem.hint("a clear-text secret is never accepted"));
            return None;
        }
    };
    let found = found.map(Secret::without_line_break).and_then(|secret| match secret.expose() {
        "" => Err("the password is empty".to_owned()),
        _ => Ok(secret),
    });
    found.map_err(|error| problems.push(Problem::new(&place.origin, error))).ok()
}

fn token_service(
    document: &At<UpstreamCredentialDocument>,
    bound: &Bound<'_>,
    problems: &mut Problems,
) -> Option<TokenService> {
    let realms: Vec<_> = document.realms.iter().map(|text| realm(text, problems)).collect();
    let account = match (document.username.as_ref(), document.password.as_ref()) {
        (None, None) => None,
        (username, password) => {
            let username = required(username, "username", document, problems);
            let password = required(password, "password", document, problems);
            Some(account(username?, password?, bound.compiler, problems)?)
        }
    };
    let realms: Box<[UrlOrigin]> = realms.into_iter().collect::<Option<_>>()?;
    let texts: Vec<String> = realms.iter().map(ToString::to_string).collect();
    let (username, password) = match &account {
        Some(Account { username, password }) => (&**username, password.expose()),
        None => ("", ""),
    };
    let parts: Vec<&str> = ["token", username, password].into_iter().chain(texts.iter().map(String::as_str)).collect();
    let identity = bound.identity(&parts);
    Some(TokenService { account, realms, identity })
}

/// An origin that may get the password.
fn realm(text: &At<String>, problems: &mut Problems) -> Option<UrlOrigin> {
    let realm = report(text, UrlOrigin::parse(text), "https://auth.example.com", problems)?;
    if !realm.is_private() {
        let what = format!("`{realm}` is not https: whoever is on the way could read the password");
        problems.push(Problem::new(&text.origin, what).hint("http is accepted on the loopback only"));
        return None;
    }
    Some(realm)
}

fn minted(
    document: &At<UpstreamCredentialDocument>,
    login_server: &At<String>,
    bound: &Bound<'_>,
    problems: &mut Problems,
) -> Option<MintedAccess> {
    let service = required(document.service.as_ref(), "service", document, problems);
    let filled = |at: &Option<At<String>>, problems: &mut Problems| -> Option<Arc<str>> {
        let at = at.as_ref()?;
        if at.is_empty() {
            problems.push(Problem::new(&at.origin, "this must not be empty"));
        }
        Some(at.as_str().into())
    };
    let issuer = filled(&document.issuer, problems);
    let account = filled(&document.account, problems).unwrap_or_else(|| ACCOUNT.into());
    let service_text = filled(&document.service, problems);
    if let Some(service) = service.filter(|service| service.eq_ignore_ascii_case(login_server)) {
        let what = "the upstream's service is called like the login server, so it accepts the access tokens of clients";
        let hint = "give it another `service`, or whoever reaches it passes seawall's rules by";
        problems.push(Problem::warning(&service.origin, what).hint(hint));
    }
    let service = service_text?;
    let identity = bound.identity(&["minted", issuer.as_deref().unwrap_or_default(), &service, &account]);
    Some(MintedAccess { issuer, service, account, identity })
}

/// A minted token is good wherever its service is: neither another upstream nor clients should have the same.
pub(super) fn shared_services(documents: &RegistryDocuments, problems: &mut Problems) {
    let mut seen: HashMap<String, (&At<String>, &At<String>)> = HashMap::new();
    for (name, document) in documents {
        let Some(service) = document.upstream.credential.as_ref().and_then(|one| one.service.as_ref()) else {
            continue;
        };
        let mut warn = |what: String, hint: String| problems.push(Problem::warning(&service.origin, what).hint(hint));
        let url = &document.upstream.url;
        match seen.insert(service.to_ascii_lowercase(), (name, url)) {
            Some((first, other)) if other.value != url.value => {
                let what = format!("the upstream of registry `{}` has this service too", first.value);
                warn(what, "a token for one is good at the other: give each a `service` of its own".to_owned());
            }
            _ => {}
        }
        let others = documents.iter().filter(|(other, _)| other.value != name.value);
        for (other, _) in others.filter(|(_, other)| other.login_server.eq_ignore_ascii_case(service)) {
            let what = format!("this service is the login server of registry `{}`", other.value);
            warn(what, "the upstream accepts the access tokens of that registry's clients: choose another".to_owned());
        }
    }
}

/// What tokens are bound to besides the credential itself.
struct Bound<'a> {
    target: &'a UpstreamTarget,
    compiler: Compiler<'a>,
}

impl Bound<'_> {
    fn identity(&self, parts: &[&str]) -> KeyedDigest {
        let origin = self.target.origin().to_string();
        let tls = self.target.tls.as_ref();
        let server_name = tls.map_or("", |tls| &*tls.server_name);
        let authorities = tls.and_then(|tls| tls.authorities.as_ref()).map_or("", Secret::expose);
        let bound = [origin.as_str(), server_name, authorities];
        let all: Vec<&[u8]> = bound.iter().chain(parts).map(|part| part.as_bytes()).collect();
        self.compiler.hash_key.digest("upstream-credential", &all)
    }
}
