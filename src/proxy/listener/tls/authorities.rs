//! Which client certificates a listener takes: those that one of its own authorities has signed and none of its lists revokes.
//!
//! Nothing of the system's authorities counts. Authorities and lists are read from PEM files and replaced as a whole, under
//! open connections too: each set has a number, by which a connection notices that what it showed has to be looked at again.
//!
//! webpki builds the path and checks times, extended key usage and lists. It takes an authority as it is, so what is not
//! one is refused here, when it is read, and one that has ended is left out. Whether a listed authority was revoked by another
//! one is not asked: whoever lists it trusts it. Where there are lists, every certificate of a path must be spoken of by one that has
//! not ended: a list that is missing or old could be the one with the revocation.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError as Defect, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::{CertificateError, CertificateWarning, out_of_date, read, timestamp};
use crate::clock::Timestamp;
use crate::crypto;

/// Where the authorities for client certificates are, and whether there must be a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// PEM: one or more certificates of authorities each.
    pub authorities: Vec<PathBuf>,
    /// PEM: one or more lists of revoked certificates each.
    pub revocation_lists: Vec<PathBuf>,
    /// Whether a handshake without a certificate is refused.
    pub required: bool,
}

/// The authorities of one listener.
pub struct ClientAuthorities {
    files: AuthorityFiles,
    current: ArcSwap<Trusted>,
}

impl ClientAuthorities {
    /// Reads and checks all `files`.
    ///
    /// Every broken file is reported, not only the first.
    pub fn load(
        files: AuthorityFiles,
        now: Timestamp,
    ) -> Result<(Self, Vec<CertificateWarning>), Vec<CertificateError>> {
        let (trusted, warnings) = Trusted::load(&files, 1, now)?;
        Ok((Self { files, current: ArcSwap::from_pointee(trusted) }, warnings))
    }

    /// Reads all files again. What open connections showed counts only if it is good by the new ones. On any error nothing
    /// changes.
    pub fn reload(&self, now: Timestamp) -> Result<Vec<CertificateWarning>, Vec<CertificateError>> {
        let generation = self.current.load().generation.wrapping_add(1);
        let (trusted, warnings) = Trusted::load(&self.files, generation, now)?;
        self.current.store(Arc::new(trusted));
        Ok(warnings)
    }

    /// The files to watch.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let AuthorityFiles { authorities, revocation_lists, .. } = &self.files;
        authorities.iter().chain(revocation_lists).map(PathBuf::as_path)
    }

    /// Whether a client must show a certificate.
    pub(crate) fn are_required(&self) -> bool {
        self.files.required
    }

    /// What is in force.
    pub(super) fn current(&self) -> Arc<Trusted> {
        self.current.load_full()
    }
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthorities").field("files", &self.files).finish_non_exhaustive()
    }
}

/// One consistent set of authorities and lists, immutable.
pub(super) struct Trusted {
    /// No two sets of a listener that follow each other have the same; never 0.
    pub(super) generation: u64,
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// When the first of the lists or of the authorities ends, or one of these begins: until then a path that is good stays so.
    pub(super) until: Timestamp,
    authorities: Vec<Authority>,
    lists: Vec<CertificateRevocationListDer<'static>>,
}

