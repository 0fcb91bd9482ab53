//! Registries: read and changed. Files declare them; what a file leaves unset can be set here.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;

use super::Settings;
use super::admin;
use super::call::{Answer, Call, key};
use super::endpoint_connections;
use super::error::ApiError;
use super::fixed;
use super::limits::{self, Countable};
use super::models::{
    CheckName, DataEndpointProperties, Ids, IpRule, List, NameAvailability, NetworkRuleSet, NetworkRuleSetUpdate,
    RegistryProperties, RegistryResource, RegistryUpdate, RegistryUpdateProperties, SUCCEEDED, Sku, SummaryResource,
    VirtualNetworkRule, Word,
};
use super::repositories;
use super::trusted;
use super::virtual_networks;
use super::write::{Change, modify, read};
use crate::policy::document::{ExportStatus, PublicNetworkAccess};
use crate::policy::manage::ManagementAction;
use crate::policy::names;
use crate::policy::network::{check_rule, check_rule_name};
use crate::policy::stored::{StoredIpRule, StoredRegistry, StoredVirtualNetworkRule};
use crate::policy::tier::Tier;
use crate::policy::{DataEndpoint, OnUnlessSet, Registry, Setting};
use crate::store::{Kind, Revision};

const TYPE: &str = "Microsoft.ContainerRegistry/registries";

pub(super) async fn list(call: &Call) -> Result<Answer, ApiError> {
    let mut value = Vec::new();
    for registry in call.snapshot()?.registries() {
        if !call.may(Some(&registry.name), ManagementAction::Read)? {
            continue;
        }
        let (stored, _) = stored(call, registry).await?;
        value.push(resource(call, registry, &stored).await?);
    }
    Answer::ok(&List { value, next_link: None })
}

/// Resources of all types, of which there is one here. `az` finds the group of a registry by it.
pub(super) async fn list_resources(call: &Call) -> Result<Answer, ApiError> {
    let filter = Filter::parse(call.query("$filter").unwrap_or_default())?;
    let mut value = Vec::new();
    for registry in call.snapshot()?.registries().iter().filter(|registry| filter.admits(registry)) {
        if !call.may(Some(&registry.name), ManagementAction::Read)? {
            continue;
        }
        let (stored, _) = stored(call, registry).await?;
        value.push(summary(&call.parts.settings, registry, &stored));
    }
    Answer::ok(&List { value, next_link: None })
}

pub(super) async fn get(call: &Call) -> Result<Answer, ApiError> {
    let registry = call.registry()?;
    let (stored, revision) = stored(call, &registry).await?;
    let answer = Answer::ok(&resource(call, &registry, &stored).await?)?;
    Ok(answer.at(Some(revision.unwrap_or_default())))
}

/// Sets properties that no file declares. What a file declares may be sent as it is.
pub(super) async fn update(call: &Call) -> Result<Answer, ApiError> {
    let registry = call.registry()?;
    fixed::check(&call.json()?)?;
    let sent = call.json::<RegistryUpdate>()?;
    let tier = sent.sku.as_ref().map(|sku| known_tier(&sku.name)).transpose()?;
    check_rules(call, &registry, &sent.properties)?;
    let made = admin::make(call, &registry)?;
    let change = |before: Option<StoredRegistry>| {
        let mut stored = before.unwrap_or_default();
        apply(&registry, &sent.properties, &mut stored)?;
        if let Some(tags) = &sent.tags {
            stored.tags.clone_from(tags);
        }
        if let Some(tier) = tier {
            stored.sku = Some(tier.name().to_owned());
        }
        if stored.admin_user_enabled == Some(true) && registry.declared_admin().is_none() {
            admin::add_missing(&mut stored, &made);
        }
        Ok(Change::Put(stored))
    };
    let changed = modify(call, key(&registry, Kind::Registry, ""), change).await?;
    let stored = changed.contents.unwrap_or_default();
    let answer = Answer::ok(&resource(call, &registry, &stored).await?)?;
    Ok(answer.at(Some(changed.revision.unwrap_or_default())).written(changed.revision).changed(changed.names))
}

