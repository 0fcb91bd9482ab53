//! From the configuration to an open store.

use std::sync::Arc;
use std::time::Duration;

use super::start::StartError;
use crate::config::{SecretSource, StoreLocation, StoreSettings};
use crate::store::{self, Database, Settings, StoreUrl};

/// How long a start waits for a database that starts at the same time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the store that `settings` describe, and makes or completes its tables. The runtime that this is called on carries
/// its connections.
///
/// # Errors
/// A password that cannot be read; a store that cannot be used, or not be reached for half a minute.
pub(super) async fn open(settings: &StoreSettings) -> Result<Arc<Database>, StartError> {
    let settings = resolved(settings)?;
    tracing::info!(store = %settings.url, "opening the store");
    store::open(&settings).await.map_err(|source| StartError::Store { url: settings.url, source })
}

fn resolved(settings: &StoreSettings) -> Result<Settings, StartError> {
    Ok(match &settings.location {
        StoreLocation::Sqlite(path) => Settings { patience: PATIENCE, ..Settings::at(StoreUrl::Sqlite(path.clone())) },
        StoreLocation::Postgres { url, password, ca } => Settings {
            url: StoreUrl::Postgres(url.clone()),
            password: password.as_ref().map(SecretSource::read).transpose().map_err(StartError::problem)?,
            ca: ca.as_ref().map(|ca| ca.value.clone()),
            patience: PATIENCE,
        },
    })
}
