//! Scope maps: named sets of repository permissions that tokens share (S3-18 … S3-22).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::action::{Action, ActionSet};
use super::conditions::NetworkCondition;
use super::origin::Origin;
use super::pattern::RepositoryPattern;
use super::scope_action::ScopeAction;
use crate::oci::RepositoryName;

/// One line of a scope map.
#[derive(Debug, Clone)]
pub struct ScopeRule {
    pub pattern: RepositoryPattern,
    pub actions: ActionSet,
    pub origin: Origin,
}

/// A compiled scope map.
#[derive(Debug, Clone)]
pub struct ScopeMap {
    pub name: Arc<str>,
    pub description: Box<str>,
    pub system_defined: bool,
    /// From where it gives anything.
    pub networks: Option<Arc<NetworkCondition>>,
    pub origin: Origin,
    rules: RuleIndex,
}

impl ScopeMap {
    /// A scope map of these rules.
    pub fn new(name: &str, description: &str, origin: Origin, rules: Vec<ScopeRule>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            system_defined: false,
            networks: None,
            origin,
            rules: RuleIndex::new(rules),
        }
    }

    /// The same, where it gives something only from there.
    #[must_use]
    pub fn within(self, networks: Option<Arc<NetworkCondition>>) -> Self {
        Self { networks, ..self }
    }

    /// The union of every rule that covers `repository` (S3-42).
    pub fn actions(&self, repository: &RepositoryName) -> ActionSet {
        self.rules.matching(repository).fold(ActionSet::EMPTY, |set, rule| set.union(rule.actions))
    }

    /// The rule that gives one of `wanted` on `repository`, for the audit log.
    pub fn deciding_rule<'a>(&'a self, repository: &'a RepositoryName, wanted: ActionSet) -> Option<&'a ScopeRule> {
        self.rules.matching(repository).find(|rule| rule.actions.intersects(wanted))
    }

    /// Every rule that covers `repository`.
    pub fn covering<'a>(&'a self, repository: &'a RepositoryName) -> impl Iterator<Item = &'a ScopeRule> {
        self.rules.matching(repository)
    }

    /// The rules, by pattern.
    pub fn rules(&self) -> impl Iterator<Item = &ScopeRule> {
        self.rules.sorted.iter()
    }

    /// The same, one permission at a time, in ARM's form.
    pub fn scope_actions(&self) -> impl Iterator<Item = ScopeAction> {
        let of_rule = |rule: &ScopeRule| {
            let pattern = rule.pattern.clone();
            rule.actions.iter().map(move |action| ScopeAction::Repository { pattern: pattern.clone(), action })
        };
        self.rules().flat_map(of_rule)
    }
}

/// Up to so many rules are found faster by comparing than by a hash of what is looked for.
const FEW: usize = 16;

/// Rules by pattern, so that a look-up asks once per path segment instead of once per rule (D10).
#[derive(Debug, Clone)]
struct RuleIndex {
    sorted: Vec<ScopeRule>,
    /// Where those with a key are in `sorted`, if there are more than [`FEW`].
    by_key: HashMap<Box<str>, Range<usize>>,
}

impl RuleIndex {
    fn new(mut rules: Vec<ScopeRule>) -> Self {
        rules.sort_by(|a, b| key(&a.pattern).cmp(key(&b.pattern)));
        let is_many = rules.len() > FEW;
        let mut by_key: HashMap<Box<str>, Range<usize>> = HashMap::new();
        for (at, rule) in rules.iter().enumerate().filter(|_| is_many) {
            by_key.entry(key(&rule.pattern).into()).or_insert(at..at).end = at + 1;
        }
        Self { sorted: rules, by_key }
    }

    /// Every rule that covers `repository`: the exact name, each `prefix/` of it, and `*`.
    fn matching<'a>(&'a self, repository: &'a RepositoryName) -> impl Iterator<Item = &'a ScopeRule> {
        let name = repository.as_str();
        let prefixes = name.match_indices('/').rev().filter_map(|(at, _)| name.get(..=at));
        std::iter::once(name).chain(prefixes).chain(std::iter::once("*")).flat_map(|key| self.with_key(key))
    }

    fn with_key(&self, wanted: &str) -> &[ScopeRule] {
        let range = if self.by_key.is_empty() {
            let start = self.sorted.partition_point(|rule| key(&rule.pattern) < wanted);
            let end = self.sorted.partition_point(|rule| key(&rule.pattern) <= wanted);
            Some(start..end)
        } else {
            self.by_key.get(wanted).cloned()
        };
        range.and_then(|range| self.sorted.get(range)).unwrap_or_default()
    }
}

/// What a pattern is found by. No repository name ends in `/` or is `*`, so the three kinds never collide.
fn key(pattern: &RepositoryPattern) -> &str {
    match pattern {
        RepositoryPattern::All => "*",
        RepositoryPattern::Below(prefix) => prefix,
        RepositoryPattern::Exact(name) => name.as_str(),
    }
}

