//! The process configuration: what is read once at start.
