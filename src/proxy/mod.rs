//! The data plane: one file per step of a request's journey.

pub mod listener;
pub mod source;
