//! Metadata against a registry in memory.

mod catalogue;
mod learning;
mod listings;
mod referrers;
mod world;
