//! seawall is a strict protocol firewall (threats 4.1; classes C, F, L, P and U): only requests rebuilt from parsed
//! fields go up, and of the upstream's answers only what clients may see comes back.
//!
//! Where an attack depends on how Distribution reads a request, it is first shown to work against Distribution itself:
//! otherwise a test that it does not work through seawall would prove nothing.

mod answers;
mod headers;
mod mounts;
mod paths;
mod smuggling;
