//! Scope maps of a registry: the declared ones and the system-defined ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::action::{Action, ActionSet};
use crate::policy::conditions::NetworkCondition;
use crate::policy::document::{RegistryDocument, ScopeMapDocument, TokenDocument};
use crate::policy::names;
use crate::policy::nearest::nearest;
use crate::policy::origin::At;
use crate::policy::pattern::RepositoryPattern;
use crate::policy::problem::{Problem, Problems};
use crate::policy::scope_map::{ScopeMap, ScopeRule, system_defined};

use super::{check_name, missing};

/// A registry's scope maps by name.
pub(super) type ByName = BTreeMap<Arc<str>, Arc<ScopeMap>>;

pub(super) fn compile(document: &RegistryDocument, problems: &mut Problems) -> ByName {
    let system = system_defined(document.newer_system_scope_maps).into_iter();
    let declared: Vec<_> = document.scope_maps.iter().map(|(name, body)| scope_map(name, body, problems)).collect();
    system.chain(declared).map(|map| (Arc::clone(&map.name), Arc::new(map))).collect()
}

/// A map with problems is compiled as far as it goes, so that tokens that refer to it are not reported as well.
fn scope_map(name: &At<String>, document: &ScopeMapDocument, problems: &mut Problems) -> ScopeMap {
    check_name(name, names::SCOPE_MAP, problems);
    if names::is_reserved(name) {
        let hint = "choose another name: the system-defined scope maps need no declaration";
        problems.push(Problem::new(&name.origin, names::reserved(name)).hint(hint));
    }
    if let Some(text) = document.description.as_ref().filter(|text| text.chars().count() > 256) {
        problems.push(Problem::new(&text.origin, "the description is too long").hint("at most 256 characters"));
    }
    let mut rules: Vec<ScopeRule> = Vec::new();
    for (pattern, actions) in &document.repositories {
        rules.extend(rule(pattern, actions, &rules, problems));
    }
    let description = document.description.as_ref().map_or("", |text| text.as_str());
    let networks = NetworkCondition::compile(document.networks.as_ref(), problems);
    ScopeMap::new(name, description, name.origin.clone(), rules).within(networks)
}

/// The names of the scope maps that a token refers to, if there is one of each.
pub(super) fn of_token(document: &TokenDocument, known: &ByName, problems: &mut Problems) -> Option<Box<[Arc<str>]>> {
    let mut found: Vec<Arc<str>> = Vec::new();
    let mut missing = false;
    for wanted in std::iter::once(&document.scope_map).chain(&document.additional_scope_maps) {
        match find(wanted, known, problems) {
            None => missing = true,
            Some(name) if found.contains(&name) => {
                let what = format!("the token has scope map `{name}` already");
                problems.push(Problem::new(&wanted.origin, what).hint("remove one of them"));
            }
            Some(name) => found.push(name),
        }
    }
    (!missing).then(|| found.into())
}

pub(super) fn find(wanted: &At<String>, known: &ByName, problems: &mut Problems) -> Option<Arc<str>> {
    let found = known.get_key_value(wanted.as_str());
    if found.is_none() {
        let hint = "declare it under `scopeMaps`, or use a system-defined one such as `_repositories_pull`";
        problems.push(missing("scope map", wanted, known.keys().map(AsRef::as_ref), hint));
    }
    found.map(|(name, _)| Arc::clone(name))
}

fn rule(
    pattern: &At<String>,
    actions: &[At<String>],
    before: &[ScopeRule],
    problems: &mut Problems,
) -> Option<ScopeRule> {
    if actions.is_empty() {
        let what = format!("at least one action must be specified with `{}`", pattern.value);
        problems.push(Problem::new(&pattern.origin, what).hint(format!("valid actions are {}", valid_actions())));
    }
    let actions: ActionSet = actions.iter().filter_map(|text| action(text, problems)).collect();
    let parsed = RepositoryPattern::parse(pattern)
        .map_err(|error| problems.push(Problem::new(&pattern.origin, format!("`{}`: {error}", pattern.value))))
        .ok()?;
    if let Some(first) = before.iter().find(|rule| rule.pattern == parsed) {
        let what = format!("`{}` is declared twice in this scope map", pattern.value);
        problems.push(Problem::new(&pattern.origin, what).hint(format!("the other is at {}", first.origin)));
    }
    Some(ScopeRule { pattern: parsed, actions, origin: pattern.origin.clone() })
}

fn action(text: &At<String>, problems: &mut Problems) -> Option<Action> {
    let parsed = Action::parse(text);
    if parsed.is_none() {
        let hint = match nearest(text, Action::ALL.into_iter().map(Action::name)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("valid actions are {}", valid_actions()),
        };
        problems.push(Problem::new(&text.origin, format!("invalid action `{}`", text.value)).hint(hint));
    }
    parsed
}

fn valid_actions() -> String {
    Action::ALL.map(|action| format!("`{}`", action.name())).join(", ")
}
