//! The composition root: the only place where rooms are wired together.

pub mod lifecycle;
pub mod probes;
