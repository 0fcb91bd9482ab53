//! Where policy comes from: files read with positions, and the store; compiled, assembled and published.

mod access;
pub mod feed;
pub mod foreign;
pub mod include;
mod publish;
pub mod reader;
mod references;
#[cfg(test)]
mod testing;
pub mod tree;
pub mod watch;
pub mod yaml;

pub use publish::{Applied, Described, PolicyProvider, Published, Read, Refused};
pub use references::MachineReferences;
