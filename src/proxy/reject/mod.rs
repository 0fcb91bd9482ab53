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
use crate::policy::limits::{Exhausted, Locked};
use crate::policy::locks::Lock;
use crate::policy::redirects::RedirectRefusal;
use crate::upstream::CallError;

/// Why a request goes no further.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    /// A correct answer that says no. `asked` is what the challenge asks for; `by_access_token` says that an access token was
    /// presented: only then does the challenge call a credential invalid. With a password the answer must not tell a wrong
    /// one from one that does not count any more.
    #[error("{denial}")]
    Denied { denial: Denial, asked: Vec<Scope>, by_access_token: bool, realm: String, service: String },
    #[error("the source address is refused: {reason}")]
    Network { source_address: IpAddr, reason: String },
    /// At a data endpoint there is no challenge: nobody logs in there.
    #[error("{0}")]
    Link(LinkRefusal),
    #[error("{0}")]
    Malformed(#[from] RouteError),
    #[error("{reason}")]
    BadRequest { code: ErrorCode, status: u16, reason: &'static str },
    #[error("no registry has this host name")]
    UnknownHost,
    /// The connection was made for another name than the Host.
    #[error("the Host is not the name of the connection's TLS handshake")]
    Misdirected,
    /// The listener serves nobody without a certificate, and the client's has ended or was revoked since the handshake.
    #[error("the client's certificate does not count any more, and the listener requires one")]
    ClientCertificate,
    #[error("the source address is not known")]
    NoSource,
    /// The work of checking passwords is piling up.
    #[error("too many passwords are being checked")]
    Busy,
    #[error("{0}")]
    RateLimited(Exhausted),
    #[error("{0}")]
    LoginLocked(Locked),
    #[error("{0}")]
    ProviderUnavailable(String),
    #[error("no policy has been published yet")]
    NotReady,
    /// The operator has set how old a policy may get (`store.maximumAge`).
    #[error("the store has not confirmed the policy for too long: a revocation may be missing")]
    Outdated,
    #[error("{0}")]
    Upstream(UpstreamFailure),
    #[error("{0}")]
    Redirect(RedirectRefusal),
    /// Nobody may do it now, whatever his rights are.
    #[error("{0}")]
    Locked(Lock),
    /// Whether a lock is in the way depends on what the registry behind does not say now.
    #[error("it cannot be found out whether a lock is in the way: {0}")]
    LocksUnknown(String),
    /// What is asked about the registry's contents is not known, or what was to be done with them is not done.
    #[error("{cause}")]
    Metadata { status: u16, cause: String },
    #[error("the client left before its request or its answer was complete")]
    ClientLeft,
    #[error("seawall ended, or a defect ended the request, before its answer was complete")]
    CutOff,
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// Why a link to a data endpoint is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum LinkRefusal {
    #[error("the request to the data endpoint has no link: the login server gives it out")]
    Missing,
    #[error("the link was not made for this registry, data endpoint, repository and blob")]
    Invalid,
    #[error("the link has expired")]
    Expired,
    /// Whoever it was made for may not fetch the blob any more.
    #[error("{0}")]
    Denied(Denial),
}

impl LinkRefusal {
    const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "link_missing",
            Self::Invalid => "link_invalid",
            Self::Expired => "link_expired",
            Self::Denied(denial) => denial.code(),
        }
    }
}

/// The code of [`Refusal::ClientLeft`].
pub(crate) const CLIENT_LEFT: &str = "client_left";

/// What clients are told where what seawall knows itself is missing.
const METADATA_UNAVAILABLE: &str =
    "what seawall knows of the contents is not available now, or the work is not done yet";
const METADATA_REFUSED: &str = "the registry behind seawall does not do this";
const LOCKS_UNKNOWN: &str = "it cannot be found out now whether a lock is in the way";

/// What an upstream did instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum UpstreamFailure {
    #[error("the upstream cannot be reached")]
    Unreachable,
    #[error("the upstream did not go on in time")]
    TimedOut,
    #[error("the upstream broke off")]
    Broken,
    #[error("the upstream does not accept seawall's credential (`upstream.credential`): seawall's log says more")]
    Unauthorized,
    #[error("there is no access token for the upstream: seawall's log says why")]
    NoToken,
    #[error("the upstream knows seawall and forbids this to it")]
    RefusedUs,
    #[error(
        "the upstream redirects to its storage, and redirects are refused: set `storage: {{ redirect: {{ disable: true }} \
         }}` in Distribution, or its like, or set `upstream.redirects`"
    )]
    Redirected,
    #[error("the storage that the upstream redirects to does not serve the blob: the URL may have expired")]
    Storage,
    #[error("the upstream answered with something that may not be passed on")]
    Unusable,
}

