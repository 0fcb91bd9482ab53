//! Locks: what may no longer be changed, deleted, read or listed, whoever asks (requirements B.8; S3-16).
//!
//! A lock is an attribute that is off. Attributes are of a repository, a tag or a manifest, each for itself: locking a tag
//! does not lock its manifest. The API sets them one by one; files lock tags by pattern, and say which tags are written
//! once only.
//!
//! Pure like all of the policy: where a lock depends on what there is at the upstream, [`Locks::judge`] says what it has to
//! know, and is asked again.

mod compile;
mod document;
mod judge;
mod lint;
mod pattern;
mod rule;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::policy::origin::Origin;

pub use document::LockRuleDocument;

pub(in crate::policy) use compile::compile;
pub(in crate::policy) use lint::lint;
pub(in crate::policy) use rule::LockRule;
pub(in crate::policy) use stored::{StoredEntry, StoredLocks};

/// The four attributes of ACR; all are on unless somebody switched them off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are ACR's, each on or off by itself")]
pub struct Attributes {
    pub delete_enabled: bool,
    /// Off: neither updates nor deletes.
    pub write_enabled: bool,
    pub read_enabled: bool,
    /// Off: left out of lists.
    pub list_enabled: bool,
}

impl Default for Attributes {
    fn default() -> Self {
        Self { delete_enabled: true, write_enabled: true, read_enabled: true, list_enabled: true }
    }
}

impl Attributes {
    /// What is on in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            delete_enabled: self.delete_enabled && other.delete_enabled,
            write_enabled: self.write_enabled && other.write_enabled,
            read_enabled: self.read_enabled && other.read_enabled,
            list_enabled: self.list_enabled && other.list_enabled,
        }
    }

    /// All off: those of a record that cannot be read.
    pub const NONE: Self =
        Self { delete_enabled: false, write_enabled: false, read_enabled: false, list_enabled: false };
}

/// Those of the attributes that forbid something, each by itself. `listEnabled` forbids nothing: it hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Write,
    Delete,
    Read,
}

impl Attribute {
    /// ACR's name.
    const fn name(self) -> &'static str {
        match self {
            Self::Write => "writeEnabled",
            Self::Delete => "deleteEnabled",
            Self::Read => "readEnabled",
        }
    }

    const fn is_on(self, attributes: Attributes) -> bool {
        match self {
            Self::Write => attributes.write_enabled,
            Self::Delete => attributes.delete_enabled,
            Self::Read => attributes.read_enabled,
        }
    }
}

/// What has attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockTarget {
    Repository(RepositoryName),
    Tag(RepositoryName, Tag),
    Manifest(RepositoryName, Digest),
}

impl fmt::Display for LockTarget {
    /// `repository`, `repository:tag` or `repository@digest`: the name of its record too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(name) => write!(f, "{name}"),
            Self::Tag(name, tag) => write!(f, "{name}:{}", tag.as_str()),
            Self::Manifest(name, digest) => write!(f, "{name}@{digest}"),
        }
    }
}

impl LockTarget {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((name, digest)) = text.split_once('@') {
            return Some(Self::Manifest(RepositoryName::parse(name).ok()?, Digest::parse(digest).ok()?));
        }
        if let Some((name, tag)) = text.rsplit_once(':') {
            return Some(Self::Tag(RepositoryName::parse(name).ok()?, Tag::parse(tag).ok()?));
        }
        RepositoryName::parse(text).ok().map(Self::Repository)
    }

    /// The repository that it is or is in.
    pub const fn repository(&self) -> &RepositoryName {
        match self {
            Self::Repository(name) | Self::Tag(name, _) | Self::Manifest(name, _) => name,
        }
    }
}

/// The attributes of one thing as the store keeps them. A property that only a newer version knows makes it unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredAttributes {
    pub attributes: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlock: Option<Unlock>,
    pub last_update_time: Timestamp,
}

impl StoredAttributes {
    /// Those in force at `now`: all are on while it is unlocked.
    pub fn at(&self, now: Timestamp) -> Attributes {
        match &self.unlock {
            Some(unlock) if unlock.is_open(now) => Attributes::default(),
            Some(_) | None => self.attributes,
        }
    }
}

/// For how long its attributes do not count, and why: a lock that closes by itself again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unlock {
    pub until: Timestamp,
    pub reason: String,
    /// Who unlocked it.
    pub by: String,
}

impl Unlock {
    /// The longest one.
    pub const LONGEST: Duration = Duration::from_hours(24);
    /// The longest reason, in characters.
    pub const LONGEST_REASON: usize = 256;

