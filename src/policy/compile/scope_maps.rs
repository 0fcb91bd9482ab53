//! Scope maps of a registry: the declared ones and the system-defined ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::action::{Action, ActionSet};
use crate::policy::document::{RegistryDocument, ScopeMapDocument};
use crate::policy::nearest::nearest;
use crate::policy::origin::At;
use crate::policy::pattern::RepositoryPattern;
use crate::policy::problem::{Problem, Problems};
use crate::policy::scope_map::{ScopeMap, ScopeRule, system_defined};

use super::check_name;

/// A registry's scope maps by name.
pub(super) type ByName = BTreeMap<Arc<str>, Arc<ScopeMap>>;

pub(super) fn compile(document: &RegistryDocument, problems: &mut Problems) -> ByName {
    let system = system_defined(document.newer_system_scope_maps).into_iter();
    let declared: Vec<_> = document.scope_maps.iter().map(|(name, body)| scope_map(name, body, problems)).collect();
    system.chain(declared).map(|map| (Arc::clone(&map.name), Arc::new(map))).collect()
}

/// A map with problems is compiled as far as it goes, so that tokens that refer to it are not reported as well.
fn scope_map(name: &At<String>, document: &ScopeMapDocument, problems: &mut Problems) -> ScopeMap {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    check_name(name, "scope map", (5, 50), allowed, "letters, digits, `-` and `_`", problems);
    if name.starts_with("_repositories_") {
        let what = format!("`{}`: names that begin with `_repositories_` are reserved", name.value);
        problems.push(
            Problem::new(&name.origin, what)
                .hint("choose another name: the system-defined scope maps need no declaration"),
        );
    }
    if let Some(text) = document.description.as_ref().filter(|text| text.chars().count() > 256) {
        problems.push(Problem::new(&text.origin, "the description is too long").hint("at most 256 characters"));
    }
    let mut rules: Vec<ScopeRule> = Vec::new();
    for (pattern, actions) in &document.repositories {
        rules.extend(rule(pattern, actions, &rules, problems));
    }
    let description = document.description.as_ref().map_or("", |text| text.as_str());
    ScopeMap::new(name, description, name.origin.clone(), rules)
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
