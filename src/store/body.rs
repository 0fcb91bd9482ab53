//! Records as the text that a database or a backup keeps.

use super::{Kind, Object, ObjectKey, StoreError};

impl Kind {
    /// The word that a database has for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::ScopeMap => "scopeMap",
            Self::Token => "token",
            Self::Key => "key",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        [Self::Registry, Self::ScopeMap, Self::Token, Self::Key].into_iter().find(|kind| kind.word() == word)
    }
}

impl Object {
    /// The kind that its key must have.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Registry(_) => Kind::Registry,
            Self::ScopeMap(_) => Kind::ScopeMap,
            Self::Token(_) => Kind::Token,
            Self::Key(_) => Kind::Key,
        }
    }

    pub(super) fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        match self {
            Self::Registry(registry) => serde_json::to_value(registry),
            Self::ScopeMap(scope_map) => serde_json::to_value(scope_map),
            Self::Token(token) => serde_json::to_value(token),
            Self::Key(key) => serde_json::to_value(key),
        }
    }

    pub(super) fn from_json(kind: Kind, json: serde_json::Value) -> serde_json::Result<Self> {
        Ok(match kind {
            Kind::Registry => Self::Registry(serde_json::from_value(json)?),
            Kind::ScopeMap => Self::ScopeMap(serde_json::from_value(json)?),
            Kind::Token => Self::Token(serde_json::from_value(json)?),
            Kind::Key => Self::Key(serde_json::from_value(json)?),
        })
    }
}

/// The text of `object`.
pub(super) fn encode(key: &ObjectKey, object: &Object) -> Result<String, StoreError> {
    object.to_json().map(|json| json.to_string()).map_err(|error| damaged(key, &error))
}

/// The object that [`encode`] made `text` of.
pub(super) fn decode(key: &ObjectKey, text: &str) -> Result<Object, StoreError> {
    serde_json::from_str(text).and_then(|json| Object::from_json(key.kind, json)).map_err(|error| damaged(key, &error))
}

/// The error's text shows where the damage is, and at most a word of the record. There is no secret in clear in it.
fn damaged(key: &ObjectKey, error: &serde_json::Error) -> StoreError {
    let ObjectKey { registry, kind, name } = key;
    StoreError::Unusable(format!("the {} record `{name}` of `{registry}` is damaged: {error}", kind.word()))
}
