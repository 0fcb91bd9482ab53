//! One registry of a snapshot: where it is, what stands behind it, and every principal it knows.

use std::sync::Arc;

use super::address::{ExternalUrl, LoginServer, UpstreamTarget};
use super::content_cache::ContentCache;
use super::credential::{PrincipalId, Verifier};
use super::data_endpoint::DataEndpoint;
use super::identities::{Identities, in_force};
use super::identity::{Assertion, Identity, OWN_PROVIDER};
use super::layers::{Declared, Everywhere, Stored, declared_of};
use super::limits::RateLimits;
use super::locks::Locks;
use super::network::{IpRules, NetworkRules, PrivateEndpoints};
use super::origin::Origin;
use super::principal::{Admin, Principal, ResolvedIdentity, ResolvedToken, Subject, Token};
use super::properties::Properties;
use super::role::RoleAssignment;
use super::scope_map::ScopeMap;
use super::trusted::{Catalogue, TrustedServices};

/// A registry of a snapshot. Immutable.
#[derive(Debug)]
pub struct Registry {
    pub name: Arc<str>,
    pub login_server: LoginServer,
    pub external_url: Option<ExternalUrl>,
    pub upstream: Arc<UpstreamTarget>,
    pub network: NetworkRules,
    pub admin: Arc<Admin>,
    /// Where a file declares it.
    pub origin: Origin,
    properties: Arc<Properties>,
    trusted: TrustedServices,
    locks: Locks,
    declared: Arc<Declared>,
    stored: Arc<Stored>,
    identities: Arc<Identities>,
    everywhere: Everywhere,
}

impl Registry {
    /// The registry of these layers, and of what it shares with all others; the same as `before` as far as they are the
    /// same.
    pub(super) fn assemble(
        declared: &Arc<Declared>,
        stored: &Arc<Stored>,
        (identities, everywhere): (&Arc<Identities>, &Everywhere),
        before: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let same_file = before.filter(|before| Arc::ptr_eq(&before.declared, declared));
        let same_house =
            |before: &&Arc<Self>| Arc::ptr_eq(&before.identities, identities) && before.everywhere.is(everywhere);
        if let Some(before) = same_file.filter(|before| Arc::ptr_eq(&before.stored, stored)).filter(same_house) {
            return Arc::clone(before);
        }
        let same_network = |before: &&Arc<Self>| {
            Arc::ptr_eq(before.stored.properties(), stored.properties())
                && Arc::ptr_eq(before.stored.endpoints(), stored.endpoints())
        };
        let same_properties = same_file.filter(same_network);
        let (properties, network, admin, trusted) = match same_properties {
            Some(before) => {
                let admin = Arc::clone(&before.admin);
                (Arc::clone(&before.properties), before.network.clone(), admin, before.trusted.clone())
            }
            None => merge(declared, stored),
        };
        Arc::new(Self {
            name: Arc::clone(&declared.name),
            login_server: declared.login_server.clone(),
            external_url: declared.external_url.clone(),
            upstream: Arc::clone(&declared.upstream),
            network,
            admin,
            origin: declared.origin.clone(),
            properties,
            trusted,
            locks: Locks::new(&declared.locks, &stored.locks),
            declared: Arc::clone(declared),
            stored: Arc::clone(stored),
            identities: Arc::clone(identities),
            everywhere: everywhere.clone(),
        })
    }

    /// The properties in force, each with the place that declares it.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// How many requests a minute are answered.
    pub fn rate_limits(&self) -> &RateLimits {
        &self.declared.rate_limits
    }

    /// What is kept of its contents; `None`: nothing.
    pub fn content_cache(&self) -> Option<&Arc<ContentCache>> {
        self.declared.content_cache.as_ref()
    }

    /// What may no longer be changed, deleted, read or listed, whoever asks.
    pub const fn locks(&self) -> &Locks {
        &self.locks
    }