/// Neither made nor deleted here: a registry needs a place behind it, which a file says.
pub(super) fn declared_only(call: &Call) -> Result<Answer, ApiError> {
    let name = call.parameter("registryName");
    if let Some(registry) = call.snapshot()?.registry_named(name) {
        return Err(ApiError::declared(&format!("registry '{}'", registry.name), &registry.origin));
    }
    let message = format!("registries are declared in the configuration file: add '{name}' under `registries` there");
    Err(ApiError::conflict("DeclaredInFile", message))
}

pub(super) fn check_name(call: &Call) -> Result<Answer, ApiError> {
    let CheckName { name, kind } = call.json()?;
    if !kind.eq_ignore_ascii_case(TYPE) {
        return Err(ApiError::invalid("type", format!("write '{TYPE}'")));
    }
    let refused = if names::check_registry(&name).is_err() {
        let message =
            "Registry names may contain only alpha numeric characters and must be between 5 and 50 characters";
        Some(("Invalid", message.to_owned()))
    } else if call.snapshot()?.registry_named(&name).is_some() {
        Some(("AlreadyExists", format!("The registry {name} is already in use.")))
    } else {
        None
    };
    let (reason, message) = refused.unzip();
    Answer::ok(&NameAvailability { name_available: reason.is_none(), reason, message })
}

/// The value of a property: the file's, else the store's, else ACR's default. The snapshot may not hold yet what the store
/// does.
pub(super) fn in_force<T: Clone + Default>(setting: &Setting<T>, stored: Option<&T>) -> T {
    if setting.declared.is_some() { setting.value.clone() } else { stored.cloned().unwrap_or_default() }
}

/// The tier that clients are told.
pub(super) fn tier_of(stored: Option<&StoredRegistry>) -> Tier {
    stored.and_then(|stored| Tier::named(stored.sku.as_deref()?)).unwrap_or(Tier::Premium)
}

async fn stored(call: &Call, registry: &Registry) -> Result<(StoredRegistry, Option<Revision>), ApiError> {
    let found = read::<StoredRegistry>(call, &key(registry, Kind::Registry, "")).await?;
    Ok(found.map_or_else(Default::default, |(stored, revision)| (stored, Some(revision))))
}

fn known_tier(name: &str) -> Result<Tier, ApiError> {
    Tier::named(name)
        .ok_or_else(|| ApiError::invalid("sku.name", format!("'{name}' is not Basic, Standard or Premium")))
}

/// Rules are checked by the same functions as those in files.
fn check_rules(call: &Call, registry: &Registry, sent: &RegistryUpdateProperties) -> Result<(), ApiError> {
    if sent.data_endpoint_enabled == Some(true) && registry.declared_data_endpoints().is_empty() {
        let message = format!("the file declares no `dataEndpoints` of this registry, at {}", registry.origin);
        return Err(ApiError::invalid("properties.dataEndpointEnabled", message));
    }
    let Some(rules) = sent.network_rule_set.as_ref().and_then(|set| set.ip_rules.as_ref()) else { return Ok(()) };
    for (position, rule) in rules.iter().enumerate() {
        let target = |part: &str| format!("properties.networkRuleSet.ipRules[{position}].{part}");
        check_rule(&rule.value).map_err(|error| ApiError::invalid(&target("value"), error))?;
        if let Some(name) = rule.name.as_deref().filter(|name| !name.is_empty()) {
            check_rule_name(name).map_err(|error| ApiError::invalid(&target("name"), error))?;
        }
    }
    let declared = registry.properties().ip_rules.declared.is_some();
    if declared { Ok(()) } else { limits::check(call, Countable::IpRules, rules.len() as u64) }
}

