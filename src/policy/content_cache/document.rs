//! What an operator writes under `contentCache` of a registry, and what it means.

use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::json;

use super::{ContentCache, DiskCache, LARGEST_IN_MEMORY};
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::policy::quantity;
use crate::secret::KeyedDigest;

/// The size of the largest blob on a disk, and of all of them, unless they are set.
const DISK: (u64, u64) = (4 << 30, 20 << 30);

/// What is kept of manifests and blobs that were read, for whoever may read them. `off` alone keeps nothing.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename = "$seawall::text-is:mode", rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ContentCacheDocument", transform = or_off)]
pub struct ContentCacheDocument {
    /// Default `on`.
    #[serde(default)]
    pub mode: Option<At<ContentCacheMode>>,
    /// How much is kept in memory, of this registry: a whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`. Default 64MiB.
    #[serde(default)]
    pub memory: Option<At<String>>,
    /// Larger blobs are not kept in memory; 64MiB at most. Default 1MiB.
    #[serde(default)]
    pub largest_blob: Option<At<String>>,
    /// What was read or confirmed longer ago is confirmed at the upstream before it is given to anybody; `0s` confirms it each
    /// time. Default 1m.
    #[serde(default)]
    pub maximum_age: Option<At<String>>,
    /// How long a tag is believed to lead where it led. Default 0s: the upstream is asked each time.
    #[serde(default)]
    pub tag_age: Option<At<String>>,
    /// Where blobs larger than `largestBlob` are kept. Default: nowhere.
    #[serde(default)]
    pub disk: Option<At<DiskCacheDocument>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ContentCacheMode {
    #[default]
    On,
    /// Every request goes to the upstream.
    Off,
}

/// A directory for blobs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskCacheDocument {
    /// Relative to this file. What seawall keeps there is removed at every start.
    pub directory: At<String>,
    /// How much is kept there, of this registry. Default 20GiB.
    #[serde(default)]
    pub size: Option<At<String>>,
    /// Larger blobs are not kept; a quarter of `size` at most. Default 4GiB.
    #[serde(default)]
    pub largest_blob: Option<At<String>>,
}

/// In the schema: `off` or `on`, or the object that it is short for.
fn or_off(schema: &mut Schema) {
    let object = std::mem::take(schema);
    schema.insert("anyOf".into(), json!([{ "type": "string", "enum": ["on", "off"] }, object]));
}

/// What is kept of a registry whose `contentCache` is `document`, without its mark; `None`: nothing.
pub(in crate::policy) fn compile(
    document: Option<&At<ContentCacheDocument>>,
    problems: &mut Problems,
) -> Option<ContentCache> {
    let usual = ContentCacheDocument::default();
    let document = document.map_or(&usual, |document| &document.value);
    let (memory, largest_blob, maximum_age, tag_age) = ContentCache::USUAL;
    let cache = ContentCache {
        memory: size(document.memory.as_ref(), memory, problems),
        largest_blob: size(document.largest_blob.as_ref(), largest_blob, problems),
        maximum_age: age(document.maximum_age.as_ref(), maximum_age, problems),
        tag_age: age(document.tag_age.as_ref(), tag_age, problems),
        disk: None,
        mark: KeyedDigest::from_bytes([0; 32]),
    };
    check_memory(document, &cache, problems);
    let disk = document.disk.as_ref().map(|written| disk(written, &cache, problems));
    let is_off = document.mode.as_ref().is_some_and(|mode| mode.value == ContentCacheMode::Off);
    (!is_off).then_some(ContentCache { disk, ..cache })
}

fn check_memory(document: &ContentCacheDocument, cache: &ContentCache, problems: &mut Problems) {
    if let Some(written) = document.memory.as_ref().filter(|_| cache.memory == 0) {
        let problem = Problem::new(&written.origin, "nothing can be kept in no memory");
        problems.push(problem.hint("write `contentCache: off` to keep nothing"));
    } else if let Some(written) = document.largest_blob.as_ref().or(document.memory.as_ref())
        && cache.largest_blob > cache.memory
    {
        let problem = Problem::new(&written.origin, "a blob of `largestBlob` is larger than all of `memory`");
        problems.push(problem.hint("make `memory` larger or `largestBlob` smaller"));
    }
    if let Some(written) = document.largest_blob.as_ref().filter(|_| cache.largest_blob > LARGEST_IN_MEMORY) {
        let problem = Problem::new(&written.origin, "blobs over 64MiB are not kept in memory");
        problems.push(problem.hint("keep them on a disk, with `disk`"));
    }
}

fn disk(written: &At<DiskCacheDocument>, cache: &ContentCache, problems: &mut Problems) -> DiskCache {
    let DiskCacheDocument { directory, size: all, largest_blob: largest } = &written.value;
    let (usual_largest, usual_size) = DISK;
    let disk = DiskCache {
        directory: directory.origin.beside(&directory.value),
        size: size(all.as_ref(), usual_size, problems),
        largest_blob: size(largest.as_ref(), usual_largest, problems),
    };
    if directory.value.is_empty() {
        problems.push(Problem::new(&directory.origin, "the directory has no name").hint("such as /var/cache/seawall"));
    }
    let place = largest.as_ref().or(all.as_ref()).map_or(&written.origin, |at| &at.origin);
    if disk.largest_blob > disk.size / 4 {
        let problem = Problem::new(place, "a blob of `largestBlob` takes more than a quarter of `size`");
        problems.push(problem.hint("make `size` larger or `largestBlob` smaller"));
    }
    if disk.largest_blob <= cache.largest_blob {
        let problem = Problem::new(place, "no blob would be kept on the disk: those up to `largestBlob` are in memory");
        problems.push(problem.hint("make `disk.largestBlob` larger than `largestBlob`"));
    }
    disk
}

fn size(written: Option<&At<String>>, usual: u64, problems: &mut Problems) -> u64 {
    let read = |text: &At<String>| {
        quantity::bytes(text).map_err(|error| problems.push(Problem::new(&text.origin, error))).ok()
    };
    written.and_then(read).unwrap_or(usual)
}

fn age(written: Option<&At<String>>, usual: Duration, problems: &mut Problems) -> Duration {
    let read = |text: &At<String>| {
        quantity::duration(text).map_err(|error| problems.push(Problem::new(&text.origin, error))).ok()
    };
    written.and_then(read).unwrap_or(usual)
}
