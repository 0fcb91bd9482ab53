//! Identities of a real OpenID provider at the real seawall: exchanged, refused, revoked, across two registries.

mod clients;
mod cross_registry;
mod exchange;
mod managing;
mod provider_trouble;
mod sdk;
mod world;