    /// The data endpoints that a file declares, whether or not they are in use.
    pub fn declared_data_endpoints(&self) -> &[DataEndpoint] {
        &self.declared.data_endpoints
    }

    /// The data endpoints in use: none while they are switched off.
    pub fn data_endpoints(&self) -> &[DataEndpoint] {
        if self.properties.data_endpoint_enabled.value { &self.declared.data_endpoints } else { &[] }
    }

    /// The data endpoint to which clients are sent from `region`: the one there, else the first.
    pub fn data_endpoint_near(&self, region: Option<&str>) -> Option<&DataEndpoint> {
        let endpoints = self.data_endpoints();
        let here = |region: &str| endpoints.iter().find(|one| one.region.eq_ignore_ascii_case(region));
        region.and_then(here).or_else(|| endpoints.first())
    }

    /// The data endpoint in use that a Host header names. Case does not matter (RFC 9110 4.2.3).
    pub(super) fn data_endpoint_for_host(&self, host: &str) -> Option<&DataEndpoint> {
        let means = |one: &&DataEndpoint| one.host.host_headers().any(|header| header.eq_ignore_ascii_case(host));
        self.data_endpoints().iter().find(means)
    }

    /// Whether anybody may pull, if not from every repository.
    pub fn anonymous_pull(&self) -> bool {
        self.properties.anonymous_pull_enabled.value
    }

    /// Whether it admits virtual networks as such: the trusted-service bypass has no effect then (S2-6).
    pub fn has_virtual_network_rules(&self) -> bool {
        !self.network.virtual_networks().is_empty()
    }

    /// The identities that are trusted as services.
    pub const fn trusted_services(&self) -> &TrustedServices {
        &self.trusted
    }

    /// The services that it can trust.
    pub fn trusted_catalogue(&self) -> &Catalogue {
        &self.declared.catalogue
    }

    /// Nobody in particular, with what he may pull where anonymous pull is on.
    pub fn anonymous(&self) -> Principal {
        Principal::Anonymous(self.properties.anonymous_pull_repositories.value.clone())
    }

    /// The principal that logs in with this user name (S3-60; the admin account's is the registry's name, a service
    /// principal's its client id).
    pub fn principal_named(&self, user: &str) -> Option<Principal> {
        if user == &*self.admin.name {
            return Some(Principal::Admin(Arc::clone(&self.admin)));
        }
        if let Some(token) = self.declared_token(user) {
            return Some(self.resolve(token));
        }
        if let Some(identity) = self.identities().service_principal(user) {
            return Some(self.service_principal(identity));
        }
        self.stored.token(user).map(|token| self.resolve(token))
    }

    /// The principal with this id, if it still exists.
    pub fn principal(&self, id: PrincipalId) -> Option<Principal> {
        if id == self.admin.id {
            return Some(Principal::Admin(Arc::clone(&self.admin)));
        }
        let stored = || self.stored.token_with_id(id).filter(|token| self.is_effective(token));
        let service_principal = || self.identities().service_principal_with(id).map(|one| self.service_principal(one));
        let token = self.declared.ids.get(&id).or_else(stored);
        token.map(|token| self.resolve(token)).or_else(service_principal)
    }

    /// Who it is that a provider vouches for: the union of all enabled identities that its assertion means, with what they
    /// have on this registry. `id` is the subject's. `None` when it means none of them.
    ///
    /// To be asked again whenever something that was obtained by the assertion is used: identities, rules and roles are
    /// those of this snapshot.
    pub fn asserted(&self, assertion: &Assertion, id: PrincipalId) -> Option<Principal> {
        let meant = self.identities().meant_by(assertion);
        let subject =
            || Subject { provider: Arc::clone(&assertion.provider), subject: assertion.subject.as_str().into() };
        self.united(&meant, id, || self.identities().subject_name(assertion), subject)
    }

