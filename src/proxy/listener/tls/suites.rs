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
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ServerConfig};
use tokio::io::AsyncReadExt as _;

use crate::crypto;

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

/// The suite that the client lists first. Whatever was read for that is read again by the handshake, which says what is wrong
/// with it.
async fn first_choice(stream: &mut Stream) -> Option<CipherSuite> {
    let (mut hello, mut seen) = (rustls::server::Acceptor::default(), Vec::new());
    let choice = loop {
        let mut piece = [0; 2048];
        let Some(mut piece) = stream.read(&mut piece).await.ok().and_then(|length| piece.get(..length)) else {
            break None;
        };
        seen.extend_from_slice(piece);
        if piece.is_empty() {
            break None;
        }
        // It takes as much as it has room for, which is more than a first message may have.
        while !piece.is_empty() && hello.read_tls(&mut piece).is_ok_and(|taken| taken > 0) {}
        match hello.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => break accepted.client_hello().cipher_suites().first().copied(),
            Err(_) => break None,
        }
    };
    stream.rewind(&seen);
    choice
}
