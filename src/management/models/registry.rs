//! Registries as the API shows and takes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::endpoint_connection::EndpointConnectionResource;
use super::words::{AccessWord, ActionWord, BypassWord, ExportWord, ProtocolWord, Word};
use crate::policy::document::NetworkAction;
use crate::policy::stored::StoredVirtualNetworkMatch;

/// A registry.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::management) struct RegistryResource {
    #[serde(flatten)]
    pub(in crate::management) summary: SummaryResource,
    pub(in crate::management) properties: RegistryProperties,
}

/// A registry in a list of resources of all types.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::management) struct SummaryResource {
    pub(in crate::management) id: String,
    pub(in crate::management) name: String,
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    /// Always `local`.
    pub(in crate::management) location: &'static str,
    pub(in crate::management) tags: BTreeMap<String, String>,
    pub(in crate::management) sku: Sku,
}

/// A word that is kept for clients; it limits nothing unless the operator says so.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::management) struct Sku {
    pub(in crate::management) name: String,
    pub(in crate::management) tier: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "ARM's properties are what they are")]
pub(in crate::management) struct RegistryProperties {
    pub(in crate::management) login_server: String,
    pub(in crate::management) provisioning_state: &'static str,
    pub(in crate::management) admin_user_enabled: bool,
    pub(in crate::management) anonymous_pull_enabled: bool,
    /// Not ARM's: the repositories that anybody may pull while `anonymousPullEnabled`; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) anonymous_pull_repositories: Option<Vec<String>>,
    #[schema(inline)]
    pub(in crate::management) public_network_access: AccessWord,
    #[schema(inline)]
    pub(in crate::management) network_rule_bypass_options: BypassWord,
    pub(in crate::management) network_rule_bypass_allowed_for_tasks: bool,
    /// Not ARM's: the identities that are trusted as services.
    pub(in crate::management) trusted_services: Vec<TrustedInstance>,
    pub(in crate::management) network_rule_set: NetworkRuleSet,
    pub(in crate::management) data_endpoint_enabled: bool,
    pub(in crate::management) private_endpoint_connections: Vec<EndpointConnectionResource>,
    /// Where blobs are fetched; empty while `dataEndpointEnabled` is false.
    pub(in crate::management) data_endpoint_host_names: Vec<String>,
    /// Not ARM's: the same with their regions.
    pub(in crate::management) data_endpoints: Vec<DataEndpointProperties>,
    #[schema(inline)]
    pub(in crate::management) endpoint_protocol: ProtocolWord,
    /// Properties of ACR that have one value here, but for `policies.exportPolicy`.
    #[serde(flatten)]
    pub(in crate::management) fixed: BTreeMap<&'static str, Value>,
    /// Not ARM's: the place in the file that declares the registry.
    pub(in crate::management) declared_in: String,
    /// Not ARM's: the properties that the file sets, with their places; they can be changed there only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::management) declared_properties: BTreeMap<&'static str, String>,
}

/// A host for downloads of blobs.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::management) struct DataEndpointProperties {
    pub(in crate::management) region: String,
    pub(in crate::management) endpoint: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct NetworkRuleSet {
    #[schema(inline)]
    pub(in crate::management) default_action: ActionWord,
    pub(in crate::management) ip_rules: Vec<IpRule>,
    pub(in crate::management) virtual_network_rules: Vec<VirtualNetworkRule>,
}

/// A virtual network whose sources are admitted where no IP rule holds their address.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::management) struct VirtualNetworkRule {
    /// Always `Allow`.
    #[serde(default = "allow")]
    #[schema(inline)]
    pub(in crate::management) action: ActionWord,
    /// The Azure Resource Manager id of the subnet. It decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::management) id: Option<String>,
    /// Not ARM's: for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::management) name: Option<String>,
    /// Not ARM's: who comes from the network. A new rule needs it.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub(in crate::management) matches: Option<StoredVirtualNetworkMatch>,
}

