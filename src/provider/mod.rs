//! Where policy comes from: files read with positions, compiled and published.

pub mod watch;
