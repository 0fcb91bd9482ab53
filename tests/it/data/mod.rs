//! Data endpoints, and upstreams that redirect to their storage.

mod attacks;
mod clients;
mod redirects;
mod world;
