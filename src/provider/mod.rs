//! Where policy comes from: files read with positions, compiled and published.

mod access;
pub mod include;
pub mod reader;
pub mod tree;
pub mod yaml;
