//! The protocol's scope strings, such as `repository:library/hello-world:pull,push`.
//!
//! A scope is what a client asks for, or what a challenge tells it to ask for. It grants nothing: rights come from the
//! policy. Unknown kinds and actions are therefore kept, not refused (requirements B.1.11).

use std::fmt;

use thiserror::Error;

/// The longest list of scopes, in bytes.
pub const MAX_LIST: usize = 16 * 1024;
/// The most scopes in a list.
pub const MAX_SCOPES: usize = 100;
/// The most actions in a scope.
pub const MAX_ACTIONS: usize = 32;
const MAX_WORD: usize = 64;
const MAX_NAME: usize = 512;

/// One scope in its wire form: `kind[(class)]:name:action[,action]*`.
///
/// [`Scope::parse`] yields only parts of visible ASCII without quote, backslash and comma, so that what it yields can
/// stand in a header. The fields are public: who builds a scope by hand keeps to that.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    /// `repository`, `registry`, …
    pub kind: String,
    /// Deprecated by the protocol and without meaning; kept so that a scope is printed as it was read.
    pub class: Option<String>,
    /// What it is about; for a `repository` not necessarily a [`super::RepositoryName`]: it may begin with `host:port/`.
    pub name: String,
    /// `pull`, `push`, `metadata_read`, `*`, …; never empty when parsed.
    pub actions: Vec<String>,
}

/// Why a text is no scope, or no list of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ScopeError {
    /// Not `kind:name:action`, or a part holds a character it must not hold.
    #[error("a scope has the form `kind:name:action,action`")]
    Malformed,
    /// Over one of the limits of this module.
    #[error("too many scopes or actions, or a scope is too long")]
    TooLong,
}

