//! The judgement: what locks say to what a request is about to do.

use std::collections::BTreeSet;

use super::stored::StoredLocksWithin;
use super::{Attribute, Attributes, Lock, LockRule, LockTarget, Locks, TagFacts, Touch, Verdict, WRITE_ONCE};
use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::policy::origin::Origin;

/// What keeps a thing from being removed: whatever may not be updated may not be deleted either (requirements B.8-3).
const REMOVAL: &[Attribute] = &[Attribute::Write, Attribute::Delete];
const WRITE: &[Attribute] = &[Attribute::Write];
const READ: &[Attribute] = &[Attribute::Read];

impl Locks {
    /// What locks say to `touch` at `now`, knowing `facts`. What is locked whatever the upstream has is said before
    /// anything is asked for.
    pub fn judge(&self, touch: &Touch, facts: &TagFacts, now: Timestamp) -> Verdict {
        if self.is_empty() {
            return Verdict::Free;
        }
        let here = self.here(touch.repository(), now);
        match touch {
            Touch::ReadManifest { reference, .. } => Verdict::of(here.bars_reading(reference)),
            Touch::ReadContent { .. } => Verdict::of(here.repository(READ)),
            Touch::WriteManifest { digest, tags, .. } => here.write_manifest(digest.as_ref(), tags, facts),
            Touch::WriteBlob { .. } => Verdict::of(here.repository(WRITE)),
            Touch::DeleteManifest { digest, .. } => here.delete_manifest(digest, facts),
            Touch::Untag { tag, .. } => Verdict::of(here.repository(WRITE).or_else(|| here.tag(tag, REMOVAL))),
            // Its repository's own `deleteEnabled` keeps the repository, not what is in it.
            Touch::DeleteBlob { .. } => here.delete_all(WRITE, facts),
            Touch::DeleteRepository { .. } => here.delete_all(REMOVAL, facts),
        }
    }

    /// Why the manifest that a tag led to may not be read.
    pub fn forbids_reading(&self, repository: &RepositoryName, digest: &Digest, now: Timestamp) -> Option<Lock> {
        self.here(repository, now).manifest(digest, READ)
    }

    /// Whether any manifest of the repository may not be read, so that an answer without its digest cannot be judged.
    pub fn hides_manifests(&self, repository: &RepositoryName, now: Timestamp) -> bool {
        self.here(repository, now).locked_manifest(READ).is_some()
    }

    fn here<'a>(&'a self, repository: &'a RepositoryName, now: Timestamp) -> Here<'a> {
        Here { repository, declared: &self.declared, stored: self.stored.within(repository), now }
    }
}

impl Verdict {
    fn of(lock: Option<Lock>) -> Self {
        lock.map_or(Self::Free, Self::Locked)
    }
}

/// The locks of one repository at one moment.
struct Here<'a> {
    repository: &'a RepositoryName,
    declared: &'a [LockRule],
    stored: Option<&'a StoredLocksWithin>,
    now: Timestamp,
}

impl<'a> Here<'a> {
    /// The lock that takes one of `needed` from the repository itself.
    fn repository(&self, needed: &[Attribute]) -> Option<Lock> {
        let stored = self.stored.and_then(|within| within.own.as_ref());
        let rules = self.declared.iter().filter(|rule| rule.covers_repository(self.repository));
        let (attribute, origin) = off(stored.map(|entry| entry.at(self.now)), rules, needed)?;
        Some(Lock { target: LockTarget::Repository(self.repository.clone()), attribute, origin })
    }

    /// The lock that takes one of `needed` from the tag.
    fn tag(&self, tag: &Tag, needed: &[Attribute]) -> Option<Lock> {
        let stored = self.stored.and_then(|within| within.tags.get(tag));
        let rules = self.declared.iter().filter(|rule| rule.covers_tag(self.repository, tag));
        let (attribute, origin) = off(stored.map(|entry| entry.at(self.now)), rules, needed)?;
        Some(Lock { target: self.tag_target(tag), attribute, origin })
    }

    /// The lock that takes one of `needed` from the manifest. Files lock none.
    fn manifest(&self, digest: &Digest, needed: &[Attribute]) -> Option<Lock> {
        let stored = self.stored?.manifests.get(digest)?;
        let attribute = first_off(stored.at(self.now), needed)?;
        let target = LockTarget::Manifest(self.repository.clone(), digest.clone());
        Some(Lock { target, attribute, origin: Origin::store() })
    }

    /// The same of any manifest: the first one, so that the answer is always the same.
    fn locked_manifest(&self, needed: &[Attribute]) -> Option<Lock> {
        let locked = self.stored?.manifests.iter().filter(|(_, entry)| first_off(entry.at(self.now), needed).is_some());
        self.manifest(locked.map(|(digest, _)| digest).min()?, needed)
    }

    fn bars_reading(&self, reference: &Reference) -> Option<Lock> {
        self.repository(READ).or_else(|| match reference {
            Reference::Tag(tag) => self.tag(tag, READ),
            Reference::Digest(digest) => self.manifest(digest, READ),
        })
    }

