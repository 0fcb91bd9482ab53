//! Identities of a real OpenID provider at the real seawall: exchanged, refused, revoked, across two registries.

mod artifacts;
mod attacks;
mod clients;
mod clusters;
mod cross_registry;
mod exchange;
mod login;
mod managing;
mod powershell;
mod provider_trouble;
mod sdk;
mod world;
