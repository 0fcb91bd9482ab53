//! What one line of a scope map says, in ARM's form: `repositories/samples/*/content/read` or
//! `gateway/edge1/config/read` (requirements B.2-1).
//!
//! Files have a form of their own (`repositories:` to a list of actions) and no gateways; the API and the store have this.

use std::fmt;

use super::action::Action;
use super::nearest::nearest;
use super::pattern::RepositoryPattern;

const REPOSITORIES: &str = "repositories/";
const GATEWAY: &str = "gateway/";

/// One permission of a scope map. `Display` is its one form on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScopeAction {
    Repository {
        pattern: RepositoryPattern,
        action: Action,
    },
    /// What a connected registry may ask of its parent. It grants nothing on repositories.
    Gateway {
        name: Box<str>,
        action: GatewayAction,
    },
}

/// What a connected registry does with its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GatewayAction {
    ConfigRead,
    ConfigWrite,
    MessageRead,
    MessageWrite,
}

impl GatewayAction {
    pub const ALL: [Self; 4] = [Self::ConfigRead, Self::ConfigWrite, Self::MessageRead, Self::MessageWrite];

    /// The name in scope maps.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfigRead => "config/read",
            Self::ConfigWrite => "config/write",
            Self::MessageRead => "message/read",
            Self::MessageWrite => "message/write",
        }
    }
}

impl ScopeAction {
    /// Reads either form. As in `az acr`, upper-case letters are folded.
    ///
    /// # Errors
    /// A sentence that quotes the text and names the rule that it breaks (S3-44 … S3-48).
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(rest) = lower.strip_prefix(REPOSITORIES) {
            let (pattern, action) = split(rest, text)?;
            let action = known(action, Action::ALL.map(|action| (action.name(), action)), text)?;
            let pattern = RepositoryPattern::parse(pattern).map_err(|error| format!("`{text}`: {error}"))?;
            return Ok(Self::Repository { pattern, action });
        }
        if let Some(rest) = lower.strip_prefix(GATEWAY) {
            let (name, action) = split(rest, text)?;
            let action = known(action, GatewayAction::ALL.map(|action| (action.name(), action)), text)?;
            return if is_connected_registry(name) {
                Ok(Self::Gateway { name: name.into(), action })
            } else {
                Err(format!(
                    "`{text}`: `{name}` is not the name of a connected registry: use 5 to 50 letters, digits, `-` and `_`"
                ))
            };
        }
        Err(neither(text))
    }
}

impl fmt::Display for ScopeAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { pattern, action } => write!(f, "{REPOSITORIES}{pattern}/{}", action.name()),
            Self::Gateway { name, action } => write!(f, "{GATEWAY}{name}/{}", action.name()),
        }
    }
}

/// What is in front of the last two segments, and those.
fn split<'a>(rest: &'a str, text: &str) -> Result<(&'a str, &'a str), String> {
    let at = rest.rmatch_indices('/').nth(1).map(|(at, _)| at);
    let parts = at.and_then(|at| Some((rest.get(..at)?, rest.get(at + 1..)?)));
    parts.filter(|(name, _)| !name.is_empty()).ok_or_else(|| neither(text))
}

fn known<const N: usize, T: Copy>(wanted: &str, all: [(&'static str, T); N], text: &str) -> Result<T, String> {
    if let Some((_, found)) = all.iter().find(|(name, _)| *name == wanted) {
        return Ok(*found);
    }
    let names = all.map(|(name, _)| name);
    let way_out = match nearest(wanted, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("valid actions are {}", names.map(|name| format!("`{name}`")).join(", ")),
    };
    Err(format!("`{text}`: invalid action `{wanted}`; {way_out}"))
}

fn neither(text: &str) -> String {
    format!(
        "`{text}` is not a permission: write `repositories/<repository>/<action>`, such as \
         `repositories/samples/*/content/read`, or `gateway/<connected registry>/<action>`"
    )
}

fn is_connected_registry(name: &str) -> bool {
    (5..=50).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Result<String, String> {
        ScopeAction::parse(text).map(|action| action.to_string())
    }

    #[test]
    fn both_forms_are_read_and_written_in_lower_case() {
        for (text, written) in [
            ("repositories/samples/hello-world/content/read", None),
            ("repositories/samples/*/content/write", None),
            ("repositories/*/metadata/read", None),
            ("repositories/content/read/content/read", None),
            ("Repositories/Samples/Nginx/Content/Delete", Some("repositories/samples/nginx/content/delete")),
            ("gateway/edge1/config/read", None),
            ("gateway/My-Edge_1/Message/Write", Some("gateway/my-edge_1/message/write")),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(written.unwrap_or(text)), "{text}");
        }
    }

    /// S3-44 … S3-48, B.2-1.
    #[test]
    fn whatever_is_refused_is_refused_with_its_rule() {
        for (text, rule) in [
            ("repositories/sample/*/teamA/content/read", "the wildcard must be the last segment"),
            ("repositories/sample/teamA*/content/read", "the wildcard must be the last segment"),
            ("repositories/sample/teamA/*/projectB/*/content/read", "a single `*`"),
            ("repositories//sample/content/read", "does not begin with `/`"),
            ("repositories/sam ple/content/read", "not a repository name"),
            ("repositories/sample/content/raed", "did you mean `content/read`?"),
            ("repositories/sample/pull", "is not a permission"),
            ("repositories/sample/config/read", "invalid action `config/read`"),
            ("repositories/content/read", "is not a permission"),
            ("repositories/*", "is not a permission"),
            ("gateway/edge1/content/read", "invalid action `content/read`"),
            ("gateway/edge/config/read", "not the name of a connected registry"),
            ("gateway/*/config/read", "not the name of a connected registry"),
            ("content/read", "is not a permission"),
            ("", "is not a permission"),
        ] {
            let error = canonical(text).expect_err(text);
            assert!(error.contains(rule) && error.contains(text), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            text in "(repositories|gateway)/[a-c*/]{1,9}/(content|metadata|config|message)/(read|write|delete)",
        ) {
            if let Ok(action) = ScopeAction::parse(&text) {
                prop_assert_eq!(ScopeAction::parse(&action.to_string()), Ok(action));
            }
        }

        #[test]
        fn no_text_panics(text in "(repositories/|gateway/)?\\PC*") {
            let _ = ScopeAction::parse(&text);
        }
    }
}
