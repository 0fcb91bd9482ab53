//! What is kept of a password, and the ids that name a principal and each of its credentials.
//!
//! Data only: the work of checking a password is [`crate::auth::password`]'s. A verifier is parsed when the policy is
//! compiled, so that a hash which could stall the machine, or could never match, is a problem in a file and not a
//! surprise at a login.

use std::fmt;
use std::str::FromStr;

use argon2::PasswordHash;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::secret::{HashKey, KeyedDigest, Secret};

/// How a keyed digest is written in a policy document.
const DIGEST_PREFIX: &str = "$seawall-hmac-sha256$";
/// The most memory that one argon2 hash may ask for: 256 MiB, in KiB. A few of them run at a time.
const MAX_ARGON2_MEMORY: u32 = 256 * 1024;
const MAX_ARGON2_PASSES: u32 = 20;
const MAX_ARGON2_LANES: u32 = 64;
/// Each step doubles the time; 15 is some seconds.
const MAX_BCRYPT_COST: u32 = 15;

/// Base64 with or without its padding: people paste either.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text under `hash:` is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HashProblem {
    #[error("not a hash that is known here: argon2 (`$argon2id$…`), bcrypt (`$2b$…`) or `{DIGEST_PREFIX}…`")]
    UnknownScheme,
    #[error("the argon2 hash is malformed or incomplete")]
    Argon2,
    #[error("the argon2 hash asks for more than 256 MiB of memory, 20 passes or 64 lanes")]
    Argon2TooExpensive,
    #[error("the bcrypt hash is malformed")]
    Bcrypt,
    #[error("the bcrypt cost is not between 4 and 15")]
    BcryptCost,
    #[error("the keyed digest is not the base64 text of 32 bytes")]
    Digest,
}

/// What a presented password is compared with. It never contains the password itself.
#[derive(Clone)]
pub enum Verifier {
    /// For secrets that we generate or read: fast, and safe because of their entropy or because they are not written down.
    Digest(KeyedDigest),
    /// A PHC string within the limits of this module, for passwords that people choose.
    Argon2(Box<str>),
    /// A modular-crypt string, cost 4 to 15, as htpasswd makes them.
    Bcrypt(Box<str>),
}

impl Verifier {
    /// The verifier of a secret that we hold in clear at this moment.
    pub fn of_secret(key: &HashKey, secret: &Secret) -> Self {
        Self::Digest(password_digest(key, secret))
    }

    /// Reads the text of a `hash:` property.
    ///
    /// # Errors
    /// Whatever could never match, or would cost more than a login may.
    pub fn parse_hash(text: &str) -> Result<Self, HashProblem> {
        if let Some(digest) = text.strip_prefix(DIGEST_PREFIX) {
            return parse_digest(digest);
        }
        if ["$argon2id$", "$argon2i$", "$argon2d$"].iter().any(|scheme| text.starts_with(scheme)) {
            return parse_argon2(text);
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|scheme| text.starts_with(scheme)) {
            return parse_bcrypt(text);
        }
        Err(HashProblem::UnknownScheme)
    }

    /// Whether checking it is expensive on purpose.
    pub const fn is_slow(&self) -> bool {
        match self {
            Self::Digest(_) => false,
            Self::Argon2(_) | Self::Bcrypt(_) => true,
        }
    }

    /// The text that [`Verifier::parse_hash`] reads. A keyed digest holds for one [`HashKey`] only.
    pub fn hash_text(&self) -> String {
        match self {
            Self::Digest(digest) => format!("{DIGEST_PREFIX}{}", BASE64.encode(digest.as_bytes())),
            Self::Argon2(text) | Self::Bcrypt(text) => text.to_string(),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digest(_) => "Verifier::Digest(…)",
            Self::Argon2(_) => "Verifier::Argon2(…)",
            Self::Bcrypt(_) => "Verifier::Bcrypt(…)",
        })
    }
}

/// The digest under which a password is kept.
pub fn password_digest(key: &HashKey, password: &Secret) -> KeyedDigest {
    key.digest("password", &[password.expose().as_bytes()])
}

fn parse_digest(text: &str) -> Result<Verifier, HashProblem> {
    let bytes = BASE64.decode(text).map_err(|_| HashProblem::Digest)?;
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| HashProblem::Digest)?;
    Ok(Verifier::Digest(KeyedDigest::from_bytes(bytes)))
}

fn parse_argon2(text: &str) -> Result<Verifier, HashProblem> {
    let hash = PasswordHash::new(text).map_err(|_| HashProblem::Argon2)?;
    let params = argon2::Params::try_from(&hash).map_err(|_| HashProblem::Argon2)?;
    if let Some(version) = hash.version {
        argon2::Version::try_from(version).map_err(|_| HashProblem::Argon2)?;
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(HashProblem::Argon2);
    }
    if params.m_cost() > MAX_ARGON2_MEMORY || params.t_cost() > MAX_ARGON2_PASSES || params.p_cost() > MAX_ARGON2_LANES
    {
        return Err(HashProblem::Argon2TooExpensive);
    }
    Ok(Verifier::Argon2(text.into()))
}

fn parse_bcrypt(text: &str) -> Result<Verifier, HashProblem> {
    let parts = bcrypt::HashParts::from_str(text).map_err(|_| HashProblem::Bcrypt)?;
    if !(4..=MAX_BCRYPT_COST).contains(&parts.get_cost()) {
        return Err(HashProblem::BcryptCost);
    }
    Ok(Verifier::Bcrypt(text.into()))
}

