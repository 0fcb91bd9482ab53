//! The store of a running seawall, opened from outside: what it keeps, and changes as another replica makes them.

use std::fs;
use std::sync::Arc;

use seawall::secret::{EncryptionKey, Secret};
use seawall::store::{self, Settings, Store, StoreUrl};

use super::seawall::Place;

/// The answer of `work`, which is given the store of the seawall at `place`.
pub(crate) fn with_store<T>(place: &Place, work: impl AsyncFnOnce(Arc<dyn Store>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let url = StoreUrl::Sqlite(place.path().join("seawall.db"));
        work(store::open(&Settings::at(url)).await.unwrap()).await
    })
}

/// The key that its first start made.
pub(crate) fn encryption_key(place: &Place) -> EncryptionKey {
    let text = fs::read_to_string(place.path().join("keys/encryption.key")).unwrap();
    EncryptionKey::of_secret(&Secret::new(text.trim_end()))
}