/// One network rule. ARM knows the action `Allow` only; `Deny` is ours.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::management) struct IpRule {
    #[serde(default = "allow")]
    #[schema(inline)]
    pub(in crate::management) action: ActionWord,
    /// An IPv4 or IPv6 address or CIDR range.
    pub(in crate::management) value: String,
    /// Not ARM's: for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::management) name: Option<String>,
}

/// An identity that is trusted as a service of the catalogue. Whoever sets one names the identity in one of two ways.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TrustedServiceInstance)]
pub(in crate::management) struct TrustedInstance {
    /// `scanner`, `import`, `tasks`, `machineLearning`, or one of `trustedServices` of the file.
    pub(in crate::management) service: String,
    /// Its name; absent when it does not exist any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::management) identity: Option<String>,
    /// What counts where both are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::management) principal_id: Option<String>,
}

fn allow() -> ActionWord {
    Word(NetworkAction::Allow)
}

/// Properties of a registry to change; what is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::management) struct RegistryUpdate {
    #[serde(default)]
    pub(in crate::management) properties: RegistryUpdateProperties,
    #[serde(default)]
    pub(in crate::management) tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(in crate::management) sku: Option<SkuUpdate>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::management) struct SkuUpdate {
    /// `Basic`, `Standard` or `Premium`.
    pub(in crate::management) name: String,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct RegistryUpdateProperties {
    #[serde(default)]
    pub(in crate::management) admin_user_enabled: Option<bool>,
    #[serde(default)]
    pub(in crate::management) anonymous_pull_enabled: Option<bool>,
    /// Not ARM's: `team/app`, `team/*` or `*`. The whole list.
    #[serde(default)]
    pub(in crate::management) anonymous_pull_repositories: Option<Vec<String>>,
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) public_network_access: Option<AccessWord>,
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) network_rule_bypass_options: Option<BypassWord>,
    #[serde(default)]
    pub(in crate::management) network_rule_bypass_allowed_for_tasks: Option<bool>,
    /// Not ARM's. The whole list.
    #[serde(default)]
    pub(in crate::management) trusted_services: Option<Vec<TrustedInstance>>,
    #[serde(default)]
    pub(in crate::management) network_rule_set: Option<NetworkRuleSetUpdate>,
    #[serde(default)]
    pub(in crate::management) data_endpoint_enabled: Option<bool>,
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) endpoint_protocol: Option<ProtocolWord>,
    #[serde(default)]
    pub(in crate::management) policies: Option<PoliciesUpdate>,
}

/// The other policies have one value each.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct PoliciesUpdate {
    #[serde(default)]
    pub(in crate::management) export_policy: Option<ExportPolicyUpdate>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
pub(in crate::management) struct ExportPolicyUpdate {
    /// `disabled` where public network access is disabled only.
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) status: Option<ExportWord>,
}

#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct NetworkRuleSetUpdate {
    #[serde(default)]
    #[schema(inline)]
    pub(in crate::management) default_action: Option<ActionWord>,
    /// The whole list.
    #[serde(default)]
    pub(in crate::management) ip_rules: Option<Vec<IpRule>>,
    /// The whole list.
    #[serde(default)]
    pub(in crate::management) virtual_network_rules: Option<Vec<VirtualNetworkRule>>,
}

/// What `checkNameAvailability` is asked.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::management) struct CheckName {
    pub(in crate::management) name: String,
    /// `Microsoft.ContainerRegistry/registries`.
    #[serde(rename = "type")]
    pub(in crate::management) kind: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct NameAvailability {
    pub(in crate::management) name_available: bool,
    /// `AlreadyExists` or `Invalid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) message: Option<String>,
}

/// How much there is of something, and how much a tier of ACR allows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct Usage {
    pub(in crate::management) name: &'static str,
    pub(in crate::management) limit: u64,
    pub(in crate::management) current_value: u64,
    pub(in crate::management) unit: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::management) struct UsageList {
    pub(in crate::management) value: Vec<Usage>,
}
