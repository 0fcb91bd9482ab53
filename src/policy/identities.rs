//! The identities of all registries, of both layers, and the providers that speak of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::claims::{ClaimName, looked_at};
use super::credential::{PrincipalId, Verifier};
use super::described::Described;
use super::identity::{Assertion, CERTIFICATE_PROVIDER, Guid, Identity, IdentityKind, IdentityProvider};
use super::layers::StoredIdentities;
use super::origin::Origin;
use super::problem::{Problem, Problems};

/// Longer names of subjects are cut: they go into audit records.
const LONGEST_NAME: usize = 256;

/// Immutable; every registry of a snapshot shares them.
#[derive(Debug, Default)]
pub struct Identities {
    /// By name.
    providers: Arc<[Arc<IdentityProvider>]>,
    by_name: BTreeMap<Arc<str>, Arc<Identity>>,
    /// Those that a rule makes, by the provider that it names.
    by_provider: HashMap<Arc<str>, Described>,
    client_ids: HashMap<Guid, Arc<Identity>>,
    principal_ids: HashMap<Guid, Arc<Identity>>,
    ids: HashMap<PrincipalId, Arc<Identity>>,
    /// What they were made of, where the store has any.
    layers: Option<(Arc<Self>, Arc<StoredIdentities>)>,
    /// One of their slow verifiers: every login asks for it.
    slow: Option<Verifier>,
    warnings: Problems,
}

impl Identities {
    /// Those of the files.
    pub(super) fn declared(providers: Vec<Arc<IdentityProvider>>, identities: Vec<Identity>) -> Self {
        let mut all = Self { providers: providers.into(), ..Self::default() };
        identities.into_iter().map(Arc::new).for_each(|identity| all.add(identity));
        all
    }

    /// Those of both layers; `before` where it was made of the same.
    ///
    /// An identity of the files hides every stored one that has its name, its client id or its principal id.
    pub(super) fn merge(declared: &Arc<Self>, stored: &Arc<StoredIdentities>, before: Option<&Arc<Self>>) -> Arc<Self> {
        if stored.is_empty() {
            return Arc::clone(declared);
        }
        let same = |before: &&Arc<Self>| {
            let layers = before.layers.as_ref();
            layers.is_some_and(|layers| Arc::ptr_eq(&layers.0, declared) && Arc::ptr_eq(&layers.1, stored))
        };
        if let Some(before) = before.filter(same) {
            return Arc::clone(before);
        }
        let mut all = Self {
            providers: Arc::clone(&declared.providers),
            layers: Some((Arc::clone(declared), Arc::clone(stored))),
            ..Self::default()
        };
        declared.iter().for_each(|identity| all.add(Arc::clone(identity)));
        stored.iter().for_each(|identity| all.add_stored(identity));
        Arc::new(all)
    }

    fn add(&mut self, identity: Arc<Identity>) {
        for rule in &identity.rules {
            self.by_provider.entry(Arc::clone(&rule.provider)).or_default().add(rule, &identity);
        }
        if self.slow.is_none() {
            let mut verifiers = identity.secrets.iter().map(|secret| &secret.verifier);
            self.slow = verifiers.find(|verifier| verifier.is_slow()).cloned();
        }
        let client_id = identity.client_id.iter().cloned();
        self.client_ids.extend(client_id.map(|id| (id, Arc::clone(&identity))));
        self.ids.insert(identity.id, Arc::clone(&identity));
        self.principal_ids.insert(identity.principal_id.clone(), Arc::clone(&identity));
        self.by_name.insert(Arc::clone(&identity.name), identity);
    }

    /// Adds a stored identity, unless it would be taken for one that is there.
    fn add_stored(&mut self, identity: &Arc<Identity>) {
        if let Some((what, other)) = self.alike(identity) {
            let problem = match other.origin.line {
                0 => Problem::warning(&Origin::store(), format!("identity `{}` {what}", identity.name))
                    .hint(format!("the one that counts is `{}`", other.name)),
                _ => Problem::warning(&other.origin, format!("identity `{}` of the store {what}", identity.name))
                    .hint("what this file says is in force; remove it here to use what the API has set"),
            };
            return self.warnings.push(problem);
        }
        let unknown = |name: &&Arc<str>| !self.is_provider(name);
        if let Some(name) = identity.rules.iter().map(|rule| &rule.provider).find(unknown) {
            let what = format!("identity `{}` has a rule for provider `{name}`, which no file declares", identity.name);
            let hint = "the rule makes nobody the identity until a file declares it again";
            self.warnings.push(Problem::warning(&Origin::store(), what).hint(hint));
        }
        self.add(Arc::clone(identity));
    }

    /// The identity for which another one would be taken, and why.
    fn alike(&self, other: &Identity) -> Option<(&'static str, Arc<Identity>)> {
        let by_name = self.by_name.get(&other.name).map(|one| ("has the name of another one", one));
        let by_principal_id = || self.with_principal_id(&other.principal_id);
        let by_principal_id = || by_principal_id().map(|one| ("has the principal id of another one", one));
        let by_client_id = || self.with_client_id(other.client_id.as_ref()?);
        let by_client_id = || by_client_id().map(|one| ("has the client id of another one", one));
        let by_id = || self.ids.get(&other.id).map(|one| ("has the id of another one", one));
        let found = by_name.or_else(by_principal_id).or_else(by_client_id).or_else(by_id);
        found.map(|(what, one)| (what, Arc::clone(one)))
    }

