//! The identities of all registries, and the providers that speak of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::claims::{ClaimName, looked_at};
use super::credential::{PrincipalId, Verifier};
use super::identity::{Assertion, Guid, Identity, IdentityKind, IdentityProvider};

/// Longer names of subjects are cut: they go into audit records.
const LONGEST_NAME: usize = 256;

/// Immutable; every registry of a snapshot shares them.
#[derive(Debug, Default)]
pub struct Identities {
    /// By name.
    providers: Box<[Arc<IdentityProvider>]>,
    by_name: BTreeMap<Arc<str>, Arc<Identity>>,
    /// Those that a rule makes, by the provider that it names.
    by_provider: HashMap<Arc<str>, Vec<Arc<Identity>>>,
    service_principals: HashMap<Guid, Arc<Identity>>,
    ids: HashMap<PrincipalId, Arc<Identity>>,
}

impl Identities {
    pub(super) fn new(providers: Vec<Arc<IdentityProvider>>, identities: Vec<Identity>) -> Self {
        let mut all = Self { providers: providers.into(), ..Self::default() };
        for identity in identities.into_iter().map(Arc::new) {
            for provider in &all.providers {
                if identity.rules.iter().any(|rule| rule.provider == provider.name) {
                    all.by_provider.entry(Arc::clone(&provider.name)).or_default().push(Arc::clone(&identity));
                }
            }
            if identity.kind == IdentityKind::ServicePrincipal {
                all.ids.insert(identity.id, Arc::clone(&identity));
                let client_id = identity.client_id.iter().cloned();
                all.service_principals.extend(client_id.map(|id| (id, Arc::clone(&identity))));
            }
            all.by_name.insert(Arc::clone(&identity.name), identity);
        }
        all
    }

    /// The providers, by name.
    pub fn providers(&self) -> &[Arc<IdentityProvider>] {
        &self.providers
    }

    /// The identities, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.by_name.values()
    }

    /// The identity of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Identity>> {
        self.by_name.get(name)
    }

    /// The service principal with this client id. Case does not matter.
    pub fn service_principal(&self, client_id: &str) -> Option<&Arc<Identity>> {
        self.service_principals.get(&Guid::parse(client_id)?)
    }

    /// The service principal with this id.
    pub(super) fn service_principal_with(&self, id: PrincipalId) -> Option<&Arc<Identity>> {
        self.ids.get(&id)
    }

    /// Every enabled identity that `assertion` means: a person, and the groups that he is in.
    ///
    /// None when its provider is not declared any more, or stands for another issuer by now; none either when one of them is
    /// disabled and not a group: whoever is disabled is so in all his groups.
    pub fn meant_by(&self, assertion: &Assertion) -> Vec<&Arc<Identity>> {
        let known = self.provider(assertion).and_then(|provider| self.by_provider.get(&provider.name));
        let mut meant: Vec<_> =
            known.into_iter().flatten().filter(|identity| identity.is_meant_by(assertion)).collect();
        if meant.iter().any(|identity| !identity.is_enabled() && identity.kind != IdentityKind::Group) {
            return Vec::new();
        }
        meant.retain(|identity| identity.is_enabled());
        meant
    }

    /// How the subject of `assertion` is called in the audit log: what the provider's name claim says, else the subject.
    pub fn subject_name(&self, assertion: &Assertion) -> Arc<str> {
        let claim = self.provider(assertion).and_then(|provider| provider.name_claim.as_deref());
        let claimed = claim.and_then(|claim| ClaimName::parse(claim).ok()?.find(&assertion.claims)?.as_str());
        let name = claimed.filter(|name| !name.is_empty()).unwrap_or(&assertion.subject);
        shortened(name).into()
    }

    /// What of an assertion's claims identities and their names depend on: enough to keep in a token, so that the rules in
    /// force are asked again whenever it is used. Of a list, the elements that some rule asks for.
    pub fn claims_in_use(&self, assertion: &Assertion) -> Map<String, Value> {
        let provider = self.provider(assertion);
        let identities = provider.and_then(|provider| self.by_provider.get(&provider.name));
        let rules = identities.into_iter().flatten().flat_map(|identity| &identity.rules);
        let of_provider: Vec<_> = rules.filter(|rule| *rule.provider == *assertion.provider).collect();
        let mut kept = looked_at(&of_provider, &assertion.claims);
        let name = provider.and_then(|provider| ClaimName::parse(provider.name_claim.as_deref()?).ok());
        if let Some(name) = name
            && let Some(value) = name.find(&assertion.claims).and_then(Value::as_str)
            && name.find(&kept).is_none()
        {
            name.put(shortened(value).into(), &mut kept);
        }
        kept
    }

    /// Some slow verifier of a service principal, if there is any.
    pub(super) fn slow_verifier(&self) -> Option<&Verifier> {
        let secrets = self.iter().flat_map(|identity| &identity.secrets);
        secrets.map(|secret| &secret.verifier).find(|verifier| verifier.is_slow())
    }

    fn provider(&self, assertion: &Assertion) -> Option<&Arc<IdentityProvider>> {
        let same = |one: &&Arc<IdentityProvider>| one.name == assertion.provider && one.issuer == assertion.issuer;
        self.providers.iter().find(same)
    }
}
/// As much of a subject's name as there is room for in records and tokens.
fn shortened(name: &str) -> &str {
    name.char_indices().nth(LONGEST_NAME).map_or(name, |(end, _)| name.get(..end).unwrap_or_default())
}
