//! What seawall answers itself about a registry's contents, in front of a plain Distribution.

mod referrers;
mod replicas;
mod wire;
mod write_once;
