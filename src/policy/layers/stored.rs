//! What the API has set, compiled record by record.
//!
//! The maps are persistent: a copy of them shares everything with the original, and a change to one copies the few nodes
//! on the way to it. What cannot be read grants nothing, and is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::HashTrieMapSync;

use super::assignments::StoredAssignments;
use super::endpoints::StoredEndpoints;
use super::identities::StoredIdentities;
use crate::clock::Timestamp;
use crate::policy::action::ActionSet;
use crate::policy::conditions::NetworkCondition;
use crate::policy::credential::{CredentialId, PrincipalId, Verifier};
use crate::policy::locks::{LockTarget, StoredAttributes, StoredEntry, StoredLocks};
use crate::policy::names;
use crate::policy::network::{IpRules, VirtualNetworks};
use crate::policy::origin::Origin;
use crate::policy::pattern::RepositoryPattern;
use crate::policy::principal::{Password, Token};
use crate::policy::problem::{Problem, Problems};
use crate::policy::properties::{DeclaredProperties, Overruled, Properties, Repositories, StoredLists};
use crate::policy::scope_action::ScopeAction;
use crate::policy::scope_map::{ScopeMap, ScopeRule};
use crate::policy::stored::{
    StoredIdentity, StoredIpRule, StoredNetworks, StoredPassword, StoredPrivateEndpointConnection, StoredRegistry,
    StoredRoleAssignment, StoredScopeMap, StoredToken, StoredTrustedService, StoredVirtualNetworkRule,
};

/// All that the store has about registries, whether a file declares them or not, and of the whole installation. Clones
/// share what they have in common.
#[derive(Debug, Clone, Default)]
pub struct StoredPolicy {
    revision: u64,
    identities: Arc<StoredIdentities>,
    /// What is assigned on all registries.
    everywhere: Arc<StoredAssignments>,
    registries: BTreeMap<Arc<str>, Arc<Stored>>,
    /// Of registries about which the store has nothing.
    nothing: Arc<Stored>,
}

impl StoredPolicy {
    /// The store's revision that this is.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Says that everything up to `revision` has been applied.
    pub fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// The registry's properties as the API has set them now; `None`: not any more.
    pub fn set_registry(&mut self, registry: &str, set: Option<&StoredRegistry>, problems: &mut Problems) {
        let mut told = Told { what: format!("registry `{registry}`"), problems };
        let stored = self.layer(registry);
        let properties = set.map(|set| StoredProperties::compile(set, &stored.properties, &mut told));
        stored.put_properties(Arc::new(properties.unwrap_or_default()));
    }

    /// The registry's properties cannot be read: they stay what they were in `before`. Where none were known nobody is
    /// admitted to the registry, since they may have been restrictions.
    pub fn keep_registry(&mut self, registry: &str, before: &Self) {
        let known = Some(&before.registry(registry).properties).filter(|properties| properties.known != Known::Nothing);
        let unreadable = || Arc::new(StoredProperties::unreadable());
        self.layer(registry).put_properties(known.map_or_else(unreadable, Arc::clone));
    }

    /// The scope map `name` of the registry as it is now; `None`: it was deleted.
    pub fn set_scope_map(&mut self, registry: &str, name: &str, set: Option<&StoredScopeMap>, problems: &mut Problems) {
        let mut told = Told { what: format!("scope map `{name}` of registry `{registry}`"), problems };
        let stored = self.layer(registry);
        match set.and_then(|set| scope_map(name, set, &mut told)) {
            Some(map) => stored.scope_maps.insert_mut(Arc::clone(&map.name), Arc::new(map)),
            None => {
                stored.scope_maps.remove_mut(name);
            }
        }
    }

