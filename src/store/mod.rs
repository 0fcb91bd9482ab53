//! Durable records: what the management API changes, the keys that replicas share, and when passwords were last used.
//!
//! One trait, two databases: SQLite for one machine, PostgreSQL for replicas. Both pass one conformance suite. Nothing here
//! knows what a record means; secrets arrive as hashes or sealed.

pub mod backup;
mod body;
mod contents;
mod database;
mod former;
pub mod index;
mod pages;
mod postgres;
mod rows;
mod schema;
mod session;
mod settings;
mod sqlite;
mod writing;

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::policy::credential::CredentialId;
use crate::policy::locks::StoredAttributes;
use crate::policy::stored::{
    StoredIdentity, StoredPrivateEndpointConnection, StoredRegistry, StoredRoleAssignment, StoredScopeMap, StoredToken,
};
use crate::secret::Sealed;

pub use contents::{Contents, Existing};
pub use database::{Database, open};
pub use settings::{MalformedStoreUrl, Settings, StoreUrl};

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    Registry,
    ScopeMap,
    Token,
    Key,
    Identity,
    RoleAssignment,
    PrivateEndpointConnection,
    /// Of a repository, a tag or a manifest; the name says of which.
    Attributes,
}

/// The name of a record. Exact, case and all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Empty for what belongs to the whole installation.
    pub registry: String,
    pub kind: Kind,
    /// Empty for the registry's own properties.
    pub name: String,
}

/// The contents of a record; its variant agrees with the [`Kind`] of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    Registry(StoredRegistry),
    ScopeMap(StoredScopeMap),
    Token(StoredToken),
    Key(StoredKey),
    Identity(StoredIdentity),
    RoleAssignment(StoredRoleAssignment),
    PrivateEndpointConnection(StoredPrivateEndpointConnection),
    Attributes(StoredAttributes),
}

/// A key that all replicas share, sealed under the operator's encryption key for the place `["key", id]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredKey {
    /// The record's name too.
    pub id: String,
    pub purpose: KeyPurpose,
    /// `RS256` or `ES256` for signing keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    pub creation_date: Timestamp,
    /// Signing keys sign from this moment on, so that every replica knows them by then.
    pub active_from: Timestamp,
    /// Nothing is accepted by this key from this moment on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<Timestamp>,
    pub sealed: Sealed,
    /// A signing key's certificate, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// What a shared key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyPurpose {
    /// Signs access and refresh tokens.
    Signing,
    /// Digests passwords and upload locations. It cannot be replaced without replacing every password.
    Hash,
    /// The owner's credential for the management API.
    Management,
}

/// Counts the acknowledged writes of a store. Every write has its own; whoever has applied one has seen all before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// How far a reader has read. Another generation is another history, as after a restore: read everything anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub generation: String,
    pub revision: Revision,
    /// The number of the connection on which it was read, within this process. At the end of another one there may be
    /// another server, such as a standby that had not received the last writes and took over: its later writes have the
    /// same revisions, and say something else. Zero where nothing was read to be followed.
    pub connection: u64,
}

/// A record as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: ObjectKey,
    pub object: Object,
    /// Of its last change.
    pub revision: Revision,
}

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub key: ObjectKey,
    /// `None` deletes.
    pub object: Option<Object>,
    pub expected: Expected,
}

/// What must hold of the record for the batch to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Anything,
    Absent,
    /// It exists and was last changed by this revision.
    At(Revision),
}

/// A record that was written or deleted since a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: ObjectKey,
    /// `None`: deleted.
    pub object: Option<Object>,
    pub revision: Revision,
    /// By the writer's clock, to the microsecond.
    pub written_at: Timestamp,
}

/// What happened since a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Where the reader is after it.
    pub position: Position,
    /// These are all records there are, not only the changed ones: forget what you had.
    pub everything: bool,
    /// In the order of their revisions.
    pub changes: Vec<Change>,
    /// What was written too, but cannot be read by this version. Each concerns one record: the others count.
    pub unreadable: Vec<Unreadable>,
}

impl Changes {
    /// Nothing is new at `position`.
    pub const fn none(position: Position) -> Self {
        Self { position, everything: false, changes: Vec::new(), unreadable: Vec::new() }
    }
}

/// A record that is damaged, or that a newer version wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub key: ObjectKey,
    pub revision: Revision,
    /// A sentence without secrets.
    pub reason: String,
}

/// When (to the microsecond) and from where a password was used last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastUse {
    pub credential: CredentialId,
    pub at: Timestamp,
    pub address: IpAddr,
}

/// Why a store did not do what it was asked to. Nothing of it was done then.
#[derive(Debug, Error)]
pub enum StoreError {
    /// An [`Expected`] does not hold.
    #[error("the record {key:?} was changed meanwhile")]
    Conflict { key: ObjectKey, found: Option<Revision> },
    /// It cannot be reached or does not answer; trying again later may help.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What is in it cannot be used by this version, or is damaged.
    #[error("the store cannot be used: {0}")]
    Unusable(String),
}

/// A database of records. All methods may be called at the same time.
#[async_trait]
pub trait Store: std::fmt::Debug + Send + Sync {
    /// The record `key`, if it exists.
    async fn get(&self, key: &ObjectKey) -> Result<Option<Record>, StoreError>;

    /// At most `limit` records of a registry and kind, by name in byte order, after the name `after`. What cannot be read is
    /// left out.
    async fn list(
        &self,
        registry: &str,
        kind: Kind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError>;

    /// How many records of a registry and kind there are.
    async fn count(&self, registry: &str, kind: Kind) -> Result<u64, StoreError>;

    /// Applies all of `batch`, durably, or nothing. All writes of a batch share the returned revision.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one of the expectations does not hold. After [`StoreError::Unavailable`] it is
    /// unknown whether the batch was applied.
    async fn write(&self, batch: &[Write], now: Timestamp) -> Result<Revision, StoreError>;

    /// What changed since `since`; `None` reads everything. So does a position of another history or connection.
    async fn changes(&self, since: Option<&Position>) -> Result<Changes, StoreError>;

    /// Ticks when something may have changed: after a write of this process, on a notification, after a reconnect. Only a
    /// hint: whoever must not miss anything asks [`Store::changes`] now and then too.
    fn hints(&self) -> watch::Receiver<u64>;

    /// Keeps the latest use of each credential.
    async fn note_uses(&self, uses: &[LastUse]) -> Result<(), StoreError>;

    /// The last uses of those of `credentials` that were used.
    async fn last_uses(&self, credentials: &[CredentialId]) -> Result<Vec<LastUse>, StoreError>;
}
