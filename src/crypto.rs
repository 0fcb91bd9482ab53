//! The cryptography of TLS, for listeners and for clients: one library for all of them.
//!
//! It is AWS-LC's: a handshake costs it less than `ring`, which pingora installs where nobody has chosen before
//! (`docs/performance.md`).

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// What signs, agrees on keys and encrypts.
pub fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// Makes it the choice of everything in this process that does not choose itself. Whoever was first chose the same.
pub fn install() {
    let _ = provider().install_default();
}