impl Scope {
    /// A scope without a class.
    pub fn new<A: Into<String>>(
        kind: impl Into<String>,
        name: impl Into<String>,
        actions: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            kind: kind.into(),
            class: None,
            name: name.into(),
            actions: actions.into_iter().map(Into::into).collect(),
        }
    }

    /// One scope. The name may hold colons (`host:port/…`), so the first and the last colon part the text.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let (kind, rest) = text.split_once(':').ok_or(ScopeError::Malformed)?;
        let (name, actions) = rest.rsplit_once(':').ok_or(ScopeError::Malformed)?;
        let (kind, class) = match kind.strip_suffix(')') {
            Some(both) => both.split_once('(').map(|(kind, class)| (kind, Some(class))).ok_or(ScopeError::Malformed)?,
            None => (kind, None),
        };
        check(name, MAX_NAME, |byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b','))?;
        for word in std::iter::once(kind).chain(class) {
            check(word, MAX_WORD, |byte| is_word(byte) || byte == b'-')?;
        }
        if actions.split(',').count() > MAX_ACTIONS {
            return Err(ScopeError::TooLong);
        }
        for action in actions.split(',') {
            check(action, MAX_WORD, |byte| is_word(byte) || matches!(byte, b'*' | b'-'))?;
        }
        Ok(Self { class: class.map(str::to_owned), ..Self::new(kind, name, actions.split(',')) })
    }

    /// A list of scopes separated by spaces; empty for an empty text.
    ///
    /// Join repeated `scope` parameters with a space before calling this, so that the limits hold for all of them
    /// together.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ScopeError> {
        if text.len() > MAX_LIST {
            return Err(ScopeError::TooLong);
        }
        let items = || text.split(' ').filter(|item| !item.is_empty());
        if items().count() > MAX_SCOPES {
            return Err(ScopeError::TooLong);
        }
        items().map(Self::parse).collect()
    }

    /// One scope for each kind and name, with all its actions, each once and in the order they first appear.
    ///
    /// The class of the first one stays: it has no meaning.
    pub fn merge(scopes: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::new();
        for scope in scopes {
            let actions = scope.actions.clone();
            let at = merged.iter().position(|known| known.kind == scope.kind && known.name == scope.name);
            let target = match at.and_then(|at| merged.get_mut(at)) {
                Some(known) => known,
                None => merged.push_mut(Self { actions: Vec::new(), ..scope }),
            };
            for action in actions {
                if !target.actions.contains(&action) {
                    target.actions.push(action);
                }
            }
        }
        merged
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

fn check(text: &str, longest: usize, belongs: impl Fn(u8) -> bool) -> Result<(), ScopeError> {
    if text.len() > longest {
        return Err(ScopeError::TooLong);
    }
    if !text.is_empty() && text.bytes().all(belongs) { Ok(()) } else { Err(ScopeError::Malformed) }
}

impl Scope {
    /// What it is printed as, in pieces.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &str> {
        let class = self.class.iter().flat_map(|class| ["(", class, ")"]);
        let actions = self.actions.iter().enumerate();
        let actions = actions.flat_map(|(at, action)| [if at > 0 { "," } else { "" }, action]);
        [self.kind.as_str()].into_iter().chain(class).chain([":", &self.name, ":"]).chain(actions)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces().try_for_each(|piece| f.write_str(piece))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_name_lies_between_the_first_and_the_last_colon() {
        for (text, expected) in [
            ("repository:a/b:pull", Scope::new("repository", "a/b", ["pull"])),
            ("repository:a:pull,push", Scope::new("repository", "a", ["pull", "push"])),
            ("repository:host:5000/a:pull", Scope::new("repository", "host:5000/a", ["pull"])),
            ("registry:catalog:*", Scope::new("registry", "catalog", ["*"])),
            ("artifact-repository:repo:pull", Scope::new("artifact-repository", "repo", ["pull"])),
            ("repository:a:metadata_read", Scope::new("repository", "a", ["metadata_read"])),
            (
                "repository(plugin):a:pull",
                Scope { class: Some("plugin".to_owned()), ..Scope::new("repository", "a", ["pull"]) },
            ),
        ] {
            assert_eq!(Scope::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_has_not_three_whole_parts() {
        for text in [
            "",
            ":",
            "::",
            "repository",
            "repository:a",
            "repository::pull",
            ":a:pull",
            "repository:a:",
            "repository:a:,",
            "repository:a:pull,",
            "repository:a:,pull",
            "Repository:a:pull",
            "repository:a:Pull",
            "repository:a b:pull",
            "repository:a\":pull",
            "repository:a\\:pull",
            "repository:a,b:pull",
            "repository:a:pull push",
            "repository:é:pull",
            "repository(:a:pull",
            "repository):a:pull",
            "repository():a:pull",
            "(plugin):a:pull",
            "repository(a)b:a:pull",
            "repository:a\0:pull",
            "repository:a\r\nx:pull",
        ] {
            assert_eq!(Scope::parse(text), Err(ScopeError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_list_is_separated_by_spaces_and_may_be_empty() {
        assert_eq!(Scope::parse_list(""), Ok(vec![]));
        assert_eq!(Scope::parse_list("  "), Ok(vec![]));
        let two = [Scope::new("repository", "a", ["pull"]), Scope::new("registry", "catalog", ["*"])];
        assert_eq!(Scope::parse_list("repository:a:pull  registry:catalog:* "), Ok(two.to_vec()));
        assert_eq!(Scope::parse_list("repository:a:pull\tregistry:catalog:*"), Err(ScopeError::Malformed));
        assert_eq!(Scope::parse_list("repository:a:pull nonsense"), Err(ScopeError::Malformed));
    }

    #[test]
    fn a_list_is_bounded() {
        assert_eq!(Scope::parse_list(&"a:a:a ".repeat(MAX_SCOPES)).map(|list| list.len()), Ok(MAX_SCOPES));
        for text in [
            "a:a:a ".repeat(MAX_SCOPES + 1),
            " ".repeat(MAX_LIST + 1),
            format!("a:a:a{}", ",a".repeat(MAX_ACTIONS)),
            format!("a:{}:a", "a".repeat(MAX_NAME + 1)),
            format!("{}:a:a", "a".repeat(MAX_WORD + 1)),
            format!("a:a:{}", "a".repeat(MAX_WORD + 1)),
        ] {
            assert_eq!(Scope::parse_list(&text), Err(ScopeError::TooLong));
        }
    }

    #[test]
    fn merging_keeps_every_scope_and_the_order_of_actions() {
        let list = "repository:a:push,pull registry:a:* repository:b:pull repository(x):a:pull,delete,push";
        let merged = Scope::merge(Scope::parse_list(list).unwrap());
        let texts: Vec<_> = merged.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["repository:a:push,pull,delete", "registry:a:*", "repository:b:pull"]);
    }

    proptest! {
        #[test]
        fn printing_undoes_parsing(
            text in "[a-z0-9_-]{1,9}(\\([a-z]{1,9}\\))?:[a-z:/*.@(){}A-Z0-9]{1,20}:[a-z_*]{1,9}(,[a-z_*]{1,9}){0,3}"
        ) {
            prop_assert_eq!(Scope::parse(&text).map(|scope| scope.to_string()), Ok(text));
        }

        #[test]
        fn whatever_parses_is_printed_as_it_was_read(text in "\\PC{0,8}:?\\PC{0,8}:?\\PC{0,8}") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(scope.to_string(), text);
            }
        }
    }
}
