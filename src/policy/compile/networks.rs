//! Private endpoint connections and virtual network rules: what each matches, and that no two match the same.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::policy::document::{
    EndpointMatchDocument, NetworkRuleBypassOptions, PrivateEndpointConnectionDocument, RegistryDocument,
    VirtualNetworkMatchDocument, VirtualNetworkRuleDocument,
};
use crate::policy::names;
use crate::policy::network::{
    EndpointMark, EndpointMatch, MOST_VIRTUAL_NETWORKS, PrivateEndpointConnection, PrivateEndpoints, SUBNET_HINT,
    VirtualNetworkMatch, VirtualNetworkRule, VirtualNetworks, is_subnet, parse_network,
};
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};

use super::check_name;

/// ACR's limit (requirements B.9).
const MOST_ENDPOINTS: usize = 200;

/// The private endpoints of a registry.
pub(super) fn endpoints(document: &RegistryDocument, problems: &mut Problems) -> Arc<PrivateEndpoints> {
    let written = &document.private_endpoint_connections;
    at_most(MOST_ENDPOINTS, "private endpoint connections", written, problems);
    let mut seen = Seen::default();
    let connections: Vec<_> = written.iter().filter_map(|one| connection(one, &mut seen, problems)).collect();
    Arc::new(PrivateEndpoints::new(connections))
}

/// The virtual networks of a registry, where its file has any list of them.
pub(super) fn virtual_networks(
    document: &RegistryDocument,
    problems: &mut Problems,
) -> Option<At<Arc<VirtualNetworks>>> {
    let At { value: written, origin } = document.network_rule_set.virtual_network_rules.as_ref()?;
    at_most(MOST_VIRTUAL_NETWORKS, "virtual network rules", written, problems);
    if let (Some(rule), Some(endpoint)) = (written.first(), document.private_endpoint_connections.first()) {
        let what = "a registry in ACR has either virtual network rules or private endpoints, and this one has both";
        let hint = format!("both work here; the endpoints are at {}", endpoint.origin);
        problems.push(Problem::warning(&rule.origin, what).hint(hint));
    }
    if let Some(rule) = written.first() {
        idle_trusted_services(document, &rule.origin, problems);
    }
    let mut seen = Seen::default();
    let rules: Vec<_> = written.iter().filter_map(|one| virtual_network(one, &mut seen, problems)).collect();
    Some(At::new(Arc::new(VirtualNetworks::new(rules)), origin.clone()))
}

/// With virtual network rules nobody passes as a trusted service (S2-6). Whoever has switched the bypass off knows.
fn idle_trusted_services(document: &RegistryDocument, rules: &Origin, problems: &mut Problems) {
    let bypass = document.network_rule_bypass_options.as_ref().map(|options| options.value).unwrap_or_default();
    let trusted = document.trusted_services.as_ref().and_then(|list| list.first());
    if let Some(trusted) = trusted.filter(|_| bypass == NetworkRuleBypassOptions::AzureServices) {
        let what = "no trusted service passes the rules of a registry that has virtual network rules";
        let hint = format!("the first of them is at {rules}; write IP rules, or remove the trusted services");
        problems.push(Problem::warning(&trusted.origin, what).hint(hint));
    }
}

fn connection(
    written: &At<PrivateEndpointConnectionDocument>,
    seen: &mut Seen<EndpointMatch>,
    problems: &mut Problems,
) -> Option<PrivateEndpointConnection> {
    let PrivateEndpointConnectionDocument { name, matches, status, description } = &written.value;
    let checked = seen.name(name, names::ENDPOINT_CONNECTION, problems);
    if let Some(text) = description.as_ref().filter(|text| text.contains(char::is_control)) {
        problems.push(Problem::new(&text.origin, "a description is one line without control characters"));
    }
    let matched = endpoint_match(matches, problems)?;
    seen.matches(&matched, &matches.origin, problems);
    Some(PrivateEndpointConnection {
        name: checked?,
        matches: matched,
        status: *status,
        description: description.as_ref().map(|text| text.value.clone()).unwrap_or_default(),
        origin: written.origin.clone(),
    })
}

fn virtual_network(
    written: &At<VirtualNetworkRuleDocument>,
    seen: &mut Seen<VirtualNetworkMatch>,
    problems: &mut Problems,
) -> Option<VirtualNetworkRule> {
    let VirtualNetworkRuleDocument { name, id, action: _, matches } = &written.value;
    let checked = seen.name(name, names::VIRTUAL_NETWORK_RULE, problems);
    let id = id.as_ref().and_then(|id| subnet(id, problems));
    let matched = virtual_network_match(matches, problems)?;
    seen.matches(&matched, &matches.origin, problems);
    Some(VirtualNetworkRule { name: checked?, id, matches: matched, origin: written.origin.clone() })
}

