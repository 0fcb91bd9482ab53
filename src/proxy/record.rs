//! Step 11, audit: exactly one record for every request, and the metrics of it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use super::client::Client;
use super::passage::{Begun, Passage};
use super::reject::{CLIENT_LEFT, Refusal};
use super::target::Target;
use super::trail::Trail;
use crate::policy::Principal;
use crate::policy::principal::Subject;
use crate::telemetry::audit::{AuditRecord, Bounded, PrincipalRecord, ShadowRecord};
use crate::telemetry::metrics::FinishedRequest;
use crate::telemetry::{OperationClass, Outcome};

impl Drop for Passage {
    /// A request whose task was ended under it (the grace of a drain was over, a defect) has its record too.
    fn drop(&mut self) {
        cut_off(self);
    }
}

/// Writes down a request that is over.
pub(super) fn finish<C: Client>(client: &C, passage: &mut Passage) {
    let given_up = client.connection().is_some_and(|connection| connection.is_given_up());
    if given_up && passage.trail.refusal.as_ref().is_some_and(|refusal| !refusal.is_denial) {
        // The sockets failed because we are ending: neither the client nor the upstream left.
        passage.trail.refusal = None;
        passage.trail.refused(&Refusal::CutOff);
    }
    if let Some(begun) = passage.record.begun.take() {
        write(passage, begun, client.transferred());
    }
}

/// Writes down a request that nobody finished.
fn cut_off(passage: &mut Passage) {
    if let Some(begun) = passage.record.begun.take() {
        passage.trail.refused(&Refusal::CutOff);
        write(passage, begun, (passage.body_bytes, passage.record.downloaded));
    }
}

fn write(passage: &Passage, begun: Begun, (uploaded, downloaded): (u64, u64)) {
    let shared = &passage.record.shared;
    let took = shared.clock.ticks().saturating_sub(passage.began);
    let registry = passage.trail.registry.as_ref().map(|registry| &*registry.name);
    let (outcome, reason) = outcome(&passage.trail);
    shared.metrics.decided(registry, outcome, reason);
    let shadow = passage.trail.shadow.as_ref().map(ShadowRecord::new);
    if let (Some(registry), Some(shadow)) = (registry, &shadow) {
        shared.metrics.shadow_decided(registry, shadow.would);
    }
    shared.metrics.request_finished(&FinishedRequest {
        registry,
        operation: passage.trail.class,
        status: passage.status,
        duration: took,
        upstream: passage.upstream_took,
        uploaded,
        downloaded,
    });
    let connection = begun.connection.as_ref();
    let target = passage.trail.target.as_ref();
    shared.audit.record(&AuditRecord {
        time: passage.began_at,
        request_id: passage.id.as_str().into(),
        registry: registry.map(Into::into),
        data_endpoint: passage.trail.data_endpoint.as_ref().map(|host| host.to_string().into()),
        listener: connection.map(|connection| (&*connection.listener().name).into()).unwrap_or_default(),
        peer_address: connection.map(|connection| connection.peer()),
        source_address: passage.trail.source,
        network: passage.trail.network.clone(),
        shadow,
        principal: principal(&passage.trail),
        credential: credential(&passage.trail).map(Into::into),
        client_certificate: connection
            .and_then(|connection| connection.shown_certificate())
            .map(|certificate| certificate.sha256.as_str().into()),
        operation: passage.trail.class,
        method: begun.method,
        repository: target.and_then(Target::repository).map(|name| name.as_str().into()),
        reference: target.and_then(Target::reference).map(Into::into),
        changed: passage.trail.changed.as_deref().map(Into::into),
        decision: outcome,
        reason,
        rule: rule(&passage.trail),
        policy_version: passage.policy.as_ref().map_or(0, |policy| policy.version()),
        status: passage.status,
        request_bytes: uploaded,
        response_bytes: downloaded,
        duration_ms: milliseconds(took),
        upstream_ms: passage.upstream_took.map(milliseconds),
        served_from: passage.trail.served_from,
        user_agent: begun.user_agent,
        denial_id: passage.denial_id().map(Into::into),
    });
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// How the journey ended. Whoever was permitted and then left was permitted; an upstream that failed is an error.
fn outcome(trail: &Trail) -> (Outcome, &'static str) {
    match (&trail.refusal, &trail.permit) {
        (Some(refusal), Some(_)) if refusal.code == CLIENT_LEFT => (Outcome::Permit, CLIENT_LEFT),
        (None, Some(_)) if trail.mount_refused.is_some() => (Outcome::Permit, "mount_refused"),
        (Some(refusal), _) if refusal.is_denial => (Outcome::Deny, refusal.code),
        (Some(refusal), _) => (Outcome::Error, refusal.code),
        (None, Some(_)) => (Outcome::Permit, "permitted"),
        (None, None) => match trail.class {
            OperationClass::Token | OperationClass::Exchange => (Outcome::Permit, "token_issued"),
            OperationClass::Keys | OperationClass::SignIn => (Outcome::Permit, "public"),
            _ => (Outcome::Error, CLIENT_LEFT),
        },
    }
}

/// The rule or the reason, in a sentence with its place in the file.
fn rule(trail: &Trail) -> Option<Cow<'_, str>> {
    let permitted = trail.permit.as_ref().map(|permit| {
        // As many as nearly all have, in one piece. Writing to memory cannot fail.
        let mut sentence = String::with_capacity(128);
        let _ = write!(sentence, "{}", permit.rule());
        sentence
    });
    match (&trail.refusal, &trail.mount_refused) {
        (Some(refusal), _) => Some(refusal.text.as_str().into()),
        (None, Some(denial)) => {
            permitted.map(|rule| format!("{rule}; the mount became a plain upload: {denial}").into())
        }
        (None, None) => permitted.map(Into::into),
    }
}

/// Who it was; when nobody was recognised, who it claimed to be.
fn principal(trail: &Trail) -> Option<PrincipalRecord> {
    match (&trail.caller, &trail.claimed_user) {
        (Some(caller), _) => {
            let name = match &caller.principal {
                Principal::Anonymous(_) => None,
                known @ (Principal::Admin(_) | Principal::Token(_) | Principal::Identity(_)) => {
                    Some(known.name().to_owned())
                }
            };
            let mut record = PrincipalRecord::new(caller.principal.kind(), name);
            if let Principal::Identity(held) = &caller.principal
                && let Some(Subject { provider, subject }) = held.subject()
            {
                record.provider = Some(provider.to_string());
                record.subject = Some(Bounded::new(subject.as_bytes()));
                record.identities = held.identities.iter().map(ToString::to_string).collect();
            }
            Some(record)
        }
        (None, Some(claimed)) => {
            let name = Bounded::new(claimed.as_bytes()).as_str().to_owned();
            Some(PrincipalRecord::new("claimed", Some(name)))
        }
        (None, None) => None,
    }
}

fn credential(trail: &Trail) -> Option<&str> {
    let caller = trail.caller.as_ref()?;
    let id = caller.credential?;
    let password = caller.principal.passwords().iter().find(|password| password.id == id)?;
    Some(&*password.name)
}
