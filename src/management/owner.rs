//! Who may manage: whoever holds the owner's credential, or may open the Unix socket.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Connection;
use crate::secret::{HashKey, KeyedDigest, Secret};

/// What is kept of the owner's credential: its digest, replaced when the credential is. Clones share it.
#[derive(Debug, Clone)]
pub struct OwnerCredential {
    hash_key: HashKey,
    digest: Arc<ArcSwap<KeyedDigest>>,
}

/// Who sent a request that may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Proved by the credential.
    Owner,
    /// Admitted by the mode of the socket; the system's user, where the listener knows it.
    LocalUser(Option<u32>),
}

impl OwnerCredential {
    /// Accepts `credential` and no other.
    pub fn new(hash_key: HashKey, credential: &Secret) -> Self {
        let digest = digest(&hash_key, credential.expose());
        Self { hash_key, digest: Arc::new(ArcSwap::from_pointee(digest)) }
    }

    /// Accepts `credential` from now on, and the former one no longer.
    pub fn replace(&self, credential: &Secret) {
        self.digest.store(Arc::new(digest(&self.hash_key, credential.expose())));
    }

    fn is(&self, presented: &str) -> bool {
        // Digests are compared in constant time, and reveal nothing of what they are made of.
        digest(&self.hash_key, presented) == **self.digest.load()
    }

    /// Who sent a request with these headers over `connection`; `None`: somebody who may not.
    ///
    /// On TCP the credential is always asked for, loopback included: other users of the machine reach that too.
    pub(super) fn authenticate(&self, connection: Connection, headers: &HeaderMap) -> Option<Caller> {
        match connection {
            Connection::Unix { uid } => Some(Caller::LocalUser(uid)),
            Connection::Tcp(_) => {
                let mut all = headers.get_all(AUTHORIZATION).iter();
                // Several credentials are none: nobody can tell which one was meant.
                let (Some(header), None) = (all.next(), all.next()) else { return None };
                let (scheme, credential) = header.to_str().ok()?.split_once(' ')?;
                (scheme.eq_ignore_ascii_case("Bearer") && self.is(credential.trim())).then_some(Caller::Owner)
            }
        }
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::LocalUser(Some(uid)) => write!(f, "uid {uid}"),
            Self::LocalUser(None) => f.write_str("local user"),
        }
    }
}

fn digest(key: &HashKey, credential: &str) -> KeyedDigest {
    key.digest("management credential", &[credential.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
    }

    fn tcp() -> Connection {
        Connection::Tcp("127.0.0.1:40000".parse().unwrap())
    }

    #[test]
    fn only_the_credential_in_force_opens_a_tcp_connection() {
        let owner = OwnerCredential::new(HashKey::from_bytes([1; 32]), &Secret::new("right"));
        let caller = |values: &[&str]| owner.authenticate(tcp(), &headers(values));
        assert_eq!(caller(&["Bearer right"]), Some(Caller::Owner));
        assert_eq!(caller(&["bearer right"]), Some(Caller::Owner));
        let refused: [&[&str]; 7] = [
            &[],
            &["Bearer wrong"],
            &["Bearer "],
            &["Bearer"],
            &["right"],
            &["Basic right"],
            &["Bearer right", "Bearer right"],
        ];
        for values in refused {
            assert_eq!(caller(values), None, "{values:?}");
        }
        owner.clone().replace(&Secret::new("new"));
        assert_eq!(caller(&["Bearer right"]), None);
        assert_eq!(caller(&["Bearer new"]), Some(Caller::Owner));
    }

    #[test]
    fn whoever_may_open_the_socket_needs_no_credential() {
        let owner = OwnerCredential::new(HashKey::from_bytes([1; 32]), &Secret::new("right"));
        let caller = |uid| owner.authenticate(Connection::Unix { uid }, &headers(&[])).unwrap().to_string();
        assert_eq!((caller(Some(0)), caller(None)), ("uid 0".to_owned(), "local user".to_owned()));
    }
}
