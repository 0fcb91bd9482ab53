//! Identities that the API has made, compiled record by record.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stored::{Told, checked, networks, passwords};
use crate::policy::claims::{ClaimName, ClaimPattern, ClaimRule};
use crate::policy::document::TokenStatus;
use crate::policy::identity::{Identity, IdentityKind, OWN_PROVIDER};
use crate::policy::names;
use crate::policy::origin::Origin;
use crate::policy::stored::{StoredClaimRule, StoredIdentity};

/// By name.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct StoredIdentities(BTreeMap<Arc<str>, Arc<Identity>>);

impl StoredIdentities {
    pub(in crate::policy) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By name.
    pub(in crate::policy) fn iter(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.0.values()
    }

    pub(super) fn set(&mut self, name: &str, set: Option<&StoredIdentity>, told: &mut Told<'_>) {
        match set.and_then(|set| compile(name, set, told)) {
            Some(identity) => self.0.insert(Arc::clone(&identity.name), Arc::new(identity)),
            None => self.0.remove(name),
        };
    }

    /// The record `name` cannot be read, so that nobody is the identity. It may say that whoever is it is nobody at all,
    /// so the rules that were known `before` stay, as those of one that is disabled.
    pub(super) fn disable(&mut self, name: &str, before: &Self) {
        match before.0.get_key_value(name) {
            Some((name, known)) => {
                let disabled = Identity { status: TokenStatus::Disabled, ..Identity::clone(known) };
                self.0.insert(Arc::clone(name), Arc::new(disabled));
            }
            None => {
                self.0.remove(name);
            }
        }
    }
}

/// Checks what somebody is about to store.
///
/// # Errors
/// The first thing without effect in it, in a sentence.
pub fn check_identity(name: &str, set: &StoredIdentity) -> Result<(), String> {
    checked(|told| {
        compile(name, set, told);
    })
}

fn compile(name: &str, set: &StoredIdentity, told: &mut Told<'_>) -> Option<Identity> {
    if let Err(error) = names::check_identity(name) {
        return told.without_effect(&error);
    }
    let is_service_principal = set.kind == IdentityKind::ServicePrincipal;
    if !is_service_principal && (!set.secrets.is_empty() || set.verified_by.is_some()) {
        told.push("only an identity of type `ServicePrincipal` has secrets: they open nothing");
    }
    let verified_by = set.verified_by.as_deref().filter(|_| is_service_principal);
    if verified_by.is_some() && !set.secrets.is_empty() {
        told.push("its secret is verified by a provider: those that it has here open nothing");
    }
    if let Some(by) = verified_by.filter(|by| !set.matches.iter().any(|rule| rule.provider == **by)) {
        told.push(&format!(
            "nothing that `{by}`, which verifies its secret, says makes a caller this service principal"
        ));
    }
    let secrets = if is_service_principal && set.verified_by.is_none() { set.secrets.as_slice() } else { &[] };
    Some(Identity {
        name: name.into(),
        id: set.id,
        kind: set.kind,
        client_id: Some(set.client_id.clone()),
        principal_id: set.principal_id.clone(),
        tenant_id: set.tenant_id.clone(),
        rules: set.matches.iter().filter_map(|written| rule(written, told)).collect(),
        secrets: passwords(secrets, told).into(),
        verified_by: verified_by.map(Into::into),
        status: set.status,
        networks: networks(&set.networks, told),
        origin: Origin::store(),
    })
}

/// A rule of which any part cannot be read is none: the rest would match more than was meant.
fn rule(written: &StoredClaimRule, told: &mut Told<'_>) -> Option<ClaimRule> {
    let StoredClaimRule { provider, claims } = written;
    if provider == OWN_PROVIDER {
        told.push(&format!("provider `{provider}` is the installation itself: a rule for it matches nobody"));
        return None;
    }
    if claims.is_empty() {
        told.push(&format!("a rule without a claim would match everybody whom `{provider}` knows: it matches nobody"));
        return None;
    }
    let mut compiled = Vec::with_capacity(claims.len());
    for (name, text) in claims {
        let pattern = ClaimPattern::parse(text).ok_or("its text is empty");
        match ClaimName::of(provider, name).and_then(|name| Ok((name, pattern?))) {
            Ok(claim) => compiled.push(claim),
            Err(error) => {
                told.push(&format!("claim `{name}`: {error}: the rule matches nobody"));
                return None;
            }
        }
    }
    Some(ClaimRule { provider: provider.as_str().into(), claims: compiled.into() })
}
