//! Attributes are changed: records of the store, which the policy in force is made of.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{AttributesChange, Metadata, MetadataError};
use crate::clock::Timestamp;
use crate::oci::{ErrorCode, Reference, RepositoryName, Tag};
use crate::policy::Registry;
use crate::policy::locks::{Attributes, LockTarget, StoredAttributes, Unlock};
use crate::store::{Expected, Kind, Object, ObjectKey, Record, Revision, StoreError, Write};

/// How often a change is tried when others change the same attributes.
const ATTEMPTS: usize = 20;
/// How long a change may take to be in force here.
const PATIENCE: Duration = Duration::from_secs(10);
/// Records of attributes that are read at a time.
const PAGE: u32 = 500;

impl Metadata {
    pub(super) async fn change_attributes(
        &self,
        registry: &Arc<Registry>,
        target: &LockTarget,
        change: &AttributesChange,
        by: &str,
    ) -> Result<(), MetadataError> {
        let key = key(&registry.name, target.to_string());
        let _change = self.parts.content.change(&registry.name, target.repository());
        for attempt in 0..ATTEMPTS {
            let now = self.parts.clock.now();
            let (before, expected) = self.stored_attributes(&key).await?;
            // What has a record may be gone from the upstream, and come again: its locks must not be for ever.
            if attempt == 0 && before.is_none() {
                self.must_be_there(registry, target).await?;
            }
            let object = changed(before.as_ref(), change, by, now)?.map(Object::Attributes);
            if object.is_none() && before.is_none() {
                return Ok(());
            }
            match self.parts.store.write(&[Write { key: key.clone(), object, expected }], now).await {
                Ok(revision) => return self.in_force(revision).await,
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(MetadataError::Store(format!("others change the attributes of `{target}` again and again")))
    }

    /// The record, and what a write expects of it. One that cannot be read has everything off, and is replaced.
    async fn stored_attributes(&self, key: &ObjectKey) -> Result<(Option<StoredAttributes>, Expected), MetadataError> {
        match self.parts.store.get(key).await {
            Ok(None) => Ok((None, Expected::Absent)),
            Ok(Some(Record { object: Object::Attributes(found), revision, .. })) => {
                Ok((Some(found), Expected::At(revision)))
            }
            Ok(Some(_)) | Err(StoreError::Unusable(_)) => {
                let attributes = Attributes::NONE;
                let lost = StoredAttributes { attributes, unlock: None, last_update_time: Timestamp::UNIX_EPOCH };
                Ok((Some(lost), Expected::Anything))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn must_be_there(&self, registry: &Arc<Registry>, target: &LockTarget) -> Result<(), MetadataError> {
        let (repository, reference) = match target {
            LockTarget::Repository(repository) => return self.show_repository(registry, repository).await.map(drop),
            LockTarget::Tag(repository, tag) => (repository, Reference::Tag(tag.clone())),
            LockTarget::Manifest(repository, digest) => (repository, Reference::Digest(digest.clone())),
        };
        let seen = self.look_up(registry, repository, reference).await?;
        seen.digest.map(drop).ok_or(MetadataError::Unknown(ErrorCode::ManifestUnknown))
    }

    async fn in_force(&self, revision: Revision) -> Result<(), MetadataError> {
        let waited = timeout(PATIENCE, self.parts.current.holds(revision.0)).await;
        waited.map_err(|_| MetadataError::Store("the change is stored, and not in force here yet".to_owned()))
    }

    /// The tag is gone, and what comes after it under its name is another one. What was set since it `began` to go stays.
    pub(super) async fn forget_tag_attributes(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        tag: &Tag,
        began: Timestamp,
    ) -> Result<(), MetadataError> {
        let name = LockTarget::Tag(repository.clone(), tag.clone()).to_string();
        let found = self.parts.store.get(&key(&registry.name, name)).await?;
        self.delete_records(found.into_iter().collect(), began).await
    }

    /// The repository is gone with all that was in it. What was set since it `began` to go stays.
    pub(super) async fn forget_all_attributes(
        &self,
        registry: &Registry,
        repository: &RepositoryName,
        began: Timestamp,
    ) -> Result<(), MetadataError> {
        let own = self.parts.store.get(&key(&registry.name, repository.to_string())).await?;
        self.delete_records(own.into_iter().collect(), began).await?;
        for prefix in [format!("{repository}:"), format!("{repository}@")] {
            let mut after = prefix.clone();
            loop {
                let listed = self.parts.store.list(&registry.name, Kind::Attributes, Some(&after), PAGE).await?;
                let some: Vec<_> = listed.into_iter().take_while(|one| one.key.name.starts_with(&prefix)).collect();
                let Some(last) = some.last() else { break };
                last.key.name.clone_into(&mut after);
                self.delete_records(some, began).await?;
            }
        }
        Ok(())
    }

    /// Those that were changed meanwhile stay.
    async fn delete_records(&self, records: Vec<Record>, began: Timestamp) -> Result<(), MetadataError> {
        let is_older = |record: &Record| match &record.object {
            Object::Attributes(attributes) => attributes.last_update_time <= began,
            _ => false,
        };
        for Record { key, revision, .. } in records.into_iter().filter(is_older) {
            let write = Write { key, object: None, expected: Expected::At(revision) };
            match self.parts.store.write(&[write], self.parts.clock.now()).await {
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn key(registry: &str, name: String) -> ObjectKey {
    ObjectKey { registry: registry.to_owned(), kind: Kind::Attributes, name }
}

/// What is kept after a change; `None`: nothing, since everything is on.
fn changed(
    before: Option<&StoredAttributes>,
    change: &AttributesChange,
    by: &str,
    now: Timestamp,
) -> Result<Option<StoredAttributes>, MetadataError> {
    let former = before.map(|before| before.attributes).unwrap_or_default();
    let attributes = Attributes {
        delete_enabled: change.delete_enabled.unwrap_or(former.delete_enabled),
        write_enabled: change.write_enabled.unwrap_or(former.write_enabled),
        read_enabled: change.read_enabled.unwrap_or(former.read_enabled),
        list_enabled: change.list_enabled.unwrap_or(former.list_enabled),
    };
    let unlock = match &change.unlock {
        // Whoever locks wants it locked now.
        None if change.locks() => None,
        None => before.and_then(|before| before.unlock.clone()).filter(|unlock| unlock.is_open(now)),
        Some(None) => None,
        Some(Some(_)) if attributes == Attributes::default() => {
            return Err(MetadataError::Invalid("there is nothing to unlock: all of its attributes are on"));
        }
        Some(Some((length, reason))) => Some(Unlock::begin(*length, reason, by, now).map_err(MetadataError::Invalid)?),
    };
    let is_nothing = attributes == Attributes::default() && unlock.is_none();
    Ok((!is_nothing).then_some(StoredAttributes { attributes, unlock, last_update_time: now }))
}
