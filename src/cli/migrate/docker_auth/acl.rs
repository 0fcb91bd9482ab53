//! What docker_auth's access control list gives to one user, as rules of a scope map.
//!
//! There the first line that matches decides; here rules only add up. So a line gives no more than every line before it
//! that may decide about one of the same repositories. What that takes away is told, and nothing is ever added.

use std::collections::BTreeMap;

use regex::Regex;

use super::document::{Condition, Entry};
use super::findings::Findings;
use super::names::{Accuracy, Extent, covers, extents, overlap, regular_expression};
use crate::policy::RepositoryPattern;
use crate::policy::action::{Action, ActionSet};
use crate::policy::origin::At;

/// Rules of a scope map.
pub(super) type Rules = BTreeMap<RepositoryPattern, ActionSet>;

/// Whether a line decides about a user's repositories, besides their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applies {
    Never,
    Always,
    /// It depends on what is named here, which seawall's tokens do not have.
    Perhaps(&'static str),
}

/// An alternative of a line that was read already.
struct Earlier<'a> {
    extent: Extent,
    actions: ActionSet,
    certain: bool,
    entry: &'a At<Entry>,
}

/// The rules of `user`. With `deeper`, a pattern that ends at the next `/` is taken for everything below.
pub(super) fn rules(acl: &[At<Entry>], user: &str, deeper: bool, findings: &mut Findings) -> Rules {
    let mut rules = Rules::new();
    let mut before: Vec<Earlier<'_>> = Vec::new();
    for entry in acl {
        let applies = applies(&entry.condition, user, "repository");
        if applies == Applies::Never {
            catalog(entry, user, findings);
            continue;
        }
        let actions = actions(entry, findings);
        let extents = named(entry, user);
        for extent in &extents {
            let certain = |earlier: &&Earlier<'_>| earlier.certain && covers(&earlier.extent.pattern, &extent.pattern);
            if actions.is_empty() || before.iter().any(|earlier| certain(&earlier)) {
                continue;
            }
            if grantable(entry, extent, applies, deeper, user, findings) {
                let kept = restricted(entry, extent, actions, &before, user, findings);
                let rule = rules.entry(extent.pattern.clone()).or_default();
                *rule = rule.union(kept);
            }
        }
        before.extend(extents.into_iter().map(|extent| {
            let certain = applies == Applies::Always && extent.accuracy == Accuracy::Exact;
            Earlier { extent, actions, certain, entry }
        }));
    }
    rules.retain(|_, actions| !actions.is_empty());
    rules
}

/// Whether `condition` holds for `user` and things of this `kind`, whatever they are called.
pub(super) fn applies(condition: &Condition, user: &str, kind: &str) -> Applies {
    let mut applies = condition.foreign().map_or(Applies::Always, Applies::Perhaps);
    for (written, text) in [(&condition.account, user), (&condition.kind, kind)] {
        let Some(written) = written else { continue };
        match substituted(written, user).and_then(|pattern| Regex::new(&regular_expression(&pattern)).ok()) {
            Some(matcher) if matcher.is_match(text) => {}
            Some(_) => return Applies::Never,
            None => applies = Applies::Perhaps("a pattern that cannot be evaluated here"),
        }
    }
    applies
}

/// The repositories that a line names, for `user`.
fn named(entry: &Entry, user: &str) -> Vec<Extent> {
    let Some(name) = &entry.condition.name else {
        return vec![Extent { pattern: RepositoryPattern::All, accuracy: Accuracy::Exact }];
    };
    match substituted(name, user) {
        Some(pattern) => extents(&regular_expression(&pattern)),
        None => vec![Extent { pattern: RepositoryPattern::All, accuracy: Accuracy::Wider }],
    }
}

/// A pattern with its variables filled in; `None` when one of them is not known here.
fn substituted(written: &str, user: &str) -> Option<String> {
    let text = written.replace("${account}", &regex_syntax::escape(user));
    (!written.replace("${account}", "").contains("${")).then_some(text)
}

/// What a line allows. Distribution lists tags for whoever may pull; here that is an action of its own. It has no word for
/// changing metadata, so nothing gives that.
fn actions(entry: &At<Entry>, findings: &mut Findings) -> ActionSet {
    use Action::{ContentDelete, ContentRead, ContentWrite, MetadataRead};
    let pull = ActionSet::from(ContentRead).with(MetadataRead);
    if let [only] = entry.actions.as_slice()
        && only.as_str() == "*"
    {
        return pull.with(ContentWrite).with(ContentDelete);
    }
    entry.actions.iter().fold(ActionSet::EMPTY, |set, word| match word.as_str() {
        "pull" => set.union(pull),
        "push" => set.with(ContentWrite),
        "delete" => set.with(ContentDelete),
        _ => {
            findings.unknown_action(word);
            set
        }
    })
}

/// The catalog is a thing of its own in docker_auth, and the admin account's here.
fn catalog(entry: &At<Entry>, user: &str, findings: &mut Findings) {
    if !entry.actions.is_empty() && applies(&entry.condition, user, "registry") != Applies::Never {
        findings.catalog(entry, user);
    }
}

/// Those of `actions` that every earlier line allows which may decide about some of these repositories.
fn restricted(
    entry: &At<Entry>,
    extent: &Extent,
    actions: ActionSet,
    before: &[Earlier<'_>],
    user: &str,
    findings: &mut Findings,
) -> ActionSet {
    let overlapping = before.iter().filter(|earlier| overlap(&earlier.extent.pattern, &extent.pattern));
    overlapping.fold(actions, |kept, earlier| {
        let (left, lost) = (kept.intersection(earlier.actions), kept.without(earlier.actions));
        if !lost.is_empty() {
            findings.restricted(entry, &extent.pattern, lost, earlier.entry, user);
        }
        left
    })
}

/// Whether a scope map can say what the line says.
fn grantable(
    entry: &At<Entry>,
    extent: &Extent,
    applies: Applies,
    deeper: bool,
    user: &str,
    findings: &mut Findings,
) -> bool {
    match (applies, extent.accuracy) {
        (Applies::Never, _) => return false,
        (Applies::Perhaps(what), _) => findings.conditional(entry, what, user),
        (Applies::Always, Accuracy::Wider) => findings.inexpressible(entry, user),
        (Applies::Always, Accuracy::OneLevel) if deeper => {
            findings.taken_deeper(entry, user);
            return true;
        }
        (Applies::Always, Accuracy::OneLevel) => findings.one_level(entry, user),
        (Applies::Always, Accuracy::Exact) => return true,
    }
    false
}
