//! `--scope` and `--registry`: one registry, or all of them.

use clap::Args;
use serde_json::Value;

use crate::cli::resources::arguments::name;
use crate::cli::resources::session::Session;

/// Where a role holds.
#[derive(Debug, Args)]
pub(in crate::cli) struct Scope {
    /// The id of a registry, as `seawall show --query id` prints it. A subscription or a resource group: all registries.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(in crate::cli::resources) scope: Option<String>,
    /// The name of a registry, instead of its id.
    #[arg(short, long, value_name = "NAME", value_parser = name, conflicts_with = "scope")]
    registry: Option<String>,
}

impl Scope {
    /// The path of what is given, if anything is.
    pub(super) fn path(&self, session: &Session) -> Option<String> {
        let registry = self.registry.as_ref().map(|name| session.registry(name));
        self.scope.clone().or(registry)
    }
}

/// Reads an id that can stand in a path.
///
/// # Errors
/// A sentence.
pub(in crate::cli::resources) fn id(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let mut segments = text.split('/');
    let first = (segments.next(), segments.next());
    let is_id = matches!(first, (Some(""), Some(word)) if word.eq_ignore_ascii_case("subscriptions"));
    let rest: Vec<_> = segments.collect();
    if is_id && !rest.is_empty() && rest.into_iter().all(|segment| name(segment).is_ok()) {
        return Ok(text.to_owned());
    }
    Err("an id begins with /subscriptions/; `seawall show -n NAME --query id -o tsv` prints a registry's".to_owned())
}

/// The registry in a scope; `None`: all of them.
pub(super) fn registry_in(scope: &str) -> Option<String> {
    let mut segments = scope.split('/').skip_while(|segment| !segment.eq_ignore_ascii_case("registries"));
    segments.nth(1).map(str::to_ascii_lowercase)
}

/// Whether an assignment holds exactly in `scope`, whatever subscription and resource group are written.
pub(super) fn is_in(assignment: &Value, scope: &str) -> bool {
    let own = assignment.pointer("/properties/scope").and_then(Value::as_str).unwrap_or_default();
    registry_in(own) == registry_in(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_one_registry_or_all() {
        let registry = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/MyRegistry";
        for (text, expected) in
            [("/subscriptions/s", None), ("/Subscriptions/s/resourceGroups/g/", None), (registry, Some("myregistry"))]
        {
            assert_eq!(registry_in(&id(text).unwrap()).as_deref(), expected, "{text}");
        }
        for text in [
            "",
            "/",
            "myregistry",
            "/subscriptions",
            "/subscriptions//x",
            "/subscriptions/..",
            "/subscriptions/a?b",
            "subscriptions/s",
        ] {
            assert!(id(text).is_err(), "{text}");
        }
    }
}