/// A certificate of an authority, and when it is one: webpki takes those that it is given as they are.
struct Authority {
    certificate: CertificateDer<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Authority {
    fn is_in_force(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

impl Trusted {
    fn load(
        files: &AuthorityFiles,
        generation: u64,
        now: Timestamp,
    ) -> Result<(Self, Vec<CertificateWarning>), Vec<CertificateError>> {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        let mut all = Vec::new();
        for path in &files.authorities {
            match authorities(path, now) {
                Ok((read, noticed)) => {
                    all.extend(read);
                    warnings.extend(noticed);
                }
                Err(error) => errors.push(error),
            }
        }
        let changes = all.iter().flat_map(|one| [one.not_before, one.not_after]).filter(|change| *change > now);
        let (mut lists, mut until) = (Vec::new(), changes.min().unwrap_or(Timestamp::MAX));
        for path in &files.revocation_lists {
            match revocations(path) {
                Ok((read, end)) => {
                    lists.extend(read);
                    until = until.min(end);
                    let old = end < now;
                    warnings.extend(old.then(|| CertificateWarning::OldList { path: path.clone(), at: end }));
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let verifier = verifier(&all, &lists, now).map_err(|reason| vec![CertificateError::Authorities { reason }])?;
        Ok((Self { generation, verifier, until, authorities: all, lists }, warnings))
    }

    /// Whether one of the authorities stands behind `leaf` at this time, for being shown by a client.
    pub(super) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let moment = i64::try_from(now.as_secs()).ok().and_then(|second| Timestamp::from_second(second).ok());
        let moment = moment.unwrap_or(Timestamp::MAX);
        let verified = if moment < self.until {
            self.verifier.verify_client_cert(leaf, others, now)?
        } else {
            // Rare, until somebody puts other files there: made for this one time.
            let verifier = verifier(&self.authorities, &self.lists, moment);
            let verifier = verifier.map_err(|_| rustls::Error::from(Defect::UnknownIssuer))?;
            verifier.verify_client_cert(leaf, others, now)?
        };
        if signs(leaf) { Ok(verified) } else { Err(Defect::InvalidPurpose.into()) }
    }
}

/// Whether the key of a certificate may prove that its holder is there: webpki does not look at key usage (RFC 5280
/// 4.2.1.3, RFC 8446 4.4.2.2).
fn signs(leaf: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(leaf) else { return false };
    parsed.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.digital_signature()))
}

/// `now` as rustls counts.
pub(super) fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)))
}

/// By the authorities that are in force at `now`, of which there must be one.
fn verifier(
    authorities: &[Authority],
    lists: &[CertificateRevocationListDer<'static>],
    now: Timestamp,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for one in authorities.iter().filter(|one| one.is_in_force(now)) {
        roots.add(one.certificate.clone()).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("none of the authorities is in force: all have ended, or not begun".to_owned());
    }
    let provider = Arc::new(crypto::provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    // Whether there must be a certificate is not this one's to say.
    let builder = builder.with_crls(lists.to_vec()).enforce_revocation_expiration().allow_unauthenticated();
    builder.build().map_err(|error| error.to_string())
}

/// The authorities in a file.
fn authorities(path: &Path, now: Timestamp) -> Result<(Vec<Authority>, Vec<CertificateWarning>), CertificateError> {
    let unusable = |reason: String| CertificateError::Certificate { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable("no certificate in it".to_owned()));
    }
    let (mut read, mut warnings) = (Vec::new(), Vec::new());
    for certificate in certificates {
        // Also of one that is not in force it is said that it can never be used.
        RootCertStore::empty().add(certificate.clone()).map_err(|error| unusable(error.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|error| unusable(error.to_string()))?;
        may_sign(&parsed).map_err(unusable)?;
        warnings.extend(out_of_date(path, parsed.validity(), now));
        let (not_before, not_after) = (timestamp(parsed.validity().not_before), timestamp(parsed.validity().not_after));
        read.push(Authority { certificate: certificate.clone().into_owned(), not_before, not_after });
    }
    Ok((read, warnings))
}

/// Whoever has the key of an authority makes certificates: a server's or a client's certificate that got into the file by
/// mistake must not be one.
fn may_sign(parsed: &X509Certificate<'_>) -> Result<(), String> {
    let name = super::subject::text(parsed.subject());
    if !parsed.is_ca() {
        return Err(format!("`{name}` is no authority: its basic constraints do not say CA"));
    }
    let usage = parsed.key_usage().map_err(|error| error.to_string())?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(format!("`{name}` is no authority: its key usage has no certificate signing"));
    }
    Ok(())
}

/// The lists in a file, and when the first of them ends.
fn revocations(path: &Path) -> Result<(Vec<CertificateRevocationListDer<'static>>, Timestamp), CertificateError> {
    let unusable = |reason: String| CertificateError::RevocationList { path: path.to_owned(), reason };
    let lists = CertificateRevocationListDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    if lists.is_empty() {
        return Err(unusable("no revocation list in it".to_owned()));
    }
    let mut end = Timestamp::MAX;
    for list in &lists {
        let (_, parsed) = CertificateRevocationList::from_der(list).map_err(|error| unusable(error.to_string()))?;
        let next = parsed.next_update().ok_or_else(|| unusable("it does not say when it ends".to_owned()))?;
        end = end.min(timestamp(next));
    }
    Ok((lists, end))
}
