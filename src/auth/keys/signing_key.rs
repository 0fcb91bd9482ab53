//! One signing key, ready to sign and to verify, and its public face.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::errors::Error;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde_json::{Value, json};

use super::{KeyMaterial, KeysError, SigningAlgorithm};
use crate::secret::Secret;

/// A key pair with its certificate and its times.
pub(in crate::auth) struct SigningKey {
    algorithm: SigningAlgorithm,
    id: Arc<str>,
    pub(super) active_from: Timestamp,
    pub(super) retires_at: Option<Timestamp>,
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
    /// Reads what is kept of a key.
    ///
    /// # Errors
    /// [`KeysError::Unusable`] when its parts are malformed or do not belong together.
    pub(super) fn new(material: &KeyMaterial) -> Result<Self, KeysError> {
        let certificate = material.certificate()?;
        let key = Self::read(material, &certificate).map_err(KeysError::unusable(&material.id))?;
        if *key.id != *material.id {
            return Err(KeysError::unusable(&material.id)("its id is not its thumbprint"));
        }
        Ok(key)
    }

    fn read(material: &KeyMaterial, certificate: &[u8]) -> Result<Self, Error> {
        let algorithm = material.algorithm;
        let (signing, public) = parse(algorithm, &material.private_key_pem)?;
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
        Ok(Self {
            algorithm,
            id: id.into(),
            active_from: material.active_from,
            retires_at: material.retires_at,
            signing,
            verifying,
            header,
            certificate_pem: material.certificate_pem.clone(),
            jwk,
        })
    }

    /// The RFC 7638 thumbprint of a private key's public half.
    pub(super) fn id_of(algorithm: SigningAlgorithm, private_key_pem: &Secret) -> Result<String, Error> {
        parse(algorithm, private_key_pem)?.1.thumbprint(ThumbprintHash::SHA256)
    }

    pub(in crate::auth) fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The RFC 7638 thumbprint: the `kid` of what this key signs.
    pub(in crate::auth) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Whether what it signed may be accepted at `now`.
    pub(super) fn counts_at(&self, now: Timestamp) -> bool {
        self.retires_at.is_none_or(|end| now < end)
    }

    pub(super) fn jwk(&self) -> &Value {
        &self.jwk
    }

    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The compact JWS (RFC 7515) of `payload`. RSA takes about a millisecond.
    pub(in crate::auth) fn sign(&self, payload: &[u8]) -> Result<String, Error> {
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

fn parse(algorithm: SigningAlgorithm, private_key_pem: &Secret) -> Result<(EncodingKey, Jwk), Error> {
    let pem = private_key_pem.expose().as_bytes();
    let signing = match algorithm {
        SigningAlgorithm::Rs256 => EncodingKey::from_rsa_pem(pem)?,
        SigningAlgorithm::Es256 => EncodingKey::from_ec_pem(pem)?,
    };
    let public = Jwk::from_encoding_key(&signing, jws_algorithm(algorithm))?;
    Ok((signing, public))
}

const fn jws_algorithm(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Es256 => Algorithm::ES256,
    }
}