    /// What an operator should know of the stored ones beside these files.
    pub fn warnings(&self) -> &Problems {
        &self.warnings
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
        let identity = self.with_client_id(&Guid::parse(client_id)?);
        identity.filter(|identity| identity.kind == IdentityKind::ServicePrincipal)
    }

    /// The service principal with this id.
    pub(super) fn service_principal_with(&self, id: PrincipalId) -> Option<&Arc<Identity>> {
        self.ids.get(&id).filter(|identity| identity.kind == IdentityKind::ServicePrincipal)
    }

    /// The provider of this name.
    pub fn provider_named(&self, name: &str) -> Option<&Arc<IdentityProvider>> {
        self.providers.iter().find(|provider| *provider.name == *name)
    }

    /// Whether rules may name this provider: one that a file declares, or the one that stands for clients' certificates.
    pub fn is_provider(&self, name: &str) -> bool {
        name == CERTIFICATE_PROVIDER || self.provider_named(name).is_some()
    }

    /// The identity with this principal id, of whatever kind.
    pub fn with_principal_id(&self, id: &Guid) -> Option<&Arc<Identity>> {
        self.principal_ids.get(id)
    }

    /// The identity with this client id, of whatever kind.
    pub fn with_client_id(&self, id: &Guid) -> Option<&Arc<Identity>> {
        self.client_ids.get(id)
    }

    /// Every enabled identity that `assertion` means: a person, and the groups that he is in.
    ///
    /// None when its provider is not declared any more, or stands for another issuer by now; none either when one of them is
    /// disabled and not a group: whoever is disabled is so in all his groups.
    pub fn meant_by(&self, assertion: &Assertion) -> Vec<&Arc<Identity>> {
        if assertion.is_own() {
            return self.managed(assertion).into_iter().filter(|identity| identity.is_enabled()).collect();
        }
        let known = if assertion.is_by_certificate() {
            self.by_provider.get(CERTIFICATE_PROVIDER)
        } else {
            self.provider(assertion).and_then(|provider| self.by_provider.get(&provider.name))
        };
        in_force(known.map(|known| known.meant_by(assertion)).unwrap_or_default())
    }

    /// How the subject of `assertion` is called in the audit log: what the provider's name claim says, else the subject.
    pub fn subject_name(&self, assertion: &Assertion) -> Arc<str> {
        if let Some(identity) = self.managed(assertion) {
            return Arc::clone(&identity.name);
        }
        if assertion.is_by_certificate() {
            return shortened(certificate_name(assertion)).into();
        }
        let claim = self.provider(assertion).and_then(|provider| provider.name_claim.as_deref());
        let claimed = claim.and_then(|claim| ClaimName::parse(claim).ok()?.find(&assertion.claims)?.as_str());
        let name = claimed.filter(|name| !name.is_empty()).unwrap_or(&assertion.subject);
        shortened(name).into()
    }

    /// What of an assertion's claims identities and their names depend on: enough to keep in a token, so that the rules in
    /// force are asked again whenever it is used. Of a list, the elements that some rule asks for.
    pub fn claims_in_use(&self, assertion: &Assertion) -> Map<String, Value> {
        if assertion.is_own() {
            return assertion.claims.clone();
        }
        let provider = self.provider(assertion);
        let rules = self.iter().filter(|_| provider.is_some()).flat_map(|identity| &identity.rules);
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

    /// The managed identity that we vouched for, whatever its status.
    fn managed(&self, assertion: &Assertion) -> Option<&Arc<Identity>> {
        let identity = self.with_principal_id(&Guid::parse(&assertion.subject)?)?;
        // All of it, so that nothing else of the identity has to be looked at.
        (identity.own_assertion().as_ref() == Some(assertion)).then_some(identity)
    }

    /// Some slow verifier of a service principal, if there is any: the work to do in vain for unknown ones.
    pub fn slow_verifier(&self) -> Option<&Verifier> {
        self.slow.as_ref()
    }

    fn provider(&self, assertion: &Assertion) -> Option<&Arc<IdentityProvider>> {
        let same = |one: &&Arc<IdentityProvider>| one.name == assertion.provider && one.issuer == assertion.issuer;
        self.providers.iter().find(same)
    }
}

/// What is left of the identities that somebody is, when those that are disabled do not count.
pub(super) fn in_force(mut meant: Vec<&Arc<Identity>>) -> Vec<&Arc<Identity>> {
    if meant.iter().any(|identity| !identity.is_enabled() && identity.kind != IdentityKind::Group) {
        return Vec::new();
    }
    meant.retain(|identity| identity.is_enabled());
    meant
}

/// How the holder of a certificate is called: by its first URI, such as a SPIFFE id, or its name; else its fingerprint.
fn certificate_name(assertion: &Assertion) -> &str {
    let claim = |name| assertion.claims.get(name);
    let uri = claim("uri").and_then(|uris| uris.get(0)?.as_str());
    let subject = || claim("subject").and_then(Value::as_str);
    uri.or_else(subject).filter(|name| !name.is_empty()).unwrap_or(&assertion.subject)
}

/// As much of a subject's name as there is room for in records and tokens.
fn shortened(name: &str) -> &str {
    name.char_indices().nth(LONGEST_NAME).map_or(name, |(end, _)| name.get(..end).unwrap_or_default())
}
