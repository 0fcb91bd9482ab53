//! Why: the decision that a request would get, and every rule that is considered on the way to it.
//!
//! Nothing is decided here. The network rules, [`accepted`](super::accepted) and the function behind
//! [`authorize`](super::authorize) decide, the same for a question as for a request; only that they leave notes here.

mod network;
mod question;
mod recorded;
mod replay;
mod step;

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::credential::CredentialId;
use super::decide::{AccessList, Caller, Denial, Granted, decide};
use super::identity::{Identity, IdentityKind};
use super::nearest::nearest;
use super::network::{Place, Refused};
use super::principal::{Password, Principal};
use super::registry::Registry;
use super::snapshot::PolicySnapshot;
use super::trusted::Admission;
use crate::clock::Timestamp;
use crate::oci::Scope;

pub use question::{Asked, Question, Request, Via, Who, Words};
pub use recorded::{Recorded, RecordedPrincipal};
pub use replay::{Change, Replay, Replayed, Skipped};
pub(super) use step::{Notes, Unnoted};
pub use step::{Stage, Step, StepEffect};

/// The code of a source that the network rules refuse, as in the audit log.
pub const NETWORK_REFUSED: &str = "network_refused";

/// What is said of a source of which nothing else is known.
const ADMITTED: &str = "the network rules admit the address; who it was is not known";

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub allowed: bool,
    /// `permitted`, or the code of the denial, as in the audit log.
    pub code: &'static str,
    /// What decided.
    pub reason: String,
    /// What happens in place of what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<&'static str>,
    pub registry: String,
    pub source: String,
    pub principal: String,
    pub action: String,
    /// Of the policy that was asked.
    pub policy_version: u64,
    /// In the order in which they were considered.
    pub steps: Vec<Step>,
}

/// Explains what `question` would get at the registry of this name.
///
/// # Errors
/// A sentence, when the policy has no such registry or nobody of that name.
pub fn explain(
    policy: &PolicySnapshot,
    registry: &str,
    question: &Question,
    now: Timestamp,
) -> Result<Explanation, String> {
    let known = policy.registries().iter().map(|one| &*one.name);
    let registry = policy.registry_named(registry).ok_or_else(|| missing("registry", registry, known))?;
    let mut steps = Vec::new();
    let Verdict { allowed, code, reason, instead, turns: _ } =
        judge(registry, question, now, &mut steps).map_err(|absent| absent.text)?;
    Ok(Explanation {
        allowed,
        code,
        reason,
        instead,
        registry: registry.name.to_string(),
        source: question.source.to_string(),
        principal: question.who.to_string(),
        action: question.what.shown.clone(),
        policy_version: policy.version(),
        steps,
    })
}

/// The decision about a question.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    allowed: bool,
    code: &'static str,
    reason: String,
    instead: Option<&'static str>,
    /// When another decision may be due, because a password ends.
    turns: Option<Timestamp>,
}

/// What a question names and the policy has not.
#[derive(Debug)]
struct Absent {
    /// Of the denial that a request gets for it.
    code: &'static str,
    text: String,
}

/// The decision, with everything that is considered left in `notes`.
fn judge(registry: &Registry, question: &Question, now: Timestamp, notes: &mut impl Notes) -> Result<Verdict, Absent> {
    let admission = network::admit(registry, question, notes);
    let admission = admission.map_err(|text| Absent { code: NETWORK_REFUSED, text })?;
    let place = admission.as_ref().map_or_else(Refused::place, Admission::place).clone();
    let gone = |text| Absent { code: Denial::PrincipalGone.code(), text };
    let asking = caller(registry, question, now, notes).map_err(gone)?;
    let enters = |principal: &Principal, notes: &mut _| network::enter(registry, admission, principal, notes);
    let (admitted, decided, turns) = match asking {
        // Whoever is nobody in particular, or not known, is no trusted service.
        Ok(caller) if question.who == Who::Unknown => (enters(&caller.principal, notes), Ok(ADMITTED.to_owned()), None),
        Err(denied) => (enters(&registry.anonymous(), notes), Err(denied), None),
        Ok(caller) => {
            let admitted = enters(&caller.principal, notes);
            let permit = decide(registry, &caller, &question.what.operation, (&place, now), notes);
            let decided = permit
                .map(|permit| permit.rule().to_string())
                .map_err(|denial| (denial, becomes_upload(registry, &caller, &question.what, (&place, now))));
            (admitted, decided, ends(&caller))
        }
    };
    let (allowed, code, reason, instead) = match (admitted, decided) {
        (Err(refused), _) => (false, NETWORK_REFUSED, refused.to_string(), None),
        (Ok(()), Err((denial, instead))) => (false, denial.code(), denial.to_string(), instead),
        (Ok(()), Ok(rule)) => (true, "permitted", rule, None),
    };
    Ok(Verdict { allowed, code, reason, instead, turns })
}

/// When the caller's password ends.
fn ends(caller: &Caller) -> Option<Timestamp> {
    let id = caller.credential?;
    caller.principal.passwords().iter().find(|password| password.id == id)?.expiry
}

/// What a denied mount becomes, if it may.
fn becomes_upload(
    registry: &Registry,
    caller: &Caller,
    asked: &Asked,
    from: (&Place, Timestamp),
) -> Option<&'static str> {
    let plain = asked.operation.without_mount()?;
    decide(registry, caller, &plain, from, &mut Unnoted).ok()?;
    Some("the mount becomes a plain upload, which is permitted")
}