/// The system-defined scope maps: three as in the seed (S3-84), five with `newer` (ACR since 2024).
pub(super) fn system_defined(newer: bool) -> Vec<ScopeMap> {
    use Action::{ContentDelete, ContentRead, ContentWrite, MetadataRead, MetadataWrite};
    let mut maps = vec![
        system_map(
            "_repositories_admin",
            "Can perform all read, write and delete operations on the registry",
            &[ContentRead, ContentWrite, ContentDelete, MetadataRead, MetadataWrite],
        ),
        system_map("_repositories_pull", "Can pull any repository of the registry", &[ContentRead]),
        system_map("_repositories_push", "Can push to any repository of the registry", &[ContentRead, ContentWrite]),
    ];
    if newer {
        maps.push(system_map(
            "_repositories_pull_metadata_read",
            "Can perform all read operations on the registry",
            &[ContentRead, MetadataRead],
        ));
        maps.push(system_map(
            "_repositories_push_metadata_write",
            "Can perform all read and write operations on the registry",
            &[ContentRead, ContentWrite, MetadataRead, MetadataWrite],
        ));
    }
    maps
}

fn system_map(name: &str, description: &str, actions: &[Action]) -> ScopeMap {
    let origin = Origin::built_in();
    let rule = ScopeRule {
        pattern: RepositoryPattern::All,
        actions: actions.iter().copied().collect(),
        origin: origin.clone(),
    };
    ScopeMap { system_defined: true, ..ScopeMap::new(name, description, origin, vec![rule]) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(rules: &[(&str, &[Action])]) -> ScopeMap {
        let rules = rules
            .iter()
            .map(|(pattern, actions)| ScopeRule {
                pattern: RepositoryPattern::parse(pattern).unwrap(),
                actions: actions.iter().copied().collect(),
                origin: Origin::built_in(),
            })
            .collect();
        ScopeMap::new("test-map", "", Origin::built_in(), rules)
    }

    fn on(map: &ScopeMap, repository: &str) -> Vec<&'static str> {
        map.actions(&RepositoryName::parse(&repository.to_lowercase()).unwrap()).iter().map(Action::name).collect()
    }

    #[test]
    fn wildcard_permissions_add_up() {
        // S3-42, S3-43. The vector's upper-case letters are folded as `az acr` does; on the wire names are lower case.
        let map = map(&[
            ("sample/*", &[Action::ContentRead]),
            ("sample/teamA/*", &[Action::ContentWrite]),
            ("sample/teamA/projectB", &[Action::ContentDelete]),
        ]);
        assert_eq!(on(&map, "sample/teamA/projectB"), ["content/read", "content/write", "content/delete"]);
        assert_eq!(on(&map, "sample/teamA/projectC"), ["content/read", "content/write"]);
        assert_eq!(on(&map, "sample/x"), ["content/read"]);
        assert!(on(&map, "sample").is_empty());
        assert!(on(&map, "samples/x").is_empty());
    }

    #[test]
    fn the_root_wildcard_is_registry_wide() {
        // S3-48, S3-49
        let map = map(&[("*", &[Action::ContentWrite, Action::ContentRead])]);
        assert_eq!(on(&map, "any/thing"), ["content/read", "content/write"]);
    }

    #[test]
    fn a_wildcard_covers_repositories_that_do_not_exist_yet() {
        // S3-50, S3-51
        let map = map(&[("sample/*", &[Action::ContentWrite, Action::MetadataWrite])]);
        assert_eq!(on(&map, "sample/teamC/teamCimage"), ["content/write", "metadata/write"]);
    }

    #[test]
    fn three_system_maps_by_default_and_five_by_option() {
        // S3-22, S3-84
        let names = |newer| system_defined(newer).iter().map(|map| map.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(false), ["_repositories_admin", "_repositories_pull", "_repositories_push"]);
        assert_eq!(names(true).len(), 5);
        let [admin, pull, push, ..] = &system_defined(false)[..] else { panic!() };
        assert_eq!(admin.actions(&RepositoryName::parse("a").unwrap()), ActionSet::ALL);
        assert_eq!(on(pull, "a/b"), ["content/read"]);
        assert_eq!(on(push, "a/b"), ["content/read", "content/write"]);
        let written: Vec<_> = push.scope_actions().map(|action| action.to_string()).collect();
        assert_eq!(written, ["repositories/*/content/read", "repositories/*/content/write"]);
    }

    fn rules() -> impl Strategy<Value = Vec<ScopeRule>> {
        let pattern = prop_oneof![Just("*".to_owned()), "[ab]{1,2}(/[ab]{1,2}){0,2}", "[ab]{1,2}(/[ab]){0,2}/\\*"];
        let rule = (pattern, 0_u8..32).prop_map(|(pattern, bits)| ScopeRule {
            pattern: RepositoryPattern::parse(&pattern).unwrap(),
            actions: Action::ALL.into_iter().filter(|action| bits & (1 << *action as u8) != 0).collect(),
            origin: Origin::built_in(),
        });
        proptest::collection::vec(rule, 0..40)
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_asking_every_rule(rules in rules(), name in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            let name = RepositoryName::parse(&name).unwrap();
            let naive = rules.iter().filter(|rule| rule.pattern.covers(&name))
                .fold(ActionSet::EMPTY, |set, rule| set.union(rule.actions));
            let map = ScopeMap::new("m", "", Origin::built_in(), rules);
            prop_assert_eq!(map.actions(&name), naive);
        }

        #[test]
        fn a_larger_scope_map_never_allows_less(
            rules in rules(), more in rules(), name in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            let name = RepositoryName::parse(&name).unwrap();
            let small = ScopeMap::new("m", "", Origin::built_in(), rules.clone());
            let large = ScopeMap::new("m", "", Origin::built_in(), rules.into_iter().chain(more).collect());
            prop_assert!(large.actions(&name).is_superset(small.actions(&name)));
        }
    }
}
