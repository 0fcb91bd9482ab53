//! The commands of `az acr` as people meet them: what each sends, what it prints where, and how it ends.
//!
//! The server is canned and speaks ARM's shapes. `transcripts/` holds what is expected; `SEAWALL_BLESS=1 cargo test --test cli`
//! writes it anew, to be read in the diff.

mod arm;
mod connecting;
mod generated;
mod harness;
mod outputs;
mod registries;
mod scope_maps;
mod seeds;
mod tokens;
