//! The token endpoint: a login becomes an access token for what was asked and may be had.
//!
//! A function of a parsed request and a bounded body; no socket is known here. `GET` with Basic is what Docker and
//! containers/image send, `POST` with a form what containerd, BuildKit and Microsoft's clients send (wire contract 1.2,
//! 1.3, 2.3, 2.4). Partial or no rights are not an error: the answer is the intersection.

use http::{StatusCode, header};
use serde::Serialize;

use super::answer::Answer;
use super::form::{Fields, OAuthRequest, bad_request, deny, fail, fields};
use super::reject::Refusal;
use super::trail::Trail;
use crate::auth::{Authenticator, Failure, MintError, Minted, OwnToken, SignIn};
use crate::oci::{self, Credential, Method, Scope};
use crate::policy::network::Admitted;
use crate::policy::{Caller, Denial, grant};
use crate::secret::Secret;

/// The user name that says that the password is a token (S1-31).
pub(super) const NULL_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// How the caller proves itself.
enum Login {
    Anonymous,
    Password { user: String, password: Secret },
    RefreshToken(Secret),
}

impl Login {
    /// The user name, of which that of a token is the null GUID; none for nobody in particular.
    fn user(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Password { user, .. } => Some(user),
            Self::RefreshToken(_) => Some(NULL_GUID),
        }
    }
}

/// Answers one request.
pub(crate) async fn answer(
    authenticator: &Authenticator,
    request: &OAuthRequest<'_>,
    trail: &mut Trail,
) -> Result<Answer, Refusal> {
    let fields = fields(request)?;
    let login = login(request, &fields).map_err(|refusal| request.door.tell(refusal))?;
    request.door.hears(login.user())?;
    if let Login::Password { user, .. } = &login {
        trail.claimed_user = Some(user.clone());
    }
    let (sign_in, own) =
        sign_in(authenticator, request, login, trail).await.map_err(|refusal| request.door.tell(refusal))?;
    let admitted = request.enter(authenticator, &sign_in.caller, trail)?;
    if let Some(OwnToken { minted, scopes }) = own {
        return respond(&admitted, &minted, &scopes);
    }
    let granted = grant(&sign_in.caller.principal, &fields.scopes, &admitted);
    let issued = authenticator.issue(request.registry, &sign_in, &granted, request.now).await;
    respond(&admitted, &issued.map_err(|error| unminted(&error))?, &granted)
}

/// Why no token was made, as the client is told.
pub(super) fn unminted(error: &MintError) -> Refusal {
    match error {
        MintError::TooLarge => bad_request("so many scopes that the access token would be too large"),
        MintError::IdentityTooLarge => bad_request("so many claims that the token would be too large"),
        MintError::Overloaded(_) => Refusal::Busy,
        MintError::NoKey | MintError::Random(_) | MintError::Claims(_) | MintError::Signing(_) => {
            Refusal::Internal("the token could not be signed")
        }
    }
}

/// Which login the request means. No user name and no password is anonymous in each of the three shapes that SDKs send
/// it (wire contract 2.3); an empty user name with a password is not (BuildKit sends that first).
fn login(request: &OAuthRequest<'_>, fields: &Fields) -> Result<Login, Refusal> {
    let form = form_login(request, fields)?;
    // Microsoft's PowerShell module sends the access token that it had, or none, along with the refresh token (S1-34).
    let sent_along = |line: &&[u8]| matches!(form, Login::RefreshToken(_)) && is_bearer(line);
    let lines = request.headers.get_all(header::AUTHORIZATION).iter().map(http::HeaderValue::as_bytes);
    let header = oci::credential(lines.filter(|line| !sent_along(line)));
    match (header.map_err(|_| deny(request, Denial::CredentialMalformed))?, form) {
        (None, login) => Ok(login),
        (Some(Credential::Basic { user, password }), Login::Anonymous) => Ok(Login::Password { user, password }),
        (Some(Credential::Basic { .. }), _) => Err(bad_request("a credential in the header and one in the form")),
        (Some(Credential::Bearer(_)), _) => Err(deny(request, Denial::CredentialMalformed)),
    }
}

