//! Identities of a real OpenID provider at the real seawall: exchanged, refused, revoked, across two registries.

mod clients;
mod company;
mod cross_registry;
mod exchange;
mod exec;
mod import;
mod provider_trouble;
mod sdk;
mod task;
mod world;
