//! From `locks` as written to rules.

use std::sync::Arc;

use super::pattern::TagPattern;
use super::rule::LockRule;
use super::{Attributes, LockRuleDocument};
use crate::policy::origin::At;
use crate::policy::pattern::RepositoryPattern;
use crate::policy::problem::{Problem, Problems};

/// The rules that can be read; the others are problems.
pub(in crate::policy) fn compile(documents: &[At<LockRuleDocument>], problems: &mut Problems) -> Arc<[LockRule]> {
    documents.iter().filter_map(|document| rule(document, problems)).collect()
}

fn rule(document: &At<LockRuleDocument>, problems: &mut Problems) -> Option<LockRule> {
    let written = &document.value.repositories;
    let repositories = RepositoryPattern::parse(written);
    let repositories = repositories.map_err(|error| refuse(written, &error, "such as `releases/*`", problems)).ok();
    let tags = match &document.value.tags {
        None => Some(None),
        Some(written) => match TagPattern::parse(written) {
            Ok(pattern) => Some(Some(pattern)),
            Err(error) => {
                refuse(written, &error, "such as `v*`", problems);
                None
            }
        },
    };
    let write_once = document.value.write_once.as_ref().filter(|once| once.value);
    if let Some(At { origin, .. }) = write_once.filter(|_| document.value.tags.is_none()) {
        let problem = Problem::new(origin, "`writeOnce` is about tags, and this rule is about repositories");
        problems.push(problem.hint("add `tags: \"*\"` for all tags, or a pattern such as `v*`"));
        return None;
    }
    Some(LockRule {
        repositories: repositories?,
        tags: tags?,
        attributes: attributes(&document.value),
        write_once: write_once.is_some(),
        origin: document.origin.clone(),
    })
}

/// What a rule leaves on.
pub(super) fn attributes(document: &LockRuleDocument) -> Attributes {
    let is_on = |written: &Option<At<bool>>| written.as_ref().is_none_or(|on| on.value);
    Attributes {
        delete_enabled: is_on(&document.delete_enabled),
        write_enabled: is_on(&document.write_enabled),
        read_enabled: is_on(&document.read_enabled),
        list_enabled: is_on(&document.list_enabled),
    }
}

fn refuse(written: &At<String>, error: &dyn std::fmt::Display, hint: &str, problems: &mut Problems) {
    problems.push(Problem::new(&written.origin, format!("`{}`: {error}", written.value)).hint(hint));
}
