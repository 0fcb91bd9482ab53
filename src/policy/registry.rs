//! One registry as compiled: where it is, what stands behind it, and every principal it knows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::address::{ExternalUrl, LoginServer, UpstreamTarget};
use super::credential::{PrincipalId, Verifier};
use super::network::NetworkRules;
use super::origin::Origin;
use super::principal::{Admin, Principal, Token};
use super::scope_map::ScopeMap;

/// A registry of a snapshot. Immutable.
#[derive(Debug)]
pub struct Registry {
    pub name: Arc<str>,
    pub login_server: LoginServer,
    pub external_url: Option<ExternalUrl>,
    pub upstream: Arc<UpstreamTarget>,
    pub network: NetworkRules,
    pub anonymous_pull: bool,
    pub admin: Arc<Admin>,
    pub scope_maps: BTreeMap<Arc<str>, Arc<ScopeMap>>,
    pub origin: Origin,
    tokens: HashMap<Arc<str>, Arc<Token>>,
    principals: HashMap<PrincipalId, Principal>,
    decoy: Option<Verifier>,
}

/// What a registry is made of, before its indexes are built.
pub(super) struct Parts {
    pub(super) name: Arc<str>,
    pub(super) login_server: LoginServer,
    pub(super) external_url: Option<ExternalUrl>,
    pub(super) upstream: UpstreamTarget,
    pub(super) network: NetworkRules,
    pub(super) anonymous_pull: bool,
    pub(super) admin: Admin,
    pub(super) scope_maps: BTreeMap<Arc<str>, Arc<ScopeMap>>,
    pub(super) tokens: Vec<Token>,
    pub(super) origin: Origin,
}

impl Registry {
    pub(super) fn new(parts: Parts) -> Self {
        let admin = Arc::new(parts.admin);
        let tokens: HashMap<_, _> =
            parts.tokens.into_iter().map(|token| (Arc::clone(&token.name), Arc::new(token))).collect();
        let mut principals: HashMap<_, _> =
            tokens.values().map(|token| (token.id, Principal::Token(Arc::clone(token)))).collect();
        principals.insert(admin.id, Principal::Admin(Arc::clone(&admin)));
        let decoy = principals.values().flat_map(Principal::passwords).find_map(|password| match &password.verifier {
            Verifier::Digest(_) => None,
            slow @ (Verifier::Argon2(_) | Verifier::Bcrypt(_)) => Some(slow.clone()),
        });
        Self {
            name: parts.name,
            login_server: parts.login_server,
            external_url: parts.external_url,
            upstream: Arc::new(parts.upstream),
            network: parts.network,
            anonymous_pull: parts.anonymous_pull,
            admin,
            scope_maps: parts.scope_maps,
            origin: parts.origin,
            tokens,
            principals,
            decoy,
        }
    }

    /// The principal that logs in with this user name (S3-60; the admin account's is the registry's name).
    pub fn principal_named(&self, user: &str) -> Option<Principal> {
        if user == &*self.admin.name {
            return Some(Principal::Admin(Arc::clone(&self.admin)));
        }
        self.tokens.get(user).map(|token| Principal::Token(Arc::clone(token)))
    }

    /// The principal with this id, if it still exists.
    pub fn principal(&self, id: PrincipalId) -> Option<&Principal> {
        self.principals.get(&id)
    }

    /// Some slow verifier of the registry, if it has any: the work to do in vain for unknown users (threat class Q).
    pub fn decoy(&self) -> Option<&Verifier> {
        self.decoy.as_ref()
    }

    /// The tokens, in no order.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.values()
    }
}
