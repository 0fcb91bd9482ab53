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

impl From<&CallError> for UpstreamFailure {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::Unreachable(_) => Self::Unreachable,
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
        let error = |status, body: &ErrorBody| error(status, &body.clone().with_denial(denial));
        let denial_id = denial;
        match self {
            Self::Denied { denial, asked, by_access_token, realm, service } => {
                let error = challenge_error(denial, *by_access_token);
                unauthorized(&Challenge { realm, service, scopes: asked, error }, denial_id)
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
            Self::UnknownHost | Self::Misdirected => {
                error(421, &ErrorBody::with_message(ErrorCode::NameUnknown, "no such registry"))
            }
            Self::ClientCertificate | Self::NoSource | Self::Link(_) => error(403, &ErrorBody::new(ErrorCode::Denied)),
            Self::Locked(_) => error(405, &ErrorBody::new(ErrorCode::RegistryDisallowedOperation)),
            Self::Metadata { status: 503, .. }
            | Self::LocksUnknown(_)
            | Self::Busy
            | Self::ProviderUnavailable(_)
            | Self::NotReady
            | Self::Outdated => error(503, &ErrorBody::new(ErrorCode::Unavailable)).with(header::RETRY_AFTER, "1"),
            Self::Metadata { status, .. } => error(*status, &ErrorBody::new(ErrorCode::Unknown)),
            Self::RateLimited(exhausted) => too_many(exhausted.retry_after),
            Self::LoginLocked(locked) => too_many(locked.retry_after),
            Self::Upstream(failure) => upstream(*failure),
            Self::Redirect(_) => upstream(UpstreamFailure::Redirected),
            Self::ClientLeft => error(400, &ErrorBody::new(ErrorCode::Unsupported)),
            Self::CutOff | Self::Internal(_) => error(500, &ErrorBody::new(ErrorCode::Unknown)),
        }
    }
}

fn unauthorized(challenge: &Challenge<'_>, denial: Option<&str>) -> Answer {
    error(401, &ErrorBody::unauthorized(challenge.scopes).with_denial(denial))
        .with(header::WWW_AUTHENTICATE, &challenge.to_string())
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
    error(status, &ErrorBody::new(code))
}

