//! Identities of a real OpenID provider at the real seawall: exchanged, refused, revoked, across two registries.

mod anonymous;
mod artifacts;
mod attacks;
mod clients;
mod clusters;
pub(crate) mod company;
mod cross_registry;
mod exchange;
mod exec;
mod import;
mod login;
mod managing;
mod powershell;
mod provider_trouble;
mod sdk;
mod service_principals;
mod task;
mod verified;
mod world;
