//! One signing key with its certificate and its public face.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
    RsaKeySize,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::SigningAlgorithm;
use super::files::{KeyDirectory, KeysError, Visibility};

/// Registries that trust the certificate are not told when it is renewed, so it should outlive them.
const CERTIFICATE_YEARS: i32 = 20;

/// A key pair, ready to sign and to verify.
pub(in crate::auth) struct SigningKey {
    algorithm: SigningAlgorithm,
    id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    /// The encoded JOSE header of everything that this key signs.
    header: String,
    certificate_pem: String,
    jwk: Value,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).field("id", &self.id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads key and certificate, and makes those that are missing. The certificate is made last and from the key, so
    /// a crash in between costs nothing.
    pub(super) fn open_or_create(
        directory: &KeyDirectory,
        algorithm: SigningAlgorithm,
        now: Timestamp,
    ) -> Result<Self, KeysError> {
        let key_file = algorithm.key_file();
        let certificate_file = algorithm.certificate_file();
        let invalid = |file: &str, reason: String| KeysError::Invalid { path: directory.path_of(file), reason };
        // In this order: another process that is making both makes the key first.
        if directory.read(certificate_file, Visibility::Public)?.is_some()
            && directory.read(key_file, Visibility::Secret)?.is_none()
        {
            return Err(invalid(certificate_file, format!("its key `{key_file}` is missing")));
        }
        let key_pem =
            directory.read_or_create(key_file, Visibility::Secret, || Ok(generate(algorithm)?.serialize_pem()))?;
        let pair = KeyPair::from_pkcs8_pem_and_sign_algo(&key_pem, signature_algorithm(algorithm))
            .map_err(|error| invalid(key_file, format!("not a PKCS#8 key for {}: {error}", algorithm.name())))?;
        let certificate_pem =
            directory.read_or_create(certificate_file, Visibility::Public, || self_signed(&pair, now))?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| invalid(certificate_file, format!("not a certificate in PEM: {error}")))?;
        if !contains(&certificate, &pair.subject_public_key_info()) {
            return Err(invalid(certificate_file, format!("it is not the certificate of the key in `{key_file}`")));
        }
        Self::new(algorithm, &key_pem, certificate_pem, &certificate)
            .map_err(|error| invalid(key_file, error.to_string()))
    }

    fn new(
        algorithm: SigningAlgorithm,
        key_pem: &str,
        certificate_pem: String,
        certificate: &[u8],
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        let signing = match algorithm {
            SigningAlgorithm::Rs256 => EncodingKey::from_rsa_pem(key_pem.as_bytes())?,
            SigningAlgorithm::Es256 => EncodingKey::from_ec_pem(key_pem.as_bytes())?,
        };
        let public = Jwk::from_encoding_key(&signing, jws_algorithm(algorithm))?;
        let verifying = DecodingKey::from_jwk(&public)?;
        let id = public.thumbprint(ThumbprintHash::SHA256)?;
        // Standard base64 here and base64url everywhere else: RFC 7515 section 4.1.6.
        let x5c = json!([STANDARD.encode(certificate)]);
        let header = json!({ "typ": "JWT", "alg": algorithm.name(), "kid": id, "x5c": x5c });
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let mut jwk = serde_json::to_value(&public.algorithm)?;
        for (member, value) in
            [("use", json!("sig")), ("alg", json!(algorithm.name())), ("kid", json!(id)), ("x5c", x5c)]
        {
            if let Some(jwk) = jwk.as_object_mut() {
                jwk.insert(member.to_owned(), value);
            }
        }
        Ok(Self { algorithm, id, signing, verifying, header, certificate_pem, jwk })
    }

    pub(in crate::auth) fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The RFC 7638 thumbprint: the `kid` of what this key signs.
    pub(in crate::auth) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn jwk(&self) -> &Value {
        &self.jwk
    }

    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The compact JWS (RFC 7515) of `payload`. RSA takes about a millisecond.
    pub(in crate::auth) fn sign(&self, payload: &[u8]) -> Result<String, jsonwebtoken::errors::Error> {
        let message = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(payload));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.signing, jws_algorithm(self.algorithm))?;
        Ok(format!("{message}.{signature}"))
    }

    /// The signature of any message, for tests that forge tokens.
    #[cfg(test)]
    pub(in crate::auth) fn signature(&self, message: &str) -> String {
        jsonwebtoken::crypto::sign(message.as_bytes(), &self.signing, jws_algorithm(self.algorithm)).expect("signed")
    }

    /// Whether this key made `signature` (base64url) over `message`, by its own algorithm and no other.
    pub(in crate::auth) fn verifies(&self, message: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.verifying, jws_algorithm(self.algorithm))
            .unwrap_or(false)
    }
}

const fn jws_algorithm(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Es256 => Algorithm::ES256,
    }
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
