//! What in a document works and is probably not meant: rules that change nothing, and passwords that never end.
//!
//! Only `seawall check` asks. Whatever is wrong for certain is a problem of [`compile`](super::compile) instead.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::action::{Action, ActionSet};
use super::conditions::{PRIVATE_ENDPOINT, VIRTUAL_NETWORK};
use super::document::{
    IpRuleDocument, NetworkAction, NetworkConditionDocument, PolicyDocument, PublicNetworkAccess, RegistryDocument,
    ScopeMapDocument,
};
use super::locks;
use super::nearest::nearest;
use super::network::parse_network;
use super::origin::At;
use super::pattern::RepositoryPattern;
use super::problem::{Problem, Problems};

/// Everything that is noticed about this policy, as warnings.
pub fn lint(policy: &PolicyDocument) -> Problems {
    let mut problems = Problems::new();
    for document in policy.registries.values() {
        network(document, &mut problems);
        document.scope_maps.values().for_each(|map| scope_map(map, &mut problems));
        lasting_passwords(document, &mut problems);
        locks::lint(&document.locks, &mut problems);
        unknown_networks(conditions(document), &Known::of([document]), &mut problems);
    }
    // They count at every registry, so one that has what they name is enough.
    let identities = policy.identities.values().map(|one| &one.networks);
    let everywhere = identities.chain(policy.role_assignments.iter().map(|one| &one.networks));
    unknown_networks(everywhere.flatten(), &Known::of(policy.registries.values()), &mut problems);
    problems
}

/// One rule that counts for its network, and how much of the network the rules inside it take away.
struct Counted<'a> {
    rule: &'a IpRuleDocument,
    /// Addresses, left-aligned to 128 bits; `None` when it is all that there are.
    covered: Option<u128>,
}

fn network(document: &RegistryDocument, problems: &mut Problems) {
    let set = &document.network_rule_set;
    let Some(written) = set.ip_rules.as_ref().map(|rules| &rules.value).filter(|rules| !rules.is_empty()) else {
        return;
    };
    let disabled =
        document.public_network_access.as_ref().filter(|access| access.value == PublicNetworkAccess::Disabled);
    if let (Some(access), Some(first)) = (disabled, written.first()) {
        let hint = format!("`publicNetworkAccess` is Disabled at {}: no public address is admitted", access.origin);
        warn(&first.value, "the ip rules never match".to_owned(), hint, problems);
        return;
    }
    let mut rules: BTreeMap<IpNet, Counted<'_>> = BTreeMap::new();
    for rule in written {
        let Ok(network) = parse_network(&rule.value) else { continue };
        let Some(first) = rules.get_mut(&network) else {
            rules.insert(network, Counted { rule, covered: Some(0) });
            continue;
        };
        let denies = |rule: &IpRuleDocument| rule.action == NetworkAction::Deny;
        // Deny wins; of two alike the first counts.
        let idle = if denies(rule) && !denies(first.rule) { std::mem::replace(&mut first.rule, rule) } else { rule };
        let what = format!("another rule is for the same addresses, so `{}` has no effect", idle.value.value);
        warn(&idle.value, what, format!("the one that counts is at {}", first.rule.value.origin), problems);
    }
    let default = set.default_action.as_ref().map_or(NetworkAction::Allow, |action| action.value);
    let around: Vec<_> = rules.keys().map(|network| (*network, enclosing(*network, &rules))).collect();
    for (network, outer) in &around {
        let Some(counted) = outer.and_then(|outer| rules.get_mut(&outer)) else { continue };
        counted.covered = counted.covered.and_then(|sum| sum.checked_add(size(*network)?));
    }
    for (network, outer) in around {
        let Some(Counted { rule, covered }) = rules.get(&network) else { continue };
        let written = &rule.value.value;
        if *covered == size(network) {
            let hint = "the rules inside it hold all of its addresses; remove it, or them".to_owned();
            warn(&rule.value, format!("`{written}` never matches"), hint, problems);
            continue;
        }
        let same = |effect| if effect == NetworkAction::Allow { "allows" } else { "denies" };
        match outer.and_then(|outer| rules.get(&outer)) {
            Some(outer) if outer.rule.action == rule.action => {
                let hint = format!(
                    "`{}` at {} {} them, too",
                    outer.rule.value.value,
                    outer.rule.value.origin,
                    same(rule.action)
                );
                warn(&rule.value, format!("`{written}` changes nothing"), hint, problems);
            }
            None if default == rule.action => {
                let hint = format!("`defaultAction` {} every address that no rule holds", same(default));
                warn(&rule.value, format!("`{written}` changes nothing"), hint, problems);
            }
            Some(_) | None => {}
        }
    }
}

