//! For tests: a stock with a disk.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tempfile::TempDir;

use super::burden::Burden;
use super::disk::Stored;
use super::drops::Drops;
use super::entry::{Body, Kept, Key, Kind};
use super::fill::Answered;
use super::house::OURS;
use super::stock::{Found, Stock};
use crate::oci::{Digest, RepositoryName};
use crate::policy::content_cache::{ContentCache, DiskCache};
use crate::secret::KeyedDigest;
use crate::telemetry::metrics::Metrics;

/// Blobs over 8 bytes are on its disk.
pub(crate) struct OnDisk {
    pub(crate) stock: Arc<Stock>,
    pub(super) place: TempDir,
}

impl OnDisk {
    /// With the usual limits.
    pub(crate) fn usual() -> Self {
        Self::new(16 * 1024 * 1024, Burden::default())
    }

    /// With a disk of `size` bytes.
    pub(super) fn new(size: u64, burden: Burden) -> Self {
        let place = tempfile::tempdir().unwrap();
        let disk = DiskCache { directory: place.path().join("cache"), size, largest_blob: size / 4 };
        let settings = ContentCache {
            memory: 1024,
            largest_blob: 8,
            maximum_age: Duration::from_mins(1),
            tag_age: Duration::ZERO,
            disk: Some(disk),
            mark: KeyedDigest::from_bytes([0; 32]),
        };
        let metrics = Metrics::new().unwrap();
        let used = (&metrics, &Arc::new(burden));
        let stock = Arc::new(Stock::new("one".into(), Arc::new(settings), &Arc::new(Drops::default()), used));
        Self { stock, place }
    }

    /// A blob comes from the upstream once; it is kept a moment later, if there is room.
    pub(super) fn pass(&self, body: &[u8]) -> Key {
        let key = Key { kind: Kind::Blob, repository: repository(), digest: Digest::sha256(body) };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let mut fill = self.stock.fill(Kind::Blob, &key.repository, Duration::ZERO);
        fill.answered(Answered { digest: Some(&key.digest), named: None, headers: &headers });
        fill.take(&Bytes::copy_from_slice(body));
        key
    }

    /// A blob comes until it is kept.
    pub(crate) fn keep(&self, body: &[u8]) -> (Key, Arc<Kept>) {
        wait_for(|| {
            let key = self.pass(body);
            // It is being written.
            sleep(Duration::from_millis(20));
            self.find(&key).map(|kept| (key, kept))
        })
    }

    pub(super) fn find(&self, key: &Key) -> Option<Arc<Kept>> {
        match self.stock.find(key, Duration::ZERO) {
            Found::Fresh(kept) => Some(kept),
            Found::Stale(_) | Found::Nothing => None,
        }
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let folder = self.place.path().join("cache").join(OURS).join("one");
        fs::read_dir(folder).map(|all| all.map(|one| one.unwrap().path()).collect()).unwrap_or_default()
    }
}

pub(super) fn stored(kept: &Kept) -> &Arc<Stored> {
    let Body::Disk(stored) = &kept.body else { panic!("it is in memory") };
    stored
}

/// What `look` finds within a while.
pub(super) fn wait_for<T>(look: impl Fn() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = look() {
            return found;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("waited in vain");
}

fn repository() -> RepositoryName {
    RepositoryName::parse("a").unwrap()
}