    /// The token `name` of the registry as it is now; `None`: it was deleted.
    pub fn set_token(&mut self, registry: &str, name: &str, set: Option<&StoredToken>, problems: &mut Problems) {
        let mut told = Told { what: format!("token `{name}` of registry `{registry}`"), problems };
        let stored = self.layer(registry);
        if let Some(before) = stored.tokens.get(name) {
            let id = before.id;
            stored.ids.remove_mut(&id);
        }
        match set.and_then(|set| stored.compile_token(registry, name, set, &mut told)) {
            Some(token) => {
                stored.note_slow(&token.passwords);
                stored.ids.insert_mut(token.id, Arc::clone(&token.name));
                stored.tokens.insert_mut(Arc::clone(&token.name), Arc::new(token));
            }
            None => {
                stored.tokens.remove_mut(name);
            }
        }
    }

    /// The private endpoint connection `name` of the registry as it is now; `None`: it was deleted.
    pub fn set_private_endpoint_connection(
        &mut self,
        registry: &str,
        name: &str,
        set: Option<&StoredPrivateEndpointConnection>,
        problems: &mut Problems,
    ) {
        let what = format!("private endpoint connection `{}` of registry `{registry}`", names::shortened(name));
        Arc::make_mut(&mut self.layer(registry).endpoints).set(name, set, &mut Told { what, problems });
    }

    /// The connection's record cannot be read: nobody is admitted through its endpoint.
    pub fn lose_private_endpoint_connection(&mut self, registry: &str, name: &str, before: &Self) {
        Arc::make_mut(&mut self.layer(registry).endpoints).lose(name, before.registry(registry).endpoints());
    }

    /// The attributes of `name`, which is a [`LockTarget`]'s text, as they are now; `None`: all of them are on.
    pub fn set_attributes(
        &mut self,
        registry: &str,
        name: &str,
        set: Option<&StoredAttributes>,
        problems: &mut Problems,
    ) {
        let entry = set.map(|set| StoredEntry::Known(set.clone()));
        self.put_attributes(registry, name, entry, problems);
    }

    /// The record of the attributes cannot be read: none of them is on, whatever they were.
    pub fn lose_attributes(&mut self, registry: &str, name: &str, problems: &mut Problems) {
        self.put_attributes(registry, name, Some(StoredEntry::Lost), problems);
    }

    fn put_attributes(&mut self, registry: &str, name: &str, entry: Option<StoredEntry>, problems: &mut Problems) {
        if let Some(target) = LockTarget::parse(name) {
            return self.layer(registry).locks.set(target, entry);
        }
        if entry.is_none() {
            return;
        }
        let what = format!("attributes `{}` of registry `{registry}`", names::shortened(name));
        // Nothing that can be asked for has such a name.
        Told { what, problems }.push("there is no repository, tag or manifest of this name: they have no effect");
    }

    /// The identity `name` as it is now; `None`: it was deleted.
    pub fn set_identity(&mut self, name: &str, set: Option<&StoredIdentity>, problems: &mut Problems) {
        let mut told = Told { what: format!("identity `{}`", names::shortened(name)), problems };
        Arc::make_mut(&mut self.identities).set(name, set, &mut told);
    }

    /// The identity's record cannot be read: nobody is it, whatever else he would be.
    pub fn disable_identity(&mut self, name: &str, before: &Self) {
        Arc::make_mut(&mut self.identities).disable(name, &before.identities);
    }

    /// The role assignment `name` as it is now; `None`: it was deleted, or cannot be read. `registry` is empty where it
    /// is for all of them.
    pub fn set_role_assignment(
        &mut self,
        registry: &str,
        name: &str,
        set: Option<&StoredRoleAssignment>,
        problems: &mut Problems,
    ) {
        let name_in_text = names::shortened(name);
        if registry.is_empty() {
            let mut told = Told { what: format!("role assignment `{name_in_text}`"), problems };
            return Arc::make_mut(&mut self.everywhere).set(name, true, set, &mut told);
        }
        let mut told = Told { what: format!("role assignment `{name_in_text}` of registry `{registry}`"), problems };
        self.layer(registry).assignments.set(name, false, set, &mut told);
    }

    pub(in crate::policy) fn identities(&self) -> &Arc<StoredIdentities> {
        &self.identities
    }

