//! The commands of `az acr` as people meet them: what each sends, what it prints where, and how it ends.
//!
//! The server is canned and speaks ARM's shapes. `transcripts/` holds what is expected; `SEAWALL_BLESS=1 cargo test --test cli`
//! writes it anew, to be read in the diff.

#[cfg(test)]
mod arm;
#[cfg(test)]
mod check_health;
#[cfg(test)]
mod connecting;
#[cfg(test)]
mod contents;
#[cfg(test)]
mod endpoint_connections;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod identities;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod registries;
#[cfg(test)]
mod scope_maps;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod what_if;
