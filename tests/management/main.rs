//! The management API over a real SQLite store, a real feed and HTTP: what is written, what is answered, what is on record.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod desk;
#[cfg(test)]
mod endpoint_connections;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod identities;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod managers;
#[cfg(test)]
mod networks;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod passwords;
#[cfg(test)]
mod registries;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod scope_maps;
#[cfg(test)]
mod service_principals;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod trusted;
