//! What in `locks` works and is probably not meant.

use super::LockRuleDocument;
use super::compile::compile;
use super::rule::LockRule;
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};

/// Rules that switch nothing off, and rules of which another one says the same and more.
pub(in crate::policy) fn lint(documents: &[At<LockRuleDocument>], problems: &mut Problems) {
    // What is wrong for certain was told when the policy was compiled.
    let rules = compile(documents, &mut Problems::new());
    for (place, rule) in rules.iter().enumerate() {
        if rule.is_idle() {
            let hint = "set one of the attributes to false, or `writeOnce` to true";
            problems.push(Problem::warning(&rule.origin, "this rule locks nothing").hint(hint));
            continue;
        }
        // Of two alike the first counts.
        let says_more = |(other, one): &(usize, &LockRule)| {
            *other != place && one.contains(rule) && (*other < place || !rule.contains(one))
        };
        if let Some((_, other)) = rules.iter().enumerate().find(says_more) {
            let hint = format!("the one at {} locks the same, and covers it", other.origin);
            problems.push(Problem::warning(&rule.origin, "this rule adds nothing").hint(hint));
        }
    }
}

impl LockRule {
    /// Whether it switches nothing off.
    fn is_idle(&self) -> bool {
        self.attributes == super::Attributes::default() && !self.write_once
    }

    /// Whether it locks all that `other` locks.
    fn contains(&self, other: &Self) -> bool {
        let tags = match (&self.tags, &other.tags) {
            (None, None) => true,
            (Some(wider), Some(pattern)) => wider.contains(pattern),
            (None, Some(_)) | (Some(_), None) => false,
        };
        let repositories = self.repositories == other.repositories || self.repositories.contains(&other.repositories);
        let off = self.attributes.and(other.attributes) == self.attributes;
        // Who may not write at all may not move a tag either.
        let once = !other.write_once || self.write_once || !self.attributes.write_enabled;
        tags && repositories && off && once
    }
}