impl UpstreamFailure {
    /// What a client is told, who may do what he asked for: enough to know whom to ask.
    const fn told(self) -> &'static str {
        match self {
            Self::Unreachable => "the registry behind seawall cannot be reached",
            Self::TimedOut => "the registry behind seawall did not answer in time",
            Self::Broken => "the registry behind seawall broke off",
            Self::Unauthorized | Self::NoToken => "seawall cannot log in to the registry behind it",
            Self::RefusedUs => "the registry behind seawall forbids this to seawall",
            Self::Redirected | Self::Storage => "the storage of the registry behind seawall cannot be used",
            Self::Unusable => "the registry behind seawall answered with something that cannot be used",
        }
    }
}

impl From<&CallError> for UpstreamFailure {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::Unreachable(_) => Self::Unreachable,
            CallError::NoToken => Self::NoToken,
            CallError::TimedOut => Self::TimedOut,
            CallError::Unauthorized => Self::Unauthorized,
            CallError::TooLarge(_) | CallError::Unusable(_) => Self::Unusable,
        }
    }
}

impl Refusal {
    /// A word for metrics and the audit log.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Denied { denial, .. } => denial.code(),
            Self::Network { .. } => "network_refused",
            Self::Link(refusal) => refusal.code(),
            Self::Malformed(_) | Self::BadRequest { .. } => "malformed",
            Self::UnknownHost => "unknown_host",
            Self::Misdirected => "misdirected",
            Self::ClientCertificate => "client_certificate",
            Self::NoSource => "no_source",
            Self::Busy => "busy",
            Self::RateLimited(_) => "rate_limited",
            Self::LoginLocked(_) => "login_locked",
            Self::ProviderUnavailable(_) => "identity_provider_unavailable",
            Self::NotReady => "not_ready",
            Self::Outdated => "policy_outdated",
            Self::Upstream(UpstreamFailure::Unreachable) => "upstream_unreachable",
            Self::Upstream(UpstreamFailure::TimedOut) => "upstream_timeout",
            Self::Upstream(UpstreamFailure::Broken) => "upstream_broken",
            Self::Upstream(UpstreamFailure::Unauthorized) => "upstream_unauthorized",
            Self::Upstream(UpstreamFailure::NoToken) => "upstream_no_token",
            Self::Upstream(UpstreamFailure::RefusedUs) => "upstream_refused_us",
            Self::Upstream(UpstreamFailure::Redirected) | Self::Redirect(_) => "upstream_redirected",
            Self::Upstream(UpstreamFailure::Storage) => "upstream_storage",
            Self::Upstream(UpstreamFailure::Unusable) => "upstream_unusable",
            Self::Locked(_) => "locked",
            Self::LocksUnknown(_) => "locks_unknown",
            Self::Metadata { .. } => "metadata_unavailable",
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
                | Self::Link(_)
                | Self::Malformed(_)
                | Self::BadRequest { .. }
                | Self::UnknownHost
                | Self::Misdirected
                | Self::ClientCertificate
                | Self::NoSource
                | Self::RateLimited(_)
                | Self::LoginLocked(_)
                | Self::Locked(_)
        )
    }

    /// Whether its answer carries an id: whether the policy has said no. Every login begins with a request that shows no
    /// credential: what answers that is an invitation, and an operator has nothing to find out about it.
    pub(crate) const fn has_id(&self) -> bool {
        match self {
            Self::Denied { denial, .. } => !matches!(denial, Denial::CredentialRequired),
            Self::Network { .. } | Self::Link(_) | Self::Locked(_) => true,
            _ => false,
        }
    }

    /// Whether the request's body should be read before answering, so that clients that send it first see the answer
    /// (wire contract R5). After a network refusal nothing is read.
    pub(crate) const fn drains_body(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::RateLimited(_) | Self::Locked(_))
    }

    /// What the client sees.
    #[cfg(test)]
    pub(crate) fn answer(&self) -> Answer {
        self.answer_with(None)
    }

    /// What the client sees, with the id of its denial.
    pub(crate) fn answer_with(&self, denial: Option<&str>) -> Answer {
        let error = |status, body: ErrorBody| error(status, &body.with_denial(denial));
        let denial_id = denial;
        match self {
            Self::Denied { denial, asked, by_access_token, realm, service } => {
                let error = challenge_error(denial, *by_access_token);
                unauthorized(&Challenge { realm, service, scopes: asked, error }, denial_id)
            }
            Self::Network { source_address, .. } => error(403, ErrorBody::denied_address(*source_address)),
            Self::Malformed(route) => {
                let answer = error(route.status(), ErrorBody::from(route));
                match route.allow() {
                    Some(methods) => answer.with(header::ALLOW, methods),
                    None => answer,
                }
            }
            Self::BadRequest { code, status, .. } => error(*status, ErrorBody::new(*code)),
            Self::UnknownHost | Self::Misdirected => {
                error(421, ErrorBody::with_message(ErrorCode::NameUnknown, "no such registry"))
            }
            Self::ClientCertificate | Self::NoSource | Self::Link(_) => error(403, ErrorBody::new(ErrorCode::Denied)),
            Self::Locked(_) => error(405, ErrorBody::new(ErrorCode::RegistryDisallowedOperation)),
            Self::Metadata { status: 503, .. } => {
                unavailable(&ErrorBody::new(ErrorCode::Unavailable).with_detail(METADATA_UNAVAILABLE))
            }
            Self::LocksUnknown(_) => unavailable(&ErrorBody::new(ErrorCode::Unavailable).with_detail(LOCKS_UNKNOWN)),
            // Whoever gets these has proved nothing yet.
            Self::Busy | Self::ProviderUnavailable(_) | Self::NotReady | Self::Outdated => {
                unavailable(&ErrorBody::new(ErrorCode::Unavailable))
            }
            Self::Metadata { status, .. } => {
                error(*status, ErrorBody::new(ErrorCode::Unknown).with_detail(METADATA_REFUSED))
            }
            Self::RateLimited(exhausted) => too_many(exhausted.retry_after),
            Self::LoginLocked(locked) => too_many(locked.retry_after),
            Self::Upstream(failure) => upstream(*failure),
            Self::Redirect(_) => upstream(UpstreamFailure::Redirected),
            Self::ClientLeft => error(400, ErrorBody::new(ErrorCode::Unsupported)),
            Self::CutOff | Self::Internal(_) => error(500, ErrorBody::new(ErrorCode::Unknown)),
        }
    }
}

