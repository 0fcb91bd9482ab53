//! What takes too long for every change: a 5 GiB blob up and down in bounded memory, and 1,000 reloads under load.
//!
//! `make soak` runs it; `SOAK_MIB` and `SOAK_RELOADS` make it smaller for a trial.

#[cfg(test)]
#[path = "../it/harness/mod.rs"]
#[expect(dead_code, reason = "the integration tests use the rest of it")]
mod harness;

#[cfg(test)]
mod blob;
#[cfg(test)]
mod reloads;

/// A number from the environment.
#[cfg(test)]
fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
