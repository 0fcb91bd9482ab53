//! Why: the decision that a request would get, and every rule that is considered on the way to it.
//!
//! Nothing is decided here. The network rules, [`accepted`](super::accepted) and the function behind
//! [`authorize`](super::authorize) decide, the same for a question as for a request; only that they leave notes here.

mod network;
mod question;
mod recorded;
mod step;

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::credential::CredentialId;
use super::decide::{Caller, Denial, Granted, decide};
use super::identity::{Identity, IdentityKind};
use super::nearest::nearest;
use super::network::{Place, Refused};
use super::principal::{Password, Principal};
use super::registry::Registry;
use super::snapshot::PolicySnapshot;
use super::trusted::Admission;
use crate::clock::Timestamp;

pub use question::{Asked, Question, Request, Via, Who, Words};
pub use recorded::{Recorded, RecordedPrincipal};
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
    let admitted = network::admit(registry, question, &mut steps)?;
    let place = match &admitted {
        Ok(admission) => admission.place().clone(),
        Err(refused) => refused.place().clone(),
    };
    let from = (&place, now);
    let (decided, admitted) = if question.who == Who::Unknown {
        // Nobody in particular is no trusted service.
        (Ok(ADMITTED.to_owned()), enter(registry, admitted, &Caller::anonymous(registry), &mut steps))
    } else {
        let mut denied = Vec::new();
        let asking = caller(registry, &question.who, now, &mut denied)?;
        let admitted = match &asking {
            Ok(caller) => enter(registry, admitted, caller, &mut steps),
            // Whoever is nobody is no trusted service either.
            Err(_) => enter(registry, admitted, &Caller::anonymous(registry), &mut steps),
        };
        steps.append(&mut denied);
        let decided = asking.and_then(|caller| {
            let permit = decide(registry, &caller, &question.what.operation, from, &mut steps);
            permit
                .map(|permit| permit.rule().to_string())
                .map_err(|denial| (denial, becomes_upload(registry, &caller, &question.what, from)))
        });
        (decided, admitted)
    };
    let (allowed, code, reason, instead) = match (admitted, decided) {
        (Err(refused), _) => (false, NETWORK_REFUSED, refused.to_string(), None),
        (Ok(()), Err((denial, instead))) => (false, denial.code(), denial.to_string(), instead),
        (Ok(()), Ok(rule)) => (true, "permitted", rule, None),
    };
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

/// Whether `caller` is let in, for whom it is decided where the network rules leave it open.
fn enter(
    registry: &Registry,
    decided: Result<Admission, Refused>,
    caller: &Caller,
    steps: &mut Vec<Step>,
) -> Result<(), Refused> {
    network::enter(registry, &decided?, &caller.principal, steps)
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

/// Who asks, with the best of his credentials: the first that counts, else the first.
type Asking = Result<Caller, (Denial, Option<&'static str>)>;

fn caller(registry: &Registry, who: &Who, now: Timestamp, steps: &mut Vec<Step>) -> Result<Asking, String> {
    let principal = match who {
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
            registry.principal(identity.id)
        }
        Who::Identities(names) => {
            let identities: Vec<_> = names.iter().map(|name| identity(registry, name)).collect::<Result<_, _>>()?;
            match identities.as_slice() {
                [one] if one.kind == IdentityKind::ServicePrincipal => registry.principal(one.id),
                _ => return Ok(vouched(registry, &identities, steps)),
            }
        }
    };
    let Some(principal) = principal else { return Ok(Err((Denial::PrincipalGone, None))) };
    let credential = credential(registry, &principal, now, steps);
    Ok(Ok(Caller { principal, credential, granted: Granted::Everything }))
}

fn identity<'r>(registry: &'r Registry, name: &str) -> Result<&'r Arc<Identity>, String> {
    let known = registry.identities().iter().map(|one| &*one.name);
    registry.identities().named(name).ok_or_else(|| missing("identity", name, known))
}

/// Whom a provider vouches for is all of these.
fn vouched(registry: &Registry, identities: &[&Arc<Identity>], steps: &mut Vec<Step>) -> Asking {
    let principal = registry.vouched(identities);
    let effect = if principal.is_some() { StepEffect::Nothing } else { StepEffect::Denies };
    for identity in identities.iter().filter(|identity| !identity.is_enabled()) {
        let rule = format!("status of identity {}", identity.name);
        steps.push(Step::new(Stage::Credential, rule, &identity.origin, effect, "disabled"));
    }
    let principal = principal.ok_or((Denial::IdentityUnknown, None))?;
    Ok(Caller { principal, credential: None, granted: Granted::Everything })
}

/// The password that would do best, and what is to be said of all of them.
fn credential(
    registry: &Registry,
    principal: &Principal,
    now: Timestamp,
    steps: &mut Vec<Step>,
) -> Option<CredentialId> {
    let passwords = principal.passwords();
    let place = step::place(registry, principal);
    for password in passwords {
        let says = match password.expiry {
            None => "counts, and never expires".to_owned(),
            Some(expiry) if password.is_valid_at(now) => format!("counts until {expiry}"),
            Some(expiry) => format!("has not counted since {expiry}"),
        };
        steps.push(Step::new(Stage::Credential, &*password.name, &place, StepEffect::Nothing, says));
    }
    if passwords.is_empty() {
        let says = "it has no password, so nobody can log in as it";
        steps.push(Step::new(Stage::Credential, "passwords", &place, StepEffect::Denies, says));
    }
    let best = passwords.iter().find(|password| password.is_valid_at(now)).or_else(|| passwords.first());
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