/// Who asks, with the credential that is meant or the best that he has: the first that counts, else the first.
type Asking = Result<Caller, (Denial, Option<&'static str>)>;

fn caller(registry: &Registry, asked: &Question, now: Timestamp, notes: &mut impl Notes) -> Result<Asking, String> {
    let asking = someone(registry, asked, now, notes)?;
    Ok(asking.map(|caller| Caller { granted: granted(asked.scopes.as_deref()), ..caller }))
}

/// How much of somebody's rights is brought along by a login, or by an access token that was issued for these scopes.
fn granted(scopes: Option<&[Scope]>) -> Granted {
    scopes.map_or(Granted::Everything, |scopes| Granted::Access(Arc::new(AccessList::from_scopes(scopes))))
}

fn someone(registry: &Registry, asked: &Question, now: Timestamp, notes: &mut impl Notes) -> Result<Asking, String> {
    let principal = match &asked.who {
        Who::Unknown | Who::Anonymous => return Ok(Ok(Caller::anonymous(registry))),
        Who::Admin => registry.principal_named(&registry.admin.name),
        Who::Token(name) => {
            let known = registry.tokens().map(|token| &*token.name);
            let token = registry.token(name).ok_or_else(|| missing("token", name, known))?;
            registry.principal(token.id)
        }
        Who::ServicePrincipal(name) => {
            let named = registry.identities().named(name).filter(|one| one.kind == IdentityKind::ServicePrincipal);
            let identity = named.or_else(|| registry.identities().service_principal(name));
            let known = registry.identities().iter().map(|one| &*one.name);
            let identity = identity.ok_or_else(|| missing("service principal", name, known))?;
            if identity.verified_by.is_some() {
                return Ok(vouched(registry, &[identity], notes));
            }
            registry.principal(identity.id)
        }
        Who::Identities(names) => {
            let identities: Vec<_> = names.iter().map(|name| identity(registry, name)).collect::<Result<_, _>>()?;
            match identities.as_slice() {
                // One without a secret of ours is vouched for.
                [one] if one.kind == IdentityKind::ServicePrincipal && !one.secrets.is_empty() => {
                    registry.principal(one.id)
                }
                _ => return Ok(vouched(registry, &identities, notes)),
            }
        }
    };
    let Some(principal) = principal else { return Ok(Err((Denial::PrincipalGone, None))) };
    notes.note(|| passwords(registry, &principal, now));
    let credential = credential(&principal, asked.credential.as_deref(), now);
    Ok(Ok(Caller { principal, credential, granted: Granted::Everything }))
}

fn identity<'r>(registry: &'r Registry, name: &str) -> Result<&'r Arc<Identity>, String> {
    let known = registry.identities().iter().map(|one| &*one.name);
    registry.identities().named(name).ok_or_else(|| missing("identity", name, known))
}

/// Whom a provider vouches for is all of these.
fn vouched(registry: &Registry, identities: &[&Arc<Identity>], notes: &mut impl Notes) -> Asking {
    let principal = registry.vouched(identities);
    let effect = if principal.is_some() { StepEffect::Nothing } else { StepEffect::Denies };
    notes.note(|| {
        let disabled = identities.iter().filter(|identity| !identity.is_enabled());
        let step = |identity: &&Arc<Identity>| {
            let rule = format!("status of identity {}", identity.name);
            Step::new(Stage::Credential, rule, &identity.origin, effect, "disabled")
        };
        disabled.map(step).collect::<Vec<_>>()
    });
    let principal = principal.ok_or((Denial::IdentityUnknown, None))?;
    Ok(Caller { principal, credential: None, granted: Granted::Everything })
}

/// What is to be said of all passwords.
fn passwords(registry: &Registry, principal: &Principal, now: Timestamp) -> Vec<Step> {
    let passwords = principal.passwords();
    let place = step::place(registry, principal);
    if passwords.is_empty() {
        let says = "it has no password, so nobody can log in as it";
        return vec![Step::new(Stage::Credential, "passwords", &place, StepEffect::Denies, says)];
    }
    let step = |password: &Password| {
        let says = match password.expiry {
            None => "counts, and never expires".to_owned(),
            Some(expiry) if password.is_valid_at(now) => format!("counts until {expiry}"),
            Some(expiry) => format!("has not counted since {expiry}"),
        };
        Step::new(Stage::Credential, &*password.name, &place, StepEffect::Nothing, says)
    };
    passwords.iter().map(step).collect()
}

/// The password that would do best, of those of this `name` where one is given.
fn credential(principal: &Principal, name: Option<&str>, now: Timestamp) -> Option<CredentialId> {
    let named = || principal.passwords().iter().filter(|password| name.is_none_or(|name| *password.name == *name));
    let best = named().find(|password| password.is_valid_at(now)).or_else(|| named().next());
    best.map(|password: &Password| password.id)
}

fn missing<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(meant) => format!("there is no {what} `{name}`; did you mean `{meant}`?"),
        None => format!("there is no {what} `{name}`"),
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Admin => f.write_str("admin account"),
            Self::Token(name) => write!(f, "token {name}"),
            Self::Identities(names) => write!(f, "identity {}", names.join(", ")),
            Self::ServicePrincipal(name) => write!(f, "service principal {name}"),
        }
    }
}
