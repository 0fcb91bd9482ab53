//! The properties of a registry that files may declare and the API may set: each is the file's where the file has it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::document::{EndpointProtocol, ExportStatus, NetworkAction, NetworkRuleBypassOptions, PublicNetworkAccess};
use super::origin::{At, Origin};
use super::pattern::RepositoryPattern;
use super::stored::{StoredIpRule, StoredRegistry, StoredTrustedService, StoredVirtualNetworkRule};

/// Which repositories are meant.
pub type Repositories = Arc<[RepositoryPattern]>;

/// A switch that is on where nobody has set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OnUnlessSet(pub bool);

impl Default for OnUnlessSet {
    fn default() -> Self {
        Self(true)
    }
}

/// A property as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    /// Where a file declares it; the API may not change it then.
    pub declared: Option<Origin>,
}

impl<T> Setting<T> {
    /// Where it comes from: a place in a file, or the store.
    pub fn origin(&self) -> Origin {
        self.declared.clone().unwrap_or_else(Origin::store)
    }
}

/// The properties of a registry in force. What nobody has set has ACR's default (requirements B.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    pub admin_user_enabled: Setting<bool>,
    pub anonymous_pull_enabled: Setting<bool>,
    /// The repositories to which anonymous pull is confined; `None`: to none of them. A list counts as a whole.
    pub anonymous_pull_repositories: Setting<Option<Repositories>>,
    pub public_network_access: Setting<PublicNetworkAccess>,
    pub default_action: Setting<NetworkAction>,
    /// As written, whoever wrote them. A list counts as a whole.
    pub ip_rules: Setting<Arc<[StoredIpRule]>>,
    pub virtual_network_rules: Setting<Arc<[StoredVirtualNetworkRule]>>,
    pub network_rule_bypass_options: Setting<NetworkRuleBypassOptions>,
    pub network_rule_bypass_allowed_for_tasks: Setting<OnUnlessSet>,
    /// Whoever they are trusted as. A list counts as a whole.
    pub trusted_services: Setting<Arc<[StoredTrustedService]>>,
    pub data_endpoint_enabled: Setting<bool>,
    pub endpoint_protocol: Setting<EndpointProtocol>,
    /// Disabled, it ends what trusted services may take away (B.4-13).
    pub export_policy: Setting<ExportStatus>,
}

/// What a file says about them.
#[derive(Debug, Default)]
pub(super) struct DeclaredProperties {
    pub(super) admin_user_enabled: Option<At<bool>>,
    pub(super) anonymous_pull_enabled: Option<At<bool>>,
    pub(super) anonymous_pull_repositories: Option<At<Option<Repositories>>>,
    pub(super) public_network_access: Option<At<PublicNetworkAccess>>,
    pub(super) default_action: Option<At<NetworkAction>>,
    pub(super) ip_rules: Option<At<Arc<[StoredIpRule]>>>,
    pub(super) virtual_network_rules: Option<At<Arc<[StoredVirtualNetworkRule]>>>,
    pub(super) network_rule_bypass_options: Option<At<NetworkRuleBypassOptions>>,
    pub(super) network_rule_bypass_allowed_for_tasks: Option<At<OnUnlessSet>>,
    pub(super) trusted_services: Option<At<Arc<[StoredTrustedService]>>>,
    pub(super) data_endpoint_enabled: Option<At<bool>>,
    pub(super) endpoint_protocol: Option<At<EndpointProtocol>>,
    pub(super) export_policy: Option<At<ExportStatus>>,
}

/// The lists of a [`StoredRegistry`], compiled and shared.
#[derive(Clone, Copy)]
pub(super) struct StoredLists<'a> {
    pub(super) ip_rules: Option<&'a Arc<[StoredIpRule]>>,
    pub(super) virtual_network_rules: Option<&'a Arc<[StoredVirtualNetworkRule]>>,
    pub(super) anonymous_pull_repositories: Option<&'a Repositories>,
    pub(super) trusted_services: Option<&'a Arc<[StoredTrustedService]>>,
}

/// The properties, by their names in files, that the store has another value of, and where the file has them.
pub(super) type Overruled = Vec<(&'static str, Origin)>;

impl Properties {
    /// Each property of the one that has it.
    pub(super) fn merge(
        declared: &DeclaredProperties,
        stored: &StoredRegistry,
        lists: StoredLists<'_>,
    ) -> (Self, Overruled) {
        let mut overruled = Overruled::new();
        macro_rules! merged {
            ($name:literal, $property:ident) => {
                merged!($name, $property, stored.$property.as_ref())
            };
            ($name:literal, $property:ident, $stored:expr) => {
                setting($name, declared.$property.as_ref(), $stored, &mut overruled)
            };
        }
        let confined = lists.anonymous_pull_repositories.map(|some| Some(Arc::clone(some)));
        let merged = Self {
            admin_user_enabled: merged!("adminUserEnabled", admin_user_enabled),
            anonymous_pull_enabled: merged!("anonymousPullEnabled", anonymous_pull_enabled),
            anonymous_pull_repositories: merged!(
                "anonymousPullRepositories",
                anonymous_pull_repositories,
                confined.as_ref()
            ),
            public_network_access: merged!("publicNetworkAccess", public_network_access),
            default_action: merged!("defaultAction", default_action),
            ip_rules: merged!("ipRules", ip_rules, lists.ip_rules),
            virtual_network_rules: merged!("virtualNetworkRules", virtual_network_rules, lists.virtual_network_rules),
            network_rule_bypass_options: merged!("networkRuleBypassOptions", network_rule_bypass_options),
            network_rule_bypass_allowed_for_tasks: merged!(
                "networkRuleBypassAllowedForTasks",
                network_rule_bypass_allowed_for_tasks
            ),
            trusted_services: merged!("trustedServices", trusted_services, lists.trusted_services),
            data_endpoint_enabled: merged!("dataEndpointEnabled", data_endpoint_enabled),
            endpoint_protocol: merged!("endpointProtocol", endpoint_protocol),
            export_policy: merged!("exportPolicy", export_policy),
        };
        (merged, overruled)
    }
}

fn setting<T: Clone + Default + PartialEq>(
    name: &'static str,
    declared: Option<&At<T>>,
    stored: Option<&T>,
    overruled: &mut Overruled,
) -> Setting<T> {
    let Some(declared) = declared else {
        return Setting { value: stored.cloned().unwrap_or_default(), declared: None };
    };
    if stored.is_some_and(|stored| *stored != declared.value) {
        overruled.push((name, declared.origin.clone()));
    }
    Setting { value: declared.value.clone(), declared: Some(declared.origin.clone()) }
}