    pub(in crate::policy) fn everywhere(&self) -> &Arc<StoredAssignments> {
        &self.everywhere
    }

    pub(in crate::policy) fn registry(&self, name: &str) -> &Arc<Stored> {
        self.registries.get(name).unwrap_or(&self.nothing)
    }

    /// The names of the registries that the store has anything of.
    pub(super) fn registries(&self) -> impl Iterator<Item = &Arc<str>> {
        self.registries.iter().filter(|(_, stored)| !stored.is_empty()).map(|(name, _)| name)
    }

    /// The layer of `registry`, our own to change: a published one is copied first, which shares all its nodes.
    fn layer(&mut self, registry: &str) -> &mut Stored {
        Arc::make_mut(self.registries.entry(registry.into()).or_default())
    }
}

/// One registry as the API has set it.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct Stored {
    properties: Arc<StoredProperties>,
    scope_maps: HashTrieMapSync<Arc<str>, Arc<ScopeMap>>,
    tokens: HashTrieMapSync<Arc<str>, Arc<Token>>,
    ids: HashTrieMapSync<PrincipalId, Arc<str>>,
    pub(in crate::policy) assignments: StoredAssignments,
    endpoints: Arc<StoredEndpoints>,
    pub(in crate::policy) locks: StoredLocks,
    /// Kept when its principal is gone: the work for unknown users stays the same.
    slow: Option<Verifier>,
}

/// The registry's own properties and what was compiled of them.
#[derive(Debug, Default)]
pub(in crate::policy) struct StoredProperties {
    known: Known,
    record: StoredRegistry,
    pub(in crate::policy) ip_rules: Option<StoredRules<StoredIpRule, IpRules>>,
    pub(in crate::policy) virtual_networks: Option<StoredRules<StoredVirtualNetworkRule, VirtualNetworks>>,
    pub(in crate::policy) admin_passwords: Vec<Password>,
    anonymous_pull_repositories: Option<Repositories>,
    trusted_services: Option<Arc<[StoredTrustedService]>>,
}

/// What is known of a registry's record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Known {
    /// There was none.
    #[default]
    Nothing,
    Record,
    /// There is one, and none was ever read.
    Unreadable,
}

/// A list of rules as set and as compiled; `None` when any of them cannot be read.
#[derive(Debug)]
pub(in crate::policy) struct StoredRules<W, C> {
    written: Arc<[W]>,
    pub(in crate::policy) compiled: Option<Arc<C>>,
}

impl<W, C> Clone for StoredRules<W, C> {
    fn clone(&self) -> Self {
        Self { written: Arc::clone(&self.written), compiled: self.compiled.clone() }
    }
}

impl Stored {
    pub(in crate::policy) fn properties(&self) -> &Arc<StoredProperties> {
        &self.properties
    }

    pub(in crate::policy) fn endpoints(&self) -> &Arc<StoredEndpoints> {
        &self.endpoints
    }

    /// The properties in force where files say `declared`.
    pub(in crate::policy) fn merged_with(&self, declared: &DeclaredProperties) -> (Properties, Overruled) {
        let StoredProperties {
            record, ip_rules, virtual_networks, anonymous_pull_repositories, trusted_services, ..
        } = &*self.properties;
        let compiled = StoredLists {
            ip_rules: ip_rules.as_ref().map(|rules| &rules.written),
            virtual_network_rules: virtual_networks.as_ref().map(|rules| &rules.written),
            anonymous_pull_repositories: anonymous_pull_repositories.as_ref(),
            trusted_services: trusted_services.as_ref(),
        };
        Properties::merge(declared, record, compiled)
    }

    pub(in crate::policy) fn has_admin_passwords(&self) -> bool {
        !self.properties.admin_passwords.is_empty()
    }

    pub(in crate::policy) fn scope_map(&self, name: &str) -> Option<&Arc<ScopeMap>> {
        self.scope_maps.get(name)
    }

    pub(in crate::policy) fn token(&self, name: &str) -> Option<&Arc<Token>> {
        self.tokens.get(name)
    }