fn unauthorized(challenge: &Challenge<'_>, denial: Option<&str>) -> Answer {
    error(401, &ErrorBody::unauthorized(challenge.scopes).with_denial(denial))
        .with(header::WWW_AUTHENTICATE, &challenge.text())
}

fn too_many(retry_after: u64) -> Answer {
    error(429, &ErrorBody::new(ErrorCode::TooManyRequests)).with(header::RETRY_AFTER, &retry_after.to_string())
}

/// `insufficient_scope` makes clients ask for a new access token; `invalid_token` makes them log in again (R4).
const fn challenge_error(denial: &Denial, by_access_token: bool) -> Option<ChallengeError> {
    match denial {
        Denial::ActionNotGranted { .. } | Denial::ScopeNotGranted { .. } | Denial::CatalogNotGranted => {
            Some(ChallengeError::InsufficientScope)
        }
        Denial::AccessTokenInvalid
        | Denial::AccessTokenExpired
        | Denial::IdentityTokenInvalid(_)
        | Denial::IdentityUnknown
        | Denial::PrincipalGone
        | Denial::NotAccepted(_)
        | Denial::NetworkNotAllowed(_)
        | Denial::NoRole
            if by_access_token =>
        {
            Some(ChallengeError::InvalidToken)
        }
        _ => None,
    }
}

fn upstream(failure: UpstreamFailure) -> Answer {
    let (status, code) = match failure {
        UpstreamFailure::TimedOut => (504, ErrorCode::Unavailable),
        UpstreamFailure::Unreachable | UpstreamFailure::NoToken => (502, ErrorCode::Unavailable),
        UpstreamFailure::Broken
        | UpstreamFailure::Unauthorized
        | UpstreamFailure::RefusedUs
        | UpstreamFailure::Redirected
        | UpstreamFailure::Storage
        | UpstreamFailure::Unusable => (502, ErrorCode::Unknown),
    };
    error(status, &ErrorBody::new(code).with_detail(failure.told()))
}

fn unavailable(body: &ErrorBody) -> Answer {
    error(503, body).with(header::RETRY_AFTER, "1")
}

fn error(status: u16, body: &ErrorBody) -> Answer {
    Answer::json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body.json())
}

#[cfg(test)]
mod tests;
