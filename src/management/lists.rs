//! Lists in pages: what files declare and what the store keeps, merged by name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::call::Call;
use super::error::ApiError;
use super::write::Contents;
use crate::policy::Registry;

/// How many items a page has at most.
pub(super) const PAGE: u32 = 1000;

/// One item of a list.
#[derive(Debug)]
pub(super) enum Item<'a, D, S> {
    Declared(&'a D),
    Stored { name: String, contents: S },
}

/// The next page that `call` asks for, by name in byte order, and the link to the one after it. What a file declares hides
/// what the store keeps under the same name.
pub(super) async fn page<'a, D: 'a, S: Contents>(
    call: &Call,
    registry: &Registry,
    declared: impl Iterator<Item = (&'a str, &'a D)> + Send,
) -> Result<(Vec<Item<'a, D, S>>, Option<String>), ApiError> {
    let after = call.query("$skipToken");
    let mut items: BTreeMap<String, Item<'a, D, S>> = declared
        .filter(|(name, _)| after.is_none_or(|after| *name > after))
        .map(|(name, item)| (name.to_owned(), Item::Declared(item)))
        .collect();
    // One more than a page: it tells whether there is another one. Names after the last that was read are not on this
    // page, so nothing is missed in between.
    for record in call.parts.store.list(&registry.name, S::KIND, after, PAGE + 1).await? {
        let name = record.key.name;
        if let (Entry::Vacant(place), Some(contents)) = (items.entry(name.clone()), S::of(record.object)) {
            place.insert(Item::Stored { name, contents });
        }
    }
    let is_last = items.len() <= PAGE as usize;
    let mut last = None;
    let mut page = Vec::new();
    for (name, item) in items.into_iter().take(PAGE as usize) {
        last = Some(name);
        page.push(item);
    }
    let next = last.filter(|_| !is_last).map(|last| call.next_link(&last));
    Ok((page, next))
}

/// All records of a kind in `registry`, by name; of the whole installation where that is empty. For kinds of which there is
/// a bounded number.
pub(super) async fn all<S: Contents>(call: &Call, registry: &str) -> Result<Vec<(String, S)>, ApiError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let records = call.parts.store.list(registry, S::KIND, after.as_deref(), PAGE).await?;
        // A page may be short because of what cannot be read.
        let Some(last) = records.last() else { return Ok(all) };
        after = Some(last.key.name.clone());
        all.extend(records.into_iter().filter_map(|record| Some((record.key.name, S::of(record.object)?))));
    }
}

/// The page of `items` that `call` asks for, and the link to the one after it.
pub(super) fn slice<T>(call: &Call, items: BTreeMap<String, T>) -> (Vec<T>, Option<String>) {
    let after = call.query("$skipToken");
    let mut rest = items.into_iter().filter(|(place, _)| after.is_none_or(|after| place.as_str() > after));
    let (mut last, mut page) = (None, Vec::new());
    for (place, item) in rest.by_ref().take(PAGE as usize) {
        last = Some(place);
        page.push(item);
    }
    let next = last.filter(|_| rest.next().is_some()).map(|last| call.next_link(&last));
    (page, next)
}