    fn write_manifest(&self, digest: Option<&Digest>, tags: &[Tag], facts: &TagFacts) -> Verdict {
        let by_digest = || digest.and_then(|digest| self.manifest(digest, WRITE));
        let by_tag = || tags.iter().find_map(|tag| self.tag(tag, WRITE));
        if let Some(lock) = self.repository(WRITE).or_else(by_digest).or_else(by_tag) {
            return Verdict::Locked(lock);
        }
        let once: Vec<_> = tags.iter().filter_map(|tag| Some((tag, self.write_once(tag)?))).collect();
        if let Some(needed) = unknown(once.iter().map(|(tag, _)| *tag), facts) {
            return needed;
        }
        let pushed = facts.pushed.as_ref().or(digest);
        // Nothing moves when the tag is of this manifest already.
        let moves = |tag: &Tag| facts.tags.get(tag).is_some_and(|there| there.is_some() && there.as_ref() != pushed);
        let first = once.into_iter().find(|(tag, _)| moves(tag));
        Verdict::of(first.map(|(tag, origin)| Lock {
            target: self.tag_target(tag),
            attribute: WRITE_ONCE,
            origin: origin.clone(),
        }))
    }

    /// The rule by which the tag may not be moved once it exists.
    fn write_once(&self, tag: &Tag) -> Option<&'a Origin> {
        let rule = self.declared.iter().find(|rule| rule.write_once && rule.covers_tag(self.repository, tag));
        rule.map(|rule| &rule.origin)
    }

    /// A manifest goes with all tags that lead to it.
    fn delete_manifest(&self, digest: &Digest, facts: &TagFacts) -> Verdict {
        if let Some(lock) = self.repository(WRITE).or_else(|| self.manifest(digest, REMOVAL)) {
            return Verdict::Locked(lock);
        }
        let Some(locked) = self.locked_tags(facts) else { return Verdict::NeedsNames };
        if let Some(needed) = unknown(&locked, facts) {
            return needed;
        }
        let leads_here = |tag: &&Tag| facts.tags.get(*tag).is_some_and(|there| there.as_ref() == Some(digest));
        Verdict::of(locked.iter().filter(leads_here).find_map(|tag| self.tag(tag, REMOVAL)))
    }

    /// Everything in the repository goes, or may: nothing in it is locked then. A lock of a tag that does not exist keeps
    /// nothing; whether a manifest exists nobody says without asking for each.
    fn delete_all(&self, needed: &[Attribute], facts: &TagFacts) -> Verdict {
        if let Some(lock) = self.repository(needed).or_else(|| self.locked_manifest(REMOVAL)) {
            return Verdict::Locked(lock);
        }
        let has_rules = self.tag_rules().next().is_some();
        if !has_rules && self.locked_stored_tags().next().is_none() {
            return Verdict::Free;
        }
        let Some(names) = &facts.names else { return Verdict::NeedsNames };
        Verdict::of(names.iter().find_map(|tag| self.tag(tag, REMOVAL)))
    }

    /// The tags that may not be removed, whether they exist or not; `None` where that depends on which there are.
    fn locked_tags(&self, facts: &TagFacts) -> Option<BTreeSet<Tag>> {
        let mut locked: BTreeSet<Tag> = self.locked_stored_tags().cloned().collect();
        for pattern in self.tag_rules().filter_map(|rule| rule.tags.as_ref()) {
            match pattern.exact() {
                Some(tag) => {
                    locked.insert(tag);
                }
                None => locked.extend(facts.names.as_ref()?.iter().filter(|tag| pattern.covers(tag)).cloned()),
            }
        }
        Some(locked)
    }

    /// Those that the store has.
    fn locked_stored_tags(&self) -> impl Iterator<Item = &'a Tag> {
        let now = self.now;
        let all = self.stored.into_iter().flat_map(|within| within.tags.iter());
        all.filter(move |(_, entry)| first_off(entry.at(now), REMOVAL).is_some()).map(|(tag, _)| tag)
    }

    /// The rules by which tags of the repository may not be removed.
    fn tag_rules(&self) -> impl Iterator<Item = &'a LockRule> {
        let repository = self.repository;
        let removal = |rule: &&LockRule| rule.tags.is_some() && first_off(rule.attributes, REMOVAL).is_some();
        self.declared.iter().filter(removal).filter(move |rule| rule.repositories.covers(repository))
    }

    fn tag_target(&self, tag: &Tag) -> LockTarget {
        LockTarget::Tag(self.repository.clone(), tag.clone())
    }
}

/// The first of `needed` that is off.
fn first_off(attributes: Attributes, needed: &[Attribute]) -> Option<&'static str> {
    needed.iter().find(|one| !one.is_on(attributes)).map(|one| one.name())
}

/// The same in what the store has of a thing, else in one of the rules for it, and where that is said.
fn off<'a>(
    stored: Option<Attributes>,
    mut rules: impl Iterator<Item = &'a LockRule>,
    needed: &[Attribute],
) -> Option<(&'static str, Origin)> {
    let stored = stored.and_then(|attributes| first_off(attributes, needed)).map(|name| (name, Origin::store()));
    let declared = |rule: &LockRule| Some((first_off(rule.attributes, needed)?, rule.origin.clone()));
    stored.or_else(|| rules.find_map(declared))
}

/// What is to be asked of the upstream, where it is not known of each of `tags`.
fn unknown<'a>(tags: impl IntoIterator<Item = &'a Tag>, facts: &TagFacts) -> Option<Verdict> {
    let unknown: Vec<Tag> = tags.into_iter().filter(|tag| !facts.tags.contains_key(tag)).cloned().collect();
    (!unknown.is_empty()).then_some(Verdict::NeedsTags(unknown))
}
