//! What an operator writes about networks: IP rules, virtual networks, private endpoints.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::origin::At;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PublicNetworkAccess {
    #[default]
    Enabled,
    /// No public address is admitted, whatever the rules say.
    Disabled,
}

/// Which public addresses are admitted at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EndpointProtocol {
    #[default]
    IPv4AndIPv6,
    /// No public IPv6 address is admitted, whatever the rules say.
    IPv4,
}

/// Whether what is in the registry may leave it by other ways than pulls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportStatus {
    #[default]
    Enabled,
    /// Trusted services that import from here have no permit. Whoever may pull still does.
    Disabled,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkRuleBypassOptions {
    /// Trusted services may pass.
    #[default]
    AzureServices,
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkAction {
    #[default]
    Allow,
    Deny,
}

/// Which addresses are admitted. The longest matching prefix decides; Deny wins at equal length.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkRuleSetDocument {
    /// What happens to an address that no rule matches. `Allow` unless set.
    #[serde(default)]
    pub default_action: Option<At<NetworkAction>>,
    #[serde(default)]
    pub ip_rules: Option<At<Vec<IpRuleDocument>>>,
    /// Virtual networks that are admitted where no IP rule matches, at most 100.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub virtual_network_rules: Option<At<Vec<At<VirtualNetworkRuleDocument>>>>,
    /// Rules to try: they decide nothing, and the audit log and a metric say where they would.
    #[serde(default)]
    pub shadow: Option<At<ShadowRuleSetDocument>>,
}

/// What is tried in place of what is in force. What is left out is as it is in force.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShadowRuleSetDocument {
    #[serde(default)]
    pub public_network_access: Option<PublicNetworkAccess>,
    #[serde(default)]
    pub default_action: Option<NetworkAction>,
    #[serde(default)]
    pub ip_rules: Option<Vec<IpRuleDocument>>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpRuleDocument {
    /// An IPv4 or IPv6 address or CIDR range.
    pub value: At<String>,
    #[serde(default)]
    pub action: NetworkAction,
    /// A name for logs and explanations.
    #[serde(default)]
    pub name: Option<At<String>>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportPolicyDocument {
    /// `disabled` needs `publicNetworkAccess: Disabled`.
    pub status: At<ExportStatus>,
}

/// From where a token, an identity, a scope map or a role assignment counts. The network rules come first, and this never
/// admits what they refuse.
///
/// An entry is an IPv4 or IPv6 address or CIDR range, `private endpoint NAME`, `any private endpoint` or
/// `virtual network NAME`. Addresses and ranges never hold a source behind a private endpoint.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkConditionDocument {
    /// From these networks only. Default: from all.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub allow: Option<At<Vec<At<String>>>>,
    /// Not from these, whatever `allow` says.
    #[serde(default)]
    pub deny: Option<At<Vec<At<String>>>>,
}

/// A virtual network whose sources are admitted while public access is on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualNetworkRuleDocument {
    /// A name for logs and explanations.
    pub name: At<String>,
    /// The Azure Resource Manager id of the subnet. It is shown, and decides nothing.
    #[serde(default)]
    pub id: Option<At<String>>,
    #[serde(default)]
    pub action: VirtualNetworkAction,
    #[serde(rename = "match")]
    pub matches: At<VirtualNetworkMatchDocument>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum VirtualNetworkAction {
    #[default]
    Allow,
}

/// Who comes from the virtual network: exactly one of these.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualNetworkMatchDocument {
    /// Sources of this address or CIDR range.
    #[serde(default)]
    pub source_network: Option<At<String>>,
    /// Whoever comes in on the public listener of this name.
    #[serde(default)]
    pub listener: Option<At<String>>,
}

/// A private endpoint that is known, and whether it may carry traffic.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrivateEndpointConnectionDocument {
    /// 1 to 80 letters, digits, `.`, `_` and `-`.
    pub name: At<String>,
    #[serde(rename = "match")]
    pub matches: At<EndpointMatchDocument>,
    pub status: ConnectionStatus,
    /// Why it has this status.
    #[serde(default)]
    pub description: Option<At<String>>,
}

/// Which endpoint it is: exactly one of these.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointMatchDocument {
    /// AWS: the id of the VPC endpoint, on listeners with `privateEndpoint: aws`.
    #[serde(default)]
    pub vpc_endpoint_id: Option<At<String>>,
    /// Azure: the LINKID of the private endpoint, on listeners with `privateEndpoint: azure`.
    #[serde(default)]
    pub link_id: Option<At<u32>>,
    /// Google: the `pscConnectionId`, on listeners with `privateEndpoint: google`.
    #[serde(default)]
    pub psc_connection_id: Option<At<u64>>,
    /// The private listener of this name.
    #[serde(default)]
    pub listener: Option<At<String>>,
    /// Sources of this address or CIDR range, on private listeners.
    #[serde(default)]
    pub source_network: Option<At<String>>,
}

/// The state of a private endpoint connection, as in Azure Resource Manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConnectionStatus {
    /// The only one with which the endpoint is admitted.
    Approved,
    Pending,
    Rejected,
    Disconnected,
}

impl fmt::Display for ConnectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approved => "Approved",
            Self::Pending => "Pending",
            Self::Rejected => "Rejected",
            Self::Disconnected => "Disconnected",
        })
    }
}