/// The smallest network around this one for which there is a rule.
fn enclosing(network: IpNet, rules: &BTreeMap<IpNet, Counted<'_>>) -> Option<IpNet> {
    std::iter::successors(network.supernet(), IpNet::supernet).find(|outer| rules.contains_key(outer))
}

/// How many addresses it has, in parts of its family; `None` for all.
fn size(network: IpNet) -> Option<u128> {
    1_u128.checked_shl(128 - u32::from(network.prefix_len()))
}

/// A pattern of which another one of the map says the same and more.
fn scope_map(document: &ScopeMapDocument, problems: &mut Problems) {
    let rule = |(pattern, actions): (&'_ At<String>, &'_ Vec<At<String>>)| {
        let actions: ActionSet = actions.iter().filter_map(|action| Action::parse(action)).collect();
        Some((RepositoryPattern::parse(pattern).ok()?, actions))
    };
    let rules: Vec<_> =
        document.repositories.iter().map(|(pattern, actions)| (pattern, rule((pattern, actions)))).collect();
    for (written, inner) in &rules {
        let Some((pattern, actions)) = inner else { continue };
        let contains = |(_, outer): &&(_, Option<(RepositoryPattern, ActionSet)>)| {
            outer.as_ref().is_some_and(|(wider, more)| wider.contains(pattern) && more.is_superset(*actions))
        };
        if let Some((outer, _)) = rules.iter().find(contains) {
            let hint = format!("`{}` at {} gives the same, and covers it", outer.value, outer.origin);
            warn(written, format!("`{}` adds nothing", written.value), hint, problems);
        }
    }
}

/// A token none of whose passwords ends. Hashes are of passwords that people chose, or come from another registry's files:
/// nobody made them to be renewed.
fn lasting_passwords(document: &RegistryDocument, problems: &mut Problems) {
    for (name, token) in &document.tokens {
        let mut passwords = token.passwords.iter().chain(&token.additional_passwords).peekable();
        if passwords.peek().is_some() && passwords.all(|password| password.expiry.is_none() && password.hash.is_none())
        {
            let what = format!("no password of token `{}` ever expires", name.value);
            warn(name, what, "give each an `expiry`, such as 2027-06-30T00:00:00Z".to_owned(), problems);
        }
    }
}

/// The network conditions of one registry.
fn conditions(document: &RegistryDocument) -> impl Iterator<Item = &NetworkConditionDocument> {
    let of_tokens = document.tokens.values().map(|token| &token.networks);
    let of_maps = document.scope_maps.values().map(|map| &map.networks);
    let of_assignments = document.role_assignments.iter().map(|one| &one.networks);
    of_tokens.chain(of_maps).chain(of_assignments).flatten()
}

/// The names that conditions can have.
#[derive(Default)]
struct Known<'a> {
    endpoints: Vec<&'a str>,
    rules: Vec<&'a str>,
}

impl<'a> Known<'a> {
    fn of(registries: impl IntoIterator<Item = &'a RegistryDocument>) -> Self {
        let mut known = Self::default();
        for document in registries {
            known.endpoints.extend(document.private_endpoint_connections.iter().map(|one| one.name.as_str()));
            let rules = document.network_rule_set.virtual_network_rules.iter().flat_map(|list| &list.value);
            known.rules.extend(rules.map(|one| one.name.as_str()));
        }
        known
    }
}

/// Entries of network conditions that hold nobody, unless the API makes what they name: a `deny` may be meant in earnest.
fn unknown_networks<'a>(
    conditions: impl Iterator<Item = &'a NetworkConditionDocument>,
    known: &Known<'_>,
    problems: &mut Problems,
) {
    let lists = conditions.flat_map(|one| [&one.allow, &one.deny]);
    for entry in lists.flatten().flat_map(|list| &list.value) {
        for (prefix, known) in [(PRIVATE_ENDPOINT, &known.endpoints), (VIRTUAL_NETWORK, &known.rules)] {
            let Some(name) = entry.strip_prefix(prefix).filter(|name| !known.contains(name)) else { continue };
            let hint = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{prefix}{meant}`?"),
                None => "it counts as soon as the API makes one of this name".to_owned(),
            };
            warn(entry, format!("this file has no {prefix}`{name}`: nobody comes from there"), hint, problems);
        }
    }
}

fn warn(at: &At<String>, what: String, hint: String, problems: &mut Problems) {
    problems.push(Problem::warning(&at.origin, what).hint(hint));
}