/// A text that is not the 32 lower-case hexadecimal digits of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an id is 32 lower-case hexadecimal digits")]
pub struct MalformedId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id that `parts` have under `key`: the same wherever the key is the same, and nothing can be learnt
            /// from it about the parts. `domain` says what the parts are.
            pub fn derive(key: &HashKey, domain: &str, parts: &[&[u8]]) -> Self {
                Self(first_half(&key.digest(domain, parts)))
            }

            /// The bytes, for digests that cover them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                parse_id(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = MalformedId;

            fn try_from(text: String) -> Result<Self, MalformedId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

id! {
    /// Names a principal for as long as it exists: what is recreated under the same name has another id.
    PrincipalId
}

id! {
    /// Names one credential of a principal: a rotated password has another id.
    CredentialId
}

fn first_half(digest: &KeyedDigest) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    half
}

fn parse_id(text: &str) -> Result<[u8; 16], MalformedId> {
    // One spelling per id: `from_str_radix` alone would also read signs and capitals.
    if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(MalformedId);
    }
    u128::from_str_radix(text, 16).map(u128::to_be_bytes).map_err(|_| MalformedId)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGON2: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$JcBWC2plTHw1pX3Z6HrYdk1FPmkjbBRaOAUaazQ0wNI";
    const BCRYPT: &str = "$2y$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u";

    fn key() -> HashKey {
        HashKey::from_bytes([1; 32])
    }

    #[test]
    fn every_accepted_hash_keeps_its_text() {
        let digest = Verifier::of_secret(&key(), &Secret::new("s3cret")).hash_text();
        let argon2i = ARGON2.replace("argon2id", "argon2i");
        let costly = ARGON2.replace("m=19456,t=2,p=1", "m=262144,t=20,p=64");
        for text in [&digest, ARGON2, &argon2i, &costly, BCRYPT, &BCRYPT.replace("$2y$", "$2a$")] {
            assert_eq!(Verifier::parse_hash(text).expect(text).hash_text(), *text);
        }
    }

    #[test]
    fn a_digest_may_keep_its_padding() {
        let text = Verifier::of_secret(&key(), &Secret::new("s3cret")).hash_text();
        assert_eq!(Verifier::parse_hash(&format!("{text}=")).expect("padded").hash_text(), text);
    }

    #[test]
    fn refuses_what_could_not_match_or_would_cost_too_much() {
        let cases = [
            ("", HashProblem::UnknownScheme),
            ("hunter2", HashProblem::UnknownScheme),
            ("$1$salt$md5crypt", HashProblem::UnknownScheme),
            ("$2x$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u", HashProblem::UnknownScheme),
            ("{SHA}NWoZK3kTsExUV00Ywo1G5jlUKKs=", HashProblem::UnknownScheme),
            ("$argon2id$", HashProblem::Argon2),
            ("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0", HashProblem::Argon2),
            (&ARGON2.replace("v=19", "v=18"), HashProblem::Argon2),
            (&ARGON2.replace("t=2", "t=0"), HashProblem::Argon2),
            (&ARGON2.replace("m=19456", "m=262145"), HashProblem::Argon2TooExpensive),
            (&ARGON2.replace("t=2", "t=21"), HashProblem::Argon2TooExpensive),
            (&ARGON2.replace("p=1", "p=65"), HashProblem::Argon2TooExpensive),
            (&BCRYPT.replace("$12$", "$16$"), HashProblem::BcryptCost),
            (&BCRYPT.replace("$12$", "$03$"), HashProblem::BcryptCost),
            (&BCRYPT[..59], HashProblem::Bcrypt),
            ("$2b$12$é", HashProblem::Bcrypt),
            ("$seawall-hmac-sha256$", HashProblem::Digest),
            ("$seawall-hmac-sha256$AAAA", HashProblem::Digest),
            ("$seawall-hmac-sha256$!", HashProblem::Digest),
        ];
        for (text, expected) in cases {
            assert_eq!(Verifier::parse_hash(text).map(|verifier| verifier.hash_text()), Err(expected), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_hash() {
        for text in [ARGON2, BCRYPT] {
            assert!(!format!("{:?}", Verifier::parse_hash(text).expect(text)).contains('$'));
        }
    }

    #[test]
    fn an_id_is_read_back_from_its_text() {
        let id = CredentialId::derive(&key(), "token", &[b"ci", b"\x00"]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::from_value::<CredentialId>(serde_json::json!(id)).expect("json"), id);
    }

    #[test]
    fn an_id_depends_on_key_domain_and_framing() {
        let id = PrincipalId::derive(&key(), "token", &[b"ab", b"c"]);
        assert_ne!(id, PrincipalId::derive(&HashKey::from_bytes([2; 32]), "token", &[b"ab", b"c"]));
        assert_ne!(id, PrincipalId::derive(&key(), "admin", &[b"ab", b"c"]));
        assert_ne!(id, PrincipalId::derive(&key(), "token", &[b"a", b"bc"]));
    }

    #[test]
    fn an_id_has_one_spelling() {
        for text in ["", "0", "+0000000000000000000000000000001", "ABCDEF00000000000000000000000000", "é000"] {
            assert_eq!(text.parse::<PrincipalId>(), Err(MalformedId), "{text}");
        }
        assert!("000000000000000000000000000000000".parse::<PrincipalId>().is_err(), "33 digits");
    }
}
