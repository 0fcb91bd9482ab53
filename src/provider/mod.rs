//! Where policy comes from: files read with positions, compiled and published.

mod access;
pub mod foreign;
pub mod include;
pub mod reader;
mod references;
mod reload;
pub mod tree;
pub mod watch;
pub mod yaml;

pub use references::MachineReferences;
pub use reload::{Described, FileProvider, Published, Read, Refused};
