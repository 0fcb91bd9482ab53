//! Authorities for clients, the certificates that they sign, and their lists of revoked ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest, Sha256};

/// Serial numbers of all authorities, so that no two certificates have the same.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// An authority for certificates of clients.
pub(super) struct ClientAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    /// What leads from this one to the root, for clients to send.
    chain: Vec<CertificateDer<'static>>,
}

impl ClientAuthority {
    pub(super) fn new(name: &str) -> Self {
        Self::made(name, |_| {})
    }

    /// One that differs in `change`.
    pub(super) fn made(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = (authority(name, change), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            chain: Vec::new(),
        }
    }

    /// One below this one.
    pub(super) fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = (authority(name, change), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = std::iter::once(certificate.der().clone()).chain(self.chain.iter().cloned()).collect();
        Self { pem: certificate.pem(), certificate: certificate.der().clone(), issuer: Issuer::new(params, key), chain }
    }

    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A certificate for a client, and its key.
    pub(super) fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = client(change);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = std::iter::once(certificate.der().clone()).chain(self.chain.iter().cloned()).collect();
        Identity::new(chain, &key, params.serial_number.unwrap())
    }

    /// A list of revoked certificates that ends in the year `until`.
    pub(super) fn revoke(&self, serials: &[&SerialNumber], until: i32) -> String {
        let revoked = serials.iter().map(|&serial| RevokedCertParams {
            serial_number: serial.clone(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(NEXT.fetch_add(1, Ordering::Relaxed)),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(NEXT.fetch_add(1, Ordering::Relaxed)));
    params
}

fn authority(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    change(&mut params);
    params
}

fn client(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = named("client");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    params
}

pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(super) fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

/// A certificate, what leads to its authority, and a key.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    pub(super) serial: SerialNumber,
    pub(super) fingerprint: String,
}

impl Identity {
    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair, serial: SerialNumber) -> Self {
        let fingerprint = hex(&Sha256::digest(&chain[0]));
        Self { chain, key: key.serialize_der(), serial, fingerprint }
    }

    /// One that nobody but itself has signed.
    pub(super) fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = (client(change), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        Self::new(vec![certificate.der().clone()], &key, params.serial_number.unwrap())
    }

    /// What a TLS client shows. The key need not be the certificate's.
    pub(super) fn shown(&self) -> Arc<SingleCertAndKey> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(self.chain.clone(), key)))
    }

    /// The certificate of another one, with this one's key.
    pub(super) fn posing_as(self, other: &Self) -> Self {
        Self { chain: other.chain.clone(), ..self }
    }

    /// As files: the certificate with its chain, and the key.
    pub(super) fn written(&self, directory: &Path, name: &str) -> [PathBuf; 2] {
        let files = [format!("{name}.crt"), format!("{name}.key")].map(|name| directory.join(name));
        let chain: String = self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
        fs::write(&files[0], chain).unwrap();
        fs::write(&files[1], pem("PRIVATE KEY", &self.key)).unwrap();
        files
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn pem(kind: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}
