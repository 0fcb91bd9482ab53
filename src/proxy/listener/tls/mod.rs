//! Server certificates: read from PEM files, chosen by the name the client asks for, replaced while connections are open.
//!
//! A listener's certificates are one set that is swapped as a whole: when any file of a new set is broken, the set in use
//! stays. They are loaded and checked here, because pingora panics on a file it cannot use.
//!
//! A client that sends no name (it dialled an address) or a name that no certificate carries gets the first certificate.
//! Its own check then fails unless it does not care; and if it does not, the request is refused by its `Host` with an
//! answer and an audit record, which an aborted handshake would not leave.
//!
//! TLS 1.2 and 1.3 and no early data are what rustls and pingora do by default; a request is never replayed.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::tls::TlsRef;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::Timestamp;

/// Where one certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the certificate, then the chain that leads to a root.
    pub certificate: PathBuf,
    /// PEM: its private key, not encrypted.
    pub key: PathBuf,
}

/// Why a set of certificates cannot be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A TLS listener without certificates.
    #[error("no certificate is configured")]
    None,
    /// A file is missing or unreadable.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not PEM, or what is inside is not a certificate.
    #[error("`{path}` holds no usable certificate: {reason}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file holds no private key that can be read (an encrypted key cannot).
    #[error("`{path}` holds no usable private key: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong; never the key.
        reason: String,
    },
    /// Certificate and key do not belong together, or the key is of a kind that TLS servers cannot use.
    #[error("the certificate `{certificate}` and the key `{key}` cannot be used together: {reason}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Something about a usable certificate that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateWarning {
    /// Clients will refuse it.
    #[error("the certificate `{path}` expired: {at}")]
    Expired {
        /// The certificate's file.
        path: PathBuf,
        /// When.
        at: Timestamp,
    },
    /// Clients will refuse it until then.
    #[error("the certificate `{path}` is not valid before: {at}")]
    NotYetValid {
        /// The certificate's file.
        path: PathBuf,
        /// When it begins.
        at: Timestamp,
    },
    /// It carries no DNS name that no earlier one carries, and it is not the first: it is never chosen.
    #[error("the certificate `{path}` is never used: it names no host that an earlier one does not name")]
    NeverChosen {
        /// The certificate's file.
        path: PathBuf,
    },
}

/// The certificates of one listener.
pub struct Certificates {
    files: Vec<CertificateFiles>,
    current: ArcSwap<Set>,
}

impl Certificates {
    /// Reads and checks all `files`; the first is also the one for unknown names.
    ///
    /// Every broken file is reported, not only the first.
    pub fn load(
        files: Vec<CertificateFiles>,
        now: Timestamp,
    ) -> Result<(Self, Vec<CertificateWarning>), Vec<CertificateError>> {
        let (set, warnings) = Set::load(&files, now)?;
        Ok((Self { files, current: ArcSwap::from_pointee(set) }, warnings))
    }

    /// Reads all files again. Handshakes from now on use what is there; connections that are open stay as they are. On any
    /// error nothing changes.
    pub fn reload(&self, now: Timestamp) -> Result<Vec<CertificateWarning>, Vec<CertificateError>> {
        let (set, warnings) = Set::load(&self.files, now)?;
        self.current.store(Arc::new(set));
        Ok(warnings)
    }

    /// The files to watch.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().flat_map(|files| [files.certificate.as_path(), files.key.as_path()])
    }

    /// What pingora needs to terminate TLS with these certificates: HTTP/2 or HTTP/1.1 by ALPN.
    pub(super) fn settings(self: &Arc<Self>) -> pingora::Result<TlsSettings> {
        let mut settings = TlsSettings::with_callbacks(Box::new(RecordName))?;
        settings.set_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        settings.enable_h2();
        Ok(settings)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().choose(hello.server_name()))
    }
}

