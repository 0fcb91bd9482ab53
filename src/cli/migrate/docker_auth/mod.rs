//! docker_auth's configuration file → tokens and a scope map for each of its users.
//!
//! Its static users and its static access control list are read. What would give more than docker_auth gave, or cannot
//! be said, is left out and named at its place.

mod acl;
mod document;
mod findings;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use self::acl::{Applies, Rules};
use self::document::{Document, User};
use self::findings::Findings;
use super::outcome::{Outcome, bcrypt, token_name};
use crate::policy::RepositoryPattern;
use crate::policy::action::{Action, ActionSet};
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::server;

/// The longest name of a scope map.
const LONGEST_NAME: usize = 50;
const SUFFIX: &str = "-scope-map";

/// Reads `file`, for the registry of this name. `deeper` takes patterns that end at the next `/` for everything below.
///
/// # Errors
/// Every problem of a file that is not understood; nothing is concluded from it then.
pub(super) fn migrate(file: &Path, registry: &str, deeper: bool) -> Result<Outcome, Problems> {
    let document: Document = server::read_foreign(file)?;
    let mut outcome = Outcome::default();
    let mut findings = Findings::default();
    for (key, section) in document.elsewhere() {
        let problem = Problem::new(&section.origin, format!("what {key} knows is left out"));
        outcome.problems.push(problem.hint("only the users and the acl of this file are taken over"));
    }
    for (name, user) in &document.users {
        if name.is_empty() {
            let rules = acl::rules(&document.acl, "", deeper, &mut findings);
            anonymous(name, user, &rules, &mut outcome);
        } else if let Some(hash) = usable(name, user, registry, &mut outcome.problems) {
            let rules = acl::rules(&document.acl, name, deeper, &mut findings);
            let scope_map = free_name(name, &outcome.scope_maps.keys().map(String::as_str).collect());
            outcome.add_scope_map(&scope_map, format!("What docker_auth gave to {}", name.value), rules);
            outcome.add_token(name, &scope_map, hash);
        } else {
            outcome.left_out += 1;
        }
    }
    for entry in &document.acl {
        let concerns = |user: &At<String>| {
            ["repository", "registry"].iter().any(|kind| acl::applies(&entry.condition, user, kind) != Applies::Never)
        };
        if !document.users.keys().any(concerns) {
            findings.unused(entry);
        }
    }
    outcome.problems.extend(findings.into_problems());
    Ok(outcome)
}

/// The hash of a user that can become a token.
fn usable<'a>(name: &At<String>, user: &'a User, registry: &str, problems: &mut Problems) -> Option<&'a str> {
    let named = token_name(name, &name.origin, registry);
    let open = || {
        let problem = Problem::new(&name.origin, format!("any password is accepted for user `{}`", name.value));
        problem.hint("give the user a password: `htpasswd -nB NAME` prints its hash")
    };
    let hash = user.password.as_ref().ok_or_else(open);
    let hash = hash.and_then(|hash| bcrypt(hash, &hash.origin, name).map(|()| hash.as_str()));
    let named = named.map_err(|problem| problems.push(problem));
    let hash = hash.map_err(|problem| problems.push(problem));
    named.and(hash).ok()
}

/// Whoever does not log in may pull everything, or nothing.
fn anonymous(name: &At<String>, user: &User, rules: &Rules, outcome: &mut Outcome) {
    if user.password.is_some() {
        let problem = Problem::new(&name.origin, "the user without a name has a password, and is left out");
        return outcome.problems.push(problem.hint("a token needs a name"));
    }
    let pull = ActionSet::from(Action::ContentRead).with(Action::MetadataRead);
    outcome.anonymous_pull = rules.get(&RepositoryPattern::All).is_some_and(|all| all.is_superset(pull));
    let given = if outcome.anonymous_pull { pull } else { ActionSet::EMPTY };
    for (pattern, actions) in rules {
        let lost = actions.without(given);
        if !lost.is_empty() {
            let lost = lost.iter().map(Action::name).collect::<Vec<_>>().join(", ");
            let what = format!("without logging in, {lost} on `{pattern}` is left out");
            let hint = "anonymousPullEnabled gives pulling everything, or nothing";
            outcome.problems.push(Problem::new(&name.origin, what).hint(hint));
        }
    }
}

/// A name for the scope map of `user` that none of `taken` is.
fn free_name(user: &str, taken: &BTreeSet<&str>) -> String {
    let legible = |one: char| if one.is_ascii_alphanumeric() || one == '-' || one == '_' { one } else { '-' };
    // Names that begin with `_repositories_` are reserved.
    let base: String = user.trim_start_matches('_').chars().map(legible).collect();
    let suffixes = std::iter::once(SUFFIX.to_owned()).chain((2_u64..).map(|number| format!("-{number}{SUFFIX}")));
    let mut names = suffixes.map(|suffix| {
        let room = LONGEST_NAME.saturating_sub(suffix.len());
        base.chars().take(room).collect::<String>() + &suffix
    });
    names.find(|name| !taken.contains(name.as_str())).unwrap_or(base)
}
