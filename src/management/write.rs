//! How records change: read, change, write back if nobody else has changed them meanwhile, else begin anew.

use serde::Serialize;
use serde_json::{Map, Value};

use super::call::{Call, Condition};
use super::error::ApiError;
use crate::policy::stored::{
    StoredIdentity, StoredPrivateEndpointConnection, StoredRegistry, StoredRoleAssignment, StoredScopeMap, StoredToken,
};
use crate::store::{Expected, Kind, Object, ObjectKey, Revision, StoreError, Write};

/// How often a change begins anew when others change the same record.
const ATTEMPTS: usize = 5;

/// The contents of one kind of record.
pub(super) trait Contents: Clone + PartialEq + Serialize + Send + Sync {
    const KIND: Kind;

    /// `None` when the object is of another kind.
    fn of(object: Object) -> Option<Self>;
    fn object(self) -> Object;
}

macro_rules! contents {
    ($type:ty, $kind:ident) => {
        impl Contents for $type {
            const KIND: Kind = Kind::$kind;

            fn of(object: Object) -> Option<Self> {
                if let Object::$kind(contents) = object { Some(contents) } else { None }
            }

            fn object(self) -> Object {
                Object::$kind(self)
            }
        }
    };
}

contents!(StoredRegistry, Registry);
contents!(StoredScopeMap, ScopeMap);
contents!(StoredToken, Token);
contents!(StoredIdentity, Identity);
contents!(StoredRoleAssignment, RoleAssignment);
contents!(StoredPrivateEndpointConnection, PrivateEndpointConnection);

/// What is to become of a record.
#[derive(Debug)]
pub(super) enum Change<T> {
    Put(T),
    Delete,
}

/// A record as it is after a change.
#[derive(Debug)]
pub(super) struct Changed<T> {
    /// What it was; `None` where there was none, or nobody could read it.
    pub(super) before: Option<T>,
    /// `None`: it is gone.
    pub(super) contents: Option<T>,
    /// Of its last change; `None` when there never was one.
    pub(super) revision: Option<Revision>,
    /// Whether it was there before.
    pub(super) existed: bool,
    /// The names of the properties that are not as before.
    pub(super) names: Vec<String>,
}

/// The contents of the record `key`, and the revision of their last change.
pub(super) async fn read<T: Contents>(call: &Call, key: &ObjectKey) -> Result<Option<(T, Revision)>, ApiError> {
    let Some(record) = call.parts.store.get(key).await? else { return Ok(None) };
    let contents = T::of(record.object).ok_or_else(|| ApiError::internal(&"a record of another kind"))?;
    Ok(Some((contents, record.revision)))
}

/// Changes the record `key` by `change`, which is given its contents, and begins anew when others changed it meanwhile. What
/// stays as it was is not written.
///
/// # Errors
/// Those of `change`; 412 when the request's condition does not hold; the store's.
pub(super) async fn modify<T: Contents>(
    call: &Call,
    key: ObjectKey,
    change: impl Fn(Option<T>) -> Result<Change<T>, ApiError> + Send + Sync,
) -> Result<Changed<T>, ApiError> {
    modify_with(call, key, &[], change).await
}

/// As [`modify`], and where the record is written `further` is too, at once with it.
async fn modify_with<T: Contents>(
    call: &Call,
    key: ObjectKey,
    further: &[Write],
    change: impl Fn(Option<T>) -> Result<Change<T>, ApiError> + Send + Sync,
) -> Result<Changed<T>, ApiError> {
    let mut conflict = None;
    for _ in 0..ATTEMPTS {
        let (before, found) = read::<T>(call, &key).await?.unzip();
        call.condition.check(found)?;
        let contents = match change(before.clone())? {
            Change::Put(contents) => Some(contents),
            Change::Delete => None,
        };
        let existed = before.is_some();
        if contents == before {
            return Ok(Changed { before, contents, revision: found, existed, names: Vec::new() });
        }
        let write = Write {
            key: key.clone(),
            object: contents.clone().map(Contents::object),
            expected: found.map_or(Expected::Absent, Expected::At),
        };
        let batch: Vec<_> = std::iter::once(write).chain(further.iter().cloned()).collect();
        match call.parts.store.write(&batch, call.now).await {
            Ok(revision) => {
                let names = difference(before.as_ref(), contents.as_ref());
                return Ok(Changed { before, contents, revision: Some(revision), existed, names });
            }
            Err(error @ StoreError::Conflict { .. }) => conflict = Some(error),
            Err(error) => return Err(write_failed(error)),
        }
    }
    Err(conflict.map_or_else(|| ApiError::internal(&"no attempt was made"), ApiError::from))
}

/// Deletes the record `key` if it `may` be. One that nobody can read, because it is damaged or a newer version wrote it, is
/// deleted as it is: there is no other way to be rid of it.
///
/// # Errors
/// As [`modify`].
pub(super) async fn delete<T: Contents>(
    call: &Call,
    key: ObjectKey,
    may: impl Fn(Option<&T>) -> Result<(), ApiError> + Send + Sync,
) -> Result<Changed<T>, ApiError> {
    delete_with(call, key, &[], may).await
}

/// As [`delete`], and `further` is written at once with it.
pub(super) async fn delete_with<T: Contents>(
    call: &Call,
    key: ObjectKey,
    further: &[Write],
    may: impl Fn(Option<&T>) -> Result<(), ApiError> + Send + Sync,
) -> Result<Changed<T>, ApiError> {
    if call.condition == Condition::None && matches!(call.parts.store.get(&key).await, Err(StoreError::Unusable(_))) {
        let write = Write { key, object: None, expected: Expected::Anything };
        let revision = call.parts.store.write(&[write], call.now).await.map_err(write_failed)?;
        return Ok(Changed {
            before: None,
            contents: None,
            revision: Some(revision),
            existed: true,
            names: Vec::new(),
        });
    }
    let change = |before: Option<T>| may(before.as_ref()).map(|()| Change::Delete);
    modify_with(call, key, further, change).await
}

/// What a write that failed, for another reason than a conflict, is answered.
pub(super) fn write_failed(error: StoreError) -> ApiError {
    match error {
        StoreError::Unavailable(reason) => ApiError::unknown_outcome(&reason),
        StoreError::Conflict { .. } | StoreError::Unusable(_) => error.into(),
    }
}

/// The names of the properties that differ; their values may be secrets.
fn difference<T: Serialize>(before: Option<&T>, after: Option<&T>) -> Vec<String> {
    let (before, after) = (properties(before), properties(after));
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    names.filter(|name| is_set(before.get(*name)) != is_set(after.get(*name))).cloned().collect()
}

/// What is empty was never set.
fn is_set(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| match value {
        Value::Null => false,
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    })
}

fn properties<T: Serialize>(contents: Option<&T>) -> Map<String, Value> {
    match contents.map(serde_json::to_value) {
        Some(Ok(Value::Object(members))) => members,
        Some(_) | None => Map::new(),
    }
}
