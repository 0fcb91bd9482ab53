//! Where tags led a moment ago, for those who set `tagAge`: as the upstream said it, to whoever accepts the same media types.
//!
//! Distribution 2 answers with another manifest, and so another digest, to clients that accept fewer of them.

use std::time::Duration;

use http::{HeaderMap, header};
use moka::sync::Cache;

use super::entry::Seen;
use super::stock::Stock;
use crate::oci::{Digest, RepositoryName, Tag};

const MOST_TAGS: u64 = 10_000;
/// Longer lists of media types are not compared.
const LONGEST_ACCEPT: usize = 4 * 1024;

/// What leads somewhere: a tag, and what the client accepts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    repository: RepositoryName,
    tag: Tag,
    accept: Box<[u8]>,
}

/// The tags of a registry.
#[derive(Debug)]
pub(super) struct Tags {
    age: Duration,
    known: Option<Cache<Asked, (Digest, Seen)>>,
}

impl Tags {
    pub(super) fn new(age: Duration) -> Self {
        let cache = || Cache::builder().max_capacity(MOST_TAGS).time_to_live(age).build();
        Self { age, known: (!age.is_zero()).then(cache) }
    }
}

impl Stock {
    /// Where the tag led a moment ago, for a client with these headers, at `now` in ticks of the clock.
    pub fn tag(&self, repository: &RepositoryName, tag: &Tag, headers: &HeaderMap, now: Duration) -> Option<Digest> {
        let known = self.tags.known.as_ref()?;
        let (digest, seen) = known.get(&asked(repository, tag, headers)?)?;
        let is_valid = seen.drop == self.drops.of(&self.registry, repository);
        (is_valid && now.saturating_sub(seen.at) < self.tags.age).then_some(digest)
    }

    /// Whether tags are believed at all.
    pub const fn knows_tags(&self) -> bool {
        self.tags.known.is_some()
    }

    /// The upstream, asked at the moment of `seen`, says that the tag leads to `digest`.
    pub(super) fn learn_tag(
        &self,
        (repository, tag): (&RepositoryName, &Tag),
        headers: &HeaderMap,
        (digest, seen): (&Digest, Seen),
    ) {
        if let Some(known) = &self.tags.known
            && let Some(asked) = asked(repository, tag, headers)
        {
            known.insert(asked, (digest.clone(), seen));
        }
    }
}

fn asked(repository: &RepositoryName, tag: &Tag, headers: &HeaderMap) -> Option<Asked> {
    let mut accept = Vec::new();
    for line in headers.get_all(header::ACCEPT) {
        accept.extend_from_slice(line.as_bytes());
        accept.push(b'\n');
    }
    (accept.len() <= LONGEST_ACCEPT).then(|| Asked {
        repository: repository.clone(),
        tag: tag.clone(),
        accept: accept.into(),
    })
}
