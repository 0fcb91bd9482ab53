//! Private endpoint connections that the API has made, compiled record by record, and how they meet those of the files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::stored::{Told, checked};
use crate::policy::document::ConnectionStatus;
use crate::policy::names;
use crate::policy::network::{EndpointMatch, PrivateEndpointConnection, PrivateEndpoints};
use crate::policy::origin::Origin;
use crate::policy::stored::StoredPrivateEndpointConnection;

/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 1024;

/// The records of one registry.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct StoredEndpoints {
    known: BTreeMap<Arc<str>, Arc<PrivateEndpointConnection>>,
    /// The names of those of which nobody knows what they match.
    lost: BTreeSet<Arc<str>>,
}

impl StoredEndpoints {
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.lost.is_empty()
    }

    /// By name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<PrivateEndpointConnection>> {
        self.known.values()
    }

    /// The record `name` as it is now; `None`: it was deleted.
    pub(super) fn set(&mut self, name: &str, set: Option<&StoredPrivateEndpointConnection>, told: &mut Told<'_>) {
        self.known.remove(name);
        self.lost.remove(name);
        let Some(set) = set else { return };
        match compile(name, set, told) {
            Some(connection) => {
                self.known.insert(Arc::clone(&connection.name), Arc::new(connection));
            }
            None => {
                self.lost.insert(name.into());
            }
        }
    }

    /// The record `name` cannot be read: nobody is admitted through its endpoint, as far as it was known `before` which one
    /// that is.
    pub(super) fn lose(&mut self, name: &str, before: &Self) {
        self.known.remove(name);
        self.lost.remove(name);
        match before.known.get_key_value(name) {
            Some((name, known)) => {
                let closed = PrivateEndpointConnection {
                    status: ConnectionStatus::Disconnected,
                    description: "what the store has of it cannot be read".to_owned(),
                    ..PrivateEndpointConnection::clone(known)
                };
                self.known.insert(Arc::clone(name), Arc::new(closed));
            }
            None => {
                self.lost.insert(name.into());
            }
        }
    }

    /// These and those that files declare, which come first: what they name or match is theirs. Of two stored ones with one
    /// match, which replicas can make at the same moment, one that admits nobody counts.
    pub(in crate::policy) fn beside(&self, declared: &Arc<PrivateEndpoints>) -> Arc<PrivateEndpoints> {
        if self.is_empty() {
            return Arc::clone(declared);
        }
        let mut stored: Vec<_> = self.iter().filter(|one| declared.named(&one.name).is_none()).cloned().collect();
        stored.sort_by_key(|one| one.status == ConnectionStatus::Approved);
        let all = PrivateEndpoints::new(declared.connections().iter().cloned().chain(stored));
        Arc::new(all.after(declared).with_unreadable(!self.lost.is_empty()))
    }
}

/// Checks what somebody is about to store.
///
/// # Errors
/// The first thing without effect in it, in a sentence.
pub fn check_private_endpoint_connection(name: &str, set: &StoredPrivateEndpointConnection) -> Result<(), String> {
    checked(|told| {
        compile(name, set, told);
    })
}

fn compile(
    name: &str,
    set: &StoredPrivateEndpointConnection,
    told: &mut Told<'_>,
) -> Option<PrivateEndpointConnection> {
    if let Err(error) = names::check_endpoint_connection(name) {
        return told.without_effect(&error);
    }
    let StoredPrivateEndpointConnection { matches, status, description, actions_required: _, creation_date: _ } = set;
    let matches = match EndpointMatch::of_stored(matches) {
        Ok(matches) => matches,
        Err(error) => return told.without_effect(&error),
    };
    if description.contains(char::is_control) || description.chars().count() > LONGEST_DESCRIPTION {
        told.push(&format!(
            "a description is one line without control characters, of at most {LONGEST_DESCRIPTION} characters"
        ));
    }
    Some(PrivateEndpointConnection {
        name: name.into(),
        matches,
        status: *status,
        description: description.clone(),
        origin: Origin::store(),
    })
}