fn apply(registry: &Registry, sent: &RegistryUpdateProperties, stored: &mut StoredRegistry) -> Result<(), ApiError> {
    let properties = registry.properties();
    let access = sent.public_network_access.map(|word| word.0);
    let bypass = sent.network_rule_bypass_options.map(|word| word.0);
    let NetworkRuleSetUpdate { default_action, ip_rules, virtual_network_rules } =
        sent.network_rule_set.clone().unwrap_or_default();
    set("adminUserEnabled", &properties.admin_user_enabled, sent.admin_user_enabled, &mut stored.admin_user_enabled)?;
    set(
        "anonymousPullEnabled",
        &properties.anonymous_pull_enabled,
        sent.anonymous_pull_enabled,
        &mut stored.anonymous_pull_enabled,
    )?;
    apply_anonymous_repositories(registry, sent, stored)?;
    set("publicNetworkAccess", &properties.public_network_access, access, &mut stored.public_network_access)?;
    set(
        "networkRuleBypassOptions",
        &properties.network_rule_bypass_options,
        bypass,
        &mut stored.network_rule_bypass_options,
    )?;
    set(
        "networkRuleBypassAllowedForTasks",
        &properties.network_rule_bypass_allowed_for_tasks,
        sent.network_rule_bypass_allowed_for_tasks.map(OnUnlessSet),
        &mut stored.network_rule_bypass_allowed_for_tasks,
    )?;
    trusted::apply(registry, sent, stored)?;
    set(
        "dataEndpointEnabled",
        &properties.data_endpoint_enabled,
        sent.data_endpoint_enabled,
        &mut stored.data_endpoint_enabled,
    )?;
    let protocol = sent.endpoint_protocol.map(|word| word.0);
    set("endpointProtocol", &properties.endpoint_protocol, protocol, &mut stored.endpoint_protocol)?;
    apply_export_policy(registry, sent, stored)?;
    let default_action = default_action.map(|word| word.0);
    set("networkRuleSet.defaultAction", &properties.default_action, default_action, &mut stored.default_action)?;
    let rules = ip_rules.map(|rules| with_names(rules, &rules_in_force(registry, stored)));
    let mut kept: Option<Arc<[StoredIpRule]>> = None;
    set("networkRuleSet.ipRules", &properties.ip_rules, rules.map(Arc::from), &mut kept)?;
    if let Some(rules) = kept {
        stored.ip_rules = Some(rules.to_vec());
    }
    apply_virtual_networks(registry, virtual_network_rules, stored)
}

fn apply_virtual_networks(
    registry: &Registry,
    sent: Option<Vec<VirtualNetworkRule>>,
    stored: &mut StoredRegistry,
) -> Result<(), ApiError> {
    let Some(sent) = sent else { return Ok(()) };
    let rules = virtual_networks::checked(sent, &virtual_networks_in_force(registry, stored))?;
    let mut kept: Option<Arc<[StoredVirtualNetworkRule]>> = None;
    let setting = &registry.properties().virtual_network_rules;
    set("networkRuleSet.virtualNetworkRules", setting, Some(rules.into()), &mut kept)?;
    if let Some(rules) = kept {
        stored.virtual_network_rules = Some(rules.to_vec());
    }
    Ok(())
}

/// Exports can only be forbidden where nobody comes in from public networks anyway (B.4-13), as in ACR.
fn apply_export_policy(
    registry: &Registry,
    sent: &RegistryUpdateProperties,
    stored: &mut StoredRegistry,
) -> Result<(), ApiError> {
    const NAME: &str = "policies.exportPolicy.status";
    let properties = registry.properties();
    let export = sent.policies.as_ref().and_then(|policies| policies.export_policy.as_ref()?.status).map(|word| word.0);
    set(NAME, &properties.export_policy, export, &mut stored.export_policy)?;
    let access = in_force(&properties.public_network_access, stored.public_network_access.as_ref());
    let status = in_force(&properties.export_policy, stored.export_policy.as_ref());
    let is_touched = export.is_some() || sent.public_network_access.is_some();
    if is_touched && status == ExportStatus::Disabled && access == PublicNetworkAccess::Enabled {
        let message = "the export policy can only be disabled while public network access is: set both, with \
                       `--allow-exports false --public-network-enabled false`, or enable both";
        return Err(ApiError::invalid(&format!("properties.{NAME}"), message));
    }
    Ok(())
}

fn apply_anonymous_repositories(
    registry: &Registry,
    sent: &RegistryUpdateProperties,
    stored: &mut StoredRegistry,
) -> Result<(), ApiError> {
    let Some(patterns) = &sent.anonymous_pull_repositories else { return Ok(()) };
    let read = repositories::checked("properties.anonymousPullRepositories", patterns)?;
    let setting = &registry.properties().anonymous_pull_repositories;
    let mut kept = None;
    let texts = repositories::texts(&read);
    set("anonymousPullRepositories", setting, Some(Some(Arc::from(read))), &mut kept)?;
    if kept.is_some() {
        stored.anonymous_pull_repositories = Some(texts);
    }
    Ok(())
}

