//! Server certificates: read from PEM files, chosen by the name the client asks for, replaced while connections are open.
//!
//! A listener's certificates are one set that is swapped as a whole: when any file of a new set is broken, the set in use
//! stays. They are loaded and checked here, because pingora panics on a file it cannot use.
//!
//! A client that sends no name (it dialled an address) or a name that no certificate carries gets the first certificate.
//! Its own check then fails unless it does not care; and if it does not, the request is refused by its `Host` with an
//! answer and an audit record, which an aborted handshake would not leave.
//!
//! TLS 1.2 and 1.3 and no early data are what rustls does by default; a request is never replayed.
//!
//! A listener may take certificates of clients too: `authorities` says whose, `client` what they say.

mod authorities;
mod client;
mod subject;
mod suites;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::protocols::tls::TlsRef;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::certificate::Validity;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::Listener;
use crate::clock::Timestamp;
use crate::crypto;

pub use authorities::{AuthorityFiles, ClientAuthorities};
pub use client::ClientCertificate;
pub(super) use client::Shown;
use client::Verifier;
pub(super) use suites::Handshakes;

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
    /// A file is not PEM, or what is inside is not a list of revoked certificates.
    #[error("`{path}` holds no usable revocation list: {reason}")]
    RevocationList {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The authorities for client certificates and their lists cannot be used together.
    #[error("client certificates cannot be verified: {reason}")]
    Authorities {
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
    /// No certificate that a list has to speak of is taken.
    #[error("a revocation list in `{path}` is too old to be believed; it ended: {at}")]
    OldList {
        /// The list's file.
        path: PathBuf,
        /// When it ended.
        at: Timestamp,
    },
}

/// The certificates of one listener.
pub struct Certificates {
    files: Vec<CertificateFiles>,
    current: ArcSwap<Set>,
    /// Whose certificates clients may show; `None`: they are not asked for any.
    clients: Option<Arc<ClientAuthorities>>,
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
        Ok((Self { files, current: ArcSwap::from_pointee(set), clients: None }, warnings))
    }

    /// The same for a listener that asks its clients for certificates.
    #[must_use]
    pub fn with_clients(self, authorities: ClientAuthorities) -> Self {
        Self { clients: Some(Arc::new(authorities)), ..self }
    }

    /// Whose certificates clients may show; `None`: they are not asked for any.
    pub fn clients(&self) -> Option<&Arc<ClientAuthorities>> {
        self.clients.as_ref()
    }

    /// Reads all files again. Handshakes from now on use what is there; connections that are open stay as they are, except
    /// that what their clients showed has to be good by the new authorities. On any error of the certificates they do not
    /// change, nor do the authorities on any of theirs: a broken certificate must not keep a revocation from being read.
    pub fn reload(&self, now: Timestamp) -> Result<Vec<CertificateWarning>, Vec<CertificateError>> {
        let own = Set::load(&self.files, now).map(|(set, warnings)| {
            self.current.store(Arc::new(set));
            warnings
        });
        let clients = self.clients.as_ref().map_or(Ok(Vec::new()), |clients| clients.reload(now));
        match (own, clients) {
            (Ok(own), Ok(clients)) => Ok(own.into_iter().chain(clients).collect()),
            (own, clients) => Err(own.err().into_iter().chain(clients.err()).flatten().collect()),
        }
    }

    /// The files to watch.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let own = self.files.iter().flat_map(|files| [files.certificate.as_path(), files.key.as_path()]);
        own.chain(self.clients.iter().flat_map(|clients| clients.paths()))
    }

    /// What terminates TLS with these certificates: HTTP/2 or HTTP/1.1 by ALPN. All workers of a listener use one, so that a client
    /// resumes its session with any of them.
    pub(super) fn handshakes(self: &Arc<Self>, listener: &Arc<Listener>) -> Result<Handshakes, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(suites::provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = match &self.clients {
            Some(authorities) => {
                let (authorities, listener) = (Arc::clone(authorities), Arc::clone(listener));
                builder.with_client_cert_verifier(Arc::new(Verifier { authorities, listener }))
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        // Clients of registries that resume a session at all need one ticket for it.
        config.send_tls13_tickets = 1;
        config.alpn_protocols = [b"h2".as_slice(), b"http/1.1"].map(<[u8]>::to_vec).into();
        Ok(Handshakes::new(config))
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
            warnings.extend(out_of_date(&one.path, &one.validity, now));
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
    validity: Validity,
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
        let validity = parsed.validity().clone();

        let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
            .map_err(|error| CertificateError::Key { path: files.key.clone(), reason: error.to_string() })?;
        let certified = CertifiedKey::from_der(chain, key, &crypto::provider()).map_err(|error| {
            CertificateError::Pair { certificate: path.clone(), key: files.key.clone(), reason: error.to_string() }
        })?;
        Ok(Self { path: path.clone(), certified: Arc::new(certified), names, validity })
    }
}

fn out_of_date(path: &Path, validity: &Validity, now: Timestamp) -> Option<CertificateWarning> {
    let path = path.to_owned();
    let (not_before, not_after) = (timestamp(validity.not_before), timestamp(validity.not_after));
    if not_after < now {
        Some(CertificateWarning::Expired { path, at: not_after })
    } else if now < not_before {
        Some(CertificateWarning::NotYetValid { path, at: not_before })
    } else {
        None
    }
}

/// What is beyond the times that we know is as far away as they go.
fn timestamp(time: ASN1Time) -> Timestamp {
    let seconds = time.timestamp();
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
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

/// What a handshake told of the client.
#[derive(Default)]
pub(super) struct Handshake {
    /// In lower case.
    pub(super) server_name: Option<Box<str>>,
    pub(super) shown: Option<Arc<Shown>>,
}

impl Handshake {
    /// Of one that is over. Certificates count where the listener takes them.
    pub(super) fn of(tls: &TlsRef, authorities: Option<&Arc<ClientAuthorities>>) -> Self {
        let chain = authorities.zip(tls.peer_cert_chain_der());
        Self {
            server_name: tls.server_name().map(|name| name.to_ascii_lowercase().into_boxed_str()),
            shown: chain.and_then(|(authorities, chain)| Shown::new(chain, authorities)).map(Arc::new),
        }
    }
}

#[cfg(test)]
mod tests;
