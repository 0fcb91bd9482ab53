//! Where the store is: a file of this machine, or a PostgreSQL server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::secret::Secret;

/// What may follow the `?` of a PostgreSQL URL. All else is refused: a misspelt `sslmode` must not turn TLS off.
const PARAMETERS: [&str; 5] = ["sslmode", "sslcert", "sslkey", "host", "options"];

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    pub url: StoreUrl,
    /// Of the PostgreSQL user. Without it PostgreSQL's usual sources count: `PGPASSWORD`, `~/.pgpass`.
    pub password: Option<Secret>,
    /// PEM file with the authorities that may vouch for the PostgreSQL server, besides the system's.
    pub ca: Option<PathBuf>,
    /// How long opening may wait for a store that cannot be reached.
    pub patience: Duration,
}

impl Settings {
    /// The store at `url`, without a password and with little patience.
    pub fn at(url: StoreUrl) -> Self {
        Self { url, password: None, ca: None, patience: Duration::from_secs(10) }
    }
}

/// `sqlite:/path/to/file` or `postgres://user@host[:port]/database[?sslmode=…]`; there is no password in it.
///
/// Without `sslmode` a server that is not on this machine must prove its name by TLS (`verify-full`): whoever answers in
/// its place decides who may pull and push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Why a text is not a [`StoreUrl`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MalformedStoreUrl {
    #[error("a store is `sqlite:/path/to/file` or `postgres://user@host/database`")]
    Scheme,
    #[error("the path of the SQLite file is missing, or has a `?`")]
    Path,
    #[error("a password must not be written in the URL")]
    Password,
    #[error("the parameter `{0}` is unknown; known are: {known}", known = PARAMETERS.join(", "))]
    Parameter(String),
    #[error("not a PostgreSQL URL: {0}")]
    Postgres(String),
}

impl StoreUrl {
    /// The same with a relative SQLite path taken from `directory`.
    #[must_use]
    pub fn beside(self, directory: &Path) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(directory.join(path)),
            other @ Self::Postgres(_) => other,
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(url),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = MalformedStoreUrl;

    fn from_str(text: &str) -> Result<Self, MalformedStoreUrl> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite_path(path).map(Self::Sqlite);
        }
        let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        check_postgres(rest.ok_or(MalformedStoreUrl::Scheme)?)?;
        // What the parser says may quote the text, which has no password in it by now.
        super::postgres::parse(text).map_err(MalformedStoreUrl::Postgres)?;
        Ok(Self::Postgres(text.to_owned()))
    }
}

/// `sqlite:///path` is how other programs write `sqlite:/path`.
fn sqlite_path(path: &str) -> Result<PathBuf, MalformedStoreUrl> {
    let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    if path.is_empty() || path.starts_with("//") || path.starts_with(':') || path.contains('?') {
        return Err(MalformedStoreUrl::Path);
    }
    Ok(PathBuf::from(path))
}

fn check_postgres(rest: &str) -> Result<(), MalformedStoreUrl> {
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    // Whatever is before the last `@`: a password with a raw `/` or `?` in it must not end in an error's text.
    let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') {
        return Err(MalformedStoreUrl::Password);
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split('=').next().unwrap_or_default();
        if name == "password" {
            return Err(MalformedStoreUrl::Password);
        }
        if !PARAMETERS.contains(&name) {
            return Err(MalformedStoreUrl::Parameter(name.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_kinds() {
        for text in ["sqlite:/var/lib/seawall/seawall.db", "sqlite:///var/lib/seawall/seawall.db"] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), "sqlite:/var/lib/seawall/seawall.db");
        }
        for text in [
            "postgres://seawall@db.example.com/seawall",
            "postgresql://seawall@db.example.com:5433/seawall?sslmode=disable",
            "postgres://seawall@%2Fvar%2Frun%2Fpostgresql/seawall",
            "postgres://seawall@[::1]:5432/seawall",
        ] {
            assert_eq!(text.parse::<StoreUrl>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn a_relative_path_is_beside_the_file_that_names_it() {
        let beside = |text: &str| text.parse::<StoreUrl>().unwrap().beside(Path::new("/etc/seawall")).to_string();
        assert_eq!(beside("sqlite:seawall.db"), "sqlite:/etc/seawall/seawall.db");
        assert_eq!(beside("sqlite:/var/seawall.db"), "sqlite:/var/seawall.db");
    }

    #[test]
    fn refuses_passwords_and_what_it_does_not_know() {
        let cases = [
            ("", MalformedStoreUrl::Scheme),
            ("mysql://root@db/seawall", MalformedStoreUrl::Scheme),
            ("/var/lib/seawall.db", MalformedStoreUrl::Scheme),
            ("sqlite:", MalformedStoreUrl::Path),
            ("sqlite://host/seawall.db", MalformedStoreUrl::Path),
            ("sqlite::memory:", MalformedStoreUrl::Path),
            ("sqlite:/a.db?mode=ro", MalformedStoreUrl::Path),
            ("postgres://seawall:hunter2@db/seawall", MalformedStoreUrl::Password),
            ("postgres://seawall:hunter/2@db/seawall", MalformedStoreUrl::Password),
            ("postgres://seawall:hunter?2@db/seawall", MalformedStoreUrl::Password),
            ("postgres://seawall:hunter#2@db/seawall", MalformedStoreUrl::Password),
            ("postgres://seawall:@db/seawall", MalformedStoreUrl::Password),
            ("postgres://seawall@db/seawall?password=hunter2", MalformedStoreUrl::Password),
            ("postgres://seawall@db/seawall?ssl-mod=require", MalformedStoreUrl::Parameter("ssl-mod".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<StoreUrl>(), Err(expected), "{text}");
        }
        assert!("postgres://seawall@db:port/seawall".parse::<StoreUrl>().is_err());
        assert!("postgres://seawall@db/seawall?sslmode=maybe".parse::<StoreUrl>().is_err());
    }
}