/// The repositories to which anonymous pull is confined.
fn anonymous_repositories(registry: &Registry, stored: &StoredRegistry) -> Option<Vec<String>> {
    let setting = &registry.properties().anonymous_pull_repositories;
    if setting.declared.is_none() {
        return stored.anonymous_pull_repositories.clone();
    }
    setting.value.as_ref().map(|patterns| repositories::texts(patterns))
}

/// Sets one property, unless a file declares it: then it can only be said again.
pub(super) fn set<T: PartialEq>(
    name: &str,
    setting: &Setting<T>,
    sent: Option<T>,
    stored: &mut Option<T>,
) -> Result<(), ApiError> {
    match (&setting.declared, sent) {
        (_, None) => Ok(()),
        (Some(_), Some(value)) if value == setting.value => Ok(()),
        (Some(origin), Some(_)) => {
            Err(ApiError::declared(&format!("property '{name}'"), origin).at(&format!("properties.{name}")))
        }
        (None, Some(value)) => {
            *stored = Some(value);
            Ok(())
        }
    }
}

/// Clients that do not know names of rules send rules back without them: they keep theirs. An empty name is none.
fn with_names(sent: Vec<IpRule>, known: &[StoredIpRule]) -> Vec<StoredIpRule> {
    let named = |rule: IpRule| {
        let action = rule.action.0;
        let same = known.iter().find(|known| known.value == rule.value && known.action == action);
        let name = rule.name.or_else(|| same?.name.clone()).filter(|name| !name.is_empty());
        StoredIpRule { value: rule.value, action, name }
    };
    sent.into_iter().map(named).collect()
}

fn rules_in_force(registry: &Registry, stored: &StoredRegistry) -> Vec<StoredIpRule> {
    let setting = &registry.properties().ip_rules;
    if setting.declared.is_some() { setting.value.to_vec() } else { stored.ip_rules.clone().unwrap_or_default() }
}

fn virtual_networks_in_force(registry: &Registry, stored: &StoredRegistry) -> Vec<StoredVirtualNetworkRule> {
    let setting = &registry.properties().virtual_network_rules;
    if setting.declared.is_some() {
        setting.value.to_vec()
    } else {
        stored.virtual_network_rules.clone().unwrap_or_default()
    }
}

fn summary(settings: &Settings, registry: &Registry, stored: &StoredRegistry) -> SummaryResource {
    let tier = tier_of(Some(stored)).name();
    SummaryResource {
        id: Ids { settings, registry: &registry.name }.registry(),
        name: registry.name.to_string(),
        kind: TYPE,
        location: "local",
        tags: stored.tags.clone(),
        sku: Sku { name: tier.to_owned(), tier: tier.to_owned() },
    }
}

async fn resource(call: &Call, registry: &Registry, stored: &StoredRegistry) -> Result<RegistryResource, ApiError> {
    let set = registry.properties();
    let has_data_endpoints = in_force(&set.data_endpoint_enabled, stored.data_endpoint_enabled.as_ref());
    let data_endpoints = if has_data_endpoints { registry.declared_data_endpoints() } else { &[] };
    let rule = |rule: StoredIpRule| IpRule { action: Word(rule.action), value: rule.value, name: rule.name };
    let properties = RegistryProperties {
        login_server: registry.login_server.to_string(),
        provisioning_state: SUCCEEDED,
        admin_user_enabled: in_force(&set.admin_user_enabled, stored.admin_user_enabled.as_ref()),
        anonymous_pull_enabled: in_force(&set.anonymous_pull_enabled, stored.anonymous_pull_enabled.as_ref()),
        anonymous_pull_repositories: anonymous_repositories(registry, stored),
        public_network_access: Word(in_force(&set.public_network_access, stored.public_network_access.as_ref())),
        network_rule_bypass_options: Word(in_force(
            &set.network_rule_bypass_options,
            stored.network_rule_bypass_options.as_ref(),
        )),
        network_rule_bypass_allowed_for_tasks: in_force(
            &set.network_rule_bypass_allowed_for_tasks,
            stored.network_rule_bypass_allowed_for_tasks.as_ref(),
        )
        .0,
        trusted_services: trusted::shown(registry, stored),
        network_rule_set: NetworkRuleSet {
            default_action: Word(in_force(&set.default_action, stored.default_action.as_ref())),
            ip_rules: rules_in_force(registry, stored).into_iter().map(rule).collect(),
            virtual_network_rules: virtual_networks_in_force(registry, stored)
                .into_iter()
                .map(virtual_networks::shown)
                .collect(),
        },
        data_endpoint_enabled: has_data_endpoints,
        data_endpoint_host_names: data_endpoints.iter().map(|one| one.host.to_string()).collect(),
        data_endpoints: data_endpoints.iter().map(shown).collect(),
        private_endpoint_connections: endpoint_connections::all(call, registry).await?.into_values().collect(),
        endpoint_protocol: Word(in_force(&set.endpoint_protocol, stored.endpoint_protocol.as_ref())),
        fixed: fixed::shown(in_force(&set.export_policy, stored.export_policy.as_ref())),
        declared_in: registry.origin.to_string(),
        declared_properties: declared_properties(registry),
    };
    Ok(RegistryResource { summary: summary(&call.parts.settings, registry, stored), properties })
}

