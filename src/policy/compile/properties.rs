//! The properties that a file may declare and the API may set where it does not.

use std::sync::Arc;

use crate::policy::document::{
    ExportStatus, IpRuleDocument, PublicNetworkAccess, RegistryDocument, ShadowRuleSetDocument,
};
use crate::policy::network::{IpRules, Shadow, VirtualNetworks};
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::policy::properties::{DeclaredProperties, OnUnlessSet, Repositories};
use crate::policy::stored::StoredIpRule;
use crate::policy::trusted::TrustedServices;

use super::patterns;

pub(super) fn declared(
    document: &RegistryDocument,
    trusted: Option<&TrustedServices>,
    virtual_networks: Option<&At<Arc<VirtualNetworks>>>,
    problems: &mut Problems,
) -> DeclaredProperties {
    let export_policy = document.export_policy.as_ref().map(|policy| policy.status.clone());
    let closed = document.public_network_access.as_ref().is_some_and(|one| one.value == PublicNetworkAccess::Disabled);
    if let Some(status) = export_policy.as_ref().filter(|status| status.value == ExportStatus::Disabled && !closed) {
        let what = "`exportPolicy` can only be disabled where public network access is";
        problems.push(Problem::new(&status.origin, what).hint("write `publicNetworkAccess: Disabled` beside it"));
    }
    let rules = document.network_rule_set.ip_rules.as_ref();
    let for_tasks = document.network_rule_bypass_allowed_for_tasks.as_ref();
    let trusted = document.trusted_services.as_ref().zip(trusted);
    DeclaredProperties {
        admin_user_enabled: document.admin_user_enabled.clone(),
        anonymous_pull_enabled: document.anonymous_pull_enabled.clone(),
        anonymous_pull_repositories: anonymous_pull_repositories(document, problems),
        public_network_access: document.public_network_access.clone(),
        default_action: document.network_rule_set.default_action.clone(),
        ip_rules: rules.map(|rules| At::new(rules.iter().map(written).collect(), rules.origin.clone())),
        virtual_network_rules: virtual_networks.map(|at| {
            let rules = at.value.rules().iter().map(|rule| rule.stored());
            At::new(rules.collect(), at.origin.clone())
        }),
        network_rule_bypass_options: document.network_rule_bypass_options.clone(),
        network_rule_bypass_allowed_for_tasks: for_tasks.map(|on| At::new(OnUnlessSet(on.value), on.origin.clone())),
        trusted_services: trusted.map(|(written, trusted)| At::new(trusted.written(), written.origin.clone())),
        data_endpoint_enabled: document.data_endpoint_enabled.clone(),
        endpoint_protocol: document.endpoint_protocol.clone(),
        export_policy,
    }
}

fn anonymous_pull_repositories(
    document: &RegistryDocument,
    problems: &mut Problems,
) -> Option<At<Option<Repositories>>> {
    let written = document.anonymous_pull_repositories.as_ref()?;
    if written.is_empty() {
        let problem = Problem::new(&written.origin, "nobody could pull from any repository");
        problems.push(problem.hint("set `anonymousPullEnabled` to false for that"));
    }
    patterns(written, problems).map(|patterns| At::new(Some(patterns), written.origin.clone()))
}

/// The rules where the file has any list of them, compiled.
pub(super) fn ip_rules(document: &RegistryDocument, problems: &mut Problems) -> Option<Arc<IpRules>> {
    let rules = document.network_rule_set.ip_rules.as_ref()?;
    IpRules::compile(rules, problems).map(Arc::new)
}

/// The rules that are tried.
pub(super) fn shadow(document: &RegistryDocument, problems: &mut Problems) -> Option<Shadow> {
    let At { value: written, origin } = document.network_rule_set.shadow.as_ref()?;
    let ShadowRuleSetDocument { public_network_access: public, default_action: default, ip_rules } = written;
    if public.is_none() && default.is_none() && ip_rules.is_none() {
        let hint = "write `publicNetworkAccess`, `defaultAction` or `ipRules` as they might become";
        problems.push(Problem::warning(origin, "`shadow` tries nothing").hint(hint));
    }
    let ip_rules = ip_rules.as_ref().and_then(|rules| IpRules::compile(rules, problems)).map(Arc::new);
    Some(Shadow { public: *public, default: *default, ip_rules, origin: origin.clone() })
}

fn written(rule: &IpRuleDocument) -> StoredIpRule {
    StoredIpRule {
        value: rule.value.value.clone(),
        action: rule.action,
        name: rule.name.as_ref().map(|name| name.value.clone()),
    }
}
