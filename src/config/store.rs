//! The store of a document, and the key that seals what is in it.

use std::path::Path;
use std::time::Duration;

use super::document::{File, StoreDocument};
use super::resolve::{duration, path};
use super::settings::{EncryptionKeySource, SecretSource, StoreLocation, StoreSettings};
use crate::policy::document::SecretDocument;
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};
use crate::store::{MalformedStoreUrl, StoreUrl};

const SQLITE_FILE: &str = "/var/lib/seawall/seawall.db";
const ENCRYPTION_KEY_FILE: &str = "encryption.key";
/// The store is asked several times a second; a shorter limit would refuse requests between two answers.
const SHORTEST_AGE: Duration = Duration::from_secs(5);

/// Where records are kept: where `document` says.
pub(super) fn resolve(document: Option<&At<StoreDocument>>, problems: &mut Problems) -> StoreSettings {
    let default = StoreLocation::Sqlite(SQLITE_FILE.into());
    let Some(document) = document else { return StoreSettings { location: default, maximum_age: None } };
    let location = location(document, problems).unwrap_or(default);
    StoreSettings { location, maximum_age: document.maximum_age.as_ref().map(|age| maximum_age(age, problems)) }
}

fn location(document: &StoreDocument, problems: &mut Problems) -> Option<StoreLocation> {
    let StoreDocument { url, password, ca, .. } = document;
    let parsed = url.parse().map_err(|error| problems.push(malformed(&url.origin, &error)));
    if let Ok(StoreUrl::Sqlite(file)) = &parsed {
        let written = [("password", password.as_ref().map(|at| &at.origin)), ("ca", ca.as_ref().map(|at| &at.origin))];
        for (key, origin) in written.into_iter().filter_map(|(key, origin)| Some((key, origin?))) {
            problems.push(Problem::new(origin, format!("SQLite takes no {key}")).hint(format!("remove {key}")));
        }
        return Some(StoreLocation::Sqlite(url.origin.beside(&file.to_string_lossy())));
    }
    let password = password.as_ref().and_then(|document| secret(document, problems));
    let ca = ca.as_ref().map(|ca| At::new(path(ca, problems), ca.origin.clone()));
    match parsed {
        Ok(StoreUrl::Postgres(url)) => Some(StoreLocation::Postgres { url, password, ca }),
        Ok(StoreUrl::Sqlite(_)) | Err(()) => None,
    }
}

fn malformed(origin: &Origin, error: &MalformedStoreUrl) -> Problem {
    let problem = Problem::new(origin, error.to_string());
    match error {
        MalformedStoreUrl::Password => {
            problem.hint("remove it, and say where it is with password: { file: … } or password: { env: … }")
        }
        _ => problem.hint("such as sqlite:/var/lib/seawall/seawall.db or postgres://seawall@db.example.com/seawall"),
    }
}

fn maximum_age(written: &At<String>, problems: &mut Problems) -> Duration {
    let before = problems.len();
    let age = duration(Some(written), SHORTEST_AGE, problems);
    if problems.len() == before && age < SHORTEST_AGE {
        let problem =
            Problem::new(&written.origin, format!("the maximum age must be at least {}s", SHORTEST_AGE.as_secs()));
        problems.push(problem.hint("leave it out, and the last policy stays in force while the store is away"));
    }
    age
}

/// The key that seals what is in the store. Replicas must share it, so that for PostgreSQL it must be given.
pub(super) fn encryption_key(
    file: &File,
    store: &StoreLocation,
    signing_directory: &Path,
    problems: &mut Problems,
) -> EncryptionKeySource {
    let made = EncryptionKeySource::Made(signing_directory.join(ENCRYPTION_KEY_FILE));
    match (&file.encryption_key, store) {
        (Some(document), _) => secret(document, problems).map_or(made, EncryptionKeySource::Given),
        (None, StoreLocation::Sqlite(_)) => made,
        (None, StoreLocation::Postgres { .. }) => {
            let origin = file.store.as_ref().map_or_else(Origin::built_in, |store| store.origin.clone());
            let problem = Problem::new(&origin, "a PostgreSQL store needs an encryptionKey");
            problems
                .push(problem.hint("such as encryptionKey: { file: /run/secrets/seawall }, the same for all replicas"));
            made
        }
    }
}

fn secret(document: &At<SecretDocument>, problems: &mut Problems) -> Option<SecretSource> {
    match (&document.file, &document.env) {
        (Some(file), None) => Some(SecretSource::File(file.clone())),
        (None, Some(name)) => Some(SecretSource::Environment(name.clone())),
        _ => {
            let problem = Problem::new(&document.origin, "a secret needs exactly one of `file` and `env`");
            problems.push(problem.hint("a clear-text secret is never accepted"));
            None
        }
    }
}