    pub(in crate::policy) fn token_with_id(&self, id: PrincipalId) -> Option<&Arc<Token>> {
        self.ids.get(&id).and_then(|name| self.tokens.get(name)).filter(|token| token.id == id)
    }

    pub(in crate::policy) fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.values()
    }

    pub(in crate::policy) fn scope_maps(&self) -> impl Iterator<Item = &Arc<ScopeMap>> {
        self.scope_maps.values()
    }

    /// Some slow verifier of this layer, if it has or had any.
    pub(in crate::policy) fn slow_verifier(&self) -> Option<&Verifier> {
        self.slow.as_ref()
    }

    fn is_empty(&self) -> bool {
        let says_nothing = !self.properties.are_unreadable() && self.properties.record == StoredRegistry::default();
        let has_nobody = self.tokens.is_empty() && self.scope_maps.is_empty() && self.assignments.is_empty();
        has_nobody && self.endpoints.is_empty() && self.locks.is_empty() && says_nothing
    }

    fn put_properties(&mut self, properties: Arc<StoredProperties>) {
        self.note_slow(&properties.admin_passwords);
        self.properties = properties;
    }

    fn note_slow(&mut self, passwords: &[Password]) {
        if self.slow.is_none() {
            let slow = passwords.iter().map(|password| &password.verifier).find(|verifier| verifier.is_slow());
            self.slow = slow.cloned();
        }
    }

    fn compile_token(&self, registry: &str, name: &str, set: &StoredToken, told: &mut Told<'_>) -> Option<Token> {
        if let Err(error) = names::check_token(name) {
            return told.without_effect(&error);
        }
        if name == registry {
            return told.without_effect("it has the registry's name, which is the admin account's user name");
        }
        // The scope map's own text where it exists, so that tens of thousands of tokens share one.
        let shared = |name: &String| {
            let known = self.scope_maps.get_key_value(name.as_str()).map(|(name, _)| Arc::clone(name));
            known.unwrap_or_else(|| name.as_str().into())
        };
        let scope_maps = std::iter::once(&set.scope_map).chain(&set.additional_scope_maps).map(shared).collect();
        Some(Token {
            name: name.into(),
            id: set.id,
            status: set.status,
            scope_maps,
            passwords: passwords(&set.passwords, told).into(),
            networks: networks(&set.networks, told),
            origin: Origin::store(),
        })
    }
}

impl StoredProperties {
    /// Whether they are there and nothing is known of them.
    pub(in crate::policy) fn are_unreadable(&self) -> bool {
        self.known == Known::Unreadable
    }

    fn unreadable() -> Self {
        // It may have confined what a file opens to everybody.
        let nothing = Some(Repositories::default());
        Self { known: Known::Unreadable, anonymous_pull_repositories: nothing, ..Self::default() }
    }

    /// Rules that did not change since `before` are not compiled again: there may be a hundred thousand.
    fn compile(set: &StoredRegistry, before: &Self, told: &mut Told<'_>) -> Self {
        let unchanged = set.ip_rules == before.record.ip_rules;
        let ip_rules = match &set.ip_rules {
            Some(_) if unchanged => before.ip_rules.clone(),
            Some(rules) => Some(StoredRules::compile(rules, IpRules::of_stored, told)),
            None => None,
        };
        let virtual_networks = set.virtual_network_rules.as_ref();
        let virtual_networks =
            virtual_networks.map(|rules| StoredRules::compile(rules, VirtualNetworks::of_stored, told));
        let admin_passwords = passwords(&set.admin_passwords, told);
        let anonymous_pull_repositories = set.anonymous_pull_repositories.as_ref().map(|some| patterns(some, told));
        Self {
            known: Known::Record,
            record: set.clone(),
            ip_rules,
            virtual_networks,
            admin_passwords,
            anonymous_pull_repositories,
            trusted_services: set.trusted_services.as_ref().map(|some| some.as_slice().into()),
        }
    }
}