fn shown(endpoint: &DataEndpoint) -> DataEndpointProperties {
    DataEndpointProperties { region: endpoint.region.to_string(), endpoint: endpoint.host.to_string() }
}

fn declared_properties(registry: &Registry) -> BTreeMap<&'static str, String> {
    let set = registry.properties();
    [
        ("adminUserEnabled", &set.admin_user_enabled.declared),
        ("anonymousPullEnabled", &set.anonymous_pull_enabled.declared),
        ("anonymousPullRepositories", &set.anonymous_pull_repositories.declared),
        ("publicNetworkAccess", &set.public_network_access.declared),
        ("networkRuleBypassOptions", &set.network_rule_bypass_options.declared),
        ("networkRuleBypassAllowedForTasks", &set.network_rule_bypass_allowed_for_tasks.declared),
        ("trustedServices", &set.trusted_services.declared),
        ("networkRuleSet.defaultAction", &set.default_action.declared),
        ("networkRuleSet.ipRules", &set.ip_rules.declared),
        ("networkRuleSet.virtualNetworkRules", &set.virtual_network_rules.declared),
        ("dataEndpointEnabled", &set.data_endpoint_enabled.declared),
        ("endpointProtocol", &set.endpoint_protocol.declared),
        ("policies.exportPolicy.status", &set.export_policy.declared),
    ]
    .into_iter()
    .filter_map(|(name, declared)| Some((name, declared.as_ref()?.to_string())))
    .collect()
}

/// `$filter` of a list of resources: `resourceType eq '…'`, `name eq '…'`, joined by `and`.
#[derive(Debug, Default)]
struct Filter<'a>(Vec<(Field, &'a str)>);

#[derive(Debug, Clone, Copy)]
enum Field {
    Kind,
    Name,
    Group,
}

impl<'a> Filter<'a> {
    fn parse(text: &'a str) -> Result<Self, ApiError> {
        let conditions = text.split(" and ").map(str::trim).filter(|condition| !condition.is_empty());
        conditions
            .map(|condition| Self::condition(condition).ok_or_else(|| refused(condition)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn condition(text: &'a str) -> Option<(Field, &'a str)> {
        let (field, value) = text.split_once(" eq ")?;
        let field = match field.trim().to_ascii_lowercase().as_str() {
            "resourcetype" => Field::Kind,
            "name" => Field::Name,
            "resourcegroup" => Field::Group,
            _ => return None,
        };
        Some((field, value.trim().strip_prefix('\'')?.strip_suffix('\'')?))
    }

    fn admits(&self, registry: &Registry) -> bool {
        self.0.iter().all(|(field, value)| match field {
            Field::Kind => value.eq_ignore_ascii_case(TYPE),
            Field::Name => value.eq_ignore_ascii_case(&registry.name),
            // Requests may use any group.
            Field::Group => true,
        })
    }
}

fn refused(condition: &str) -> ApiError {
    let message =
        format!("the condition `{condition}` is not understood; write `resourceType eq '{TYPE}'` or `name eq '…'`");
    ApiError::new(StatusCode::BAD_REQUEST, "InvalidFilterInQueryString", message)
}
