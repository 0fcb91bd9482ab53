//! Refusals, and what a client sees of each: one table.
//!
//! A refusal carries the reason for the operator; the client gets the fixed text of the protocol's code and nothing
//! of the reason, except that a network refusal names the address it saw (requirements B.3-12).

use std::net::IpAddr;

use http::{StatusCode, header};
use thiserror::Error;

use super::answer::Answer;
use crate::oci::{Challenge, ChallengeError, ErrorBody, ErrorCode, RouteError, Scope};
use crate::policy::Denial;

/// Why a request goes no further.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    /// A correct answer that says no. `asked` is what the challenge asks for; `by_token` says that an access token was
    /// presented: only then does the challenge call a credential invalid. With a password the answer must not tell a wrong
    /// one from one that does not count any more.
    #[error("{denial}")]
    Denied { denial: Denial, asked: Vec<Scope>, by_token: bool, realm: String, service: String },
    #[error("the source address is refused: {reason}")]
    Network { source_address: IpAddr, reason: String },
    #[error("{0}")]
    Malformed(#[from] RouteError),
    #[error("{reason}")]
    BadRequest { code: ErrorCode, status: u16, reason: &'static str },
    #[error("no registry has this host name")]
    UnknownHost,
    #[error("the source address is not known")]
    NoSource,
    /// The work of checking passwords is piling up.
    #[error("too many passwords are being checked")]
    Busy,
    #[error("no policy has been published yet")]
    NotReady,
    #[error("{0}")]
    Upstream(UpstreamFailure),
    #[error("the client left before its request or its answer was complete")]
    ClientLeft,
    #[error("seawall ended, or a defect ended the request, before its answer was complete")]
    CutOff,
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// The code of [`Refusal::ClientLeft`].
pub(crate) const CLIENT_LEFT: &str = "client_left";

/// What an upstream did instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum UpstreamFailure {
    #[error("the upstream cannot be reached")]
    Unreachable,
    #[error("the upstream did not go on in time")]
    TimedOut,
    #[error("the upstream broke off")]
    Broken,
    #[error("the upstream refused seawall's own credential")]
    RefusedUs,
    #[error(
        "the upstream redirects to its storage, and redirects are not passed on: set `storage: {{ redirect: {{ disable: \
         true }} }}` in Distribution, or its like"
    )]
    Redirected,
    #[error("the upstream answered with something that may not be passed on")]
    Unusable,
}

impl Refusal {
    /// A word for metrics and the audit log.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Denied { denial, .. } => denial.code(),
            Self::Network { .. } => "network_refused",
            Self::Malformed(_) | Self::BadRequest { .. } => "malformed",
            Self::UnknownHost => "unknown_host",
            Self::NoSource => "no_source",
            Self::Busy => "busy",
            Self::NotReady => "not_ready",
            Self::Upstream(UpstreamFailure::Unreachable) => "upstream_unreachable",
            Self::Upstream(UpstreamFailure::TimedOut) => "upstream_timeout",
            Self::Upstream(UpstreamFailure::Broken) => "upstream_broken",
            Self::Upstream(UpstreamFailure::RefusedUs) => "upstream_refused_us",
            Self::Upstream(UpstreamFailure::Redirected) => "upstream_redirected",
            Self::Upstream(UpstreamFailure::Unusable) => "upstream_unusable",
            Self::ClientLeft => CLIENT_LEFT,
            Self::CutOff => "cut_off",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether this is a decision, as opposed to not having been able to decide or to do.
    pub(crate) const fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Denied { .. }
                | Self::Network { .. }
                | Self::Malformed(_)
                | Self::BadRequest { .. }
                | Self::UnknownHost
                | Self::NoSource
        )
    }

    /// Whether the request's body should be read before answering, so that clients that send it first see the answer
    /// (wire contract R5). After a network refusal nothing is read.
    pub(crate) const fn drains_body(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// What the client sees.
    pub(crate) fn answer(&self) -> Answer {
        match self {
            Self::Denied { denial, asked, by_token, realm, service } => {
                let error = challenge_error(denial, *by_token);
                unauthorized(&Challenge { realm, service, scopes: asked, error })
            }
            Self::Network { source_address, .. } => error(403, &ErrorBody::denied_address(*source_address)),
            Self::Malformed(route) => {
                let answer = error(route.status(), &ErrorBody::from(route));
                match route.allow() {
                    Some(methods) => answer.with(header::ALLOW, methods),
                    None => answer,
                }
            }
            Self::BadRequest { code, status, .. } => error(*status, &ErrorBody::new(*code)),
            Self::UnknownHost => error(421, &ErrorBody::with_message(ErrorCode::NameUnknown, "no such registry")),
            Self::NoSource => error(403, &ErrorBody::new(ErrorCode::Denied)),
            Self::Busy | Self::NotReady => {
                error(503, &ErrorBody::new(ErrorCode::Unavailable)).with(header::RETRY_AFTER, "1")
            }
            Self::Upstream(failure) => upstream(*failure),
            Self::ClientLeft => error(400, &ErrorBody::new(ErrorCode::Unsupported)),
            Self::CutOff | Self::Internal(_) => error(500, &ErrorBody::new(ErrorCode::Unknown)),
        }
    }
}

fn unauthorized(challenge: &Challenge<'_>) -> Answer {
    error(401, &ErrorBody::unauthorized(challenge.scopes)).with(header::WWW_AUTHENTICATE, &challenge.to_string())
}

/// `insufficient_scope` makes clients ask for a new access token; `invalid_token` makes them log in again (R4).
const fn challenge_error(denial: &Denial, by_token: bool) -> Option<ChallengeError> {
    match denial {
        Denial::ActionNotGranted { .. } | Denial::ScopeNotGranted { .. } | Denial::CatalogNotGranted => {
            Some(ChallengeError::InsufficientScope)
        }
        Denial::AccessTokenInvalid | Denial::AccessTokenExpired | Denial::PrincipalGone | Denial::NotAccepted(_)
            if by_token =>
        {
            Some(ChallengeError::InvalidToken)
        }
        _ => None,
    }
}

fn upstream(failure: UpstreamFailure) -> Answer {
    let (status, code) = match failure {
        UpstreamFailure::TimedOut => (504, ErrorCode::Unavailable),
        UpstreamFailure::Unreachable => (502, ErrorCode::Unavailable),
        UpstreamFailure::Broken
        | UpstreamFailure::RefusedUs
        | UpstreamFailure::Redirected
        | UpstreamFailure::Unusable => (502, ErrorCode::Unknown),
    };
    error(status, &ErrorBody::new(code))
}

fn error(status: u16, body: &ErrorBody) -> Answer {
    Answer::json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body.json())
}
