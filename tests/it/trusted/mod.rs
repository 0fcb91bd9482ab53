//! Trusted services in front of a registry that no public address reaches (S2), with real clients and a real provider.

mod attacks;
mod clients;
mod tasks;
mod world;
