//! Why a token of an identity provider is refused.

use thiserror::Error;

/// One reason. The client is told none of it; the audit log and the metrics have its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rejection {
    #[error("the identity token is larger than 16 KiB")]
    TooLarge,
    #[error("the identity token is malformed, names a member twice, or lacks a claim")]
    Malformed,
    #[error("the identity token is encrypted, holds another token, or is of a type for another purpose")]
    Type,
    #[error("the identity token demands an extension that is not known here")]
    CriticalExtension,
    #[error("an access or refresh token of a registry is no identity token")]
    OwnToken,
    #[error("no identity provider has the issuer of the identity token")]
    UnknownIssuer,
    #[error("the identity token is signed in a way that its provider or its key is not declared for")]
    Algorithm,
    #[error("the identity token does not say which of the provider's keys signed it")]
    KeyNotNamed,
    #[error("the identity token is signed with a key that its provider does not publish")]
    UnknownKey,
    #[error("the signature of the identity token is wrong")]
    Signature,
    #[error("the identity token is for another audience")]
    Audience,
    #[error("the identity token has expired")]
    Expired,
    #[error("the identity token is not valid yet")]
    NotYetValid,
    #[error("the identity token names no subject")]
    Subject,
}

impl Rejection {
    /// A short stable word for metrics and the audit log.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Type => "type",
            Self::CriticalExtension => "critical_extension",
            Self::OwnToken => "own_token",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Algorithm => "algorithm",
            Self::KeyNotNamed => "key_not_named",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Subject => "subject",
        }
    }
}