fn is_bearer(line: &[u8]) -> bool {
    line.split(|byte| *byte == b' ').next().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer"))
}

fn form_login(request: &OAuthRequest<'_>, fields: &Fields) -> Result<Login, Refusal> {
    if request.method != Method::Post {
        return Ok(Login::Anonymous);
    }
    match fields.grant_type.as_deref() {
        Some("password") => match (&fields.username, &fields.password) {
            (None, None) => Ok(Login::Anonymous),
            (Some(user), Some(password)) if user.is_empty() && password.expose().is_empty() => Ok(Login::Anonymous),
            (Some(user), Some(password)) => Ok(Login::Password { user: user.clone(), password: password.clone() }),
            _ => Err(deny(request, Denial::CredentialMalformed)),
        },
        Some("refresh_token") => {
            let token = fields.refresh_token.clone().filter(|token| !token.expose().is_empty());
            token.map(Login::RefreshToken).ok_or_else(|| deny(request, Denial::CredentialMalformed))
        }
        Some(_) => Err(bad_request("the grant type is not known")),
        None => Err(bad_request("the grant type is missing")),
    }
}

/// Who logs in; and the access token to answer with, where it was presented as a password.
async fn sign_in(
    authenticator: &Authenticator,
    request: &OAuthRequest<'_>,
    login: Login,
    trail: &mut Trail,
) -> Result<(SignIn, Option<OwnToken>), Refusal> {
    let (registry, now) = (request.registry, request.now);
    let sign_in = match login {
        Login::Anonymous if registry.anonymous_pull() => Ok(Caller::anonymous(registry).into()),
        Login::Anonymous => Err(Failure::Denied(Denial::CredentialRequired)),
        Login::Password { user, password } if user == NULL_GUID => {
            return request.guard(authenticator, None, token_as_password(authenticator, request, &password)).await;
        }
        Login::Password { user, password } => {
            let attempt = async {
                let recognised = &mut trail.caller;
                let sign_in = authenticator.by_password(registry, &user, &password, now, recognised).await?;
                sign_in.located(request.door.place())
            };
            return request.guard(authenticator, Some(&user), attempt).await.map(|sign_in| (sign_in, None));
        }
        Login::RefreshToken(token) => {
            let attempt =
                async { authenticator.by_refresh_token(registry, &token, now)?.located(request.door.place()) };
            return request.guard(authenticator, None, attempt).await.map(|sign_in| (sign_in, None));
        }
    };
    sign_in.map(|sign_in| (sign_in, None)).map_err(|failure| fail(request, failure))
}

/// Under the null GUID the password is a refresh token of ours, an access token of ours, or one of an identity provider.
async fn token_as_password(
    authenticator: &Authenticator,
    request: &OAuthRequest<'_>,
    token: &Secret,
) -> Result<(SignIn, Option<OwnToken>), Failure> {
    let OAuthRequest { registry, door, now, .. } = *request;
    if let Ok(sign_in) = authenticator.by_refresh_token(registry, token, now) {
        return Ok((sign_in.located(door.place())?, None));
    }
    let failure = match authenticator.by_access_token_as_password(registry, token, now) {
        Ok((caller, own)) => return Ok((SignIn::from(caller).located(door.place())?, Some(own))),
        Err(failure) => failure,
    };
    let sign_in = authenticator.or_by_provider_token(failure, registry, token, now).await?;
    Ok((sign_in.located(door.place())?, None))
}

/// The answer that every client family can read: both names of the token, and when it ends.
#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    token: &'a str,
    scope: String,
    expires_in: u32,
    issued_at: String,
}

/// Whoever is not let in has no answer.
fn respond(_: &Admitted, issued: &Minted, granted: &[Scope]) -> Result<Answer, Refusal> {
    let scope = granted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let token = issued.token.expose();
    let body = TokenAnswer {
        access_token: token,
        token,
        scope,
        expires_in: issued.expires_in,
        issued_at: issued.issued_at.to_string(),
    };
    let body = serde_json::to_string(&body).map_err(|_| Refusal::Internal("the answer could not be written"))?;
    Ok(Answer::json(StatusCode::OK, body).with(header::CACHE_CONTROL, "no-store"))
}