    /// Whom a provider would vouch for if it meant all of these, for an explanation: nobody can log in as it.
    pub(super) fn vouched(&self, identities: &[&Arc<Identity>]) -> Option<Principal> {
        let meant = in_force(identities.to_vec());
        let first = meant.first()?;
        let provider = first.rules.first().map_or_else(|| OWN_PROVIDER.into(), |rule| Arc::clone(&rule.provider));
        let subject = || Subject { provider, subject: Arc::clone(&first.name) };
        self.united(&meant, first.id, || Arc::clone(&first.name), subject)
    }

    /// Somebody who is all of `meant`, unless these are none.
    fn united(
        &self,
        meant: &[&Arc<Identity>],
        id: PrincipalId,
        name: impl FnOnce() -> Arc<str>,
        subject: impl FnOnce() -> Subject,
    ) -> Option<Principal> {
        let assignments = match meant {
            [] => return None,
            [one] => self.assignments(one),
            several => several.iter().flat_map(|one| self.assigned(one)).collect(),
        };
        let permits = self.permits_of(meant);
        let held = ResolvedIdentity::asserted(id, name(), meant, assignments, subject());
        Some(Principal::Identity(held.with_permits(permits)))
    }

    /// Whether anybody but us can vouch for a caller.
    pub fn has_identity_providers(&self) -> bool {
        !self.identities().providers().is_empty()
    }

    /// The identities of the policy, which all registries share.
    pub fn identities(&self) -> &Arc<Identities> {
        &self.identities
    }

    /// What `identity` may do here: by the files and by the store, on this registry and on all.
    pub fn assignments(&self, identity: &Identity) -> Arc<[Arc<RoleAssignment>]> {
        if self.stored.assignments.knows(identity) || self.everywhere.knows(identity) {
            return self.assigned(identity).collect();
        }
        self.declared.assignments.get(&identity.name).cloned().unwrap_or_default()
    }

    fn assigned<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = Arc<RoleAssignment>> + 'a {
        let stored = self.stored.assignments.resolved(identity, false, |name| self.scope_map(name));
        declared_of(&self.declared.assignments, identity).chain(stored).chain(self.everywhere.of(identity))
    }

    /// The role assignments in force here, by identity; those of all registries too.
    pub fn role_assignments(&self) -> impl Iterator<Item = Arc<RoleAssignment>> {
        self.identities.iter().flat_map(|identity| self.assigned(identity))
    }

    /// What files let identities do on this registry in particular, by identity.
    pub fn declared_assignments(&self) -> impl Iterator<Item = &Arc<RoleAssignment>> {
        self.declared.assignments.values().flat_map(|all| all.iter())
    }

    /// Some slow verifier of the registry, if it has any: the work to do in vain for unknown users (threat class Q).
    pub fn decoy(&self) -> Option<&Verifier> {
        let stored = || self.stored.slow_verifier();
        self.declared.slow_verifier().or_else(stored).or_else(|| self.identities().slow_verifier())
    }

    /// The token of this name: the file's, else the store's.
    pub fn token(&self, name: &str) -> Option<&Arc<Token>> {
        self.declared_token(name).or_else(|| self.stored.token(name))
    }

    /// All tokens that are principals, in no order.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.declared_tokens().chain(self.stored.tokens().filter(|token| self.is_effective(token)))
    }

    /// The token that a file declares under this name.
    pub fn declared_token(&self, name: &str) -> Option<&Arc<Token>> {
        self.declared.tokens.get(name)
    }

    /// The tokens that files declare, by name.
    pub fn declared_tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.declared.tokens.values()
    }

    /// The scope map of this name: a system-defined one, the file's, else the store's.
    pub fn scope_map(&self, name: &str) -> Option<&Arc<ScopeMap>> {
        self.declared_scope_map(name).or_else(|| self.stored.scope_map(name))
    }

    /// The scope map that a file declares under this name, or that is system-defined.
    pub fn declared_scope_map(&self, name: &str) -> Option<&Arc<ScopeMap>> {
        self.declared.scope_maps.get(name)
    }

    /// The scope maps that files declare, and the system-defined ones, by name.
    pub fn declared_scope_maps(&self) -> impl Iterator<Item = &Arc<ScopeMap>> {
        self.declared.scope_maps.values()
    }

    /// All scope maps, the system-defined ones too: those of the store except where a file has one of the same name.
    pub fn scope_maps(&self) -> impl Iterator<Item = &Arc<ScopeMap>> {
        let hidden = |map: &&Arc<ScopeMap>| self.declared.scope_maps.contains_key(&map.name);
        self.declared_scope_maps().chain(self.stored.scope_maps().filter(move |map| !hidden(map)))
    }

    /// The private endpoint connections that files declare. All that count, those of the store too, are among the network
    /// rules.
    pub fn declared_endpoints(&self) -> &PrivateEndpoints {
        &self.declared.endpoints
    }

    /// Where a file declares passwords of the admin account; those of the store do not count then.
    pub fn declared_admin(&self) -> Option<&Origin> {
        self.declared.admin.as_ref().map(|admin| &admin.origin)
    }

    /// Whether a stored token is a principal: not where a file declares one of its name, or a service principal with it.
    fn is_effective(&self, stored: &Token) -> bool {
        !self.declared.tokens.contains_key(&stored.name) && self.identities().service_principal(&stored.name).is_none()
    }

    fn service_principal(&self, identity: &Arc<Identity>) -> Principal {
        Principal::Identity(ResolvedIdentity::service_principal(identity, self.assignments(identity)))
    }

    fn resolve(&self, token: &Arc<Token>) -> Principal {
        let scope_maps = token.scope_maps.iter().filter_map(|name| self.scope_map(name)).map(Arc::clone).collect();
        Principal::Token(ResolvedToken { token: Arc::clone(token), scope_maps })
    }
}

