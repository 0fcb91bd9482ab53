//! How seawall identifies itself to an upstream: the compiled form of `upstream.credential`.

use std::sync::Arc;

use super::address::UrlOrigin;
use crate::secret::{KeyedDigest, Secret};

/// What is presented to an upstream instead of the client's own credential, which never goes there.
#[derive(Debug, Clone, Default)]
pub enum UpstreamCredential {
    /// Nothing: the upstream is open to whoever reaches it.
    #[default]
    None,
    /// A user name and a password, with every request (RFC 7617).
    Basic(Account),
    /// Access tokens that the upstream's own token service issues.
    Token(TokenService),
    /// Access tokens that we sign, and that the upstream verifies.
    Minted(MintedAccess),
}

/// A user name and its password at an upstream.
#[derive(Debug, Clone)]
pub struct Account {
    pub username: Arc<str>,
    pub password: Secret,
}

/// The token service to which an upstream's challenges may lead.
#[derive(Debug, Clone)]
pub struct TokenService {
    /// Who asks. `None` asks as nobody, as public registries allow it.
    pub account: Option<Account>,
    /// Where a token service may be, besides the upstream's own origin.
    pub realms: Box<[UrlOrigin]>,
    /// Of the upstream and all of this: what was obtained with other settings is of no use with these.
    pub identity: KeyedDigest,
}

/// What the upstream expects in access tokens that we sign for it.
#[derive(Debug, Clone)]
pub struct MintedAccess {
    /// Their `iss`; `signing.issuer` unless set.
    pub issuer: Option<Arc<str>>,
    /// Their `aud`: the upstream's `service`.
    pub service: Arc<str>,
    /// Their `sub`: what the upstream writes into its log.
    pub account: Arc<str>,
    /// Of the upstream and all of this.
    pub identity: KeyedDigest,
}
