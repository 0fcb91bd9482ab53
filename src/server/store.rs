//! From the configuration to an open store.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::config::{SecretSource, StoreLocation, StoreSettings};
use crate::policy::problem::Problem;
use crate::store::{self, Database, Settings, StoreError, StoreUrl};

/// How long a start waits for a database that starts at the same time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no store.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its password cannot be read.
    #[error("{0}")]
    Password(Box<Problem>),
    #[error("{url}: {source}")]
    Store { url: StoreUrl, source: StoreError },
}

/// Opens the store that `settings` describe, and makes or completes its tables. The runtime that this is called on carries
/// its connections.
///
/// # Errors
/// A password that cannot be read; a store that cannot be used, or not be reached for half a minute.
pub(super) async fn open(settings: &StoreSettings) -> Result<Arc<Database>, OpenError> {
    let settings = resolved(settings)?;
    tracing::info!(store = %settings.url, "opening the store");
    store::open(&settings).await.map_err(|source| OpenError::Store { url: settings.url, source })
}

fn resolved(settings: &StoreSettings) -> Result<Settings, OpenError> {
    Ok(match &settings.location {
        StoreLocation::Sqlite(path) => Settings { patience: PATIENCE, ..Settings::at(StoreUrl::Sqlite(path.clone())) },
        StoreLocation::Postgres { url, password, ca } => Settings {
            url: StoreUrl::Postgres(url.clone()),
            password: password
                .as_ref()
                .map(SecretSource::read)
                .transpose()
                .map_err(|problem| OpenError::Password(Box::new(problem)))?,
            ca: ca.as_ref().map(|ca| ca.value.clone()),
            patience: PATIENCE,
        },
    })
}
