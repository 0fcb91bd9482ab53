//! What of docker_auth's access control list could not be taken over, each line once, with the users it is about.

use std::collections::BTreeMap;

use super::document::Entry;
use crate::policy::RepositoryPattern;
use crate::policy::action::{Action, ActionSet};
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};

/// So many users are named; the others are counted.
const NAMED: usize = 3;

/// Something about a line.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    origin: Origin,
    what: String,
    hint: String,
    warning: bool,
}

/// Everything that was found so far, and for whom.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<Finding, Vec<String>>);

impl Findings {
    /// All of it as problems.
    pub(super) fn into_problems(self) -> Problems {
        let mut problems = Problems::new();
        for (Finding { origin, what, hint, warning }, users) in self.0 {
            let what = if users.is_empty() { what } else { format!("{}: {what}", listed(&users)) };
            let make = if warning { Problem::warning } else { Problem::new };
            problems.push(make(&origin, what).hint(hint));
        }
        problems
    }

    fn left_out(&mut self, origin: &Origin, user: Option<&str>, what: String, hint: &str) {
        let finding = Finding { origin: origin.clone(), what, hint: hint.to_owned(), warning: false };
        self.0.entry(finding).or_default().extend(user.map(str::to_owned));
    }

    pub(super) fn unknown_action(&mut self, word: &At<String>) {
        let what = format!("the action {:?} is left out", word.value);
        self.left_out(&word.origin, None, what, "actions are pull, push and delete, or \"*\" alone");
    }

    pub(super) fn catalog(&mut self, entry: &At<Entry>, user: &str) {
        let what = "listing the catalog is left out".to_owned();
        self.left_out(&entry.origin, Some(user), what, "it is for the admin account (adminUserEnabled), as in ACR");
    }

    pub(super) fn conditional(&mut self, entry: &At<Entry>, on: &str, user: &str) {
        let what = format!("this line depends on {on}, so what it allows is left out");
        let hint = match &entry.condition.ip {
            Some(_) => "a registry's networkRuleSet says which addresses are admitted at all",
            None => "write rules for these users into their scope maps",
        };
        self.left_out(&entry.origin, Some(user), what, hint);
    }

    pub(super) fn inexpressible(&mut self, entry: &At<Entry>, user: &str) {
        let name = entry.condition.name.as_ref();
        let (origin, text) = name.map_or((&entry.origin, ""), |name| (&name.origin, name.as_str()));
        let what = format!("no scope map can say {text:?}, so what this line allows is left out");
        let hint =
            "a rule names a repository, everything below one (`team/*`) or everything (`*`): name them one by one";
        self.left_out(origin, Some(user), what, hint);
    }

    pub(super) fn one_level(&mut self, entry: &At<Entry>, user: &str) {
        let what = format!("{}, while here it covers everything below; what this line allows is left out", star(entry));
        let hint = "run it again with --deeper when that is meant, or name the repositories one by one";
        self.left_out(place(entry), Some(user), what, hint);
    }

    pub(super) fn taken_deeper(&mut self, entry: &At<Entry>, user: &str) {
        let what = format!("{}, and now covers everything below", star(entry));
        let hint = "without --deeper it is left out".to_owned();
        let finding = Finding { origin: place(entry).clone(), what, hint, warning: true };
        self.0.entry(finding).or_default().push(user.to_owned());
    }

    pub(super) fn restricted(
        &mut self,
        entry: &At<Entry>,
        pattern: &RepositoryPattern,
        lost: ActionSet,
        earlier: &At<Entry>,
        user: &str,
    ) {
        let actions = lost.iter().map(Action::name).collect::<Vec<_>>().join(", ");
        let what = format!(
            "{actions} on `{pattern}` is left out, because the line at {} does not allow it for some of these repositories",
            earlier.origin
        );
        let hint = "rules of a scope map only add up: name the other repositories one by one";
        self.left_out(&entry.origin, Some(user), what, hint);
    }

    pub(super) fn unused(&mut self, entry: &At<Entry>) {
        let what = "this line is about none of the users of this file".to_owned();
        let finding = Finding {
            origin: entry.origin.clone(),
            what,
            hint: "look for its account among the users".into(),
            warning: true,
        };
        self.0.entry(finding).or_default();
    }
}

fn place(entry: &At<Entry>) -> &Origin {
    entry.condition.name.as_ref().map_or(&entry.origin, |name| &name.origin)
}

fn star(entry: &At<Entry>) -> String {
    let name = entry.condition.name.as_ref().map_or("", |name| name.as_str());
    format!("in docker_auth the `*` of {name:?} ends at the next `/`")
}

fn listed(users: &[String]) -> String {
    let named: Vec<_> = users
        .iter()
        .take(NAMED)
        .map(|user| if user.is_empty() { "nobody".into() } else { format!("`{user}`") })
        .collect();
    match users.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        1 => format!("{} and another user", named.join(", ")),
        more => format!("{} and {more} other users", named.join(", ")),
    }
}