/// One consistent set, immutable.
struct Set {
    first: Arc<CertifiedKey>,
    /// By DNS name in lower case; a wildcard by the part from its dot on.
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl Set {
    fn load(
        files: &[CertificateFiles],
        now: Timestamp,
    ) -> Result<(Self, Vec<CertificateWarning>), Vec<CertificateError>> {
        let mut errors = Vec::new();
        let mut loaded = Vec::new();
        for files in files {
            match Loaded::read(files) {
                Ok(one) => loaded.push(one),
                Err(error) => errors.push(error),
            }
        }
        let Some(first) = loaded.first().filter(|_| errors.is_empty()) else {
            return Err(if errors.is_empty() { vec![CertificateError::None] } else { errors });
        };
        let mut set = Self { first: Arc::clone(&first.certified), exact: HashMap::new(), wildcard: HashMap::new() };
        let mut warnings = Vec::new();
        for (index, one) in loaded.iter().enumerate() {
            warnings.extend(one.out_of_date(now));
            if !set.add(one) && index > 0 {
                warnings.push(CertificateWarning::NeverChosen { path: one.path.clone() });
            }
        }
        Ok((set, warnings))
    }

    /// Adds the names of `one` that no earlier certificate has. False: there was none.
    fn add(&mut self, one: &Loaded) -> bool {
        let mut added = false;
        for name in &one.names {
            let (map, key) = match name.strip_prefix('*') {
                Some(suffix) => (&mut self.wildcard, suffix),
                None => (&mut self.exact, name.as_str()),
            };
            map.entry(key.to_owned()).or_insert_with(|| {
                added = true;
                Arc::clone(&one.certified)
            });
        }
        added
    }

    /// The exact name, then the wildcard one label up (RFC 6125 §6.4.3: `*` stands for one label), then the first.
    fn choose(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let found = name.map(str::to_ascii_lowercase).and_then(|name| {
            let suffix = name.find('.').and_then(|dot| name.get(dot..));
            self.exact.get(&name).or_else(|| self.wildcard.get(suffix?))
        });
        Arc::clone(found.unwrap_or(&self.first))
    }
}

/// One certificate with its key, checked.
struct Loaded {
    path: PathBuf,
    certified: Arc<CertifiedKey>,
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Loaded {
    fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let path = &files.certificate;
        let unusable = |reason: String| CertificateError::Certificate { path: path.clone(), reason };
        let chain = CertificateDer::pem_slice_iter(&read(path)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(error.to_string()))?;
        let leaf = chain.first().ok_or_else(|| unusable("no certificate in it".to_owned()))?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| unusable(error.to_string()))?;
        let names = dns_names(&parsed).map_err(unusable)?;
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());

        let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
            .map_err(|error| CertificateError::Key { path: files.key.clone(), reason: error.to_string() })?;
        let certified =
            CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(|error| {
                CertificateError::Pair { certificate: path.clone(), key: files.key.clone(), reason: error.to_string() }
            })?;
        Ok(Self {
            path: path.clone(),
            certified: Arc::new(certified),
            names,
            not_before: Timestamp::from_second(not_before).unwrap_or(Timestamp::MIN),
            not_after: Timestamp::from_second(not_after).unwrap_or(Timestamp::MAX),
        })
    }

    fn out_of_date(&self, now: Timestamp) -> Option<CertificateWarning> {
        let path = self.path.clone();
        if self.not_after < now {
            Some(CertificateWarning::Expired { path, at: self.not_after })
        } else if now < self.not_before {
            Some(CertificateWarning::NotYetValid { path, at: self.not_before })
        } else {
            None
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

/// The DNS names of the subject alternative name extension; clients have not looked at the common name for years.
fn dns_names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, String> {
    let extension = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    Ok(names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect())
}

/// The name a client asked for, as left in the TLS digest of its connection.
pub(super) struct AskedName(pub(super) Option<Box<str>>);

struct RecordName;

#[async_trait]
impl TlsAccept for RecordName {
    async fn handshake_complete_callback(&self, tls: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::new(AskedName(tls.server_name().map(|name| name.to_ascii_lowercase().into_boxed_str()))))
    }
}

#[cfg(test)]
mod tests;
