//! Locks: what may no longer be changed, deleted, read or listed, whoever asks (requirements B.8; S3-16).
//!
//! A lock is an attribute that is off. Attributes are of a repository, a tag or a manifest, each for itself: locking a tag
//! does not lock its manifest. The API sets them one by one; files lock tags by pattern.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::policy::origin::Origin;

/// The four attributes of ACR; all are on unless somebody switched them off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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

/// For how long its attributes do not count, and why: a lock that closes by itself again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unlock {
    pub until: Timestamp,
    pub reason: String,
    /// Who unlocked it.
    pub by: String,
}

/// A lock that forbids something: the reason of a 405.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    pub target: LockTarget,
    /// The name of the attribute that is off, or `writeOnce`.
    pub attribute: &'static str,
    /// What set it: a file with its line, or the API.
    pub origin: Origin,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is locked: `{}` is off ({})", self.target, self.attribute, self.origin)
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

/// What is known of tags at the moment of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagFacts {
    /// What the upstream says of each tag that was asked for; `None`: there is no such tag.
    pub tags: BTreeMap<Tag, Option<Digest>>,
    /// All names of tags in the repository, where they were asked for.
    pub names: Option<Vec<Tag>>,
    /// The digest of the manifest that is being pushed, where it is known.
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

/// All locks of a registry, of files and of the store.
#[derive(Debug, Clone, Default)]
pub struct Locks {}

impl Locks {
    /// What locks say to `touch` at `now`, knowing `facts`.
    pub fn judge(&self, touch: &Touch, facts: &TagFacts, now: Timestamp) -> Verdict {
        let _ = (touch, facts, now);
        Verdict::Free
    }

    /// The attributes in force at `now`: those of the store, less what files lock, unless it is unlocked for a while.
    pub fn effective(&self, target: &LockTarget, now: Timestamp) -> Attributes {
        let _ = (target, now);
        Attributes::default()
    }

    /// What the store has of it.
    pub fn stored(&self, target: &LockTarget) -> Option<&StoredAttributes> {
        let _ = target;
        None
    }

    /// Why the manifest that a tag led to may not be read.
    pub fn forbids_reading(&self, repository: &RepositoryName, digest: &Digest, now: Timestamp) -> Option<Lock> {
        let _ = (repository, digest, now);
        None
    }

    /// Whether any manifest of the repository may not be read, so that an answer without its digest cannot be judged.
    pub fn hides_manifests(&self, repository: &RepositoryName, now: Timestamp) -> bool {
        let _ = (repository, now);
        false
    }
}
