//! The five repository actions of ACR, and sets of them.

use std::fmt;

/// One verb on one repository (S3-12 … S3-16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// `content/read`: pull.
    ContentRead,
    /// `content/write`: push.
    ContentWrite,
    /// `content/delete`: delete manifests, blobs or the whole repository.
    ContentDelete,
    /// `metadata/read`: list tags and manifests.
    MetadataRead,
    /// `metadata/write`: change attributes.
    MetadataWrite,
}

impl Action {
    /// Every action, in the order in which scopes list them.
    pub const ALL: [Self; 5] =
        [Self::ContentRead, Self::ContentWrite, Self::ContentDelete, Self::MetadataRead, Self::MetadataWrite];

    /// The name in scope maps.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContentRead => "content/read",
            Self::ContentWrite => "content/write",
            Self::ContentDelete => "content/delete",
            Self::MetadataRead => "metadata/read",
            Self::MetadataWrite => "metadata/write",
        }
    }

    /// The name in scopes and access tokens (wire contract 2.6).
    pub const fn scope_name(self) -> &'static str {
        match self {
            Self::ContentRead => "pull",
            Self::ContentWrite => "push",
            Self::ContentDelete => "delete",
            Self::MetadataRead => "metadata_read",
            Self::MetadataWrite => "metadata_write",
        }
    }

    /// Reads a scope map's name. As in `az acr`, case does not matter.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name().eq_ignore_ascii_case(name))
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of actions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ActionSet(u8);

impl ActionSet {
    pub const EMPTY: Self = Self(0);
    pub const ALL: Self = Self(0b1_1111);

    /// The actions of a scope; `*` means all (Distribution's token specification). Unknown names grant nothing.
    pub fn from_scope_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::EMPTY;
        for name in names {
            if name == "*" {
                return Self::ALL;
            }
            set = Action::ALL.into_iter().filter(|action| action.scope_name() == name).fold(set, Self::with);
        }
        set
    }

    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | action.bit())
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether who has them may know that there is the repository: he can read something in it.
    pub const fn shows(self) -> bool {
        self.contains(Action::ContentRead) || self.contains(Action::MetadataRead)
    }

    pub const fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn is_superset(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in the order of [`Action::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.contains(*action))
    }
}

impl From<Action> for ActionSet {
    fn from(action: Action) -> Self {
        Self::EMPTY.with(action)
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Action::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.name()), Some(action));
            assert_eq!(ActionSet::from_scope_names([action.scope_name()]), action.into());
        }
        assert_eq!(Action::parse("Content/Read"), Some(Action::ContentRead));
        assert_eq!(Action::parse("content/reed"), None);
    }

    #[test]
    fn a_star_is_everything_and_an_unknown_name_is_nothing() {
        assert_eq!(ActionSet::from_scope_names(["*"]), ActionSet::ALL);
        assert_eq!(ActionSet::from_scope_names(["scanner-pull"]), ActionSet::EMPTY);
        assert_eq!(Action::ALL.into_iter().collect::<ActionSet>(), ActionSet::ALL);
    }
}