    /// One that begins at `now`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the time or the reason.
    pub fn begin(length: Duration, reason: &str, by: &str, now: Timestamp) -> Result<Self, &'static str> {
        if length.is_zero() || length > Self::LONGEST {
            return Err("an unlock lasts longer than nothing, and 24 hours at most");
        }
        let is_line = !reason.trim().is_empty() && !reason.contains(char::is_control);
        if !is_line || reason.chars().count() > Self::LONGEST_REASON {
            return Err("an unlock has a reason: one line of at most 256 characters");
        }
        let until = now.checked_add(length).map_err(|_| "the unlock would end after the end of time")?;
        Ok(Self { until, reason: reason.to_owned(), by: by.to_owned() })
    }

    /// Whether it has not ended at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

/// In place of an attribute's name: the tag exists and may not be moved.
pub const WRITE_ONCE: &str = "writeOnce";

/// A lock that forbids something: the reason of a 405.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    pub target: LockTarget,
    /// The name of the attribute that is off, or [`WRITE_ONCE`].
    pub attribute: &'static str,
    /// What set it: a file with its line, or the API.
    pub origin: Origin,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, attribute, origin } = self;
        if *attribute == WRITE_ONCE {
            return write!(f, "`{target}` is locked: it is written once only ({origin})");
        }
        write!(f, "`{target}` is locked: `{attribute}` is off ({origin})")
    }
}

/// What a request is about to do, as far as locks are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// A manifest is read, by tag or digest; the digest that a tag leads to is judged when the upstream has said it, by
    /// [`Locks::forbids_reading`].
    ReadManifest {
        repository: RepositoryName,
        reference: Reference,
    },
    /// A blob is read, or mounted from here, or the list of a manifest's referrers is.
    ReadContent {
        repository: RepositoryName,
    },
    /// A manifest is pushed: `digest` when the path names it, and all tags that move to it.
    WriteManifest {
        repository: RepositoryName,
        digest: Option<Digest>,
        tags: Vec<Tag>,
    },
    /// An upload is begun, continued, completed or cancelled, or a blob is mounted.
    WriteBlob {
        repository: RepositoryName,
    },
    DeleteManifest {
        repository: RepositoryName,
        digest: Digest,
    },
    /// A tag goes; its manifest stays.
    Untag {
        repository: RepositoryName,
        tag: Tag,
    },
    /// Refused while anything in the repository is locked against deletion: nobody knows here whose layer it is.
    DeleteBlob {
        repository: RepositoryName,
    },
    DeleteRepository {
        repository: RepositoryName,
    },
}

impl Touch {
    /// The repository that is touched.
    pub const fn repository(&self) -> &RepositoryName {
        match self {
            Self::ReadManifest { repository, .. }
            | Self::ReadContent { repository }
            | Self::WriteManifest { repository, .. }
            | Self::WriteBlob { repository }
            | Self::DeleteManifest { repository, .. }
            | Self::Untag { repository, .. }
            | Self::DeleteBlob { repository }
            | Self::DeleteRepository { repository } => repository,
        }
    }
}

/// What is known of tags at the moment of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagFacts {
    /// What the upstream says of each tag that was asked for; `None`: there is no such tag.
    pub tags: BTreeMap<Tag, Option<Digest>>,
    /// All names of tags in the repository, where they were asked for.
    pub names: Option<Vec<Tag>>,
    /// The digest of the manifest that is being pushed, where it is known. A write-once tag that exists is not pushed
    /// without.
    pub pushed: Option<Digest>,
}

/// What locks say to a touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Free,
    Locked(Lock),
    /// It depends on these tags: ask the upstream, and ask again with what it says.
    NeedsTags(Vec<Tag>),
    /// It depends on which tags there are: ask again with all names.
    NeedsNames,
}

/// All locks of a registry, of files and of the store. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    declared: Arc<[LockRule]>,
    stored: StoredLocks,
}

impl Locks {
    pub(in crate::policy) fn new(declared: &Arc<[LockRule]>, stored: &StoredLocks) -> Self {
        Self { declared: Arc::clone(declared), stored: stored.clone() }
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.declared.is_empty() && self.stored.is_empty()
    }

    /// The attributes in force at `now`: those of the store, all on while it is unlocked, less what files lock.
    pub fn effective(&self, target: &LockTarget, now: Timestamp) -> Attributes {
        let stored = self.stored.find(target).map_or_else(Attributes::default, |entry| entry.at(now));
        let rules = self.declared.iter().filter(|rule| rule.covers(target));
        rules.fold(stored, |attributes, rule| attributes.and(rule.attributes))
    }

    /// What the store has of it; `None` also where that cannot be read, and everything is off.
    pub fn stored(&self, target: &LockTarget) -> Option<&StoredAttributes> {
        self.stored.find(target).and_then(StoredEntry::record)
    }
}
