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

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkRuleBypassOptions {
    /// Declared trusted services may pass. None can be declared yet, so nothing passes.
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
