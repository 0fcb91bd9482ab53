//! The rules, pure: what is allowed to whom, from where. No I/O, no async, no clock, no logging.

pub mod document;
pub mod nearest;
pub mod network;
pub mod origin;
pub mod problem;
pub mod quantity;
