//! Records for the tests of this room.

use crate::clock::Timestamp;
use crate::policy::credential::PrincipalId;
use crate::policy::document::TokenStatus;
use crate::policy::stored::{StoredNetworks, StoredScopeMap, StoredToken};
use crate::secret::HashKey;
use crate::store::{Change, Changes, Kind, Object, ObjectKey, Position, Revision};

pub(super) fn key(registry: &str, kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { registry: registry.to_owned(), kind, name: name.to_owned() }
}

/// A write at the beginning of time.
pub(super) fn change(revision: u64, key: ObjectKey, object: Option<Object>) -> Change {
    Change { key, object, revision: Revision(revision), written_at: Timestamp::UNIX_EPOCH }
}

pub(super) fn changes(revision: u64, everything: bool, changes: Vec<Change>) -> Changes {
    let position = Position { generation: "first".to_owned(), revision: Revision(revision), connection: 0 };
    Changes { position, everything, changes, unreadable: Vec::new() }
}

pub(super) fn scope_map(actions: &[&str]) -> StoredScopeMap {
    let actions = actions.iter().map(ToString::to_string).collect();
    StoredScopeMap {
        description: String::new(),
        actions,
        networks: StoredNetworks::default(),
        creation_date: Timestamp::UNIX_EPOCH,
    }
}

/// A token without a password.
pub(super) fn token(scope_map: &str) -> StoredToken {
    StoredToken {
        id: PrincipalId::derive(&HashKey::from_bytes([0; 32]), "test", &[scope_map.as_bytes()]),
        scope_map: scope_map.to_owned(),
        additional_scope_maps: Vec::new(),
        status: TokenStatus::Enabled,
        passwords: Vec::new(),
        networks: StoredNetworks::default(),
        creation_date: Timestamp::UNIX_EPOCH,
    }
}
