//! The store of a document, and the key that seals what is in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;

use super::document::{File, SecretDocument, StoreDocument};
use super::resolve::{duration, path};
use super::settings::{EncryptionKeySource, SecretSource, StoreLocation, StoreSettings};
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};

const SQLITE_FILE: &str = "/var/lib/seawall/seawall.db";
const ENCRYPTION_KEY_FILE: &str = "encryption.key";
/// The store is asked several times a second; a shorter limit would refuse requests between two answers.
const SHORTEST_AGE: Duration = Duration::from_secs(5);
const TLS_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const EXAMPLES: &str = "such as sqlite:/var/lib/seawall/seawall.db or postgres://seawall@db.example.com/seawall";

/// Where records are kept: where `document` says.
pub(super) fn resolve(document: Option<&At<StoreDocument>>, problems: &mut Problems) -> StoreSettings {
    let default = StoreLocation::Sqlite(SQLITE_FILE.into());
    let Some(document) = document else { return StoreSettings { location: default, maximum_age: None } };
    let location = location(document, problems).unwrap_or(default);
    StoreSettings { location, maximum_age: document.maximum_age.as_ref().map(|age| maximum_age(age, problems)) }
}

fn location(document: &StoreDocument, problems: &mut Problems) -> Option<StoreLocation> {
    let StoreDocument { url, password, ca, .. } = document;
    if let Some(file) = url.strip_prefix("sqlite:") {
        let superfluous =
            [("password", password.as_ref().map(|at| &at.origin)), ("ca", ca.as_ref().map(|at| &at.origin))];
        for (key, origin) in superfluous.into_iter().filter_map(|(key, origin)| Some((key, origin?))) {
            problems.push(Problem::new(origin, format!("SQLite takes no {key}")).hint(format!("remove {key}")));
        }
        return sqlite(&At::new(file.to_owned(), url.origin.clone()), problems).map(StoreLocation::Sqlite);
    }
    let password = password.as_ref().map(|document| secret(document, problems));
    let ca = ca.as_ref().map(|ca| At::new(path(ca, problems), ca.origin.clone()));
    match postgres(url) {
        Ok(()) => Some(StoreLocation::Postgres { url: url.value.clone(), password: password.flatten(), ca }),
        Err((what, hint)) => {
            problems.push(Problem::new(&url.origin, what).hint(hint));
            None
        }
    }
}

/// The path behind `sqlite:`. Three slashes are as good as one; two would look like a host.
fn sqlite(file: &At<String>, problems: &mut Problems) -> Option<PathBuf> {
    let refused = match file.as_str() {
        text if text.starts_with(':') => Some("a database in memory would forget every token"),
        text if text.starts_with("//") && !text.starts_with("///") => {
            Some("behind `sqlite:` stands a path, not a host")
        }
        text if text.contains(['?', '#', '%']) => Some("behind `sqlite:` stands a path, without parameters or escapes"),
        _ => None,
    };
    if let Some(what) = refused {
        problems.push(Problem::new(&file.origin, what).hint(EXAMPLES));
        return None;
    }
    Some(path(file, problems))
}

/// Whether `url` names a PostgreSQL database and keeps no secret. The text is never repeated: it may hold one.
fn postgres(url: &str) -> Result<(), (&'static str, String)> {
    let examples = || EXAMPLES.to_owned();
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let uri =
        url.parse::<Uri>().ok().filter(|_| known).ok_or_else(|| ("this is not the URL of a store", examples()))?;
    let user = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')).map(|(user, _)| user);
    let parameters: Vec<_> = uri.query().into_iter().flat_map(|query| query.split('&')).collect();
    let names = |part: &&str| part.split('=').next().is_some_and(|key| key.to_ascii_lowercase().contains("password"));
    if user.is_some_and(|user| user.contains(':')) || parameters.iter().any(names) {
        let hint = "remove it, and say where it is with password: { file: … } or password: { env: … }";
        return Err(("a clear-text password in a URL is not accepted", hint.into()));
    }
    if user.is_none_or(str::is_empty) {
        return Err(("the URL of a PostgreSQL store names its user", examples()));
    }
    if uri.path().trim_matches('/').is_empty() {
        return Err(("the URL of a PostgreSQL store names its database", examples()));
    }
    parameters.into_iter().try_for_each(|parameter| match parameter.split_once('=') {
        Some(("sslmode", mode)) if TLS_MODES.contains(&mode) => Ok(()),
        Some(("sslmode", _)) => Err(("this is no sslmode", format!("it is one of {}", TLS_MODES.join(", ")))),
        Some(("host", _)) => Ok(()),
        _ => Err(("only the parameters sslmode and host may stand in the URL", examples())),
    })
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
