//! What files declare, compiled.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::assignments::DeclaredAssignments;
use crate::policy::address::{ExternalUrl, LoginServer, UpstreamTarget};
use crate::policy::content_cache::ContentCache;
use crate::policy::credential::{PrincipalId, Verifier};
use crate::policy::data_endpoint::DataEndpoint;
use crate::policy::identities::Identities;
use crate::policy::limits::RateLimits;
use crate::policy::locks::LockRule;
use crate::policy::network::{IpRules, PrivateEndpoints, Shadow, VirtualNetworks};
use crate::policy::origin::{At, Origin};
use crate::policy::principal::{Password, Token};
use crate::policy::properties::DeclaredProperties;
use crate::policy::scope_map::ScopeMap;
use crate::policy::trusted::{Catalogue, TrustedServices};

/// All registries that the files declare. Made by [`compile`](crate::policy::compile).
#[derive(Debug)]
pub struct DeclaredPolicy {
    /// By name.
    pub(in crate::policy) registries: Vec<Arc<Declared>>,
    pub(in crate::policy) index: Arc<Index>,
    pub(in crate::policy) identities: Arc<Identities>,
    /// What is assigned on all registries.
    pub(in crate::policy) everywhere: Arc<DeclaredAssignments>,
}

/// Where in the list of registries one is.
#[derive(Debug, Default)]
pub(in crate::policy) struct Index {
    /// By every Host header that means it, in lower case.
    pub(in crate::policy) hosts: HashMap<Box<str>, usize>,
    /// By every Host header that means one of its data endpoints, in lower case.
    pub(in crate::policy) data_hosts: HashMap<Box<str>, usize>,
    /// By its name, in lower case.
    pub(in crate::policy) names: HashMap<Box<str>, usize>,
}

impl DeclaredPolicy {
    pub(in crate::policy) fn new(
        registries: Vec<Arc<Declared>>,
        identities: Arc<Identities>,
        everywhere: Arc<DeclaredAssignments>,
    ) -> Self {
        let mut index = Index::default();
        for (position, registry) in registries.iter().enumerate() {
            index.hosts.extend(registry.login_server.host_headers().map(|host| (host, position)));
            let data_hosts = registry.data_endpoints.iter().flat_map(|endpoint| endpoint.host.host_headers());
            index.data_hosts.extend(data_hosts.map(|host| (host, position)));
            index.names.insert(registry.name.to_ascii_lowercase().into(), position);
        }
        Self { registries, index: Arc::new(index), identities, everywhere }
    }
}

/// One registry as files declare it.
#[derive(Debug)]
pub(in crate::policy) struct Declared {
    pub(in crate::policy) name: Arc<str>,
    pub(in crate::policy) login_server: LoginServer,
    pub(in crate::policy) external_url: Option<ExternalUrl>,
    pub(in crate::policy) upstream: Arc<UpstreamTarget>,
    pub(in crate::policy) data_endpoints: Arc<[DataEndpoint]>,
    pub(in crate::policy) properties: DeclaredProperties,
    /// Of `ipRules`, where they are declared.
    pub(in crate::policy) ip_rules: Option<Arc<IpRules>>,
    pub(in crate::policy) shadow: Option<Shadow>,
    pub(in crate::policy) endpoints: Arc<PrivateEndpoints>,
    /// Of `virtualNetworkRules`, where they are declared.
    pub(in crate::policy) virtual_networks: Option<Arc<VirtualNetworks>>,
    /// The services that registries can trust.
    pub(in crate::policy) catalogue: Arc<Catalogue>,
    /// Whom it trusts, where that is declared.
    pub(in crate::policy) trusted: Option<TrustedServices>,
    pub(in crate::policy) admin_id: PrincipalId,
    /// The admin account's passwords, where any are declared.
    pub(in crate::policy) admin: Option<At<Vec<Password>>>,
    pub(in crate::policy) rate_limits: RateLimits,
    /// `None`: nothing is kept.
    pub(in crate::policy) content_cache: Option<Arc<ContentCache>>,
    pub(in crate::policy) locks: Arc<[LockRule]>,
    /// The system-defined ones too.
    pub(in crate::policy) scope_maps: BTreeMap<Arc<str>, Arc<ScopeMap>>,
    pub(in crate::policy) tokens: BTreeMap<Arc<str>, Arc<Token>>,
    pub(in crate::policy) ids: HashMap<PrincipalId, Arc<Token>>,
    /// Of this registry alone.
    pub(in crate::policy) assignments: DeclaredAssignments,
    pub(in crate::policy) origin: Origin,
}

impl Declared {
    /// Some slow verifier of this layer, if it has any.
    pub(in crate::policy) fn slow_verifier(&self) -> Option<&Verifier> {
        let admin = self.admin.iter().flat_map(|admin| &admin.value);
        let tokens = self.tokens.values().flat_map(|token| &token.passwords);
        admin.chain(tokens).map(|password| &password.verifier).find(|verifier| verifier.is_slow())
    }
}
