//! The properties that a file may declare and the API may set where it does not.

use std::sync::Arc;

use crate::policy::document::{IpRuleDocument, RegistryDocument};
use crate::policy::network::IpRules;
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::policy::properties::{DeclaredProperties, Repositories};
use crate::policy::stored::StoredIpRule;

use super::patterns;

pub(super) fn declared(document: &RegistryDocument, problems: &mut Problems) -> DeclaredProperties {
    let rules = document.network_rule_set.ip_rules.as_ref();
    DeclaredProperties {
        admin_user_enabled: document.admin_user_enabled.clone(),
        anonymous_pull_enabled: document.anonymous_pull_enabled.clone(),
        anonymous_pull_repositories: anonymous_pull_repositories(document, problems),
        public_network_access: document.public_network_access.clone(),
        default_action: document.network_rule_set.default_action.clone(),
        ip_rules: rules.map(|rules| At::new(rules.iter().map(written).collect(), rules.origin.clone())),
        network_rule_bypass_options: document.network_rule_bypass_options.clone(),
        data_endpoint_enabled: document.data_endpoint_enabled.clone(),
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

fn written(rule: &IpRuleDocument) -> StoredIpRule {
    StoredIpRule {
        value: rule.value.value.clone(),
        action: rule.action,
        name: rule.name.as_ref().map(|name| name.value.clone()),
    }
}
