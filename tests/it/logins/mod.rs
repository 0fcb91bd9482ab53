//! Logins at the real seawall: who gets which access token for what, what a refusal says, and when it all ends.

mod challenges;
mod desk;
mod keys;
mod last_uses;
mod own_tokens;
mod revocation;
mod rights;
mod scopes;
mod stored_keys;
mod token_endpoint;
