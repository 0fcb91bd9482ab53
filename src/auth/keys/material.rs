//! A signing key as it is kept: its private key and its certificate as PEM, and the time in which it counts.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
    RsaKeySize,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::signing_key::SigningKey;
use super::{KeysError, SigningAlgorithm};
use crate::secret::Secret;

/// Registries that trust the certificate are not told when it is renewed, so it should outlive them.
const CERTIFICATE_YEARS: i32 = 20;

/// One signing key.
#[derive(Debug, Clone)]
pub struct KeyMaterial {
    /// The RFC 7638 thumbprint of its public key: the `kid` of what it signs.
    pub id: String,
    pub algorithm: SigningAlgorithm,
    /// PKCS#8.
    pub private_key_pem: Secret,
    /// Self-signed.
    pub certificate_pem: String,
    pub creation_date: Timestamp,
    /// It signs from this moment on. It verifies before, too.
    pub active_from: Timestamp,
    /// Nothing that it signed is accepted from this moment on.
    pub retires_at: Option<Timestamp>,
}

impl KeyMaterial {
    /// A new key that signs from `now` on. RSA takes some tenths of a second: not for a request thread.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(algorithm: SigningAlgorithm, now: Timestamp) -> Result<Self, KeysError> {
        let pair = generate(algorithm)?;
        let private_key_pem = Secret::new(pair.serialize_pem());
        let id = SigningKey::id_of(algorithm, &private_key_pem).map_err(KeysError::unusable("a new key"))?;
        Ok(Self {
            id,
            algorithm,
            private_key_pem,
            certificate_pem: self_signed(&pair, now)?,
            creation_date: now,
            active_from: now,
            retires_at: None,
        })
    }

    /// The key of `private_key_pem`, which signs from `now` on; with a new certificate if it has none.
    ///
    /// # Errors
    /// [`KeysError::Unusable`] when the text is no PKCS#8 key of `algorithm`.
    pub(super) fn of_private_key(
        algorithm: SigningAlgorithm,
        private_key_pem: Secret,
        certificate_pem: Option<String>,
        now: Timestamp,
    ) -> Result<Self, KeysError> {
        let pair = pair(algorithm, &private_key_pem).map_err(KeysError::unusable("a file"))?;
        let id = SigningKey::id_of(algorithm, &private_key_pem).map_err(KeysError::unusable("a file"))?;
        let certificate_pem = certificate_pem.map_or_else(|| self_signed(&pair, now), Ok)?;
        let (creation_date, active_from, retires_at) = (now, now, None);
        Ok(Self { id, algorithm, private_key_pem, certificate_pem, creation_date, active_from, retires_at })
    }

    /// The DER text of the certificate.
    ///
    /// # Errors
    /// [`KeysError::Unusable`] when the certificate is not one, or is another key's.
    pub(super) fn certificate(&self) -> Result<CertificateDer<'static>, KeysError> {
        self.matching_certificate().map_err(KeysError::unusable(&self.id))
    }

    fn matching_certificate(&self) -> Result<CertificateDer<'static>, String> {
        let certificate = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|error| format!("its certificate is not one in PEM: {error}"))?;
        let public = pair(self.algorithm, &self.private_key_pem)?.subject_public_key_info();
        if contains(&certificate, &public) {
            Ok(certificate)
        } else {
            Err("its certificate is another key's".to_owned())
        }
    }
}

/// The text is not quoted in the error: it may be a damaged private key.
fn pair(algorithm: SigningAlgorithm, private_key_pem: &Secret) -> Result<KeyPair, String> {
    KeyPair::from_pkcs8_pem_and_sign_algo(private_key_pem.expose(), signature_algorithm(algorithm))
        .map_err(|error| format!("it is not a PKCS#8 key for {}: {error}", algorithm.name()))
}

fn signature_algorithm(algorithm: SigningAlgorithm) -> &'static rcgen::SignatureAlgorithm {
    match algorithm {
        SigningAlgorithm::Rs256 => &rcgen::PKCS_RSA_SHA256,
        SigningAlgorithm::Es256 => &rcgen::PKCS_ECDSA_P256_SHA256,
    }
}

fn generate(algorithm: SigningAlgorithm) -> Result<KeyPair, KeysError> {
    let kind = signature_algorithm(algorithm);
    match algorithm {
        SigningAlgorithm::Rs256 => KeyPair::generate_rsa_for(kind, RsaKeySize::_2048),
        SigningAlgorithm::Es256 => KeyPair::generate_for(kind),
    }
    .map_err(|source| KeysError::Generate { what: "signing key", source })
}

/// A certificate that is its own authority: Distribution verifies the `x5c` of a token up to one of its roots.
fn self_signed(pair: &KeyPair, now: Timestamp) -> Result<String, KeysError> {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "seawall");
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut certificate = CertificateParams::default();
    certificate.distinguished_name = name;
    certificate.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    certificate.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    // A day early, for registries whose clocks are behind.
    let (year, month, day) = calendar(today.saturating_sub(Span::new().days(1)));
    certificate.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = calendar(today.saturating_add(Span::new().years(CERTIFICATE_YEARS)));
    certificate.not_after = rcgen::date_time_ymd(year, month, day);
    let certificate = certificate.self_signed(pair);
    Ok(certificate.map_err(|source| KeysError::Generate { what: "certificate", source })?.pem())
}

fn calendar(date: Date) -> (i32, u8, u8) {
    (date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
}

/// Whether `part` stands somewhere in `whole`: the public key in a certificate, both DER.
fn contains(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}
