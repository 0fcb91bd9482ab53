//! Seawalls whose policy lives in a store: one on its own SQLite file, or several on one PostgreSQL. Their file says nothing
//! but where the registry is.

#[expect(dead_code, reason = "the store's tests use more of it")]
#[path = "postgres.rs"]
mod postgres;

pub(crate) use postgres::Postgres;

use crate::harness::registry::Registry;
use crate::harness::seawall::{Place, Seawall};

/// Under which all replicas seal what they share.
const ENCRYPTION_KEY: &str = "an-encryption-key-for-tests-of-at-least-32-characters";

fn registries(login_server: &str, upstream: &Registry) -> String {
    format!(
        "registries: {{myregistry: {{loginServer: \"{login_server}\", upstream: {{url: \"{}\"}}}}}}\n",
        upstream.url()
    )
}

/// On a SQLite file of its own.
pub(crate) fn bare(upstream: &Registry) -> Seawall {
    let place = Place::new();
    let document = place.document(&registries(&place.login_server(), upstream));
    place.start(&document)
}

/// On `database`, with a login server of its own.
pub(crate) fn replica(upstream: &Registry, database: &Postgres) -> Seawall {
    let place = on(database);
    let login_server = place.login_server();
    start(place, upstream, &login_server)
}

/// On `database`, under a name that other replicas have too.
pub(crate) fn replica_named(upstream: &Registry, database: &Postgres, login_server: &str) -> Seawall {
    start(on(database), upstream, login_server)
}

/// Where a seawall keeps its store in `database`.
pub(crate) fn on(database: &Postgres) -> Place {
    let place = Place::new();
    let key = place.secret("encryption", ENCRYPTION_KEY);
    place.on(&database.url(), &key)
}

fn start(place: Place, upstream: &Registry, login_server: &str) -> Seawall {
    let document = place.document(&registries(login_server, upstream));
    place.start(&document)
}
