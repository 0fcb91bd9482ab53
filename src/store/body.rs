//! Records as the text that a database or a backup keeps.

use std::collections::BTreeSet;

use super::{Kind, Object, ObjectKey, StoreError};
use crate::policy::credential::CredentialId;
use crate::policy::stored::StoredPassword;

impl Kind {
    /// The word that a database has for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::ScopeMap => "scopeMap",
            Self::Token => "token",
            Self::Key => "key",
            Self::Identity => "identity",
            Self::RoleAssignment => "roleAssignment",
            Self::PrivateEndpointConnection => "privateEndpointConnection",
            Self::Attributes => "attributes",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        let all = [
            Self::Registry,
            Self::ScopeMap,
            Self::Token,
            Self::Key,
            Self::Identity,
            Self::RoleAssignment,
            Self::PrivateEndpointConnection,
            Self::Attributes,
        ];
        all.into_iter().find(|kind| kind.word() == word)
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
            Self::Identity(_) => Kind::Identity,
            Self::RoleAssignment(_) => Kind::RoleAssignment,
            Self::PrivateEndpointConnection(_) => Kind::PrivateEndpointConnection,
            Self::Attributes(_) => Kind::Attributes,
        }
    }

    /// The credentials of which it has the passwords.
    pub(super) fn credentials(&self) -> BTreeSet<CredentialId> {
        let passwords = match self {
            Self::Registry(registry) => registry.admin_passwords.as_slice(),
            Self::Token(token) => &token.passwords,
            Self::Identity(identity) => &identity.secrets,
            Self::ScopeMap(_)
            | Self::Key(_)
            | Self::RoleAssignment(_)
            | Self::PrivateEndpointConnection(_)
            | Self::Attributes(_) => &[],
        };
        passwords.iter().flat_map(StoredPassword::credentials).collect()
    }

    pub(super) fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        match self {
            Self::Registry(registry) => serde_json::to_value(registry),
            Self::ScopeMap(scope_map) => serde_json::to_value(scope_map),
            Self::Token(token) => serde_json::to_value(token),
            Self::Key(key) => serde_json::to_value(key),
            Self::Identity(identity) => serde_json::to_value(identity),
            Self::RoleAssignment(assignment) => serde_json::to_value(assignment),
            Self::PrivateEndpointConnection(connection) => serde_json::to_value(connection),
            Self::Attributes(attributes) => serde_json::to_value(attributes),
        }
    }

    pub(super) fn from_json(kind: Kind, json: serde_json::Value) -> serde_json::Result<Self> {
        Ok(match kind {
            Kind::Registry => Self::Registry(serde_json::from_value(json)?),
            Kind::ScopeMap => Self::ScopeMap(serde_json::from_value(json)?),
            Kind::Token => Self::Token(serde_json::from_value(json)?),
            Kind::Key => Self::Key(serde_json::from_value(json)?),
            Kind::Identity => Self::Identity(serde_json::from_value(json)?),
            Kind::RoleAssignment => Self::RoleAssignment(serde_json::from_value(json)?),
            Kind::PrivateEndpointConnection => Self::PrivateEndpointConnection(serde_json::from_value(json)?),
            Kind::Attributes => Self::Attributes(serde_json::from_value(json)?),
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

/// The error's text shows where the trouble is, and at most a word of the record. There is no secret in clear in it.
fn damaged(key: &ObjectKey, error: &serde_json::Error) -> StoreError {
    let ObjectKey { registry, kind, name } = key;
    StoreError::Unusable(format!("the {} record `{name}` of `{registry}` cannot be read: {error}", kind.word()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The places of all objects in `json` whose members are properties.
    fn places(json: &Value, place: &str, found: &mut Vec<String>) {
        match json {
            Value::Object(members) => {
                found.push(place.to_owned());
                members.iter().for_each(|(name, member)| places(member, &format!("{place}/{name}"), found));
            }
            Value::Array(elements) => {
                elements.iter().enumerate().for_each(|(at, one)| places(one, &format!("{place}/{at}"), found));
            }
            _ => {}
        }
    }

    #[test]
    fn a_property_that_only_a_newer_version_knows_makes_the_record_unreadable() {
        let guid = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
        let (id, time) = ("0123456789abcdef0123456789abcdef", "2026-11-21T12:00:00Z");
        let replaced = json!({ "id": id, "hash": "x", "until": time });
        let password = json!({ "name": "a", "id": id, "hash": "x", "creationTime": time, "replaced": replaced });
        let rule = json!({ "value": "192.0.2.0/24" });
        let network = json!({ "name": "a", "match": { "listener": "a" } });
        let cases = [
            (
                Kind::Registry,
                json!({ "ipRules": [rule], "virtualNetworkRules": [network], "adminPasswords": [password] }),
                6,
            ),
            (Kind::ScopeMap, json!({ "actions": [], "creationDate": time }), 1),
            (Kind::Token, json!({ "id": id, "scopeMap": "a", "passwords": [password], "creationDate": time }), 3),
            (
                Kind::Key,
                json!({ "id": "a", "purpose": "hash", "creationDate": time, "activeFrom": time, "sealed": "x" }),
                1,
            ),
            (
                Kind::Identity,
                json!({
                    "id": id, "kind": "User", "principalId": guid, "clientId": guid, "creationDate": time,
                    "matches": [{ "provider": "corp", "claims": {} }], "secrets": [password],
                }),
                5,
            ),
            (
                Kind::RoleAssignment,
                json!({ "principalId": guid, "grants": { "role": "x" }, "createdBy": "x", "creationDate": time }),
                2,
            ),
            (
                Kind::PrivateEndpointConnection,
                json!({ "match": { "linkId": 1 }, "status": "Pending", "creationDate": time }),
                2,
            ),
            (
                Kind::Attributes,
                json!({
                    "attributes": { "deleteEnabled": true, "writeEnabled": false, "readEnabled": true, "listEnabled": true },
                    "unlock": { "until": time, "reason": "x", "by": "x" }, "lastUpdateTime": time,
                }),
                3,
            ),
        ];
        for (kind, known, count) in cases {
            Object::from_json(kind, known.clone()).unwrap();
            let mut found = Vec::new();
            places(&known, "", &mut found);
            assert_eq!(found.len(), count, "{found:?}");
            for place in found {
                let mut newer = known.clone();
                newer.pointer_mut(&place).unwrap()["newer"] = json!(true);
                let error = Object::from_json(kind, newer).unwrap_err().to_string();
                // In these any name may stand, but not with that value, or not beside another one.
                let any_name = ["/claims", "/grants", "/match"].iter().any(|one| place.ends_with(one));
                assert!(any_name || error.contains("unknown field `newer`"), "{kind:?} {place}: {error}");
            }
        }
    }
}
