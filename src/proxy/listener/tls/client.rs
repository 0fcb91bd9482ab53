//! The certificate that the client of a connection showed: what it says, and whether it still counts.
//!
//! Connections live for hours, and a resumed one brings the certificate of an earlier one. So the handshake is not the last
//! word: what was shown is verified again when a request comes and the authorities, or the time, are others than before.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::authorities::{ClientAuthorities, unix_time};
use super::subject::{hex, text};
use super::timestamp;
use crate::clock::Timestamp;
use crate::proxy::listener::{Listener, Refusal};

/// What a client's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The digest of the whole certificate, in lower-case hexadecimal digits: its fingerprint.
    pub sha256: String,
    /// As RFC 4514 writes names; empty where the certificate has none.
    pub subject: String,
    /// In lower case.
    pub dns_names: Vec<String>,
    pub uris: Vec<String>,
    /// In lower-case hexadecimal digits.
    pub serial: String,
    /// As RFC 4514 writes names.
    pub issuer: String,
    pub not_after: Timestamp,
}

impl ClientCertificate {
    fn parse(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let (mut dns_names, mut uris) = (Vec::new(), Vec::new());
        let extension = parsed.subject_alternative_name().ok()?;
        for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => dns_names.push(name.to_ascii_lowercase()),
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                _ => {}
            }
        }
        Some(Self {
            sha256: hex(&Sha256::digest(der)),
            subject: text(parsed.subject()),
            dns_names,
            uris,
            serial: hex(parsed.raw_serial()),
            issuer: text(parsed.issuer()),
            not_after: timestamp(parsed.validity().not_after),
        })
    }
}

/// The chain that was shown on one connection, by whoever has the key of its first certificate.
pub(in crate::proxy::listener) struct Shown {
    authorities: Arc<ClientAuthorities>,
    chain: Box<[CertificateDer<'static>]>,
    certificate: ClientCertificate,
    /// When the first certificate of the chain ends.
    chain_ends: Timestamp,
    verdict: Mutex<Verdict>,
}

/// What was found the last time.
#[derive(Debug, Clone, Copy, Default)]
struct Verdict {
    /// Of the authorities that were asked; 0: nobody was.
    generation: u64,
    /// Good up to this moment, without it.
    good_until: Option<Timestamp>,
}

impl Shown {
    /// `None` for what cannot be read, or is nothing.
    pub(super) fn new(chain: &[CertificateDer<'static>], authorities: &Arc<ClientAuthorities>) -> Option<Self> {
        let certificate = ClientCertificate::parse(chain.first()?)?;
        let ends = chain.iter().filter_map(|der| {
            let (_, parsed) = X509Certificate::from_der(der).ok()?;
            Some(timestamp(parsed.validity().not_after))
        });
        Some(Self {
            authorities: Arc::clone(authorities),
            chain_ends: ends.min()?,
            chain: chain.into(),
            certificate,
            verdict: Mutex::default(),
        })
    }

    /// What was shown, good or not.
    pub(in crate::proxy::listener) fn certificate(&self) -> &ClientCertificate {
        &self.certificate
    }

    /// What was shown, if the authorities stand behind it now.
    pub(in crate::proxy::listener) fn in_force(&self, now: Timestamp) -> Option<&ClientCertificate> {
        let trusted = self.authorities.current();
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = verdict.generation == trusted.generation;
        if !is_known || verdict.good_until.is_some_and(|until| now >= until) {
            let (leaf, others) = self.chain.split_first()?;
            let good = now < self.certificate.not_after && trusted.check(leaf, others, unix_time(now)).is_ok();
            // Past the end of some other part of the chain, or of a list, it is asked each time.
            let good_until = good.then(|| self.chain_ends.min(trusted.until).max(now));
            *verdict = Verdict { generation: trusted.generation, good_until };
        }
        verdict.good_until.is_some().then_some(&self.certificate)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shown").field(&self.certificate).finish()
    }
}

/// What rustls asks in a handshake: always the authorities that are in force.
///
/// A client is not told whom we trust. Clients take that for leave to show whatever they have, and an answer could not be
/// replaced under rustls.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) authorities: Arc<ClientAuthorities>,
    pub(super) listener: Arc<Listener>,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.authorities.are_required()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.authorities.current().check(leaf, others, now);
        if verified.is_err() {
            self.listener.refuse(Refusal::ClientCertificate);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.current().verifier.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.current().verifier.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.current().verifier.supported_verify_schemes()
    }
}
