//! The properties of a registry that files may declare and the API may set: each is the file's where the file has it.

use std::sync::Arc;

use super::document::{NetworkAction, NetworkRuleBypassOptions, PublicNetworkAccess};
use super::origin::{At, Origin};
use super::stored::{StoredIpRule, StoredRegistry};

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
    pub public_network_access: Setting<PublicNetworkAccess>,
    pub default_action: Setting<NetworkAction>,
    /// As written, whoever wrote them. A list counts as a whole.
    pub ip_rules: Setting<Arc<[StoredIpRule]>>,
    pub network_rule_bypass_options: Setting<NetworkRuleBypassOptions>,
    pub data_endpoint_enabled: Setting<bool>,
}

/// What a file says about them.
#[derive(Debug, Default)]
pub(super) struct DeclaredProperties {
    pub(super) admin_user_enabled: Option<At<bool>>,
    pub(super) anonymous_pull_enabled: Option<At<bool>>,
    pub(super) public_network_access: Option<At<PublicNetworkAccess>>,
    pub(super) default_action: Option<At<NetworkAction>>,
    pub(super) ip_rules: Option<At<Arc<[StoredIpRule]>>>,
    pub(super) network_rule_bypass_options: Option<At<NetworkRuleBypassOptions>>,
    pub(super) data_endpoint_enabled: Option<At<bool>>,
}

impl Properties {
    /// `ip_rules` are those of `stored`, shared.
    pub(super) fn merge(
        declared: &DeclaredProperties,
        stored: &StoredRegistry,
        ip_rules: Option<&Arc<[StoredIpRule]>>,
    ) -> Self {
        Self {
            admin_user_enabled: setting(declared.admin_user_enabled.as_ref(), stored.admin_user_enabled.as_ref()),
            anonymous_pull_enabled: setting(
                declared.anonymous_pull_enabled.as_ref(),
                stored.anonymous_pull_enabled.as_ref(),
            ),
            public_network_access: setting(
                declared.public_network_access.as_ref(),
                stored.public_network_access.as_ref(),
            ),
            default_action: setting(declared.default_action.as_ref(), stored.default_action.as_ref()),
            ip_rules: setting(declared.ip_rules.as_ref(), ip_rules),
            network_rule_bypass_options: setting(
                declared.network_rule_bypass_options.as_ref(),
                stored.network_rule_bypass_options.as_ref(),
            ),
            data_endpoint_enabled: setting(
                declared.data_endpoint_enabled.as_ref(),
                stored.data_endpoint_enabled.as_ref(),
            ),
        }
    }
}

fn setting<T: Clone + Default>(declared: Option<&At<T>>, stored: Option<&T>) -> Setting<T> {
    match declared {
        Some(declared) => Setting { value: declared.value.clone(), declared: Some(declared.origin.clone()) },
        None => Setting { value: stored.cloned().unwrap_or_default(), declared: None },
    }
}

/// The properties, by their names in files, that a file and the store both have and not alike: where the file's are.
pub(super) fn overruled<'a>(
    declared: &'a DeclaredProperties,
    stored: &StoredRegistry,
) -> impl Iterator<Item = (&'static str, &'a Origin)> {
    [
        ("adminUserEnabled", differs(declared.admin_user_enabled.as_ref(), stored.admin_user_enabled.as_ref())),
        (
            "anonymousPullEnabled",
            differs(declared.anonymous_pull_enabled.as_ref(), stored.anonymous_pull_enabled.as_ref()),
        ),
        (
            "publicNetworkAccess",
            differs(declared.public_network_access.as_ref(), stored.public_network_access.as_ref()),
        ),
        ("defaultAction", differs(declared.default_action.as_ref(), stored.default_action.as_ref())),
        ("ipRules", {
            let unlike =
                |rules: &&At<Arc<[StoredIpRule]>>| stored.ip_rules.as_ref().is_some_and(|old| **old != *rules.value);
            declared.ip_rules.as_ref().filter(unlike).map(|rules| &rules.origin)
        }),
        (
            "networkRuleBypassOptions",
            differs(declared.network_rule_bypass_options.as_ref(), stored.network_rule_bypass_options.as_ref()),
        ),
        (
            "dataEndpointEnabled",
            differs(declared.data_endpoint_enabled.as_ref(), stored.data_endpoint_enabled.as_ref()),
        ),
    ]
    .into_iter()
    .filter_map(|(name, origin)| Some((name, origin?)))
}

fn differs<'a, T: PartialEq>(declared: Option<&'a At<T>>, stored: Option<&T>) -> Option<&'a Origin> {
    let declared = declared?;
    (*stored? != declared.value).then_some(&declared.origin)
}
