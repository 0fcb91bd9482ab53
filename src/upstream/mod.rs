//! The registries behind us: where they are and how to reach them.

mod bypass;

pub use bypass::{Strangers, ask_as_a_stranger, warn_of_open_upstreams};
