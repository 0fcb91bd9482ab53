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
    let no_order = body("UNSUPPORTED", "orderby must be timeasc, timedesc or none");
    let table = [
        (routed("GET", "/acr/v1/a/_tags?orderby=name"), "malformed", true, format!("400\n{no_order}")),
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
    let table = table.into_iter().chain([(Refusal::LoginLocked(locked), "login_locked", true, too_many(17))]);
    for (refusal, code, is_denial, answer) in table {
        assert_eq!(seen(&refusal), answer, "{refusal:?}");
        assert_eq!((refusal.code(), refusal.is_denial(), refusal.drains_body()), (code, is_denial, false));
        for private in ["secret", "private", "www-authenticate"] {
            assert!(!seen(&refusal).contains(private), "{refusal:?} tells {private}");
        }
    }
}

/// Whoever may do what he asked for is told in words what is away or in trouble, and nothing of how it is set up.
#[test]
fn what_is_wrong_behind_seawall_is_told() {
    let upstream = Refusal::Upstream;
    let (unavailable, unknown) = (("UNAVAILABLE", "service unavailable"), ("UNKNOWN", "unknown error"));
    let login = "seawall cannot log in to the registry behind it";
    let storage = "the storage of the registry behind seawall cannot be used";
    let contents = "what seawall knows of the contents is not available now, or the work is not done yet";
    let unusable = "the registry behind seawall answered with something that cannot be used";
    let unlisted = RedirectRefusal::Unlisted("secret".to_owned());
    let metadata = |status| Refusal::Metadata { status, cause: "secret".to_owned() };
    let (locks, locks_told) = ("secret".to_owned(), "it cannot be found out now whether a lock is in the way");
    #[rustfmt::skip]
    let table = [
        (upstream(UpstreamFailure::Unreachable), "upstream_unreachable", 502, unavailable, "the registry behind seawall cannot be reached"),
        (upstream(UpstreamFailure::TimedOut), "upstream_timeout", 504, unavailable, "the registry behind seawall did not answer in time"),
        (upstream(UpstreamFailure::Broken), "upstream_broken", 502, unknown, "the registry behind seawall broke off"),
        (upstream(UpstreamFailure::RefusedUs), "upstream_refused_us", 502, unknown, "the registry behind seawall forbids this to seawall"),
        (upstream(UpstreamFailure::Unauthorized), "upstream_unauthorized", 502, unknown, login),
        (upstream(UpstreamFailure::NoToken), "upstream_no_token", 502, unavailable, login),
        (upstream(UpstreamFailure::Redirected), "upstream_redirected", 502, unknown, storage),
        (Refusal::Redirect(unlisted), "upstream_redirected", 502, unknown, storage),
        (upstream(UpstreamFailure::Storage), "upstream_storage", 502, unknown, storage),
        (upstream(UpstreamFailure::Unusable), "upstream_unusable", 502, unknown, unusable),
        (Refusal::LocksUnknown(locks), "locks_unknown", 503, unavailable, locks_told),
        (metadata(503), "metadata_unavailable", 503, unavailable, contents),
        (metadata(502), "metadata_unavailable", 502, unknown, "the registry behind seawall does not do this"),
    ];
    for (refusal, code, status, (error, message), detail) in table {
        let detailed = body(error, message).replace("\"}]}", &format!("\",\"detail\":\"{detail}\"}}]}}"));
        let retry = if status == 503 { "utf-8\nretry-after: 1\n" } else { "utf-8\n" };
        assert_eq!(seen(&refusal), format!("{status}\n{}", detailed.replacen("utf-8\n", retry, 1)));
        assert_eq!((refusal.code(), refusal.is_denial(), refusal.drains_body()), (code, false, false));
    }
}

/// B.8-4.
#[test]
fn what_a_lock_forbids_is_answered_in_acrs_words() {
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
    for (denial, by_access_token) in denials().into_iter().flat_map(|denial| [(denial.clone(), true), (denial, false)])
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