impl<W: Clone, C> StoredRules<W, C> {
    fn compile(rules: &[W], of_stored: impl FnOnce(&[W]) -> Result<C, String>, told: &mut Told<'_>) -> Self {
        let compiled = of_stored(rules).map(Arc::new);
        let compiled = compiled.map_err(|error| told.push(&format!("{error}: nobody is admitted"))).ok();
        Self { written: rules.into(), compiled }
    }
}

fn scope_map(name: &str, set: &StoredScopeMap, told: &mut Told<'_>) -> Option<ScopeMap> {
    if let Err(error) = names::check_scope_map(name) {
        return told.without_effect(&error);
    }
    let mut allowed: BTreeMap<RepositoryPattern, ActionSet> = BTreeMap::new();
    for text in &set.actions {
        match ScopeAction::parse(text) {
            Ok(ScopeAction::Repository { pattern, action }) => {
                let actions = allowed.entry(pattern).or_default();
                *actions = actions.with(action);
            }
            Ok(ScopeAction::Gateway { .. }) => {}
            Err(error) => told.push(&format!("{error}: it grants nothing")),
        }
    }
    let rule = |(pattern, actions)| ScopeRule { pattern, actions, origin: Origin::store() };
    let map = ScopeMap::new(name, &set.description, Origin::store(), allowed.into_iter().map(rule).collect());
    Some(map.within(networks(&set.networks, told)))
}

/// A condition that cannot be read holds nowhere.
pub(super) fn networks(set: &StoredNetworks, told: &mut Told<'_>) -> Option<Arc<NetworkCondition>> {
    let condition = NetworkCondition::of_stored(set).unwrap_or_else(|error| {
        told.push(&format!("{error}: it counts from nowhere"));
        Some(NetworkCondition::unreadable())
    });
    condition.map(Arc::new)
}

/// What cannot be read covers nothing.
pub(super) fn patterns(texts: &[String], told: &mut Told<'_>) -> Repositories {
    let mut read = Vec::with_capacity(texts.len());
    for text in texts {
        match RepositoryPattern::parse(text) {
            Ok(pattern) => read.push(pattern),
            Err(error) => told.push(&format!("`{}`: {error}: it covers nothing", names::shortened(text))),
        }
    }
    read.into()
}

/// Each password, and each that was replaced and is accepted for a while yet.
pub(super) fn passwords(set: &[StoredPassword], told: &mut Told<'_>) -> Vec<Password> {
    let mut passwords = Vec::with_capacity(set.len());
    for stored in set {
        let name = names::password(&stored.name);
        let mut add = |id: CredentialId, hash: &str, expiry: Option<Timestamp>| match Verifier::parse_hash(hash) {
            Ok(verifier) => passwords.push(Password { name: Arc::clone(&name), id, verifier, expiry }),
            Err(error) => told.push(&format!("password `{name}`: {error}: it opens nothing")),
        };
        add(stored.id, &stored.hash, stored.expiry);
        if let Some(replaced) = &stored.replaced {
            add(replaced.id, &replaced.hash, Some(replaced.until));
        }
    }
    passwords
}

/// Where the problems of one object go.
pub(super) struct Told<'a> {
    /// Which one it is; empty for one that has no place yet.
    what: String,
    problems: &'a mut Problems,
}

/// The first thing that `compile` has to tell of an object that is not stored yet.
pub(super) fn checked(compile: impl FnOnce(&mut Told<'_>)) -> Result<(), String> {
    let mut problems = Problems::new();
    compile(&mut Told { what: String::new(), problems: &mut problems });
    problems.iter().next().map_or(Ok(()), |problem| Err(problem.what.clone()))
}

impl Told<'_> {
    pub(super) fn push(&mut self, sentence: &str) {
        let what = if self.what.is_empty() { sentence.to_owned() } else { format!("{}: {sentence}", self.what) };
        self.problems.push(Problem::warning(&Origin::store(), what));
    }

    pub(super) fn without_effect<T>(&mut self, why: &str) -> Option<T> {
        self.push(&format!("{why}: it has no effect"));
        None
    }
}