fn endpoint_match(written: &At<EndpointMatchDocument>, problems: &mut Problems) -> Option<EndpointMatch> {
    let EndpointMatchDocument { vpc_endpoint_id, link_id, psc_connection_id, listener, source_network } =
        &written.value;
    let number = [
        link_id.as_ref().map(|id| EndpointMark::LinkId(id.value)),
        psc_connection_id.as_ref().map(|id| EndpointMark::PscConnectionId(id.value)),
        listener.as_ref().map(|name| EndpointMark::Listener(name.as_str().into())),
    ];
    let vpc = vpc_endpoint_id.as_ref().map(|id| {
        let refuse = || Problem::new(&id.origin, format!("`{}` is not the id of a VPC endpoint", names::shortened(id)));
        EndpointMark::vpc_endpoint(id)
            .map(EndpointMatch::Mark)
            .ok_or_else(|| refuse().hint("such as vpce-0abc123def4567890"))
    });
    let network = source_network.as_ref().map(|text| network(text).map(EndpointMatch::SourceNetwork));
    let marks = number.into_iter().flatten().map(EndpointMatch::Mark).map(Ok);
    let all = marks.chain(vpc).chain(network).collect();
    exactly_one(
        all,
        "`vpcEndpointId`, `linkId`, `pscConnectionId`, `listener` and `sourceNetwork`",
        &written.origin,
        problems,
    )
}

fn virtual_network_match(
    written: &At<VirtualNetworkMatchDocument>,
    problems: &mut Problems,
) -> Option<VirtualNetworkMatch> {
    let VirtualNetworkMatchDocument { source_network, listener } = &written.value;
    let network = source_network.as_ref().map(|text| network(text).map(VirtualNetworkMatch::SourceNetwork));
    let listener = listener.as_ref().map(|name| Ok(VirtualNetworkMatch::Listener(name.as_str().into())));
    let all = network.into_iter().chain(listener).collect();
    exactly_one(all, "`sourceNetwork` and `listener`", &written.origin, problems)
}

/// The one that is written. What cannot be read is told before it is counted.
fn exactly_one<T>(mut all: Vec<Result<T, Problem>>, keys: &str, origin: &Origin, problems: &mut Problems) -> Option<T> {
    if all.len() != 1 {
        problems.push(Problem::new(origin, "a match says exactly one thing").hint(format!("write one of {keys}")));
    }
    let only = (all.len() == 1).then(|| all.pop()).flatten();
    only.and_then(|one| one.map_err(|problem| problems.push(problem)).ok())
}

fn network(text: &At<String>) -> Result<IpNet, Problem> {
    parse_network(text).map_err(|invalid| Problem::new(&text.origin, invalid.to_string()).hint(invalid.hint()))
}

/// ARM's id of a subnet, in ARM's spelling or any other case.
fn subnet(id: &At<String>, problems: &mut Problems) -> Option<String> {
    if is_subnet(id) {
        return Some(id.value.clone());
    }
    problems.push(Problem::new(&id.origin, "not the id of a subnet").hint(SUBNET_HINT));
    None
}

fn at_most<T>(most: usize, what: &str, written: &[At<T>], problems: &mut Problems) {
    if let Some(beyond) = written.get(most) {
        problems.push(Problem::new(&beyond.origin, format!("a registry has at most {most} {what}")));
    }
}

/// What was written before: names differ, in case too, and matches do.
struct Seen<M> {
    names: HashMap<String, Origin>,
    matches: HashMap<M, Origin>,
}

impl<M> Default for Seen<M> {
    fn default() -> Self {
        Self { names: HashMap::new(), matches: HashMap::new() }
    }
}

impl<M: Clone + Eq + std::hash::Hash + std::fmt::Display> Seen<M> {
    fn name(&mut self, name: &At<String>, form: names::Form, problems: &mut Problems) -> Option<Arc<str>> {
        if let Some(first) = self.names.get(&name.to_ascii_lowercase()) {
            let what = format!("two are named `{}`", names::shortened(name));
            problems
                .push(Problem::new(&name.origin, what).hint(format!("the other is at {first}; case does not count")));
        }
        self.names.entry(name.to_ascii_lowercase()).or_insert_with(|| name.origin.clone());
        check_name(name, form, problems)
    }

    fn matches(&mut self, matches: &M, origin: &Origin, problems: &mut Problems) {
        if let Some(first) = self.matches.get(matches) {
            let what = format!("two match {matches}");
            problems.push(Problem::new(origin, what).hint(format!("the other is at {first}")));
        }
        self.matches.entry(matches.clone()).or_insert_with(|| origin.clone());
    }
}
