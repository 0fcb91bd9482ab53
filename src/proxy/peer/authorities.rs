//! Whom an upstream's certificate is verified against: what the configuration names, or the system's authorities.
//!
//! pingora would read the system's for each of its connectors when it starts, twice in every worker, whether or not any upstream has a
//! certificate, and would not start where one of them is broken. It gets none (`NONE`), and ours with each peer.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use pingora::utils::tls::WrappedX509;
use pingora::{Error, ErrorType, Result};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::OnceCell;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::policy::address::UpstreamTls;
use crate::secret::Secret;

/// A file without a certificate, as pingora's `ca_file`: whoever is not named with the peer is not trusted.
pub(in crate::proxy) const NONE: &str = "/dev/null";

/// What pingora keeps connections apart by that are verified against the system's authorities.
const OF_THE_SYSTEM: u64 = 0;

/// Certificate authorities as pingora takes them.
type Certificates = Arc<[WrappedX509]>;

/// Those that have been parsed.
#[derive(Debug, Default)]
pub(super) struct Authorities {
    named: Mutex<HashMap<u64, Certificates>>,
    system: OnceCell<Certificates>,
}

impl Authorities {
    /// The authorities of this upstream, and what connections that were verified against them are known by.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn of(&self, tls: &UpstreamTls) -> Result<(u64, Certificates)> {
        match &tls.authorities {
            Some(pem) => self.named(pem),
            None => Ok((OF_THE_SYSTEM, self.system().await?)),
        }
    }

    fn named(&self, pem: &Secret) -> Result<(u64, Certificates)> {
        let mut hasher = DefaultHasher::new();
        pem.expose().hash(&mut hasher);
        let key = hasher.finish();
        let mut known = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificates) = known.get(&key) {
            return Ok((key, Arc::clone(certificates)));
        }
        let certificates = parse(pem)?;
        known.insert(key, Arc::clone(&certificates));
        Ok((key, certificates))
    }

    /// Read when an upstream first needs them, and never again: what is trusted changes with a restart only.
    async fn system(&self) -> Result<Certificates> {
        let read = async || {
            // The files of a hundred authorities are nothing for a worker to wait for.
            tokio::task::spawn_blocking(read_system).await.unwrap_or_else(|_| Arc::from([]))
        };
        let certificates = self.system.get_or_init(read).await;
        if certificates.is_empty() {
            return Error::e_explain(
                ErrorType::InvalidCert,
                "the system has no certificate authorities that can be used",
            );
        }
        Ok(Arc::clone(certificates))
    }
}

/// Those that pingora would read; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. None that nobody can use is a reason to trust none of
/// the others.
fn read_system() -> Certificates {
    let found = rustls_native_certs::load_native_certs().unwrap_or_else(|error| {
        tracing::error!(%error, "the system's certificate authorities cannot be read");
        Vec::new()
    });
    let usable: Certificates = found.iter().filter_map(usable).collect();
    let left_out = found.len() - usable.len();
    if left_out > 0 {
        tracing::warn!(left_out, "some of the system's certificate authorities cannot be used");
    }
    usable
}

fn usable(der: &CertificateDer<'static>) -> Option<WrappedX509> {
    RootCertStore::empty().add(der.clone()).ok()?;
    X509Certificate::from_der(der).ok()?;
    Some(wrapped(der))
}

fn wrapped(der: &CertificateDer<'_>) -> WrappedX509 {
    WrappedX509::new(der.to_vec(), pingora::utils::tls::parse_x509)
}

fn parse(pem: &Secret) -> Result<Certificates> {
    let certificates = CertificateDer::pem_slice_iter(pem.expose().as_bytes());
    let parsed: Result<Vec<_>> = certificates
        .map(|der| {
            let der = der.map_err(|_| Error::explain(ErrorType::InvalidCert, "the authorities are not PEM"))?;
            Ok(wrapped(&der))
        })
        .collect();
    let parsed = parsed?;
    if parsed.is_empty() {
        return Error::e_explain(ErrorType::InvalidCert, "no certificate authority in the file");
    }
    Ok(Arc::from(parsed))
}