/// What both layers say about the registry's own properties.
fn merge(declared: &Declared, stored: &Stored) -> (Arc<Properties>, NetworkRules, Arc<Admin>, TrustedServices) {
    let set = stored.properties();
    let (properties, _) = stored.merged_with(&declared.properties);
    let rules = match (&declared.ip_rules, &set.ip_rules) {
        // Whatever the file says: the record may have restricted what the file leaves open.
        _ if set.are_unreadable() => None,
        (Some(rules), _) => Some(Arc::clone(rules)),
        (None, Some(rules)) => rules.compiled.clone(),
        (None, None) => Some(Arc::new(IpRules::default())),
    };
    let virtual_networks = match (&declared.virtual_networks, &set.virtual_networks) {
        (Some(networks), _) => Some(Arc::clone(networks)),
        (None, Some(networks)) => networks.compiled.clone(),
        (None, None) => Some(Arc::default()),
    };
    // What cannot be read may be why trusted services are kept out (S2-6).
    let is_readable = virtual_networks.is_some() && !set.are_unreadable();
    let rules = rules.filter(|_| is_readable);
    let network = NetworkRules::new(properties.public_network_access.value, properties.default_action.value, rules)
        .with_protocol(properties.endpoint_protocol.value)
        .with_endpoints(stored.endpoints().beside(&declared.endpoints))
        .with_virtual_networks(virtual_networks.unwrap_or_default());
    let network = match &declared.shadow {
        Some(shadow) => network.with_shadow(shadow),
        None => network,
    };
    let passwords = declared.admin.as_ref().map_or(&set.admin_passwords, |admin| &admin.value);
    let admin = Admin {
        name: Arc::clone(&declared.name),
        id: declared.admin_id,
        enabled: properties.admin_user_enabled.value,
        passwords: passwords.clone(),
        origin: properties.admin_user_enabled.origin(),
    };
    let trusted = match &declared.trusted {
        // As for the rules: it may have said that nobody is trusted.
        _ if !is_readable => TrustedServices::default(),
        Some(trusted) => trusted.clone(),
        None => TrustedServices::of_stored(&properties.trusted_services.value, &declared.catalogue),
    };
    (Arc::new(properties), network, Arc::new(admin), trusted)
}
