//! Handshakes, and which cipher suite a connection gets.
//!
//! All suites are good. AES-128 with SHA-256 costs both sides least where processors have instructions for them, but clients of
//! OpenSSL list another one first. A client that lists `ChaCha20` first says that its processor has none, as that of a small device
//! at the edge: it gets what it asks for. rustls goes by one order or the other for all connections, so that there are two
//! configurations, which share everything else, and the client's first message is looked at before one is chosen.

use std::sync::Arc;

use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::tls::TlsStream;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, ServerConfig};
use tokio::io::AsyncReadExt as _;

use crate::crypto;

/// In bytes; rustls takes no longer one either.
const LONGEST_HELLO: usize = 64 * 1024;

/// Terminates the TLS of one listener's connections.
pub(in crate::proxy::listener) struct Handshakes {
    by_our_order: Acceptor,
    by_the_clients_order: Acceptor,
}

/// What [`Handshakes`] are made with: the cheapest suites first.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = crypto::provider();
    provider.cipher_suites.sort_by_key(|suite| !is_cheap(suite.suite()));
    provider
}

const fn is_cheap(suite: CipherSuite) -> bool {
    use CipherSuite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS13_AES_128_GCM_SHA256,
    };
    matches!(
        suite,
        TLS13_AES_128_GCM_SHA256 | TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 | TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

const fn is_chacha(suite: CipherSuite) -> bool {
    use CipherSuite::{
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        TLS13_CHACHA20_POLY1305_SHA256,
    };
    matches!(
        suite,
        TLS13_CHACHA20_POLY1305_SHA256
            | TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

impl Handshakes {
    /// `config` has the suites of [`provider`].
    pub(super) fn new(config: ServerConfig) -> Self {
        let mut by_our_order = config.clone();
        by_our_order.ignore_client_order = true;
        let acceptor = |config| Acceptor::from_server_config(Arc::new(config));
        Self { by_our_order: acceptor(by_our_order), by_the_clients_order: acceptor(config) }
    }

    /// The same connection over TLS.
    ///
    /// # Errors
    /// When the client leaves, or does not do as TLS demands.
    pub(in crate::proxy::listener) async fn shake(&self, mut stream: Stream) -> pingora::Result<TlsStream<Stream>> {
        let likes_chacha = first_choice(&mut stream).await.is_some_and(is_chacha);
        let acceptor = if likes_chacha { &self.by_the_clients_order } else { &self.by_our_order };
        acceptor.tls_handshake(stream).await
    }
}

/// The suite that the client lists first, of those that are known here: some list a reserved one before all others (RFC 8701).
/// Whatever was read for that is read again by the handshake, which says what is wrong with it.
async fn first_choice(stream: &mut Stream) -> Option<CipherSuite> {
    let mut seen = Vec::new();
    let choice = choice(stream, &mut seen).await;
    stream.rewind(&seen);
    choice
}

/// The same, with all that was read in `seen`: no more than a client's first message may be long.
async fn choice(stream: &mut Stream, seen: &mut Vec<u8>) -> Option<CipherSuite> {
    let mut hello = rustls::server::Acceptor::default();
    while seen.len() <= LONGEST_HELLO {
        let mut room = [0; 2048];
        let length = stream.read(&mut room).await.ok().filter(|length| *length > 0)?;
        let mut piece = room.get(..length)?;
        seen.extend_from_slice(piece);
        while !piece.is_empty() {
            // What it does not take is no first message of anybody.
            hello.read_tls(&mut piece).ok().filter(|taken| *taken > 0)?;
        }
        if let Some(accepted) = hello.accept().ok()? {
            let hello = accepted.client_hello();
            return hello.cipher_suites().iter().copied().find(|suite| is_known(*suite));
        }
    }
    None
}

fn is_known(suite: CipherSuite) -> bool {
    aws_lc_rs::ALL_CIPHER_SUITES.iter().any(|known| known.suite() == suite)
}
