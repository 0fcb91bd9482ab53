//! The store against real databases: one suite for SQLite and PostgreSQL, and what only one of them can do.
//!
//! The PostgreSQL servers are started here; `make deps` installs what that needs.

#[cfg(test)]
mod access;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod followers;
#[cfg(test)]
mod index;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod place;
#[cfg(test)]
#[path = "../support/postgres.rs"]
mod postgres;
#[cfg(test)]
mod sqlite;