fn error(status: u16, body: &ErrorBody) -> Answer {
    Answer::json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body.json())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::RepositoryName;
    use crate::policy::action::{Action, ActionSet};
    use crate::policy::limits::{Category, LoginScope, RateScope};
    use crate::policy::locks::LockTarget;
    use crate::policy::origin::Origin;
    use crate::policy::principal::NotAccepted;

    /// Status, headers and body, one to a line.
    fn seen(refusal: &Refusal) -> String {
        let answer = refusal.answer();
        let headers = answer.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        let body = std::str::from_utf8(&answer.body).unwrap();
        format!("{}\n{}{body}", answer.status.as_u16(), headers.collect::<String>())
    }

    fn body(code: &str, message: &str) -> String {
        format!(
            "content-type: application/json; charset=utf-8\n{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"{message}\"}}]}}"
        )
    }

    fn routed(method: &str, target: &str) -> Refusal {
        Refusal::from(crate::oci::parse(method, target).unwrap_err())
    }

    /// The whole of what a client sees, for every refusal that is no denial; and whether it counts as a decision.
    #[test]
    fn every_refusal_has_its_one_answer() {
        let allow = |answer: &str| answer.replacen("utf-8\n", "utf-8\nallow: GET, HEAD, PUT, DELETE\n", 1);
        let retry = |answer: &str| answer.replacen("utf-8\n", "utf-8\nretry-after: 1\n", 1);
        let unsupported = body("UNSUPPORTED", "The operation is unsupported.");
        let unavailable = body("UNAVAILABLE", "service unavailable");
        let unknown = body("UNKNOWN", "unknown error");
        let network = Refusal::Network {
            source_address: "::ffff:203.0.113.9".parse().unwrap(),
            reason: "a rule with a private name".to_owned(),
        };
        let address = "client with IP \\u0027203.0.113.9\\u0027 is not allowed access. \
                       Refer https://aka.ms/acr/firewall to grant access.";
        let too_large = Refusal::BadRequest { code: ErrorCode::ManifestInvalid, status: 413, reason: "secret" };
        let table = [
            (network, "network_refused", true, format!("403\n{}", body("DENIED", address))),
            (
                Refusal::Link(LinkRefusal::Expired),
                "link_expired",
                true,
                format!("403\n{}", body("DENIED", "requested access to the resource is denied")),
            ),
            (
                Refusal::Link(LinkRefusal::Denied(Denial::NoRole)),
                "no_role",
                true,
                format!("403\n{}", body("DENIED", "requested access to the resource is denied")),
            ),
            (routed("POST", "/v2/a/manifests/v1"), "malformed", true, format!("405\n{}", allow(&unsupported))),
            (routed("GET", "/v2/a//b/tags/list"), "malformed", true, format!("400\n{unsupported}")),
            (routed("GET", "/v1/search"), "malformed", true, format!("404\n{unsupported}")),
            (too_large, "malformed", true, format!("413\n{}", body("MANIFEST_INVALID", "manifest invalid"))),
            (Refusal::UnknownHost, "unknown_host", true, format!("421\n{}", body("NAME_UNKNOWN", "no such registry"))),
            (
                Refusal::NoSource,
                "no_source",
                true,
                format!("403\n{}", body("DENIED", "requested access to the resource is denied")),
            ),
            (Refusal::Busy, "busy", false, format!("503\n{}", retry(&unavailable))),
            (
                Refusal::ProviderUnavailable("secret".to_owned()),
                "identity_provider_unavailable",
                false,
                format!("503\n{}", retry(&unavailable)),
            ),
            (Refusal::NotReady, "not_ready", false, format!("503\n{}", retry(&unavailable))),
            (
                Refusal::Upstream(UpstreamFailure::Unreachable),
                "upstream_unreachable",
                false,
                format!("502\n{unavailable}"),
            ),
            (Refusal::Upstream(UpstreamFailure::TimedOut), "upstream_timeout", false, format!("504\n{unavailable}")),
            (Refusal::Upstream(UpstreamFailure::Broken), "upstream_broken", false, format!("502\n{unknown}")),
            (Refusal::Upstream(UpstreamFailure::RefusedUs), "upstream_refused_us", false, format!("502\n{unknown}")),
            (
                Refusal::Upstream(UpstreamFailure::Unauthorized),
                "upstream_unauthorized",
                false,
                format!("502\n{unknown}"),
            ),
            (Refusal::Upstream(UpstreamFailure::NoToken), "upstream_no_token", false, format!("502\n{unavailable}")),
            (Refusal::Upstream(UpstreamFailure::Redirected), "upstream_redirected", false, format!("502\n{unknown}")),
            (
                Refusal::Redirect(RedirectRefusal::Unlisted("secret".to_owned())),
                "upstream_redirected",
                false,
                format!("502\n{unknown}"),
            ),
            (Refusal::Upstream(UpstreamFailure::Storage), "upstream_storage", false, format!("502\n{unknown}")),
            (Refusal::Upstream(UpstreamFailure::Unusable), "upstream_unusable", false, format!("502\n{unknown}")),
            (
                Refusal::LocksUnknown("secret".to_owned()),
                "locks_unknown",
                false,
                format!("503\n{}", retry(&unavailable)),
            ),
            (
                Refusal::Metadata { status: 503, cause: "secret".to_owned() },
                "metadata_unavailable",
                false,
                format!("503\n{}", retry(&unavailable)),
            ),
            (
                Refusal::Metadata { status: 502, cause: "secret".to_owned() },
                "metadata_unavailable",
                false,
                format!("502\n{unknown}"),
            ),
            (Refusal::ClientLeft, "client_left", false, format!("400\n{unsupported}")),
            (Refusal::CutOff, "cut_off", false, format!("500\n{unknown}")),
            (Refusal::Internal("secret"), "internal", false, format!("500\n{unknown}")),
        ];
        let too_many = |seconds: u8| {
            let answer = format!("429\n{}", retry(&body("TOOMANYREQUESTS", "too many requests")));
            answer.replacen("retry-after: 1\n", &format!("retry-after: {seconds}\n"), 1)
        };
        let locked = Locked { scope: LoginScope::Source, limit: 30, retry_after: 17 };
        let exhausted = Exhausted { scope: RateScope::Identity, category: Category::Read, limit: 5, retry_after: 9 };
        let limited = Refusal::RateLimited(exhausted);
        assert_eq!((seen(&limited), limited.code(), limited.is_denial()), (too_many(9), "rate_limited", true));
        assert!(limited.drains_body(), "a permitted client that sends its body first must see the answer");
        let lock = Refusal::Locked(Lock {
            target: LockTarget::parse("a/b:v1").unwrap(),
            attribute: "writeEnabled",
            origin: Origin::store(),
        });
        let (code, message) =
            (ErrorCode::RegistryDisallowedOperation.code(), ErrorCode::RegistryDisallowedOperation.message());
        assert_eq!(seen(&lock), format!("405\n{}", body(code, message)));
        assert_eq!((lock.code(), lock.is_denial(), lock.has_id()), ("locked", true, true));
        assert!(lock.drains_body(), "whoever pushes sends his body first, and must see the answer");
        let table = table.into_iter().chain([(Refusal::LoginLocked(locked), "login_locked", true, too_many(17))]);
        for (refusal, code, is_denial, answer) in table {
            assert_eq!(seen(&refusal), answer, "{refusal:?}");
            assert_eq!((refusal.code(), refusal.is_denial(), refusal.drains_body()), (code, is_denial, false));
            for private in ["secret", "private", "www-authenticate"] {
                assert!(!seen(&refusal).contains(private), "{refusal:?} tells {private}");
            }
        }
    }

    /// A denial of what a presented access token, or a password, wanted.
    fn denied(denial: Denial, asked: Vec<Scope>, by_access_token: bool) -> Refusal {
        Refusal::Denied { denial, asked, by_access_token, realm: "https://r/oauth2/token".into(), service: "r".into() }
    }

    fn denials() -> Vec<Denial> {
        let repository = RepositoryName::parse("team/app").unwrap();
        let wanted = ActionSet::from(Action::ContentWrite);
        vec![
            Denial::CredentialRequired,
            Denial::CredentialMalformed,
            Denial::CredentialInvalid,
            Denial::AccessTokenInvalid,
            Denial::AccessTokenExpired,
            Denial::RefreshTokenInvalid,
            Denial::IdentityTokenInvalid("expired"),
            Denial::IdentityUnknown,
            Denial::PrincipalGone,
            Denial::NotAccepted(NotAccepted::AdminDisabled),
            Denial::NotAccepted(NotAccepted::TokenDisabled),
            Denial::NotAccepted(NotAccepted::IdentityDisabled),
            Denial::NotAccepted(NotAccepted::PasswordReplaced),
            Denial::NotAccepted(NotAccepted::PasswordExpired),
            Denial::NoRole,
            Denial::AnonymousNotAllowed,
            Denial::ActionNotGranted { repository: repository.clone(), wanted },
            Denial::ScopeNotGranted { repository, wanted },
            Denial::CatalogNotGranted,
        ]
    }

    /// A new denial does not compile until it has its line here.
    fn told(denial: &Denial, by_access_token: bool) -> &'static str {
        match denial {
            Denial::CredentialRequired
            | Denial::CredentialMalformed
            | Denial::CredentialInvalid
            | Denial::RefreshTokenInvalid
            | Denial::AnonymousNotAllowed => "",
            Denial::AccessTokenInvalid
            | Denial::AccessTokenExpired
            | Denial::IdentityTokenInvalid(_)
            | Denial::IdentityUnknown
            | Denial::PrincipalGone
            | Denial::NotAccepted(_)
            | Denial::NetworkNotAllowed(_)
            | Denial::NoRole => {
                if by_access_token {
                    ",error=\"invalid_token\""
                } else {
                    ""
                }
            }
            Denial::ActionNotGranted { .. } | Denial::ScopeNotGranted { .. } | Denial::CatalogNotGranted => {
                ",error=\"insufficient_scope\""
            }
        }
    }

    /// Wire contract R1 to R5: one status, one body, one challenge; the reason stays with the operator (threat class Q).
    #[test]
    fn every_denial_is_a_401_with_the_same_body_and_a_challenge_that_tells_no_more_than_it_must() {
        let scope = Scope::new("repository", "team/app", ["pull", "push"]);
        let message = "authentication required, visit https://aka.ms/acr/authorization for more information.";
        let detail = r#","detail":[{"Type":"repository","Name":"team/app","Action":"pull"},{"Type":"repository","Name":"team/app","Action":"push"}]"#;
        for (denial, by_access_token) in
            denials().into_iter().flat_map(|denial| [(denial.clone(), true), (denial, false)])
        {
            let error = told(&denial, by_access_token);
            let refusal = denied(denial, vec![scope.clone()], by_access_token);
            let expected = format!(
                "401\ncontent-type: application/json; charset=utf-8\nwww-authenticate: \
                 Bearer realm=\"https://r/oauth2/token\",service=\"r\",scope=\"repository:team/app:pull,push\"{error}\n\
                 {{\"errors\":[{{\"code\":\"UNAUTHORIZED\",\"message\":\"{message}\"{detail}}}]}}"
            );
            assert_eq!(seen(&refusal), expected);
            assert_eq!((refusal.is_denial(), refusal.drains_body()), (true, true), "{refusal:?}");
        }
        let probe = denied(Denial::CredentialRequired, Vec::new(), false);
        let expected = format!(
            "401\ncontent-type: application/json; charset=utf-8\nwww-authenticate: \
             Bearer realm=\"https://r/oauth2/token\",service=\"r\"\n\
             {{\"errors\":[{{\"code\":\"UNAUTHORIZED\",\"message\":\"{message}\"}}]}}"
        );
        assert_eq!(seen(&probe), expected);
    }

    /// The audit log and the metrics tell apart what the client cannot.
    #[test]
    fn every_denial_has_a_word_of_its_own_and_a_sentence_for_the_operator() {
        let denials = denials();
        let codes: std::collections::BTreeSet<_> = denials.iter().map(Denial::code).collect();
        let sentences: std::collections::BTreeSet<_> = denials.iter().map(ToString::to_string).collect();
        assert_eq!((codes.len(), sentences.len()), (denials.len(), denials.len()));
        for denial in denials {
            assert_eq!(denied(denial.clone(), Vec::new(), true).code(), denial.code());
        }
    }
}
